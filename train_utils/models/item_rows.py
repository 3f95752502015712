"""Item rows: embedding and output rows of item codes, started from the titles and trained whole."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.item_codes import ItemCodes
from train_utils.models.adapters import untie_head
from train_utils.models.backbone import mixed_precision, n_embeddings
from train_utils.models.co_occurrence import co_occurrence_vectors
from train_utils.prompts.codec import Codec
from train_utils.prompts.control_tokens import add_code_tokens

_OUTPUT_SCALE = 0.5  # of a title's mean row in the output row: the text's own next words stay ahead at the start


def add_item_rows(
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    codes: ItemCodes,
    titles: Sequence[str],
    sequences: Sequence[Sequence[int]],
) -> None:
    """Add code tokens to a tokenizer that has the control tokens, and their rows to a model.

    A code token starts as the mean of the rows of the title tokens of its items, in the input and in the output, plus a
    random projection of its items' co-occurrence vectors. Along the model's mean state, the output row gets the log of
    its items' popularity instead. So training spends no time on what the counts tell: which items are popular, and
    which are consumed together. The head gets its own copy of a shared embedding.

    Args:
        tokenizer: the model's tokenizer.
        model: the model.
        codes: codes of the catalog's items.
        titles: titles of the items, in the same order.
        sequences: item indices of each user's training events, oldest first.
    """
    add_code_tokens(tokenizer, codes.tokens)
    model.config.item_form = codes.form  # saved with the model, so that it is never used without its codes
    untie_head(model)
    if len(tokenizer) > n_embeddings(model):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    codec = Codec(tokenizer)
    spelled = codec.encode_many([codec.spell(title) for title in titles])
    vocabulary = tokenizer.get_vocab()
    items_of: dict[str, list[int]] = {token: [] for token in codes.tokens}
    for item, code in enumerate(codes.codes):
        for token in code:
            items_of[token].append(item)
    ids = [vocabulary[token] for token in codes.tokens]
    inputs = cast("nn.Embedding", model.get_input_embeddings()).weight
    outputs = cast("nn.Linear", model.get_output_embeddings()).weight
    together = torch.from_numpy(co_occurrence_vectors(sequences, len(titles)))

    def started(table: torch.Tensor) -> torch.Tensor:
        of_item = torch.stack([table[title].float().mean(0) for title in spelled])
        of_item += _projected(together.to(of_item), of_item)
        return torch.stack([of_item[items].mean(0) for items in items_of.values()])

    with torch.no_grad():
        inputs[ids] = started(inputs).to(inputs.dtype)
        popularity = np.bincount(np.concatenate([*sequences, [0]]).astype(np.int64), minlength=len(titles))
        counts = np.array([1.0 + sum(popularity[item] for item in items) for items in items_of.values()])
        mean = _mean_state(model, ids, counts / counts.sum())
        wanted = torch.tensor(np.log(counts) - np.log(counts).mean(), dtype=torch.float32, device=mean.device)
        rows = started(outputs) * _OUTPUT_SCALE
        rows += (wanted - rows @ mean)[:, None] * mean / mean.square().sum()
        outputs[ids] = rows.to(outputs.dtype)


def _projected(vectors: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Project vectors [n, size] at random to the width and the mean length of other vectors [n, d]."""
    draws = torch.Generator().manual_seed(0)
    projection = torch.randn(vectors.shape[1], like.shape[1], generator=draws) / like.shape[1] ** 0.5
    return vectors @ projection.to(vectors) * like.norm(dim=1).mean()


def _mean_state(model: PreTrainedModel, ids: Sequence[int], shares: np.ndarray) -> torch.Tensor:
    """Return the mean last hidden state (float32 [d]) over sequences of code tokens drawn by their shares."""
    drawn = np.random.default_rng(0).choice(ids, size=(8, 32), p=shares)
    with torch.inference_mode(), mixed_precision(model):
        states = model.base_model(input_ids=torch.tensor(drawn, device=model.device), use_cache=False)
    return states.last_hidden_state.float().mean((0, 1))


# -- training ----------------------------------------------------------------------------------------------------------
def trained_rows(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the rows of an embedding or head that are trained whole: (token ids int64 [n], weights [n, d]).

    None where the layer trains no rows of its own.
    """
    adapter: Any = getattr(layer, "token_adapter", None)  # peft's wrapper of a layer with trained rows
    if adapter is None:
        return None
    name = next(iter(adapter.trainable_tokens_delta))
    weights = adapter.trainable_tokens_delta[name]
    return torch.as_tensor(adapter.token_indices[name], device=weights.device), weights


class CoupledRows:
    """Input rows of trained tokens that also take the steps of the output rows of the same tokens.

    A choice has a gradient for the output row of every item, but only for the input rows of the items that are read,
    though both say with which items an item is consumed. LOG.md has what it brings. Output rows start at half the
    length of input rows (`_OUTPUT_SCALE`), so their steps count twice.

    Args:
        model: a model with an adapter that trains the rows of the same tokens in the input and in the head.

    Raises:
        ValueError: it trains no such rows.
    """

    def __init__(self, model: PreTrainedModel):
        inputs = trained_rows(model.get_input_embeddings())
        outputs = trained_rows(cast("nn.Module", model.get_output_embeddings()))
        if inputs is None or outputs is None or not torch.equal(inputs[0], outputs[0]):
            raise ValueError("the model trains no rows of the same tokens in the input and in the head")
        self._inputs, self._outputs = inputs[1], outputs[1]
        self._before = torch.empty_like(self._outputs)

    def before_step(self) -> None:
        """Keep the output rows as they are before an optimizer step."""
        self._before.copy_(self._outputs.detach())

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the input rows by what the step has changed in the output rows."""
        self._inputs.add_(self._outputs - self._before, alpha=1 / _OUTPUT_SCALE)


def embed(layer: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Return the input vectors of token ids, [..., d].

    Rows that are trained are read from their own table; peft's layer would copy the whole embedding in every pass.
    """
    rows = trained_rows(layer)
    base = None if rows is None else cast("Any", layer).token_adapter.get_base_layer()
    if rows is None or type(base) is not nn.Embedding:  # a subclass may scale its vectors
        return layer(ids)
    tokens, weights = rows
    at = row_numbers(tokens, ids)
    vectors = F.embedding(ids, base.weight)
    return torch.where((at >= 0)[..., None], F.embedding(at.clamp(min=0), weights.to(vectors.dtype)), vectors)


def row_numbers(tokens: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the position of each id in `tokens` (int64, any order), -1 for an id that is not in it."""
    ordered, order = tokens.sort()
    at = torch.searchsorted(ordered, ids).clamp(max=len(tokens) - 1)
    return torch.where(ordered[at] == ids, order[at], -1)
