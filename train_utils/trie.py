"""Title token ids as a compressed prefix tree of flat arrays, and the state of one row that walks it. NumPy only.

Only nodes with two children or more are stored: what stands between two of them leaves no choice, and is read from
the titles themselves. On real catalogues two thirds and more of all title tokens are such.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

FREE = -1
PRIOR_FLOOR = 1e-12  # share of a child that a prior gives nothing: it may still be chosen
_SMALL_DENY = 512  # so many denied titles are closed one by one; more are cheaper by sums over all leaves


class ConstraintError(ValueError):
    """A token or a rule that the tree cannot follow. Nothing may be decoded past it."""


@dataclass(frozen=True)
class TitleTree:
    """Prefix tree of N items' titles, each closed by `eoi`.

    Leaves are the distinct titles in lexicographic order of their token ids, so the leaves below a branch are one
    interval `[branch_lo, branch_hi)`. Branches, the nodes with several children, are numbered by depth. The children
    of branch b are the edges `edge_start[b]:edge_start[b + 1]`, ascending by token and by leaf.

    Attributes:
        soi, eoi: ids of the control tokens that open and close an item.
        tokens: int32 [sum of lengths], the distinct titles with their `eoi`, one after the other.
        title_start: int [leaves + 1], where each begins.
        branch_depth, branch_lo, branch_hi: int32 [branches]; the depth is the number of tokens all titles below share.
        edge_start: int [branches + 1].
        edge_token, edge_lo, edge_target: int32 [edges]; the first leaf below, and the next branch or `~leaf`.
        leaf_item_start: int [leaves + 1]; leaf_items: int32 [N]: the items that share the title of a leaf.
        item_leaf: int32 [N].
    """

    soi: int
    eoi: int
    tokens: np.ndarray
    title_start: np.ndarray
    branch_depth: np.ndarray
    branch_lo: np.ndarray
    branch_hi: np.ndarray
    edge_start: np.ndarray
    edge_token: np.ndarray
    edge_lo: np.ndarray
    edge_target: np.ndarray
    leaf_item_start: np.ndarray
    leaf_items: np.ndarray
    item_leaf: np.ndarray

    @property
    def n_items(self) -> int:
        return len(self.item_leaf)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_item_start) - 1

    @property
    def top(self) -> int:
        """Where every title starts to: branch 0, or `~0` in a catalogue of one title."""
        return 0 if len(self.branch_depth) else ~0

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def items_of_leaf(self, leaf: int) -> list[int]:
        return self.leaf_items[self.leaf_item_start[leaf]:self.leaf_item_start[leaf + 1]].tolist()

    def title(self, leaf: int) -> list[int]:
        """Token ids of a leaf's title, the closing `eoi` included."""
        return self.tokens[self.title_start[leaf]:self.title_start[leaf + 1]].tolist()

    def edges(self, branch: int) -> slice:
        return slice(int(self.edge_start[branch]), int(self.edge_start[branch + 1]))

    def below(self, target: int) -> tuple[int, int]:
        """The leaves `[lo, hi)` below a branch, or a `~leaf`."""
        return (int(self.branch_lo[target]), int(self.branch_hi[target])) if target >= 0 else (~target, ~target + 1)

    def intervals(self, branch: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last-but-one leaf below each edge of a branch: lo, hi, int32 [edges of it]."""
        lo = self.edge_lo[self.edges(branch)]
        return lo, np.append(lo[1:], self.branch_hi[branch])

    def path(self, leaf: int) -> tuple[tuple[int, int], ...]:
        """The choices that lead to a leaf: (branch, edge) from the top down."""
        found, target = [], self.top
        while target >= 0:
            edges = self.edges(target)
            edge = edges.start + int(np.searchsorted(self.edge_lo[edges], np.int32(leaf), side="right")) - 1
            found.append((target, edge))
            target = int(self.edge_target[edge])
        return tuple(found)


def build_tree(titles: Sequence[Sequence[int]], soi: int, eoi: int) -> TitleTree:
    """Builds the tree of `titles` (token ids without control tokens), column by column over what is not yet told apart.

    Raises:
        ValueError: no titles, an empty title, or a title that holds `soi` or `eoi`.
    """
    if not len(titles):
        raise ValueError("a tree needs at least one title, got none")
    lengths = np.fromiter(map(len, titles), dtype=np.int64, count=len(titles))
    if not lengths.all():
        raise ValueError(f"title {int(np.argmin(lengths))} has no tokens; every title needs at least one")
    flat = np.fromiter(chain.from_iterable(titles), dtype=np.int32, count=int(lengths.sum()))
    if ((flat == soi) | (flat == eoi)).any():
        raise ValueError(f"a title holds a control token (ids {soi}, {eoi}); catalogue text may not")
    starts = np.cumsum(lengths) - lengths
    order, is_leaf, branches, edges = _sort(flat, starts, lengths, eoi)

    leaf_of_place = np.cumsum(is_leaf) - 1
    first = np.flatnonzero(is_leaf)
    if len(first) < len(titles):
        order = order[np.lexsort((order, leaf_of_place))]  # items of one title in their own order
    item_leaf = np.empty(len(titles), dtype=np.int32)
    item_leaf[order] = leaf_of_place
    unique = order[first]
    title_start = np.append(0, np.cumsum(lengths[unique] + 1))
    tokens = np.full(title_start[-1], eoi, dtype=np.int32)
    inside = np.ones(len(tokens), dtype=bool)
    inside[title_start[1:] - 1] = False
    tokens[inside] = flat[_ranges(starts[unique], lengths[unique])]

    depth, place_lo, place_hi, edge_start = branches
    edge_token, edge_place, edge_branch = edges
    edge_lo = leaf_of_place[edge_place]
    branch_hi = np.append(leaf_of_place, len(first))[place_hi]
    return TitleTree(
        soi, eoi, tokens, _narrow(title_start), depth.astype(np.int32), leaf_of_place[place_lo].astype(np.int32),
        branch_hi.astype(np.int32), _narrow(edge_start), edge_token.astype(np.int32), edge_lo.astype(np.int32),
        np.where(edge_branch >= 0, edge_branch, ~edge_lo).astype(np.int32),
        _narrow(np.append(first, len(titles))), order.astype(np.int32), item_leaf,
    )


def _narrow(offsets: np.ndarray) -> np.ndarray:
    return offsets.astype(np.int32 if offsets[-1] < 2**31 else np.int64)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`starts[i] .. starts[i] + lengths[i] - 1` of each i, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)


def _sort(flat: np.ndarray, starts: np.ndarray, lengths: np.ndarray, eoi: int
          ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Sorts titles by their closed tokens, and notes the branches on the way.

    One column is sorted at a time, and only where titles are still equal, which few are behind the first columns.

    Returns:
        order: int64 [N], titles by place. is_leaf: bool [N], places that differ from the one before.
        (depth, first place, behind the last place) of each branch, and where the edges of each start [branches + 1].
        (token, first place, next branch or -1) of each edge.
    """
    order = np.arange(len(starts))
    is_leaf = order == 0
    branches, edges, led_to = [], [], []
    n_branches = n_edges = depth = 0
    place = np.arange(len(starts))  # places whose title is equal to a neighbour's so far
    begins = place == 0  # where a group of equal ones begins
    edge_of_group = np.array([-1])  # the edge that leads to each group
    while len(place):
        title = order[place]
        token = np.where(depth < lengths[title], flat[np.minimum(starts[title] + depth, len(flat) - 1)], eoi)
        group = np.cumsum(begins) - 1
        by_token = np.argsort(group << 32 | token)  # groups stay where they are
        token, order[place] = token[by_token], title[by_token]
        new = np.append(True, token[1:] != token[:-1]) | begins
        is_leaf[place[new]] = True
        runs = np.flatnonzero(new)
        degree = np.bincount(group[runs])
        splits = degree > 1
        below_branch = splits[group[runs]]
        first, behind = np.flatnonzero(begins), np.append(np.flatnonzero(begins)[1:], len(place))
        branches.append((np.full(splits.sum(), depth), place[first[splits]], place[behind[splits] - 1] + 1,
                         degree[splits]))
        edges.append((token[runs[below_branch]], place[runs[below_branch]]))
        led_to.append((edge_of_group[splits], n_branches + np.arange(splits.sum())))
        edge_of_run = edge_of_group[group[runs]]
        edge_of_run[below_branch] = n_edges + np.arange(below_branch.sum())
        n_branches, n_edges = n_branches + splits.sum(), n_edges + below_branch.sum()
        sizes = np.diff(np.append(runs, len(place)))
        goes_on = (sizes > 1) & (token[runs] != eoi)
        kept = np.repeat(goes_on, sizes)
        place, begins, edge_of_group = place[kept], new[kept], edge_of_run[goes_on]
        depth += 1
    depths, los, his, degrees = map(np.concatenate, zip(*branches, strict=True))
    edge, branch = map(np.concatenate, zip(*led_to, strict=True))
    edge_branch = np.full(n_edges, -1)
    edge_branch[edge[edge >= 0]] = branch[edge >= 0]
    return (order, is_leaf, (depths, los, his, np.append(0, np.cumsum(degrees))),
            (*map(np.concatenate, zip(*edges, strict=True)), edge_branch))


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


class Rules:
    """Which items a request admits, and what is thought of them. One object may serve any number of rows.

    Args:
        tree: the catalogue's tree.
        allow: item indices that may be emitted; None admits all.
        deny: item indices that may not be emitted.
        distinct: a title may be emitted once a turn.
        caps: (item indices of a group, how many of the group a turn may hold), for instance a category's.
        prior: scores that enter each choice.

    Raises:
        ConstraintError: an index outside the catalogue, or rules that admit no item.
        ValueError: a prior of another number of items.
    """

    def __init__(
        self,
        tree: TitleTree,
        allow: Iterable[int] | None = None,
        deny: Iterable[int] = (),
        distinct: bool = True,
        caps: Sequence[tuple[Iterable[int], int]] = (),
        prior: Prior | None = None,
    ):
        if prior is not None and len(prior.scores) != tree.n_items:
            raise ValueError(f"the prior has {len(prior.scores)} scores, the catalogue {tree.n_items} items")
        self.tree = tree
        self.distinct = distinct
        self.prior = prior if prior is not None and prior.weight > 0 else None
        self._allow = None if allow is None else np.unique(_checked(allow, tree))
        self._deny = np.unique(_checked(deny, tree))
        self._caps = [(np.unique(_checked(items, tree)), int(limit)) for items, limit in caps]
        self._groups: dict[int, list[int]] | None = None
        self._capped: dict[frozenset[int], Rules | None] = {}
        self._edges: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._masses: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._leaf_scores: np.ndarray | None = None
        # Sums over leaves: leaves [lo, hi) hold open_below[hi] - open_below[lo] admitted titles. None: all of them.
        self._open_below: np.ndarray | None = None
        self.closed = _Closed()
        if self._allow is not None or len(self._deny) > _SMALL_DENY:
            is_open = np.zeros(tree.n_leaves, dtype=bool)
            is_open[tree.item_leaf[self.admitted]] = True
            self._open_below = np.append(0, np.cumsum(is_open))
        else:
            for leaf in np.unique(tree.item_leaf[self._deny]).tolist():
                if np.isin(tree.items_of_leaf(leaf), self._deny).all():
                    self.closed = self.close(self.closed, leaf)
        self.open_titles = self.count(0, tree.n_leaves)
        start_full = {group for group, (_, limit) in enumerate(self._caps) if limit <= 0}
        admits_any = self.open_titles > len(self.closed.leaves)
        if not admits_any or (start_full and self.capped(frozenset(start_full)) is None):
            raise ConstraintError(
                f"the rules admit none of the catalogue's {tree.n_items} items; loosen allow, deny, caps or hide_seen"
            )
        self.start_full = frozenset(start_full)

    @property
    def admitted(self) -> np.ndarray:
        """bool [items]: which items the rules admit, caps aside."""
        admitted = np.full(self.tree.n_items, self._allow is None)
        if self._allow is not None:
            admitted[self._allow] = True
        admitted[self._deny] = False
        return admitted

    def admits(self, item: int) -> bool:
        return not _holds(self._deny, item) and (self._allow is None or _holds(self._allow, item))

    def first_item(self, leaf: int) -> int:
        """The first admitted item of a leaf."""
        return next(item for item in self.tree.items_of_leaf(leaf) if self.admits(item))

    def count(self, lo: int, hi: int) -> int:
        """Titles of the leaves [lo, hi) that are admitted, before any is shut by itself."""
        return hi - lo if self._open_below is None else int(self._open_below[hi] - self._open_below[lo])

    def is_open(self, edge: int, branch: int, closed: _Closed) -> bool:
        """Whether an admissible title is left below an edge of a branch."""
        lo, hi = self.tree.below(int(self.tree.edge_target[edge]))
        return self.count(lo, hi) > 0 and edge not in closed.edges.get(branch, ())

    def edges(self, branch: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and edges (int64 [n]) of a branch that the rules admit, ascending, before any title is shut by itself.

        The same arrays at every call."""
        if branch not in self._edges:
            span = self.tree.edges(branch)
            tokens, edges = self.tree.edge_token[span].astype(np.int64), np.arange(span.start, span.stop)
            if self._open_below is not None:
                lo, hi = self.tree.intervals(branch)
                some = self._open_below[hi] > self._open_below[lo]
                tokens, edges = tokens[some], edges[some]
            self._edges[branch] = tokens, edges
        return self._edges[branch]

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
        for branch, edge in reversed(self.tree.path(leaf)):
            if nothing_left:
                edges[branch] = (*edges.get(branch, ()), edge)
            below[branch] = below.get(branch, 0) + 1
            nothing_left = nothing_left and below[branch] == self.count(*self.tree.below(branch))
        return _Closed(closed.leaves | {leaf}, below, edges)

    # -- caps ----------------------------------------------------------------------------------------------------

    def full_groups(self, leaves: Iterable[int]) -> frozenset[int]:
        """The groups whose cap the items of `leaves` use up."""
        if not self._caps:
            return self.start_full
        if self._groups is None:
            self._groups = {}
            for group, (items, _) in enumerate(self._caps):
                for item in items.tolist():
                    self._groups.setdefault(item, []).append(group)
        held = Counter(group for leaf in leaves for group in self._groups.get(self.first_item(leaf), ()))
        return self.start_full | {group for group, n in held.items() if n >= self._caps[group][1]}

    def capped(self, full: frozenset[int]) -> "Rules | None":
        """These rules without the items of the groups `full`; None when that admits nothing."""
        if full not in self._capped:
            deny = np.concatenate([self._deny, *(self._caps[group][0] for group in full)])
            try:
                self._capped[full] = Rules(self.tree, self._allow, deny, self.distinct, prior=self.prior)
            except ConstraintError:
                self._capped[full] = None
        return self._capped[full]

    # -- prior ---------------------------------------------------------------------------------------------------

    def shares(self, branch: int, closed: _Closed, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the prior says of `edges` of a branch (float64 [edges] each): the weighted log-share of each, and an
        upper bound of what the choices behind it can add."""
        sums, best = self._masses_of(branch, closed)
        at = edges - self.tree.edges(branch).start
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
        tree, scores = self.tree, self._scores_of_leaves()
        lo, hi = tree.below(branch)
        if branch not in self._masses:
            starts = tree.edge_lo[tree.edges(branch)] - lo
            self._masses[branch] = (np.add.reduceat(scores[lo:hi], starts), np.maximum.reduceat(scores[lo:hi], starts))
        sums, best = self._masses[branch]
        shut = np.array(sorted(leaf for leaf in closed.leaves if lo <= leaf < hi), dtype=np.int64)
        if not len(shut):
            return sums, best
        # Added up again without the shut leaves: taking them off a sum would leave its rounding errors.
        sums, best = sums.copy(), best.copy()
        los, his = tree.intervals(branch)
        for edge in np.unique(np.searchsorted(los, shut, side="right") - 1).tolist():
            left = scores[los[edge]:his[edge]].copy()
            left[shut[(los[edge] <= shut) & (shut < his[edge])] - los[edge]] = 0
            sums[edge], best[edge] = np.add.reduce(left), left.max()
        return sums, best

    def _scores_of_leaves(self) -> np.ndarray:
        """float64 [leaves]: the scores of the admitted items of each leaf, reduced."""
        if self._leaf_scores is None:
            scores = np.where(self.admitted, self.prior.scores, 0.0)[self.tree.leaf_items]
            reduce = np.add if self.prior.reduce == "sum" else np.maximum
            self._leaf_scores = reduce.reduceat(scores, self.tree.leaf_item_start[:-1])
        return self._leaf_scores


def _holds(ascending: np.ndarray, value: int) -> bool:
    at = int(np.searchsorted(ascending, value))
    return at < len(ascending) and ascending[at] == value


def _checked(indices: Iterable[int], tree: TitleTree) -> np.ndarray:
    array = indices.astype(np.int64) if isinstance(indices, np.ndarray) else np.fromiter(indices, dtype=np.int64)
    outside = array[(array < 0) | (array >= tree.n_items)]
    if outside.size:
        raise ConstraintError(f"item index {int(outside[0])} is outside the catalogue of {tree.n_items} items")
    return array


def last_turn(ids: Sequence[int], end_of_turn: int) -> int:
    """Where the current turn starts: behind the last end-of-turn token."""
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] == end_of_turn:
            return place + 1
    return 0


class Cursor:
    """State of one row: free text or a place inside a title, and the leaves emitted in this turn (DESIGN section 4).

    Copies are cheap: what changes with an item is replaced, never changed in place.
    """

    __slots__ = ("rules", "used", "_own_rules", "_closed", "_target", "_depth")

    def __init__(self, rules: Rules, used: Iterable[int] = ()):
        self.rules = rules
        self.used: tuple[int, ...] = ()
        self._target, self._depth = rules.tree.top, FREE
        self._own_rules, self._closed = rules, rules.closed
        if rules.start_full:
            self._apply_caps()
        for leaf in used:
            self._use(leaf)

    @classmethod
    def behind(cls, rules: Rules, ids: Sequence[int], end_of_turn: int) -> "Cursor":
        """The state behind the token ids of a whole conversation: that of its last turn.

        Raises:
            ConstraintError: the turn holds a span that is no admissible item.
        """
        cursor = cls(rules)
        for token in ids[last_turn(ids, end_of_turn):]:
            cursor.advance(token)
        return cursor

    def copy(self) -> "Cursor":
        other = object.__new__(Cursor)
        for name in Cursor.__slots__:
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
        return self.rules.tree.below(self._target)

    def _at_branch(self) -> bool:
        return self._target >= 0 and self._depth == self.rules.tree.branch_depth[self._target]

    def _next_token(self) -> int:
        tree, target = self.rules.tree, self._target
        return int(tree.tokens[int(tree.title_start[tree.branch_lo[target] if target >= 0 else ~target]) + self._depth])

    def allowed(self) -> np.ndarray | None:
        """Token ids that lead to an admissible item, ascending (int64 [n]); None in free text."""
        if self._depth == FREE:
            return None
        if not self._at_branch():
            return np.array([self._next_token()])
        tokens, _ = self._own_rules.open_edges(self._target, self._closed)
        if not len(tokens):
            raise ConstraintError(f"no admissible item is left below branch {self._target} of the tree")
        return tokens

    def mask(self) -> tuple[np.ndarray, list[int]]:
        """`allowed()` as (tokens, tokens to take off again): of a wide branch nothing is copied."""
        if not self._at_branch() or self._own_rules is None:
            return self.allowed(), []
        tokens, _ = self._own_rules.edges(self._target)
        shut = self._closed.edges.get(self._target, ())
        if len(shut) == len(tokens):
            return self.allowed(), []
        return tokens, [int(self.rules.tree.edge_token[edge]) for edge in shut]

    def prior(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What the prior adds to the log-probability of each allowed token, and the most that it can add behind it
        (float64 [n] each, 0 or less). None without a prior or without a choice."""
        if self.rules.prior is None or self._depth == FREE or not self._at_branch():
            return None
        _, edges = self._own_rules.open_edges(self._target, self._closed)
        return self._own_rules.shares(self._target, self._closed, edges)

    def offers(self, leaf: int) -> bool:
        """Whether the title of a leaf can still be written from this place of an open item."""
        lo, hi = self.leaves
        return lo <= leaf < hi and leaf not in self._closed.leaves and self._own_rules.count(leaf, leaf + 1) > 0

    @property
    def branch(self) -> int | None:
        """The branch of the tree that the row stands at; None in free text and inside a forced run."""
        return self._target if self._depth != FREE and self._at_branch() else None

    def offers_token(self, token: int) -> bool:
        """Whether a token may follow at a branch."""
        return self._edge(token) is not None

    def token_towards(self, leaf: int) -> int:
        """The next token on the way to a leaf below this place of an open item."""
        tree = self.rules.tree
        return int(tree.tokens[int(tree.title_start[leaf]) + self._depth])

    def barred(self) -> tuple[int, ...]:
        """Token ids that free text may not hold: the closing token, and the opening one when nothing is left."""
        tree = self.rules.tree
        return (tree.eoi, tree.soi) if self.exhausted else (tree.eoi,)

    def advance(self, token: int) -> int | None:
        """Moves over `token`; returns the leaf that it completes, or None.

        Raises:
            ConstraintError: the token is not allowed here.
        """
        tree = self.rules.tree
        if self._depth == FREE:
            if token in (tree.eoi, tree.soi):
                if token in self.barred():
                    raise ConstraintError(f"control token {token} is barred in this place of the text")
                self._target, self._depth = tree.top, 0
            return None
        if self._at_branch():
            if (edge := self._edge(token)) is None:
                raise ConstraintError(f"token {token} leads to no admissible item")
            self._target = int(tree.edge_target[edge])
        elif token != self._next_token():
            raise ConstraintError(f"token {token} is not on the way to any title of the catalogue")
        self._depth += 1
        if token != tree.eoi:
            return None
        leaf = ~self._target
        self._depth = FREE
        self._use(leaf)
        return leaf

    def _edge(self, token: int) -> int | None:
        """The edge of the present branch under `token`, if an admissible item is left below it."""
        tree, span = self.rules.tree, self.rules.tree.edges(self._target)
        # A plain int would be compared as int64, over a copy of all tokens.
        edge = span.start + int(np.searchsorted(tree.edge_token[span], np.int32(token)))
        if edge == span.stop or tree.edge_token[edge] != token:
            return None
        return edge if self._own_rules.is_open(edge, self._target, self._closed) else None

    def _use(self, leaf: int) -> None:
        self.used = (*self.used, leaf)
        if self.rules.distinct and self._own_rules is not None:
            self._closed = self._own_rules.close(self._closed, leaf)
        self._apply_caps()

    def _apply_caps(self) -> None:
        """Takes the rules without the groups that are full, once one more of them is."""
        full = self.rules.full_groups(self.used)
        rules = self.rules.capped(full) if full else self.rules
        if rules is self._own_rules:
            return
        self._own_rules = rules
        if rules is not None:
            self._closed = rules.closed
            for leaf in self.used if rules.distinct else ():
                self._closed = rules.close(self._closed, leaf)

    def forced_run(self) -> list[int]:
        """The tokens that follow without a choice from here to the next decision, or to the end of the title."""
        if self._depth == FREE:
            return []
        tree, target, depth, run = self.rules.tree, self._target, self._depth, []
        while True:
            lo, _ = tree.below(target)
            start = int(tree.title_start[lo])
            until = int(tree.branch_depth[target]) if target >= 0 else int(tree.title_start[lo + 1]) - start
            run += tree.tokens[start + depth:start + until].tolist()
            if target < 0:
                return run
            tokens, edges = self._own_rules.open_edges(target, self._closed)
            if len(edges) != 1:
                return run
            run.append(int(tokens[0]))
            target, depth = int(tree.edge_target[edges[0]]), until + 1
