"""Turn scores into answers: admissible items, the k best with their probabilities, ranks of candidates.

The server and `LocalTeacher` both rank by this module, so that they give the same answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import chain

import numpy as np
import torch

from train_utils.dataset_folder import PAD
from train_utils.teacher.protocol import TeacherRefusal

NAMED = 20  # unknown ids in an error
SHOWN = 80  # characters of each


@dataclass(frozen=True)
class Catalog:
    """The items of one dataset. Item ints are rows of the score matrix; 0 is the padding.

    members: category -> sorted item ints. popularity: events of each item, [n_items], for empty histories.
    """

    raw_ids: tuple[str, ...]
    members: Mapping[str, np.ndarray]
    popularity: np.ndarray
    index: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {raw: number for number, raw in enumerate(self.raw_ids) if raw != PAD})

    @classmethod
    def build(cls, raw_ids: Sequence[str], category: Mapping[str, Sequence[str]], popularity: np.ndarray) -> "Catalog":
        """From raw ids by item int and category -> raw ids; members outside the catalog are left out."""
        index = {raw: number for number, raw in enumerate(raw_ids)}
        members = {
            name: np.array(sorted({index[item] for item in items if item in index}), np.int64)
            for name, items in category.items()
        }
        return cls(tuple(raw_ids), members, popularity)

    @property
    def n_items(self) -> int:
        """Rows of the score matrix, padding included."""
        return len(self.raw_ids)


@dataclass(frozen=True)
class Row:
    """One history in item ints. Its items are hidden from its list; candidates and category limit it."""

    history: tuple[int, ...]
    candidates: tuple[int, ...] | None = None
    target_category: str | None = None


class RequestError(TeacherRefusal):
    """A request that the catalog cannot answer; the text is for the client."""


def to_ints(catalog: Catalog, lists: Sequence[Sequence[str]], what: str) -> list[tuple[int, ...]]:
    """Raw ids -> item ints. RequestError names up to 20 of the unknown ids."""
    index = catalog.index
    try:
        return [tuple([index[item] for item in items]) for items in lists]
    except KeyError:
        unknown = {item for items in lists for item in items if item not in index}
    named = ", ".join(repr(item[:SHOWN]) for item in nsmallest(NAMED, unknown))
    more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
    raise RequestError(f"{what} holds item ids that are not in the catalog: {named}{more}")


def check_k(catalog: Catalog, k: int) -> None:
    """RequestError unless `k` lies in 1..the size of the catalog."""
    if not 1 <= k <= catalog.n_items - 1:
        raise RequestError(f"k must lie in 1..{catalog.n_items - 1}, the size of the catalog, got {k}")


def check_category(catalog: Catalog, target: str | None) -> None:
    """RequestError unless `target` is None or "+C" or "-C" for a category C of the catalog."""
    if target is None:
        return
    if target[:1] not in ("+", "-") or target[1:] not in catalog.members:
        raise RequestError(
            f'target_category must be "+" or "-" and the name of a category of the dataset, got {target[:SHOWN]!r}'
        )


def with_popularity(scores: torch.Tensor, rows: Sequence[Row], catalog: Catalog) -> torch.Tensor:
    """Scores [rows, n_items], those of rows without a history replaced by log(1 + popularity)."""
    cold = cold_rows(rows)
    if cold:
        scores = scores.clone()
        scores[cold] = torch.from_numpy(np.log(catalog.popularity + 1.0)).to(scores)
    return scores


def cold_rows(rows: Sequence[Row]) -> list[int]:
    """Return indices of the rows without a history."""
    return [number for number, row in enumerate(rows) if not row.history]


def admissible(rows: Sequence[Row], catalog: Catalog) -> np.ndarray:
    """Which items each row may name: bool [rows, n_items]. Padding and the row's own history never are."""
    allowed = np.ones((len(rows), catalog.n_items), bool)
    for number, row in enumerate(rows):
        if row.candidates is not None:
            allowed[number] = False
            allowed[number, list(row.candidates)] = True
        if row.target_category is not None:
            inside = np.zeros(catalog.n_items, bool)
            inside[catalog.members[row.target_category[1:]]] = True
            allowed[number] &= inside if row.target_category[0] == "+" else ~inside
    seen = np.fromiter(chain.from_iterable(row.history for row in rows), np.int64)
    allowed[np.repeat(np.arange(len(rows)), [len(row.history) for row in rows]), seen] = False
    allowed[:, 0] = False
    return allowed


def top_k(scores: torch.Tensor, allowed: np.ndarray, k: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the k[row] best admissible items of each row and their softmax probabilities over the admissible items.

    scores float [rows, n_items], allowed bool [rows, n_items], k int [rows], all >= 1. Returns one int array
    and one float32 array a row, best first; equal scores: lower item int first. A row with fewer admissible
    items gets a shorter list.
    """
    open_scores = scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), -torch.inf)
    # in float64 the order of summation, which depends on the shape, is lost when rounding to float32
    log_total = torch.logsumexp(open_scores.double(), 1).cpu().numpy()
    width = min(int(k.max()), scores.size(1))
    last = torch.from_numpy(np.minimum(k, width) - 1).to(scores.device)
    threshold = torch.topk(open_scores, width, dim=1).values.gather(1, last[:, None])
    # the k-th best score, ties included; in a short row the lowest finite score
    listed = (open_scores >= threshold.clamp(min=torch.finfo(scores.dtype).min)).nonzero(as_tuple=True)
    score, row, item = (part.cpu().numpy() for part in (open_scores[listed], *listed))
    order = np.lexsort((item, -score, row))
    row, item, score = row[order], item[order], score[order]
    probability = np.exp(score - log_total[row]).astype(np.float32)
    bounds = np.searchsorted(row, np.arange(len(k) + 1))
    parts = [slice(*pair) for pair in zip(bounds[:-1], np.minimum(bounds[:-1] + k, bounds[1:]), strict=True)]
    return [item[part] for part in parts], [probability[part] for part in parts]


def best_items(
    scores: torch.Tensor, rows: Sequence[Row], catalog: Catalog, k: np.ndarray
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Return the k[row] best admissible items of each row as raw ids, best first, and their probabilities (float32).

    Args:
        scores: float [rows, n_items].
        rows: histories, with what limits their lists.
        catalog: the items of the columns of `scores`.
        k: int [rows], all >= 1.
    """
    ints, probabilities = top_k(scores, admissible(rows, catalog), k)
    raw_ids = catalog.raw_ids
    return zip(([raw_ids[item] for item in row.tolist()] for row in ints), probabilities, strict=True)


def candidate_ranks(scores: torch.Tensor, allowed: np.ndarray, rows: Sequence[Row]) -> list[list[int]]:
    """1-based rank of each row's candidates among all items outside its history.

    `allowed` is `admissible` of the rows without their candidates. The rank is one more than the number of
    allowed items that score higher, or equal with a lower item int.
    """
    values = scores.cpu().numpy()
    ranks = []
    for own_scores, own_allowed, row in zip(values, allowed, rows, strict=True):
        candidates = np.array(row.candidates or (), np.int64)
        own = own_scores[candidates][:, None]
        ahead = (own_scores > own) | ((own_scores == own) & (np.arange(len(own_scores)) < candidates[:, None]))
        ranks.append((1 + (ahead & own_allowed).sum(1)).tolist())
    return ranks
