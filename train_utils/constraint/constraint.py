"""Which items a request admits, and what a prior says of them. NumPy only.

What is admitted is counted below each branch: by sums over all leaves, cached with the rules, less the titles that are
shut one by one, in time proportional to their depth. Nothing is filtered afterwards.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from train_utils.constraint.trie import TitleTrie

PRIOR_FLOOR = 1e-12  # share of a child that a prior gives nothing: it may still be chosen
_SMALL_DENY = 512  # so many denied titles are closed one by one; more are cheaper by sums over all leaves


class ConstraintError(ValueError):
    """A token or a rule that the tree cannot follow. Nothing may be decoded past it."""


@dataclass(frozen=True)
class Prior:
    """What is known of the items beside the model: a teacher's probabilities, popularity, freshness, a shop's boost.

    At a branch each child gets `weight * log(share)`, where the share is the sum (or the maximum) of the scores of the
    admissible items below it over that of all children. With the sum a whole title gets `weight * log(score / total)`.

    Args:
        scores: float [items], 0 or more.
        weight: 0 leaves the model as it is. reduce: "sum" or "max".

    Raises:
        ValueError: a score that is negative or not finite, a negative weight, or an unknown `reduce`.
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
        """The n items of the highest scores, best first; items without a score are left out."""
        order = np.argsort(-self.scores, kind="stable")[:n]
        return order[self.scores[order] > 0].tolist()


@dataclass(frozen=True)
class _Closed:
    """Titles that are shut one by one: denied, or used up in this turn. Never changed, so that copies can share it.

    Attributes:
        leaves: the shut leaves. below: how many of them are below a branch.
        edges: branch -> its edges below which no admissible title is left.
    """

    leaves: frozenset[int] = frozenset()
    below: Mapping[int, int] = field(default_factory=dict)
    edges: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


