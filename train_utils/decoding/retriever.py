"""Retrieval of the next item by the similarity of a hidden state to the item vectors (RecLM-ret)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import PRIOR_FLOOR, ConstraintError, Prior
from train_utils.constraint.matcher import Matcher
from train_utils.models.retrieval_head import Retrieval, has_retrieval, load_retrieval

INDEX_FROM = 1_000_000  # number of items from which an index is searched instead of all items
_CANDIDATES = 256  # items that an index returns; their scores are exact
_RARE = 20  # below one admissible item in this many, the graph search of an index fails: all are compared


# -- search ------------------------------------------------------------------------------------------------------------
class Retriever:
    """Search of the nearest admissible items.

    Args:
        retrieval: projection of the states and item vectors.
        index_from: number of items from which an index is used (approximate search, exact scores).

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
        """Return the best items of each row.

        A prior adds `weight * log(share of the score)` to an item, as it does to a whole title in the trie. If an index
        is searched, the log-probabilities are relative to the items that it returns.

        Args:
            states: float [rows, d_model], the states that predict `<SOI>`.
            matchers: state of each row in the trie.
            k: number of items for each row.

        Returns:
            (item, log-probability among the admissible items) for each row, best first.

        Raises:
            ConstraintError: no item is admissible in a row.
        """
        # Validation during training decodes under autocast; the scores of items must stay float32.
        with torch.autocast(states.device.type, enabled=False):
            return self._nearest(self.retrieval.queries(states), matchers, k)

    def _nearest(
        self, queries: torch.Tensor, matchers: Sequence[Matcher], k: Sequence[int]
    ) -> list[list[tuple[int, float]]]:
        all_scores = queries @ self.items.T if self._index is None else None
        rankings = []
        for row, (matcher, n) in enumerate(zip(matchers, k, strict=True)):
            open_items, prior = matcher.admissible_mask(), matcher.rules.prior
            if not open_items.any():
                raise ConstraintError("no admissible item is left to be retrieved")
            compared = torch.from_numpy(self._compared(queries[row], open_items, prior)).to(queries.device)
            scores = self.items[compared] @ queries[row] if all_scores is None else all_scores[row, compared]
            if prior is not None:
                scores = scores + torch.from_numpy(_added(prior, open_items)).to(scores)
            scores = scores.log_softmax(0)
            best = scores.topk(min(n, len(scores))).indices.sort().values
            values, order = scores[best].sort(descending=True, stable=True)
            rankings.append(list(zip(compared[best[order]].tolist(), values.tolist(), strict=True)))
        return rankings

    def _compared(self, query: torch.Tensor, open_items: np.ndarray, prior: Prior | None) -> np.ndarray:
        """Return int64 [n], ascending: the items to score, all admissible items or those that the index returns."""
        if self._index is None or prior is not None or _RARE * open_items.sum() < len(open_items):
            return np.flatnonzero(open_items)
        import faiss

        selector = faiss.IDSelectorBitmap(np.packbits(open_items, bitorder="little"))
        how = faiss.SearchParametersHNSW(sel=selector, efSearch=2 * _CANDIDATES)
        _, items = self._index.search(query[None].cpu().numpy(), _CANDIDATES, params=how)
        return np.sort(items[0][items[0] >= 0])


def load_retriever(folder: str | Path, catalog: Catalog, device: torch.device | str) -> Retriever | None:
    """Load the retriever of the model in `folder`.

    Args:
        folder: folder of an adapter or a model.
        catalog: catalog of the item vectors.
        device: device of the item vectors.

    Returns:
        The retriever; None if the model spells titles.

    Raises:
        ValueError: as `load_retrieval`.
    """
    return Retriever(load_retrieval(folder, catalog, device)) if has_retrieval(folder) else None


def _added(prior: Prior, open_items: np.ndarray) -> np.ndarray:
    """Return float64 [admissible items], the term that the prior adds to the score of each."""
    scores = prior.scores[open_items]
    total = scores.sum()
    return prior.weight * np.log(np.maximum(scores / total, PRIOR_FLOOR)) if total > 0 else np.zeros(len(scores))


def _make_index(items: torch.Tensor):
    """Build a graph index for dot products."""
    try:
        import faiss
    except ImportError:
        raise ValueError(f"a catalog of {len(items)} items is searched by an index; pip install faiss-cpu") from None
    index = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.add(items.cpu().numpy())
    return index
