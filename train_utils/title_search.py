"""An opened item -> the k most probable titles there. Exact: a best-first search of the tree, not a beam.

A title's probability is the product of the model's choices on its way, each among the admissible children. A beginning
is never less probable than a title behind it, so the search ends when no beginning can beat the k-th title found.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from train_utils.chat import Chat, separator
from train_utils.ragged import RaggedCache, read, read_shared_beginning, use_ragged_attention
from train_utils.trie import Cursor, Rules

WIDTH = 16  # beginnings of titles that are read a pass and request


@dataclass(frozen=True)
class Ranked:
    """A title of the catalogue and its log-probability among the admissible ones."""

    leaf: int
    log_probability: float


@dataclass(frozen=True)
class _Beginning:
    """The beginning of a title up to a choice: the tokens behind `<SOI>`, and where they lead."""

    log_probability: float
    tokens: tuple[int, ...]
    cursor: Cursor


@dataclass
class _Search:
    """One request: its best finished titles, best first, and the beginnings that may still become one of them."""

    k: int
    finished: list[tuple[float, int]] = field(default_factory=list)  # (-log-probability, leaf), ascending
    open: list[_Beginning] = field(default_factory=list)

    def may_count(self, log_probability: float) -> bool:
        """Whether a title of this probability can be among the best k; what is below a beginning is no likelier."""
        return len(self.finished) < self.k or -log_probability <= self.finished[-1][0]

    def expand(self, parent: _Beginning, logits: torch.Tensor) -> None:
        """Follows the children of `parent`, the likeliest first, each to its next choice or to its end."""
        tokens = parent.cursor.allowed()
        scores = logits[torch.from_numpy(tokens).long().to(logits.device)].log_softmax(0) + parent.log_probability
        order = torch.argsort(scores, descending=True, stable=True)
        for at, score in zip(order.tolist(), scores[order].tolist(), strict=True):
            if not self.may_count(score):
                break
            cursor = parent.cursor.copy()
            leaf, run = cursor.advance(int(tokens[at])), []
            if leaf is None:
                run = cursor.forced_run()
                for token in run:
                    leaf = cursor.advance(token)
            if leaf is None:
                self.open.append(_Beginning(score, (*parent.tokens, int(tokens[at]), *run), cursor))
            else:
                insort(self.finished, (-score, leaf))
                del self.finished[self.k:]

    def next_beginnings(self) -> list[_Beginning]:
        """Takes out the likeliest beginnings that still matter; none when the search is over."""
        likeliest = sorted((b for b in self.open if self.may_count(b.log_probability)),
                           key=lambda b: (-b.log_probability, b.tokens))
        self.open = likeliest[WIDTH:]
        return likeliest[:WIDTH]


def search_titles(model: nn.Module, cache: RaggedCache, read_tokens: Sequence[int], cursors: Sequence[Cursor],
                  logits: torch.Tensor, k: int) -> list[list[Ranked]]:
    """The k most probable titles for rows that have just read `<SOI>`.

    Args:
        cache: one row each, of which `read_tokens` count; it is left as it is. cursors: at the root of the tree.
        logits: float [rows, V], the model's at `<SOI>`.
    """
    searches = [_Search(k) for _ in cursors]
    for search, cursor, row in zip(searches, cursors, logits, strict=True):
        search.expand(_Beginning(0.0, (), cursor), row)
    while chosen := [(i, b) for i, search in enumerate(searches) for b in search.next_beginnings()]:
        # Beginnings are short and are read again from `<SOI>`: only the rows' own keys are kept.
        rows = [i for i, _ in chosen]
        found = read(model, cache.select(rows), [b.tokens for _, b in chosen], [read_tokens[i] for i in rows],
                     [1] * len(rows))
        for (i, beginning), row in zip(chosen, found, strict=True):
            searches[i].expand(beginning, row)
    return [[Ranked(leaf, -cost) for cost, leaf in search.finished] for search in searches]


@torch.inference_mode()
def most_probable_titles(model: nn.Module, chat: Chat, prompts: Sequence[Sequence[int]], rules: Sequence[Rules],
                         k: int, idx: bool = False) -> list[list[Ranked]]:
    """The k most probable titles for each prompt, best first; equal ones in the order of their leaves.

    Args:
        prompts: token ids up to where the assistant goes on. rules: which items count, one entry a prompt.
        idx: the item follows the number of a list.

    Returns:
        a list for each prompt, shorter than k only if fewer titles are admissible.

    Raises:
        ValueError: k below 1, or a model that brings its own attention.
    """
    if k < 1:
        raise ValueError(f"k is {k}, wanted 1 or more")
    if not prompts:
        return []
    use_ragged_attention(model)
    opening = [*chat.encode(separator(1, idx)), chat.soi]
    texts = [[*prompt, *opening] for prompt in prompts]
    cache, shared = read_shared_beginning(model, texts)
    logits = read(model, cache, [text[shared:] for text in texts], [shared] * len(texts), [1] * len(texts))
    cursors = [Cursor(rule) for rule in rules]
    for cursor in cursors:
        cursor.advance(chat.soi)
    return search_titles(model, cache, list(map(len, texts)), cursors, logits, k)
