"""Dataset folder -> UniRec folder (the same split, integer ids) and its YAML.

    python preprocess/transform2unirec.py --data_path data/dataset/ml-100k/ \\
        --unirec_data_path unirec/data/ml-100k/ --unirec_config_path unirec/config/dataset/ml-100k.yaml

Format: UniRec (https://github.com/microsoft/UniRec), files `user-item` and `user-item_seq`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
import yaml
from sequences import Sequences
from unirec_tables import unirec_table, write_histories

from train_utils.command import LineParser, path_of, print_error, run_cli
from train_utils.dataset_folder import PAD, UNFINISHED, dataset_name, read_dataset
from train_utils.files.atomic import exclusively, write_json, write_text
from train_utils.files.plain_pickle import write_pickle
from train_utils.unirec_folder import MANIFEST, Events, dataset_digests, write_copies


@dataclass(frozen=True)
class Split:
    """Split in UniRec ids, which start at 1.

    Attributes:
        users: int64 [n_users].
        lengths: int64 [n_users], number of training items of each user.
        items: int64 [n_train], training items, user by user and oldest first.
        valid: int64 [n_test, 2], (user, item) of the validation events.
        test: int64 [n_test, 2], (user, item) of the test events.
    """

    users: np.ndarray
    lengths: np.ndarray
    items: np.ndarray
    valid: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Numbered:
    """Dataset in UniRec ids.

    Attributes:
        user2id: user id -> UniRec id.
        item2id: item id -> UniRec id.
        split: its events.
        is_temporal: whether the split is temporal.
    """

    user2id: Mapping[str, int]
    item2id: Mapping[str, int]
    split: Split
    is_temporal: bool


def number_from_one(names: Sequence[str]) -> dict[str, int]:
    """Return name -> id; the id of `[PAD]` is 0.

    Raises:
        ValueError: a name is `[PAD]`.
    """
    if PAD in names:
        raise ValueError(f"the id {PAD!r} is UniRec's padding and cannot name a user or an item; rename it")
    return dict(zip(chain([PAD], names), count()))


def split_sequences(
    sequences: Sequences, item2id: Mapping[str, int], test_users: Collection[str] | None = None
) -> Split:
    """Split each sequence: the last item is for test, the second last for validation, the rest for training.

    Sequences of fewer than three events, and of users who are not test users of a temporal split, are for training
    only.

    Args:
        sequences: user id -> item ids, oldest first; the users have the UniRec ids from 1 on.
        item2id: item id -> UniRec id.
        test_users: the test users of a temporal split; None for leave-one-out.
    """
    users = np.arange(1, len(sequences) + 1)
    lengths, ends = sequences.lengths, sequences.ends
    items = np.array([item2id.get(name, 0) for name in sequences.item_ids], dtype=np.int64)[sequences.numbers]
    is_tested = lengths >= 3
    if test_users is not None:
        is_tested &= np.fromiter((name in test_users for name in sequences), bool, len(sequences))
    held_out = [ends[is_tested] - back for back in (2, 1)]
    valid, test = (np.stack([users[is_tested], items[at]], axis=1) for at in held_out)
    return Split(users, lengths - 2 * is_tested, np.delete(items, np.concatenate(held_out)), valid, test)


def _write_tables(split: Split, folder: Path) -> dict[str, Events]:
    """Write the tables and return stem -> events, for the copies that are no pickles."""
    trained = np.repeat(split.users, split.lengths), split.items
    events = {"train": trained, "valid": (*split.valid.T,), "test": (*split.test.T,)}
    for stem, (users, items) in events.items():
        write_pickle(folder / f"{stem}.pkl", unirec_table(user_id=users, item_id=items))
    write_histories(folder / "user_history.pkl", split.users, split.lengths, split.items)
    return events | {"user_history": trained}


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

    Returns:
        One line that describes the files.

    Raises:
        ValueError: the folder is no dataset, its preprocessing did not finish, or another process writes the files.
        OSError: a file cannot be read or written.
    """
    digests = dataset_digests(data_path)  # before they are read: of files that change meanwhile, they are others
    files = read_dataset(data_path)
    for sentence in files.left_out:
        print(f"note: {sentence}", file=sys.stderr)
    numbered = number_dataset(data_path, files.sequences, list(files.metas), files.test_users)
    with writing_unirec(unirec_data_path, unirec_config_path):
        return write_unirec(numbered, files.categories, digests, unirec_data_path, unirec_config_path)


