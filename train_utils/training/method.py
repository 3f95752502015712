"""Training methods: model, loss and saved files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from train_utils.catalog import Catalog
from train_utils.item_codes import save_item_codes
from train_utils.models.adapters import save_adapter
from train_utils.models.backbone import mixed_precision, unwrap
from train_utils.models.item_rows import embed
from train_utils.param.training import TrainOptions
from train_utils.prompts.renderer import Chat
from train_utils.samples.batch import Batch
from train_utils.samples.encode import encode_code_sample, encode_sample
from train_utils.samples.sources import Encode
from train_utils.training.loop import Loss
from train_utils.training.loss import (
    Parts,
    batch_loss,
    branch_loss,
    catalog_loss,
    head_logits,
    loss_parts,
    own_label_loss,
    text_loss,
    without_closed,
)


def cgen_loss(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, Parts]:
    """Compute the scope-mask loss of RecLM-cgen for a causal model, with or without an adapter."""
    causal = unwrap(model)
    with mixed_precision(model):
        hidden = causal.base_model(
            inputs_embeds=embed(causal.get_input_embeddings(), batch.ids), use_cache=False, **batch.attention
        ).last_hidden_state
    return batch_loss(hidden, causal.get_output_embeddings(), batch)


def code_loss(chat: Chat, item_dropout: float, own_labels: float = 0.0) -> Loss:
    """Return the loss of items with codes: text over the vocabulary, items over what decoding admits.

    Where an item has one code token, a choice is made among all items; where it has several, among the children of a
    branch of the trie, as in the scope-mask loss. Each loss is the mean over samples of a sample's mean.

    Args:
        chat: renderer with the item codes.
        item_dropout: dropout probability of the item vectors at the input and of the states that choose items.
        own_labels: weight of the model's own distribution after the last history item against the other labels, at the
            choices of an answer that ask for the same: what follows the history. Items of one code token only.
    """
    assert chat.codes is not None  # the caller's item form has codes
    branches = chat.codes.form == "rq_token_seq"
    ids = torch.tensor([code[0] for code in chat.code_ids])
    barred = torch.tensor(chat.item_tokens)

    def item_losses(head: nn.Module, choosing: torch.Tensor, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        if branches:
            return branch_loss(head, choosing, batch)
        scores = without_closed(head_logits(head, choosing, ids.to(choosing.device)), batch)
        losses = catalog_loss(scores, batch.candidate_choice, batch.candidate, batch.candidate_share)
        if own_labels == 0 or not len(batch.anchor):
            return losses
        with torch.no_grad():
            after_history = head_logits(head, states[batch.anchor], ids.to(states.device))
        own = own_label_loss(scores[batch.anchored], after_history)
        return losses.index_add(0, batch.anchored, own_labels * (own - losses[batch.anchored]))

    def loss(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, Parts]:
        causal = unwrap(model)
        head, device = causal.get_output_embeddings(), batch.ids.device
        vectors = embed(causal.get_input_embeddings(), batch.ids)
        draws = torch.Generator().manual_seed(batch.seed)
        if model.training and item_dropout > 0:
            is_item = torch.isin(batch.ids, barred.to(device))[..., None]
            vectors = torch.where(is_item, _dropped(vectors, item_dropout, draws), vectors)
        with mixed_precision(model):
            hidden = causal.base_model(inputs_embeds=vectors, use_cache=False, **batch.attention)
        states = hidden.last_hidden_state.flatten(0, 1)
        # Free text cannot contain codes, so they do not compete there.
        text_logits = head_logits(head, states[batch.text_at]).index_fill(1, barred.to(device), -torch.inf)
        text = text_loss(text_logits, batch.text_label)
        choosing = states[batch.choice_at]
        if model.training and item_dropout > 0:
            choosing = _dropped(choosing, item_dropout, draws)
        items = item_losses(head, choosing, states, batch)
        total = (text * batch.text_weight).sum() + (items * batch.choice_weight).sum()
        return total, loss_parts(batch, text, items)

    return loss


def _dropped(values: torch.Tensor, p: float, draws: torch.Generator) -> torch.Tensor:
    """Return values after dropout whose mask depends on `draws` alone, whichever thread or device computes it."""
    kept = torch.rand(values.shape, generator=draws) >= p
    return values * (kept.to(values.device, values.dtype) / (1 - p))


@dataclass(frozen=True)
class Method:
    """Parts of fine-tuning that differ between RecLM-cgen and RecLM-ret.

    Attributes:
        encode: conversation -> sample.
        apart: see `train_utils.samples.batch.collate`.
        needs_engine: whether only the engine can decode the trained model.
        loss: (options, renderer) -> loss of the training loop.
        wrap: (model with an adapter, catalog, options) -> module to train.
        save: (trained module, renderer, catalog, folder, manifest, weights or None) -> writes an adapter's folder.
    """

    encode: Encode
    apart: bool
    needs_engine: bool
    loss: Callable[[TrainOptions, Chat], Loss]
    wrap: Callable[[PreTrainedModel | PeftModel, Catalog, TrainOptions], nn.Module]
    save: Callable[..., None]


def save_cgen(
    model: PreTrainedModel | PeftModel,
    chat: Chat,
    catalog: Catalog,
    folder: str | Path,
    manifest: Mapping[str, object],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write the adapter's folder, with the item codes if there are any, by one rename."""
    codes = chat.codes
    more = None if codes is None else partial(save_item_codes, codes)
    save_adapter(model, chat.tokenizer, folder, manifest, weights, more)


CGEN = Method(
    encode=encode_sample,
    apart=False,
    needs_engine=False,
    loss=lambda options, chat: cgen_loss,
    wrap=lambda model, catalog, options: model,
    save=save_cgen,
)
# Items of one code token each.
CODES = replace(
    CGEN,
    encode=encode_code_sample,
    apart=True,
    loss=lambda options, chat: code_loss(chat, options.item_dropout, options.own_labels),
)
# Items of several code tokens each: choices at the branches of the trie.
CODE_SEQUENCES = replace(CODES, encode=encode_sample)
