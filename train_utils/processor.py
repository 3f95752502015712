"""Published interface of the catalog constraint inside `model.generate`: one matcher per row, one mask per step.

`Trie_link` and `FastPrefixConstrainedLogitsProcessor` keep the names and signatures of the published system.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from train_utils.constraint.answer_start import AnswerStarts, Openers
from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.title_check import check_title_ids, special_ids
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.prompts.chat_template import tokenize, turn_marks
from train_utils.prompts.control_tokens import EOI, SOI
from train_utils.prompts.renderer import Chat


class Trie_link:  # noqa: N801 - the published name
    """Published prefix tree of titles, or of other token sequences that stand for items.

    Args:
        item_ids: token ids of each title; begin-of-text and end-of-text tokens that the tokenizer adds to every text
            are removed.
        tokenizer: its control tokens are `soi_token_id` and `eoi_token_id` if set, else looked up by name. The end of a
            turn and the text before an answer come from its chat template, or without one from its eos token.

    Raises:
        ValueError: there are no titles, a title contains a special token or shows no text, or the tokenizer lacks
            control tokens.
    """

    def __init__(self, item_ids: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        soi = self._control("soi_token_id", SOI)
        eoi = self._control("eoi_token_id", EOI)
        titles = _without_surroundings(item_ids, tokenizer)
        marks = turn_marks(tokenizer)
        check_title_ids(
            tokenizer,
            titles,
            special_ids(tokenizer, {soi, eoi, marks.end_of_turn, *marks.written}),
            "tokenize titles with add_special_tokens=False, split_special_tokens=True, or rename the item",
        )
        self._constrain(build_trie(titles, soi, eoi), marks.end_of_turn, marks.openers)

    @classmethod
    def of_renderer(cls, renderer: Chat) -> "Trie_link":
        """Return the prefix tree of a renderer's catalog, whatever the form of its items: titles, codes or both.

        Raises:
            ValueError: the renderer has no titles.
        """
        if renderer.trie is None:
            raise ValueError("the renderer has no titles to constrain to; make it by Chat(tokenizer, titles)")
        link = cls.__new__(cls)
        link.tokenizer = renderer.tokenizer
        link._constrain(renderer.trie, renderer.end_of_turn, renderer.template.openers)
        return link

    def _constrain(self, trie: TitleTrie, end_of_turn: int | None, openers: Openers) -> None:
        self.title_trie, self.end_of_turn, self.openers = trie, end_of_turn, openers
        self.rules = Constraint(trie)
        self._answer_starts = AnswerStarts(end_of_turn, openers, trie)

    def _control(self, attribute: str, name: str) -> int:
        token_id = getattr(self.tokenizer, attribute, None)
        if token_id is None and name in self.tokenizer.get_vocab():
            token_id = self.tokenizer.convert_tokens_to_ids(name)
        if token_id is None:
            raise ValueError(f"the tokenizer has no {name}: add it as a special token, or set tokenizer.{attribute}")
        return token_id

    # Attributes of the published class.

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
        """Number of tokens of the longest title."""
        return int(np.diff(self.title_trie.title_start).max()) - 1

    @property
    def trie(self) -> "TrieNode":
        """Root of the trie, whose only child is `<SOI>`."""
        return TrieNode(self.title_trie, -1)

    def next_tokens(self, current_seq: Sequence[int]) -> list[int] | None:
        """Return the tokens that follow a path from `<SOI>` down; None if it is empty or not in the trie."""
        node: TrieNode | None = self.trie if len(current_seq) else None
        for token in current_seq:
            node = None if node is None else node[int(token)]
        return None if node is None else list(node.children)

    def constrain_search_list(self, batch_id: int, input_ids: torch.Tensor) -> list[int] | None:
        """Return the allowed next tokens of one row; None in free text, where `<EOI>` and item tokens are barred.

        Args:
            batch_id: number of the prompt.
            input_ids: int64 [T], token ids of the row.

        Raises:
            ConstraintError: the row contains an item that is not admissible.
        """
        ids = list(map(int, input_ids))
        start = self._answer_starts.of(batch_id, ids)
        allowed = Matcher.from_tokens(self.rules, ids, self.end_of_turn, start).allowed()
        return None if allowed is None else allowed.tolist()


@dataclass(frozen=True)
class TrieNode:
    """Node of the trie in the form of the published class: created on access, immutable.

    Attributes:
        title_trie: the trie.
        token_id: token that leads to the node; -1 at the root.
        target: next branch at or below the node, or `~leaf`.
        depth: number of title tokens up to the node; -1 at the root.
    """

    title_trie: TitleTrie
    token_id: int
    target: int = 0
    depth: int = -1

    @property
    def count(self) -> int:
        """Number of items whose titles are below the node."""
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
    """Remove the tokens that the tokenizer adds before and after every text, and a begin-of-text token.

    They are removed only if all titles have them: tokens around some titles only are part of these titles.
    """
    titles = [_plain_ids(number, ids) for number, ids in enumerate(item_ids)]
    around, plain = tokenizer("a")["input_ids"], tokenize(tokenizer, "a", split_special_tokens=False)
    at = next((at for at in range(len(around)) if plain and around[at : at + len(plain)] == plain), 0)
    before, after = around[:at], around[at + len(plain) :]
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    for head in (before, bos):
        if head and titles and all(ids[: len(head)] == head for ids in titles):
            titles = [ids[len(head) :] for ids in titles]
    if after and all(ids[-len(after) :] == after for ids in titles):
        titles = [ids[: -len(after)] for ids in titles]
    return titles


def _plain_ids(number: int, ids: Sequence[int]) -> list[int]:
    tokens = [] if isinstance(ids, str) else list(ids)
    if isinstance(ids, str) or not all(hasattr(token, "__index__") and int(token) >= 0 for token in tokens):
        raise ValueError(f"title {number} is {str(ids)[:60]!r}, wanted token ids; tokenize titles first")
    return list(map(int, tokens))


class FastPrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Published logits processor, which masks every row by `prefix_allowed_tokens_fn(batch_id, input_ids)`.

    For `Trie_link(...).constrain_search_list`, it uses the faster `CatalogLogitsProcessor`, with the same output.

    Args:
        prefix_allowed_tokens_fn: returns the allowed tokens of a row, None for all.
        num_beams: rows per prompt.
        answer_at: position at which the answer begins, padding included, for all prompts or one entry per prompt; None
            uses the chat template. Only for `Trie_link`.

    Raises:
        ValueError: `answer_at` is invalid, or is given with another function.
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
        answer_starts = _positions(answer_at)
        if isinstance(owner, Trie_link):
            self._fast = CatalogLogitsProcessor(owner.rules, owner.end_of_turn, num_beams, answer_starts, owner.openers)
        elif answer_starts:
            raise ValueError("answer_at is for Trie_link(...).constrain_search_list; another function is given the ids")

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return masked scores as `CatalogLogitsProcessor` does, but leave `scores` unchanged.

        Args:
            input_ids: int64 [rows, T].
            scores: float [rows, V].

        Raises:
            ConstraintError: the function allows no token for a row.
        """
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


def _positions(answer_at) -> list[int | None]:
    """Return the positions as integers, one for all prompts or one per prompt; an empty list for None."""
    if answer_at is None:
        return []
    value = answer_at.tolist() if isinstance(answer_at, (np.ndarray, np.generic, torch.Tensor)) else answer_at
    entries = list(value) if isinstance(value, (list, tuple, range)) else [value]
    positions = []
    for entry in entries:
        if isinstance(entry, (np.generic, torch.Tensor)):
            entry = entry.tolist()
        if entry is not None and (type(entry) is not int or entry < 0):
            raise ValueError(
                f"answer_at holds {entry!r}, wanted the position in the row's ids at which the answer "
                "begins, 0 or more: one for all prompts, or a list with one per prompt"
            )
        positions.append(entry)
    return positions
