"""Greedy `generate` of transformers that depends only on its arguments."""

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
    """Generate greedily, without the settings of the model's own generation configuration.

    `generate` takes missing settings from that configuration, for example a repetition penalty or suppressed tokens;
    here it is ignored.

    Args:
        model: the causal model.
        ids: int64 [rows, T], token ids of the prompts, left-padded.
        mask: int64 [rows, T], 0 at padding.
        max_new_tokens: length limit of the continuations, in tokens.
        end_of_turn: id of the token that ends an answer, also used for padding.
        processors: logits processors, in order.
        criteria: stopping criteria.

    Returns:
        int64 [rows, T + new tokens], the prompts with their continuations.
    """
    # An adapter's wrapper would write its configuration into the inner model and use that one.
    causal = unwrap(model)
    # The empty configuration goes into a shallow copy, because another thread may be using the model itself.
    causal = copy.copy(causal)
    causal.generation_config = GenerationConfig()
    with mixed_precision(model):
        return causal.generate(  # type: ignore[operator]  # transformers defines it only for causal models
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
