"""An opened item -> the k most probable titles there. Exact: a best-first search of the tree, not a beam.

A title's probability is the product of the model's choices on its way, each among the admissible children, and of what
a prior adds to them. A beginning is never less probable than a title behind it, so the search ends when no beginning
can beat the k-th title found. Beginnings are read as a tree behind the row's text: each token once, no key copied.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedModel

from train_utils.constraint.constraint import Constraint
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.forward import forward, prefill_shared_prefix
from train_utils.decoding.ragged_attention import RaggedCache, TokenTree, use_ragged_attention
from train_utils.decoding.sampler import log_probabilities
from train_utils.decoding.support import check_length
from train_utils.models.backbone import mixed_precision
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

WIDTH = 16  # beginnings of titles that are read a pass and request


@dataclass(frozen=True)
class Ranked:
    """An item and the log-probability of its title among the admissible ones, what a prior adds included."""

    item: int
    log_probability: float


@dataclass(frozen=True)
class _Prefix:
    """The beginning of a title up to a choice.

    Attributes:
        score: its log-probability so far. bound: the most that a title behind it can have.
        tokens: what is to be read behind `parent`, a token of the row's tree (-1: `<SOI>`).
    """

    score: float
    bound: float
    tokens: tuple[int, ...]
    parent: int
    matcher: Matcher


@dataclass
class _Search:
    """One request: its best finished titles, best first, and the beginnings that may still become one of them."""

    k: int
    finished: list[tuple[float, int]] = field(default_factory=list)  # (-log-probability, item), ascending
    open: list[_Prefix] = field(default_factory=list)
    tree: TokenTree = field(default_factory=TokenTree)

    def may_count(self, bound: float) -> bool:
        """Whether a title of this log-probability can be among the best k."""
        return len(self.finished) < self.k or -bound <= self.finished[-1][0]

    def expand(self, behind: _Prefix, place: int, added: np.ndarray) -> None:
        """Follows the children of a beginning, read up to `place`, the likeliest first: each to its next choice or end.

        added: float64 [allowed tokens], their log-probabilities and what the prior adds to those.
        """
        tokens, prior = _allowed(behind.matcher), behind.matcher.prior()
        scores = behind.score + added
        bounds = scores if prior is None else scores + prior[1]
        for at in np.argsort(-bounds, kind="stable").tolist():
            if not self.may_count(bounds[at]):
                break
            matcher = behind.matcher.copy()
            item = matcher.accept_token(int(tokens[at]))
            run: list[int] = []
            if item is None:
                run = matcher.jump_forward()
                for token in run:
                    item = matcher.accept_token(token)
            score = float(scores[at])
            if item is None:
                self.open.append(_Prefix(score, float(bounds[at]), (int(tokens[at]), *run), place, matcher))
            elif self.may_count(score):
                insort(self.finished, (-score, item))
                del self.finished[self.k :]

    def next_beginnings(self) -> list[tuple[_Prefix, int]]:
        """Takes out the likeliest beginnings that still matter, each with its place in the tree of tokens; none when
        the search is over."""
        likeliest = sorted(
            (one for one in self.open if self.may_count(one.bound)),
            key=lambda one: (-one.bound, one.parent, one.tokens),
        )
        self.open = likeliest[WIDTH:]
        return [(one, self.tree.add(one.parent, len(one.tokens))) for one in likeliest[:WIDTH]]


def search_titles(
    model: PreTrainedModel,
    cache: RaggedCache,
    lengths: Sequence[int],
    rows: Sequence[int],
    matchers: Sequence[Matcher],
    logits: torch.Tensor,
    k: Sequence[int],
) -> list[list[Ranked]]:
    """The most probable titles for rows that have just read `<SOI>`.

    Args:
        cache: `lengths[i]` tokens of its row i count; what these saw is left as it is.
        rows: the rows that ask. cursors: their states, at the root of the tree. k: how many titles each wants.
        logits: float [asking rows, V], the model's at `<SOI>`.
    """
    searches = dict(zip(rows, map(_Search, k), strict=True))
    for search, matcher, added in zip(searches.values(), matchers, _added(logits, matchers), strict=True):
        search.expand(_Prefix(0.0, 0.0, (), -1, matcher), -1, added)
    while chosen := {row: found for row, search in searches.items() if (found := search.next_beginnings())}:
        blocks: list[list[int]] = [[] for _ in lengths]
        kept: list[list[int]] = [[] for _ in lengths]
        for row, beginnings in chosen.items():
            for beginning, _ in beginnings:
                blocks[row] += beginning.tokens
                kept[row].append(len(blocks[row]) - 1)
        trees = [searches[row].tree if row in searches else None for row in range(len(lengths))]
        expanded = [(row, *one) for row in sorted(chosen) for one in chosen[row]]
        logits = forward(model, cache, blocks, lengths, kept, trees)
        added_each = _added(logits, [one.matcher for _, one, _ in expanded])
        for (row, beginning, place), added in zip(expanded, added_each, strict=True):
            searches[row].expand(beginning, place, added)
    return [[Ranked(item, -cost) for cost, item in search.finished] for search in searches.values()]


def _added(logits: torch.Tensor, matchers: Sequence[Matcher]) -> list[np.ndarray]:
    priors = [matcher.prior() for matcher in matchers]
    return log_probabilities(
        logits, list(map(_allowed, matchers)), [None if prior is None else prior[0] for prior in priors]
    )


def _allowed(matcher: Matcher) -> np.ndarray:
    tokens = matcher.allowed()
    assert tokens is not None  # a search goes on inside titles alone
    return tokens


@dataclass(frozen=True)
class Opening:
    """Prompts that have been read up to the `<SOI>` of an item: any number of searches may start there."""

    model: PreTrainedModel
    end_of_turn: int
    texts: list[list[int]]
    answer_at: Sequence[int]
    cache: RaggedCache
    logits: torch.Tensor

    @torch.inference_mode()
    def most_probable(self, rules: Sequence[Constraint], k: int) -> list[list[Ranked]]:
        """The k most probable titles for each prompt, best first; equal ones in the order of the catalog.

        Args:
            rules: which items count, one entry a prompt.

        Returns:
            a list for each prompt, shorter than k only if fewer titles are admissible; empty where the prompt's own
            turn has listed all that are.

        Raises:
            ValueError: k below 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}, wanted 1 or more")
        # Where no item may be opened, none is searched for.
        before = [
            Matcher.from_tokens(rule, text[:-1], self.end_of_turn, start)
            for rule, text, start in zip(rules, self.texts, self.answer_at, strict=True)
        ]
        asking = [row for row, matcher in enumerate(before) if not matcher.exhausted]
        matchers = [before[row] for row in asking]
        for row, matcher in zip(asking, matchers, strict=True):
            matcher.accept_token(self.texts[row][-1])
        if not asking:
            return [[] for _ in self.texts]
        lengths, wanted = list(map(len, self.texts)), [k] * len(asking)
        with mixed_precision(self.model):
            found = search_titles(self.model, self.cache, lengths, asking, matchers, self.logits[asking], wanted)
        by_row = dict(zip(asking, found, strict=True))
        return [by_row.get(row, []) for row in range(len(self.texts))]


