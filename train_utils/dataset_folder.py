"""A dataset folder on disk: three files, JSON or pickle, checked to the last id. Standard library only.

`metas` (or `meta`) holds item id -> {"title", "title_t", ...}, `category` category -> [item ids], `sequential`
user id -> [item ids], oldest first; `test_users.json` is there for a temporal split alone.
"""

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from train_utils.plain_pickle import restricted_load
from train_utils.text_files import read_json

TEST_USERS = "test_users.json"
# Stands in a folder while preprocessing writes its files: a killed run leaves it behind.
UNFINISHED = "preprocessing.unfinished"
_STEMS = {"metas": ("metas", "meta"), "category": ("category",), "sequential": ("sequential",)}
# JSON is preferred: anybody can read it, and nothing in it can be more than data.
_SUFFIXES = (".jsonl", ".json", ".pickle", ".pkl")


@dataclass(frozen=True)
class DatasetFiles:
    """What a dataset folder holds; all ids are text.

    Attributes:
        metas: item id -> its fields, in file order.
        categories: category -> item ids, all of them in `metas`.
        sequences: user id -> item ids, oldest first, all of them in `metas`.
        test_users: the test users of a temporal split; None for leave-one-out.
        left_out: one sentence for each kind of entry that was not used, with how many there are.
    """

    metas: dict[str, dict[str, object]]
    categories: dict[str, list[str]]
    sequences: dict[str, list[str]]
    test_users: list[str] | None
    left_out: tuple[str, ...]


def dataset_paths(folder: str | Path) -> dict[str, Path]:
    """Return the files of a dataset folder by their part: "metas", "category", "sequential", and "test_users".

    Parts that are not there are left out.
    """
    found: dict[str, Path] = {}
    for part, stems in _STEMS.items():
        names = [stem + suffix for suffix in _SUFFIXES for stem in stems]
        if path := next((Path(folder) / name for name in names if (Path(folder) / name).is_file()), None):
            found[part] = path
    if (Path(folder) / TEST_USERS).is_file():
        found["test_users"] = Path(folder) / TEST_USERS
    return found


def part_of(path: str | Path) -> str:
    """Return which part of a dataset a file is by its name: "metas", "category" or "sequential", "" for none."""
    path = PurePath(path)
    return next((part for part, stems in _STEMS.items() if path.stem in stems and path.suffix in _SUFFIXES), "")


def is_dataset(folder: str | Path) -> bool:
    """Whether a folder holds the three files of a dataset."""
    return _STEMS.keys() <= dataset_paths(folder).keys()


def read_dataset(folder: str | Path) -> DatasetFiles:
    """Read and check the files of a dataset folder.

    Raises:
        ValueError: a folder or file that is missing or unfinished, or an entry of the wrong shape; the text names the
            file, the key and the value.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"dataset folder {str(folder)!r} does not exist; preprocess it first (see scripts/)")
    if (folder / UNFINISHED).exists():
        raise ValueError(f"preprocessing of {folder} did not finish (it writes audit.json last); run it again")
    paths = dataset_paths(folder)
    if missing := [part for part in _STEMS if part not in paths]:
        raise ValueError(f"{folder} has no {missing[0]}.jsonl (nor .json, .pickle, .pkl); a dataset folder holds "
                         "metas, category and sequential; preprocess it first")
    metas = _metas(paths["metas"])
    categories, left_out = _known_only(read_categories(paths["category"]), metas, paths)
    return DatasetFiles(metas, categories, _sequences(paths["sequential"], metas, paths["metas"].name),
                        _test_users(paths.get("test_users")), left_out)


def _metas(path: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for key, fields in _object(path).items():
        item = _id(key, path, "an item")
        if not isinstance(fields, Mapping):
            raise ValueError(f"{path.name}: item {item!r} holds {_shown(fields)}, wanted an object with a 'title'")
        if not isinstance(fields.get("title_t", fields.get("title")), str):
            raise ValueError(f"{path.name}: item {item!r} has no text under 'title_t' or 'title', but "
                             f"{_shown(dict(fields))}")
        if item in found:
            raise ValueError(f"{path.name}: item {item!r} stands there twice, as a text and as a number")
        found[item] = dict(fields)
    return found


def read_categories(path: Path) -> dict[str, list[str]]:
    """Read category -> distinct item ids. Raises ValueError, naming file, key and value, for any other shape."""
    found: dict[str, list[str]] = {}
    for key, members in _object(path).items():
        category = _id(key, path, "a category")
        if isinstance(members, Mapping):
            raise ValueError(f"{path.name}: category {category!r} holds the object {_shown(dict(members))}, wanted a "
                             "list of item ids; categories inside categories have to be written side by side")
        found[category] = list(dict.fromkeys(_ids(members, path, f"category {category!r}")))
    return found


def _known_only(categories: Mapping[str, list[str]], metas: Mapping[str, object], paths: Mapping[str, Path]
                ) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the categories without items that `metas` lacks, and a sentence on those."""
    unknown = [(category, item) for category, ids in categories.items() for item in ids if item not in metas]
    if not unknown:
        return dict(categories), ()
    category, item = unknown[0]
    sentence = (f"{paths['category'].name}: {len({item for _, item in unknown})} items are not in "
                f"{paths['metas'].name} and are left out, such as {item!r} of category {category!r}")
    return {category: [item for item in ids if item in metas] for category, ids in categories.items()}, (sentence,)


