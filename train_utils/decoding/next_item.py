"""The model as a sequential recommender: what follows a history of bare item codes, without a conversation."""

from collections.abc import Sequence

import numpy as np
import torch

from train_utils.decoding.engine import Engine
from train_utils.decoding.reference import PlainEngine
from train_utils.prompts.renderer import Chat


def names_items_at_once(chat: Chat) -> bool:
    """Return whether one token names an item, so that one distribution covers the catalog."""
    return bool(chat.code_ids) and max(map(len, chat.code_ids)) == 1


def next_item_shares(engine: Engine | PlainEngine, histories: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the probability of each item after each history, in one forward pass over a few tokens per item.

    Args:
        engine: engine of a model with one code token per item, trained on histories of bare codes.
        histories: item indices, oldest first; none is empty.

    Returns:
        float64 [histories, items], each row sums to 1 over the whole catalog.
    """
    logits = engine.last_logits([engine.chat.history_ids(history) for history in histories])
    codes = torch.tensor([token for (token,) in engine.chat.code_ids], device=logits.device)
    return torch.softmax(logits[:, codes].double(), -1).cpu().numpy()
