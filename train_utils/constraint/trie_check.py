"""Verification of a trie that was read from a file. NumPy only, no loop over titles."""

from collections.abc import Iterator, Sequence

import numpy as np

from train_utils.constraint.trie import TitleTrie, ranges

_OFFSETS = ("title_start", "edge_start", "leaf_item_start")  # int32, or int64 above 2^31


def check_trie(trie: TitleTrie) -> None:
    """Verify that a trie is the trie of its titles, so that no walk through it can leave its arrays.

    Titles, leaves, branches, edges and items must be exactly those that `build_trie` makes; only the numbering of
    branches of equal depth is free. Costs one pass over the arrays.

    Raises:
        ValueError: an array does not fit the others; the error names the first one.
    """
    for check in (_titles, _items, _branches, _edges, _branch_tokens):
        if wrong := next(check(trie), None):
            raise ValueError(f"its {wrong}")


def check_belongs(trie: TitleTrie, soi: int, eoi: int, item_tokens: Sequence[int], n_items: int) -> None:
    """Verify that a trie has the control tokens, code tokens and number of items of a catalog.

    Raises:
        ValueError: something differs.
    """
    if (trie.soi, trie.eoi, trie.n_items) != (soi, eoi, n_items) or trie.item_tokens.tolist() != list(item_tokens):
        raise ValueError("the trie cache has control tokens, code tokens or a number of items of another catalog")


def _titles(trie: TitleTrie) -> Iterator[str]:
    for name, array in trie.arrays().items():
        kinds = (np.int32, np.int64) if name in _OFFSETS else (np.int32,)
        if array.ndim != 1 or array.dtype not in kinds:
            yield f"{name} is {array.dtype} {list(array.shape)}, wanted int32"
    if not _is_offsets(trie.title_start, len(trie.tokens), least=2):
        yield "title_start does not divide tokens into titles"
    if (trie.tokens < 0).any() or (trie.item_tokens < 0).any() or min(trie.soi, trie.eoi) < 0 or trie.soi == trie.eoi:
        yield "token ids are negative, or its control tokens are equal"
    if np.isin(trie.item_tokens, (trie.soi, trie.eoi)).any():
        yield "item_tokens have a control token"
    closes = np.zeros(len(trie.tokens), dtype=bool)
    closes[trie.title_start[1:] - 1] = True
    if not np.array_equal(trie.tokens == trie.eoi, closes) or (trie.tokens == trie.soi).any():
        yield "titles have a control token elsewhere than at their end"


def _items(trie: TitleTrie) -> Iterator[str]:
    n, n_leaves = len(trie.item_leaf), len(trie.title_start) - 1
    if len(trie.leaf_items) != n or len(trie.leaf_item_start) != n_leaves + 1:
        yield "number of items or leaves differs between arrays"
    if not _is_offsets(trie.leaf_item_start, n, least=1) or not _within(trie.leaf_items, n):
        yield "leaf_item_start or leaf_items has no item of the catalog"
    leaf = np.repeat(np.arange(n_leaves), np.diff(trie.leaf_item_start))
    ascends = (np.diff(trie.leaf_items) > 0) | (np.diff(leaf) > 0)
    if not np.array_equal(trie.item_leaf[trie.leaf_items], leaf) or not ascends.all():
        yield "item_leaf and leaf_items contradict each other"


def _branches(trie: TitleTrie) -> Iterator[str]:
    n, n_leaves = len(trie.branch_depth), trie.n_leaves
    if (len(trie.branch_lo), len(trie.branch_hi)) != (n, n) or (n == 0) != (n_leaves == 1):
        yield "number of branches differs between arrays"
    if not (len(trie.edge_token) == len(trie.edge_lo) == len(trie.edge_target)):
        yield "number of edges differs between arrays"
    if n == 0:
        if len(trie.edge_token) or trie.edge_start.tolist() != [0]:
            yield "edges belong to no branch"
        return
    if len(trie.edge_start) != n + 1 or not _is_offsets(trie.edge_start, len(trie.edge_token), least=2):
        yield "edge_start does not divide the edges among the branches"
    if (trie.branch_lo[0], trie.branch_hi[0]) != (0, n_leaves) or not _within(trie.branch_lo, n_leaves):
        yield "first branch does not hold all leaves"
    if (trie.branch_depth < 0).any() or (np.diff(trie.branch_depth) < 0).any():
        yield "branches are not in the order of their depth"
    if (trie.branch_hi <= trie.branch_lo).any() or (trie.branch_hi > n_leaves).any():
        yield "branch_hi leaves the leaves"


