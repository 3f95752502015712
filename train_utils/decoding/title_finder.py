"""How the title of an opened item is found whole: by search of the trie (RecLM-cgen), or by its vector (RecLM-ret)."""

from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import PreTrainedModel

from train_utils.constraint.matcher import Matcher
from train_utils.decoding.forward import LastHiddenState
from train_utils.decoding.ragged_attention import RaggedCache
from train_utils.decoding.retriever import Retriever
from train_utils.decoding.title_search import search_titles

Found = list[tuple[int, float]]  # (item, log-probability among the admissible items), best first


class TitleFinder(Protocol):
    """Finds whole titles.

    Attributes:
        lookback: how many tokens before the last one the state lies that a title is found by: 0 for `<SOI>` itself, 1
            for the token that predicts it.
        always: every item is found whole, whatever a request's `best_titles` is.
    """

    lookback: int
    always: bool

    def states(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what titles are found by at each position of the latest pass, whose logits are given."""

    def find(
        self,
        cache: RaggedCache,
        lengths: Sequence[int],
        rows: Sequence[int],
        matchers: Sequence[Matcher],
        states: torch.Tensor,
        k: Sequence[int],
    ) -> list[Found]:
        """Find the best titles for rows that have an item open.

        Args:
            cache: `lengths[i]` tokens of its row i count; what these saw is left as it is.
            lengths: tokens of each row.
            rows: the rows that ask.
            matchers: their states, at the root of the trie.
            states: [asking rows, ...], of `states`.
            k: how many titles each row wants.
        """


class TrieSearch:
    """Best-first search of the trie, by the model's own probabilities."""

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
    ) -> list[Found]:
        ranked = search_titles(self._model, cache, lengths, rows, matchers, states, k)
        return [[(title.item, title.log_probability) for title in titles] for titles in ranked]


class NearestVector:
    """The items whose vectors are nearest to the hidden state that predicts `<SOI>`."""

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
    ) -> list[Found]:
        return self._retriever.nearest(states, matchers, k)
