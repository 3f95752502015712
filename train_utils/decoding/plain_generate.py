"""transformers' greedy `generate`, obeying its arguments alone."""

import copy
from collections.abc import Sequence

import torch
from transformers import GenerationConfig, LogitsProcessor, PreTrainedModel, StoppingCriteria

from train_utils.models.backbone import mixed_precision, unwrap


def generate_greedily(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    max_new_tokens: int,
    end_of_turn: int,
    processors: Sequence[LogitsProcessor] = (),
    criteria: Sequence[StoppingCriteria] = (),
) -> torch.Tensor:
    """Prompts (int64 [rows, T], left-padded where the mask is 0) with their greedy continuations.

    What `generate` is not given it takes from the model's own generation configuration, such as a repetition penalty
    or suppressed tokens; here nothing of that counts.
    """
    # An adapter's wrapper would write its configuration into the model inside it, and obey that one.
    causal = unwrap(model)
    # A copy of the outermost object gets an empty one: the model itself may be in use by another thread.
    causal = copy.copy(causal)
    causal.generation_config = GenerationConfig()
    with mixed_precision(model):
        return causal.generate(  # type: ignore[operator]  # transformers gives it to causal models alone
            ids,
            attention_mask=mask,
            logits_processor=list(processors),
            stopping_criteria=list(criteria),
            generation_config=GenerationConfig(
                do_sample=False,
                num_beams=1,
                max_new_tokens=max_new_tokens,
                eos_token_id=end_of_turn,
                pad_token_id=end_of_turn,
            ),
        )