class Constraint:
    """Which items a request admits, and what is thought of them. One object may serve any number of rows.

    Args:
        tree: the catalog's tree.
        allow: item indices that may be emitted; None admits all.
        deny: item indices that may not be emitted.
        distinct: a title may be emitted once a turn.
        caps: (item indices of a group, how many of the group a turn may hold), for instance a category's.
        prior: scores that enter each choice.

    Raises:
        ConstraintError: an index outside the catalog, or rules that admit no item.
        ValueError: a prior of another number of items.
    """

    def __init__(
        self,
        trie: TitleTrie,
        allow: Iterable[int] | None = None,
        deny: Iterable[int] = (),
        distinct: bool = True,
        caps: Sequence[tuple[Iterable[int], int]] = (),
        prior: Prior | None = None,
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
        self._capped: dict[frozenset[int], Constraint | None] = {}
        self._edges: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._additive: dict[tuple[int, int], np.ndarray] = {}
        self._masses: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._leaf_scores: np.ndarray | None = None
        self._first_admitted: np.ndarray | None = None
        # Sums over leaves: leaves [lo, hi) hold open_below[hi] - open_below[lo] admitted titles. None: all of them.
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
        start_full = {group for group, (_, limit) in enumerate(self._caps) if limit <= 0}
        admits_any = self.open_titles > len(self.closed.leaves)
        if not admits_any or (start_full and self.capped(frozenset(start_full)) is None):
            raise ConstraintError(
                f"the rules admit none of the catalog's {trie.n_items} items; loosen allow, deny, caps or hide_seen"
            )
        self.start_full = frozenset(start_full)

    @property
    def has_caps(self) -> bool:
        """Whether what may be listed depends on how many items of a group are listed already."""
        return bool(self._caps)

    @property
    def admitted(self) -> np.ndarray:
        """bool [items]: which items the rules admit, caps aside."""
        admitted = np.full(self.trie.n_items, self._allow is None)
        if self._allow is not None:
            admitted[self._allow] = True
        admitted[self._deny] = False
        return admitted

    def admissible_mask(self, closed: _Closed) -> np.ndarray:
        """bool [items]: which items may be listed now; of items that share a title the first admitted one."""
        if self._first_admitted is None:
            by_leaf = self.trie.leaf_items[self.admitted[self.trie.leaf_items]]
            _, first = np.unique(self.trie.item_leaf[by_leaf], return_index=True)
            self._first_admitted = np.zeros(self.trie.n_items, dtype=bool)
            self._first_admitted[by_leaf[first]] = True
        found = self._first_admitted.copy()
        for leaf in closed.leaves:
            found[self.trie.items_of_leaf(leaf)] = False
        return found

    def admits(self, item: int) -> bool:
        return not _holds(self._deny, item) and (self._allow is None or _holds(self._allow, item))

    def first_item(self, leaf: int) -> int:
        """The first admitted item of a leaf."""
        return next(item for item in self.trie.items_of_leaf(leaf) if self.admits(item))

    def count(self, lo: int, hi: int) -> int:
        """Titles of the leaves [lo, hi) that are admitted, before any is shut by itself."""
        return hi - lo if self._open_below is None else int(self._open_below[hi] - self._open_below[lo])

    def is_open(self, edge: int, branch: int, closed: _Closed) -> bool:
        """Whether an admissible title is left below an edge of a branch."""
        lo, hi = self.trie.below(int(self.trie.edge_target[edge]))
        return self.count(lo, hi) > 0 and edge not in closed.edges.get(branch, ())

    def edges(self, branch: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and edges (int64 [n]) of a branch that the rules admit, ascending, before any title is shut by itself.

        The same arrays at every call."""
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
        """float32 [vocabulary]: 0 for the tokens of `edges(branch)`, -inf for all others. Kept: for wide branches."""
        if (branch, vocabulary) not in self._additive:
            self._additive[branch, vocabulary] = mask = np.full(vocabulary, -np.inf, dtype=np.float32)
            mask[self.edges(branch)[0]] = 0.0
        return self._additive[branch, vocabulary]

    def open_edges(self, branch: int, closed: _Closed) -> tuple[np.ndarray, np.ndarray]:
        """Of `edges(branch)` those below which an admissible title is left."""
        tokens, edges = self.edges(branch)
        if shut := closed.edges.get(branch):
            keep = np.ones(len(edges), dtype=bool)
            keep[np.searchsorted(edges, shut)] = False
            tokens, edges = tokens[keep], edges[keep]
        return tokens, edges

    def close(self, closed: _Closed, leaf: int) -> _Closed:
        """`closed` with one more leaf, in time proportional to its depth."""
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
        """The groups whose cap the listed items use up."""
        if not self._caps:
            return self.start_full
        if self._groups is None:
            self._groups = {}
            for group, (items, _) in enumerate(self._caps):
                for item in items.tolist():
                    self._groups.setdefault(item, []).append(group)
        held = Counter(group for item in listed for group in self._groups.get(item, ()))
        return self.start_full | {group for group, n in held.items() if n >= self._caps[group][1]}

    def capped(self, full: frozenset[int]) -> "Constraint | None":
        """These rules without the items of the groups `full`; None when that admits nothing."""
        if full not in self._capped:
            deny = np.concatenate([self._deny, *(self._caps[group][0] for group in full)])
            try:
                self._capped[full] = Constraint(self.trie, self._allow, deny, self.distinct, prior=self.prior)
            except ConstraintError:
                self._capped[full] = None
        return self._capped[full]

    # -- prior ---------------------------------------------------------------------------------------------------

    def shares(self, branch: int, closed: _Closed, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the prior says of `edges` of a branch (float64 [edges] each): the weighted log-share of each, and an
        upper bound of what the choices behind it can add."""
        assert self.prior is not None  # without one there are no shares
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
        """Sum and maximum of the scores below each edge of a branch, shut leaves left out (float64 [edges] each)."""
        trie, scores = self.trie, self._scores_of_leaves()
        lo, hi = trie.below(branch)
        if branch not in self._masses:
            starts = trie.edge_lo[trie.edges(branch)] - lo
            self._masses[branch] = (np.add.reduceat(scores[lo:hi], starts), np.maximum.reduceat(scores[lo:hi], starts))
        sums, best = self._masses[branch]
        shut = np.array(sorted(leaf for leaf in closed.leaves if lo <= leaf < hi), dtype=np.int64)
        if not len(shut):
            return sums, best
        # Added up again without the shut leaves: taking them off a sum would leave its rounding errors.
        sums, best = sums.copy(), best.copy()
        los, his = trie.intervals(branch)
        for edge in np.unique(np.searchsorted(los, shut, side="right") - 1).tolist():
            left = scores[los[edge] : his[edge]].copy()
            left[shut[(los[edge] <= shut) & (shut < his[edge])] - los[edge]] = 0
            sums[edge], best[edge] = np.add.reduce(left), left.max()
        return sums, best

    def _scores_of_leaves(self) -> np.ndarray:
        """float64 [leaves]: the scores of the admitted items of each leaf, reduced."""
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
