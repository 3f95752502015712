"""Supervised fine-tuning of RecLM-ret: samples and loss for the stage that it shares with RecLM-cgen."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from train_utils.catalog import Catalog
from train_utils.model_folder import check_model_folder
from train_utils.models.adapters import save_adapter
from train_utils.models.backbone import mixed_precision, unwrap
from train_utils.models.co_occurrence import co_occurrence_vectors
from train_utils.models.item_vectors import FILE_NAME, item_vectors
from train_utils.models.retrieval_head import Retrieval, has_retrieval, load_retrieval, save_retrieval
from train_utils.param.training import TrainOptions
from train_utils.prompts.renderer import Chat
from train_utils.samples.batch import Batch
from train_utils.samples.encode import encode_retrieval_sample
from train_utils.training.loop import Loss
from train_utils.training.loss import Parts, catalog_loss, head_logits, loss_parts, text_loss
from train_utils.training.method import Method
from train_utils.training.sft import run_sft


class RetModel(nn.Module):
    """Language model that decides when to recommend, with the retrieval head that finds the item.

    Args:
        language: the language model.
        retrieval: the retrieval head.
        vectors_from: source of the initial item vectors, for the manifest.
    """

    def __init__(self, language: PreTrainedModel | PeftModel, retrieval: Retrieval, vectors_from: Mapping[str, object]):
        super().__init__()
        self.language, self.retrieval, self.vectors_from = language, retrieval, vectors_from
        self._no_split_modules = getattr(language, "_no_split_modules", None)

    def get_base_model(self) -> PreTrainedModel:
        return unwrap(self.language)


def ret_loss(emb_alpha: float) -> Loss:
    """Return the loss of RecLM-ret: the text loss plus `emb_alpha` times the retrieval loss over the whole catalog.

    Each loss is the mean over samples of a sample's mean.
    """

    def loss(model: RetModel, batch: Batch) -> tuple[torch.Tensor, Parts]:
        causal, retrieval = unwrap(model), model.retrieval
        with mixed_precision(model):
            hidden = causal.base_model(input_ids=batch.ids, use_cache=False, **batch.attention)
        states = hidden.last_hidden_state.flatten(0, 1)
        text = text_loss(head_logits(causal.get_output_embeddings(), states[batch.text_at]), batch.text_label)
        items = catalog_loss(
            retrieval.queries(states[batch.choice_at]) @ retrieval.items.T,
            batch.candidate_choice,
            batch.candidate,
            batch.candidate_share,
        )
        total = (text * batch.text_weight).sum() + emb_alpha * (items * batch.choice_weight).sum()
        return total, loss_parts(batch, text, items, emb_alpha)

    return loss


def add_retrieval(model: PreTrainedModel | PeftModel, catalog: Catalog, options: TrainOptions) -> RetModel:
    """Add a projection and a table of item vectors to a model; `--SFT_load` gives the initial weights of all three.

    Raises:
        ValueError: the item vectors do not fit, or the adapter has another shape.
    """
    causal = unwrap(model)
    if options.SFT_load and has_retrieval(options.SFT_load):
        retrieval = load_retrieval(options.SFT_load, catalog).requires_grad_(True)
        retrieval.items.requires_grad_(options.item_emb)
        vectors_from = {"adapter": options.SFT_load}
    else:
        path = Path(options.embedding_path or Path(options.data_path) / FILE_NAME)
        with PartialState().main_process_first():
            vectors = item_vectors(
                catalog,
                path,
                options.embedding_model,
                str(causal.device),
                options.overwrite,
                trust_remote_code=options.trust_remote_code,
            )
        vectors_from = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if options.item_vectors != "text":
            vectors = with_co_occurrence(vectors, catalog)
            vectors_from["starts_from"] = options.item_vectors
        torch.manual_seed(options.seed)
        retrieval = Retrieval(causal.config.hidden_size, vectors, options.item_emb)
    if options.SFT_load:
        _start_from(model, options.SFT_load)
    if options.only_item_emb_proj:
        model.requires_grad_(False)
    return RetModel(model, retrieval.to(causal.device), vectors_from)


def with_co_occurrence(vectors: np.ndarray, catalog: Catalog) -> np.ndarray:
    """Append co-occurrence vectors of the training events to text vectors of length 1, each half of a cosine.

    Returns:
        float32 [items, d + size]. Rows have length 1, or less for an item without a neighbor in the events.
    """
    together = co_occurrence_vectors(catalog.training_sequences(), len(vectors))
    return np.concatenate([vectors, together], axis=1) * np.float32(0.5**0.5)


def _start_from(model: PreTrainedModel | PeftModel, adapter: str) -> None:
    if not isinstance(model, PeftModel) or not (Path(adapter) / "adapter_config.json").exists():
        raise ValueError(f"`SFT_load` {adapter!r} is no adapter that this model could start from; see `peft`")
    check_model_folder(adapter)
    try:
        loaded = set_peft_model_state_dict(model, load_peft_weights(adapter, device="cpu"))
    except RuntimeError:
        loaded = None
    if loaded is None or loaded.unexpected_keys:
        raise ValueError(
            f"`SFT_load` {adapter!r} has weights of another shape; give the same backbone, `peft`, "
            "`SFT_actor_lora_r` and `lora_layers`"
        )


def save_ret(
    model: RetModel,
    chat: Chat,
    catalog: Catalog,
    folder: str | Path,
    manifest: Mapping[str, object],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write the adapter's folder with `retrieval/` in it, by one rename."""

    def of(prefix: str) -> dict[str, torch.Tensor]:
        named = (weights or {}).items()
        return {name.removeprefix(prefix): weight for name, weight in named if name.startswith(prefix)}

    kept = model.retrieval.state_dict() | of("retrieval.")
    made_from = {**manifest, "item_vectors": dict(model.vectors_from)}
    save_adapter(
        model.language, chat.tokenizer, folder, made_from, of("language."), lambda to: save_retrieval(kept, catalog, to)
    )


RET = Method(
    encode=encode_retrieval_sample,
    apart=True,
    needs_engine=True,
    loss=lambda options, chat: ret_loss(options.emb_alpha),
    wrap=add_retrieval,
    save=save_ret,
)


def run_sft_embedding(options: TrainOptions) -> Path:
    """Train an adapter of RecLM-ret; see `run_sft`."""
    return run_sft(options, RET)
