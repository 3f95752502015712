"""LoRA adapters: added to a backbone, and saved."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.files import replacing_folder
from train_utils.models.backbone import unwrap


def untie_head(model: PreTrainedModel) -> None:
    """Gives the output head its own copy of the embedding, so that its rows can be trained alone."""
    if model.config.tie_word_embeddings:
        model.config.tie_word_embeddings = False
        head = model.get_output_embeddings()
        head.weight = nn.Parameter(head.weight.detach().clone())
        model.tie_weights()


def unfreeze(model: PreTrainedModel) -> PreTrainedModel:
    """Makes every weight trainable, kept in float32; sums are made in the format that the model had."""
    model.compute_dtype = model.dtype  # type: ignore[assignment]  # PyTorch types what is set as a tensor or module
    return model.float().requires_grad_(True)


def enable_gradient_checkpointing(model: nn.Module) -> None:
    """Gradient checkpointing: the backward pass makes each layer's sums anew, instead of keeping them."""
    unwrap(model).activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def add_lora(
    model: PreTrainedModel,
    control_ids: list[int],
    r: int,
    alpha: int,
    dropout: float,
    layers: int = 0,
    dora: bool = False,
) -> PeftModel:
    """LoRA on every linear layer and the head, and the control tokens' input rows, all trained in float32.

    A head that shares the embedding gets its own copy first: its rows change, and those of the input stay.

    Args:
        layers: adapt this many layers at the top, so that the backward pass stops there; the control tokens' input
            rows then keep their start. 0 adapts every layer and trains those rows as well.
        dora: train the length of each output's weights apart from their direction (arXiv 2402.09353).
    """
    total = model.config.num_hidden_layers
    if not 0 <= layers <= total:
        raise ValueError(f"--lora_layers is {layers}, the model has {total} layers; 0 adapts all of them")
    untie_head(model)
    head = _name(model, model.get_output_embeddings())
    inner = {n.split(".")[-1] for n, m in model.named_modules() if isinstance(m, nn.Linear)} - {head}
    # A pattern rather than layers_to_transform, which would leave out the head.
    top = "|".join(str(layer) for layer in range(total - layers, total))
    pattern = rf"{head}|.*\.(?:{top if layers else r'[0-9]+'})\..*\.(?:{'|'.join(sorted(inner))})"
    rows = None if layers else {_name(model, model.get_input_embeddings()).split(".")[-1]: control_ids}
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=pattern,
        task_type="CAUSAL_LM",
        trainable_token_indices=rows,
        use_dora=dora,
    )
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for module in wrapped.modules():
        # peft would cast every layer's input to the float32 of its adapter; autocast takes the adapter down instead.
        # (peft's own switch for this stops at the layer of the trained rows, which lacks the attribute.)
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]  # as above: a plain attribute
    return wrapped


def _name(model: nn.Module, module: nn.Module) -> str:
    return next(n for n, m in model.named_modules() if m is module)


def save_adapter(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    manifest: Mapping[str, object],
    weights: Mapping[str, torch.Tensor] | None = None,
    more: Callable[[Path], None] | None = None,
) -> None:
    """Writes what was trained (an adapter with its control rows, or a whole model), tokenizer and manifest as one
    folder, by one rename.

    Args:
        weights: the trained weights by name, where the model's own are split over processes.
        more: writes what else belongs into the folder.
    """
    state = dict(weights) if weights else None
    with replacing_folder(folder) as to:
        if isinstance(model, PeftModel):
            model.save_pretrained(str(to), state_dict=state, save_embedding_layers=False)
        else:
            model.save_pretrained(to, state_dict=state)
        tokenizer.save_pretrained(to)
        if more:
            more(to)
        (to / "manifest.json").write_text(json.dumps(manifest, indent=1))
