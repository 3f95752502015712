"""Losses of hidden states against labels and allowed sets. Logits are computed at labeled positions only."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from train_utils.models.item_rows import row_numbers, trained_rows
from train_utils.samples.batch import Batch

# Name -> (sum, count). The log shows the quotient of both, summed over all micro-batches of a step.
Parts = dict[str, tuple[float, float]]


def head_logits(head: nn.Module, hidden: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
    """Compute logits over the vocabulary, or over some of its tokens.

    Args:
        head: linear layer, plain, with LoRA or with DoRA.
        hidden: [P, d], hidden states.
        columns: int64 [U], token ids; only their rows of `head` are read and get a gradient. None for all tokens.

    Returns:
        float32 [P, V] or [P, U].
    """

    def rows(table: torch.Tensor) -> torch.Tensor:
        return table if columns is None else table[columns]

    if (own := trained_rows(head)) is not None:
        return _logits_of_rows(cast("Any", head).token_adapter.get_base_layer(), *own, hidden, columns)
    layer: Any = head  # the attributes of peft's layers are untyped
    base = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
    weight = rows(base.weight)
    logits = F.linear(hidden.to(weight.dtype), weight).float()
    for name in getattr(layer, "active_adapters", ()):
        down, up, scale = layer.lora_A[name].weight, rows(layer.lora_B[name].weight), layer.scaling[name]
        reduced = F.linear(layer.lora_dropout[name](hidden.to(down.dtype)), down)
        logits = logits + F.linear(reduced, up).float() * scale
        if name in layer.lora_magnitude_vector:
            # The norm of the sum is treated as a constant, as DoRA's authors advise.
            length = (weight.detach() + scale * (up @ down).detach()).float().norm(dim=1)
            logits = logits * (rows(layer.lora_magnitude_vector[name].weight) / length)
    return logits if base.bias is None else logits + rows(base.bias)


def _logits_of_rows(
    base: nn.Linear, tokens: torch.Tensor, weights: torch.Tensor, hidden: torch.Tensor, columns: torch.Tensor | None
) -> torch.Tensor:
    """Compute `head_logits` of a head of which the rows `weights` [n, d] of `tokens` (int64 [n]) are trained."""
    if columns is None:
        own = F.linear(hidden.to(base.weight.dtype), weights.to(base.weight.dtype)).float()
        logits = F.linear(hidden.to(base.weight.dtype), base.weight).float().index_copy(1, tokens, own)
        return logits if base.bias is None else logits + base.bias
    at = row_numbers(tokens, columns)
    fixed = base.weight[columns]
    table = torch.where((at >= 0)[:, None], weights[at.clamp(min=0)].to(fixed.dtype), fixed)
    logits = F.linear(hidden.to(table.dtype), table).float()
    return logits if base.bias is None else logits + base.bias[columns]


def text_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute cross-entropy over the whole vocabulary.

    Args:
        logits: float32 [P, V].
        labels: int64 [P], token ids.

    Returns:
        float32 [P].
    """
    return F.cross_entropy(logits, labels, reduction="none")


def scoped_loss(logits: torch.Tensor, choice: torch.Tensor, share: torch.Tensor, n_choices: int) -> torch.Tensor:
    """Compute cross-entropy inside the scope of each choice (arXiv 2505.03336, scope mask), for ragged candidates.

    Args:
        logits: float32 [E], one per candidate.
        choice: int64 [E], index of the choice that the candidate belongs to.
        share: float32 [E], target distribution, sum 1 per choice.
        n_choices: number of choices.

    Returns:
        float32 [n_choices]: minus the sum of share x log-softmax over the choice's own candidates.
    """
    highest = torch.full((n_choices,), -torch.inf).to(logits).scatter_reduce(0, choice, logits.detach(), "amax")
    total = torch.zeros(n_choices).to(logits).index_add(0, choice, (logits - highest[choice]).exp())
    log_share = logits - highest[choice] - total.log()[choice]
    return -torch.zeros(n_choices).to(logits).index_add(0, choice, share * log_share)


