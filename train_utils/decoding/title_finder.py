"""Search of the whole title of an open item: in the trie (RecLM-cgen), or by item vectors (RecLM-ret)."""

from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import PreTrainedModel

from train_utils.constraint.matcher import Matcher
from train_utils.decoding.forward import LastHiddenState
from train_utils.decoding.ragged_attention import RaggedCache
from train_utils.decoding.retriever import Retriever
from train_utils.decoding.title_search import search_titles

RankedItems = list[tuple[int, float]]  # (item, log-probability among the admissible items), best first


class TitleFinder(Protocol):
    """Search of whole titles.

    Attributes:
        lookback: offset from the last token back to the token whose state the search uses: 0 for `<SOI>` itself, 1 for
            the token that predicts it.
        always: whether every item is searched whole, regardless of a request's `best_titles`.
    """

    lookback: int
    always: bool

    def states(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the input of a search at each position of the latest pass.

        Args:
            logits: float [positions, V], logits of the pass.

        Returns:
            float [positions, ...].
        """

    def find(
        self,
        cache: RaggedCache,
        lengths: Sequence[int],
        rows: Sequence[int],
        matchers: Sequence[Matcher],
        states: torch.Tensor,
        k: Sequence[int],
    ) -> list[RankedItems]:
        """Find the best titles for rows with an open item.

        Args:
            cache: cache of all rows; the valid tokens stay unchanged.
            lengths: valid tokens of each row in the cache.
            rows: the rows to search for.
            matchers: their states, at the root of the trie.
            states: float [searched rows, ...], from `states`.
            k: number of titles for each searched row.
        """


class TrieSearch:
    """Best-first search of the trie by the probabilities of the model."""

    lookback = 0
    always = False

    def __init__(self, model: PreTrainedModel):
        self._model = model

    def states(self, logits: torch.Tensor) -> torch.Tensor:
        return logits

    def find(
        self,
        cache: RaggedCache,
        lengths: Sequence[int],
        rows: Sequence[int],
        matchers: Sequence[Matcher],
        states: torch.Tensor,
        k: Sequence[int],
    ) -> list[RankedItems]:
        ranked = search_titles(self._model, cache, lengths, rows, matchers, states, k)
        return [[(title.item, title.log_probability) for title in titles] for titles in ranked]


class NearestVector:
    """Search of the items whose vectors are nearest to the hidden state that predicts `<SOI>`."""

    lookback = 1
    always = True

    def __init__(self, model: PreTrainedModel, retriever: Retriever):
        self._retriever, self._hidden = retriever, LastHiddenState.of(model)

    def states(self, logits: torch.Tensor) -> torch.Tensor:
        return self._hidden.states[0]

    def find(
        self,
        cache: RaggedCache,
        lengths: Sequence[int],
        rows: Sequence[int],
        matchers: Sequence[Matcher],
        states: torch.Tensor,
        k: Sequence[int],
    ) -> list[RankedItems]:
        return self._retriever.nearest(states, matchers, k)
