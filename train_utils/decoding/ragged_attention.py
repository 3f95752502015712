"""Attention over rows of different lengths without padding: one forward pass of a Hugging Face model takes the new
tokens of all rows as a single sequence, and only its attention knows which row each token belongs to."""

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
_GROWTH = 64  # slots that a cache grows by


@dataclass(frozen=True)
class Layout:
    """Where the T new tokens of a pass stand.

    Attributes:
        row, slot, place: int64 [T], the row of each token, its slot in the cache, and its place in the row's text.
        column: int64 [T], its number among the row's new tokens. width: new tokens of the fullest row.
        mask: bool [rows, 1, width, keys], which slots each new token sees.
        query_place: int64 [rows, width], key_place: int64 [rows, keys]: places in the text, of new tokens and of slots.
    """

    row: torch.Tensor
    slot: torch.Tensor
    place: torch.Tensor
    column: torch.Tensor
    width: int
    mask: torch.Tensor
    query_place: torch.Tensor
    key_place: torch.Tensor


def lay_out(
    lengths: Sequence[int], new: Sequence[int], device: torch.device, trees: Sequence["TokenTree | None"] | None = None
) -> Layout:
    """Layout of a pass in which row i, with `lengths[i]` tokens in the cache, gets `new[i]` more.

    Tokens go on with the row's text, or, where the row has a tree, they are the last `new[i]` tokens of that.
    """
    counts, lengths_ = np.array(new), np.array(lengths)
    row = np.repeat(np.arange(len(new)), counts)
    column = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    rows, width = len(new), int(counts.max())
    held = [0 if tree is None else len(tree.depth) - n for tree, n in zip(trees or [None] * rows, new, strict=True)]
    keys = int((lengths_ + counts + held).max())
    slots = np.arange(keys)
    key_place = np.repeat(slots[None], rows, 0)
    own_place = lengths_[:, None] + np.arange(width)
    mask = slots <= own_place[:, :, None]
    for i, tree in enumerate(trees or ()):
        if tree is not None and new[i]:
            start, size = lengths[i], len(tree.depth)
            key_place[i, start : start + size] = own = start + tree.depth
            own_place[i, : new[i]] = own[size - new[i] :]
            mask[i] = slots < start
            mask[i, : new[i], start : start + size] = tree.seen[size - new[i] :]
    place = own_place[row, column]
    found = (row, (lengths_ + held)[row] + column, place, column, mask[:, None], own_place, key_place)
    of_row, slot, place_, column_, mask_, query_place, key_place_ = (torch.from_numpy(a).to(device) for a in found)
    return Layout(of_row, slot, place_, column_, width, mask_, query_place, key_place_)


class TokenTree:
    """Tokens behind the text of a row that branch: each sees the text and the tokens that lead to it.

    Attributes:
        depth: int64 [n], how many tokens of the tree lead to each. seen: bool [n, n], which of them, itself included.
    """

    def __init__(self):
        self.depth = np.empty(0, dtype=np.int64)
        self.seen = np.empty((0, 0), dtype=bool)

    def add(self, parent: int, n: int) -> int:
        """Adds a run of n tokens behind the token `parent` (-1: the text); returns the number of the last one."""
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
    """What the layers of a cache share. They do not know the cache itself: a circle of references would keep its memory
    until Python next looks for circles."""

    rows: int
    layout: Layout | None = None


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, [rows or more, slots, heads, head size].

    A slot beyond a row's length is overwritten when the row gets there, so tokens are taken back by not counting them.
    """

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, batch: "_Batch"):
        super().__init__()
        self.batch = batch

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        # Zeros: what was never written is masked, and masked numbers have to be finite.
        self.keys, self.values = (
            s.new_zeros((self.batch.rows, _GROWTH, s.shape[1], s.shape[3])) for s in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """Takes [1, heads, T, head size], gives every row's [rows, heads, keys, head size]."""
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

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def select(self, rows: torch.Tensor, batch: "_Batch") -> "_Layer":
        chosen = _Layer(batch)
        chosen.keys, chosen.values = self.keys[rows], self.values[rows]
        chosen.is_initialized = True
        return chosen

    def move(self, source: int, target: int) -> None:
        for states in (self.keys, self.values):
            states[target] = states[source]

    def append(self, other: "_Layer", rows: int, more: int) -> None:
        slots = other.keys.shape[1]
        self.grow(rows + more, slots)
        self.keys[rows : rows + more, :slots] = other.keys[:more]
        self.values[rows : rows + more, :slots] = other.values[:more]


class RaggedCache(Cache):
    """The cache of a ragged batch; `read` makes its passes. Rows may leave, and rows of another cache may join."""

    layers: list[_Layer]  # type: ignore[assignment]  # transformers names the kinds of layers that it has itself

    def __init__(self, rows: int):
        self.batch = _Batch(rows)
        # transformers calls it without arguments, as it would the class.
        super().__init__(layer_class_to_replicate=partial(_Layer, self.batch))  # type: ignore[arg-type]

    def select(self, rows: Sequence[int]) -> "RaggedCache":
        """A cache of copies of `rows`, in this order; a row may be named several times."""
        chosen, places = RaggedCache(len(rows)), torch.tensor(rows, dtype=torch.long)
        chosen.layers = [layer.select(places, chosen.batch) for layer in self.layers]
        return chosen

    def drop(self, row: int) -> None:
        """Takes a row out; the last one moves to its place."""
        self.batch.rows -= 1
        if row < self.batch.rows:
            for layer in self.layers:
                layer.move(self.batch.rows, row)

    def append(self, other: "RaggedCache") -> None:
        """Puts copies of the rows of `other` behind the own ones."""
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
    """Attention of the tokens of a pass: query [1, heads, T, size], key and value [rows, key heads, keys, size].

    Without a layout it is the attention of PyTorch, so the model goes on working for everybody else.

    Raises:
        ValueError: the model asks for a kind of attention that is not written here.
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
    assert attention_mask is not None  # a pass with a layout has that layout's mask
    mask = attention_mask
    if sliding_window is not None:
        distance = ragged.query_place[:, None, :, None] - ragged.key_place[:, None, None]
        mask = mask & (distance < sliding_window)
    padded = query.new_zeros((rows, ragged.width, query.shape[1], size))
    padded[ragged.row, ragged.column] = query[0].transpose(0, 1)
    # Heads that share a key head become further queries of it: keys and values are not copied.
    folded = padded.view(rows, ragged.width, -1, groups, size).permute(0, 2, 3, 1, 4).flatten(2, 3)
    found = F.scaled_dot_product_attention(folded, key, value, mask.repeat(1, 1, groups, 1), scale=scaling)
    found = found.unflatten(2, (groups, ragged.width)).permute(0, 3, 1, 2, 4).flatten(2, 3)
    return found[ragged.row, ragged.column][None], None


AttentionInterface.register(NAME, ragged_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def use_ragged_attention(model: PreTrainedModel) -> None:
    """Makes `model` able to take ragged passes. Raises ValueError for one that brings its own attention."""
    if not getattr(model, "_supports_attention_backend", False):
        raise ValueError(f"{type(model).__name__} brings its own attention; the engine needs one that can be exchanged")
    if model.config._attn_implementation != NAME:
        model.set_attn_implementation(NAME)
