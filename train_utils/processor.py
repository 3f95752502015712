"""The tree meets logits, inside `model.generate`: one state a row, one masked write a step.

`Trie_link` and `FastPrefixConstrainedLogitsProcessor` carry the names and the call forms of the published system.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from train_utils.constraint.answer_start import AnswerPlaces
from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.title_check import check_title_ids, special_ids
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.prompts.chat_template import tokenize, turn_marks
from train_utils.prompts.control_tokens import EOI, SOI


class Trie_link:  # noqa: N801 - the published name
    """The published prefix tree over titles.

    Args:
        item_ids: token ids of each title; the begin-of-text and end-of-text tokens that a tokenizer puts around every
            text are taken off.
        tokenizer: its control tokens are `soi_token_id` / `eoi_token_id` where set, else found by name; its chat
            template tells where a turn ends and an answer begins, without one its eos token.

    Raises:
        ValueError: no titles, a title that holds a special token or shows no text, or a tokenizer without control
            tokens.
    """

    def __init__(self, item_ids: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        soi = self._control("soi_token_id", SOI)
        eoi = self._control("eoi_token_id", EOI)
        titles = _without_surroundings(item_ids, tokenizer)
        marks = turn_marks(tokenizer)
        self.end_of_turn, self.openers = marks.end_of_turn, marks.openers
        check_title_ids(
            tokenizer,
            titles,
            special_ids(tokenizer, {soi, eoi, self.end_of_turn, *marks.written}),
            "tokenize titles with add_special_tokens=False, split_special_tokens=True, or rename the item",
        )
        self.title_trie = build_trie(titles, soi, eoi)
        self.rules = Constraint(self.title_trie)
        self._places = AnswerPlaces(self.end_of_turn, self.openers, self.title_trie)

    def _control(self, attribute: str, name: str) -> int:
        token_id = getattr(self.tokenizer, attribute, None)
        if token_id is None and name in self.tokenizer.get_vocab():
            token_id = self.tokenizer.convert_tokens_to_ids(name)
        if token_id is None:
            raise ValueError(f"the tokenizer has no {name}: add it as a special token, or set tokenizer.{attribute}")
        return token_id

    # What callers of the published class read of it.

    @property
    def soi_token_id(self) -> int:
        return self.title_trie.soi

    @property
    def eoi_token_id(self) -> int:
        return self.title_trie.eoi

    @property
    def all_token_ids(self) -> list[int]:
        return list(range(len(self.tokenizer)))

    @property
    def max_height(self) -> int:
        """Tokens of the longest title."""
        return int(np.diff(self.title_trie.title_start).max()) - 1

    @property
    def trie(self) -> "TrieNode":
        """The tree's root, whose one child is the opening token."""
        return TrieNode(self.title_trie, -1)

    def next_tokens(self, current_seq: Sequence[int]) -> list[int] | None:
        """The tokens that follow a path from `<SOI>` down; None for no path, or an empty one."""
        node: TrieNode | None = self.trie if len(current_seq) else None
        for token in current_seq:
            node = None if node is None else node[int(token)]
        return None if node is None else list(node.children)

    def constrain_search_list(self, batch_id: int, input_ids: torch.Tensor) -> list[int] | None:
        """Allowed next tokens of one row (int64 [T]); None in free text, where only the closing token is barred."""
        ids = list(map(int, input_ids))
        start = self._places.of(batch_id, ids)
        allowed = Matcher.from_tokens(self.rules, ids, self.end_of_turn, start).allowed()
        return None if allowed is None else allowed.tolist()


@dataclass(frozen=True)
class TrieNode:
    """A place of the tree as the published class has it: made when it is looked at, and never changed.

    Attributes:
        token_id: the token that leads here, -1 at the root.
    """

    title_trie: TitleTrie
    token_id: int
    target: int = 0
    depth: int = -1

    @property
    def count(self) -> int:
        """Titles below, each as often as items have it."""
        if self.depth < 0:
            return 0
        lo, hi = self.title_trie.below(self.target)
        return int(self.title_trie.leaf_item_start[hi] - self.title_trie.leaf_item_start[lo])

    @property
    def children(self) -> dict[int, "TrieNode"]:
        trie, target = self.title_trie, self.target
        if self.depth < 0:
            return {trie.soi: TrieNode(trie, trie.soi, trie.top, 0)}
        lo, _ = trie.below(target)
        start = int(trie.title_start[lo])
        if target >= 0 and self.depth == trie.branch_depth[target]:
            edges = trie.edges(target)
            return {
                int(trie.edge_token[edge]): TrieNode(
                    trie, int(trie.edge_token[edge]), int(trie.edge_target[edge]), self.depth + 1
                )
                for edge in range(edges.start, edges.stop)
            }
        if start + self.depth == trie.title_start[lo + 1]:
            return {}
        token = int(trie.tokens[start + self.depth])
        return {token: TrieNode(trie, token, target, self.depth + 1)}

    def __getitem__(self, child_token_id: int) -> "TrieNode | None":
        return self.children.get(child_token_id)


