"""Files of a dataset folder, JSON or pickle, with every entry checked. Standard library only.

`metas` (or `meta`) holds item id -> {"title", "title_t", ...}, `category` category -> [item ids], `sequential`
user id -> [item ids], oldest first. Only a temporal split has `test_users.json`. `catalog.json` is optional.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, TypeVar

from train_utils.characters import shown, whole_characters
from train_utils.files.atomic import digest
from train_utils.files.json_files import read_json
from train_utils.files.plain_pickle import restricted_load

V = TypeVar("V")

TEST_USERS = "test_users.json"
AUDIT = "audit.json"
CATALOG = "catalog.json"
PAD = "[PAD]"  # row 0 of every UniRec table; no user and no item may have this id
# Present while preprocessing writes the files of a folder, so that the folder of a killed run is recognized.
UNFINISHED = "preprocessing.unfinished"
_STEMS = {"metas": ("metas", "meta"), "category": ("category",), "sequential": ("sequential",)}
MAX_POPULARITY = 10**15  # far above any count of people; sums over a catalog stay exact enough
MAX_ID = 2_000  # characters of the id of an item or user, or of a category's name; a longer text is no name
_ID_LIMIT = 10**100  # Python converts at most 4300 digits to text
# JSON is preferred: it is readable, and it can hold only data.
_SUFFIXES = (".jsonl", ".json", ".pickle", ".pkl")


@dataclass(frozen=True)
class DatasetFiles:
    """Contents of a dataset folder; all ids are text.

    Attributes:
        metas: item id -> its fields, in file order.
        categories: category -> item ids, all of them in `metas`.
        sequences: user id -> item ids, oldest first, all of them in `metas`.
        test_users: the test users of a temporal split; None for leave-one-out.
        left_out: one sentence per kind of unused entry, with their number.
        popularity: attribute that says how popular an item is while there are no training events; "" for none.
    """

    metas: dict[str, dict[str, object]]
    categories: dict[str, list[str]]
    sequences: dict[str, list[str]]
    test_users: list[str] | None
    left_out: tuple[str, ...]
    popularity: str = ""


def dataset_paths(folder: str | Path) -> dict[str, Path]:
    """Return the files of a dataset folder by part: "metas", "category", "sequential", "test_users", "catalog".

    Missing parts are left out.
    """
    files = {part: paths[0] for part in _STEMS if (paths := _files_of(folder, part))}
    others = {"test_users": Path(folder) / TEST_USERS, "catalog": Path(folder) / CATALOG}
    return files | {part: path for part, path in others.items() if path.is_file()}


def _files_of(folder: str | Path, part: str) -> list[Path]:
    """Return the files that hold a part of a dataset, in order of preference.

    JSON comes before pickles, then `metas` before `meta`.
    """
    names = [stem + suffix for suffix in _SUFFIXES for stem in _STEMS[part]]
    return [path for name in names if (path := Path(folder) / name).is_file()]


def part_of(path: str | Path) -> str:
    """Return the part of a dataset that a file name denotes: "metas", "category" or "sequential"; "" for none."""
    file = PurePath(path)
    return next((part for part, stems in _STEMS.items() if file.stem in stems and file.suffix in _SUFFIXES), "")


def dataset_name(folder: str | Path) -> str:
    """Return the name of a dataset: that of its folder as the user passed it, also where the folder is a link."""
    return Path(os.path.abspath(folder)).name


def is_dataset(folder: str | Path) -> bool:
    """Return whether a folder holds the three files of a dataset."""
    return _STEMS.keys() <= dataset_paths(folder).keys()


def read_dataset(folder: str | Path) -> DatasetFiles:
    """Read and check the files of a dataset folder.

    Raises:
        ValueError: a folder or file is missing or unfinished, or an entry has the wrong shape; the error names the
            file, the key and the value.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"dataset folder {str(folder)!r} does not exist; preprocess it first (see scripts/)")
    if (folder / UNFINISHED).exists():
        raise ValueError(f"preprocessing of {folder} did not finish (it writes audit.json last); run it again")
    paths = dataset_paths(folder)
    if missing := [part for part in _STEMS if part not in paths]:
        raise ValueError(
            f"{folder} has no {missing[0]}.jsonl (nor .json, .pickle, .pkl); a dataset folder holds "
            "metas, category and sequential; preprocess it first"
        )
    metas = _metas(paths["metas"])
    categories, left_out = _known_only(read_categories(paths["category"]), metas, paths)
    return DatasetFiles(
        metas,
        categories,
        _sequences(paths["sequential"], metas, paths["metas"].name),
        _test_users(paths.get("test_users")),
        (*_not_read(folder), *left_out),
        _popularity(paths.get("catalog"), metas),
    )


