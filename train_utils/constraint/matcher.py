"""State of one sequence in the trie: free text or a position in a title, and the listed items. NumPy only."""

from collections.abc import Iterable, Sequence

import numpy as np

from train_utils.constraint.constraint import Constraint, ConstraintError

FREE = -1


def last_turn(ids: Sequence[int], end_of_turn: int | None) -> int:
    """Return the position at which the current turn starts: after the last end-of-turn token."""
    return next((at + 1 for at in range(len(ids) - 1, -1, -1) if ids[at] == end_of_turn), 0)


class Matcher:
    """State of one sequence in the trie: free text or a position in a title, and the items listed in this turn.

    The states and their transitions: docs/architecture.md, Constraint. Copies are cheap: containers are replaced,
    never modified in place.

    Args:
        rules: the admissible items.
        items: indices of items that this turn has listed already.
    """

    __slots__ = ("rules", "items", "_own_rules", "_closed", "_target", "_depth", "_start", "_until")

    def __init__(self, rules: Constraint, items: Iterable[int] = ()):
        self.rules = rules
        self.items: tuple[int, ...] = ()
        self._depth = FREE
        self._head_for(rules.trie.top)
        self._own_rules = rules  # without the groups whose caps are full
        self._closed = rules.closed
        if rules.start_full:
            self._apply_caps()
        for item in items:
            self._list(item)

    @classmethod
    def from_tokens(
        cls, rules: Constraint, ids: Sequence[int], end_of_turn: int | None, answer_at: int | None = None
    ) -> "Matcher":
        """Return the state after the token ids of a conversation, that is, after its last turn.

        Args:
            rules: the admissible items.
            ids: token ids of the conversation.
            end_of_turn: id of the token that ends a turn; None if there is none.
            answer_at: position at which the last turn begins; None: after the last end of turn. Not every template
                ends a user's turn (Llama 2 and Mistral do not): there the position comes from `ChatTemplate.openers`.

        Raises:
            ConstraintError: the turn contains an item that is not admissible.
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
        """True directly after `<SOI>`."""
        return self._depth == 0

    @property
    def exhausted(self) -> bool:
        """True when no admissible item is left, so that no item may be opened."""
        return self._own_rules.open_titles == len(self._closed.leaves)

    @property
    def leaves(self) -> tuple[int, int]:
        """The leaves [lo, hi) below the position in the title; some of them may be closed."""
        return self.rules.trie.below(self._target)

    def admissible_mask(self) -> np.ndarray:
        """Return bool [items], True for items that may be listed next.

        Of the items that share a title, only the first admitted item counts.
        """
        return self._own_rules.admissible_mask(self._closed)

    def _head_for(self, target: int) -> None:
        """Set the next branch, or `~leaf`; the tokens up to it are those of the first title below it."""
        trie = self.rules.trie
        self._target = target
        if target >= 0:
            self._start, self._until = int(trie.title_start[trie.branch_lo[target]]), int(trie.branch_depth[target])
        else:
            # No branch is left, and no depth is below FREE.
            self._start, self._until = int(trie.title_start[~target]), -2

    def _at_branch(self) -> bool:
        return self._depth == self._until

    def forced_token(self) -> int | None:
        """Return the token that the trie by itself forces here; None in free text and at a branch."""
        if self._depth == FREE or self._depth == self._until:
            return None
        return int(self.rules.trie.tokens[self._start + self._depth])

    def allowed(self) -> np.ndarray | None:
        """Return the token ids that lead to an admissible item, int64 [n], ascending; None in free text."""
        if self._depth == FREE:
            return None
        return self.allowed_at_branch() if self._at_branch() else np.array([self.forced_token()])

    def allowed_at_branch(self) -> np.ndarray:
        """Return `allowed()` at a branch.

        Raises:
            ConstraintError: no title below the branch is admissible.
        """
        tokens, _ = self._own_rules.open_edges(self._target, self._closed)
        if not len(tokens):
            raise ConstraintError(f"no admissible item is left below branch {self._target} of the trie")
        return tokens

    def mask(self) -> tuple[np.ndarray, list[int]]:
        """Return the allowed tokens at a branch as (candidates, excluded).

        The cached array of a wide branch is thus shared, not copied.
        """
        tokens, _ = self._own_rules.edges(self._target)
        closed_edges = self._closed.edges.get(self._target, ())
        if len(closed_edges) == len(tokens):
            return self.allowed_at_branch(), []
        return tokens, [int(self.rules.trie.edge_token[edge]) for edge in closed_edges]

    def additive_mask(self, vocabulary: int) -> np.ndarray:
        """Return float32 [vocabulary]: 0 for the candidates of `mask()`, else -inf. For wide branches."""
        return self._own_rules.additive_mask(self._target, vocabulary)

    def packed_mask(self, vocabulary: int) -> np.ndarray:
        """Return the candidates of `mask()` as a packed row, uint32 [words]. For wide branches."""
        return self._own_rules.packed_mask(self._target, vocabulary)

    def prior(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the terms that the prior adds to the allowed tokens; None without a prior or outside a branch.

        Returns:
            added: float64 [n], 0 or less, added to the log-probability of each allowed token.
            bounds: float64 [n], 0 or less, the most that the prior can add after each token.
        """
        if self._depth == FREE or self.rules.prior is None or not self._at_branch():
            return None
        _, edges = self._own_rules.open_edges(self._target, self._closed)
        return self._own_rules.shares(self._target, self._closed, edges)

    def offers(self, item: int) -> bool:
        """Return whether the title of an item can still be written from this position of an open item."""
        leaf, (lo, hi) = int(self.rules.trie.item_leaf[item]), self.leaves
        return lo <= leaf < hi and leaf not in self._closed.leaves and self._own_rules.count(leaf, leaf + 1) > 0

    def same_title(self, item: int, other: int) -> bool:
        """Return whether two items share a title; the first of them that the rules admit is listed."""
        leaves = self.rules.trie.item_leaf
        return bool(leaves[item] == leaves[other])

    @property
    def branch(self) -> int | None:
        """The current branch of the trie; None in free text and where the trie forces the next token."""
        return self._target if self._depth != FREE and self._at_branch() else None

    def offers_token(self, token: int) -> bool:
        """Return whether a token is allowed at a branch."""
        return self._edge(token) is not None

    def token_towards(self, item: int) -> int:
        """Return the next token of the title of an item below this position."""
        trie = self.rules.trie
        return int(trie.tokens[int(trie.title_start[trie.item_leaf[item]]) + self._depth])

    def barred(self) -> np.ndarray:
        """Return the tokens that free text must not contain: the trie's, and `<SOI>` if no item is admissible.

        Returns:
            int64 [n], the same array in every call.
        """
        trie = self.rules.trie
        return trie.barred_with_soi if self.exhausted else trie.barred

    def accept_token(self, token: int) -> int | None:
        """Move the matcher over a token.

        Returns:
            The item that the token completes, the first admissible item of its title; None if it completes none.

        Raises:
            ConstraintError: the token is not allowed here.
        """
        trie = self.rules.trie
        if self._depth == FREE:
            if token in trie.only_in_items or (token == trie.soi and self.exhausted):
                raise ConstraintError(f"token {token} is barred at this position of the text")
            if token == trie.soi:
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
        item = self._own_rules.first_item(~self._target)
        self._list(item)
        return item

    def _edge(self, token: int) -> int | None:
        """Return the edge of the current branch under `token`; None if no admissible item is below it."""
        trie, span = self.rules.trie, self.rules.trie.edges(self._target)
        # A Python int would be compared as int64, which copies all tokens.
        edge = span.start + int(np.searchsorted(trie.edge_token[span], np.int32(token)))
        if edge == span.stop or trie.edge_token[edge] != token:
            return None
        return edge if self._own_rules.is_open(edge, self._target, self._closed) else None

    def _list(self, item: int) -> None:
        self.items = (*self.items, item)
        if self.rules.distinct:
            self._closed = self._own_rules.close(self._closed, int(self.rules.trie.item_leaf[item]))
        self._apply_caps()

    def _apply_caps(self) -> None:
        """Switch to the constraint without the full groups when another group is full."""
        rules = self.rules.capped(self.rules.full_groups(self.items))
        if rules is self._own_rules:
            return
        self._own_rules = rules
        self._closed = rules.closed
        for leaf in self.rules.trie.item_leaf[list(self.items)].tolist() if rules.distinct else ():
            self._closed = rules.close(self._closed, leaf)

    def jump_forward(self) -> list[int]:
        """Return the tokens that are forced from here to the next branch or to the end of the title."""
        if self._depth == FREE:
            return []
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


class Unconstrained(Matcher):
    """Matcher of a text that is not constrained: it is free throughout, and no token opens an item.

    Args:
        barred: token ids that the text must not contain. An int64 array is shared, not copied.
    """

    __slots__ = ("_barred",)

    exhausted = False

    def __init__(self, barred: Sequence[int] | np.ndarray = ()):
        self.items = ()
        self._depth = FREE
        self._barred = np.asarray(barred, dtype=np.int64)

    def copy(self) -> "Unconstrained":
        return self  # it has no state

    def barred(self) -> np.ndarray:
        return self._barred

    def accept_token(self, token: int) -> None:
        """Accept any token; it completes no item."""
