"""Forward passes over variable-length batches."""

import threading
from collections.abc import Sequence
from itertools import accumulate, chain

import torch
from transformers import PreTrainedModel

from train_utils.decoding.ragged_attention import RaggedCache, TokenTree, lay_out


def forward(
    model: PreTrainedModel,
    cache: RaggedCache,
    blocks: Sequence[Sequence[int]],
    lengths: Sequence[int],
    kept: Sequence[Sequence[int]],
    trees: Sequence[TokenTree | None] | None = None,
) -> torch.Tensor:
    """Run one forward pass and return logits.

    Args:
        model: the causal model.
        cache: keys and values of the rows.
        blocks: new token ids of each row, possibly none.
        lengths: valid tokens of each row in the cache.
        kept: per row, the indices in its block whose logits are returned.
        trees: per row, the token tree whose newest tokens are the block; None if the block continues the text.

    Returns:
        Logits, float32 or wider, [sum of kept, V], row after row.
    """
    device = next(model.parameters()).device
    sizes = [len(block) for block in blocks]
    cache.batch.layout = layout = lay_out(lengths, sizes, device, trees)
    positions = [
        begin + at for begin, indices in zip(accumulate(sizes, initial=0), kept, strict=False) for at in indices
    ]
    logits = model(
        input_ids=torch.tensor([list(chain.from_iterable(blocks))], device=device),
        attention_mask=layout.mask,
        position_ids=layout.position[None],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=torch.tensor(positions, device=device),
        ragged=layout,
    ).logits[0]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class LastHiddenState(threading.local):
    """Hidden states at the input of a model's head in the latest pass of this thread.

    Attributes:
        states: float [1, kept, d], in the order of the logits.
    """

    def __init__(self):
        self.states = torch.empty(0)

    @classmethod
    def of(cls, model: PreTrainedModel) -> "LastHiddenState":
        """Return the recorder of `model`; the first call registers a hook on its head."""
        head = model.get_output_embeddings()
        if not hasattr(head, "inputs_seen"):
            head.inputs_seen = seen = cls()
            head.register_forward_pre_hook(lambda _, given: setattr(seen, "states", given[0]))
        return head.inputs_seen


def prefill_shared_prefix(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], left: int = 1
) -> tuple[RaggedCache, int]:
    """Prefill the common prefix of all prompts once.

    Args:
        model: the causal model.
        prompts: token ids of each prompt.
        left: number of tokens at the end of every prompt that are never prefilled.

    Returns:
        cache: the cache, with one row per prompt.
        shared: number of tokens that each row contains.
    """
    shared = max(0, min(map(len, prompts)) - left)
    shared = next((i for i in range(shared) if len({prompt[i] for prompt in prompts}) > 1), shared)
    if len(prompts) == 1 or shared == 0:
        return RaggedCache(len(prompts)), 0
    cache = RaggedCache(1)
    forward(model, cache, [prompts[0][:shared]], [0], kept=[[shared - 1]])
    return cache.select([0] * len(prompts)), shared
