"""Title token ids as a prefix tree of flat arrays, and the state of one row that walks it. NumPy only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

FREE = -1
ROOT = 0


class ConstraintError(ValueError):
    """A token or a rule that the tree cannot follow. Nothing may be decoded past it."""


@dataclass(frozen=True)
class TitleTree:
    """Prefix tree of N titles, each closed by `eoi`. Nodes are numbered by depth, the root is 0.

    Leaves are the distinct titles in lexicographic order of their token ids, so the leaves below a node are one
    interval `[leaf_lo, leaf_hi)`. The children of node n are the edges `child_start[n]:child_start[n + 1]`.

    Attributes:
        soi, eoi: ids of the control tokens that open and close an item.
        child_start: int64 [nodes + 1]. edge_token: int32 [edges]. edge_node: int32 [edges].
        leaf_lo, leaf_hi: int32 [nodes].
        leaf_item_start: int64 [leaves + 1]; leaf_items: int32 [N]: the items that share the title of a leaf.
        item_leaf: int32 [N].
    """

    soi: int
    eoi: int
    child_start: np.ndarray
    edge_token: np.ndarray
    edge_node: np.ndarray
    leaf_lo: np.ndarray
    leaf_hi: np.ndarray
    leaf_item_start: np.ndarray
    leaf_items: np.ndarray
    item_leaf: np.ndarray

    @property
    def n_items(self) -> int:
        return len(self.item_leaf)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_item_start) - 1

    def items_of_leaf(self, leaf: int) -> list[int]:
        return self.leaf_items[self.leaf_item_start[leaf]:self.leaf_item_start[leaf + 1]].tolist()

    def edges(self, node: int) -> slice:
        return slice(int(self.child_start[node]), int(self.child_start[node + 1]))

    def child(self, node: int, token: int) -> int:
        """The child of `node` under `token`, or -1."""
        edges = self.edges(node)
        tokens = self.edge_token[edges]
        at = int(np.searchsorted(tokens, token))
        if at < len(tokens) and tokens[at] == token:
            return int(self.edge_node[edges.start + at])
        return -1


def build_tree(titles: Sequence[Sequence[int]], soi: int, eoi: int) -> TitleTree:
    """Builds the tree of `titles` (token ids without control tokens), by sorting and comparing columns.

    Raises:
        ValueError: no titles, an empty title, or a title that holds `soi` or `eoi`.
    """
    if not len(titles):
        raise ValueError("a tree needs at least one title, got none")
    lengths = np.fromiter((len(t) for t in titles), dtype=np.int64, count=len(titles))
    if not lengths.all():
        raise ValueError(f"title {int(np.argmin(lengths))} has no tokens; every title needs at least one")
    flat = np.fromiter((token for title in titles for token in title), dtype=np.int32, count=int(lengths.sum()))
    if np.isin(flat, (soi, eoi)).any():
        raise ValueError(f"a title holds a control token (ids {soi}, {eoi}); catalogue text may not")
    width = int(lengths.max()) + 1
    table = np.full((len(titles), width), -1, dtype=np.int32)
    table[np.arange(width) < lengths[:, None]] = flat
    table[np.arange(len(titles)), lengths] = eoi

    order = np.lexsort(table.T[::-1])
    table = table[order]
    is_new = np.ones(table.shape, dtype=bool)
    is_new[1:] = np.logical_or.accumulate(table[1:] != table[:-1], axis=1)
    leaf_of_row = np.cumsum(is_new[:, -1]) - 1
    leaf_starts = np.flatnonzero(is_new[:, -1])
    item_leaf = np.empty(len(titles), dtype=np.int32)
    item_leaf[order] = leaf_of_row
    return TitleTree(
        soi,
        eoi,
        *_nodes_by_depth(table[leaf_starts], is_new[leaf_starts]),
        leaf_item_start=np.append(leaf_starts, len(titles)).astype(np.int64),
        leaf_items=order.astype(np.int32),
        item_leaf=item_leaf,
    )


def _nodes_by_depth(table: np.ndarray, is_new: np.ndarray) -> tuple[np.ndarray, ...]:
    """CSR arrays of the tree whose sorted distinct leaves are the rows of `table` (int32 [leaves, width])."""
    n_leaves, width = table.shape
    tokens, los, his, degrees = [np.array([-1])], [np.array([0])], [np.array([n_leaves])], []
    for depth in range(width):
        starts = np.flatnonzero(is_new[:, depth] & (table[:, depth] >= 0))
        # A node ends where the prefix of its first row stops, be it at a new prefix or at a finished title.
        ends = np.append(np.flatnonzero(is_new[:, depth]), n_leaves)
        ends = ends[np.searchsorted(ends, starts, side="right")]
        parents = np.searchsorted(los[-1], starts, side="right") - 1
        degrees.append(np.bincount(parents, minlength=len(los[-1])))
        tokens.append(table[starts, depth])
        los.append(starts)
        his.append(ends)
    degrees.append(np.zeros(len(los[-1]), dtype=np.int64))
    child_start = np.concatenate([[0], np.cumsum(np.concatenate(degrees))]).astype(np.int64)
    edge_token = np.concatenate(tokens[1:]).astype(np.int32)
    # Nodes are numbered in the order in which their edges stand, so edge e leads to node e + 1.
    edge_node = np.arange(1, len(edge_token) + 1, dtype=np.int32)
    return (child_start, edge_token, edge_node, np.concatenate(los).astype(np.int32),
            np.concatenate(his).astype(np.int32))


class Rules:
    """Which items a request admits. Counts below a node come from prefix sums over the leaves.

    Args:
        tree: the catalogue's tree.
        allow: item indices that may be emitted; None admits all.
        deny: item indices that may not be emitted.
        distinct: a title may be emitted once a turn.

    Raises:
        ConstraintError: an index outside the catalogue, or rules that admit no item.
    """

    def __init__(
        self,
        tree: TitleTree,
        allow: Iterable[int] | None = None,
        deny: Iterable[int] = (),
        distinct: bool = True,
    ):
        admitted = np.ones(tree.n_items, dtype=bool) if allow is None else np.zeros(tree.n_items, dtype=bool)
        if allow is not None:
            admitted[_checked(allow, tree)] = True
        admitted[_checked(deny, tree)] = False
        if not admitted.any():
            raise ConstraintError(
                f"the rules admit none of the catalogue's {tree.n_items} items; loosen allow, deny or hide_seen"
            )
        self.tree = tree
        self.distinct = distinct
        self.admitted = admitted
        open_leaves = np.zeros(tree.n_leaves, dtype=bool)
        open_leaves[tree.item_leaf[admitted]] = True
        self.open_below = np.concatenate([[0], np.cumsum(open_leaves)])

    def first_item(self, leaf: int) -> int:
        """The first admitted item of a leaf."""
        return next(i for i in self.tree.items_of_leaf(leaf) if self.admitted[i])


def _checked(indices: Iterable[int], tree: TitleTree) -> np.ndarray:
    array = np.fromiter(indices, dtype=np.int64)
    if array.size and (array.min() < 0 or array.max() >= tree.n_items):
        raise ConstraintError(f"item index {int(array.max())} is outside the catalogue of {tree.n_items} items")
    return array


class Cursor:
    """State of one row: FREE or a node of the tree, and the leaves already emitted in this turn (DESIGN section 4)."""

    __slots__ = ("rules", "tree", "node", "used")

    def __init__(self, rules: Rules, node: int = FREE, used: Sequence[int] = ()):
        self.rules = rules
        self.tree = rules.tree
        self.node = node
        self.used: list[int] = list(used)

    def copy(self) -> "Cursor":
        return Cursor(self.rules, self.node, self.used)

    @property
    def exhausted(self) -> bool:
        """True when no admissible item is left, so that no item may be opened."""
        return self._left(np.array([ROOT]))[0] == 0

    def allowed(self) -> np.ndarray | None:
        """Token ids that lead to an admissible item, ascending (int32 [n]); None in free text."""
        if self.node == FREE:
            return None
        edges = self.tree.edges(self.node)
        tokens = self.tree.edge_token[edges][self._left(self.tree.edge_node[edges]) > 0]
        if not len(tokens):
            raise ConstraintError(f"no admissible item is left below node {self.node} of the tree")
        return tokens

    def barred(self) -> tuple[int, ...]:
        """Token ids that free text may not hold: the closing token, and the opening one when nothing is left."""
        return (self.tree.eoi, self.tree.soi) if self.exhausted else (self.tree.eoi,)

    def advance(self, token: int) -> int | None:
        """Moves over `token`; returns the leaf that it completes, or None.

        Raises:
            ConstraintError: the token is not allowed here.
        """
        if self.node == FREE:
            if token in (self.tree.eoi, self.tree.soi):
                if token in self.barred():
                    raise ConstraintError(f"control token {token} is barred in this place of the text")
                self.node = ROOT
            return None
        child = self.tree.child(self.node, token)
        if child < 0 or self._left(np.array([child]))[0] == 0:
            raise ConstraintError(f"token {token} below node {self.node} leads to no admissible item")
        if token != self.tree.eoi:
            self.node = child
            return None
        leaf = int(self.tree.leaf_lo[child])
        self.node = FREE
        self.used.append(leaf)
        return leaf

    def forced_run(self) -> list[int]:
        """The tokens that follow without a choice from here to the next decision, or to the end of the title."""
        ahead, run = self.copy(), []
        while ahead.node != FREE:
            tokens = ahead.allowed()
            if len(tokens) > 1:
                break
            run.append(int(tokens[0]))
            ahead.advance(run[-1])
        return run

    def _left(self, nodes: np.ndarray) -> np.ndarray:
        """Number of admissible titles below each of `nodes` (int64 [n])."""
        lo, hi = self.tree.leaf_lo[nodes], self.tree.leaf_hi[nodes]
        left = self.rules.open_below[hi] - self.rules.open_below[lo]
        if self.rules.distinct:
            for leaf in set(self.used):
                # A leaf that the rules already closed is not counted a second time.
                if self.rules.open_below[leaf + 1] > self.rules.open_below[leaf]:
                    left = left - ((lo <= leaf) & (leaf < hi))
        return left