@torch.inference_mode()
def prefill_to_item(
    model: PreTrainedModel,
    chat: Chat,
    prompts: Sequence[Sequence[int]],
    idx: bool = False,
    answer_at: Sequence[int | None] | None = None,
) -> Opening:
    """Reads prompts (token ids up to where the assistant goes on; at least one) and opens an item behind each.

    idx: the item follows the number of a list. answer_at: of each prompt, see `Request`. Raises ValueError for a model
    that the engine cannot read, or not in texts as long as these.
    """
    opening = [*chat.encode(separator(1, idx)), chat.soi]
    texts = [[*prompt, *opening] for prompt in prompts]
    assert chat.trie is not None  # items are searched in a catalog
    check_length(model, max(map(len, texts)) + int(np.diff(chat.trie.title_start).max()))
    use_ragged_attention(model)
    with mixed_precision(model):
        cache, shared = prefill_shared_prefix(model, texts)
        logits = forward(
            model,
            cache,
            [text[shared:] for text in texts],
            [shared] * len(texts),
            [[len(text) - shared - 1] for text in texts],
        )
    starts = [
        chat.answer_start(prompt) if start is None else start
        for prompt, start in zip(prompts, answer_at or [None] * len(texts), strict=True)
    ]
    return Opening(model, chat.end_of_turn, texts, starts, cache, logits)
