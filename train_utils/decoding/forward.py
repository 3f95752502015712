"""Forward passes over batches of texts of unlike lengths."""

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
    """One pass: row i of `cache`, of which `lengths[i]` tokens count, reads `blocks[i]`, which may be empty.

    Args:
        kept: the tokens of each block whose logits are wanted, by their number in it.
        trees: where a row has one, its block is the newest tokens of that, instead of the text's next ones.

    Returns:
        at least float32 [sum of kept, V], row after row.
    """
    device = next(model.parameters()).device
    sizes = [len(block) for block in blocks]
    cache.batch.layout = layout = lay_out(lengths, sizes, device, trees)
    wanted = [begin + at for begin, places in zip(accumulate(sizes, initial=0), kept, strict=False) for at in places]
    logits = model(
        input_ids=torch.tensor([list(chain.from_iterable(blocks))], device=device),
        attention_mask=layout.mask,
        position_ids=layout.place[None],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=torch.tensor(wanted, device=device),
        ragged=layout,
    ).logits[0]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class LastHiddenState(threading.local):
    """The states from which a model's head made the logits of the latest pass of this thread: [1, kept, d]."""

    def __init__(self):
        self.states = torch.empty(0)

    @classmethod
    def of(cls, model: PreTrainedModel) -> "LastHiddenState":
        """Watches the head of `model`, from the first call on."""
        head = model.get_output_embeddings()
        if not hasattr(head, "inputs_seen"):
            head.inputs_seen = seen = cls()
            head.register_forward_pre_hook(lambda _, given: setattr(seen, "states", given[0]))
        return head.inputs_seen


def prefill_shared_prefix(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], left: int = 1
) -> tuple[RaggedCache, int]:
    """Reads once what all prompts begin with, all but their last `left` tokens at most.

    Returns:
        a cache with one row a prompt, and how many tokens each has read.
    """
    shared = max(0, min(map(len, prompts)) - left)
    shared = next((i for i in range(shared) if len({prompt[i] for prompt in prompts}) > 1), shared)
    if len(prompts) == 1 or shared == 0:
        return RaggedCache(len(prompts)), 0
    cache = RaggedCache(1)
    forward(model, cache, [prompts[0][:shared]], [0], kept=[[shared - 1]])
    return cache.select([0] * len(prompts)), shared
