"""Generator of reviews in the true format of Steam, version 2: Python literals as Python 2 writes them."""

import gzip
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from amazon_raw import Shape, Texts, events_of, ids_of

_FIRST = date(2010, 10, 15)
_ODD = ("it's great\n", 'a "must"\n\n', "caf\u00e9 \u2665\u2665 ", "\U0001f600", "tab\there\\", "10/10 don't buy ")


def review_lines(shape: Shape) -> Iterator[str]:
    """Yield the lines of a file of reviews; half of the texts have apostrophes, line ends or other letters."""
    user, item, day = events_of(shape)
    rng = np.random.default_rng(shape.seed + 3)
    names, texts = ids_of(shape.users, "Player", 7), Texts(rng)
    lengths = np.minimum(rng.lognormal(4.9, 1.2, shape.reviews) + 5, 8_000).astype(int)
    at_random = rng.integers(0, 1 << 40, shape.reviews)
    columns = (column.tolist() for column in (user, item, day, lengths, at_random))
    for who, what, when, length, at in zip(*columns, strict=True):
        odd = _ODD[at % len(_ODD)] if at % 2 else ""
        record: dict[str, object] = {
            "username": names[who] + ("'s" if who % 50 == 0 else ""), "hours": round(at % 9999 / 10, 1),
            "products": float(at % 900), "product_id": str(10 * what + 10), "page_order": at % 10,
            "date": str(_FIRST + timedelta(when - 11_000)), "text": odd + texts.cut(at >> 3, length) + odd,
            "early_access": at % 11 == 0, "page": 1 + at % 500,
        }  # fmt: skip
        if at % 3 == 0:
            record["user_id"] = str(76_561_197_960_265_728 + who)
        if at % 20 == 0:
            record["found_funny"] = float(at % 40)
        if at % 50 == 0:
            record["compensation"] = "Product received for free"
        yield "{" + ", ".join(f"u{key!r}: {_of_python_2(value)}" for key, value in record.items()) + "}\n"


def _of_python_2(value: object) -> str:
    return f"u{ascii(value)}" if isinstance(value, str) else repr(value)


def write_steam(path: Path, shape: Shape) -> None:
    """Write a file of reviews, gzipped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
        for line in review_lines(shape):
            file.write(line.encode())
