"""Scores of the next item, for serving: SASRec's layers without what that answer does not need."""

import torch
import torch.nn.functional as F
from sasrec_model import SASRec, SequentialModel, last_state


def sasrec_last_state(model: SASRec, inputs: torch.Tensor) -> torch.Tensor:
    """User state after the last item of each window: int64 [batch, length] -> float [batch, hidden].

    What the library's forward_user_emb returns, up to rounding, in two thirds of the time: the last layer
    works on the last position alone, and attention is one fused call. The model must be in eval mode.
    """
    states = model.item_embedding_for_user(inputs)
    if model.position_embedding is not None:
        states = states + model.position_embedding.weight[: inputs.size(1)]
    states = model.LayerNorm(states)
    mask = model._get_attention_mask(inputs)
    layers = model.trm_encoder.layer
    for number, layer in enumerate(layers, 1):
        attention = layer.multi_head_attention
        asking = states if number < len(layers) else states[:, -1:]
        query, key, value = (
            attention.transpose_for_scores(part)
            for part in (attention.query(asking), attention.key(states), attention.value(states))
        )
        context = F.scaled_dot_product_attention(query, key, value, mask[..., -asking.size(1) :, :])
        states = attention.LayerNorm(attention.dense(context.transpose(1, 2).flatten(2)) + asking)
        states = layer.feed_forward(states)
    return states[:, -1]


def next_item_scores(model: SequentialModel, vectors: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Score of every item int as the next one: int64 [batch, length] -> float32 [batch, n_items].

    `vectors` are the model's `item_vectors`; column 0 is the padding.
    """
    with torch.inference_mode():
        state = sasrec_last_state if isinstance(model, SASRec) else last_state
        scores = state(model, inputs) @ vectors.T
        if model.has_item_bias:
            scores = scores + model.item_bias
        return scores / model.tau
