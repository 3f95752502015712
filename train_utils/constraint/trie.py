"""Compressed trie of title token ids in flat arrays. NumPy only.

Only branches, nodes with two children or more, are stored. The tokens between two branches are forced and are read
from the titles. On real catalogs these are two thirds or more of all title tokens.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class TitleTrie:
    """Prefix tree of the titles of N items, each closed by `eoi`.

    Leaves are the distinct titles in lexicographic order of their token ids, so the leaves below a branch are one
    interval `[branch_lo, branch_hi)`. Branches, the nodes with several children, are numbered by depth. The children
    of branch b are the edges `edge_start[b]:edge_start[b + 1]`, ascending by token and by leaf.

    Attributes:
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        tokens: int32 [sum of lengths], the distinct titles with their `eoi`, concatenated.
        title_start: int [leaves + 1], offset of each title in `tokens`.
        branch_depth: int32 [branches], number of tokens that all titles below a branch share.
        branch_lo: int32 [branches], first leaf below a branch.
        branch_hi: int32 [branches], end of the leaves below a branch, exclusive.
        edge_start: int [branches + 1], first edge of each branch.
        edge_token: int32 [edges], token of an edge.
        edge_lo: int32 [edges], first leaf below an edge.
        edge_target: int32 [edges], next branch below an edge, or `~leaf`.
        leaf_item_start: int [leaves + 1], offset of each leaf in `leaf_items`.
        leaf_items: int32 [N], the items by leaf; several items share the leaf of their common title.
        item_leaf: int32 [N], leaf of each item.
        item_tokens: int32 [M], tokens that only items contain, such as item codes; free text must not contain them.
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
    item_tokens: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    @cached_property
    def barred(self) -> np.ndarray:
        """Token ids that free text must not contain: `<EOI>` and the tokens that only items contain. int64 [n]."""
        return np.concatenate([[self.eoi], self.item_tokens]).astype(np.int64)

    @cached_property
    def barred_with_soi(self) -> np.ndarray:
        """Token ids that free text must not contain when no item may be opened. int64 [n]."""
        return np.append(self.barred, self.soi)

    @cached_property
    def only_in_items(self) -> frozenset[int]:
        """`barred` as a set."""
        return frozenset(self.barred.tolist())

    @property
    def n_items(self) -> int:
        return len(self.item_leaf)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_item_start) - 1

    @property
    def top(self) -> int:
        """The first target of every title: branch 0, or `~0` in a catalog of one title."""
        return 0 if len(self.branch_depth) else ~0

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}

    def items_of_leaf(self, leaf: int) -> list[int]:
        return self.leaf_items[self.leaf_item_start[leaf] : self.leaf_item_start[leaf + 1]].tolist()

    def title(self, leaf: int) -> list[int]:
        """Return the token ids of the title of a leaf, including the closing `eoi`."""
        return self.tokens[self.title_start[leaf] : self.title_start[leaf + 1]].tolist()

    def edges(self, branch: int) -> slice:
        return slice(int(self.edge_start[branch]), int(self.edge_start[branch + 1]))

    def below(self, target: int) -> tuple[int, int]:
        """Return the leaves `[lo, hi)` below a target, a branch or a `~leaf`."""
        return (int(self.branch_lo[target]), int(self.branch_hi[target])) if target >= 0 else (~target, ~target + 1)

    def intervals(self, branch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the leaves `[lo, hi)` below each edge of a branch: lo and hi, int32 [edges of the branch]."""
        lo = self.edge_lo[self.edges(branch)]
        return lo, np.append(lo[1:], self.branch_hi[branch])

    def begins_title(self, tokens: Sequence[int]) -> bool:
        """Return whether these token ids are a prefix of a title that is closed by `eoi`."""
        target = self.top
        for depth, token in enumerate(tokens):
            if target >= 0 and depth == self.branch_depth[target]:
                edges = self.edges(target)
                edge = edges.start + int(np.searchsorted(self.edge_token[edges], np.int32(token)))
                if edge == edges.stop or self.edge_token[edge] != token:
                    return False
                target = int(self.edge_target[edge])
            else:
                leaf, _ = self.below(target)
                at = int(self.title_start[leaf]) + depth
                if at == self.title_start[leaf + 1] or self.tokens[at] != token:
                    return False
        return True

    def path(self, leaf: int) -> tuple[tuple[int, int], ...]:
        """Return the path to a leaf as (branch, edge) from the root down."""
        steps, target = [], self.top
        while target >= 0:
            edges = self.edges(target)
            edge = edges.start + int(np.searchsorted(self.edge_lo[edges], np.int32(leaf), side="right")) - 1
            steps.append((target, edge))
            target = int(self.edge_target[edge])
        return tuple(steps)


def build_trie(titles: Sequence[Sequence[int]], soi: int, eoi: int, item_tokens: Sequence[int] = ()) -> TitleTrie:
    """Build the trie of titles, one token column at a time over the titles that are still equal.

    Args:
        titles: token ids of each title, without control tokens.
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        item_tokens: ids of further tokens that only items contain.

    Raises:
        ValueError: there is no title, a title is empty, or a title contains `soi` or `eoi`.
    """
    if not len(titles):
        raise ValueError("a trie needs at least one title, got none")
    flat, lengths = _flat(titles)
    if not lengths.all():
        raise ValueError(f"title {int(np.argmin(lengths))} has no tokens; every title needs at least one")
    if special := special_tokens_in(titles, (soi, eoi)):
        raise ValueError(f"title {special[0]} holds a control token (id {special[1]}); catalog text may not")
    ends = np.cumsum(lengths)
    closed = np.insert(flat, ends, eoi)
    starts = ends - lengths + np.arange(len(titles))
    return trie_of(closed, starts, lengths + 1, np.arange(len(titles)), soi, eoi, np.array(item_tokens, dtype=np.int32))


def _flat(titles: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of all titles, int32, concatenated, and the number of tokens of each, int64."""
    lengths = np.fromiter(map(len, titles), dtype=np.int64, count=len(titles))
    return np.fromiter(chain.from_iterable(titles), dtype=np.int32, count=int(lengths.sum())), lengths


def trie_of(
    flat: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    items: np.ndarray,
    soi: int,
    eoi: int,
    item_tokens: np.ndarray,
) -> TitleTrie:
    """Build a trie.

    Args:
        flat: int32, tokens that hold those of every title, each closed by `eoi`.
        starts: int64 [N], offset of each title in `flat`.
        lengths: int64 [N], tokens of each title, with its `eoi`.
        items: int64 [N], item of each title.
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        item_tokens: see `TitleTrie`.
    """
    order, is_leaf, branches, edges = _sort(flat, starts, eoi)
    leaf_of_position = np.cumsum(is_leaf) - 1
    first = np.flatnonzero(is_leaf)
    if len(first) < len(items):
        # Items of one title are in their own order.
        order = order[np.argsort(leaf_of_position << 32 | items[order], kind="stable")]
    item_leaf = np.empty(len(items), dtype=np.int32)
    item_leaf[items[order]] = leaf_of_position
    unique = order[first]
    title_start = np.append(0, np.cumsum(lengths[unique]))
    depth, position_lo, position_hi, edge_start = branches
    edge_token, edge_position, edge_branch = edges
    edge_lo = leaf_of_position[edge_position]
    branch_hi = np.append(leaf_of_position, len(first))[position_hi]
    return TitleTrie(
        soi,
        eoi,
        _pieces(flat, starts[unique], lengths[unique]),
        narrow(title_start),
        depth.astype(np.int32),
        leaf_of_position[position_lo].astype(np.int32),
        branch_hi.astype(np.int32),
        narrow(edge_start),
        edge_token.astype(np.int32),
        edge_lo.astype(np.int32),
        np.where(edge_branch >= 0, edge_branch, ~edge_lo).astype(np.int32),
        narrow(np.append(first, len(items))),
        items[order].astype(np.int32),
        item_leaf,
        item_tokens,
    )


def _pieces(flat: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return pieces of an array, concatenated; those that follow one another there are copied at once."""
    ends = starts + lengths
    cuts = np.flatnonzero(starts[1:] != ends[:-1])
    first, last = starts[np.append(0, cuts + 1)], ends[np.append(cuts, len(ends) - 1)]
    return np.concatenate([flat[low:high] for low, high in zip(first.tolist(), last.tolist(), strict=True)])


def special_tokens_in(titles: Sequence[Sequence[int]], special: Collection[int]) -> tuple[int, int] | None:
    """Return the number of the first title with a special token, and the token; None if no title has any."""
    flat, lengths = _flat(titles)
    hits = np.flatnonzero(np.isin(flat, np.fromiter(special, dtype=np.int64, count=len(special))))
    if not len(hits):
        return None
    return int(np.searchsorted(np.cumsum(lengths), hits[0], side="right")), int(flat[hits[0]])


def narrow(offsets: np.ndarray) -> np.ndarray:
    """Return offsets, ascending, as int32 where that is enough."""
    return offsets.astype(np.int32 if offsets[-1] < 2**31 else np.int64)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return `starts[i] .. starts[i] + lengths[i] - 1` for each i, concatenated."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)


def _sort(
    flat: np.ndarray, starts: np.ndarray, eoi: int
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Sort titles by their tokens including `eoi`, and collect the branches.

    One column is sorted at a time, and only where titles are still equal, which are few after the first columns.

    Args:
        flat: int32, tokens that hold those of every title, each closed by `eoi`.
        starts: int64 [N], offset of each title in `flat`.
        eoi: id of the token that closes a title.

    Returns:
        order: int64 [N], titles by position in the sorted order.
        is_leaf: bool [N], positions whose title differs from the previous one.
        branches: depth, first position and end position of each branch, and the first edge of each [branches + 1].
        edges: token, first position and next branch (or -1) of each edge.
    """
    order = np.arange(len(starts))
    is_leaf = order == 0
    branches, edges, led_to = [], [], []
    n_branches = n_edges = depth = 0
    position = np.arange(len(starts))  # positions whose title is equal to a neighbor's so far
    begins = position == 0  # True where a group of equal titles begins
    edge_of_group = np.array([-1])  # the edge that leads to each group
    while len(position):
        title = order[position]
        token = flat[starts[title] + depth]
        group = np.cumsum(begins) - 1
        by_token = np.argsort(group << 32 | token, kind="stable")  # groups keep their order; fast where they are sorted
        token, order[position] = token[by_token], title[by_token]
        new = np.append(True, token[1:] != token[:-1]) | begins
        is_leaf[position[new]] = True
        runs = np.flatnonzero(new)
        degree = np.bincount(group[runs])
        splits = degree > 1
        below_branch = splits[group[runs]]
        first, ends = np.flatnonzero(begins), np.append(np.flatnonzero(begins)[1:], len(position))
        branches.append(
            (np.full(splits.sum(), depth), position[first[splits]], position[ends[splits] - 1] + 1, degree[splits])
        )
        edges.append((token[runs[below_branch]], position[runs[below_branch]]))
        led_to.append((edge_of_group[splits], n_branches + np.arange(splits.sum())))
        edge_of_run = edge_of_group[group[runs]]
        edge_of_run[below_branch] = n_edges + np.arange(below_branch.sum())
        n_branches, n_edges = n_branches + splits.sum(), n_edges + below_branch.sum()
        sizes = np.diff(np.append(runs, len(position)))
        continues = (sizes > 1) & (token[runs] != eoi)
        kept = np.repeat(continues, sizes)
        position, begins, edge_of_group = position[kept], new[kept], edge_of_run[continues]
        depth += 1
    depths, los, his, degrees = map(np.concatenate, zip(*branches, strict=True))
    edge, branch = map(np.concatenate, zip(*led_to, strict=True))
    edge_branch = np.full(n_edges, -1)
    edge_branch[edge[edge >= 0]] = branch[edge >= 0]
    return (
        order,
        is_leaf,
        (depths, los, his, np.append(0, np.cumsum(degrees))),
        (*map(np.concatenate, zip(*edges, strict=True)), edge_branch),
    )
