"""UniRec's data files as integer arrays."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train_utils.dataset_folder import read_categories
from train_utils.unirec_folder import TABLES, Events, UniRecFolder


@dataclass(frozen=True)
class UniRecData:
    """One dataset. Items are UniRec ints 1..n_items-1; 0 is the padding.

    raw_ids: raw string id of each item int, length n_items, raw_ids[0] = "[PAD]".
    n_users: users, padding included.
    offsets, items: all events of user row u, oldest first, are items[offsets[u]:offsets[u+1]].
    held_out: int64 [user rows], events at a user's end that are not trained on: 2 where the last is the test item and
        the one before the validation item, 0 for users who only train.
    """

    raw_ids: tuple[str, ...]
    n_users: int
    offsets: np.ndarray
    items: np.ndarray
    held_out: np.ndarray

    @property
    def n_items(self) -> int:
        return len(self.raw_ids)

    def popularity(self) -> np.ndarray:
        """Training events of each item, int64 [n_items]."""
        ends = self.offsets[1:][self.held_out > 0]
        is_train = np.ones(len(self.items), bool)
        is_train[ends - 1] = is_train[ends - 2] = False
        return np.bincount(self.items[is_train], minlength=self.n_items)


def read_unirec_data(folder: Path) -> UniRecData:
    """Read `folder`; ValueError or OSError when a file is missing or does not fit the others."""
    files = UniRecFolder(folder)
    user_ids, raw_ids = files.ids()
    n_users = len(user_ids)
    train, valid, test, _ = (_known(files, table, len(raw_ids)) for table in TABLES)
    users = np.concatenate([train[0], valid[0], test[0]])
    if len(users) and not 1 <= users.min() <= users.max() < n_users:
        raise ValueError(
            f"{folder}: the user ints of train.pkl, valid.pkl and test.pkl must be 1..{n_users - 1}, as user2id of "
            f"map.pkl has them, got {users.min()}..{users.max()}"
        )
    items = np.concatenate([train[1], valid[1], test[1]])
    tested = np.unique(test[0])
    fits = all(np.array_equal(np.sort(row_users), tested) for row_users, _ in (valid, test))
    if not fits or not len(tested) or not np.isin(tested, train[0]).all():
        raise ValueError(
            f"valid.pkl and test.pkl of {folder} must hold one event of each test user, and train.pkl some of theirs"
        )
    order = np.argsort(users, kind="stable")
    row_users, counts = np.unique(users, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    held_out = np.where(np.isin(row_users, tested), 2, 0)
    return UniRecData(raw_ids, n_users, offsets, items[order], held_out)


def _known(files: UniRecFolder, table: str, n_items: int) -> Events:
    """Return the events of a table; ValueError if one has an unknown item."""
    users, items = files.events(table)
    if len(items) and not 1 <= items.min() <= items.max() < n_items:
        place = f"{files.path / table}.pkl"
        if table == "user_history":
            wrong = np.flatnonzero((items < 1) | (items >= n_items))[0]
            row = items[users == users[wrong]]
            raise ValueError(
                f"{place}: item_seq of user {users[wrong]} has the items {row.min()}..{row.max()}, "
                f"wanted 1..{n_items - 1}"
            )
        raise ValueError(f"{place}: item ints must lie in 1..{n_items - 1}, got {items.min()}..{items.max()}")
    return users, items


def read_category(path: Path) -> dict[str, list[str]]:
    """category.jsonl: one JSON object, category -> raw item ids; empty when there is no such file."""
    return read_categories(path) if path.is_file() else {}


def sha256_of(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
