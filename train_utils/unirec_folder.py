"""The UniRec folder on disk: ids and events, in UniRec's pickles and in copies of them that are no pickles.

`map.json` and `events.npz` hold what `map.pkl` and the tables hold, and the SHA-256 of each. A copy is read instead of
its pickle while the pickle is the one that it was made from; a pickle that was changed afterwards is read itself.
"""

import reprlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from train_utils.dataset_folder import PAD, UNFINISHED, dataset_paths
from train_utils.files.array_files import load_npz
from train_utils.files.atomic import digest, replacing, write_json
from train_utils.files.json_files import read_json
from train_utils.files.plain_pickle import restricted_load

TABLES = ("train", "valid", "test", "user_history")
DATA_FILES = (*(f"{table}.pkl" for table in TABLES), "map.pkl")
EVENTS_COPY, MAP_COPY = "events.npz", "map.json"
MANIFEST = "manifest.json"  # digests of the dataset's files
_PARTS = ("category", "sequential", "test_users")  # of a dataset; the metadata's titles have no part in the files

Events = tuple[np.ndarray, np.ndarray]  # user ints and item ints, int64 [events] each


def write_copies(folder: Path, maps: Mapping[str, Mapping], tables: Mapping[str, Events]) -> None:
    """Write `map.json` and `events.npz` for the pickles of a folder, which must be written already."""
    ids = {kind: dict(maps[kind]) for kind in ("user2id", "item2id")}
    write_json(folder / MAP_COPY, {**ids, "sha256": digest(folder / "map.pkl")}, indent=None)
    arrays = {
        name: array
        for table, (users, items) in tables.items()
        for name, array in {
            f"{table}_user_id": users,
            f"{table}_item_id": items,
            f"{table}_sha256": np.frombuffer(bytes.fromhex(digest(folder / f"{table}.pkl")), np.uint8),
        }.items()
    }
    with replacing(folder / EVENTS_COPY) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def dataset_digests(folder: str | Path) -> dict[str, str]:
    """Return file name -> SHA-256 of the files of a dataset folder that decide the UniRec files."""
    paths = dataset_paths(folder)
    return {paths[part].name: digest(paths[part]) for part in _PARTS if part in paths}