def number_dataset(
    data_path: Path, sequences: Mapping[str, Sequence[str]], items: Sequence[str], test_users: Collection[str] | None
) -> Numbered:
    """Return the ids and the split of a dataset.

    Args:
        data_path: folder of the dataset, for errors.
        sequences: user id -> item ids, oldest first.
        items: item ids, in catalog order.
        test_users: the test users of a temporal split; None for leave-one-out.

    Raises:
        ValueError: there is no event to train on, or an id is UniRec's padding.
    """
    item_ids, sequences = set(items), Sequences.of(sequences)
    both = {user: user for user in sequences if user in item_ids}  # one object each: see with_shared_texts
    user2id, item2id = number_from_one(list(sequences)), number_from_one([both.get(item, item) for item in items])
    split = split_sequences(sequences, item2id, None if test_users is None else frozenset(test_users))
    if not len(split.items):
        raise ValueError(f"{data_path}: no user has an event to train on; sequential needs users with events")
    return Numbered(user2id, item2id, split, test_users is not None)


@contextmanager
def writing_unirec(unirec_data_path: Path, unirec_config_path: Path) -> Iterator[None]:
    """Lock the UniRec files against other processes, and mark them as unfinished until the block succeeds.

    No reader takes a folder with the marker. The YAML, which UniRec's own commands need, is deleted first and written
    last. A block that replaces the dataset as well leaves no UniRec files of the one before.

    Raises:
        ValueError: another process writes the files.
        OSError: a file cannot be written.
    """
    with exclusively(unirec_data_path, "unirec_data_path"):
        unirec_config_path.unlink(missing_ok=True)
        write_text(unirec_data_path / UNFINISHED, "Preprocessing was writing here; run it again.\n")
        yield
        (unirec_data_path / UNFINISHED).unlink()


def write_unirec(
    numbered: Numbered,
    categories: Mapping[str, Sequence[str]],
    digests: Mapping[str, str],
    unirec_data_path: Path,
    unirec_config_path: Path,
) -> str:
    """Write the UniRec files of a dataset, in a block of `writing_unirec`; see `transform`.

    Args:
        numbered: ids and split.
        categories: category -> item ids.
        digests: those of the dataset's files, see `dataset_digests`.
        unirec_data_path: folder of the UniRec files.
        unirec_config_path: the YAML.

    Raises:
        OSError: a file cannot be written.
    """
    user2id, item2id, split = numbered.user2id, numbered.item2id, numbered.split
    events = _write_tables(split, unirec_data_path)
    maps = {
        "user2id": user2id,
        "item2id": item2id,
        "id2user": {number: name for name, number in user2id.items()},
        "id2item": {number: name for name, number in item2id.items()},
    }
    write_pickle(unirec_data_path / "map.pkl", maps)
    write_copies(unirec_data_path, maps, events)
    write_json(unirec_data_path / "category.jsonl", categories, indent=None)
    write_json(unirec_data_path / MANIFEST, {"dataset": digests})
    write_text(unirec_config_path, yaml.safe_dump(unirec_settings(len(user2id), len(item2id))))
    n_users, n_test = len(split.users), len(split.test)
    why = "without a target after the split" if numbered.is_temporal else "with fewer than 3 events"
    return (
        f"{unirec_data_path}: {n_users} users, {len(item2id) - 1} items, {n_test} test events; "
        f"{n_users - n_test} users {why} are in train only"
    )


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_path", type=path_of, default=Path("data/dataset/ml-100k/"))
    parser.add_argument("--unirec_data_path", type=path_of, help="default: unirec/data/NAME of the dataset folder NAME")
    parser.add_argument("--unirec_config_path", type=path_of, help="default: unirec/config/dataset/NAME.yaml")
    arguments = parser.parse_args(argv)
    name = dataset_name(arguments.data_path)
    arguments.unirec_data_path = arguments.unirec_data_path or Path("unirec/data") / name
    arguments.unirec_config_path = arguments.unirec_config_path or Path(f"unirec/config/dataset/{name}.yaml")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        print(transform(arguments.data_path, arguments.unirec_data_path, arguments.unirec_config_path))
    except (ValueError, OSError) as error:
        return print_error(error)
    return 0


if __name__ == "__main__":
    run_cli(main)
