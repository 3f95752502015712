"""Attention over rows of different lengths without padding: one forward pass of a Hugging Face model takes the new
tokens of all rows as a single sequence, and only its attention knows which row each token belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.cache_utils import CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "ragged"
_GROWTH = 64  # key places that a cache grows by


@dataclass(frozen=True)
class Layout:
    """Where the T new tokens of a pass stand.

    Attributes:
        row, place: int64 [T], the row of each token and its place in that row's text.
        column: int64 [T], its number among the row's new tokens. width: new tokens of the fullest row.
        mask: bool [rows, 1, width, keys], which keys each new token sees.
    """

    row: torch.Tensor
    place: torch.Tensor
    column: torch.Tensor
    width: int
    mask: torch.Tensor


def lay_out(lengths: list[int], new: list[int], device: torch.device) -> Layout:
    """Layout of a pass in which row i, with `lengths[i]` tokens in the cache, gets `new[i]` more (at least one)."""
    counts = torch.tensor(new)
    row = torch.repeat_interleave(torch.arange(len(new)), counts)
    column = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]
    last = torch.tensor(lengths)[:, None] + torch.arange(max(new))
    keys = max(length + n for length, n in zip(lengths, new, strict=True))
    mask = torch.arange(keys) <= last[:, None, :, None]
    found = (row, torch.tensor(lengths)[row] + column, column)
    return Layout(*(part.to(device) for part in found), max(new), mask.to(device))


@dataclass
class _Batch:
    """What the layers of a cache share. They do not know the cache itself: a circle of references would keep its memory
    until Python next looks for circles."""

    rows: int
    layout: Layout | None = None


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, [rows, places, heads, head size]. A place beyond a row's length is overwritten
    when the row gets there, so tokens are taken back by not counting them."""

    is_sliding = False

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
        keys = layout.mask.shape[-1]
        if keys > self.keys.shape[1]:
            more = (0, 0, 0, 0, 0, keys + _GROWTH - self.keys.shape[1])
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)
        self.keys[layout.row, layout.place] = key_states[0].transpose(0, 1)
        self.values[layout.row, layout.place] = value_states[0].transpose(0, 1)
        return self.keys[:, :keys].transpose(1, 2), self.values[:, :keys].transpose(1, 2)

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


class RaggedCache(Cache):
    """The cache of a ragged batch; `read` makes its passes."""

    def __init__(self, rows: int):
        self.batch = _Batch(rows)
        super().__init__(layer_class_to_replicate=partial(_Layer, self.batch))

    def select(self, rows: Sequence[int]) -> "RaggedCache":
        """A cache of copies of `rows`, in this order; a row may be named several times."""
        chosen, places = RaggedCache(len(rows)), torch.tensor(rows, dtype=torch.long)
        chosen.layers = [layer.select(places, chosen.batch) for layer in self.layers]
        return chosen


def ragged_attention(module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                     attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0,
                     ragged: Layout | None = None, sliding_window: int | None = None, **kwargs):
    """Attention of the tokens of a pass: query [1, heads, T, size], key and value [rows, key heads, keys, size].

    Without a layout it is the attention of PyTorch, so the model goes on working for everybody else.

    Raises:
        ValueError: the model asks for a kind of attention that is not written here.
    """
    if ragged is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout,
                                      sliding_window=sliding_window, **kwargs)
    if unknown := [name for name in ("softcap", "s_aux", "position_bias") if kwargs.get(name) is not None]:
        raise ValueError(f"the model's attention needs {', '.join(unknown)}, which the engine does not have")
    rows, groups, size = len(key), query.shape[1] // key.shape[1], query.shape[-1]
    mask = attention_mask
    if sliding_window is not None:
        # A row's newest column sees up to its own place, so the last key that a column sees is its place.
        seen = torch.arange(mask.shape[-1], device=mask.device)
        mask = mask & (seen > mask.sum(-1, keepdim=True) - 1 - sliding_window)
    padded = query.new_zeros((rows, ragged.width, query.shape[1], size))
    padded[ragged.row, ragged.column] = query[0].transpose(0, 1)
    # Heads that share a key head become further queries of it: keys and values are not copied.
    folded = padded.view(rows, ragged.width, -1, groups, size).permute(0, 2, 3, 1, 4).flatten(2, 3)
    found = F.scaled_dot_product_attention(folded, key, value, mask.repeat(1, 1, groups, 1), scale=scaling)
    found = found.unflatten(2, (groups, ragged.width)).permute(0, 3, 1, 2, 4).flatten(2, 3)
    return found[ragged.row, ragged.column][None], None


AttentionInterface.register(NAME, ragged_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def use_ragged_attention(model: nn.Module) -> None:
    """Makes `model` able to take ragged passes. Raises ValueError for one that brings its own attention."""
    if not getattr(model, "_supports_attention_backend", False):
        raise ValueError(f"{type(model).__name__} brings its own attention; the engine needs one that can be exchanged")
    if model.config._attn_implementation != NAME:
        model.set_attn_implementation(NAME)


def read(model: nn.Module, cache: RaggedCache, blocks: Sequence[Sequence[int]], lengths: Sequence[int],
         kept: Sequence[int]) -> torch.Tensor:
    """One pass: row i of `cache`, of which `lengths[i]` tokens count, reads `blocks[i]`.

    Returns:
        at least float32 [sum of kept, V]: the logits of the last `kept[i]` tokens of each block, row after row.
    """
    device = next(model.parameters()).device
    sizes = [len(block) for block in blocks]
    cache.batch.layout = layout = lay_out(lengths, sizes, device)
    wanted = [end - k + i for end, k in zip(accumulate(sizes), kept, strict=True) for i in range(k)]
    logits = model(
        input_ids=torch.tensor([list(chain.from_iterable(blocks))], device=device),
        attention_mask=layout.mask, position_ids=layout.place[None], past_key_values=cache, use_cache=True,
        logits_to_keep=torch.tensor(wanted, device=device), ragged=layout,
    ).logits[0]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def read_shared_beginning(model: nn.Module, prompts: Sequence[Sequence[int]]) -> tuple[RaggedCache, int]:
    """Reads once what all prompts begin with, all but their last token at most.

    Returns:
        a cache with one row a prompt, and how many tokens each has read.
    """
    shared = min(map(len, prompts)) - 1
    shared = next((i for i in range(shared) if len({prompt[i] for prompt in prompts}) > 1), shared)
    if len(prompts) == 1 or shared == 0:
        return RaggedCache(len(prompts)), 0
    cache = RaggedCache(1)
    read(model, cache, [prompts[0][:shared]], [0], kept=[1])
    return cache.select([0] * len(prompts)), shared
