"""Hidden states, labels and allowed sets -> loss. Pure; logits are made at labeled positions only."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from train_utils.samples.batch import Batch

# Name -> (sum, over how many): what is shown of a step is the quotient of the sums over all its micro-batches.
Parts = dict[str, tuple[float, float]]


def head_logits(head: nn.Module, hidden: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
    """Logits of `hidden` ([P, d]) over the vocabulary, or over `columns` (int64 [U]) of it; float32.

    `head` is a linear layer, plain, with LoRA or with DoRA. Only the rows of `columns` are read and get a gradient.
    """

    def rows(table: torch.Tensor) -> torch.Tensor:
        return table if columns is None else table[columns]

    layer: Any = head  # what peft's layers have beside a linear one has no types
    base = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
    weight = rows(base.weight)
    logits = F.linear(hidden.to(weight.dtype), weight).float()
    for name in getattr(layer, "active_adapters", ()):
        down, up, scale = layer.lora_A[name].weight, rows(layer.lora_B[name].weight), layer.scaling[name]
        reduced = F.linear(layer.lora_dropout[name](hidden.to(down.dtype)), down)
        logits = logits + F.linear(reduced, up).float() * scale
        if name in layer.lora_magnitude_vector:
            # The length of the sum is taken as a constant, as DoRA's authors advise.
            length = (weight.detach() + scale * (up @ down).detach()).float().norm(dim=1)
            logits = logits * (rows(layer.lora_magnitude_vector[name].weight) / length)
    return logits if base.bias is None else logits + rows(base.bias)


def text_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the whole vocabulary: logits [P, V], labels int64 [P] -> float32 [P]."""
    return F.cross_entropy(logits, labels, reduction="none")


def scoped_loss(logits: torch.Tensor, choice: torch.Tensor, share: torch.Tensor, n_choices: int) -> torch.Tensor:
    """Cross-entropy inside the scope of each choice (arXiv 2505.03336, scope mask), for ragged candidate sets.

    Args:
        logits: float32 [E], one for each candidate. choice: int64 [E], which choice it belongs to.
        share: float32 [E], wanted distribution, sum 1 a choice.

    Returns:
        float32 [n_choices]: minus the sum of share x log-softmax over the choice's own candidates.
    """
    highest = torch.full((n_choices,), -torch.inf).to(logits).scatter_reduce(0, choice, logits.detach(), "amax")
    total = torch.zeros(n_choices).to(logits).index_add(0, choice, (logits - highest[choice]).exp())
    log_share = logits - highest[choice] - total.log()[choice]
    return -torch.zeros(n_choices).to(logits).index_add(0, choice, share * log_share)


def batch_loss(hidden: torch.Tensor, head: nn.Module, batch: Batch) -> tuple[torch.Tensor, Parts]:
    """Loss of a batch from the last hidden states [B, T, d]: the mean over samples of each sample's mean.

    Returns:
        the loss, and its parts for the log: see `loss_parts`.
    """
    states = hidden.flatten(0, 1)
    text = text_loss(head_logits(head, states[batch.text_at]), batch.text_label)
    columns, where = torch.unique(batch.candidate, return_inverse=True)
    logits = head_logits(head, states[batch.choice_at], columns)[batch.candidate_choice, where]
    items = scoped_loss(logits, batch.candidate_choice, batch.candidate_share, len(batch.choice_at))
    loss = (text * batch.text_weight).sum() + (items * batch.choice_weight).sum()
    return loss, loss_parts(batch, text, items)


def loss_parts(batch: Batch, text: torch.Tensor, items: torch.Tensor, item_weight: float = 1.0) -> Parts:
    """Losses of text tokens (float32 [P]) and of choices (float32 [C]), and those of the samples by task."""
    text, items = text.detach(), items.detach()
    samples, width = batch.ids.shape
    of_sample = torch.zeros(samples).to(text)
    of_sample.index_add_(0, batch.text_at // width, text * batch.text_weight)
    of_sample.index_add_(0, batch.choice_at // width, items * batch.choice_weight * item_weight)
    parts = {"text": (text.sum().item(), float(len(text))), "item": (items.sum().item(), float(len(items)))}
    # The weights have the mean over the samples in them.
    for task, loss in zip(batch.tasks, (of_sample * samples).tolist(), strict=True):
        before, count = parts.get(task, (0.0, 0.0))
        parts[task] = (before + loss, count + 1)
    return parts


def catalog_loss(
    queries: torch.Tensor, items: torch.Tensor, choice: torch.Tensor, item: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """Softmax cross-entropy of query . item over the whole catalog.

    Args:
        queries: float32 [C, d]. items: float32 [N, d].
        choice, item: int64 [E], share: float32 [E]: the wanted share of an item at a query, sum 1 a query.

    Returns:
        float32 [C].
    """
    scores = queries @ items.T
    wanted = torch.zeros(len(queries)).to(scores).index_add(0, choice, share * scores[choice, item])
    return scores.logsumexp(1) - wanted
