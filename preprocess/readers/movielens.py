"""Reader of MovieLens-100K, as GroupLens publishes it and as RecBole atomic files.

Sources: https://grouplens.org/datasets/movielens/100k/ (README), https://recbole.io/docs (atomic files).
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from readers.records import Events, Item, RawDataset, collect, parse_id, read_dump
from train_utils.text_files import shown, text_lines

# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
_TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})\)\s*", re.DOTALL)


def read_movielens(folder: Path) -> RawDataset:
    """Read MovieLens-100K in either layout: RecBole atomic files, or GroupLens `u.data` and `u.item`.

    Raises:
        FileNotFoundError: the folder holds neither.
    """
    atomic = (folder / "ml-100k.inter", folder / "ml-100k.item")
    grouplens = (folder / "u.data", folder / "u.item")
    if all(path.is_file() for path in atomic):
        return read_dump("movielens-100k, RecBole atomic files", atomic, _atomic_events, _atomic_items)
    if all(path.is_file() for path in grouplens):
        return read_dump("movielens-100k, GroupLens", grouplens, _grouplens_events, _grouplens_items)
    raise FileNotFoundError(
        f"{folder} holds neither ml-100k.inter and ml-100k.item nor u.data and u.item; "
        "run scripts/fetch_defaults.py or unpack ml-100k.zip there"
    )


def _atomic_rows(path: Path, columns: tuple[str, ...], rejected: Counter[str]) -> Iterator[list[str]]:
    """Yield the values of columns of a RecBole atomic file, which has a typed header `name:type<TAB>...`.

    Args:
        path: the file.
        columns: names of the columns, in the order of the values.
        rejected: counts the unused lines, by reason.

    Raises:
        ValueError: a column is missing.
    """
    lines = text_lines(path, "latin-1", rejected)
    names = [column.split(":")[0] for column in next(lines, "").split("\t")]
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(f"{path} has the columns {shown(names)}, but lacks {missing}; is it a RecBole file?")
    indices = [names.index(name) for name in columns]
    for line in lines:
        values = line.split("\t", len(names))
        if len(values) != len(names):
            rejected["wrong number of columns"] += 1
            continue
        yield [values[index] for index in indices]


def _atomic_events(path: Path, rejected: Counter[str]) -> Events:
    return collect(_atomic_rows(path, ("user_id", "item_id", "timestamp"), rejected), rejected)


def _grouplens_events(path: Path, rejected: Counter[str]) -> Events:
    def rows() -> Iterator[list[str]]:
        for line in text_lines(path, "latin-1", rejected):
            values = line.split("\t", 4)
            if len(values) == 4:
                yield [values[0], values[1], values[3]]
            else:
                rejected["wrong number of columns"] += 1

    return collect(rows(), rejected)


def _movie(item_id: str, title: str, year: str, genres: tuple[str, ...]) -> Item:
    is_year = len(year) == 4 and year.isdecimal()
    return Item(parse_id(item_id), title, genres, attributes={"year": int(year)} if is_year else {})


def _atomic_items(path: Path, rejected: Counter[str]) -> Iterator[Item]:
    for item_id, title, year, genres in _atomic_rows(
        path, ("item_id", "movie_title", "release_year", "class"), rejected
    ):
        try:
            yield _movie(item_id, title, year, tuple(genres.split()))
        except ValueError as reason:
            rejected[str(reason)] += 1


def _grouplens_items(path: Path, rejected: Counter[str]) -> Iterator[Item]:
    for line in text_lines(path, "latin-1", rejected):
        values = line.split("|", 5 + len(GENRES))
        if len(values) != 5 + len(GENRES):
            rejected["wrong number of columns"] += 1
            continue
        genres = tuple(genre for genre, flag in zip(GENRES, values[5:], strict=True) if flag == "1")
        dated = _TITLE_AND_YEAR.fullmatch(values[1])
        title, year = (dated["title"], dated["year"]) if dated else (values[1], "")
        try:
            yield _movie(values[0], title, year, genres)
        except ValueError as reason:
            rejected[str(reason)] += 1
