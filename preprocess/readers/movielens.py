"""Readers of MovieLens 100K, 1M, 10M, 20M, 25M, 32M and latest, and of 100K as RecBole atomic files.

Sources: https://grouplens.org/datasets/movielens/ (a README in each release), https://recbole.io/docs (atomic files).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from readers.chunks import LineFile
from readers.dump import read_dump
from readers.records import Events, Item, RawDataset, parse_id
from readers.tables import COLUMNS, Table, column_of, header_of, table_events, table_rows
from train_utils.characters import shown

# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
NO_GENRES = "(no genres listed)"
_TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})\)\s*", re.DOTALL)
_U_DATA = Table("\t", 4, (0, 1, 3, 2))
_RATINGS_DAT = Table("::", 4, (0, 1, 3, 2))


@dataclass(frozen=True)
class Layout:
    """Two files that hold a release.

    Attributes:
        name: name of the layout.
        events: name of the file of ratings.
        items: name of the file of films.
        read_events: reader of the ratings.
        read_items: reader of the films.
    """

    name: str
    events: str
    items: str
    read_events: Callable[[LineFile], Events]
    read_items: Callable[[LineFile], Iterator[Item]]


def read_movielens(folder: Path, release: str = "100k") -> RawDataset:
    """Read a release of MovieLens: the ratings and the films, in any of the layouts that it was published in.

    Args:
        folder: folder of the files.
        release: "100k", "1m", "10m", "20m", "25m", "32m" or "latest".

    Raises:
        FileNotFoundError: the folder holds no such files.
        ValueError: a file has no usable line.
    """
    layouts = LAYOUTS[release]
    for layout in layouts:
        files = folder / layout.events, folder / layout.items
        if all(path.is_file() for path in files):
            name = f"movielens-{release}{', ' if layout.name else ''}{layout.name}"
            return read_dump(name, files, layout.read_events, layout.read_items)
    wanted = " nor ".join(f"{layout.events} and {layout.items}" for layout in layouts)
    raise FileNotFoundError(f"{folder} holds neither {wanted}; {_REMEDY.get(release, _UNPACK.format(release))}")


_REMEDY = {"100k": "run scripts/fetch_defaults.py or unpack ml-100k.zip there"}
_UNPACK = "unpack ml-{}.zip of https://grouplens.org/datasets/movielens/ there"


def _atomic_events(file: LineFile) -> Events:
    """Read a RecBole atomic file, which has a typed header `name:type<TAB>...`."""
    names = _atomic_names(file)
    user, item, time = _atomic_columns(file, names, ("user_id", "item_id", "timestamp"))
    rating = names.index("rating") if "rating" in names else None
    return table_events(file, Table("\t", len(names), (user, item, time, rating), has_header=True))


def _atomic_names(file: LineFile) -> list[str]:
    return [name.split(":")[0] for name in header_of(file, "\t")]


def _atomic_columns(file: LineFile, names: list[str], wanted: tuple[str, ...]) -> list[int]:
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"{file.path} has the columns {shown(names)}, but lacks {missing}; is it a RecBole file?")
    return [names.index(name) for name in wanted]


def _movie(item_id: str, title: str, year: str, genres: tuple[str, ...]) -> Item:
    is_year = len(year) == 4 and year.isdecimal()
    return Item(parse_id(item_id), title, genres, attributes={"year": int(year)} if is_year else {})


def _dated_movie(item_id: str, title: str, genres: tuple[str, ...]) -> Item:
    """Return the film of a title such as "Heat (1995)"."""
    dated = _TITLE_AND_YEAR.fullmatch(title)
    return _movie(item_id, *((dated["title"], dated["year"]) if dated else (title, "")), genres)


def _movies(file: LineFile, rows: Iterator[list[str]], movie: Callable[[list[str]], Item]) -> Iterator[Item]:
    for row in rows:
        try:
            yield movie(row)
        except ValueError as reason:
            file.rejected[str(reason)] += 1


def _split_rows(file: LineFile, separator: str, width: int) -> Iterator[list[str]]:
    for line in file.lines():
        values = line.split(separator, width)
        if len(values) == width:
            yield values
        else:
            file.rejected[COLUMNS] += 1


def _atomic_items(file: LineFile) -> Iterator[Item]:
    names = _atomic_names(file)
    columns = _atomic_columns(file, names, ("item_id", "movie_title", "release_year", "class"))
    rows = _split_rows(file, "\t", len(names))
    next(rows, None)

    def movie(row: list[str]) -> Item:
        item_id, title, year, genres = (row[at] for at in columns)
        return _movie(item_id, title, year, tuple(genres.split()))

    return _movies(file, rows, movie)


def _u_item(file: LineFile) -> Iterator[Item]:
    def movie(row: list[str]) -> Item:
        return _dated_movie(row[0], row[1], tuple(g for g, flag in zip(GENRES, row[5:], strict=True) if flag == "1"))

    return _movies(file, _split_rows(file, "|", 5 + len(GENRES)), movie)


def _movies_dat(file: LineFile) -> Iterator[Item]:
    return _movies(file, _split_rows(file, "::", 3), lambda row: _dated_movie(row[0], row[1], _genres(row[2])))


def _movies_csv(file: LineFile) -> Iterator[Item]:
    names = header_of(file, ",")
    at = [column_of(names, name, file) for name in ("movieId", "title", "genres")]
    rows = ([row[names[index]] for index in at] for row in table_rows(file, ","))
    return _movies(file, rows, lambda row: _dated_movie(row[0], row[1], _genres(row[2])))


def _ratings_csv(file: LineFile) -> Events:
    names = header_of(file, ",")
    user, item, rating, time = (column_of(names, name, file) for name in ("userId", "movieId", "rating", "timestamp"))
    return table_events(file, Table(",", len(names), (user, item, time, rating), has_header=True, is_quoted=True))


def _genres(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split("|") if name and name != NO_GENRES)


_CSV = Layout("", "ratings.csv", "movies.csv", _ratings_csv, _movies_csv)
_DAT = Layout("", "ratings.dat", "movies.dat", partial(table_events, table=_RATINGS_DAT), _movies_dat)
LAYOUTS = {
    "100k": (
        Layout("RecBole atomic files", "ml-100k.inter", "ml-100k.item", _atomic_events, _atomic_items),
        Layout("GroupLens", "u.data", "u.item", partial(table_events, table=_U_DATA), _u_item),
    ),
    "1m": (_DAT,),
    "10m": (_DAT,),
    **dict.fromkeys(("20m", "25m", "32m", "latest"), (_CSV,)),
}
