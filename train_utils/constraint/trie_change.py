"""Changes of a trie: a few titles are taken out and put in, many are merged with the others and sorted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from train_utils.constraint.trie import TitleTrie, build_trie, narrow, trie_of

_FEW = 8  # titles; one by one they take as long as all of 100,000 titles sorted again


def changed_trie(trie: TitleTrie, titles: Mapping[int, Sequence[int]]) -> TitleTrie:
    """Return the trie after changes of some titles; it equals the trie that is built from all titles, and takes less.

    Args:
        trie: the trie before.
        titles: item -> token ids of its new title, without control tokens; items beyond the last one are added.

    Raises:
        ValueError: the added items do not follow the last one; else as `build_trie`.
    """
    if not titles:
        return trie
    n_items = max(trie.n_items, max(titles) + 1)
    if missing := next((item for item in range(trie.n_items, n_items) if item not in titles), None):
        raise ValueError(f"item {missing} has no title; items are added after the last one, {trie.n_items - 1}")
    new = build_trie(list(titles.values()), trie.soi, trie.eoi)  # checks them
    if len(titles) > min(_FEW, trie.n_leaves - 1):
        return _merged(trie, new, np.fromiter(titles, dtype=np.int64, count=len(titles)), n_items)
    for item, ids in sorted(titles.items()):
        trie = _with_title(_without_title(trie, item) if item < trie.n_items else trie, item, [*ids, trie.eoi])
    return trie


def _merged(trie: TitleTrie, new: TitleTrie, new_items: np.ndarray, n_items: int) -> TitleTrie:
    """Return a trie of the titles of two.

    Args:
        trie: the trie before.
        new: the trie of the new titles.
        new_items: int64 [n], item of each new title.
        n_items: number of all items.
    """
    kept = np.ones(n_items, dtype=bool)
    kept[new_items] = False
    # Both parts are in the order of their leaves: to sort them again is little more than to merge them.
    old_items = trie.leaf_items[kept[trie.leaf_items]]
    old_leaves, new_leaves = trie.item_leaf[old_items], new.item_leaf[new.leaf_items]
    return trie_of(
        np.concatenate([trie.tokens, new.tokens]),
        np.concatenate([trie.title_start[old_leaves], new.title_start[new_leaves] + np.int64(len(trie.tokens))]),
        np.concatenate([np.diff(trie.title_start)[old_leaves], np.diff(new.title_start)[new_leaves]]),
        np.concatenate([old_items, new_items[new.leaf_items]]),
        trie.soi,
        trie.eoi,
        trie.item_tokens,
    )


# -- one title -------------------------------------------------------------------------------------------------------


def _without_title(trie: TitleTrie, item: int) -> TitleTrie:
    """Return the trie without the title of an item, whose leaf is -1 then. Another title is left."""
    leaf = int(trie.item_leaf[item])
    item_leaf = trie.item_leaf.copy()
    item_leaf[item] = -1
    at = int(trie.leaf_item_start[leaf]) + trie.items_of_leaf(leaf).index(item)
    leaf_items = np.delete(trie.leaf_items, at)
    leaf_item_start = _stepped(trie.leaf_item_start, leaf + 1, -1)
    trie = replace(trie, item_leaf=item_leaf, leaf_items=leaf_items, leaf_item_start=leaf_item_start)
    return trie if leaf_item_start[leaf] < leaf_item_start[leaf + 1] else _without_leaf(trie, leaf)


def _without_leaf(trie: TitleTrie, leaf: int) -> TitleTrie:
    """Return the trie without a leaf that has no items."""
    *above, (branch, edge) = trie.path(leaf)
    edges = trie.edges(branch)
    target, gone = trie.edge_target.copy(), [edge]
    depth, low, high = trie.branch_depth, trie.branch_lo, trie.branch_hi
    edge_start = _stepped(trie.edge_start, branch + 1, -1)
    if edges.stop - edges.start == 2:  # the other edge takes the place of the branch
        other = edges.start + edges.stop - 1 - edge
        if above:
            target[above[-1][1]] = target[other]
        gone = [edges.start, edges.start + 1]
        depth, low, high = (np.delete(array, branch) for array in (depth, low, high))
        edge_start = _stepped(np.delete(trie.edge_start, branch), branch, -2)
        target[target > branch] -= 1
    target, edge_lo = np.delete(target, gone), np.delete(trie.edge_lo, gone)
    begin, end = int(trie.title_start[leaf]), int(trie.title_start[leaf + 1])
    return replace(
        trie,
        tokens=np.delete(trie.tokens, slice(begin, end)),
        title_start=narrow(_stepped(np.delete(trie.title_start, leaf), leaf, begin - end)),
        branch_depth=depth,
        branch_lo=low - (low > leaf),
        branch_hi=high - (high > leaf),
        edge_start=narrow(edge_start),
        edge_token=np.delete(trie.edge_token, gone),
        edge_lo=edge_lo - (edge_lo > leaf),
        edge_target=target + (target < ~leaf),
        leaf_item_start=np.delete(trie.leaf_item_start, leaf),
        item_leaf=trie.item_leaf - (trie.item_leaf > leaf),
    )


@dataclass(frozen=True)
class _Place:
    """Where a new title belongs.

    Attributes:
        leaf: its leaf, before which the others stay; the leaf of an equal title, if `is_there`.
        is_there: whether an equal title is there.
        path: (branch, edge) above it, from the root down.
        branch: branch that gets an edge; -1 where `split` becomes a branch.
        edge: the new edge's number, if a branch gets one.
        split: target whose titles differ from the new one before its end.
        depth: number of tokens that the new title shares with those next to it.
    """

    leaf: int
    path: tuple[tuple[int, int], ...]
    depth: int
    is_there: bool = False
    branch: int = -1
    edge: int = -1
    split: int = 0


def _place(trie: TitleTrie, title: Sequence[int]) -> _Place:
    """Return where a title belongs, which ends with `eoi`."""
    path: list[tuple[int, int]] = []
    target, depth = trie.top, 0
    while True:
        low, high = trie.below(target)
        other = trie.title(low)
        end = int(trie.branch_depth[target]) if target >= 0 else len(other)
        while depth < end and title[depth] == other[depth]:
            depth += 1
        if depth < end:
            return _Place(low if title[depth] < other[depth] else high, tuple(path), depth, split=target)
        if target < 0:
            return _Place(low, tuple(path), depth, is_there=True)
        edges = trie.edges(target)
        edge = edges.start + int(np.searchsorted(trie.edge_token[edges], np.int32(title[depth])))
        if edge == edges.stop or trie.edge_token[edge] != title[depth]:
            leaf = high if edge == edges.stop else int(trie.edge_lo[edge])
            return _Place(leaf, tuple(path), depth, branch=target, edge=edge)
        path.append((target, edge))
        target, depth = int(trie.edge_target[edge]), depth + 1


def _with_title(trie: TitleTrie, item: int, title: Sequence[int]) -> TitleTrie:
    """Return the trie with the title, which ends with `eoi`, of an item that has none."""
    place = _place(trie, title)
    trie = trie if place.is_there else _with_leaf(trie, place, title)
    first, end = int(trie.leaf_item_start[place.leaf]), int(trie.leaf_item_start[place.leaf + 1])
    at = first + int(np.searchsorted(trie.leaf_items[first:end], item))
    item_leaf = trie.item_leaf.copy() if item < trie.n_items else np.append(trie.item_leaf, np.int32(-1))
    item_leaf[item] = place.leaf
    return replace(
        trie,
        leaf_items=np.insert(trie.leaf_items, at, item),
        leaf_item_start=_stepped(trie.leaf_item_start, place.leaf + 1, 1),
        item_leaf=item_leaf,
    )


def _with_leaf(trie: TitleTrie, place: _Place, title: Sequence[int]) -> TitleTrie:
    """Return the trie with a leaf that has no items yet."""
    leaf, low = place.leaf, trie.below(place.split)[0]
    target = trie.edge_target - (trie.edge_target <= ~leaf)
    edge_lo = trie.edge_lo + (trie.edge_lo >= leaf)
    branch_lo, branch_hi = trie.branch_lo + (trie.branch_lo >= leaf), trie.branch_hi + (trie.branch_hi > leaf)
    above = [branch for branch, _ in place.path] + [place.branch] * (place.branch >= 0)
    branch_lo[above], branch_hi[above] = trie.branch_lo[above], trie.branch_hi[above] + 1
    through = [edge for _, edge in place.path]
    edge_lo[through] = trie.edge_lo[through]
    depth, token = trie.branch_depth, np.int32(title[place.depth])
    if place.branch >= 0:
        at, tokens, lows, targets = place.edge, [token], [leaf], [~leaf]
        edge_start = _stepped(trie.edge_start, place.branch + 1, 1)
    else:
        same = slice(*np.searchsorted(depth, [place.depth, place.depth + 1]))
        new = same.start + int(np.searchsorted(trie.branch_lo[same], low))
        target += target >= new
        kept, kept_low = place.split + (place.split >= new), low + (leaf == low)
        if place.split < 0:
            kept = ~kept_low
        if place.path:
            target[through[-1]] = new
        at = int(trie.edge_start[new])
        edges = [(trie.title(low)[place.depth], kept_low, kept), (token, leaf, ~leaf)]
        tokens, lows, targets = map(list, zip(*sorted(edges, key=lambda edge: edge[1]), strict=True))
        edge_start = np.concatenate([trie.edge_start[: new + 1], trie.edge_start[new:] + 2])
        high = trie.below(place.split)[1] + 1
        depth = np.insert(depth, new, place.depth)
        branch_lo, branch_hi = np.insert(branch_lo, new, low), np.insert(branch_hi, new, high)
    return replace(
        trie,
        tokens=np.insert(trie.tokens, int(trie.title_start[leaf]), title),
        title_start=_opened(trie.title_start, leaf, len(title)),
        branch_depth=depth,
        branch_lo=branch_lo,
        branch_hi=branch_hi,
        edge_start=narrow(edge_start),
        edge_token=np.insert(trie.edge_token, at, tokens),
        edge_lo=np.insert(edge_lo, at, lows),
        edge_target=np.insert(target, at, targets),
        leaf_item_start=_opened(trie.leaf_item_start, leaf, 0),
        item_leaf=trie.item_leaf + (trie.item_leaf >= leaf),
    )


def _stepped(offsets: np.ndarray, begin: int, step: int) -> np.ndarray:
    """Return offsets of which those from a position on are changed by a step."""
    stepped = offsets.copy()
    stepped[begin:] += step
    return stepped


def _opened(offsets: np.ndarray, at: int, length: int) -> np.ndarray:
    """Return offsets with a further part of a length at a position."""
    return narrow(np.concatenate([offsets[: at + 1], offsets[at:] + np.int64(length)]))