def _without_surroundings(item_ids: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Titles without what the tokenizer puts before and behind every text, and without a begin-of-text token, where all
    of them have it. What stands around some titles alone is part of those."""
    titles = [_plain_ids(place, ids) for place, ids in enumerate(item_ids)]
    around, plain = tokenizer("a")["input_ids"], tokenize(tokenizer, "a", split_special_tokens=False)
    at = next((at for at in range(len(around)) if plain and around[at : at + len(plain)] == plain), 0)
    before, behind = around[:at], around[at + len(plain) :]
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    for head in (before, bos):
        if head and titles and all(ids[: len(head)] == head for ids in titles):
            titles = [ids[len(head) :] for ids in titles]
    if behind and all(ids[-len(behind) :] == behind for ids in titles):
        titles = [ids[: -len(behind)] for ids in titles]
    return titles


def _plain_ids(place: int, ids: Sequence[int]) -> list[int]:
    found = [] if isinstance(ids, str) else list(ids)
    if isinstance(ids, str) or not all(hasattr(token, "__index__") and int(token) >= 0 for token in found):
        raise ValueError(f"title {place} is {str(ids)[:60]!r}, wanted token ids; tokenize titles first")
    return list(map(int, found))


class FastPrefixConstrainedLogitsProcessor(LogitsProcessor):
    """The published processor: masks every row by `prefix_allowed_tokens_fn(batch_id, input_ids)`.

    Given `Trie_link(...).constrain_search_list`, the fast path of `CatalogLogitsProcessor` is used, at the same output.

    Args:
        prefix_allowed_tokens_fn: allowed tokens of a row, None for all.
        num_beams: rows of one prompt.
        answer_at: where the answer begins, padding included, for all prompts or one entry a prompt; without it the
            chat template tells. For `Trie_link` alone.
    """

    def __init__(
        self,
        prefix_allowed_tokens_fn: Callable[[int, torch.Tensor], list[int] | None],
        num_beams: int,
        answer_at: int | Sequence[int | None] | np.ndarray | torch.Tensor | None = None,
    ):
        owner = getattr(prefix_allowed_tokens_fn, "__self__", None)
        self._num_beams = num_beams
        self._prefix_allowed_tokens_fn = prefix_allowed_tokens_fn
        self._fast = None
        places = _places(answer_at)
        if isinstance(owner, Trie_link):
            self._fast = CatalogLogitsProcessor(owner.rules, owner.end_of_turn, num_beams, places, owner.openers)
        elif places:
            raise ValueError("answer_at is for Trie_link(...).constrain_search_list; another function is given the ids")

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """As `CatalogLogitsProcessor`, on a copy of the scores. Raises ConstraintError when the function allows nothing
        for a row."""
        if self._fast is not None:
            return self._fast(input_ids, cast("torch.FloatTensor", scores.clone()))
        masked = torch.full_like(scores, -torch.inf)
        for i, ids in enumerate(input_ids):
            allowed = self._prefix_allowed_tokens_fn(i // self._num_beams, ids)
            if allowed is None:
                masked[i] = scores[i]
                continue
            if not len(allowed):
                raise ConstraintError(f"the prefix function allows no token for row {i}; a catalog may not be empty")
            masked[i, allowed] = scores[i, allowed]
        return cast("torch.FloatTensor", masked)


def _places(answer_at) -> list[int | None]:
    """Places as plain numbers, one for all prompts or one a prompt; none for None."""
    if answer_at is None:
        return []
    value = answer_at.tolist() if isinstance(answer_at, (np.ndarray, np.generic, torch.Tensor)) else answer_at
    entries = list(value) if isinstance(value, (list, tuple, range)) else [value]
    places = []
    for entry in entries:
        if isinstance(entry, (np.generic, torch.Tensor)):
            entry = entry.tolist()
        if entry is not None and (type(entry) is not int or entry < 0):
            raise ValueError(
                f"answer_at holds {entry!r}, wanted the place of the row's ids where the answer begins, 0 "
                "or more, for all prompts, or a list of one a prompt"
            )
        places.append(entry)
    return places
