"""Reader of the Yelp Open Dataset: reviews and businesses, one JSON object per line.

Source: https://business.yelp.com/data/resources/open-dataset/
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from readers.chunks import LineFile
from readers.dump import read_dump
from readers.fields import text_or_empty
from readers.json_lines import EventFields, json_events, records
from readers.records import Item, RawDataset, parse_id
from readers.source import first_file
from readers.times import parse_moment

HOME = "https://business.yelp.com/data/resources/open-dataset/"
_PREFIX = "yelp_academic_dataset_"
_REVIEW = EventFields(("user_id",), ("business_id",), ("date",), ("stars",), is_text_time=True, time_of=parse_moment)


def read_yelp(folder: Path) -> RawDataset:
    """Read `yelp_academic_dataset_review.json` and `yelp_academic_dataset_business.json`, also gzipped.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file has no usable line.
    """
    reviews = first_file(folder, (f"{_PREFIX}review.json", "review.json"), HOME)
    businesses = first_file(folder, (f"{_PREFIX}business.json", "business.json"), HOME)
    return read_dump("yelp", (reviews, businesses), partial(json_events, fields=_REVIEW), _businesses, may_fork=True)


def _businesses(file: LineFile) -> Iterator[Item]:
    """Yield the businesses. Those that share a name, as chains do, get their city into the title."""
    rows = list(records(file))
    shared = Counter(name for row in rows if isinstance(name := row.get("name"), str))
    for record in rows:
        try:
            yield _business(record, shared)
        except ValueError as reason:
            file.rejected[str(reason)] += 1


def _business(record: Mapping[str, Any], shared: Mapping[str, int]) -> Item:
    name, city = text_or_empty(record.get("name")), text_or_empty(record.get("city")).strip()
    title = f"{name}, {city}" if name.strip() and city and shared.get(name, 0) > 1 else name
    categories = [part.strip() for part in text_or_empty(record.get("categories")).split(",")]
    attributes = {key: text.strip() for key in ("city", "state") if (text := text_or_empty(record.get(key))).strip()}
    return Item(parse_id(record.get("business_id")), title, tuple(filter(None, categories)), "", attributes)
