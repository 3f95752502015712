"""The model of a training run: backbone, rows of item codes, and the weights that are trained."""

import logging
from dataclasses import replace

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from train_utils.catalog import Catalog
from train_utils.decoding.support import decoding_support
from train_utils.item_codes import (
    ItemCodes,
    check_item_codes,
    has_item_codes,
    load_item_codes,
    load_uni_index,
    one_token_each,
    renamed,
)
from train_utils.models.adapters import add_lora, enable_gradient_checkpointing, unfreeze
from train_utils.models.backbone import load_backbone
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.item_rows import add_item_rows
from train_utils.param.training import TrainOptions
from train_utils.prompts.renderer import Chat
from train_utils.training.method import Method

logger = logging.getLogger(__name__)


def load_trainable(
    options: TrainOptions, catalog: Catalog, device: torch.device, method: Method
) -> tuple[PreTrainedModel | PeftModel, Chat]:
    """Load the backbone with its trainable weights, equal in every process, and its chat renderer.

    Raises:
        ValueError: the backbone cannot be loaded, decoded or adapted.
    """
    tokenizer, model = load_backbone(
        options.backbone,
        device,
        options.dtype,
        options.FA2,
        options.peft == "qlora",
        options.trust_remote_code,
    )
    check_decodable(model, options, method)
    if device.type == "cpu":
        # On a CPU and short sequences, the backward pass of PyTorch's fused attention is slower than eager attention.
        model.set_attn_implementation("eager")
    torch.manual_seed(options.seed)
    add_item_tokens(tokenizer, model)
    check_item_codes(getattr(model.config, "item_form", None), options.backbone)
    codes = item_codes_of(options, catalog, tokenizer)
    if codes is not None and options.sequences:
        codes = replace(codes, sequences=True)
    if codes is not None and not has_item_codes(options.backbone):
        add_item_rows(tokenizer, model, codes, catalog.titles, catalog.training_sequences())
    chat = Chat(tokenizer, catalog.titles, codes=codes)
    trained: PreTrainedModel | PeftModel
    if options.peft == "full":
        trained = unfreeze(model)
    else:
        trained = add_lora(
            model,
            [chat.soi, chat.eoi],
            options.SFT_actor_lora_r,
            options.SFT_actor_lora_a,
            options.lora_dropout,
            options.lora_layers,
            options.peft == "dora",
            chat.item_tokens,
        )
    if options.gradient_checkpointing:
        enable_gradient_checkpointing(trained)
    return trained, chat


def item_codes_of(options: TrainOptions, catalog: Catalog, tokenizer) -> ItemCodes | None:
    """Return the item codes of `--item_index`; None where items are spelled by their titles.

    A backbone that was trained with item codes keeps them, so that its training can continue.

    Raises:
        ValueError: the dataset has no codes of this form, or the backbone has codes of another form or catalog.
    """
    if has_item_codes(options.backbone):
        codes = load_item_codes(options.backbone, catalog)
        if codes is None or codes.form != options.item_index:
            raise ValueError(
                f"`backbone` {options.backbone!r} has items of the form {codes and codes.form!r}, and `item_index` is "
                f"{options.item_index!r}; give that form, or another backbone"
            )
        return codes
    if not options.has_codes:
        return None
    if options.item_index == "rq_token_seq":
        return renamed(load_uni_index(options.data_path, catalog), tokenizer.get_vocab())
    return one_token_each((item.id for item in catalog.items), tokenizer.get_vocab(), options.item_index)


def check_decodable(model: PreTrainedModel, options: TrainOptions, method: Method) -> None:
    """Verify before the first step that the trained model can be tested and served.

    Raises:
        ValueError: the model cannot be decoded, or the engine does not support it and the method or the validation
            needs the engine.
    """
    support = decoding_support(model)
    problem = support.problem
    if support.undecodable:
        raise ValueError(f"{support.undecodable}; take another `backbone`")
    if problem and method.needs_engine:
        raise ValueError(f"{problem}; RecLM-ret needs the engine: take another `backbone`")
    if problem and options.val_users:
        raise ValueError(f"{problem}; validation during training needs the engine: give `val_users` 0")
    if problem:
        logger.warning(
            "%s: it will be decoded by transformers' generate (task_test.py --engine hf), one token per pass, "
            "without --decoding best and rank",
            problem,
        )
