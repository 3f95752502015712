"""Dropout from random bytes: on a CPU torch draws a mask at 9 ns an element, NumPy's bytes cost a tenth of it."""

import numpy as np
import torch
from torch import nn

_STEPS = 256  # a probability is rounded to 1/256


class ByteDropout(nn.Dropout):
    """nn.Dropout with another source of chance. No weights: a model's state dict stays as it is."""

    rng: np.random.Generator

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        dropped = round(self.p * _STEPS)
        if not self.training or dropped == 0:
            return states
        drawn = torch.frombuffer(bytearray(self.rng.bytes(states.numel())), dtype=torch.uint8)
        kept = (drawn >= dropped).view(states.shape).to(states.dtype)
        return states * kept.mul_(_STEPS / (_STEPS - dropped) if dropped < _STEPS else 0.0)


def use_byte_dropout(model: nn.Module, rng: np.random.Generator) -> None:
    """Let every nn.Dropout of a model on the CPU draw from `rng`, in the order of the model's own calls."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.__class__ = ByteDropout
            module.rng = rng
