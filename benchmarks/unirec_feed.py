"""Rival of unirec/train.py: SASRec fed as by UniRec's own trainer, one window per training event.

Written from the described behavior of UniRec 0.0.1a4 with the flags that RecLM-cgen publishes for its teacher
(SeqRecDataset, user_history_file_format user-item_seq, history_mask_mode autoregressive, num_workers 4, shuffled
batches of 1024, Adam at 1e-3, no gradient clipping). `accelerate`'s wrappers are left out, which favors the rival.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from unirec.model.sequential.sasrec import SASRec

from train_utils.unirec_folder import read_pickle

BATCH_SIZE = 1024
LEARNING_RATE = 1e-3
WORKERS = 4  # num_workers of UniRec's base.yaml and of the published command
COLUMNS = ("user_id", "item_id", "label", "item_seq", "item_seq_len")

Sample = tuple[int, int, int, np.ndarray, int]


class OneWindowDataset(Dataset):
    """One sample per training event; its window is cut and padded in Python on access.

    The position of an event in its user's history is looked up by its item; where the user has consumed the item
    several times, one of these positions is drawn at random. A user's first event is a sample too, with a window of
    padding.

    Args:
        users: int [events], user of each training event.
        items: int [events], item of each training event.
        histories: user index -> training items, oldest first.
        length: items per window.
    """

    def __init__(self, users: np.ndarray, items: np.ndarray, histories: Mapping[int, np.ndarray], length: int) -> None:
        self.rows = np.column_stack([users, items]).astype(object)
        self.histories = histories
        self.length = length

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """Return (user, target, label 1, left-padded window int32 [length], items in the window)."""
        user, target = self.rows[index]
        targets = {target}
        history = self.histories[user]
        positions = [position for position, item in enumerate(history) if item in targets]
        before = history[: random.choice(positions)]
        return user, target, 1, self._padded(before), min(len(before), self.length)

    def _padded(self, before: np.ndarray) -> np.ndarray:
        window = np.zeros(self.length, np.int32)
        recent = before[-self.length :]
        window[self.length - len(recent) :] = recent
        return window


def read_events(folder: Path, length: int) -> OneWindowDataset:
    """Read the training events of the UniRec files in `folder`.

    Raises:
        ValueError: a file is broken.
        OSError: a file cannot be read.
    """
    train = read_pickle(folder / "train.pkl")
    histories = read_pickle(folder / "user_history.pkl")
    by_user = dict(zip(histories["user_id"].tolist(), histories["item_seq"], strict=True))
    return OneWindowDataset(train["user_id"].to_numpy(), train["item_id"].to_numpy(), by_user, length)


def make_loader(events: OneWindowDataset, workers: int) -> DataLoader:
    """Return shuffled batches with torch's collation; worker processes restart each epoch, as in UniRec."""
    return DataLoader(events, BATCH_SIZE, shuffle=True, num_workers=workers)


@dataclass(frozen=True)
class EpochTime:
    """Measurements of an epoch.

    Attributes:
        seconds: wall-clock seconds.
        step_seconds: the part of them in forward, backward and optimizer.
        loss: mean loss, in nats.
    """

    seconds: float
    step_seconds: float
    loss: float


class UniRecFeeding:
    """UniRec's SASRec with fresh weights, and its optimizer.

    Args:
        config: settings under UniRec's keys.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.device = torch.device(config["device"])
        self.model = SASRec(dict(config)).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)

    def step(self, batch: list[torch.Tensor]) -> float:
        """Update the weights on a collated batch and return its loss."""
        self.model.train()
        inputs = {name: column.to(self.device) for name, column in zip(COLUMNS, batch, strict=True)}
        loss, _, _, _ = self.model(**inputs)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def epoch(self, loader: DataLoader) -> EpochTime:
        """Train one pass over the loader; every batch has the same weight in the mean loss, as in UniRec."""
        step_seconds, losses = 0.0, []
        begun = time.perf_counter()
        for batch in loader:
            before = time.perf_counter()
            losses.append(self.step(batch))
            step_seconds += time.perf_counter() - before
        return EpochTime(time.perf_counter() - begun, step_seconds, float(np.mean(losses)))
