"""Small raw files in the true form of every format: three users, four films, ties, some broken lines."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl

TITLES = {"1": "Heat", "2": "Cité, La", "3": "Tom &amp; Jerry", "4": "Alien"}
GENRES = {"1": ["Crime", "Drama"], "2": ["Drama"], "3": ["Animation"], "4": ["Horror", "Sci-Fi"]}
START = 1_600_000_000
# user, item, stars, second since START
EVENTS = [
    ("u1", "1", 5, 0), ("u1", "2", 3, 0), ("u1", "3", 4, 50), ("u1", "4", 1, 90_000),
    ("u2", "2", 2, 10), ("u2", "1", 5, 5), ("u2", "4", 4, 100_000), ("u3", "3", 3, 7), ("u3", "4", 5, 8),
]  # fmt: skip
SEQUENCES = {"u1": ["1", "2", "3", "4"], "u2": ["1", "2", "4"], "u3": ["3", "4"]}


def by_day(second: int) -> str:
    return "2020-09-13" if second < 41_600 else f"2020-09-{13 + (second + 44_800) // 86_400:02}"


def lines(records: list[object], broken: bytes = b"") -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records) + broken


def literals(records: list[dict]) -> bytes:
    return "".join("{" + ", ".join(f"u'{k}': {v!r}" for k, v in record.items()) + "}\n" for record in records).encode()


def amazon_2018(folder: Path) -> None:
    reviews = [
        {"overall": float(stars), "verified": True, "reviewTime": "09 13, 2020", "reviewerID": user, "asin": item,
         "style": {"Format:": " DVD"}, "reviewerName": "N", "reviewText": 'He said "no"\n', "summary": "S",
         "unixReviewTime": START + second}
        for user, item, stars, second in EVENTS
    ]  # fmt: skip
    meta = [
        {"category": GENRES[item], "tech1": "", "description": ["D"], "fit": "", "title": title, "also_buy": [],
         "brand": "B", "feature": [], "rank": ["1"], "main_cat": "", "date": "", "price": "$1.50", "asin": item}
        for item, title in TITLES.items()
    ]  # fmt: skip
    (folder / "Toys_5.json.gz").write_bytes(gzip.compress(lines(reviews, b'{"reviewerID": "u1", "as')))
    (folder / "meta_Toys.json.gz").write_bytes(gzip.compress(lines(meta)))


def amazon_2014(folder: Path) -> None:
    reviews = [
        {"reviewerID": user, "asin": item, "reviewerName": "N", "helpful": [0, 1], "reviewText": "T",
         "overall": float(stars), "summary": "S", "unixReviewTime": START + second, "reviewTime": "09 13, 2020"}
        for user, item, stars, second in EVENTS
    ]  # fmt: skip
    meta = [
        {"asin": item, "title": title, "description": "it's", "price": 1.5, "imUrl": "http://x",
         "related": {"also_bought": ["9"]}, "salesRank": {"Toys": 5}, "brand": "B",
         "categories": [["Toys", *GENRES[item]], ["Toys"]]}
        for item, title in TITLES.items()
    ]  # fmt: skip
    (folder / "reviews_Toys_5.json.gz").write_bytes(gzip.compress(lines(reviews)))
    code = b"{'asin': '1', 'title': __import__('os').abort()}\n"
    (folder / "meta_Toys.json.gz").write_bytes(gzip.compress("".join(f"{row!r}\n" for row in meta).encode() + code))


def amazon_2014_ratings(folder: Path) -> None:
    amazon_2014(folder)
    (folder / "reviews_Toys_5.json.gz").unlink()
    rows = "".join(f"{user},{item},{stars}.0,{START + second}\n" for user, item, stars, second in EVENTS)
    (folder / "ratings_Toys.csv").write_text(rows)


def amazon_2023(folder: Path) -> None:
    reviews = [
        {"rating": float(stars), "title": "of the review", "text": "T", "images": [], "asin": f"variant-of-{item}",
         "parent_asin": item, "user_id": user, "timestamp": (START + second) * 1000 + 7, "helpful_vote": 0,
         "verified_purchase": True}
        for user, item, stars, second in EVENTS
    ]  # fmt: skip
    reviews[0]["sortTimestamp"] = reviews[0].pop("timestamp")  # of the first dumps
    meta = [
        {"main_category": "Toys", "title": title, "average_rating": 4.5, "rating_number": 9, "features": [],
         "description": ["D"], "price": 1.5, "images": [{"thumb": "x"}], "videos": [], "store": "S",
         "categories": GENRES[item], "details": "{}", "parent_asin": item, "bought_together": None}
        for item, title in TITLES.items()
    ]  # fmt: skip
    (folder / "Toys.jsonl.gz").write_bytes(gzip.compress(lines(reviews)))
    (folder / "meta_Toys.jsonl").write_bytes(lines(meta))


def steam(folder: Path) -> None:
    reviews = [
        {"username": user, "hours": 1.5, "products": 9.0, "product_id": item, "page_order": 0, "date": by_day(second),
         "text": "it's \u2713", "early_access": False, "page": 1}
        for user, item, _, second in sorted(EVENTS, key=lambda event: event[3])  # days tie
    ]  # fmt: skip
    games = [
        {"app_name": title, "developer": "D", "early_access": False, "genres": GENRES[item], "id": item,
         "metascore": 90, "price": 1.5, "publisher": "P", "release_date": "2010-01-05", "specs": [], "tags": ["T"],
         "title": title, "url": "http://x"}
        for item, title in TITLES.items()
    ]  # fmt: skip
    del games[0]["title"]
    games[1] |= {"price": "Free to Play", "release_date": "Soon"}
    games.append({"app_name": "No id", "genres": []})
    (folder / "steam_reviews.json.gz").write_bytes(gzip.compress(literals(reviews)))
    (folder / "steam_games.json.gz").write_bytes(gzip.compress(literals(games)))


def yelp(folder: Path) -> None:
    moments = ["2020-09-13 12:26:40", "2020-09-13 12:26:40", "2020-09-13 12:27:30", "2020-09-14 13:26:40"]
    moments += ["2020-09-13 12:26:50", "2020-09-13 12:26:45", "2020-09-14 16:13:20"]
    moments += ["2020-09-13 12:26:47", "2020-09-13 12:26:48"]
    reviews = [
        {"review_id": f"r{n}", "user_id": user, "business_id": item, "stars": float(stars), "useful": 0, "funny": 0,
         "cool": 0, "text": "T", "date": moment}
        for n, ((user, item, stars, _), moment) in enumerate(zip(EVENTS, moments, strict=True))
    ]  # fmt: skip
    businesses = [
        {"business_id": item, "name": title, "city": "Tucson", "state": "AZ", "stars": 4.0, "review_count": 9,
         "is_open": 1, "attributes": None, "categories": ", ".join(GENRES[item])}
        for item, title in TITLES.items()
    ]  # fmt: skip
    (folder / "yelp_academic_dataset_review.json").write_bytes(lines(reviews))
    (folder / "yelp_academic_dataset_business.json").write_bytes(lines(businesses))


def movielens_dat(folder: Path) -> None:
    rows = "".join(f"{user}::{item}::{stars}::{START + second}\n" for user, item, stars, second in EVENTS)
    (folder / "ratings.dat").write_text(rows + "u1::2\n", encoding="latin-1")
    rows = "".join(f"{item}::{title} (1995)::{'|'.join(GENRES[item])}\n" for item, title in TITLES.items())
    (folder / "movies.dat").write_text(rows, encoding="latin-1")


def movielens_csv(folder: Path) -> None:
    rows = "".join(f"{user},{item},{stars}.5,{START + second}\n" for user, item, stars, second in EVENTS)
    (folder / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{rows}")
    rows = "".join(f'{item},"{title} (1995)",{"|".join(GENRES[item])}\n' for item, title in TITLES.items())
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{rows}5,Never rated,(no genres listed)\n")


def own_csv(folder: Path) -> None:
    rows = "".join(f"{user};{item};{stars};{by_day(second)}T00:00:{second % 60:02}\n" for user, item, stars, second
                   in EVENTS)  # fmt: skip
    (folder / "clicks.csv").write_text(f"Customer_ID;SKU;Stars;Date\n{rows}")
    rows = "".join(
        f'{item},"{title}","{"|".join(GENRES[item])}","long, with\na line end"\n' for item, title in TITLES.items()
    )
    (folder / "things.csv").write_text(f"id,Name,Genres,Synopsis\n{rows}")


def own_tsv(folder: Path) -> None:
    """One file: events with the titles of their items, and no times."""
    order = sorted(EVENTS, key=lambda event: event[3])
    rows = "".join(f"{user}\t{item}\t{TITLES[item]}\t{'|'.join(GENRES[item])}\n" for user, item, *_ in order)
    (folder / "events.tsv").write_text(f"user\titem\ttitle\tcategory\n{rows}")


def own_json(folder: Path) -> None:
    events = [{"uid": user, "iid": int(item), "ts": START + second + 0.5} for user, item, _, second in EVENTS]
    items = [{"id": int(item), "name": title, "tags": GENRES[item], "year": 1995} for item, title in TITLES.items()]
    (folder / "events.jsonl").write_bytes(lines(events, b"[1]\n"))
    (folder / "items.jsonl.gz").write_bytes(gzip.compress(lines(items)))


def own_parquet(folder: Path) -> None:
    frame = pl.DataFrame(EVENTS, schema=["user_id", "item_id", "rating", "time"], orient="row")
    frame = frame.with_columns(pl.from_epoch(pl.col("time") + START).alias("time"), pl.col("item_id").cast(pl.Int64))
    frame.write_parquet(folder / "events.parquet")
    items = pl.DataFrame({"item_id": [*map(int, TITLES)], "title": [*TITLES.values()], "genre": [*GENRES.values()]})
    items.write_parquet(folder / "items.parquet")


FEED_FIELDS = ("id", "title", "description", "link", "price", "product_type", "brand")


def feed_rows() -> list[dict[str, str]]:
    return [
        dict(zip(FEED_FIELDS, (item, title, "D", "https://x", "1.50 USD", " > ".join(GENRES[item]), "B"), strict=True))
        for item, title in TITLES.items()
    ]


def feed_xml(folder: Path) -> None:
    def escape(text: str) -> str:
        return text.replace("&", "&amp;").replace(">", "&gt;")

    items = "".join(
        "<item>" + "".join(f"<g:{name}>{escape(value)}</g:{name}>" for name, value in row.items()) + "</item>"
        for row in feed_rows()
    )
    (folder / "feed.xml").write_text(
        f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>s</title>{items}</channel></rss>'
    )


def feed_tsv(folder: Path) -> None:
    rows = ["\t".join(row.values()) for row in feed_rows()]
    (folder / "feed.tsv").write_text("\n".join(["\t".join(FEED_FIELDS), *rows, "5\t\tno title\t\t\t\t"]))


def feed_json(folder: Path) -> None:
    (folder / "feed.jsonl.gz").write_bytes(gzip.compress(lines([*feed_rows()])))


# sample -> (format, writer)
SAMPLES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "amazon-2018": ("amazon-2018", amazon_2018),
    "amazon-2014": ("amazon-2014", amazon_2014),
    "amazon-2014 ratings": ("amazon-2014", amazon_2014_ratings),
    "amazon-2023": ("amazon-2023", amazon_2023),
    "steam": ("steam", steam),
    "yelp": ("yelp", yelp),
    "ml-1m": ("ml-1m", movielens_dat),
    "ml-10m": ("ml-10m", movielens_dat),
    **{f"ml-{release}": (f"ml-{release}", movielens_csv) for release in ("20m", "25m", "32m", "latest")},
    "own csv": ("own", own_csv),
    "own tsv": ("own", own_tsv),
    "own json": ("own", own_json),
    "own parquet": ("own", own_parquet),
}
FEEDS: dict[str, Callable[[Path], None]] = {"xml": feed_xml, "tsv": feed_tsv, "json lines": feed_json}
