"""Greedy or sampled next tokens from logits and allowed tokens, with one copy from the device for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from train_utils.constraint.logits_processor import bar_tokens
from train_utils.decoding.request import GREEDY, SamplingParams

REMEMBERED = 16  # number of most probable tokens that are returned with a sampled token


@dataclass(frozen=True)
class SamplingPoint:
    """Position at which a token is drawn.

    Attributes:
        tokens: int64 [n], the allowed tokens, ascending; None allows all but `barred`.
        barred: int64 [n], tokens that are excluded if `tokens` is None; None for none.
        added: float64 [n], terms that a prior adds to the log-probabilities of `tokens`; None for no prior.
        sampling: sampling parameters.
        uniform: random number in [0, 1) that decides which token is drawn.
    """

    tokens: np.ndarray | None = None
    barred: np.ndarray | None = None
    added: np.ndarray | None = None
    sampling: SamplingParams = GREEDY
    uniform: float = 0.0


@dataclass(frozen=True)
class SampledToken:
    """Token drawn at a sampling point.

    Attributes:
        token: token id.
        score: its log-probability among the allowed tokens; 0 in free text.
        ranked: the most probable allowed tokens, best first; empty in free text.
    """

    token: int
    score: float = 0.0
    ranked: tuple[int, ...] = ()


def sample_tokens(logits: torch.Tensor, choices: Sequence[SamplingPoint]) -> list[SampledToken]:
    """Draw a token for each row of logits. Among equal logits, the smallest token id counts as the most probable.

    Args:
        logits: float [n, V].
        choices: sampling point of each row.
    """
    free = [i for i, choice in enumerate(choices) if choice.tokens is None]
    inside = {i: choice.tokens for i, choice in enumerate(choices) if choice.tokens is not None}
    parts = []
    if free:
        parts.append(_pick_free(logits, free, [choices[i] for i in free]))
    if inside:
        parts.append(_pick_inside(logits, inside, [choices[i] for i in inside]))
    # Integers below 2^53 are exact in float64, so that one copy transfers everything.
    numbers = iter(torch.cat([part.flatten().double() for part in parts]).tolist())
    width = parts[-1].shape[1] - 2 if inside else 0
    sampled = {i: SampledToken(int(next(numbers))) for i in free}
    for i, tokens in inside.items():
        at, score, *ranked = (next(numbers) for _ in range(2 + width))
        sampled[i] = SampledToken(
            int(tokens[int(at)]), score, tuple(int(tokens[int(r)]) for r in ranked[: len(tokens)])
        )
    return [sampled[i] for i in range(len(choices))]


def _pick_free(logits: torch.Tensor, positions: Sequence[int], choices: Sequence[SamplingPoint]) -> torch.Tensor:
    """Return [positions, 1], the drawn tokens in free text."""
    values = logits[torch.tensor(positions, device=logits.device)]
    barred = {i: choice.barred for i, choice in enumerate(choices) if choice.barred is not None}
    bar_tokens(values, barred)
    return _chosen(values, choices)[:, None]


def _pick_inside(
    logits: torch.Tensor, inside: Mapping[int, np.ndarray], choices: Sequence[SamplingPoint]
) -> torch.Tensor:
    """Return [positions, 2 + n], the drawn tokens inside items.

    The columns are the index of the drawn token among the allowed ones, its log-probability, and the indices of the n
    most probable tokens.

    Args:
        logits: float [rows, V].
        inside: row of `logits` -> its allowed tokens.
        choices: sampling point of each of these rows.
    """
    values = _gathered(logits, list(inside), list(inside.values()), [choice.added for choice in choices])
    at = _chosen(values, choices)[:, None]
    ranked = values.topk(min(REMEMBERED, values.shape[1])).indices
    return torch.cat([at, values.log_softmax(1).gather(1, at), ranked], 1)


def log_probabilities(
    logits: torch.Tensor, tokens: Sequence[np.ndarray], added: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """Return the log-probabilities of the allowed tokens of each row among themselves, plus the terms of a prior.

    Args:
        logits: float [n, V].
        tokens: int64 [allowed tokens] for each row.
        added: float64 [allowed tokens] for each row, terms that a prior adds; None for no prior.

    Returns:
        float64 [allowed tokens] for each row.
    """
    rows = _gathered(logits, range(len(tokens)), tokens, [None] * len(tokens)).log_softmax(1).double().cpu().numpy()
    return [
        row[: len(ids)] + (0.0 if more is None else more) for row, ids, more in zip(rows, tokens, added, strict=True)
    ]


def _gathered(
    logits: torch.Tensor, positions: Sequence[int], tokens: Sequence[np.ndarray], added: Sequence[np.ndarray | None]
) -> torch.Tensor:
    """Return [positions, maximum of allowed tokens]: logits of the allowed tokens plus the prior, padded with -inf."""
    sizes = list(map(len, tokens))
    index = np.stack(
        [
            np.repeat(positions, sizes),
            np.concatenate(tokens),
            np.repeat(np.arange(len(sizes)), sizes),
            np.concatenate([np.arange(n) for n in sizes]),
        ]
    )
    position, token, row, column = torch.from_numpy(index).to(logits.device)
    selected = logits[position, token]
    if any(log_shares is not None for log_shares in added):
        bonus = [np.zeros(n) if log_shares is None else log_shares for log_shares, n in zip(added, sizes, strict=True)]
        selected = selected + torch.from_numpy(np.concatenate(bonus)).to(selected)
    values = selected.new_full((len(sizes), max(sizes)), -torch.inf)
    values[row, column] = selected
    return values


def _chosen(values: torch.Tensor, choices: Sequence[SamplingPoint]) -> torch.Tensor:
    """Return int64 [rows], the drawn column of each row of `values`."""
    best = values.argmax(1)
    sampled = [row for row, choice in enumerate(choices) if choice.sampling.temperature > 0]
    if sampled:
        rows = torch.tensor(sampled, device=values.device)
        best[rows] = _drawn(values[rows], [choices[row] for row in sampled])
    return best


def _drawn(values: torch.Tensor, choices: Sequence[SamplingPoint]) -> torch.Tensor:
    """Draw by inverse transform sampling over tokens in descending probability, one uniform number per row."""

    def column(numbers: list[float]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=values.device)[:, None]

    order = values.argsort(dim=1, descending=True, stable=True)
    ranked = values.gather(1, order).double() / column([choice.sampling.temperature for choice in choices])
    size = values.shape[1]
    top_k = column([choice.sampling.top_k or size for choice in choices])
    ranked = ranked.masked_fill(torch.arange(size, device=values.device) >= top_k, -torch.inf)
    mass = ranked.softmax(1)
    before = mass.cumsum(1) - mass
    mass = mass.masked_fill(before >= column([choice.sampling.top_p for choice in choices]), 0.0)
    up_to = mass.cumsum(1)
    at = (up_to <= column([choice.uniform for choice in choices]) * up_to[:, -1:]).sum(1, keepdim=True)
    # By rounding, a uniform number may point after the last token with probability mass.
    at = torch.minimum(at, (mass > 0).sum(1, keepdim=True) - 1)
    return order.gather(1, at)[:, 0]
