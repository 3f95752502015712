"""Attention over variable-length batches, without padding.

One forward pass of a Hugging Face model reads the new tokens of all rows as a single sequence. Only the attention
distinguishes the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, Cache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "ragged"
_GROWTH = 64  # slots by which a cache grows


@dataclass(frozen=True)
class Layout:
    """Layout of the T new tokens of a pass.

    Attributes:
        row: int64 [T], row of each token.
        slot: int64 [T], slot of each token in the cache.
        position: int64 [T], position of each token in the text of its row.
        column: int64 [T], number of each token among the new tokens of its row.
        width: number of new tokens of the row with the most.
        mask: bool [rows, 1, width, keys], True for slots that a new token attends to.
        query_position: int64 [rows, width], position in the text of each new token.
        key_position: int64 [rows, keys], position in the text of each slot.
    """

    row: torch.Tensor
    slot: torch.Tensor
    position: torch.Tensor
    column: torch.Tensor
    width: int
    mask: torch.Tensor
    query_position: torch.Tensor
    key_position: torch.Tensor


def lay_out(
    lengths: Sequence[int], new: Sequence[int], device: torch.device, trees: Sequence["TokenTree | None"] | None = None
) -> Layout:
    """Return the layout of a pass.

    New tokens continue the text of their row, or, if the row has a token tree, are the newest tokens of the tree.

    Args:
        lengths: tokens of each row in the cache.
        new: number of new tokens of each row.
        device: device of the tensors.
        trees: token tree of each row, None for a row without one.
    """
    counts, lengths_ = np.array(new), np.array(lengths)
    row = np.repeat(np.arange(len(new)), counts)
    column = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    rows, width = len(new), int(counts.max())
    held = [0 if tree is None else len(tree.depth) - n for tree, n in zip(trees or [None] * rows, new, strict=True)]
    keys = int((lengths_ + counts + held).max())
    slots = np.arange(keys)
    key_position = np.repeat(slots[None], rows, 0)
    own_position = lengths_[:, None] + np.arange(width)
    mask = slots <= own_position[:, :, None]
    for i, tree in enumerate(trees or ()):
        if tree is not None and new[i]:
            start, size = lengths[i], len(tree.depth)
            key_position[i, start : start + size] = own = start + tree.depth
            own_position[i, : new[i]] = own[size - new[i] :]
            mask[i] = slots < start
            mask[i, : new[i], start : start + size] = tree.seen[size - new[i] :]
    position = own_position[row, column]
    arrays = (row, (lengths_ + held)[row] + column, position, column, mask[:, None], own_position, key_position)
    of_row, slot, position_, column_, mask_, query_position, key_position_ = (
        torch.from_numpy(a).to(device) for a in arrays
    )
    return Layout(of_row, slot, position_, column_, width, mask_, query_position, key_position_)


class TokenTree:
    """Branching continuations of the text of a row: each token attends to the text and to its ancestors.

    Attributes:
        depth: int64 [n], number of ancestors of each token.
        seen: bool [n, n], True for the ancestors of each token and for itself.
    """

    def __init__(self):
        self.depth = np.empty(0, dtype=np.int64)
        self.seen = np.empty((0, 0), dtype=bool)

    def add(self, parent: int, n: int) -> int:
        """Add a run of tokens.

        Args:
            parent: number of the token before the run; -1 for the text.
            n: tokens of the run.

        Returns:
            Number of the last token of the run.
        """
        old = len(self.depth)
        seen = np.zeros((old + n, old + n), dtype=bool)
        seen[:old, :old] = self.seen
        if parent >= 0:
            seen[old:, :old] = self.seen[parent]
        seen[old:, old:] = np.tri(n, dtype=bool)
        begins = self.depth[parent] + 1 if parent >= 0 else 0
        self.depth, self.seen = np.append(self.depth, begins + np.arange(n)), seen
        return old + n - 1


@dataclass
class _Batch:
    """State that the layers of a cache share.

    The layers do not reference the cache itself: a reference cycle would keep its memory until Python collects cycles.
    """

    rows: int
    layout: Layout | None = None


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, [rows or more, slots, heads, head size].

    Slots beyond the length of a row are overwritten when the row grows, so a smaller length removes tokens.
    """

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, batch: "_Batch"):
        super().__init__()
        self.batch = batch

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        # Zeros, because slots that were never written are masked, and masked values must be finite.
        self.keys, self.values = (
            s.new_zeros((self.batch.rows, _GROWTH, s.shape[1], s.shape[3])) for s in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """Store new keys and values, [1, heads, T, head size], and return all, [rows, heads, keys, head size]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        layout = self.batch.layout
        assert layout is not None  # `forward` sets it before each pass
        rows, _, _, keys = layout.mask.shape
        self.grow(rows, keys)
        self.keys[layout.row, layout.slot] = key_states[0].transpose(0, 1)
        self.values[layout.row, layout.slot] = value_states[0].transpose(0, 1)
        return self.keys[:rows, :keys].transpose(1, 2), self.values[:rows, :keys].transpose(1, 2)

    def grow(self, rows: int, slots: int) -> None:
        has_rows, has_slots = self.keys.shape[:2]
        if rows > has_rows or slots > has_slots:
            more_slots = slots + _GROWTH - has_slots if slots > has_slots else 0
            more = (0, 0, 0, 0, 0, more_slots, 0, max(0, rows - has_rows))
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)

    def shrink(self, rows: int, slots: int) -> None:
        if 2 * rows * (slots + _GROWTH) <= self.keys.shape[0] * self.keys.shape[1]:
            self.keys, self.values = (states[:rows, : slots + _GROWTH].clone() for states in (self.keys, self.values))

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def select(self, rows: torch.Tensor, batch: "_Batch") -> "_Layer":
        selected = _Layer(batch)
        selected.keys, selected.values = self.keys[rows], self.values[rows]
        selected.is_initialized = True
        return selected

    def move(self, source: int, target: int) -> None:
        for states in (self.keys, self.values):
            states[target] = states[source]

    def append(self, other: "_Layer", rows: int, more: int) -> None:
        slots = other.keys.shape[1]
        self.grow(rows + more, slots)
        self.keys[rows : rows + more, :slots] = other.keys[:more]
        self.values[rows : rows + more, :slots] = other.values[:more]


class RaggedCache(Cache):
    """Cache of a variable-length batch; `forward` runs its passes. Rows can be dropped and appended.

    Args:
        rows: number of rows.
    """

    layers: list[_Layer]  # type: ignore[assignment]  # transformers types only its own layers

    def __init__(self, rows: int):
        self.batch = _Batch(rows)
        # transformers calls the partial without arguments, like a class.
        super().__init__(layer_class_to_replicate=partial(_Layer, self.batch))  # type: ignore[arg-type]

    def select(self, rows: Sequence[int]) -> "RaggedCache":
        """Return a cache with copies of `rows`, in this order; a row may occur several times."""
        selected, index = RaggedCache(len(rows)), torch.tensor(rows, dtype=torch.long)
        selected.layers = [layer.select(index, selected.batch) for layer in self.layers]
        return selected

    def drop(self, row: int) -> None:
        """Remove a row; the last row gets its number."""
        self.batch.rows -= 1
        if row < self.batch.rows:
            for layer in self.layers:
                layer.move(self.batch.rows, row)

    def shrink(self, slots: int) -> None:
        """Give back memory that the rows do not need, once it is half of what is held or more.

        Args:
            slots: number of slots that the longest row needs.
        """
        if not self.batch.rows:
            self.layers = []
        for layer in self.layers:
            layer.shrink(self.batch.rows, slots)

    def append(self, other: "RaggedCache") -> None:
        """Append copies of the rows of `other`."""
        if not self.layers:
            self.layers = [layer.select(torch.arange(other.batch.rows), self.batch) for layer in other.layers]
        else:
            for layer, its in zip(self.layers, other.layers, strict=True):
                layer.append(its, self.batch.rows, other.batch.rows)
        self.batch.rows += other.batch.rows


def ragged_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    ragged: Layout | None = None,
    sliding_window: int | None = None,
    **kwargs,
):
    """Compute the attention of the new tokens of a pass.

    Without a layout it is the attention of PyTorch, so that other callers can use the model, too.

    Args:
        module: the attention module.
        query: float [1, heads, T, size].
        key: float [rows, key heads, keys, size].
        value: float [rows, key heads, keys, size].
        attention_mask: bool [rows, 1, width, keys], mask of the layout.
        scaling: factor of the scores; None for the default.
        dropout: dropout probability, without a layout.
        ragged: layout of the pass; None for ordinary attention.
        sliding_window: number of positions that a token attends to; None for all.
        **kwargs: further arguments of the model.

    Returns:
        The output, float [1, T, heads, size], and None for the attention weights.

    Raises:
        ValueError: the model needs a kind of attention that is not implemented here.
    """
    if ragged is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            dropout=dropout,
            sliding_window=sliding_window,
            **kwargs,
        )
    if unknown := [name for name in ("softcap", "s_aux", "position_bias") if kwargs.get(name) is not None]:
        raise ValueError(f"the model's attention needs {', '.join(unknown)}, which the engine does not have")
    rows, groups, size = len(key), query.shape[1] // key.shape[1], query.shape[-1]
    assert attention_mask is not None  # the layout of a pass has a mask
    mask = attention_mask
    if sliding_window is not None:
        distance = ragged.query_position[:, None, :, None] - ragged.key_position[:, None, None]
        mask = mask & (distance < sliding_window)
    padded = query.new_zeros((rows, ragged.width, query.shape[1], size))
    padded[ragged.row, ragged.column] = query[0].transpose(0, 1)
    # Heads that share a key head become further queries of it, so that keys and values are not copied.
    folded = padded.view(rows, ragged.width, -1, groups, size).permute(0, 2, 3, 1, 4).flatten(2, 3)
    output = F.scaled_dot_product_attention(folded, key, value, mask.repeat(1, 1, groups, 1), scale=scaling)
    output = output.unflatten(2, (groups, ragged.width)).permute(0, 3, 1, 2, 4).flatten(2, 3)
    return output[ragged.row, ragged.column][None], None


AttentionInterface.register(NAME, ragged_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def use_ragged_attention(model: PreTrainedModel) -> None:
    """Enable variable-length passes of `model`.

    Raises:
        ValueError: the model has its own attention that cannot be replaced.
    """
    if not getattr(model, "_supports_attention_backend", False):
        raise ValueError(f"{type(model).__name__} brings its own attention; the engine needs one that can be exchanged")
    if model.config._attn_implementation != NAME:
        model.set_attn_implementation(NAME)