def _sequences(path: Path, metas: Mapping[str, object], of: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, events in _object(path).items():
        user = _id(key, path, "a user")
        found[user] = _ids(events, path, f"user {user!r}")
        if unknown := next((item for item in found[user] if item not in metas), None):
            raise ValueError(f"{path.name}: user {user!r}: item {unknown!r} is not in the catalogue; add it to {of}, "
                             "or take it out of the sequence")
    return found


def _test_users(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    users = _object(path).get("users")
    if not isinstance(users, list):
        raise ValueError(f"{path} has no list under 'users', but {_shown(users)}; preprocess the dataset again")
    return _ids(users, path, "'users'")


def _object(path: Path) -> Mapping[object, object]:
    """Return the one object that a JSON file or a pickle holds."""
    is_json = path.suffix in (".jsonl", ".json")
    remedy = "preprocess the dataset again, or correct the file"
    value = read_json(path, remedy, "one JSON object") if is_json else restricted_load(path)
    if not isinstance(value, Mapping):
        kind = f"{'JSON ' if is_json else ''}{type(value).__name__}"
        raise ValueError(f"{path} holds a {kind}, {reprlib.repr(value)[:80]}, wanted one object with a key an entry")
    return value


def _ids(value: object, path: Path, whose: str) -> list[str]:
    values = value.tolist() if hasattr(value, "tolist") else value  # NumPy, from a pickle
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{path.name}: {whose} holds {_shown(value)}, wanted a list of item ids")
    return [_id(one, path, whose) for one in values]


def _id(value: object, path: Path, whose: str) -> str:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ValueError(f"{path.name}: {whose} has the id {_shown(value)}, wanted a text or a whole number")
    return str(value)


def _shown(value: object) -> str:
    """Return a value on one line, shortened, with its kind."""
    kinds = {str: "text", int: "number", float: "number", bool: "value", type(None): "value", list: "list"}
    kind = kinds.get(type(value), type(value).__name__)
    text = reprlib.repr(value)
    return f"the {kind} {text if len(text) <= 80 else text[:77] + '...'}"


def common_marker(titles: Iterable[str]) -> str:
    """Return the special-token text that all of several titles begin with, "" for none.

    The published preprocessing writes titles with the begin-of-text token of its tokenizer in front.
    """
    first, *rest = titles
    end = {"<": ">", "[": "]"}.get(first[:1], "")
    marker = first[:first.find(end) + 1] if end and 1 < first.find(end) < 40 else ""
    return marker if marker and rest and not any(c.isspace() for c in marker) and all(
        title.startswith(marker) for title in rest) else ""
