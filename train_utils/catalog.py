"""The item set: reads a dataset folder once, and refuses items that cannot be told apart."""

import io
import json
import pickle
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

MAX_FILE_BYTES = 8 << 30
_PICKLE_GLOBALS = {
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},
}


@dataclass(frozen=True, slots=True)
class Item:
    """One item: `title` is the text that the model spells (`title_t` on disk)."""

    id: str
    title: str
    categories: tuple[str, ...] = ()
    description: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalog:
    """The items of one dataset, in file order, and its users' sequences (item indices, oldest first).

    `test_users` are the test users of a temporal split; None for leave-one-out, which tests whom it can.
    """

    name: str
    items: tuple[Item, ...]
    sequences: Mapping[str, tuple[int, ...]]
    index: Mapping[str, int]
    test_users: frozenset[str] | None = None

    @cached_property
    def categories(self) -> Mapping[str, frozenset[int]]:
        """Category -> indices of its items, in the order of first mention."""
        found: dict[str, set[int]] = {}
        for i, item in enumerate(self.items):
            for category in item.categories:
                found.setdefault(category, set()).add(i)
        return MappingProxyType({category: frozenset(members) for category, members in found.items()})

    @cached_property
    def popularity(self) -> tuple[int, ...]:
        """Training events of each item."""
        counts = [0] * len(self.items)
        for sequence in self.training_sequences():
            for item in sequence:
                counts[item] += 1
        return tuple(counts)

    @property
    def titles(self) -> list[str]:
        return [item.title for item in self.items]

    def ids(self, indices: Iterable[int]) -> list[str]:
        return [self.items[i].id for i in indices]

    def indices(self, ids: Iterable[str]) -> list[int]:
        """Item indices of `ids`. Raises ValueError naming the first id that is not in the catalogue."""
        try:
            return [self.index[i] for i in ids]
        except KeyError as error:
            raise ValueError(f"item id {error.args[0]!r} is not in the catalogue {self.name!r}") from None

    def in_category(self, category: str) -> frozenset[int]:
        """Indices of the items of `category`. Raises ValueError for a category that no item has."""
        if category not in self.categories:
            known = ", ".join(sorted(self.categories)[:20])
            raise ValueError(f"no item of {self.name!r} has category {category!r}; known: {known}")
        return self.categories[category]

    def is_tested(self, user: str) -> bool:
        """Whether the last two events of a user are held out; with fewer than three events nothing is."""
        return len(self.sequences[user]) >= 3 and (self.test_users is None or user in self.test_users)

    def split(self, part: str) -> list[tuple[str, tuple[int, ...], int]]:
        """(user, everything before the target, target) for `part` "valid" or "test".

        The last event of a tested user is the test target and the second last the validation target (DESIGN: samples).
        """
        cut = {"valid": -2, "test": -1}[part]
        return [
            (user, sequence[:cut], sequence[cut])
            for user, sequence in self.sequences.items()
            if self.is_tested(user)
        ]

    def training_sequences(self) -> list[tuple[int, ...]]:
        """Every user's sequence without the validation and test events."""
        return [sequence[:-2] if self.is_tested(user) else sequence for user, sequence in self.sequences.items()]


def dataset_files(folder: str | Path) -> list[Path]:
    """The files of a dataset folder that a run on it depends on."""
    names = ("metas.jsonl", "sequential.jsonl", "category.jsonl", "test_users.json")
    return [path for path in (Path(folder) / name for name in names) if path.is_file()]


def make_catalog(name: str, items: Iterable[Item], sequences: Mapping[str, Iterable[str]] | None = None,
                 test_users: Iterable[str] | None = None) -> Catalog:
    """A catalogue from plain items, for callers who bring their own.

    Raises:
        ValueError: no items, an empty title, two items with one id or one title, a sequence with an unknown id, or a
            test user without three events.
    """
    items = tuple(items)
    if not items:
        raise ValueError(f"catalogue {name!r} has no items; check the preprocessing filters")
    index: dict[str, int] = {}
    seen_titles: dict[str, str] = {}
    for position, item in enumerate(items):
        if item.id in index:
            raise ValueError(f"item id {item.id!r} stands twice in catalogue {name!r}; ids must be unique")
        if not item.title.strip():
            raise ValueError(f"item {item.id!r} of catalogue {name!r} has an empty title; preprocess it again")
        if item.title in seen_titles:
            raise ValueError(
                f"items {seen_titles[item.title]!r} and {item.id!r} of catalogue {name!r} share the title "
                f"{item.title!r} and cannot be told apart; preprocessing makes titles unique"
            )
        index[item.id] = position
        seen_titles[item.title] = item.id
    catalog = Catalog(name, items, {}, MappingProxyType(index))
    resolved = {user: tuple(catalog.indices(ids)) for user, ids in (sequences or {}).items()}
    tested = None if test_users is None else frozenset(test_users)
    if short := [user for user in tested or () if len(resolved.get(user, ())) < 3]:
        raise ValueError(f"test user {min(short)!r} of {name!r} has fewer than three events; preprocess it again")
    return Catalog(name, items, MappingProxyType(resolved), catalog.index, tested)


