"""The rival of unirec/train.py: SASRec fed as UniRec's own trainer feeds it, one window for one training event.

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
from unirec_files import read_pickle

BATCH_SIZE = 1024
LEARNING_RATE = 1e-3
WORKERS = 4  # num_workers of UniRec's base.yaml and of the published command
COLUMNS = ("user_id", "item_id", "label", "item_seq", "item_seq_len")

Sample = tuple[int, int, int, np.ndarray, int]


class OneWindowDataset(Dataset):
    """One sample for each training event, its window cut and padded in Python when it is asked for.

    The place of an event in its user's history is looked up by its item; where the user has met the item several
    times, one of these places is drawn at random. A user's first event is a sample too, with a window of padding.

    Args:
        users, items: int [events], one training event a row.
        histories: user int -> training items, oldest first.
        length: items of a window.
    """

    def __init__(self, users: np.ndarray, items: np.ndarray, histories: Mapping[int, np.ndarray], length: int) -> None:
        self.rows = np.column_stack([users, items]).astype(object)
        self.histories = histories
        self.length = length

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """(user, target, label 1, left-padded window int32 [length], items in the window)."""
        user, target = self.rows[index]
        wanted = {target}
        history = self.histories[user]
        places = [place for place, item in enumerate(history) if item in wanted]
        before = history[: random.choice(places)]
        return user, target, 1, self._padded(before), min(len(before), self.length)

    def _padded(self, before: np.ndarray) -> np.ndarray:
        window = np.zeros(self.length, np.int32)
        recent = before[-self.length :]
        window[self.length - len(recent) :] = recent
        return window


def read_events(folder: Path, length: int) -> OneWindowDataset:
    """The training events of the UniRec files in `folder`; ValueError or OSError when they cannot be read."""
    train = read_pickle(folder / "train.pkl")
    histories = read_pickle(folder / "user_history.pkl")
    by_user = dict(zip(histories["user_id"].tolist(), histories["item_seq"], strict=True))
    return OneWindowDataset(train["user_id"].to_numpy(), train["item_id"].to_numpy(), by_user, length)


def make_loader(events: OneWindowDataset, workers: int) -> DataLoader:
    """Shuffled batches with torch's own collation; worker processes start anew each epoch, as UniRec has it."""
    return DataLoader(events, BATCH_SIZE, shuffle=True, num_workers=workers)


@dataclass(frozen=True)
class EpochTime:
    """Seconds of an epoch, those of them inside forward, backward and optimizer, and the mean loss in nats."""

    seconds: float
    step_seconds: float
    loss: float


class UniRecFeeding:
    """The library's SASRec with fresh weights and its optimizer. `config` is in UniRec's keys."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.device = torch.device(config["device"])
        self.model = SASRec(dict(config)).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)

    def step(self, batch: list[torch.Tensor]) -> float:
        """One update from a collated batch; its loss."""
        self.model.train()
        inputs = {name: column.to(self.device) for name, column in zip(COLUMNS, batch, strict=True)}
        loss, _, _, _ = self.model(**inputs)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def epoch(self, loader: DataLoader) -> EpochTime:
        """One pass over the loader; its batches count alike in the mean loss, as UniRec counts them."""
        step_seconds, losses = 0.0, []
        begun = time.perf_counter()
        for batch in loader:
            before = time.perf_counter()
            losses.append(self.step(batch))
            step_seconds += time.perf_counter() - before
        return EpochTime(time.perf_counter() - begun, step_seconds, float(np.mean(losses)))
