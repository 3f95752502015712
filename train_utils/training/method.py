"""Training methods: model, loss and saved files."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from train_utils.catalog import Catalog
from train_utils.models.adapters import save_adapter
from train_utils.models.backbone import mixed_precision, unwrap
from train_utils.param import TrainOptions
from train_utils.samples.batch import Batch
from train_utils.samples.encode import encode_sample
from train_utils.samples.sources import Encode
from train_utils.training.loop import Loss
from train_utils.training.loss import Parts, batch_loss


def cgen_loss(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, Parts]:
    """Compute the scope-mask loss of RecLM-cgen for a causal model, with or without an adapter."""
    causal = unwrap(model)
    with mixed_precision(model):
        hidden = causal.base_model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    return batch_loss(hidden, causal.get_output_embeddings(), batch)


@dataclass(frozen=True)
class Method:
    """Parts of fine-tuning that differ between RecLM-cgen and RecLM-ret.

    Attributes:
        encode: conversation -> sample.
        apart: see `train_utils.samples.batch.collate`.
        needs_engine: whether only the engine can decode the trained model.
        loss: options -> loss of the training loop.
        wrap: (model with an adapter, catalog, options) -> module to train.
        save: (trained module, tokenizer, catalog, folder, manifest, weights or None) -> writes an adapter's folder.
    """

    encode: Encode
    apart: bool
    needs_engine: bool
    loss: Callable[[TrainOptions], Loss]
    wrap: Callable[[PreTrainedModel | PeftModel, Catalog, TrainOptions], nn.Module]
    save: Callable[..., None]


CGEN = Method(
    encode=encode_sample,
    apart=False,
    needs_engine=False,
    loss=lambda options: cgen_loss,
    wrap=lambda model, catalog, options: model,
    save=lambda model, tokenizer, catalog, *rest: save_adapter(model, tokenizer, *rest),
)
