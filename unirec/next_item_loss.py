"""Losses of the next item: full softmax, and sampled softmax for catalogs that are too large for it."""

from collections.abc import Callable

import numpy as np
import torch
from sasrec_model import SequentialModel, item_logits
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def full_softmax(model: SequentialModel, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean -log softmax of the labels over all items: float [n, hidden], int64 [n] -> float []."""
    return functional.cross_entropy(item_logits(model, states), labels)


def sampled_softmax(
    model: SequentialModel,
    states: torch.Tensor,
    labels: torch.Tensor,
    negatives: torch.Tensor,
    log_count: torch.Tensor,
) -> torch.Tensor:
    """Mean -log softmax with the sum over other items estimated from shared negatives (Bengio and Senecal, 2008).

    negatives: int64 [m], drawn with replacement. log_count: float [n_items], log of how often an item is
    expected among them; subtracted from a negative's logit, so that the sum is right on average. A negative
    that is a row's own label is left out of that row.
    """
    own = item_logits(model, states, labels, paired=True)
    others = item_logits(model, states, negatives) - log_count[negatives]
    others = others.masked_fill(negatives == labels[:, None], -torch.inf)
    logits = torch.cat([own[:, None], others], 1)
    return functional.cross_entropy(logits, torch.zeros_like(labels))


class PopularNegatives:
    """Draws items with a probability in proportion to (1 + popularity) ** alpha; never the padding.

    popularity: int64 [n_items]. alpha 0 is uniform, 1 by popularity (UniRec's `neg_by_pop_alpha`).
    """

    def __init__(self, popularity: np.ndarray, alpha: float) -> None:
        weights = (1.0 + popularity) ** alpha
        weights[0] = 0.0
        self.probability = weights / weights.sum()
        self._cumulative = np.cumsum(self.probability)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """int64 [count]."""
        drawn = np.searchsorted(self._cumulative, rng.random(count), side="right")
        return np.minimum(drawn, len(self.probability) - 1)

    def log_count(self, count: int) -> np.ndarray:
        """Log of how often each item is expected among `count` draws: float32 [n_items]; 0 for the padding."""
        return np.log(np.where(self.probability > 0, count * self.probability, 1.0)).astype(np.float32)


def make_loss(model: SequentialModel, config: dict, popularity: np.ndarray, rng: np.random.Generator) -> Loss:
    """(states [n, hidden], labels [n]) -> loss [], as `loss_type` says; `rng` draws the negatives."""
    if config["loss_type"] == "fullsoftmax":
        return lambda states, labels: full_softmax(model, states, labels)
    count = config["n_sample_neg_train"]
    if count < 1:
        raise ValueError(f"n_sample_neg_train must be at least 1 with loss_type softmax, got {count}")
    sampler = PopularNegatives(popularity, config["neg_by_pop_alpha"])
    device = model.item_embedding.weight.device
    log_count = torch.from_numpy(sampler.log_count(count)).to(device)

    def loss(states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        negatives = torch.from_numpy(sampler.draw(count, rng)).to(device)
        return sampled_softmax(model, states, labels, negatives, log_count)

    return loss
