"""Reader of Steam, version 2: reviews and games, one Python literal per line (with `u''`).

Source: https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data. The `australian_*` files of version 1 and Kaggle's
`steam_games.csv` are other formats. A user is a `username`: most reviews have no `user_id`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from readers.chunks import LineFile
from readers.dump import read_dump
from readers.fields import number_or_none, strings
from readers.json_lines import EventFields, json_events, records
from readers.records import Events, Item, RawDataset, parse_id
from readers.source import first_file
from readers.times import parse_moment

HOME = "https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data"
_REVIEW = EventFields(("username",), ("product_id",), ("date",), literals=True, is_text_time=True, time_of=parse_moment)
_YEAR = re.compile(r"(?:^|\D)((?:19|20)\d{2})(?:\D|$)")


def read_steam(folder: Path) -> RawDataset:
    """Read `steam_reviews.json[.gz]` and `steam_games.json[.gz]`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file has no usable line.
    """
    reviews = first_file(folder, ("steam_reviews.json", "steam_new.json"), HOME)
    games = first_file(folder, ("steam_games.json",), HOME)
    return read_dump("steam, version 2", (reviews, games), read_reviews, _games, may_fork=True)


def read_reviews(file: LineFile) -> Events:
    """Read the events of a file of reviews; lines that are not used are counted in `file.rejected`."""
    return json_events(file, _REVIEW)


def _games(file: LineFile) -> Iterator[Item]:
    for record in records(file, literals=True):
        try:
            yield _game(record)
        except ValueError as reason:
            file.rejected[str(reason)] += 1


def _game(record: Mapping[str, Any]) -> Item:
    """Return the item of a game; some have `app_name` instead of a title, or no id."""
    title = next((text for name in ("title", "app_name") if isinstance(text := record.get(name), str) and text), "")
    attributes: dict[str, str | float] = {}
    for name in ("developer", "publisher"):
        if isinstance(value := record.get(name), str) and value.strip():
            attributes[name] = value
    price = record.get("price")
    is_free = isinstance(price, str) and "free" in price.lower()
    if (number := 0.0 if is_free else number_or_none(price)) is not None:
        attributes["price"] = number
    if isinstance(date := record.get("release_date"), str) and (year := _YEAR.search(date[:100])):
        attributes["year"] = int(year[1])
    categories = strings(record.get("genres")) or strings(record.get("tags"))
    return Item(parse_id(record.get("id")), title, tuple(categories), "", attributes)