def load_catalog(data_path: str | Path) -> Catalog:
    """Reads a dataset folder (`metas.jsonl` or `meta.pickle`, `category.jsonl`, `sequential.jsonl`, and
    `test_users.json` of a temporal split).

    Raises:
        ValueError: a missing folder or file, a broken file, or items that cannot be told apart.
    """
    folder = Path(data_path)
    if not folder.is_dir():
        raise ValueError(f"dataset folder {str(data_path)!r} does not exist; preprocess it first (see scripts/)")
    metas = _read_metas(folder)
    categories: dict[str, list[str]] = {}
    for category, ids in _read_json(folder / "category.jsonl").items():
        for item_id in ids:
            categories.setdefault(str(item_id), []).append(category)
    items = [_item(str(item_id), meta, categories.get(str(item_id), [])) for item_id, meta in metas.items()]
    sequences = _read_json(folder / "sequential.jsonl")
    return make_catalog(
        folder.resolve().name, items, {str(user): [str(i) for i in ids] for user, ids in sequences.items()},
        _read_test_users(folder / "test_users.json"),
    )


def _item(item_id: str, meta: Mapping[str, object], categories: list[str]) -> Item:
    if not isinstance(meta, Mapping) or not isinstance(meta.get("title_t", meta.get("title")), str):
        raise ValueError(f"item {item_id!r} has no text under 'title_t' or 'title'; preprocess the dataset again")
    known = {"title", "title_t", "description", "category"}
    return Item(
        id=item_id,
        title=str(meta.get("title_t", meta.get("title"))),
        categories=tuple(categories),
        description=str(meta.get("description", "")),
        attributes=MappingProxyType({k: v for k, v in meta.items() if k not in known}),
    )


def _read_metas(folder: Path) -> dict[str, dict]:
    if (folder / "metas.jsonl").exists():
        return _read_json(folder / "metas.jsonl")
    if (folder / "meta.pickle").exists():
        metas = restricted_load(folder / "meta.pickle")
        if not isinstance(metas, dict):
            raise ValueError(f"{folder / 'meta.pickle'} holds a {type(metas).__name__}, not a dict of items")
        return metas
    raise ValueError(f"neither metas.jsonl nor meta.pickle is in {folder}; preprocess the dataset first")


def _read_test_users(path: Path) -> list[str] | None:
    """None where there is no such file."""
    if not path.exists():
        return None
    users = _read_json(path).get("users")
    if not isinstance(users, list):
        raise ValueError(f"{path} has no list under 'users'; preprocess the dataset again")
    return [str(user) for user in users]


def _read_json(path: Path) -> dict:
    if not path.exists():
        raise ValueError(f"{path} does not exist; preprocess the dataset first")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not one JSON object ({error}); preprocess the dataset again") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a JSON {type(value).__name__}, not an object")
    return value


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, also: Mapping[str, Collection[str]]):
        super().__init__(stream)
        self._also = also

    def find_class(self, module: str, name: str):
        if name in _PICKLE_GLOBALS.get(module, ()) or name in self._also.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data")


def restricted_load(path: str | Path, max_bytes: int = MAX_FILE_BYTES,
                    also: Mapping[str, Collection[str]] = MappingProxyType({})) -> object:
    """Unpickles plain containers, text, numbers and NumPy arrays; refuses everything else.

    Args:
        also: module -> further names that a file may ask for.

    Raises:
        ValueError: the file is too large, broken, or asks for a class outside the list above.
    """
    path = Path(path)
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; more than {max_bytes} are refused")
    try:
        return _RestrictedUnpickler(io.BytesIO(path.read_bytes()), also).load()
    # A damaged stream fails in many ways; each of them means the same to the caller.
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, TypeError,
            ValueError, MemoryError, OverflowError) as error:
        raise ValueError(f"{path} is not a pickle of plain data: {error}") from None
