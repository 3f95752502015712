"""Exact search of the k most probable titles of an open item: best-first in the trie, not a beam.

The probability of a title is the product of the probabilities of its tokens at the branches, each among the admissible
children, and of the terms of a prior. A prefix is at least as probable as any title that extends it, so the search
stops when no open prefix can beat the k-th title. Prefixes are read as a token tree after the text of the row: each
token once, without copies of keys.
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

WIDTH = 16  # prefixes that are read per pass and request


@dataclass(frozen=True)
class Ranked:
    """Item of a search.

    Attributes:
        item: item index.
        log_probability: log-probability of its title among the admissible titles, including the terms of a prior.
    """

    item: int
    log_probability: float


@dataclass(frozen=True)
class _Prefix:
    """Prefix of titles up to a branch.

    Attributes:
        score: log-probability of the prefix.
        bound: upper bound of the log-probability of the titles that extend it.
        tokens: token ids to read after `parent`.
        parent: token of the row's token tree; -1 for `<SOI>`.
        matcher: state after the prefix.
    """

    score: float
    bound: float
    tokens: tuple[int, ...]
    parent: int
    matcher: Matcher


@dataclass
class _Search:
    """Search for one request.

    Attributes:
        k: number of titles.
        finished: best complete titles, best first.
        open: prefixes whose extensions may still be among the best.
        tree: tokens of the prefixes read so far.
    """

    k: int
    finished: list[tuple[float, int]] = field(default_factory=list)  # (-log-probability, item), ascending
    open: list[_Prefix] = field(default_factory=list)
    tree: TokenTree = field(default_factory=TokenTree)

    def may_count(self, bound: float) -> bool:
        """Return whether a title with this log-probability can be among the best k."""
        return len(self.finished) < self.k or -bound <= self.finished[-1][0]

    def expand(self, prefix: _Prefix, parent: int, added: np.ndarray) -> None:
        """Extend a prefix by its children, the most probable first, each up to its next branch or to the end.

        Args:
            prefix: the prefix.
            parent: number of its last token in the token tree.
            added: float64 [allowed tokens], log-probabilities of the children plus the terms of the prior.
        """
        tokens, prior = _allowed(prefix.matcher), prefix.matcher.prior()
        scores = prefix.score + added
        bounds = scores if prior is None else scores + prior[1]
        for at in np.argsort(-bounds, kind="stable").tolist():
            if not self.may_count(bounds[at]):
                break
            matcher = prefix.matcher.copy()
            item = matcher.accept_token(int(tokens[at]))
            run: list[int] = []
            if item is None:
                run = matcher.jump_forward()
                for token in run:
                    item = matcher.accept_token(token)
            score = float(scores[at])
            if item is None:
                self.open.append(_Prefix(score, float(bounds[at]), (int(tokens[at]), *run), parent, matcher))
            elif self.may_count(score):
                insort(self.finished, (-score, item))
                del self.finished[self.k :]

    def next_beginnings(self) -> list[tuple[_Prefix, int]]:
        """Remove and return the most probable open prefixes, at most `WIDTH`; none when the search is complete.

        Returns:
            (prefix, number of its last token in the token tree) of each.
        """
        ordered = sorted(
            (prefix for prefix in self.open if self.may_count(prefix.bound)),
            key=lambda prefix: (-prefix.bound, prefix.parent, prefix.tokens),
        )
        self.open = ordered[WIDTH:]
        return [(prefix, self.tree.add(prefix.parent, len(prefix.tokens))) for prefix in ordered[:WIDTH]]


def search_titles(
    model: PreTrainedModel,
    cache: RaggedCache,
    lengths: Sequence[int],
    rows: Sequence[int],
    matchers: Sequence[Matcher],
    logits: torch.Tensor,
    k: Sequence[int],
) -> list[list[Ranked]]:
    """Return the most probable titles of rows whose last token is `<SOI>`.

    Args:
        model: the causal model.
        cache: cache of all rows; the valid tokens stay unchanged.
        lengths: valid tokens of each row in the cache.
        rows: the rows to search for.
        matchers: their states, at the root of the trie.
        logits: float [searched rows, V], logits at `<SOI>`.
        k: number of titles for each searched row.

    Returns:
        For each searched row its best titles, best first.
    """
    searches = dict(zip(rows, map(_Search, k), strict=True))
    for search, matcher, added in zip(searches.values(), matchers, _added(logits, matchers), strict=True):
        search.expand(_Prefix(0.0, 0.0, (), -1, matcher), -1, added)
    while chosen := {row: prefixes for row, search in searches.items() if (prefixes := search.next_beginnings())}:
        blocks: list[list[int]] = [[] for _ in lengths]
        kept: list[list[int]] = [[] for _ in lengths]
        for row, prefixes in chosen.items():
            for prefix, _ in prefixes:
                blocks[row] += prefix.tokens
                kept[row].append(len(blocks[row]) - 1)
        trees = [searches[row].tree if row in searches else None for row in range(len(lengths))]
        expanded = [(row, *entry) for row in sorted(chosen) for entry in chosen[row]]
        logits = forward(model, cache, blocks, lengths, kept, trees)
        added_each = _added(logits, [entry.matcher for _, entry, _ in expanded])
        for (row, prefix, parent), added in zip(expanded, added_each, strict=True):
            searches[row].expand(prefix, parent, added)
    return [[Ranked(item, -cost) for cost, item in search.finished] for search in searches.values()]


def _added(logits: torch.Tensor, matchers: Sequence[Matcher]) -> list[np.ndarray]:
    priors = [matcher.prior() for matcher in matchers]
    return log_probabilities(
        logits, list(map(_allowed, matchers)), [None if prior is None else prior[0] for prior in priors]
    )


def _allowed(matcher: Matcher) -> np.ndarray:
    tokens = matcher.allowed()
    assert tokens is not None  # a search stays inside titles
    return tokens


@dataclass(frozen=True)
class Opening:
    """Prompts that are prefilled up to the `<SOI>` of an item, from where any number of searches can start.

    Attributes:
        model: the causal model.
        end_of_turn: id of the token that ends a turn.
        texts: token ids of each prompt, up to `<SOI>`.
        answer_at: position in each prompt at which the answer begins.
        cache: cache of the prompts.
        logits: float [prompts, V], logits at `<SOI>`.
    """

    model: PreTrainedModel
    end_of_turn: int
    texts: list[list[int]]
    answer_at: Sequence[int]
    cache: RaggedCache
    logits: torch.Tensor

    @torch.inference_mode()
    def most_probable(self, rules: Sequence[Constraint], k: int) -> list[list[Ranked]]:
        """Return the k most probable titles of each prompt, best first; ties in the order of the catalog.

        Args:
            rules: the admissible items, one entry per prompt.
            k: number of titles.

        Returns:
            A list for each prompt. It is shorter than `k` only if fewer titles are admissible, and empty if the last
            turn of the prompt has already listed all of them.

        Raises:
            ValueError: `k` is below 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}, wanted 1 or more")
        # Rows in which no item may be opened are not searched.
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
        lengths, depths = list(map(len, self.texts)), [k] * len(asking)
        with mixed_precision(self.model):
            ranked = search_titles(self.model, self.cache, lengths, asking, matchers, self.logits[asking], depths)
        by_row = dict(zip(asking, ranked, strict=True))
        return [by_row.get(row, []) for row in range(len(self.texts))]


@torch.inference_mode()
def prefill_to_item(
    model: PreTrainedModel,
    chat: Chat,
    prompts: Sequence[Sequence[int]],
    idx: bool = False,
    answer_at: Sequence[int | None] | None = None,
) -> Opening:
    """Prefill prompts and open an item after each.

    Args:
        model: the causal model.
        chat: renderer with the model's tokenizer and the catalog's titles.
        prompts: token ids up to the position at which the assistant continues; at least one prompt.
        idx: write the number of a list before the item.
        answer_at: position in each prompt at which the answer begins; see `Request`.

    Raises:
        ValueError: the engine cannot read the model, or not in texts of this length.
    """
    opening = [*chat.encode(separator(1, idx)), chat.soi]
    texts = [[*prompt, *opening] for prompt in prompts]
    assert chat.trie is not None  # a search needs a catalog
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
