"""UniRec's data files as integer arrays; pickles read by an allow-list."""

import hashlib
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from train_utils.dataset_folder import PAD, read_categories
from train_utils.plain_pickle import TABLES, restricted_load

DATA_FILES = ("train.pkl", "valid.pkl", "test.pkl", "user_history.pkl", "map.pkl")


def read_pickle(path: Path) -> Any:
    """Read a pickle of DataFrames, plain containers and arrays; ValueError if it holds anything else."""
    try:
        return restricted_load(path, also=TABLES)
    except ValueError as error:
        raise ValueError(f"{error}; write it by preprocess/transform2unirec.py") from None


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
    missing = [name for name in DATA_FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} lacks {', '.join(missing)}; scripts/unirec_train.sh makes them from the dataset folder"
        )
    maps = read_pickle(folder / "map.pkl")
    raw_ids = read_raw_ids(maps, folder / "map.pkl")
    train, valid, test = (_events(folder / f"{split}.pkl", len(raw_ids)) for split in ("train", "valid", "test"))
    n_users = len(_numbers(maps["user2id"], folder / "map.pkl", "user2id"))
    _check_histories(folder / "user_history.pkl", len(raw_ids))
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


def read_raw_ids(maps: Any, path: Path) -> tuple[str, ...]:
    """Raw id of every item int, from the dictionaries of map.pkl."""
    if not isinstance(maps, dict) or not {"item2id", "user2id"} <= maps.keys():
        raise ValueError(f"{path} must hold the dictionaries user2id and item2id")
    number_of = _numbers(maps["item2id"], path, "item2id")
    if number_of.get(PAD) != 0:
        raise ValueError(f"{path}: item ints must be 0..n-1 with {PAD} at 0; run preprocess/transform2unirec.py again")
    return tuple(sorted(number_of, key=number_of.__getitem__))


def _numbers(value: Any, path: Path, name: str) -> dict[str, int]:
    """Return a dictionary of map.pkl, raw id -> int, its raw ids as text; ValueError unless the ints are 0..n-1."""
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {name} is {_short(value)}, wanted a dictionary from raw ids to ints")
    numbers: dict[str, int] = {}
    for raw, number in value.items():
        if isinstance(raw, bool) or not isinstance(raw, (str, int, np.integer)):
            raise ValueError(f"{path}: {name} has the raw id {_short(raw)}, wanted a text or a whole number")
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise ValueError(f"{path}: {name} gives {_short(raw)} the value {_short(number)}, wanted an int")
        if str(raw) in numbers:
            raise ValueError(f"{path}: {name} has the raw id {str(raw)!r} twice (ids are compared as text)")
        numbers[str(raw)] = int(number)
    if sorted(numbers.values()) != list(range(len(numbers))):
        ints = f"{name.removesuffix('2id')} ints"
        raise ValueError(f"{path}: {ints} must be 0..n-1 with {PAD} at 0; run preprocess/transform2unirec.py again")
    return numbers


def _short(value: Any) -> str:
    return reprlib.repr(value)[:80]


def _check_histories(path: Path, n_items: int) -> None:
    """ValueError unless a file holds users' histories; UniRec's own trainer reads it."""
    frame = read_pickle(path)
    if not isinstance(frame, pd.DataFrame) or not {"user_id", "item_seq"} <= set(frame.columns):
        raise ValueError(f"{path} must be a DataFrame with the columns user_id and item_seq")
    for user, items in zip(frame["user_id"], frame["item_seq"], strict=True):
        row = np.asarray(items) if isinstance(items, (np.ndarray, list, tuple)) else None
        if row is None or row.ndim != 1 or (len(row) and not np.issubdtype(row.dtype, np.integer)):
            raise ValueError(f"{path}: item_seq of user {user!r} is {_short(items)}, wanted an array of item ints")
        if len(row) and not 1 <= row.min() <= row.max() < n_items:
            raise ValueError(
                f"{path}: item_seq of user {user!r} has the items {row.min()}..{row.max()}, wanted 1..{n_items - 1}"
            )


def _events(path: Path, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    frame = read_pickle(path)
    columns = {"user_id", "item_id"}
    if not isinstance(frame, pd.DataFrame) or not columns <= set(frame.columns) or not frame.columns.is_unique:
        raise ValueError(f"{path} must be a DataFrame with the columns user_id and item_id, each once")
    users, items = (frame[column].to_numpy() for column in ("user_id", "item_id"))
    if not (np.issubdtype(users.dtype, np.integer) and np.issubdtype(items.dtype, np.integer)):
        raise ValueError(f"{path}: user_id and item_id must be integers, got {users.dtype} and {items.dtype}")
    if len(items) and not 1 <= items.min() <= items.max() < n_items:
        raise ValueError(f"{path}: item ints must lie in 1..{n_items - 1}, got {items.min()}..{items.max()}")
    return users.astype(np.int64), items.astype(np.int64)


def read_category(path: Path) -> dict[str, list[str]]:
    """category.jsonl: one JSON object, category -> raw item ids; empty when there is no such file."""
    return read_categories(path) if path.is_file() else {}


def sha256_of(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
