"""Control rows: embedding and output rows of the control tokens, which a base model lacks."""

from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.models.backbone import n_embeddings
from train_utils.prompts.codec import Codec
from train_utils.prompts.control_tokens import EOI_WORDS, SOI_WORDS, add_control_tokens


def add_item_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> bool:
    """Add the control tokens to the tokenizer and their rows to the model.

    The trained rows of a merged model are kept. The embedding is not resized if the vocabulary has reserved tokens
    (Llama 3) or the embedding has spare rows (Qwen).

    Returns:
        Whether the control tokens are new.
    """
    new = add_control_tokens(tokenizer) > 0 or len(tokenizer) > n_embeddings(model)
    if new:
        init_control_rows(tokenizer, model)
    return new


def init_control_rows(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Initialize the control rows as the mean rows of the words that describe the control tokens.

    Output rows are initialized likewise; the published system leaves them random. Rows of other tokens that the
    embedding lacked get its mean, so that merging starts from the same values as training. See docs/architecture.md,
    Titles and control tokens.
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
