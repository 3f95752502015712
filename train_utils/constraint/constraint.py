"""Admissible items of a request, and their prior. NumPy only.

Admissible titles are counted below each branch: cumulative sums over all leaves, cached with the constraint, minus the
titles that are closed one at a time, in time proportional to their depth. No candidate is filtered afterwards.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from train_utils.constraint.packed_rows import packed
from train_utils.constraint.trie import TitleTrie

PRIOR_FLOOR = 1e-12  # share of a child without prior mass: it can still be chosen
_SMALL_DENY = 512  # up to this many denied titles are closed one at a time; for more, sums over all leaves are cheaper


class ConstraintError(ValueError):
    """Token or rule that the trie cannot follow. Decoding must stop here (fail closed)."""


@dataclass(frozen=True)
class Prior:
    """Item scores that enter decoding: a teacher's probabilities, popularity, freshness or a boost of the shop.

    At a branch, `weight * log(share)` is added to each child, where the share is the sum (or the maximum) of the scores
    of the admissible items below the child over that of all children. With "sum", a whole title gets
    `weight * log(score / total)`.

    Args:
        scores: float [items], 0 or more.
        weight: factor of the log-shares, 0 or more; 0 leaves the model unchanged.
        reduce: "sum" or "max".

    Raises:
        ValueError: a score is negative or not finite, the weight is negative, or `reduce` is unknown.
    """

    scores: np.ndarray
    weight: float = 1.0
    reduce: str = "max"

    def __post_init__(self):
        scores = np.asarray(self.scores, dtype=np.float64)
        if not np.isfinite(scores).all() or (scores < 0).any():
            raise ValueError("a prior's scores are finite and 0 or more; clip or shift them")
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"a prior's weight is {self.weight}, wanted 0 or more")
        if self.reduce not in ("sum", "max"):
            raise ValueError(f"a prior's reduce is {self.reduce!r}, wanted 'sum' or 'max'")
        object.__setattr__(self, "scores", scores)

    def best(self, n: int) -> list[int]:
        """Return the `n` items with the highest scores, best first, without items of score 0."""
        order = np.argsort(-self.scores, kind="stable")[:n]
        return order[self.scores[order] > 0].tolist()


def product(first: Prior, second: Prior) -> Prior:
    """Return the prior that adds to an item what two priors add, up to a constant.

    Exact where a choice is between whole items, as with one code token per item: the log-share of a branch with several
    items below it is not the sum of the two. The reduction is the first one's.
    """
    weight = first.weight + second.weight
    if weight == 0:
        return replace(first, weight=0.0)
    added = log_shares(first) + log_shares(second)
    # The weighted geometric mean does not underflow where the product of large powers would.
    return Prior(np.exp(added / weight), weight, first.reduce)


def log_shares(prior: Prior) -> np.ndarray:
    """Return what a prior adds to the score of each item in a choice between whole items, float64 [items]."""
    return prior.weight * np.log(np.maximum(_shares(prior.scores), PRIOR_FLOOR))


def _shares(scores: np.ndarray) -> np.ndarray:
    total = scores.sum()
    return scores / total if total > 0 else np.full(len(scores), 1 / max(1, len(scores)))


@dataclass(frozen=True)
class _Closed:
    """Titles that are closed one at a time: denied, or listed in this turn. Immutable, so that copies can share it.

    Attributes:
        leaves: the closed leaves.
        below: branch -> number of closed leaves below it.
        edges: branch -> its edges below which no title is admissible.
    """

    leaves: frozenset[int] = frozenset()
    below: Mapping[int, int] = field(default_factory=dict)
    edges: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


class Constraint:
    """Admissible items of a request, compiled, with their prior. One object can serve any number of sequences.

    Args:
        trie: the catalog's trie.
        allow: item indices that may be listed; None admits all.
        deny: item indices that may not be listed.
        distinct: list a title at most once per turn.
        caps: (item indices of a group, number of its items that a turn may list), for instance of a category.
        prior: scores that enter decoding.
        may_be_empty: accept that no item is admissible.

    Raises:
        ConstraintError: an index is outside the catalog, or no item is admissible and the constraint may not be empty.
        ValueError: the prior has another number of items.
    """

    def __init__(
        self,
        trie: TitleTrie,
        allow: Iterable[int] | None = None,
        deny: Iterable[int] = (),
        distinct: bool = True,
        caps: Sequence[tuple[Iterable[int], int]] = (),
        prior: Prior | None = None,
        may_be_empty: bool = False,
    ):
        if prior is not None and len(prior.scores) != trie.n_items:
            raise ValueError(f"the prior has {len(prior.scores)} scores, the catalog {trie.n_items} items")
        self.trie = trie
        self.distinct = distinct
        self.prior = prior if prior is not None and prior.weight > 0 else None
        self._allow = None if allow is None else np.unique(_checked(allow, trie))
        self._deny = np.unique(_checked(deny, trie))
        self._caps = [(np.unique(_checked(items, trie)), int(limit)) for items, limit in caps]
        self._groups: dict[int, list[int]] | None = None
        self._capped: dict[frozenset[int], Constraint] = {}
        self._edges: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._additive: dict[tuple[int, int], np.ndarray] = {}
        self._packed: dict[tuple[int, int], np.ndarray] = {}
        self._masses: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._leaf_scores: np.ndarray | None = None
        self._first_admitted: np.ndarray | None = None
        # Cumulative sums: leaves [lo, hi) hold open_below[hi] - open_below[lo] admitted titles. None: all are admitted.
        self._open_below: np.ndarray | None = None
        self.closed = _Closed()
        if self._allow is not None or len(self._deny) > _SMALL_DENY:
            is_open = np.zeros(trie.n_leaves, dtype=bool)
            is_open[trie.item_leaf[self.admitted]] = True
            self._open_below = np.append(0, np.cumsum(is_open))
        else:
            for leaf in np.unique(trie.item_leaf[self._deny]).tolist():
                if np.isin(trie.items_of_leaf(leaf), self._deny).all():
                    self.closed = self.close(self.closed, leaf)
        self.open_titles = self.count(0, trie.n_leaves)
        self.start_full = frozenset(group for group, (_, limit) in enumerate(self._caps) if limit <= 0)
        at_start = self.capped(self.start_full)
        if not may_be_empty and at_start.open_titles == len(at_start.closed.leaves):
            raise ConstraintError(
                f"the rules admit none of the catalog's {trie.n_items} items; loosen allow, deny, caps or hide_seen"
            )

    @property
    def admitted(self) -> np.ndarray:
        """Items that the rules admit, without regard to caps: bool [items]."""
        admitted = np.full(self.trie.n_items, self._allow is None)
        if self._allow is not None:
            admitted[self._allow] = True
        admitted[self._deny] = False
        return admitted

    @property
    def conditions(self) -> tuple[np.ndarray | None, np.ndarray, Sequence[tuple[np.ndarray, int]]]:
        """The arguments `allow` (int64 [n], or None), `deny` (int64 [n]) and `caps`, in ascending order of items."""
        return self._allow, self._deny, self._caps

    def without_prior(self) -> "Constraint":
        """Return a constraint of the same items without a prior."""
        if self.prior is None:
            return self
        return Constraint(self.trie, self._allow, self._deny, self.distinct, self._caps, may_be_empty=True)

    def admissible_mask(self, closed: _Closed) -> np.ndarray:
        """Return bool [items], True for items that may be listed now.

        Of the items that share a title, only the first admitted item counts.
        """
        if self._first_admitted is None:
            by_leaf = self.trie.leaf_items[self.admitted[self.trie.leaf_items]]
            _, first = np.unique(self.trie.item_leaf[by_leaf], return_index=True)
            self._first_admitted = np.zeros(self.trie.n_items, dtype=bool)
            self._first_admitted[by_leaf[first]] = True
        mask = self._first_admitted.copy()
        for leaf in closed.leaves:
            mask[self.trie.items_of_leaf(leaf)] = False
        return mask

    def admits(self, item: int) -> bool:
        return not _holds(self._deny, item) and (self._allow is None or _holds(self._allow, item))

    def first_item(self, leaf: int) -> int:
        """Return the first admitted item of a leaf."""
        return next(item for item in self.trie.items_of_leaf(leaf) if self.admits(item))

    def count(self, lo: int, hi: int) -> int:
        """Return the number of admitted titles among the leaves [lo, hi), before titles are closed one at a time."""
        return hi - lo if self._open_below is None else int(self._open_below[hi] - self._open_below[lo])

    def is_open(self, edge: int, branch: int, closed: _Closed) -> bool:
        """Return whether a title below an edge of a branch is admissible."""
        lo, hi = self.trie.below(int(self.trie.edge_target[edge]))
        return self.count(lo, hi) > 0 and edge not in closed.edges.get(branch, ())

    def edges(self, branch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the admitted tokens and edges of a branch, before titles are closed one at a time.

        Returns:
            tokens: int64 [n], ascending; the same array at every call.
            edges: int64 [n], ascending; the same array at every call.
        """
        if branch not in self._edges:
            span = self.trie.edges(branch)
            tokens, edges = self.trie.edge_token[span].astype(np.int64), np.arange(span.start, span.stop)
            if self._open_below is not None:
                lo, hi = self.trie.intervals(branch)
                some = self._open_below[hi] > self._open_below[lo]
                tokens, edges = tokens[some], edges[some]
            self._edges[branch] = tokens, edges
        return self._edges[branch]

    def additive_mask(self, branch: int, vocabulary: int) -> np.ndarray:
        """Return float32 [vocabulary]: 0 for tokens of `edges(branch)`, else -inf. Cached; for wide branches."""
        if (branch, vocabulary) not in self._additive:
            self._additive[branch, vocabulary] = mask = np.full(vocabulary, -np.inf, dtype=np.float32)
            mask[self.edges(branch)[0]] = 0.0
        return self._additive[branch, vocabulary]

    def packed_mask(self, branch: int, vocabulary: int) -> np.ndarray:
        """Return the tokens of `edges(branch)` as a packed row, uint32 [words]. Cached; for wide branches."""
        if (branch, vocabulary) not in self._packed:
            self._packed[branch, vocabulary] = packed(self.edges(branch)[0], vocabulary)
        return self._packed[branch, vocabulary]

    def open_edges(self, branch: int, closed: _Closed) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens and edges of `edges(branch)` below which a title is admissible."""
        tokens, edges = self.edges(branch)
        if closed_edges := closed.edges.get(branch):
            keep = np.ones(len(edges), dtype=bool)
            keep[np.searchsorted(edges, closed_edges)] = False
            tokens, edges = tokens[keep], edges[keep]
        return tokens, edges

    def close(self, closed: _Closed, leaf: int) -> _Closed:
        """Return `closed` with one more leaf, in time proportional to the depth of the leaf."""
        if leaf in closed.leaves or not self.count(leaf, leaf + 1):
            return closed
        below, edges = dict(closed.below), dict(closed.edges)
        nothing_left = True
        for branch, edge in reversed(self.trie.path(leaf)):
            if nothing_left:
                edges[branch] = (*edges.get(branch, ()), edge)
            below[branch] = below.get(branch, 0) + 1
            nothing_left = nothing_left and below[branch] == self.count(*self.trie.below(branch))
        return _Closed(closed.leaves | {leaf}, below, edges)

    # -- caps ----------------------------------------------------------------------------------------------------

    def full_groups(self, listed: Iterable[int]) -> frozenset[int]:
        """Return the groups whose caps the listed items reach."""
        if not self._caps:
            return self.start_full
        if self._groups is None:
            self._groups = {}
            for group, (items, _) in enumerate(self._caps):
                for item in items.tolist():
                    self._groups.setdefault(item, []).append(group)
        held = Counter(group for item in listed for group in self._groups.get(item, ()))
        return self.start_full | {group for group, n in held.items() if n >= self._caps[group][1]}

    def capped(self, full: frozenset[int]) -> "Constraint":
        """Return this constraint without the items of the groups `full`; it may admit no item."""
        if not full:
            return self
        if full not in self._capped:
            deny = np.concatenate([self._deny, *(self._caps[group][0] for group in full)])
            self._capped[full] = Constraint(
                self.trie, self._allow, deny, self.distinct, prior=self.prior, may_be_empty=True
            )
        return self._capped[full]

    # -- prior ---------------------------------------------------------------------------------------------------

    def shares(self, branch: int, closed: _Closed, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted log-shares of `edges` of a branch, and an upper bound of what the prior adds after each.

        Args:
            branch: branch of the trie.
            closed: titles that are closed one at a time.
            edges: int64 [n], edges of the branch.

        Returns:
            shares: float64 [n], the weighted log-share of each edge.
            bounds: float64 [n], an upper bound of the terms of later branches.
        """
        assert self.prior is not None  # only a prior has shares
        sums, best = self._masses_of(branch, closed)
        at = edges - self.trie.edges(branch).start
        sums, best = sums[at], best[at]
        mass = sums if self.prior.reduce == "sum" else best
        total = mass.sum()
        if total <= 0:
            return np.zeros(len(edges)), np.zeros(len(edges))
        ahead = np.zeros(len(edges))
        if self.prior.reduce == "sum":
            known = sums > 0
            ahead[known] = np.log(np.clip(best[known] / sums[known], PRIOR_FLOOR, 1.0))
        share = np.log(np.maximum(mass / total, PRIOR_FLOOR))
        return self.prior.weight * share, self.prior.weight * ahead

    def _masses_of(self, branch: int, closed: _Closed) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum and the maximum of the scores below each edge of a branch, without closed leaves.

        Both are float64 [edges].
        """
        trie, scores = self.trie, self._scores_of_leaves()
        lo, hi = trie.below(branch)
        if branch not in self._masses:
            starts = trie.edge_lo[trie.edges(branch)] - lo
            self._masses[branch] = (np.add.reduceat(scores[lo:hi], starts), np.maximum.reduceat(scores[lo:hi], starts))
        sums, best = self._masses[branch]
        removed = np.array(sorted(leaf for leaf in closed.leaves if lo <= leaf < hi), dtype=np.int64)
        if not len(removed):
            return sums, best
        # Recomputed without the closed leaves: subtracting them from a sum would keep its rounding errors.
        sums, best = sums.copy(), best.copy()
        los, his = trie.intervals(branch)
        for edge in np.unique(np.searchsorted(los, removed, side="right") - 1).tolist():
            left = scores[los[edge] : his[edge]].copy()
            left[removed[(los[edge] <= removed) & (removed < his[edge])] - los[edge]] = 0
            sums[edge], best[edge] = np.add.reduce(left), left.max()
        return sums, best

    def _scores_of_leaves(self) -> np.ndarray:
        """Return float64 [leaves], the reduced scores of the admitted items of each leaf."""
        if self._leaf_scores is None:
            assert self.prior is not None
            scores = np.where(self.admitted, self.prior.scores, 0.0)[self.trie.leaf_items]
            reduce = np.add if self.prior.reduce == "sum" else np.maximum
            self._leaf_scores = reduce.reduceat(scores, self.trie.leaf_item_start[:-1])
        return self._leaf_scores


def _holds(ascending: np.ndarray, value: int) -> bool:
    at = int(np.searchsorted(ascending, value))
    return at < len(ascending) and ascending[at] == value


def _checked(indices: Iterable[int], trie: TitleTrie) -> np.ndarray:
    array = indices.astype(np.int64) if isinstance(indices, np.ndarray) else np.fromiter(indices, dtype=np.int64)
    outside = array[(array < 0) | (array >= trie.n_items)]
    if outside.size:
        raise ConstraintError(f"item index {int(outside[0])} is outside the catalog of {trie.n_items} items")
    return array
