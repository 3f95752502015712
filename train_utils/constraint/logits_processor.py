"""Catalog constraint as a logits processor of transformers."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from transformers import LogitsProcessor

from train_utils.constraint.answer_start import Openers, answer_start
from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.matcher import Matcher

_Ids = TypeVar("_Ids", np.ndarray, torch.Tensor)
_WIDE = 4096  # a branch with more tokens is masked by an addition to all scores


class CatalogLogitsProcessor(LogitsProcessor):
    """Logits processor that constrains items to a catalog in greedy search, sampling and beam search.

    The state of a row is a function of its token ids only. Each step compares the ids with those of the previous step.
    A row takes over the matcher of the row that it continues (beams may reorder rows). A row that continues none,
    because the object is reused or was never called, is matched again from the position at which its answer begins.
    That position is computed from the prompt and kept while the prompt is continued: text that the model writes does
    not open another answer.

    With a prior, its log-shares are added to the scores of the allowed tokens.

    Args:
        rules: the admissible items, for all rows or one entry per prompt.
        end_of_turn: id of the token after which a new turn starts.
        num_beams: rows per prompt.
        answer_at: per prompt, the position in its row, padding included, at which the answer begins; None or an empty
            sequence: after the last end of turn or the last of `openers`.
        openers: texts that a chat template writes before an answer; see `ChatTemplate`.

    Raises:
        ValueError: `num_beams` is below 1.
    """

    def __init__(
        self,
        rules: Constraint | Sequence[Constraint],
        end_of_turn: int | None,
        num_beams: int = 1,
        answer_at: Sequence[int | None] = (),
        openers: Openers | None = None,
    ):
        if num_beams < 1:
            raise ValueError(f"num_beams is {num_beams}, wanted 1 or more")
        self.rules = rules
        self.end_of_turn = end_of_turn
        self.num_beams, self.answer_at, self.openers = num_beams, answer_at, openers
        self._seen: np.ndarray | torch.Tensor | None = None  # token ids of the previous step, [rows, T - 1]
        self._cursors: list[Matcher] = []
        self._starts: list[int] = []  # per row, the position at which its answer begins
        self._embedded = False  # the prompts were given as embeddings: no row contains their tokens
        self._all_plain = False  # every row is in free text and may open an item

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Mask the scores of one step in place and return them.

        Args:
            input_ids: int64 [rows, T]; T = 0 at the first step of prompts that are given as embeddings.
            scores: float [rows, V], masked in place.

        Raises:
            ConstraintError: a row left the trie, or an open item has no admissible continuation.
        """
        if len(input_ids) % self.num_beams:
            raise ConstraintError(f"{len(input_ids)} rows are no whole number of prompts of num_beams={self.num_beams}")
        # Views on CPU, so that no ids are copied; on other devices the comparison stays on the device.
        on_cpu = input_ids.device.type == "cpu"
        ids: np.ndarray | torch.Tensor = input_ids.detach().numpy() if on_cpu else input_ids
        next_step = self._seen is not None and self._seen.shape[1] == ids.shape[1] - 1
        last, parents = self._moves(ids)
        if parents is not None and max(parents) < 0:
            self._embedded = not ids.shape[1]
        self._seen = ids.copy() if isinstance(ids, np.ndarray) else ids.clone()
        if not next_step or parents is not None or not self._all_plain or self._are_watched(last):
            self._advance(ids, last, parents, next_step)
        if not self._all_plain:
            mask_scores(scores, self._cursors)
        elif _is_array(scores):
            scores.numpy()[:, self._barred] = -np.inf
        else:
            scores[:, torch.from_numpy(self._barred).to(scores.device)] = -torch.inf
        return scores

    def _are_watched(self, tokens: Sequence[int]) -> bool:
        """Return whether one of the tokens may change a matcher that is in free text, or is barred there."""
        return not (self._watched.isdisjoint(tokens) and self._only_in_items.isdisjoint(tokens))

    def _moves(self, ids: np.ndarray | torch.Tensor) -> tuple[list[int], list[int] | None]:
        """Compare the rows with those of the previous step, with one copy from the device.

        After rejected drafts the ids are shorter than before: then rows continue prefixes of the previous rows.

        Returns:
            last: the newest token of each row, -1 if it has none.
            parents: the row that each row continues, -1 if it continues none; None if each continues itself.
        """
        rows, length = ids.shape
        if not length:
            return [-1] * rows, [-1] * rows
        seen = self._seen
        if seen is None or len(seen) != rows or seen.shape[1] < length - 1:
            return ids[:, -1].tolist(), [-1] * rows
        if isinstance(ids, np.ndarray) and isinstance(seen, np.ndarray):
            seen = seen[:, : length - 1]
            if (ids[:, :-1] == seen).all():
                return ids[:, -1].tolist(), None
            return ids[:, -1].tolist(), self._parents(ids, seen).tolist()
        if isinstance(ids, torch.Tensor) and isinstance(seen, torch.Tensor):
            last, parents = torch.stack([ids[:, -1], self._parents(ids, seen[:, : length - 1])]).tolist()
            return last, parents if parents != list(range(rows)) else None
        return ids[:, -1].tolist(), [-1] * rows  # the previous step was on another device

    def _parents(self, ids: _Ids, seen: _Ids) -> _Ids:
        """Return int64 [rows]: the previous row of the same prompt that each row continues, or -1."""
        rows, length = ids.shape
        shape = (rows // self.num_beams, self.num_beams)
        before = seen.reshape(shape[0], 1, shape[1], length - 1)
        equal = (ids[:, :-1].reshape(*shape, 1, length - 1) == before).all(-1).reshape(rows, self.num_beams)
        # PyTorch has no argmax of a boolean tensor.
        best = (equal * 1).argmax(1)
        if isinstance(ids, np.ndarray):
            own = np.arange(rows) // self.num_beams * self.num_beams
            return np.where(equal.any(1), own + best, -1)
        own = torch.arange(rows, device=ids.device) // self.num_beams * self.num_beams
        return torch.where(equal.any(1), own + best, -1)

    def _advance(
        self, ids: np.ndarray | torch.Tensor, last: list[int], parents: list[int] | None, next_step: bool
    ) -> None:
        before, self._cursors = self._cursors, []
        starts, self._starts = self._starts, []
        try:
            for row, token in enumerate(last):
                parent = row if parents is None else parents[row]
                kept = None if parent < 0 or starts[parent] >= ids.shape[1] else starts[parent]
                if kept is None or token == self.end_of_turn or not next_step:
                    whole = ids[row].tolist()
                    kept = self._start(row, len(last), whole, kept)
                    matcher = Matcher.from_tokens(self._rules_of(row // self.num_beams), whole, self.end_of_turn, kept)
                else:
                    matcher = before[parent] if parents is None else before[parent].copy()
                    matcher.accept_token(token)
                self._cursors.append(matcher)
                self._starts.append(kept)
        except ConstraintError:
            self._seen = None  # no state survives a failed step
            raise
        trie = self._cursors[0].rules.trie
        self._barred, self._only_in_items = trie.barred, trie.only_in_items
        self._watched = {trie.soi, self.end_of_turn}
        self._all_plain = all(
            matcher.free and not matcher.exhausted and matcher.rules.trie is trie for matcher in self._cursors
        )

    def _start(self, row: int, rows: int, ids: list[int], kept: int | None) -> int:
        """Return the position at which the answer of a row begins.

        Args:
            row: number of the row.
            rows: number of rows in the batch.
            ids: token ids of the row.
            kept: the position in the row that this row continues; None if it continues none.
        """
        if n := len(self.answer_at):
            if rows % n:
                raise ConstraintError(f"answer_at has {n} entries, one a prompt, and the batch has {rows} rows")
            if (given := self.answer_at[row * n // rows]) is not None:
                if given > len(ids) and kept is None and not self._embedded:
                    raise ConstraintError(
                        f"answer_at is {given} for row {row}, which has {len(ids)} tokens; "
                        "wanted the length of the prompt, padding included"
                    )
                # A prompt that was given as embeddings has no ids: all ids belong to the answer.
                return kept if kept is not None else 0 if self._embedded else given
        trie = self._rules_of(row // self.num_beams).trie
        if kept is None:
            return answer_start(ids, self.end_of_turn, self.openers, trie)
        return max(kept, answer_start(ids, self.end_of_turn))

    def _rules_of(self, prompt: int) -> Constraint:
        if isinstance(self.rules, Constraint):
            return self.rules
        if prompt >= len(self.rules):
            raise ConstraintError(
                f"row of prompt {prompt} has no rules, {len(self.rules)} are given; is num_beams={self.num_beams}?"
            )
        return self.rules[prompt]


def _is_array(scores: torch.Tensor) -> bool:
    """Return whether NumPy can write into the scores."""
    return scores.device.type == "cpu" and scores.dtype != torch.bfloat16 and not scores.requires_grad


def bar_tokens(scores: torch.Tensor, barred: Mapping[int, np.ndarray]) -> None:
    """Set the scores of tokens that rows must not contain to -inf, in place.

    Rows mostly share their tokens, of which a catalog with item codes has one per item: each set is written once.

    Args:
        scores: float [rows, V].
        barred: row -> its token ids, int64 [n]. Rows that share an array are written together.
    """
    rows_of: dict[int, tuple[np.ndarray, list[int]]] = {}
    for row, tokens in barred.items():
        rows_of.setdefault(id(tokens), (tokens, []))[1].append(row)
    for tokens, rows in rows_of.values():
        if len(tokens):
            index = torch.tensor(rows)[:, None].to(scores.device), torch.from_numpy(tokens).to(scores.device)
            scores[index] = -torch.inf


def mask_scores(scores: torch.Tensor, matchers: Sequence[Matcher]) -> None:
    """Mask each row of `scores` by its matcher, in place.

    Args:
        scores: float [rows, V], masked in place.
        matchers: state of each row.
    """
    if _is_array(scores):
        _write_on_cpu(scores, matchers)
        return
    bar_tokens(scores, {row: matcher.barred() for row, matcher in enumerate(matchers) if matcher.free})
    open_rows = [(row, ids) for row, matcher in enumerate(matchers) if (ids := matcher.allowed()) is not None]
    if not open_rows:
        return
    inside, allowed = [row for row, _ in open_rows], [ids for _, ids in open_rows]
    sizes = [len(tokens) for tokens in allowed]
    index = np.stack([np.repeat(inside, sizes), np.concatenate(allowed)])
    rows, tokens = torch.from_numpy(index).to(scores.device)
    kept = scores[rows, tokens]
    added = [matchers[row].prior() for row in inside]
    if any(shares is not None for shares in added):
        bonus = [np.zeros(n) if shares is None else shares[0] for shares, n in zip(added, sizes, strict=True)]
        kept += torch.from_numpy(np.concatenate(bonus)).to(kept)
    scores[torch.tensor(inside, device=scores.device)] = -torch.inf
    scores[rows, tokens] = kept


def _write_on_cpu(scores: torch.Tensor, matchers: Sequence[Matcher]) -> None:
    """Mask as `mask_scores` does, without a kernel launch per row and without a long index for wide branches."""
    rows = scores.numpy()
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # row, its allowed tokens, the scores to restore
    forced: list[tuple[int, int]] = []
    closed: list[tuple[int, list[int]]] = []
    filled: list[int] = []
    for row, matcher in enumerate(matchers):
        if matcher.free:
            rows[row, matcher.barred()] = -np.inf
        elif (token := matcher.forced_token()) is not None:
            forced.append((row, token))
        elif (prior := matcher.prior()) is not None:
            allowed = matcher.allowed_at_branch()
            kept.append((rows[row], allowed, rows[row].take(allowed) + prior[0]))
            filled.append(row)
        else:
            allowed, excluded = matcher.mask()
            if excluded:
                closed.append((row, excluded))
            if len(allowed) > _WIDE:
                rows[row] += matcher.additive_mask(rows.shape[1])
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
    for row, excluded in closed:
        rows[row, excluded] = -np.inf
