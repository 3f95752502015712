"""The state of one row that walks the tree: free text or a place in a title, and what has been listed. NumPy only."""

from collections.abc import Iterable, Sequence

import numpy as np

from train_utils.constraint.constraint import Constraint, ConstraintError

FREE = -1


def last_turn(ids: Sequence[int], end_of_turn: int | None) -> int:
    """Where the current turn starts: behind the last end-of-turn token."""
    return next((place + 1 for place in range(len(ids) - 1, -1, -1) if ids[place] == end_of_turn), 0)


class Matcher:
    """State of one row: free text or a place inside a title, and the items listed in this turn.

    The states and their transitions: docs/architecture.md, Constraint.

    Copies are cheap: what changes with an item is replaced, never changed in place.
    """

    __slots__ = ("rules", "items", "_own_rules", "_closed", "_target", "_depth", "_start", "_until")

    def __init__(self, rules: Constraint, items: Iterable[int] = ()):
        self.rules = rules
        self.items: tuple[int, ...] = ()
        self._depth = FREE
        self._head_for(rules.trie.top)
        # None once the caps leave nothing: then no item is opened, so inside an item there always are rules.
        self._own_rules: Constraint | None = rules
        self._closed = rules.closed
        if rules.start_full:
            self._apply_caps()
        for item in items:
            self._list(item)

    @classmethod
    def from_tokens(
        cls, rules: Constraint, ids: Sequence[int], end_of_turn: int | None, answer_at: int | None = None
    ) -> "Matcher":
        """The state behind the token ids of a whole conversation: that of its last turn.

        answer_at: where that turn begins; None: behind the last end of turn, which not every template writes behind a
        user's words (Llama 2 and Mistral do not): `ChatTemplate.openers` tell it there.

        Raises:
            ConstraintError: the turn holds a span that is no admissible item.
        """
        matcher = cls(rules)
        for token in ids[last_turn(ids, end_of_turn) if answer_at is None else answer_at :]:
            matcher.accept_token(token)
        return matcher

    def copy(self) -> "Matcher":
        other = object.__new__(Matcher)
        for name in Matcher.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    @property
    def free(self) -> bool:
        """True outside an item."""
        return self._depth == FREE

    @property
    def at_root(self) -> bool:
        """True right behind the opening token."""
        return self._depth == 0

    @property
    def exhausted(self) -> bool:
        """True when no admissible item is left, so that no item may be opened."""
        return self._own_rules is None or self._own_rules.open_titles == len(self._closed.leaves)

    @property
    def leaves(self) -> tuple[int, int]:
        """The leaves [lo, hi) below the place in the title; some of them may be shut."""
        return self.rules.trie.below(self._target)

    def admissible_mask(self) -> np.ndarray:
        """bool [items]: which items may be listed next; of items that share a title the first admitted one."""
        if self._own_rules is None:
            return np.zeros(self.rules.trie.n_items, dtype=bool)
        return self._own_rules.admissible_mask(self._closed)

    def _head_for(self, target: int) -> None:
        """Sets the next branch, or `~leaf`; until there the way is that of the first title below it."""
        trie = self.rules.trie
        self._target = target
        if target >= 0:
            self._start, self._until = int(trie.title_start[trie.branch_lo[target]]), int(trie.branch_depth[target])
        else:
            # No choice is left; nor is a depth below FREE ever reached.
            self._start, self._until = int(trie.title_start[~target]), -2

    def _at_branch(self) -> bool:
        return self._depth == self._until

    def forced_token(self) -> int | None:
        """The only token that may follow, where the tree as it was built leaves no choice; else None."""
        if self._depth == FREE or self._depth == self._until:
            return None
        return int(self.rules.trie.tokens[self._start + self._depth])

    def allowed(self) -> np.ndarray | None:
        """Token ids that lead to an admissible item, ascending (int64 [n]); None in free text."""
        if self._depth == FREE:
            return None
        return self.allowed_at_branch() if self._at_branch() else np.array([self.forced_token()])

    def allowed_at_branch(self) -> np.ndarray:
        """`allowed()` where the row stands at a branch."""
        assert self._own_rules is not None
        tokens, _ = self._own_rules.open_edges(self._target, self._closed)
        if not len(tokens):
            raise ConstraintError(f"no admissible item is left below branch {self._target} of the tree")
        return tokens

    def mask(self) -> tuple[np.ndarray, list[int]]:
        """`allowed()` at a branch, as (tokens, tokens to take off again): of a wide one nothing is copied."""
        assert self._own_rules is not None
        tokens, _ = self._own_rules.edges(self._target)
        shut = self._closed.edges.get(self._target, ())
        if len(shut) == len(tokens):
            return self.allowed_at_branch(), []
        return tokens, [int(self.rules.trie.edge_token[edge]) for edge in shut]

    def additive_mask(self, vocabulary: int) -> np.ndarray:
        """float32 [vocabulary]: 0 for the tokens of `mask()`, -inf for all others. For wide branches."""
        assert self._own_rules is not None
        return self._own_rules.additive_mask(self._target, vocabulary)

    def prior(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What the prior adds to the log-probability of each allowed token, and the most that it can add behind it
        (float64 [n] each, 0 or less). None without a prior or without a choice."""
        if self.rules.prior is None or self._depth == FREE or not self._at_branch():
            return None
        assert self._own_rules is not None
        _, edges = self._own_rules.open_edges(self._target, self._closed)
        return self._own_rules.shares(self._target, self._closed, edges)

    def offers(self, item: int) -> bool:
        """Whether the title of an item can still be written from this place of an open item."""
        assert self._own_rules is not None
        leaf, (lo, hi) = int(self.rules.trie.item_leaf[item]), self.leaves
        return lo <= leaf < hi and leaf not in self._closed.leaves and self._own_rules.count(leaf, leaf + 1) > 0

    def same_title(self, item: int, other: int) -> bool:
        """Whether two items share a title; which of them is listed is the first that the rules admit."""
        leaves = self.rules.trie.item_leaf
        return bool(leaves[item] == leaves[other])

    @property
    def branch(self) -> int | None:
        """The branch of the tree that the row stands at; None in free text and inside a forced run."""
        return self._target if self._depth != FREE and self._at_branch() else None

    def offers_token(self, token: int) -> bool:
        """Whether a token may follow at a branch."""
        return self._edge(token) is not None

    def token_towards(self, item: int) -> int:
        """The next token on the way to an item below this place."""
        trie = self.rules.trie
        return int(trie.tokens[int(trie.title_start[trie.item_leaf[item]]) + self._depth])

    def barred(self) -> tuple[int, ...]:
        """Token ids that free text may not hold: the closing token, and the opening one when nothing is left."""
        trie = self.rules.trie
        return (trie.eoi, trie.soi) if self.exhausted else (trie.eoi,)

    def accept_token(self, token: int) -> int | None:
        """Moves over `token`; returns the item that it completes, the first admissible one of its title, or None.

        Raises:
            ConstraintError: the token is not allowed here.
        """
        trie = self.rules.trie
        if self._depth == FREE:
            if token in (trie.eoi, trie.soi):
                if token in self.barred():
                    raise ConstraintError(f"control token {token} is barred in this place of the text")
                self._depth = 0
                self._head_for(trie.top)
            return None
        if self._at_branch():
            if (edge := self._edge(token)) is None:
                raise ConstraintError(f"token {token} leads to no admissible item")
            self._head_for(int(trie.edge_target[edge]))
        elif token != self.forced_token():
            raise ConstraintError(f"token {token} is not on the way to any title of the catalog")
        self._depth += 1
        if token != trie.eoi:
            return None
        self._depth = FREE
        assert self._own_rules is not None
        item = self._own_rules.first_item(~self._target)
        self._list(item)
        return item

    def _edge(self, token: int) -> int | None:
        """The edge of the present branch under `token`, if an admissible item is left below it."""
        assert self._own_rules is not None
        trie, span = self.rules.trie, self.rules.trie.edges(self._target)
        # A plain int would be compared as int64, over a copy of all tokens.
        edge = span.start + int(np.searchsorted(trie.edge_token[span], np.int32(token)))
        if edge == span.stop or trie.edge_token[edge] != token:
            return None
        return edge if self._own_rules.is_open(edge, self._target, self._closed) else None

    def _list(self, item: int) -> None:
        self.items = (*self.items, item)
        if self.rules.distinct and self._own_rules is not None:
            self._closed = self._own_rules.close(self._closed, int(self.rules.trie.item_leaf[item]))
        self._apply_caps()

    def _apply_caps(self) -> None:
        """Takes the rules without the groups that are full, once one more of them is."""
        full = self.rules.full_groups(self.items)
        rules = self.rules.capped(full) if full else self.rules
        if rules is self._own_rules:
            return
        self._own_rules = rules
        if rules is not None:
            self._closed = rules.closed
            for leaf in self.rules.trie.item_leaf[list(self.items)].tolist() if rules.distinct else ():
                self._closed = rules.close(self._closed, leaf)

    def jump_forward(self) -> list[int]:
        """The tokens that follow without a choice from here to the next decision, or to the end of the title."""
        if self._depth == FREE:
            return []
        assert self._own_rules is not None
        trie, target, depth = self.rules.trie, self._target, self._depth
        run: list[int] = []
        while True:
            lo, _ = trie.below(target)
            start = int(trie.title_start[lo])
            until = int(trie.branch_depth[target]) if target >= 0 else int(trie.title_start[lo + 1]) - start
            run += trie.tokens[start + depth : start + until].tolist()
            if target < 0:
                return run
            tokens, edges = self._own_rules.open_edges(target, self._closed)
            if len(edges) != 1:
                return run
            run.append(int(tokens[0]))
            target, depth = int(trie.edge_target[edges[0]]), until + 1