def _edges(trie: TitleTrie) -> Iterator[str]:
    n = len(trie.branch_depth)
    if n == 0:
        return
    branch = _branch_of_edges(trie)
    first, inside = trie.edge_start[:-1], np.diff(branch) == 0
    if not np.array_equal(trie.edge_lo[first], trie.branch_lo):
        yield "edges do not begin where their branches do"
    ends = _ends(trie)
    if (ends <= trie.edge_lo).any() or (np.diff(trie.edge_token)[inside] <= 0).any():
        yield "edges of a branch do not ascend"
    to_branch = trie.edge_target >= 0
    target = trie.edge_target[to_branch]
    # Each branch but the first is the target of one edge, so that following edges reaches every leaf once.
    if not _within(target, n) or not np.array_equal(np.bincount(target, minlength=n), np.arange(n) > 0):
        yield "edge_target does not lead to each branch once"
    if (
        not np.array_equal(trie.branch_lo[target], trie.edge_lo[to_branch])
        or not np.array_equal(trie.branch_hi[target], ends[to_branch])
        or (trie.branch_depth[target] <= trie.branch_depth[branch[to_branch]]).any()
    ):
        yield "edges and the branches below them have different leaves"
    leaf = ~trie.edge_target[~to_branch]
    if not np.array_equal(leaf, trie.edge_lo[~to_branch]) or (ends[~to_branch] - leaf != 1).any():
        yield "edge_target leads to another leaf than edge_lo"


def _branch_tokens(trie: TitleTrie) -> Iterator[str]:
    """Compare the edges with the tokens of the titles.

    Neighboring leaves are separated by one branch: they share the tokens above it, and differ at its depth.
    """
    if not len(trie.branch_depth):
        return
    branch, starts = _branch_of_edges(trie), trie.title_start
    lengths, depth = np.diff(starts), trie.branch_depth[branch]
    if (depth >= lengths[trie.edge_lo]).any():
        yield "branches are deeper than their titles"
    if not np.array_equal(trie.tokens[starts[trie.edge_lo] + depth], trie.edge_token):
        yield "edge_token differs from the titles"
    separates = np.append(False, np.diff(branch) == 0)  # edges that are not the first of their branch
    shared = np.zeros(trie.n_leaves, dtype=np.int64)  # tokens that a leaf shares with the previous one
    shared[trie.edge_lo[separates]] = depth[separates]
    shared = shared[1:]
    if (shared >= lengths[:-1]).any():
        yield "branches are deeper than their titles"
    left, right = starts[:-2] + shared, starts[1:-1] + shared
    if (trie.tokens[left] >= trie.tokens[right]).any():
        yield "titles are not in the order of their tokens"
    if shared.any() and not np.array_equal(
        trie.tokens[ranges(starts[:-2], shared)], trie.tokens[ranges(starts[1:-1], shared)]
    ):
        yield "titles below a branch have different tokens above it"


def _branch_of_edges(trie: TitleTrie) -> np.ndarray:
    """Return the branch of each edge, int64 [edges]."""
    return np.repeat(np.arange(len(trie.branch_depth)), np.diff(trie.edge_start))


def _ends(trie: TitleTrie) -> np.ndarray:
    """Return the end of the leaves below each edge, exclusive, int32 [edges]."""
    ends = np.append(trie.edge_lo[1:], 0)
    ends[trie.edge_start[1:] - 1] = trie.branch_hi
    return ends


def _is_offsets(offsets: np.ndarray, total: int, least: int) -> bool:
    """Return whether offsets run from 0 to `total` in steps of at least `least`."""
    # The last offset bounds all others, so that the differences of ascending int32 offsets cannot overflow.
    ascends = len(offsets) > 1 and bool((offsets[1:] > offsets[:-1]).all())
    return ascends and offsets[0] == 0 and offsets[-1] == total and bool((np.diff(offsets) >= least).all())


def _within(numbers: np.ndarray, n: int) -> bool:
    return bool(((numbers >= 0) & (numbers < n)).all())
