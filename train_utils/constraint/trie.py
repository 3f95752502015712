"""Title token ids as a compressed prefix tree of flat arrays. NumPy only.

Only nodes with two children or more are stored: what stands between two of them leaves no choice, and is read from
the titles themselves. On real catalogs two thirds and more of all title tokens are such.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class TitleTrie:
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
        """Where every title starts to: branch 0, or `~0` in a catalog of one title."""
        return 0 if len(self.branch_depth) else ~0

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def items_of_leaf(self, leaf: int) -> list[int]:
        return self.leaf_items[self.leaf_item_start[leaf] : self.leaf_item_start[leaf + 1]].tolist()

    def title(self, leaf: int) -> list[int]:
        """Token ids of a leaf's title, the closing `eoi` included."""
        return self.tokens[self.title_start[leaf] : self.title_start[leaf + 1]].tolist()

    def edges(self, branch: int) -> slice:
        return slice(int(self.edge_start[branch]), int(self.edge_start[branch + 1]))

    def below(self, target: int) -> tuple[int, int]:
        """The leaves `[lo, hi)` below a branch, or a `~leaf`."""
        return (int(self.branch_lo[target]), int(self.branch_hi[target])) if target >= 0 else (~target, ~target + 1)

    def intervals(self, branch: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last-but-one leaf below each edge of a branch: lo, hi, int32 [edges of it]."""
        lo = self.edge_lo[self.edges(branch)]
        return lo, np.append(lo[1:], self.branch_hi[branch])

    def begins_title(self, tokens: Sequence[int]) -> bool:
        """Whether a title, closed by `eoi`, begins with these token ids."""
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
                place = int(self.title_start[leaf]) + depth
                if place == self.title_start[leaf + 1] or self.tokens[place] != token:
                    return False
        return True

    def path(self, leaf: int) -> tuple[tuple[int, int], ...]:
        """The choices that lead to a leaf: (branch, edge) from the top down."""
        found, target = [], self.top
        while target >= 0:
            edges = self.edges(target)
            edge = edges.start + int(np.searchsorted(self.edge_lo[edges], np.int32(leaf), side="right")) - 1
            found.append((target, edge))
            target = int(self.edge_target[edge])
        return tuple(found)


def build_trie(titles: Sequence[Sequence[int]], soi: int, eoi: int) -> TitleTrie:
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
    if found := special_tokens_in(titles, (soi, eoi)):
        raise ValueError(f"title {found[0]} holds a control token (id {found[1]}); catalog text may not")
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
    return TitleTrie(
        soi,
        eoi,
        tokens,
        _narrow(title_start),
        depth.astype(np.int32),
        leaf_of_place[place_lo].astype(np.int32),
        branch_hi.astype(np.int32),
        _narrow(edge_start),
        edge_token.astype(np.int32),
        edge_lo.astype(np.int32),
        np.where(edge_branch >= 0, edge_branch, ~edge_lo).astype(np.int32),
        _narrow(np.append(first, len(titles))),
        order.astype(np.int32),
        item_leaf,
    )


def special_tokens_in(titles: Sequence[Sequence[int]], special: Collection[int]) -> tuple[int, int] | None:
    """The first title that holds one of these token ids, and the token; None where no title does."""
    lengths = np.fromiter(map(len, titles), dtype=np.int64, count=len(titles))
    flat = np.fromiter(chain.from_iterable(titles), dtype=np.int64, count=int(lengths.sum()))
    found = np.flatnonzero(np.isin(flat, np.fromiter(special, dtype=np.int64, count=len(special))))
    if not len(found):
        return None
    return int(np.searchsorted(np.cumsum(lengths), found[0], side="right")), int(flat[found[0]])


def _narrow(offsets: np.ndarray) -> np.ndarray:
    return offsets.astype(np.int32 if offsets[-1] < 2**31 else np.int64)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`starts[i] .. starts[i] + lengths[i] - 1` of each i, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)


def _sort(
    flat: np.ndarray, starts: np.ndarray, lengths: np.ndarray, eoi: int
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
    place = np.arange(len(starts))  # places whose title is equal to a neighbor's so far
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
        branches.append(
            (np.full(splits.sum(), depth), place[first[splits]], place[behind[splits] - 1] + 1, degree[splits])
        )
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
    return (
        order,
        is_leaf,
        (depths, los, his, np.append(0, np.cumsum(degrees))),
        (*map(np.concatenate, zip(*edges, strict=True)), edge_branch),
    )