def batch_loss(hidden: torch.Tensor, head: nn.Module, batch: Batch) -> tuple[torch.Tensor, Parts]:
    """Compute the loss of a batch: the mean over samples of each sample's mean.

    Args:
        hidden: [B, T, d], last hidden states.
        head: output layer; see `head_logits`.
        batch: labels and choices.

    Returns:
        The loss, and its parts for the log; see `loss_parts`.
    """
    states = hidden.flatten(0, 1)
    text = text_loss(head_logits(head, states[batch.text_at]), batch.text_label)
    items = branch_loss(head, states[batch.choice_at], batch)
    loss = (text * batch.text_weight).sum() + (items * batch.choice_weight).sum()
    return loss, loss_parts(batch, text, items)


def branch_loss(head: nn.Module, states: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Compute the losses of a batch's choices between children in the trie; see `scoped_loss`.

    Args:
        head: output layer; see `head_logits`.
        states: [C, d], the states that choose.
        batch: the batch of the choices.

    Returns:
        float32 [C].
    """
    columns, where = torch.unique(batch.candidate, return_inverse=True)
    logits = head_logits(head, states, columns)[batch.candidate_choice, where]
    return scoped_loss(logits, batch.candidate_choice, batch.candidate_share, len(states))


def loss_parts(batch: Batch, text: torch.Tensor, items: torch.Tensor, item_weight: float = 1.0) -> Parts:
    """Sum the losses of a batch for the log: of text tokens, of choices, and of samples by task.

    Args:
        batch: the batch of the losses.
        text: float32 [P], losses of text tokens.
        items: float32 [C], losses of choices.
        item_weight: factor of the choices in a sample's loss.

    Returns:
        "text", "item" and each task -> (sum, count).
    """
    text, items = text.detach(), items.detach()
    samples = len(batch.tasks)
    of_sample = torch.zeros(samples).to(text)
    of_sample.index_add_(0, batch.sample_of(batch.text_at), text * batch.text_weight)
    of_sample.index_add_(0, batch.sample_of(batch.choice_at), items * batch.choice_weight * item_weight)
    parts = {"text": (text.sum().item(), float(len(text))), "item": (items.sum().item(), float(len(items)))}
    # The weights are divided by the number of samples.
    for task, loss in zip(batch.tasks, (of_sample * samples).tolist(), strict=True):
        before, count = parts.get(task, (0.0, 0.0))
        parts[task] = (before + loss, count + 1)
    return parts


def catalog_loss(scores: torch.Tensor, choice: torch.Tensor, item: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Compute softmax cross-entropy over the whole catalog.

    Args:
        scores: float32 [C, N], logits of the items; -inf for an item that is not admissible.
        choice: int64 [E], index of a row of `scores`.
        item: int64 [E], index of an admissible item.
        share: float32 [E], target share of the item in the row, sum 1 per row.

    Returns:
        float32 [C].
    """
    expected = torch.zeros(len(scores)).to(scores).index_add(0, choice, share * scores[choice, item])
    return scores.logsumexp(1) - expected


def own_label_loss(scores: torch.Tensor, anchor_scores: torch.Tensor) -> torch.Tensor:
    """Compute cross-entropy against the model's own distribution at other states, which gets no gradient.

    Args:
        scores: float32 [A, N], logits of the items; -inf for an item that is not admissible.
        anchor_scores: float32 [A, N], logits of the items at the states that give the labels.

    Returns:
        float32 [A].
    """
    closed = scores.isneginf()
    shares = anchor_scores.detach().masked_fill(closed, -torch.inf).softmax(1)
    return scores.logsumexp(1) - (shares * scores.masked_fill(closed, 0.0)).sum(1)


def without_closed(scores: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return scores (float32 [C, N]) with -inf for the items that a choice no longer admits."""
    closed = torch.zeros_like(scores, dtype=torch.bool)
    closed[batch.closed_choice, batch.closed] = True
    return scores.masked_fill(closed, -torch.inf)
