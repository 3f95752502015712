"""Limit on the size of a model that a library constructs, by the weights in its files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from train_utils.model_folder import Weights

# A model may have more than its files: a head that shares the embedding, masks and tables that are computed.
_TIMES, _MORE_ELEMENTS = 2, 1 << 26
# Stacked experts and fused projections are several parameters in one tensor, or the other way round.
_TIMES_TENSORS, _MORE_TENSORS = 16, 4096


@contextmanager
def limited_by(weights: Weights) -> Iterator[None]:
    """Stop the construction of a model that is larger than its files say, before it takes time and memory.

    transformers constructs a model without memory for its weights, and allocates afterwards what the files lack. Each
    parameter and buffer that this thread adds to a module is counted.

    Args:
        weights: size of the weights in the files.

    Raises:
        ValueError: the model is larger.
    """
    thread = threading.get_ident()
    most_elements = _TIMES * weights.elements + _MORE_ELEMENTS
    most_tensors = _TIMES_TENSORS * weights.tensors + _MORE_TENSORS
    counted = SimpleNamespace(elements=0, tensors=0)

    def count(module: nn.Module, name: str, tensor: torch.Tensor | None) -> None:
        if tensor is None or threading.get_ident() != thread:
            return
        counted.elements += tensor.numel()
        counted.tensors += 1
        if counted.elements > most_elements or counted.tensors > most_tensors:
            raise ValueError(
                f"its configuration asks for {counted.elements:,} weights or more in {counted.tensors:,} tensors, and "
                f"its files have {weights.elements:,} in {weights.tensors:,}; one of them is damaged"
            )

    hooks = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
