"""Grammar of a reply with items of a catalog, in the form in which inference engines take one. NumPy only.

A grammar is a function of the tokens of one reply: the engine reports the tokens that were written (`accept_token`),
takes some back (`rollback`), asks which drafts are valid (`validate_tokens`), and asks for the tokens that may follow,
as one row of packed bits (`fill_bitmask`): token t is bit t % 32 of word t // 32.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.packed_rows import clear_token, packed, set_token, set_tokens, words_of
from train_utils.constraint.trie import TitleTrie

_WIDE = 256  # the row of a branch with more tokens is kept with the constraint


@dataclass(frozen=True)
class ReplyForm:
    """What a reply holds, other than the constraint on its items.

    Attributes:
        max_items: number of items after which the reply ends; 0 for no limit.
        min_items: number of items before which the reply may not end, unless all admissible items are listed.
        separators: tokens before each item of a reply that is only a list, in order, without `<SOI>`; () for a reply
            with text that the model chooses.
        lists_items: whether the reply may list items; False allows text alone.
        opens_item: whether the reply begins inside an item, whose `<SOI>` is in the prompt, or is left out there.

    Raises:
        ValueError: a number is negative, more items are required than admitted, `separators` is not of `max_items`, or
            what belongs to items is given for a reply without items.
    """

    max_items: int = 0
    min_items: int = 0
    separators: tuple[tuple[int, ...], ...] = ()
    lists_items: bool = True
    opens_item: bool = False

    def __post_init__(self):
        for name in ("max_items", "min_items"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}, wanted 0 or more")
        if 0 < self.max_items < self.min_items:
            raise ValueError(f"`min_items` is {self.min_items}, more than the `max_items` of {self.max_items}")
        if not self.lists_items and (self.max_items or self.min_items or self.opens_item):
            raise ValueError("a reply without items has no `max_items`, `min_items` or `opens_item`")
        if self.opens_item and self.separators:
            raise ValueError("a list of `separators` begins with one of them, and not inside an item")
        if self.separators and len(self.separators) != self.max_items:
            raise ValueError(f"`separators` has {len(self.separators)} entries for a list of {self.max_items} items")


FREE_FORM = ReplyForm()


class TextRows:
    """Packed rows of free text of a catalog, shared by all its grammars.

    Args:
        trie: the catalog's titles.
        vocabulary: number of tokens; no other token is allowed anywhere.
        stop_tokens: tokens that end a reply.

    Raises:
        ValueError: there is no stop token, one is outside the vocabulary, or an item contains one, which would cut it.
    """

    def __init__(self, trie: TitleTrie, vocabulary: int, stop_tokens: Collection[int]):
        self.vocabulary, self.stop_tokens = vocabulary, frozenset(stop_tokens)
        stops = np.array(sorted(self.stop_tokens), dtype=np.int64)
        if not len(stops):
            raise ValueError("a grammar needs a token that ends a reply, got none")
        if stops[0] < 0 or stops[-1] >= vocabulary:
            raise ValueError(f"stop tokens {stops.tolist()[:9]} are not all within the vocabulary of {vocabulary}")
        inside = np.concatenate([trie.tokens, [trie.soi, trie.eoi], trie.item_tokens])
        if cut := stops[np.isin(stops, inside)].tolist():
            raise ValueError(f"stop token {cut[0]} is part of an item of the catalog, which it would cut")
        if trie.tokens.max() >= vocabulary or trie.soi >= vocabulary:
            raise ValueError(f"the catalog's tokens are outside the vocabulary of {vocabulary}")
        self.stop = packed(stops, vocabulary)
        self._rows = {
            (lists, stop): packed(barred if stop else np.concatenate([barred, stops]), vocabulary, excluded=True)
            for lists, barred in ((True, trie.barred), (False, trie.barred_with_soi))
            for stop in (True, False)
        }

    def text(self, may_list: bool, may_stop: bool) -> np.ndarray:
        """Return the row of free text, uint32 [words]: with or without `<SOI>`, and with or without stop tokens."""
        return self._rows[may_list, may_stop]


class _State(NamedTuple):
    """State of a reply.

    Attributes:
        matcher: position in the trie and the items so far; replaced, never moved.
        forced: tokens of a list that must follow next, `<SOI>` included.
        ended: whether a stop token ended the reply.
    """

    matcher: Matcher
    forced: tuple[int, ...] = ()
    ended: bool = False


class TreeGrammar:
    """Grammar of one reply: free text, and items of a catalog between `<SOI>` and `<EOI>`.

    Args:
        rules: the admissible items. Its prior cannot be expressed in bits.
        rows: rows of free text of the same trie.
        form: how many items the reply holds, and whether it is only a list.

    Raises:
        ValueError: the constraint has a prior, or a reply that begins inside an item has no admissible one.
    """

    def __init__(self, rules: Constraint, rows: TextRows, form: ReplyForm = FREE_FORM):
        if rules.prior is not None:
            raise ValueError("a grammar allows or forbids tokens and cannot apply a prior; compile the rules without")
        self.form, self._rows = form, rows
        matcher = Matcher(rules)
        if form.opens_item:
            matcher.accept_token(rules.trie.soi)
        self._states = [_State(matcher, self._separator(matcher))]
        self._tokens: list[int] = []

    def copy(self) -> "TreeGrammar":
        """Return a grammar in the same state."""
        other = object.__new__(TreeGrammar)
        other.form, other._rows = self.form, self._rows
        other._states, other._tokens = list(self._states), list(self._tokens)
        return other

    # -- what was written ----------------------------------------------------------------------------------------

    @property
    def n_tokens(self) -> int:
        """Number of accepted tokens."""
        return len(self._tokens)

    @property
    def tokens(self) -> Sequence[int]:
        """The accepted tokens; not to be changed."""
        return self._tokens

    def branch(self, at: int) -> int | None:
        """Return the branch of the trie after the first `at` tokens; None in free text and where the trie forces."""
        state = self._states[at]
        return None if state.forced or state.ended else state.matcher.branch

    @property
    def items(self) -> tuple[int, ...]:
        """Indices of the items listed so far."""
        return self._states[-1].matcher.items

    @property
    def in_item(self) -> bool:
        """Whether an item is open."""
        return not self._states[-1].matcher.free

    def is_terminated(self) -> bool:
        """Return whether a stop token ended the reply."""
        return self._states[-1].ended

    def accept_token(self, token: int) -> bool:
        """Add a token to the reply; return False, without a change, if it may not follow."""
        if (state := self._after(self._states[-1], token)) is None:
            return False
        self._states.append(state)
        self._tokens.append(token)
        return True

    def validate_tokens(self, tokens: Sequence[int]) -> list[int]:
        """Return the longest prefix of `tokens` that may follow; the reply does not change."""
        state = self._states[-1]
        for n, token in enumerate(tokens):
            if (after := self._after(state, token)) is None:
                return list(tokens[:n])
            state = after
        return list(tokens)

    def rollback(self, n: int) -> None:
        """Take back the last `n` accepted tokens.

        Raises:
            ValueError: fewer tokens were accepted.
        """
        if not 0 <= n <= self.n_tokens:
            raise ValueError(f"rollback of {n} tokens, and {self.n_tokens} were accepted")
        del self._states[len(self._states) - n :], self._tokens[len(self._tokens) - n :]

    def reset(self) -> None:
        """Take back all tokens."""
        del self._states[1:], self._tokens[:]

    # -- what may follow -----------------------------------------------------------------------------------------

    def jump_forward(self) -> list[int]:
        """Return the tokens that must follow: the longest run in which no other token is allowed."""
        run: list[int] = []
        state = self._states[-1]
        while (token := self._only_token(state)) is not None:
            run.append(token)
            after = self._after(state, token)
            assert after is not None  # the token is allowed
            state = after
        return run

    def fill_bitmask(self, row: np.ndarray) -> None:
        """Write the tokens that may follow; none may follow the end of the reply.

        Args:
            row: int32 or uint32 [words], overwritten; words beyond the vocabulary become 0.

        Raises:
            ValueError: the row is shorter than the vocabulary.
        """
        bits, words = row.view(np.uint32), words_of(self._rows.vocabulary)
        if len(bits) < words:
            raise ValueError(f"the row has {len(bits)} words, wanted {words} for {self._rows.vocabulary} tokens")
        state = self._states[-1]
        bits[words:] = 0
        bits = bits[:words]
        if state.forced or state.ended or not state.matcher.free:
            self._fill(bits, state)
        else:
            bits[:] = self._text_row(state.matcher)

    def _text_row(self, matcher: Matcher) -> np.ndarray:
        """Return the row of free text where no token is forced."""
        if self._is_complete(matcher):
            return self._rows.stop
        may_list = self.form.lists_items and not matcher.exhausted
        return self._rows.text(may_list, may_stop=self._may_stop(matcher))

    def _fill(self, bits: np.ndarray, state: _State) -> None:
        """Write the tokens that may follow where they are those of an item, of a separator, or none."""
        branch = None if state.forced or state.ended else state.matcher.branch
        if branch is None:
            bits[:] = 0
            if (token := self._only_token(state)) is not None:
                set_token(bits, token)
            return
        tokens, closed = state.matcher.mask()
        if len(tokens) > _WIDE:
            bits[:] = state.matcher.packed_mask(self._rows.vocabulary)
        else:
            bits[:] = 0
            set_tokens(bits, tokens)
        for token in closed:
            clear_token(bits, token)

    # -- one step ------------------------------------------------------------------------------------------------

    def _after(self, state: _State, token: int) -> _State | None:
        """Return the state after a token; None if it may not follow."""
        matcher = state.matcher
        if state.ended or not 0 <= token < self._rows.vocabulary or (state.forced and token != state.forced[0]):
            return None
        if matcher.free and not state.forced:
            if token in self._rows.stop_tokens:
                return _State(matcher, ended=True) if self._may_stop(matcher) else None
            if self._is_complete(matcher):
                return None
        rest = state.forced[1:]
        trie = matcher.rules.trie
        if token == trie.soi and not self.form.lists_items:
            return None
        if matcher.free and token != trie.soi and token not in trie.only_in_items:
            return _State(matcher, rest) if state.forced else state
        moved = matcher.copy()
        try:
            completed = moved.accept_token(token)
        except ConstraintError:
            return None
        return _State(moved, rest if completed is None else self._separator(moved))

    def _only_token(self, state: _State) -> int | None:
        """Return the only token that may follow; None if there are several, or none."""
        matcher = state.matcher
        if state.ended:
            return None
        if state.forced:
            return state.forced[0]
        if matcher.free:
            stops = self._rows.stop_tokens
            return next(iter(stops)) if len(stops) == 1 and self._is_complete(matcher) else None
        if matcher.branch is None:
            return matcher.forced_token()
        tokens = matcher.allowed_at_branch()
        return int(tokens[0]) if len(tokens) == 1 else None

    def _separator(self, matcher: Matcher) -> tuple[int, ...]:
        """Return the tokens that a list has before its next item, `<SOI>` included; () where it has no further item."""
        if not self.form.separators or self._is_complete(matcher):
            return ()
        return (*self.form.separators[len(matcher.items)], matcher.rules.trie.soi)

    def _is_complete(self, matcher: Matcher) -> bool:
        """Return whether the reply has all its items, so that it must end."""
        is_full = 0 < self.form.max_items <= len(matcher.items)
        return is_full or (bool(self.form.separators) and matcher.exhausted)

    def _may_stop(self, matcher: Matcher) -> bool:
        return len(matcher.items) >= self.form.min_items or matcher.exhausted
