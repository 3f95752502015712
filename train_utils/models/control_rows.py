"""Embedding rows of the control tokens, which a base model does not have."""

from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.models.backbone import n_embeddings
from train_utils.prompts.codec import Codec
from train_utils.prompts.control_tokens import EOI_WORDS, SOI_WORDS, add_control_tokens


def add_item_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> bool:
    """Gives both the control tokens; returns whether they are new. The rows of a merged model, which are trained, stay.

    Nothing is resized where the vocabulary holds reserved tokens (Llama 3) or the embedding spare rows (Qwen).
    """
    new = add_control_tokens(tokenizer) > 0 or len(tokenizer) > n_embeddings(model)
    if new:
        init_control_rows(tokenizer, model)
    return new


def init_control_rows(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Starts the control tokens' rows as the mean of the words that they stand for.

    The output rows start likewise; the published system leaves them random. Rows of other tokens that the embedding
    lacked start as its mean, so that merging finds the numbers that training had. See docs/architecture.md, Titles and
    control tokens.
    """
    old = n_embeddings(model)
    if len(tokenizer) > old:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    codec = Codec(tokenizer)
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    tables = {id(weight): weight for weight in (cast("nn.Linear", table).weight for table in both)}
    with torch.no_grad():
        for weight in tables.values():
            weight[old:] = weight[:old].mean(0, dtype=torch.float32).to(weight.dtype)
            for token, words in ((codec.soi, SOI_WORDS), (codec.eoi, EOI_WORDS)):
                weight[token] = weight[codec.encode(words)].float().mean(0).to(weight.dtype)