def _not_read(folder: Path) -> Iterator[str]:
    """Yield a sentence per file that is ignored because another file of the same part is read.

    A copy in another format is not reported: preprocessing writes the metadata in two formats.
    """
    for part in _STEMS:
        read, *others = _files_of(folder, part)
        for other in others:
            if not _are_written_together(Path(folder) / AUDIT, read, other) and not _hold_the_same(read, other):
                yield f"{read.name} is read, and {other.name}, which holds something else, is not; keep one of the two"


def _are_written_together(audit: Path, *paths: Path) -> bool:
    """Return whether files are as preprocessing wrote them, by the digests in its audit: then one is a copy."""
    try:
        written: Any = read_json(audit)
        return all(written["copies"][path.name] == digest(path) for path in paths)
    except (OSError, ValueError, LookupError, TypeError):  # no audit, or none that has digests
        return False


def _hold_the_same(path: Path, other: Path) -> bool:
    try:
        held, kept = ({str(key): value for key, value in _object(file).items()} for file in (other, path))
        return bool(held == kept)
    except (ValueError, RecursionError):  # broken, or nested too deeply to compare; or arrays, which do not compare
        return False


def _metas(path: Path) -> dict[str, dict[str, object]]:
    metas: dict[str, dict[str, object]] = {}
    for key, fields in _object(path).items():
        item = _id(key, path, "an item")
        if not isinstance(fields, Mapping):
            raise ValueError(f"{path.name}: item {item!r} holds {_shown(fields)}, wanted an object with a 'title'")
        if not isinstance(spelled_title(fields), str):
            raise ValueError(
                f"{path.name}: item {item!r} has no text under 'title_t' or 'title', but {_shown(dict(fields))}"
            )
        _put(metas, item, dict(fields), path, "item")
    return metas


def spelled_title(fields: Mapping[str, object]) -> object:
    """Return the title that the model spells: `title_t`, or `title` where `title_t` is missing or null."""
    title = fields.get("title_t")
    return fields.get("title") if _is_missing(title) else title


def described(fields: Mapping[str, object]) -> str:
    """Return an item's description as one text; "" where it is missing or null.

    The raw dumps hold lists of texts too. Lists in them are no text; they may be nested too deeply to print.
    """
    description = fields.get("description")
    parts = description if isinstance(description, (list, tuple)) else [description]
    return " ".join(str(part) for part in parts if isinstance(part, (str, int, float)) and not _is_missing(part))


def _is_missing(value: object) -> bool:
    """Return whether a value is null: JSON null, or NaN, which pandas writes into JSON."""
    return value is None or (getattr(value, "ndim", 0) == 0 and bool(value != value))


def _put(entries: dict[str, V], key: str, value: V, path: Path, kind: str) -> None:
    if key in entries:
        raise ValueError(f"{path.name}: {kind} {key!r} is there twice (ids are compared as text, 1 as '1'); keep one")
    entries[key] = value


def read_categories(path: Path) -> dict[str, list[str]]:
    """Read a category file as category -> distinct item ids.

    Raises:
        ValueError: the file has another shape; the error names the file, the key and the value.
    """
    categories: dict[str, list[str]] = {}
    for key, members in _object(path).items():
        category = _id(key, path, "a category")
        if isinstance(members, Mapping):
            raise ValueError(
                f"{path.name}: category {category!r} holds {_shown(dict(members))}, wanted a "
                "list of item ids; categories inside categories have to be written side by side"
            )
        if isinstance(members, (set, frozenset)):
            members = sorted(members, key=str)  # from a pickle; the order of a category's items has no meaning
        members = list(dict.fromkeys(_ids(members, path, f"category {category!r}")))
        _put(categories, category, members, path, "category")
    return categories


