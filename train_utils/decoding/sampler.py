"""Logits and what may follow -> the next token of each place, greedy or sampled: one read from the device for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from train_utils.decoding.request import GREEDY, SamplingParams

REMEMBERED = 16  # tokens of a choice that are told beside the one taken


@dataclass(frozen=True)
class SamplingPoint:
    """One place of a text where a token has to be picked.

    Attributes:
        tokens: int64 [n], the allowed ones, ascending; None allows all but `barred`.
        added: float64 [n], what a prior adds to their log-probabilities; None for nothing.
        uniform: a number of [0, 1) that stands for the chance of a sampled place.
    """

    tokens: np.ndarray | None = None
    barred: tuple[int, ...] = ()
    added: np.ndarray | None = None
    sampling: SamplingParams = GREEDY
    uniform: float = 0.0


@dataclass(frozen=True)
class SampledToken:
    """The token taken at a place. Among restricted tokens also its log-probability, and the likeliest, best first."""

    token: int
    score: float = 0.0
    ranked: tuple[int, ...] = ()


def sample_tokens(logits: torch.Tensor, choices: Sequence[SamplingPoint]) -> list[SampledToken]:
    """Takes a token at each row of `logits` (float [n, V]). Of equal ones the smallest token is the likeliest."""
    free = [i for i, choice in enumerate(choices) if choice.tokens is None]
    inside = {i: choice.tokens for i, choice in enumerate(choices) if choice.tokens is not None}
    found = []
    if free:
        found.append(_pick_free(logits, free, [choices[i] for i in free]))
    if inside:
        found.append(_pick_inside(logits, inside, [choices[i] for i in inside]))
    # Whole numbers below 2^53 are exact in float64, so that one copy brings everything.
    numbers = iter(torch.cat([part.flatten().double() for part in found]).tolist())
    width = found[-1].shape[1] - 2 if inside else 0
    picked = {i: SampledToken(int(next(numbers))) for i in free}
    for i, tokens in inside.items():
        at, score, *ranked = (next(numbers) for _ in range(2 + width))
        picked[i] = SampledToken(int(tokens[int(at)]), score, tuple(int(tokens[int(r)]) for r in ranked[: len(tokens)]))
    return [picked[i] for i in range(len(choices))]


def _pick_free(logits: torch.Tensor, places: Sequence[int], choices: Sequence[SamplingPoint]) -> torch.Tensor:
    """[places, 1]: the token taken."""
    values = logits[torch.tensor(places, device=logits.device)]
    barred = [(row, token) for row, choice in enumerate(choices) for token in choice.barred]
    if barred:
        rows, tokens = torch.tensor(barred, device=logits.device).T
        values[rows, tokens] = -torch.inf
    return _chosen(values, choices)[:, None]


def _pick_inside(
    logits: torch.Tensor, inside: Mapping[int, np.ndarray], choices: Sequence[SamplingPoint]
) -> torch.Tensor:
    """[places, 2 + n]: the number of the allowed token taken, its log-probability, the numbers of the likeliest n.

    inside: places -> their allowed tokens.
    """
    values = _gathered(logits, list(inside), list(inside.values()), [choice.added for choice in choices])
    at = _chosen(values, choices)[:, None]
    likeliest = values.topk(min(REMEMBERED, values.shape[1])).indices
    return torch.cat([at, values.log_softmax(1).gather(1, at), likeliest], 1)


def log_probabilities(
    logits: torch.Tensor, tokens: Sequence[np.ndarray], added: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """For each row of `logits` (float [n, V]) the log-probabilities of its allowed tokens among themselves, and what a
    prior adds to them: float64 [allowed tokens] each.

    Args:
        tokens: int64 [allowed tokens], of each row.
        added: float64 [allowed tokens], of each row what a prior adds; None for nothing.
    """
    found = _gathered(logits, range(len(tokens)), tokens, [None] * len(tokens)).log_softmax(1).double().cpu().numpy()
    return [
        row[: len(ids)] + (0.0 if more is None else more) for row, ids, more in zip(found, tokens, added, strict=True)
    ]


def _gathered(
    logits: torch.Tensor, places: Sequence[int], tokens: Sequence[np.ndarray], added: Sequence[np.ndarray | None]
) -> torch.Tensor:
    """[places, most allowed tokens]: the logits of the allowed tokens with what the prior adds, -inf behind them."""
    sizes = list(map(len, tokens))
    index = np.stack(
        [
            np.repeat(places, sizes),
            np.concatenate(tokens),
            np.repeat(np.arange(len(sizes)), sizes),
            np.concatenate([np.arange(n) for n in sizes]),
        ]
    )
    place, token, row, column = torch.from_numpy(index).to(logits.device)
    found = logits[place, token]
    if any(one is not None for one in added):
        bonus = [np.zeros(n) if one is None else one for one, n in zip(added, sizes, strict=True)]
        found = found + torch.from_numpy(np.concatenate(bonus)).to(found)
    values = found.new_full((len(sizes), max(sizes)), -torch.inf)
    values[row, column] = found
    return values


def _chosen(values: torch.Tensor, choices: Sequence[SamplingPoint]) -> torch.Tensor:
    """int64 [rows]: the column taken of each row of `values`."""
    best = values.argmax(1)
    sampled = [row for row, choice in enumerate(choices) if choice.sampling.temperature > 0]
    if sampled:
        rows = torch.tensor(sampled, device=values.device)
        best[rows] = _drawn(values[rows], [choices[row] for row in sampled])
    return best


def _drawn(values: torch.Tensor, choices: Sequence[SamplingPoint]) -> torch.Tensor:
    """Inverse transform sampling over the tokens in the order of their probability: one uniform number a row."""

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
    # Rounding may leave a uniform number behind the last token that counts.
    at = torch.minimum(at, (mass > 0).sum(1, keepdim=True) - 1)
    return order.gather(1, at)[:, 0]
