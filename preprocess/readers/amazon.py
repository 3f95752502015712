"""Readers of Amazon Reviews 2018, 2014 and 2023: a file of reviews and a file of metadata per category.

Sources: https://nijianmo.github.io/amazon/ (2018), https://jmcauley.ucsd.edu/data/amazon/links.html (2014, whose
metadata are Python literals), https://amazon-reviews-2023.github.io/ (2023, times in milliseconds, products grouped
under `parent_asin`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from readers.chunks import LineFile
from readers.dump import read_dump
from readers.fields import strings
from readers.json_lines import EventFields, json_events, json_lines, records
from readers.records import Events, Item, RawDataset, parse_id
from readers.source import first_file
from readers.tables import Table, table_events

__all__ = ["AMAZON_2014", "AMAZON_2018", "AMAZON_2023", "Release", "json_lines", "read_amazon"]

_PRICE = re.compile(r"\$?\s*(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(\.\d{1,15})?")
_REVIEW_2018 = EventFields(("reviewerID",), ("asin",), ("unixReviewTime",), ("overall",))
# The first dumps of 2023 call the time `sortTimestamp`.
_REVIEW_2023 = EventFields(("user_id",), ("parent_asin", "asin"), ("timestamp", "sortTimestamp"), ("rating",))
_RATINGS = Table(",", 4, (0, 1, 3, 2))


@dataclass(frozen=True)
class Release:
    """A release of the dump.

    Attributes:
        year: its year.
        reviews: names of the file of reviews, with {} for the category, in order of preference.
        meta: names of the file of metadata.
        home: where it is downloaded.
        read_events: reader of the reviews.
        item_of: record of the metadata -> item.
        literals: whether the metadata are Python literals.
    """

    year: int
    reviews: tuple[str, ...]
    meta: tuple[str, ...]
    home: str
    read_events: Callable[[LineFile], Events]
    item_of: Callable[[Mapping[str, Any]], Item]
    literals: bool = False


def read_amazon(folder: Path, full_name: str, release: Release | None = None) -> RawDataset:
    """Read the reviews and the metadata of a category, by default of the 2018 dump.

    Reviews are streamed: memory holds 20 bytes per event, the interned ids, and the items that were reviewed. Lines
    that are not strict JSON are counted, never evaluated.

    Args:
        folder: folder of the two files.
        full_name: name of the category in the file names; "" where the folder holds one category.
        release: the release.

    Raises:
        ValueError: a file has no usable line, or the folder holds several categories.
        FileNotFoundError: a file is missing.
    """
    release = release or AMAZON_2018
    full_name = full_name or _only_category(folder, release)
    files = tuple(
        first_file(folder, [name.format(full_name) for name in names], release.home)
        for names in (release.reviews, release.meta)
    )
    return read_dump(
        f"amazon {release.year}, {full_name}", files, release.read_events, lambda file: _items(file, release),
        may_fork=not _is_table(files[0]),
    )  # fmt: skip


def _only_category(folder: Path, release: Release) -> str:
    """Return the category of the only file of metadata in a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are several.
    """
    head, tail = release.meta[0].split("{}")
    names = {
        path.name.removesuffix(".gz").removeprefix(head).removesuffix(tail)
        for path in folder.glob(f"{head}*")
        if path.name.removesuffix(".gz").endswith(tail)
    }
    if not names:
        raise FileNotFoundError(
            f"{folder} holds no {head}CATEGORY{tail}.gz; download a category from {release.home} to that folder"
        )
    if len(names) > 1:
        raise ValueError(f"{folder} holds {len(names)} categories; name one by --dataset_full_name: {sorted(names)}")
    return names.pop()


def _items(file: LineFile, release: Release) -> Iterator[Item]:
    for record in records(file, release.literals):
        try:
            yield release.item_of(record)
        except ValueError as reason:
            file.rejected[str(reason)] += 1


def _amazon_attributes(record: Mapping[str, Any]) -> dict[str, str | float]:
    """Return `brand` and `price` (US dollars) where the row has them.

    A style sheet in `price` does not parse as a price.
    """
    attributes: dict[str, str | float] = {}
    if brand := " ".join(strings(record.get("brand"))):
        attributes["brand"] = brand
    price = record.get("price")
    if isinstance(price, str) and price.strip().startswith("$") and (match := _PRICE.fullmatch(price.strip())):
        attributes["price"] = float(match[1].replace(",", "") + (match[2] or ""))
    return attributes


def _item_2018(record: Mapping[str, Any]) -> Item:
    return _item(record, "asin", strings(record.get("category")), _amazon_attributes(record))


def _item_2014(record: Mapping[str, Any]) -> Item:
    attributes = _amazon_attributes({"brand": record.get("brand")}) | _priced(record.get("price"))
    return _item(record, "asin", list(dict.fromkeys(strings(record.get("categories")))), attributes)


def _item_2023(record: Mapping[str, Any]) -> Item:
    """Return an item of 2023. Rating and number of ratings stay out: they count reviews of the test period too."""
    attributes = _priced(record.get("price"))
    if store := " ".join(strings(record.get("store"))):
        attributes = {"brand": store} | attributes
    categories = strings(record.get("categories")) or strings(record.get("main_category"))
    return _item(record, "parent_asin", categories, attributes)


def _priced(price: object) -> dict[str, str | float]:
    """Return the price of a number, or of a text such as "12.99" or "$1,234.50"."""
    match = _PRICE.fullmatch(price.strip()) if isinstance(price, str) else None
    if match:
        return {"price": float(match[1].replace(",", "") + (match[2] or ""))}
    is_number = isinstance(price, (int, float)) and not isinstance(price, bool)
    return {"price": float(price)} if is_number and 0 <= price < 1e15 else {}  # type: ignore[operator, arg-type]


def _item(record: Mapping[str, Any], key: str, categories: list[str], attributes: dict[str, str | float]) -> Item:
    title = record.get("title")
    return Item(
        parse_id(record.get(key)),
        title if isinstance(title, str) else "",
        tuple(categories),
        " ".join(strings(record.get("description"))),
        attributes,
    )


def _reviews_2018(file: LineFile) -> Events:
    return json_events(file, _REVIEW_2018)


def _reviews_2014(file: LineFile) -> Events:
    """Read reviews, or `ratings_X.csv`, which has no header."""
    return table_events(file, _RATINGS) if _is_table(file.path) else json_events(file, _REVIEW_2018)


def _is_table(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".csv")


def _reviews_2023(file: LineFile) -> Events:
    return json_events(file, _REVIEW_2023)


AMAZON_2018 = Release(
    2018, ("{}_5.json", "{}.json"), ("meta_{}.json",), "https://nijianmo.github.io/amazon/", _reviews_2018, _item_2018
)
AMAZON_2014 = Release(
    2014, ("reviews_{}_5.json", "reviews_{}.json", "ratings_{}.csv"), ("meta_{}.json",),
    "https://jmcauley.ucsd.edu/data/amazon/links.html", _reviews_2014, _item_2014, literals=True,
)  # fmt: skip
AMAZON_2023 = Release(
    2023, ("{}.jsonl",), ("meta_{}.jsonl",), "https://amazon-reviews-2023.github.io/", _reviews_2023, _item_2023
)
