"""Sequences -> windows of `length` items, left-padded with 0 as UniRec does. NumPy only."""

import numpy as np


def training_windows(
    offsets: np.ndarray,
    items: np.ndarray,
    length: int,
    targets: int,
    rng: np.random.Generator,
    held_out: np.ndarray | int = 2,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut training sequences, all events but the last `held_out` of each user, into windows: each event once.

    A window ends at a random phase per user, drawn again each epoch, so that an event is predicted from
    different amounts of context. `targets` <= `length` is how many positions at a window's end are predicted;
    1 is UniRec's feeding, one window per event.

    Returns inputs and labels, both int64 [windows, length]; label 0 = not predicted here. Shuffled.
    """
    starts = offsets[:-1]
    n_targets = np.maximum(offsets[1:] - held_out - starts - 1, 0)
    phase = rng.integers(0, targets, len(starts))
    n_windows = np.where(n_targets > 0, -(-(n_targets + phase) // targets), 0)
    user = np.repeat(np.arange(len(starts)), n_windows)
    block = np.arange(len(user)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    first = np.maximum(block * targets - phase[user], 0)
    last = np.minimum((block + 1) * targets - phase[user], n_targets[user]) - 1
    position = last[:, None] - (length - 1) + np.arange(length)
    source = np.maximum(starts[user][:, None] + position, 0)
    inputs = np.where(position >= 0, items[source], 0)
    labels = np.where(position >= first[:, None], items[source + 1], 0)
    order = rng.permutation(len(user))
    return inputs[order], labels[order]


def last_items(offsets: np.ndarray, items: np.ndarray, back: int, length: int) -> np.ndarray:
    """Return the `length` items before the event `back` events before each user's end: int64 [users, length]."""
    position = (offsets[1:] - back)[:, None] + np.arange(-length, 0)
    return np.where(position >= offsets[:-1][:, None], items[np.maximum(position, 0)], 0)
