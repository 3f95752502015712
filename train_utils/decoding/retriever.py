"""The next item by the similarity of a hidden state to the vectors of the items (RecLM-ret)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import PRIOR_FLOOR, ConstraintError, Prior
from train_utils.constraint.matcher import Matcher
from train_utils.models.retrieval_head import Retrieval, has_retrieval, load_retrieval

INDEX_FROM = 1_000_000  # items from which an index is searched instead of all items
_CANDIDATES = 256  # items that an index finds; their scores are exact
_RARE = 20  # where fewer than one item in so many is admissible, the graph of an index leads nowhere: all are compared


# -- search ------------------------------------------------------------------------------------------------------------
class Retriever:
    """Finds the nearest admissible items.

    Args:
        index_from: catalogs of so many items are searched by an index (approximate; the scores are exact).

    Raises:
        ValueError: the index library is needed and missing.
    """

    def __init__(self, retrieval: Retrieval, index_from: int = INDEX_FROM):
        self.retrieval = retrieval
        self.items = retrieval.items.detach()
        self._index = _make_index(self.items) if len(self.items) >= index_from else None

    @torch.inference_mode()
    def nearest(
        self, states: torch.Tensor, matchers: Sequence[Matcher], k: Sequence[int]
    ) -> list[list[tuple[int, float]]]:
        """(item, log-probability among the admissible items) of the best items of each row, best first.

        With a prior an item gets `weight * log(share of its score)` more, as a whole title does in the tree. Where an
        index is searched, the log-probabilities are those among what it found.

        Args:
            states: [rows, d_model], each the one that predicts `<SOI>`. cursors: what rows may list. k: how many items.

        Raises:
            ConstraintError: a row that may list nothing.
        """
        # A validation during training decodes under autocast; scores of items keep their float32.
        with torch.autocast(states.device.type, enabled=False):
            return self._nearest(self.retrieval.queries(states), matchers, k)

    def _nearest(
        self, queries: torch.Tensor, matchers: Sequence[Matcher], k: Sequence[int]
    ) -> list[list[tuple[int, float]]]:
        of_all = queries @ self.items.T if self._index is None else None
        found = []
        for row, (matcher, n) in enumerate(zip(matchers, k, strict=True)):
            open_items, prior = matcher.admissible_mask(), matcher.rules.prior
            if not open_items.any():
                raise ConstraintError("no admissible item is left to be retrieved")
            compared = torch.from_numpy(self._compared(queries[row], open_items, prior)).to(queries.device)
            scores = self.items[compared] @ queries[row] if of_all is None else of_all[row, compared]
            if prior is not None:
                scores = scores + torch.from_numpy(_added(prior, open_items)).to(scores)
            scores = scores.log_softmax(0)
            best = scores.topk(min(n, len(scores))).indices.sort().values
            values, order = scores[best].sort(descending=True, stable=True)
            found.append(list(zip(compared[best[order]].tolist(), values.tolist(), strict=True)))
        return found

    def _compared(self, query: torch.Tensor, open_items: np.ndarray, prior: Prior | None) -> np.ndarray:
        """int64 [n], ascending: the items whose scores are compared, all admissible ones or the index's choice."""
        if self._index is None or prior is not None or _RARE * open_items.sum() < len(open_items):
            return np.flatnonzero(open_items)
        import faiss

        selector = faiss.IDSelectorBitmap(np.packbits(open_items, bitorder="little"))
        how = faiss.SearchParametersHNSW(sel=selector, efSearch=2 * _CANDIDATES)
        _, items = self._index.search(query[None].cpu().numpy(), _CANDIDATES, params=how)
        return np.sort(items[0][items[0] >= 0])


def load_retriever(folder: str | Path, catalog: Catalog, device: torch.device | str) -> Retriever | None:
    """What finds items for the model in `folder`; None for a model that spells them. Raises as `load_retrieval`."""
    return Retriever(load_retrieval(folder, catalog, device)) if has_retrieval(folder) else None


def _added(prior: Prior, open_items: np.ndarray) -> np.ndarray:
    """float64 [admissible items]: what the prior adds to the score of each."""
    scores = prior.scores[open_items]
    total = scores.sum()
    return prior.weight * np.log(np.maximum(scores / total, PRIOR_FLOOR)) if total > 0 else np.zeros(len(scores))


def _make_index(items: torch.Tensor):
    """A graph index for dot products."""
    try:
        import faiss
    except ImportError:
        raise ValueError(f"a catalog of {len(items)} items is searched by an index; pip install faiss-cpu") from None
    index = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.add(items.cpu().numpy())
    return index
