"""LoRA adapters: construction and saving."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.files.atomic import replacing_folder
from train_utils.models.backbone import unwrap


def untie_head(model: PreTrainedModel) -> None:
    """Give the output head its own copy of the embedding, so that its rows can be trained separately."""
    if model.config.tie_word_embeddings:
        model.config.tie_word_embeddings = False
        head = model.get_output_embeddings()
        head.weight = nn.Parameter(head.weight.detach().clone())
        model.tie_weights()


def unfreeze(model: PreTrainedModel) -> PreTrainedModel:
    """Make every weight trainable in float32; the model computes in the dtype that it had before."""
    model.compute_dtype = model.dtype  # type: ignore[assignment]  # PyTorch types attributes as tensors or modules
    return model.float().requires_grad_(True)


def enable_gradient_checkpointing(model: nn.Module) -> None:
    """Enable gradient checkpointing: activations are recomputed in the backward pass instead of stored."""
    unwrap(model).activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def add_lora(
    model: PreTrainedModel,
    control_ids: list[int],
    r: int,
    alpha: int,
    dropout: float,
    layers: int = 0,
    dora: bool = False,
    code_ids: Sequence[int] = (),
) -> PeftModel:
    """Add LoRA to every linear layer and the head, and train the control tokens' input rows, all in float32.

    A head that shares the embedding gets its own copy first, so that training changes its rows and not the input rows.

    Args:
        model: the backbone.
        control_ids: ids of the control tokens.
        r: rank of the adapter.
        alpha: LoRA scale.
        dropout: dropout probability of the adapter.
        layers: number of top layers to adapt, so that the backward pass stops there; the control tokens' input rows
            then keep their initial values. 0 adapts every layer and trains these rows as well.
        dora: train the magnitude of each output's weights separately from their direction (arXiv 2402.09353).
        code_ids: ids of item codes. With codes, the rows of codes and control tokens are trained whole, in the input
            and in the head, which gets no LoRA.

    Raises:
        ValueError: `layers` is negative or exceeds the number of layers.
    """
    total = model.config.num_hidden_layers
    if not 0 <= layers <= total:
        raise ValueError(f"`lora_layers` is {layers}, the model has {total} layers; 0 adapts all of them")
    untie_head(model)
    head = _name(model, model.get_output_embeddings())
    inner = {n.split(".")[-1] for n, m in model.named_modules() if isinstance(m, nn.Linear)} - {head}
    # A pattern instead of layers_to_transform, which would exclude the head.
    top = "|".join(str(layer) for layer in range(total - layers, total))
    pattern = (
        rf"{'' if code_ids else f'{head}|'}.*\.(?:{top if layers else r'[0-9]+'})\..*\.(?:{'|'.join(sorted(inner))})"
    )
    embedding = _name(model, model.get_input_embeddings()).split(".")[-1]
    rows = None if layers else {embedding: control_ids}
    if code_ids:
        rows = {embedding: [*control_ids, *code_ids], head.split(".")[-1]: [*control_ids, *code_ids]}
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
        # peft would cast the input of every layer to the float32 of its adapter; autocast casts the adapter down
        # instead. (peft's own switch fails at the layer of the trained rows, which lacks the attribute.)
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]  # a plain attribute, as above
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
    """Save trained weights, tokenizer and manifest as one folder, by one rename.

    Args:
        model: an adapter, saved with its control rows, or a whole model.
        tokenizer: its tokenizer.
        folder: the folder to write.
        manifest: content of `manifest.json`.
        weights: the trained weights by name, if those of the model are split over processes.
        more: writes further files into the folder.
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