def _known_only(
    categories: Mapping[str, list[str]], metas: Mapping[str, object], paths: Mapping[str, Path]
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the categories without the items that `metas` lacks, and a sentence that counts these items."""
    unknown = [(category, item) for category, ids in categories.items() for item in ids if item not in metas]
    if not unknown:
        return dict(categories), ()
    category, item = unknown[0]
    sentence = (
        f"{paths['category'].name}: {len({item for _, item in unknown})} items are not in "
        f"{paths['metas'].name} and are left out, such as {item!r} of category {category!r}"
    )
    return {category: [item for item in ids if item in metas] for category, ids in categories.items()}, (sentence,)


def _sequences(path: Path, metas: Mapping[str, object], of: str) -> dict[str, list[str]]:
    sequences: dict[str, list[str]] = {}
    for key, events in _object(path).items():
        user = _id(key, path, "a user")
        _put(sequences, user, _ids(events, path, f"user {user!r}"), path, "user")
        if unknown := next((item for item in sequences[user] if item not in metas), None):
            raise ValueError(
                f"{path.name}: user {user!r}: item {unknown!r} is not in the catalog; add it to {of}, "
                "or take it out of the sequence"
            )
    return sequences


def _test_users(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    users = _object(path).get("users")
    if not isinstance(users, list):
        raise ValueError(f"{path} has no list under 'users', but {_shown(users)}; preprocess the dataset again")
    return _ids(users, path, "'users'")


def _popularity(path: Path | None, metas: Mapping[str, Mapping[str, object]]) -> str:
    """Return the attribute under "popularity" in `catalog.json`, which every item that has it holds as a number."""
    if path is None:
        return ""
    settings = _object(path)
    if unknown := next((key for key in settings if key != "popularity"), None):
        raise ValueError(f"{path.name}: the key {_shown(unknown)} is unknown, wanted 'popularity' alone")
    name = settings.get("popularity")
    if not isinstance(name, str) or not any(name in fields for fields in metas.values()):
        raise ValueError(f"{path.name}: 'popularity' is {_shown(name)}, wanted an attribute that items in metas have")
    for item, fields in metas.items():
        value = fields.get(name)
        if not _is_missing(value) and popularity_of(value) is None:
            raise ValueError(
                f"{path.name}: popularity {name!r} of item {item!r} is {_shown(value)}, wanted a number from "
                f"0 to {MAX_POPULARITY}, or no such field"
            )
    return name


def popularity_of(value: object) -> float | None:
    """Return a popularity as a number; None for a value that is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= MAX_POPULARITY else None  # type: ignore[operator,arg-type]


def _object(path: Path) -> Mapping[object, object]:
    """Return the one object that a JSON file or a pickle holds."""
    is_json = path.suffix in (".jsonl", ".json")
    remedy = "preprocess the dataset again, or correct the file"
    value = read_json(path, remedy, "one JSON object") if is_json else restricted_load(path)
    if not isinstance(value, Mapping):
        kind = f"{'JSON ' if is_json else ''}{type(value).__name__}"
        raise ValueError(f"{path} holds a {kind}, {shown(value)[:80]}, wanted one object with a key an entry")
    return value


def _ids(value: object, path: Path, whose: str) -> list[str]:
    values = value.tolist() if hasattr(value, "tolist") else value  # NumPy, from a pickle
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{path.name}: {whose} holds {_shown(value)}, wanted a list of item ids")
    return [_id(item, path, whose) for item in values]


def _id(value: object, path: Path, whose: str) -> str:
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value  # NumPy's numbers
    if isinstance(value, str) and len(value) > MAX_ID:
        raise ValueError(f"{path.name}: {whose} has the id {shown(value)}, wanted at most {MAX_ID} characters")
    is_id = value.strip() if isinstance(value, str) else isinstance(value, int) and abs(value) < _ID_LIMIT
    if isinstance(value, bool) or not is_id:
        raise ValueError(f"{path.name}: {whose} has the id {_shown(value)}, wanted a text or a whole number")
    return whole_characters(str(value))


def _shown(value: object) -> str:
    """Return a value and its kind on one line, shortened."""
    kinds = {
        str: "text",
        int: "number",
        float: "number",
        bool: "value",
        type(None): "value",
        list: "list",
        dict: "object",
    }
    kind = kinds.get(type(value), type(value).__name__)
    text = shown(value) if not isinstance(value, int) or abs(value) < _ID_LIMIT else "of very many digits"
    return f"the {kind} {text if len(text) <= 80 else text[:77] + '...'}"


def common_marker(titles: Iterable[str]) -> str:
    """Return the special-token text that all titles start with; "" for none, or for a single title.

    The published preprocessing writes titles with its tokenizer's begin-of-text token in front.
    """
    first, *rest = titles
    end = {"<": ">", "[": "]"}.get(first[:1], "")
    marker = first[: first.find(end) + 1] if end and 1 < first.find(end) < 40 else ""
    return (
        marker
        if marker and rest and not any(c.isspace() for c in marker) and all(title.startswith(marker) for title in rest)
        else ""
    )
