"""Dataset folder -> UniRec folder (the same split, integer ids) and its YAML.

    python preprocess/transform2unirec.py --data_path data/dataset/ml-100k/ \\
        --unirec_data_path unirec/data/ml-100k/ --unirec_config_path unirec/config/dataset/ml-100k.yaml

Format: UniRec (https://github.com/microsoft/UniRec), files `user-item` and `user-item_seq`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from train_utils.command import LineParser, path_of, print_error, run_cli
from train_utils.dataset_folder import PAD, UNFINISHED, read_dataset
from train_utils.files import write_json, write_text
from train_utils.plain_pickle import write_pickle
from train_utils.unirec_folder import Events, write_copies


@dataclass(frozen=True)
class Split:
    """Split in UniRec ids, which start at 1.

    Attributes:
        train: user -> int64 [n], training items, oldest first.
        valid: (user, item) of the validation events.
        test: (user, item) of the test events.
    """

    train: dict[int, np.ndarray]
    valid: list[tuple[int, int]]
    test: list[tuple[int, int]]


def number_from_one(names: Sequence[str]) -> dict[str, int]:
    """Return name -> id; the id of `[PAD]` is 0.

    Raises:
        ValueError: a name is `[PAD]`.
    """
    if PAD in names:
        raise ValueError(f"the id {PAD!r} is UniRec's padding and cannot name a user or an item; rename it")
    return {PAD: 0} | {name: number for number, name in enumerate(names, start=1)}


def split_sequences(
    sequences: Mapping[str, Sequence[str]],
    user2id: Mapping[str, int],
    item2id: Mapping[str, int],
    test_users: Collection[str] | None = None,
) -> Split:
    """Split each sequence: the last item is for test, the second last for validation, the rest for training.

    Sequences of fewer than three events, and of users who are not test users of a temporal split, are for training
    only.

    Args:
        sequences: user id -> item ids, oldest first.
        user2id: user id -> UniRec id.
        item2id: item id -> UniRec id.
        test_users: the test users of a temporal split; None for leave-one-out.
    """
    train: dict[int, np.ndarray] = {}
    valid: list[tuple[int, int]] = []
    test: list[tuple[int, int]] = []
    for name, sequence in sequences.items():
        user = user2id[name]
        items = np.array([item2id[item] for item in sequence], dtype=np.int64)
        if len(items) < 3 or (test_users is not None and name not in test_users):
            train[user] = items
        else:
            train[user] = items[:-2]
            valid.append((user, int(items[-2])))
            test.append((user, int(items[-1])))
    return Split(train, valid, test)


def unirec_table(**columns: np.ndarray) -> pd.DataFrame:
    """Return a table as UniRec pickles it, with its columns in the given order."""
    frame = pd.DataFrame(columns)
    # Where pyarrow is installed, pandas would store the names as Arrow text, and readers of the file would need it.
    frame.columns = pd.Index(list(columns), dtype=object)
    return frame


def _pairs_frame(pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return unirec_table(user_id=array[:, 0], item_id=array[:, 1])


def _frames(split: Split) -> dict[str, pd.DataFrame]:
    """Return file stem -> table."""
    lengths = [len(items) for items in split.train.values()]
    users = np.array(list(split.train), dtype=np.int64)
    history = np.empty(len(users), dtype=object)
    history[:] = list(split.train.values())
    return {
        "train": unirec_table(user_id=np.repeat(users, lengths), item_id=np.concatenate([*split.train.values()])),
        "valid": _pairs_frame(split.valid),
        "test": _pairs_frame(split.test),
        "user_history": unirec_table(user_id=users, item_seq=history),
    }


def _events(frames: Mapping[str, pd.DataFrame]) -> dict[str, Events]:
    """Return table -> its events, for the copies that are no pickles."""
    tables = {stem: frames[stem if stem != "user_history" else "train"] for stem in frames}  # the same events
    return {stem: (table["user_id"].to_numpy(), table["item_id"].to_numpy()) for stem, table in tables.items()}


def unirec_settings(n_users: int, n_items: int) -> dict[str, int | str]:
    """Return the dataset's settings under UniRec's keys; both counts include the padding id."""
    return {
        "group_size": -1,
        "n_items": n_items,
        "n_neg_test_from_sampling": 0,
        "n_neg_train_from_sampling": 0,
        "n_neg_valid_from_sampling": 0,
        "n_users": n_users,
        "test_file_format": "user-item",
        "train_file_format": "user-item",
        "user_history_file_format": "user-item_seq",
        "user_history_filename": "user_history",
        "valid_file_format": "user-item",
    }


def transform(data_path: Path, unirec_data_path: Path, unirec_config_path: Path) -> str:
    """Write the UniRec files of a dataset folder.

    While they are written the folder holds a marker, with which no reader takes it. The YAML, which UniRec's own
    commands need, is deleted first and written last.

    Returns:
        One line that describes the files.

    Raises:
        ValueError: the folder is no dataset, or its preprocessing did not finish.
        OSError: a file cannot be read or written.
    """
    files = read_dataset(data_path)
    sequences, items, test_users = files.sequences, list(files.metas), files.test_users
    for sentence in files.left_out:
        print(f"note: {sentence}", file=sys.stderr)
    user2id, item2id = number_from_one(list(sequences)), number_from_one(items)
    split = split_sequences(sequences, user2id, item2id, None if test_users is None else frozenset(test_users))
    if not any(map(len, split.train.values())):
        raise ValueError(f"{data_path}: no user has an event to train on; sequential needs users with events")

    unirec_config_path.unlink(missing_ok=True)
    write_text(unirec_data_path / UNFINISHED, "Preprocessing was writing here; run it again.\n")
    frames = _frames(split)
    for stem, frame in frames.items():
        write_pickle(unirec_data_path / f"{stem}.pkl", frame)
    maps = {
        "user2id": user2id,
        "item2id": item2id,
        "id2user": {number: name for name, number in user2id.items()},
        "id2item": {number: name for name, number in item2id.items()},
    }
    write_pickle(unirec_data_path / "map.pkl", maps)
    write_copies(unirec_data_path, maps, _events(frames))
    write_json(unirec_data_path / "category.jsonl", files.categories, indent=None)
    write_text(unirec_config_path, yaml.safe_dump(unirec_settings(len(user2id), len(item2id))))
    (unirec_data_path / UNFINISHED).unlink()
    why = "with fewer than 3 events" if test_users is None else "without a target after the split"
    return (
        f"{unirec_data_path}: {len(sequences)} users, {len(items)} items, {len(split.test)} test events; "
        f"{len(sequences) - len(split.test)} users {why} are in train only"
    )


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_path", type=path_of, default=Path("data/dataset/ml-100k/"))
    parser.add_argument("--unirec_data_path", type=path_of, default=Path("unirec/data/ml-100k/"))
    parser.add_argument("--unirec_config_path", type=path_of, default=Path("unirec/config/dataset/ml-100k.yaml"))
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        print(transform(arguments.data_path, arguments.unirec_data_path, arguments.unirec_config_path))
    except (ValueError, OSError) as error:
        return print_error(error)
    return 0


if __name__ == "__main__":
    run_cli(main)
