"""The tree meets logits, inside `model.generate`: one state a row, one masked write a step.

`Trie_link` and `FastPrefixConstrainedLogitsProcessor` carry the names and the call forms of the published system.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import LogitsProcessor

from train_utils.admission import ConstraintError, Rules
from train_utils.chat import EOI, SOI
from train_utils.cursor import Cursor
from train_utils.trie import build_tree

_WIDE = 4096  # tokens from which a branch is masked by adding to all scores


class CatalogLogitsProcessor(LogitsProcessor):
    """Constrains items to a catalogue in greedy search, sampling and beam search.

    The state of a row is a function of its token ids alone. Every step compares the ids with those of the step before:
    a row goes on from the row that it continues (beams may reorder them), and one that continues none, because the
    object is used again or was never called, is read anew from its last end of turn.

    With a prior in the rules its log-shares are added to the scores of the allowed tokens.

    Args:
        rules: the admissible items, for all rows or one entry a prompt.
        end_of_turn: token behind which a new turn starts.
        num_beams: rows of one prompt.
        answer_at: for each prompt where in its row, padding included, the answer begins; None, or nothing at all:
            behind the last end of turn, which not every template writes behind a user's words.
    """

    def __init__(self, rules: Rules | Sequence[Rules], end_of_turn: int, num_beams: int = 1,
                 answer_at: Sequence[int | None] = ()):
        if num_beams < 1:
            raise ValueError(f"num_beams is {num_beams}, wanted 1 or more")
        self.rules = rules
        self.end_of_turn = end_of_turn
        self.num_beams, self.answer_at = num_beams, answer_at
        self._seen: np.ndarray | torch.Tensor | None = None  # token ids of the step before, [rows, T - 1]
        self._cursors: list[Cursor] = []
        self._all_plain = False  # every row is in free text, and may open an item

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """input_ids: int64 [rows, T]; scores: float [rows, V], masked in place and returned.

        Raises:
            ConstraintError: a row left the tree, or no admissible item is left inside an open item.
        """
        # On the CPU views, so that nothing is copied; elsewhere the comparison stays on the device.
        on_cpu = input_ids.device.type == "cpu"
        ids = input_ids.numpy() if on_cpu else input_ids
        last, parents = self._moves(ids)
        self._seen = ids.copy() if on_cpu else ids.clone()
        if parents is not None or not self._all_plain or not self._watched.isdisjoint(last):
            self._advance(ids, last, parents)
        if not self._all_plain:
            mask_scores(scores, self._cursors)
        elif scores.device.type == "cpu" and scores.dtype != torch.bfloat16:
            scores.numpy()[:, self._eoi] = -np.inf
        else:
            scores[:, self._eoi] = -torch.inf
        return scores

    def _moves(self, ids: np.ndarray | torch.Tensor) -> tuple[list[int], list[int] | None]:
        """The newest token of each row and the row that it continues (-1: none; None in all: each its own).

        One read from the device.
        """
        rows, length = ids.shape
        seen = self._seen
        if type(seen) is not type(ids) or seen.shape != (rows, length - 1):
            return ids[:, -1].tolist(), [-1] * rows
        if isinstance(ids, np.ndarray):
            if (ids[:, :-1] == seen).all():
                return ids[:, -1].tolist(), None
            return ids[:, -1].tolist(), self._parents(ids, seen).tolist()
        last, parents = torch.stack([ids[:, -1], self._parents(ids, seen)]).tolist()
        return last, parents if parents != list(range(rows)) else None

    def _parents(self, ids: np.ndarray | torch.Tensor, seen: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
        """int64 [rows]: for each row the one among its prompt's rows of the step before that it continues, or -1."""
        rows, length = ids.shape
        shape = (rows // self.num_beams, self.num_beams)
        equal = (ids[:, :-1].reshape(*shape, 1, length - 1) == seen.reshape(shape[0], 1, shape[1], length - 1)).all(-1)
        found = equal.reshape(rows, self.num_beams)
        where, arange = (np.where, np.arange) if isinstance(ids, np.ndarray) else (
            torch.where, lambda n: torch.arange(n, device=ids.device))
        own = arange(rows) // self.num_beams * self.num_beams
        # A boolean array has no argmax in PyTorch.
        best = (found * 1).argmax(1)
        return where(found.any(1), own + best, best * 0 - 1)

    def _advance(self, ids: np.ndarray | torch.Tensor, last: list[int], parents: list[int] | None) -> None:
        before, self._cursors = self._cursors, []
        try:
            for row, token in enumerate(last):
                parent = row if parents is None else parents[row]
                if parent < 0 or token == self.end_of_turn:
                    prompt = row // self.num_beams
                    start = self.answer_at[prompt] if len(self.answer_at) else None
                    cursor = Cursor.behind(self._rules_of(prompt), ids[row].tolist(), self.end_of_turn, start)
                else:
                    cursor = before[parent] if parents is None else before[parent].copy()
                    cursor.advance(token)
                self._cursors.append(cursor)
        except ConstraintError:
            self._seen = None  # nothing is carried on from a broken step
            raise
        tree = self._cursors[0].rules.tree
        self._eoi, self._watched = tree.eoi, {tree.soi, tree.eoi, self.end_of_turn}
        self._all_plain = all(
            cursor.free and not cursor.exhausted and cursor.rules.tree.eoi == self._eoi for cursor in self._cursors
        )

    def _rules_of(self, prompt: int) -> Rules:
        if isinstance(self.rules, Rules):
            return self.rules
        if prompt >= len(self.rules):
            raise ConstraintError(
                f"row of prompt {prompt} has no rules, {len(self.rules)} are given; is num_beams={self.num_beams}?"
            )
        return self.rules[prompt]


def mask_scores(scores: torch.Tensor, cursors: Sequence[Cursor]) -> None:
    """Masks each row of `scores` ([rows, V]) by its state, in place."""
    if scores.device.type == "cpu" and scores.dtype != torch.bfloat16:
        _write_on_cpu(scores, cursors)
        return
    free = [(row, token) for row, cursor in enumerate(cursors) if cursor.free for token in cursor.barred()]
    if free:
        rows, tokens = torch.tensor(free, device=scores.device).T
        scores[rows, tokens] = -torch.inf
    inside = [row for row, cursor in enumerate(cursors) if not cursor.free]
    if not inside:
        return
    allowed = [cursors[row].allowed() for row in inside]
    sizes = [len(tokens) for tokens in allowed]
    places = np.stack([np.repeat(inside, sizes), np.concatenate(allowed)])
    rows, tokens = torch.from_numpy(places).to(scores.device)
    kept = scores[rows, tokens]
    added = [cursors[row].prior() for row in inside]
    if any(one is not None for one in added):
        bonus = [np.zeros(n) if one is None else one[0] for one, n in zip(added, sizes, strict=True)]
        kept += torch.from_numpy(np.concatenate(bonus)).to(kept)
    scores[torch.tensor(inside, device=scores.device)] = -torch.inf
    scores[rows, tokens] = kept


def _write_on_cpu(scores: torch.Tensor, cursors: Sequence[Cursor]) -> None:
    """As `mask_scores`: without a kernel's start for every row, and without a long index for wide branches."""
    rows = scores.numpy()
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # a row, tokens of it and the scores to put back
    forced: list[tuple[int, int]] = []
    shut: list[tuple[int, list[int]]] = []
    filled: list[int] = []
    for row, cursor in enumerate(cursors):
        if cursor.free:
            rows[row, list(cursor.barred())] = -np.inf
        elif (token := cursor.forced_token()) is not None:
            forced.append((row, token))
        elif (prior := cursor.prior()) is not None:
            allowed = cursor.allowed()
            kept.append((rows[row], allowed, rows[row].take(allowed) + prior[0]))
            filled.append(row)
        else:
            allowed, taken_off = cursor.mask()
            if taken_off:
                shut.append((row, taken_off))
            if len(allowed) > _WIDE:
                rows[row] += cursor.additive_mask(rows.shape[1])
            else:
                kept.append((rows[row], allowed, rows[row].take(allowed)))
                filled.append(row)
    at, tokens = [row for row, _ in forced], [token for _, token in forced]
    values = rows[at, tokens]
    filled += at
    if len(filled) == len(rows):
        scores.fill_(-torch.inf)
    else:
        for row in filled:
            rows[row].fill(-np.inf)
    rows[at, tokens] = values
    for scores_of_row, allowed, left in kept:
        scores_of_row[allowed] = left
    for row, taken_off in shut:
        rows[row, taken_off] = -np.inf


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
        allowed = Cursor.behind(self.rules, input_ids.tolist(), self.end_of_turn).allowed()
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
