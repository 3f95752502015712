"""Generator of raw files in the true formats of Amazon Reviews 2018 and 2023, of any size, the same for a seed.

Users and items follow power laws, times have the granularity of the dumps, texts are Zipf-distributed words of
realistic lengths, and a share of the lines has the known oddities: duplicate reviews, scraped, empty and shared titles,
entities, items without a category.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_BLOB = 1 << 20  # characters of running text, from which the texts of reviews are cut
_DAY = 86_400
_BATCH = 20_000  # lines per write
_ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", dtype=np.uint8)


@dataclass(frozen=True)
class Shape:
    """Size and shape of a generated category.

    Attributes:
        reviews: number of review lines.
        users: number of distinct reviewers, about.
        items: number of distinct products, about.
        seed: seed of everything.
    """

    reviews: int
    users: int
    items: int
    seed: int = 0

    @classmethod
    def of_movies(cls, reviews: int, seed: int = 0) -> "Shape":
        """Return the proportions of Movies_and_TV 2018: 8,765,568 reviews, 3,826,085 users, 182,032 items."""
        return cls(reviews, max(20, int(reviews * 0.4365)), max(20, int(reviews * 0.02077)), seed)


def ids_of(count: int, prefix: str, length: int) -> list[str]:
    """Return `count` distinct ids of Amazon's form: letters and digits after a prefix."""
    numbers = np.arange(count, dtype=np.uint64) * np.uint64(2_654_435_761) % np.uint64(36**6 - 1)
    numbers = numbers + np.arange(count, dtype=np.uint64) // np.uint64(36**6 - 1) * np.uint64(36**6)
    digits = np.empty((count, length), dtype=np.uint8)
    for place in range(length - 1, -1, -1):
        digits[:, place] = _ALPHABET[(numbers % np.uint64(36)).astype(np.int64)]
        numbers = numbers // np.uint64(36)
    return [prefix + row.decode() for row in digits.view(f"S{length}").ravel().tolist()]


