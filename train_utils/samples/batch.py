"""Micro-batches of samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Batch:
    """B samples with P labeled text tokens, C choices and E candidates (ragged over C).

    Samples are padded, one per row (R = B), or packed, all in one row (R = 1) without padding.

    Weights are divided by B x the sample's total weight, so that the weighted sum of losses is the mean over samples
    of each sample's mean, that of its text times a weight of its own.

    Attributes:
        tasks: B task names, for the log.
        ids: int64 [R, T], token ids.
        mask: int64 [R, T], 1 for tokens, 0 for padding.
        positions: int64 [1, T], position of each token in its sample, if the samples are packed; otherwise None.
        starts: int64 [B], flat index of each sample's first token.
        text_at: int64 [P], flat index (row * T + column) of the state that predicts the token.
        text_label: int64 [P], token ids.
        text_weight: float32 [P].
        choice_at: int64 [C], flat index of the state that predicts the choice.
        choice_weight: float32 [C].
        candidate: int64 [E], token ids.
        candidate_choice: int64 [E], index of the choice that the candidate belongs to.
        candidate_share: float32 [E], target share.
        closed: int64 [K], indices of items that a choice over the whole catalog excludes.
        closed_choice: int64 [K], index of the choice.
        anchor: int64 [A], flat index of the state of the last history item, which predicts what follows the history.
        anchored: int64 [A], index of the choice that asks the same.
        seed: seed of the randomness in the batch's loss.
    """

    tasks: tuple[str, ...]
    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None
    starts: torch.Tensor
    text_at: torch.Tensor
    text_label: torch.Tensor
    text_weight: torch.Tensor
    choice_at: torch.Tensor
    choice_weight: torch.Tensor
    candidate: torch.Tensor
    candidate_choice: torch.Tensor
    candidate_share: torch.Tensor
    closed: torch.Tensor
    closed_choice: torch.Tensor
    anchor: torch.Tensor
    anchored: torch.Tensor
    seed: int = 0

    @property
    def attention(self) -> dict[str, torch.Tensor]:
        """Arguments of a model's forward pass that keep samples apart."""
        # transformers separates packed samples where the positions start again.
        return {"attention_mask": self.mask} if self.positions is None else {"position_ids": self.positions}

    def sample_of(self, at: torch.Tensor) -> torch.Tensor:
        """Return the sample that each flat index belongs to."""
        return torch.searchsorted(self.starts, at, right=True) - 1

    def to(self, device: torch.device) -> "Batch":
        tensors: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True)
class Sample:
    """Tokenized sample.

    Attributes:
        ids: token ids of the conversation.
        text: (position, weight) of each labeled token outside items; its label is the token itself.
        choices: (position, weight, tokens, shares) of each choice between children in the trie. `position` is the
            position of the chosen token, `shares` (float32 [n], sum 1) the target distribution over `tokens`
            (int32 [n]).
        forced: total weight of the labeled title tokens that leave no choice; their loss is 0.
        task: task name, for the log.
        closed: for each choice over the whole catalog, the items that it excludes (int32 [n]); () for other choices.
        anchors: for each choice over the whole catalog, the position of the last history item, if the choice asks what
            follows the history as well, otherwise -1; () for other choices.
        text_weight: factor of the text's loss.
    """

    ids: list[int]
    text: list[tuple[int, float]]
    choices: list[tuple[int, float, np.ndarray, np.ndarray]]
    forced: float
    task: str
    closed: Sequence[np.ndarray] = ()
    anchors: Sequence[int] = ()
    text_weight: float = 1.0


def collate(samples: Sequence[Sample], pad_id: int, apart: bool = False, seed: int = 0, packed: bool = False) -> Batch:
    """Join samples into one batch.

    Args:
        samples: the B samples of the batch.
        pad_id: token id of the padding.
        apart: take one mean over a sample's text and one over its choices, and add them; otherwise both share a mean.
        seed: seed of the randomness in the batch's loss.
        packed: put all samples into one row instead of padding them.

    Raises:
        ValueError: a sample has no labeled token.
    """
    lengths = [len(sample.ids) for sample in samples]
    starts = [0, *accumulate(lengths[:-1])] if packed else [row * max(lengths) for row in range(len(samples))]
    shape = (1, sum(lengths)) if packed else (len(samples), max(lengths))
    ids = torch.full(shape, pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    text: list[tuple[int, int, float]] = []
    choice: list[tuple[int, float]] = []
    tokens, shares, sizes = [], [], []
    closed: list[np.ndarray] = []
    anchors: list[tuple[int, int]] = []
    for row, (start, sample) in enumerate(zip(starts, samples, strict=True)):
        ids.view(-1)[start : start + len(sample.ids)] = torch.tensor(sample.ids)
        mask.view(-1)[start : start + len(sample.ids)] = 1
        of_text, of_choices = sum(w for _, w in sample.text), sum(w for _, w, *_ in sample.choices) + sample.forced
        if of_text + of_choices <= 0:
            raise ValueError(f"sample {row} of the batch has no labeled token; its answer is empty")
        if not apart:
            of_text = of_choices = of_text + of_choices
        share = sample.text_weight / (of_text * len(samples)) if sample.text else 0.0
        text += [(start + position - 1, sample.ids[position], w * share) for position, w in sample.text]
        anchors += [(start + at, len(choice) + n) for n, at in enumerate(sample.anchors) if at >= 0]
        for position, weight, candidates, distribution in sample.choices:
            choice.append((start + position - 1, weight / (of_choices * len(samples))))
            tokens.append(candidates)
            shares.append(distribution)
            sizes.append(len(candidates))
        closed += sample.closed
    return Batch(
        tasks=tuple(sample.task for sample in samples),
        ids=ids,
        mask=mask,
        positions=torch.cat([torch.arange(length) for length in lengths])[None] if packed else None,
        starts=torch.tensor(starts),
        text_at=torch.tensor([t[0] for t in text], dtype=torch.int64),
        text_label=torch.tensor([t[1] for t in text], dtype=torch.int64),
        text_weight=torch.tensor([t[2] for t in text], dtype=torch.float32),
        choice_at=torch.tensor([c[0] for c in choice], dtype=torch.int64),
        choice_weight=torch.tensor([c[1] for c in choice], dtype=torch.float32),
        candidate=torch.from_numpy(np.concatenate(tokens or [np.empty(0)]).astype(np.int64)),
        candidate_choice=torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)),
        candidate_share=torch.from_numpy(np.concatenate(shares or [np.empty(0)]).astype(np.float32)),
        closed=torch.from_numpy(np.concatenate(closed or [np.empty(0)]).astype(np.int64)),
        closed_choice=torch.from_numpy(np.repeat(np.arange(len(closed)), list(map(len, closed))).astype(np.int64)),
        anchor=torch.tensor([at for at, _ in anchors], dtype=torch.int64),
        anchored=torch.tensor([number for _, number in anchors], dtype=torch.int64),
        seed=seed,
    )
