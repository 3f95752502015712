"""The model as a sequential recommender: what follows a history of bare item codes, without a conversation."""

from collections.abc import Sequence

import numpy as np
import torch

from train_utils.decoding.engine import Engine
from train_utils.decoding.reference import PlainEngine


def next_item_shares(engine: Engine | PlainEngine, histories: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the probability of each item after each history, in one forward pass over a few tokens per item.

    Args:
        engine: engine of a model with one code token per item, trained on histories of bare codes.
        histories: item indices, oldest first; none is empty.

    Returns:
        float64 [histories, items], each row sums to 1 over the whole catalog.
    """
    tokens = engine.chat.one_token_codes
    assert tokens is not None  # the caller has checked the item form
    logits = engine.last_logits([engine.chat.history_ids(history) for history in histories])
    return torch.softmax(logits[:, torch.from_numpy(tokens).to(logits.device)].double(), -1).cpu().numpy()