def _popular(count: int, n: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return int64 [n] draws of 0..count-1 with probabilities that fall by a power law."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    ends = np.cumsum(weights)
    return np.searchsorted(ends, rng.random(n) * ends[-1]).astype(np.int64)


def events_of(shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (user, item, day) int64 [reviews], grouped by item as in the dumps, days of one item in no order."""
    rng = np.random.default_rng(shape.seed)
    # Half of the reviewers write once; the others follow a power law, so that a 5-core remains.
    user = _popular(shape.users, shape.reviews, 0.72, rng)
    item = np.sort(_popular(shape.items, shape.reviews, 0.85, rng))
    day = rng.integers(11_000, 17_800, shape.reviews)
    again = np.flatnonzero(rng.random(shape.reviews) < 0.01)
    again = again[again > 0]
    user[again], day[again] = user[again - 1], day[again - 1]
    return user, item, day


class Texts:
    """Running text of Zipf-distributed words; a text is a cut of it."""

    def __init__(self, rng: np.random.Generator) -> None:
        letters = "".join(rng.choice(list("etaoinshrdlucmfwypvbgk"), size=40_000))
        words = [letters[at : at + n] for at, n in zip(range(30_000), rng.integers(2, 11, 30_000), strict=True)]
        picks = _popular(len(words), _BLOB // 5, 1.0, rng)
        self._blob = " ".join(words[pick] + ("." if n % 13 == 12 else "") for n, pick in enumerate(picks.tolist()))

    def cut(self, at: int, length: int) -> str:
        start = at % (len(self._blob) - length - 2)
        return self._blob[start : start + length]


def review_lines(shape: Shape, year: int = 2018) -> Iterator[str]:
    """Yield the lines of a review file of 2018 (seconds, days) or 2023 (milliseconds, `parent_asin`)."""
    user, item, day = events_of(shape)
    rng = np.random.default_rng(shape.seed + 1)
    users, items = ids_of(shape.users, "A", 13), ids_of(shape.items, "B00", 7)
    texts = Texts(rng)
    line_of = _line_2018 if year == 2018 else _line_2023
    for begin in range(0, shape.reviews, _BATCH):
        part = slice(begin, begin + _BATCH)
        n = len(user[part])
        columns = (
            user[part].tolist(), item[part].tolist(), day[part].tolist(), rng.integers(0, 1 << 40, n).tolist(),
            np.minimum(rng.lognormal(5.2, 1.0, n) + 10, 20_000).astype(int).tolist(), rng.integers(1, 6, n).tolist(),
        )  # fmt: skip
        for who, what, when, at, length, stars in zip(*columns, strict=True):
            text, summary = texts.cut(at, length), texts.cut(at >> 7, 12 + at % 30)
            if at % 11 == 0:  # escapes of JSON
                text = r"caf\u00e9 \"well\"\n" + text
            yield line_of(users[who], items[what], when, stars, text, summary, at)


def _line_2018(user: str, item: str, day: int, stars: int, text: str, summary: str, at: int) -> str:
    vote = f', "vote": "{at % 97}"' if at % 9 == 0 else ""
    style = ', "style": {"Format:": " DVD"}' if at % 2 else ""
    month, date, year = 1 + at % 12, 1 + at % 28, 1970 + day // 365
    return (
        f'{{"overall": {stars}.0{vote}, "verified": {"true" if at % 5 else "false"}, '
        f'"reviewTime": "{month:02} {date}, {year}", "reviewerID": "{user}", "asin": "{item}"{style}, '
        f'"reviewerName": "{summary[:11]}", "reviewText": "{text}", "summary": "{summary}", '
        f'"unixReviewTime": {day * _DAY}}}\n'
    )


def _line_2023(user: str, item: str, day: int, stars: int, text: str, summary: str, at: int) -> str:
    return (
        f'{{"rating": {stars}.0, "title": "{summary}", "text": "{text}", "images": [], "asin": "V{item}", '
        f'"parent_asin": "{item}", "user_id": "{user}", "timestamp": {day * _DAY * 1000 + at % (_DAY * 1000)}, '
        f'"helpful_vote": {at % 7}, "verified_purchase": {"true" if at % 5 else "false"}}}\n'
    )


def meta_records(shape: Shape, year: int = 2018) -> Iterator[Mapping[str, object]]:
    """Yield the metadata of all items; some have scraped, empty, shared or encoded titles."""
    rng = np.random.default_rng(shape.seed + 2)
    texts = Texts(rng)
    kinds = ["Action", "Comedy", "Drama", "Kids &amp; Family", "Horror", "Documentary"]
    for number, item in enumerate(ids_of(shape.items, "B00", 7)):
        at = int(rng.integers(0, 1 << 40))
        title = texts.cut(at, 8 + at % 60).title() or "Untitled"
        if at % 50 == 0:
            title = "Kept &amp; Shared"
        elif at % 97 == 0:
            title = "var aPageStart = (new Date()).getTime();"
        elif at % 101 == 0:
            title = ""
        description = [texts.cut(at >> 3, 100 + at % 900)]
        categories = ["Movies & TV", kinds[number % len(kinds)]] if at % 31 else []
        if year == 2018:
            yield {
                "category": categories, "tech1": "", "description": description, "fit": "", "title": title,
                "also_buy": [], "tech2": "", "brand": texts.cut(at >> 5, 12), "feature": [],
                "rank": f"{at % 10**6:,} in Movies & TV (", "also_view": [], "details": {}, "main_cat": "Movies & TV",
                "similar_item": "", "date": "", "price": f"${at % 90}.99", "asin": item, "imageURL": [],
                "imageURLHighRes": [],
            }  # fmt: skip
        else:
            yield {
                "main_category": "Movies & TV", "title": title, "subtitle": None, "average_rating": 4.3,
                "rating_number": at % 5000, "features": [], "description": description,
                "price": at % 90 + 0.99 if at % 3 else None, "images": [], "videos": [], "store": "Studio",
                "categories": categories, "details": {"Format": "DVD"}, "parent_asin": item, "bought_together": None,
            }  # fmt: skip


def write_amazon(folder: Path, name: str, shape: Shape, year: int = 2018, level: int = 1) -> tuple[Path, Path]:
    """Write the files of reviews and metadata of a category, gzipped, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    if year == 2018:
        reviews, meta = folder / f"{name}.json.gz", folder / f"meta_{name}.json.gz"
    else:
        reviews, meta = folder / f"{name}.jsonl.gz", folder / f"meta_{name}.jsonl.gz"
    with gzip.GzipFile(reviews, "wb", compresslevel=level, mtime=0) as file:
        pending: list[str] = []
        for line in review_lines(shape, year):
            pending.append(line)
            if len(pending) == _BATCH:
                file.write("".join(pending).encode())
                pending.clear()
        file.write("".join(pending).encode())
    with gzip.GzipFile(meta, "wb", compresslevel=level, mtime=0) as file:
        for record in meta_records(shape, year):
            file.write((json.dumps(record) + "\n").encode())
    return reviews, meta
