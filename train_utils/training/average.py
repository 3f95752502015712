"""Exponential moving average of the trained weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class AverageWeights:
    """Average of a model's trained weights: after each step, `decay` of the average and the rest of the weights.

    The decay grows with the steps, so that the initial weights are soon forgotten.

    Args:
        model: the model.
        decay: the largest decay, below 1.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self._weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after `step` (from 0) into the average."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, average in self._average.items():
            average.lerp_(self._weights[name].detach(), share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights of the model and the average."""
        for name, weight in self._weights.items():
            kept = weight.detach().clone()
            weight.copy_(self._average[name])
            self._average[name].copy_(kept)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the average by the names of the weights, on the CPU."""
        return {name: average.cpu() for name, average in self._average.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load an average that `state` returned."""
        for name, average in self._average.items():
            average.copy_(state[name])


@contextmanager
def averaged(average: AverageWeights | None) -> Iterator[None]:
    """Give a model its average weights within the block; do nothing for None."""
    if average is None:
        yield
        return
    average.swap()
    try:
        yield
    finally:
        average.swap()
