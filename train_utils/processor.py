"""The tree meets logits, inside `model.generate`: one state a row, one masked write a step.

`Trie_link` and `FastPrefixConstrainedLogitsProcessor` carry the names and the call forms of the published system.
"""

from collections.abc import Callable, Sequence

import torch
from transformers import LogitsProcessor

from train_utils.chat import EOI, SOI
from train_utils.trie import ConstraintError, Cursor, Rules, build_tree


class CatalogLogitsProcessor(LogitsProcessor):
    """Constrains items to a catalogue in greedy search, sampling and beam search.

    The state of a row is a function of its token ids alone: a row that is not one token longer than a row of the step
    before is read again from its last end of turn, so beams may reorder rows and callers may use the object again.

    Args:
        rules: the admissible items, for all rows or one entry a prompt.
        end_of_turn: token behind which a new turn starts.
        num_beams: rows of one prompt.
    """

    def __init__(self, rules: Rules | Sequence[Rules], end_of_turn: int, num_beams: int = 1):
        if num_beams < 1:
            raise ValueError(f"num_beams is {num_beams}, wanted 1 or more")
        self.rules = rules
        self.end_of_turn = end_of_turn
        self.num_beams = num_beams
        self._states: dict[tuple[int, tuple[int, ...]], Cursor] = {}

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """input_ids: int64 [rows, T]; scores: float [rows, V], masked in place and returned.

        Raises:
            ConstraintError: a row left the tree, or no admissible item is left inside an open item.
        """
        rows = input_ids.tolist()
        states = {}
        for i, ids in enumerate(rows):
            prompt = i // self.num_beams
            key = (prompt, tuple(ids))
            cursor = states[key] = states.get(key) or self._state(prompt, ids)
            allowed = cursor.allowed()
            if allowed is None:
                scores[i, list(cursor.barred())] = -torch.inf
            else:
                columns = torch.from_numpy(allowed).long().to(scores.device)
                kept = scores[i, columns]
                scores[i] = -torch.inf
                scores[i, columns] = kept
        self._states = states
        return scores

    def _state(self, prompt: int, ids: list[int]) -> Cursor:
        before = self._states.get((prompt, tuple(ids[:-1])))
        if before is not None and ids[-1] != self.end_of_turn:
            cursor = before.copy()
            cursor.advance(ids[-1])
            return cursor
        cursor = Cursor(self._rules_of(prompt))
        for token in ids[last_turn(ids, self.end_of_turn):]:
            cursor.advance(token)
        return cursor

    def _rules_of(self, prompt: int) -> Rules:
        if isinstance(self.rules, Rules):
            return self.rules
        if prompt >= len(self.rules):
            raise ConstraintError(
                f"row of prompt {prompt} has no rules, {len(self.rules)} are given; is num_beams={self.num_beams}?"
            )
        return self.rules[prompt]


def last_turn(ids: Sequence[int], end_of_turn: int) -> int:
    """Where the current turn starts: behind the last end-of-turn token."""
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] == end_of_turn:
            return place + 1
    return 0


class Trie_link:  # noqa: N801 - the published name
    """The published prefix tree over titles.

    Args:
        item_ids: token ids of each title; a begin-of-text token and control tokens around it are dropped.
        tokenizer: its control tokens are `soi_token_id` / `eoi_token_id` where set, else found by name.

    Raises:
        ValueError: no titles, or a tokenizer without control tokens.
    """

    def __init__(self, item_ids: Sequence[Sequence[int]], tokenizer):
        soi = self._control(tokenizer, "soi_token_id", SOI)
        eoi = self._control(tokenizer, "eoi_token_id", EOI)
        around = {soi, eoi, tokenizer.bos_token_id}
        self.tree = build_tree([_stripped(ids, around) for ids in item_ids], soi, eoi)
        self.rules = Rules(self.tree)
        self.end_of_turn = tokenizer.eos_token_id

    @staticmethod
    def _control(tokenizer, attribute: str, name: str) -> int:
        token_id = getattr(tokenizer, attribute, None)
        if token_id is None and name in tokenizer.get_vocab():
            token_id = tokenizer.convert_tokens_to_ids(name)
        if token_id is None:
            raise ValueError(f"the tokenizer has no {name}: add it as a special token, or set tokenizer.{attribute}")
        return token_id

    def constrain_search_list(self, batch_id: int, input_ids: torch.Tensor) -> list[int] | None:
        """Allowed next tokens of one row (int64 [T]); None in free text, where only the closing token is barred."""
        ids = input_ids.tolist()
        cursor = Cursor(self.rules)
        for token in ids[last_turn(ids, self.end_of_turn):]:
            cursor.advance(token)
        allowed = cursor.allowed()
        return None if allowed is None else allowed.tolist()


def _stripped(ids: Sequence[int], around: set[int]) -> list[int]:
    start, end = 0, len(ids)
    while start < end and ids[start] in around:
        start += 1
    while end > start and ids[end - 1] in around:
        end -= 1
    return list(ids[start:end])


class FastPrefixConstrainedLogitsProcessor(LogitsProcessor):
    """The published processor: masks every row by `prefix_allowed_tokens_fn(batch_id, input_ids)`.

    Given `Trie_link(...).constrain_search_list`, the fast path of `CatalogLogitsProcessor` is used, at the same output.
    """

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, torch.Tensor], list[int] | None], num_beams: int):
        owner = getattr(prefix_allowed_tokens_fn, "__self__", None)
        self.num_beams = num_beams
        self.allowed_tokens = prefix_allowed_tokens_fn
        self.fast = (
            CatalogLogitsProcessor(owner.rules, owner.end_of_turn, num_beams) if isinstance(owner, Trie_link) else None
        )

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """As `CatalogLogitsProcessor`. Raises ConstraintError when the function allows nothing for a row."""
        if self.fast is not None:
            return self.fast(input_ids, scores)
        for i, ids in enumerate(input_ids):
            allowed = self.allowed_tokens(i // self.num_beams, ids)
            if allowed is None:
                continue
            if not len(allowed):
                raise ConstraintError(f"the prefix function allows no token for row {i}; a catalogue may not be empty")
            kept = scores[i, allowed]
            scores[i] = -torch.inf
            scores[i, allowed] = kept
        return scores
