"""The supervised fine-tuning of RecLM-ret: its samples and loss, for the stage that trains RecLM-cgen as well."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate import PartialState
from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.catalog import Catalog
from train_utils.models.adapters import save_adapter
from train_utils.models.backbone import mixed_precision, unwrap
from train_utils.models.item_vectors import FILE_NAME, item_vectors
from train_utils.models.retrieval_head import Retrieval, has_retrieval, load_retrieval, save_retrieval
from train_utils.param import TrainOptions
from train_utils.samples.batch import Batch
from train_utils.samples.encode import encode_retrieval_sample
from train_utils.training.loop import Loss
from train_utils.training.loss import Parts, catalog_loss, head_logits, loss_parts, text_loss
from train_utils.training.method import Method
from train_utils.training.sft import run_sft


class RetModel(nn.Module):
    """A language model that says when to recommend, and what finds the item then.

    vectors_from: what the item vectors were at the start, for the manifest.
    """

    def __init__(self, language: PreTrainedModel | PeftModel, retrieval: Retrieval, vectors_from: Mapping[str, object]):
        super().__init__()
        self.language, self.retrieval, self.vectors_from = language, retrieval, vectors_from
        self._no_split_modules = getattr(language, "_no_split_modules", None)

    def get_base_model(self) -> PreTrainedModel:
        return unwrap(self.language)


def ret_loss(emb_alpha: float) -> Loss:
    """The loss of RecLM-ret: that of the text, and `emb_alpha` times that of retrieval over the whole catalog.

    Each is the mean over samples of a sample's mean.
    """

    def loss(model: RetModel, batch: Batch) -> tuple[torch.Tensor, Parts]:
        causal, retrieval = unwrap(model), model.retrieval
        with mixed_precision(model):
            hidden = causal.base_model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
        states = hidden.last_hidden_state.flatten(0, 1)
        text = text_loss(head_logits(causal.get_output_embeddings(), states[batch.text_at]), batch.text_label)
        items = catalog_loss(
            retrieval.queries(states[batch.choice_at]),
            retrieval.items,
            batch.candidate_choice,
            batch.candidate,
            batch.candidate_share,
        )
        total = (text * batch.text_weight).sum() + emb_alpha * (items * batch.choice_weight).sum()
        return total, loss_parts(batch, text, items, emb_alpha)

    return loss


def add_retrieval(model: PreTrainedModel | PeftModel, catalog: Catalog, options: TrainOptions) -> RetModel:
    """Puts a projection and the table of item vectors beside a model; `--SFT_load` is where all of them start.

    Raises:
        ValueError: item vectors that do not fit, or an adapter of another shape.
    """
    causal = unwrap(model)
    if options.SFT_load and has_retrieval(options.SFT_load):
        retrieval = load_retrieval(options.SFT_load, catalog).requires_grad_(True)
        retrieval.items.requires_grad_(options.item_emb)
        vectors_from = {"adapter": options.SFT_load}
    else:
        path = Path(options.embedding_path or Path(options.data_path) / FILE_NAME)
        with PartialState().main_process_first():
            vectors = item_vectors(catalog, path, options.embedding_model, str(causal.device), options.overwrite)
        vectors_from = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        torch.manual_seed(options.seed)
        retrieval = Retrieval(causal.config.hidden_size, vectors, options.item_emb)
    if options.SFT_load:
        _start_from(model, options.SFT_load)
    if options.only_item_emb_proj:
        model.requires_grad_(False)
    return RetModel(model, retrieval.to(causal.device), vectors_from)


def _start_from(model: PreTrainedModel | PeftModel, adapter: str) -> None:
    if not isinstance(model, PeftModel) or not (Path(adapter) / "adapter_config.json").exists():
        raise ValueError(f"--SFT_load {adapter!r} is no adapter that this model could start from; see --peft")
    try:
        found = set_peft_model_state_dict(model, load_peft_weights(adapter, device="cpu"))
    except RuntimeError:
        found = None
    if found is None or found.unexpected_keys:
        raise ValueError(
            f"--SFT_load {adapter!r} has weights of another shape; give the same backbone, --peft, "
            "--SFT_actor_lora_r and --lora_layers"
        )


def save_ret(
    model: RetModel,
    tokenizer: PreTrainedTokenizerBase,
    catalog: Catalog,
    folder: str | Path,
    manifest: Mapping[str, object],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Writes the adapter's folder with `retrieval/` in it, by one rename."""

    def of(prefix: str) -> dict[str, torch.Tensor]:
        found = (weights or {}).items()
        return {name.removeprefix(prefix): weight for name, weight in found if name.startswith(prefix)}

    kept = model.retrieval.state_dict() | of("retrieval.")
    made_from = {**manifest, "item_vectors": dict(model.vectors_from)}
    save_adapter(
        model.language, tokenizer, folder, made_from, of("language."), lambda to: save_retrieval(kept, catalog, to)
    )


RET = Method(
    encode=encode_retrieval_sample,
    apart=True,
    needs_engine=True,
    loss=lambda options: ret_loss(options.emb_alpha),
    wrap=add_retrieval,
    save=save_ret,
)


def run_sft_embedding(options: TrainOptions) -> Path:
    """Trains an adapter of RecLM-ret, as `run_sft` does one of RecLM-cgen. Raises what that raises."""
    return run_sft(options, RET)