def stale_reason(folder: str | Path, dataset: str | Path) -> str:
    """Return why UniRec files are not those of a dataset, and what to run; "" where they are, or do not say.

    Args:
        folder: the UniRec folder; without a manifest, as in the published copy, it does not say.
        dataset: the dataset folder; one that is missing is not compared.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file() or not Path(dataset).is_dir():
        return ""
    written = read_json(path, "run preprocess/transform2unirec.py again")
    made_of = written.get("dataset") if isinstance(written, dict) else None
    held = dataset_digests(dataset)
    if made_of == held:
        return ""
    made_of = made_of if isinstance(made_of, dict) else {}
    others = ", ".join(sorted(name for name in {*made_of, *held} if made_of.get(name) != held.get(name)))
    return (
        f"{folder} was made from other files than {dataset} holds ({others}); run preprocess/transform2unirec.py "
        f"--data_path {dataset} --unirec_data_path {folder}, and train the teacher again"
    )


class UniRecFolder:
    """A UniRec folder.

    Raises:
        ValueError: a pickle is missing, or the folder is unfinished.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if (self.path / UNFINISHED).exists():
            raise ValueError(f"writing {path} did not finish; run preprocess/transform2unirec.py again")
        missing = [name for name in DATA_FILES if not (self.path / name).is_file()]
        if missing:
            raise ValueError(
                f"{path} lacks {', '.join(missing)}; scripts/unirec_train.sh makes them from the dataset folder"
            )

    def ids(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the raw id of every user int, and of every item int; the first of each is `[PAD]`.

        Raises:
            ValueError: the file of ids is damaged, or its ints are not 0..n-1.
        """
        path = self.path / "map.pkl"
        copy = self.path / MAP_COPY
        maps = read_json(copy) if copy.is_file() else None
        if not isinstance(maps, dict) or maps.get("sha256") != digest(path):
            maps = read_pickle(path)
        return raw_ids(maps, "user2id", path), raw_ids(maps, "item2id", path)

    def events(self, table: str) -> Events:
        """Return the events of a table of TABLES; those of `user_history` come user by user, oldest first.

        Raises:
            ValueError: the file is damaged, or no table of events.
        """
        path = self.path / f"{table}.pkl"
        copied = [self._copies.get(f"{table}_{name}") for name in ("user_id", "item_id", "sha256")]
        if all(array is not None for array in copied) and copied[2].tobytes().hex() == digest(path):  # type: ignore[union-attr]
            users, items = copied[:2]
            if users.dtype == items.dtype == np.int64 and users.shape == items.shape and users.ndim == 1:  # type: ignore[union-attr]
                return users, items  # type: ignore[return-value]
        frame = read_pickle(path)
        return _histories(frame, path) if table == "user_history" else _pairs(frame, path)

    @cached_property
    def _copies(self) -> Mapping[str, np.ndarray]:
        path = self.path / EVENTS_COPY
        return load_npz(path) if path.is_file() else {}


def read_pickle(path: Path) -> Any:
    """Read a pickle of DataFrames, plain containers and arrays; ValueError if it holds anything else."""
    try:
        return restricted_load(path, tables=True)
    except ValueError as error:
        raise ValueError(f"{error}; write it by preprocess/transform2unirec.py") from None


def raw_ids(maps: Any, name: str, path: Path) -> tuple[str, ...]:
    """Return the raw ids of a dictionary of map.pkl, raw id -> int, as text and in the order of the ints 0..n-1."""
    if not isinstance(maps, dict) or not {"item2id", "user2id"} <= maps.keys():
        raise ValueError(f"{path} must hold the dictionaries user2id and item2id")
    if not isinstance(maps[name], dict):
        raise ValueError(f"{path}: {name} is {_short(maps[name])}, wanted a dictionary from raw ids to ints")
    numbers: dict[str, int] = {}
    for raw, number in maps[name].items():
        if isinstance(raw, bool) or not isinstance(raw, (str, int, np.integer)):
            raise ValueError(f"{path}: {name} has the raw id {_short(raw)}, wanted a text or a whole number")
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise ValueError(f"{path}: {name} gives {_short(raw)} the value {_short(number)}, wanted an int")
        if str(raw) in numbers:
            raise ValueError(f"{path}: {name} has the raw id {_short(str(raw))} twice (ids are compared as text)")
        numbers[str(raw)] = int(number)
    if sorted(numbers.values()) != list(range(len(numbers))) or numbers.get(PAD) != 0:
        ints = f"{name.removesuffix('2id')} ints"
        raise ValueError(f"{path}: {ints} must be 0..n-1 with {PAD} at 0; run preprocess/transform2unirec.py again")
    return tuple(sorted(numbers, key=numbers.__getitem__))


def _short(value: Any) -> str:
    return " ".join(reprlib.repr(value).split())[:80]


def _columns(frame: Any, path: Path, item_column: str) -> tuple[np.ndarray, np.ndarray]:
    names = ["user_id", item_column]
    is_table = hasattr(frame, "columns") and hasattr(frame, "to_numpy")  # pandas is imported where a file needs it
    if not is_table or not set(names) <= set(frame.columns) or not frame.columns.is_unique:
        raise ValueError(f"{path} must be a DataFrame with the columns user_id and {item_column}, each once")
    users, items = (frame[name].to_numpy() for name in names)
    if not np.issubdtype(users.dtype, np.integer):
        raise ValueError(f"{path}: user_id and item_id must be integers, got {users.dtype} and {items.dtype}")
    return users.astype(np.int64), items


def _pairs(frame: Any, path: Path) -> Events:
    users, items = _columns(frame, path, "item_id")
    if not np.issubdtype(items.dtype, np.integer):
        raise ValueError(f"{path}: user_id and item_id must be integers, got {users.dtype} and {items.dtype}")
    return users, items.astype(np.int64)


def _histories(frame: Any, path: Path) -> Events:
    users, histories = _columns(frame, path, "item_seq")
    rows = []
    for user, items in zip(users, histories.tolist(), strict=True):
        row = np.asarray(items) if isinstance(items, np.ndarray) or _is_flat(items) else None
        if row is None or row.ndim != 1 or (len(row) and not np.issubdtype(row.dtype, np.integer)):
            raise ValueError(f"{path}: item_seq of user {user} is {_short(items)}, wanted an array of item ints")
        rows.append(row.astype(np.int64))
    return np.repeat(users, [len(row) for row in rows]), np.concatenate([np.empty(0, np.int64), *rows])


def _is_flat(items: object) -> bool:
    """Return whether a list can become an array without surprises."""
    return isinstance(items, (list, tuple)) and all(isinstance(item, (int, np.integer)) for item in items)
