"""Tiny backbones in folders, trained for one step."""

import torch
from chat_templates import FAMILIES, family_tokenizer
from tiny import tiny_model, tiny_tokenizer

from train_utils.models.adapters import add_lora, unfreeze
from train_utils.models.backbone import load_backbone
from train_utils.models.control_rows import add_item_tokens
from train_utils.prompts.messages import ItemPart, message
from train_utils.prompts.renderer import Chat

TITLES = ["red", "red moon", "the end", "夜", "blue river of the red moon"]
CPU = torch.device("cpu")


def backbone_at(folder, tokens="added", tied=True, dtype=torch.float32) -> str:
    """Write a tiny backbone.

    Args:
        folder: target folder.
        tokens: where the control tokens go: "added" to the vocabulary, into "spare" rows, or into "reserved" tokens.
        tied: whether input and output embeddings are tied.
        dtype: number format of the weights.

    Returns:
        The folder.
    """
    tokenizer = family_tokenizer(FAMILIES["Llama-3"]) if tokens == "reserved" else tiny_tokenizer()
    model = tiny_model(len(tokenizer) + (8 if tokens == "spare" else 0), tied=tied)
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def trained(backbone, how, layers=0):
    """Return a model after one random step, and its renderer.

    Args:
        backbone: folder of the backbone.
        how: "full" for every weight, "dora", or another value for LoRA.
        layers: number of adapted layers at the top; 0 for all.
    """
    tokenizer, model = load_backbone(backbone, CPU, "float32")
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, TITLES)
    if how == "full":
        model = unfreeze(model)
    else:
        model = add_lora(model, [chat.soi, chat.eoi], 4, 8, 0.0, layers, how == "dora")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval(), chat


def logits(model, chat) -> torch.Tensor:
    """Return float32 [T, V], the logits of a conversation with items in the question and in the answer."""
    turns = [message("user", "the red ", ItemPart(1)), message("assistant", "look: ", ItemPart(3), " or ", ItemPart(0))]
    with torch.no_grad():
        return model(torch.tensor([chat.render(turns, prompt=False).ids])).logits[0].float()
