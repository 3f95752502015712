"""Reader of Amazon Reviews 2018: one strict JSON object per line.

Source: https://nijianmo.github.io/amazon/ (reviews and metadata).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from readers.records import Events, Item, RawDataset, collect, parse_id, read_dump
from train_utils.text_files import read_json_lines

_PRICE = re.compile(r"\$\s*(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(\.\d{1,15})?")


def read_amazon(folder: Path, full_name: str) -> RawDataset:
    """Read `<full_name>_5.json[.gz]` and `meta_<full_name>.json[.gz]` of the 2018 dump.

    Reviews are streamed: memory holds 16 bytes per event, the interned ids, and the items that were reviewed. Lines
    that are not strict JSON are counted, never evaluated.

    Args:
        folder: folder of the two files.
        full_name: name of the category in the file names.

    Raises:
        ValueError: a file has no usable line.
        FileNotFoundError: a file is missing.
    """
    files = _either_suffix(folder, f"{full_name}_5.json"), _either_suffix(folder, f"meta_{full_name}.json")
    return read_dump(f"amazon 2018, {full_name}", files, _amazon_events, _amazon_items)


def _either_suffix(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"{folder / name}.gz is not there; download it from https://nijianmo.github.io/amazon/ to that folder"
    )


def json_lines(path: Path, rejected: Counter[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects of a file with one per line, gzip or plain; count other lines in `rejected`."""
    for _, record in tqdm(read_json_lines(path, rejected), desc=path.name, unit=" lines", disable=None):
        if isinstance(record, dict):
            yield record
        else:
            rejected["not a JSON object"] += 1


def _amazon_events(path: Path, rejected: Counter[str]) -> Events:
    rows = (
        [record.get("reviewerID"), record.get("asin"), record.get("unixReviewTime")]
        for record in json_lines(path, rejected)
    )
    return collect(rows, rejected)


def _strings(value: object) -> list[str]:
    """Return the non-blank strings of a list and of the lists in it; a single string counts as a list.

    The dump of 2014 nests categories; old rows hold `""`.
    """
    values = value if isinstance(value, list) else [value]
    flat = [text for entry in values for text in (entry if isinstance(entry, list) else [entry])]
    return [text.strip() for text in flat if isinstance(text, str) and text.strip()]


def _amazon_attributes(record: Mapping[str, Any]) -> dict[str, str | float]:
    """Return `brand` and `price` (US dollars) where the row has them.

    A style sheet in `price` does not parse as a price.
    """
    attributes: dict[str, str | float] = {}
    if brand := " ".join(_strings(record.get("brand"))):
        attributes["brand"] = brand
    price = record.get("price")
    if isinstance(price, str) and (match := _PRICE.fullmatch(price.strip())):
        attributes["price"] = float(match[1].replace(",", "") + (match[2] or ""))
    return attributes


def _amazon_items(path: Path, rejected: Counter[str]) -> Iterator[Item]:
    for record in json_lines(path, rejected):
        title = record.get("title")
        try:
            yield Item(
                parse_id(record.get("asin")),
                title if isinstance(title, str) else "",
                tuple(_strings(record.get("category"))),
                " ".join(_strings(record.get("description"))),
                _amazon_attributes(record),
            )
        except ValueError as reason:
            rejected[str(reason)] += 1
