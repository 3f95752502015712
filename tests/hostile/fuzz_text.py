"""Readers of text of strangers: dumps, dataset folders, conversations, run files, questions."""

import gzip
import json
from collections import Counter
from pathlib import Path

from build_dataset import build_dataset
from damage import Reader
from readers.amazon import read_amazon
from readers.movielens import GENRES, read_movielens
from select_events import Filters
from small_events import plain_rules

from train_utils.catalog import load_catalog
from train_utils.evaluation.gsm8k import load_questions
from train_utils.evaluation.run_file import read_run
from train_utils.prompts.sharegpt import read_records

JSON_WORDS = (b"[" * 5000, b'{"a":' * 2000, b"9" * 5000, b"NaN", b"-Infinity", b"1e999", b"null", b'"\\ud800"', b"\0",
              b"\xef\xbb\xbf", b"\n", b'{"title": ', b"<!--", b"&amp;amp;", b"<SO<SOI>I>", "\u0301".encode() * 500,
              "\u202e".encode(), b'"asin": "b0"')  # fmt: skip
TABLE_WORDS = (b"\t", b"|", b",", b'"', b"\n", b"\0", b"9" * 5000, b"1e999", b"nan", b"\xff\xfe", b"user_id:token\t")


def write_amazon(folder: Path) -> None:
    reviews = [{"reviewerID": f"u{n % 3}", "asin": f"b{n % 4}", "unixReviewTime": 10**9 + n} for n in range(12)]
    items = [
        {"asin": f"b{n}", "title": f"Title &amp; {n}", "category": ["A", ["B"]], "description": ["x"], "price": "$1.50"}
        for n in range(4)
    ]
    (folder / "X_5.json").write_text("\n".join(map(json.dumps, reviews)))
    (folder / "meta_X.json").write_text("\n".join(map(json.dumps, items)))


def write_packed(folder: Path) -> None:
    write_amazon(folder)
    for path in list(folder.iterdir()):
        path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def write_movielens(folder: Path) -> None:
    flags = "|".join("1" * len(GENRES))
    (folder / "u.item").write_text("".join(f"{n}|Tïtle {n} (1995)|d||x|{flags}\n" for n in range(4)), "latin-1")
    (folder / "u.data").write_text("".join(f"{n % 3}\t{n % 4}\t5\t{10**9 + n}\n" for n in range(12)))


def write_atomic(folder: Path) -> None:
    head = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    (folder / "ml-100k.item").write_text(head + "".join(f"{n}\tTitle {n}\t1995\tA B\n" for n in range(4)))
    rows = "".join(f"{n % 3}\t{n % 4}\t5\t{10**9 + n}\n" for n in range(12))
    (folder / "ml-100k.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + rows)


def write_dataset_folder(folder: Path) -> None:
    metas = {
        str(n): {"title": f"T {n}", "title_t": f"T {n}", "description": ["a", "b"], "year": 1990 + n} for n in range(4)
    }
    (folder / "metas.jsonl").write_text(json.dumps(metas))
    (folder / "category.jsonl").write_text(json.dumps({"A": ["0", "1"], "B": ["2"]}))
    (folder / "sequential.jsonl").write_text(json.dumps({"u": ["0", "1", "2"], "v": ["3", "1", "0"]}))
    (folder / "test_users.json").write_text(json.dumps({"last_training_second": 5, "users": ["u"]}))


def write_conversations(folder: Path) -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    (folder / "x.json").write_text(json.dumps({"data": [{"id": n, "conversations": turns} for n in range(20)]}))


def write_json_run(folder: Path) -> None:
    (folder / "run").write_text("".join(json.dumps({"user": f"u{n}", "items": [1, "b"]}) + "\n" for n in range(9)))


def write_trec_run(folder: Path) -> None:
    (folder / "run").write_text("".join(f"u{n // 3} Q0 i{n} {n % 3} {1 / (n + 1)} tag\n" for n in range(9)))


def write_table(folder: Path) -> None:
    (folder / "run").write_text("userId,movieId,rating\n" + "".join(f"u{n // 3},i{n},{n}.5\n" for n in range(9)))


def write_questions(folder: Path) -> None:
    (folder / "x").write_text("".join(f'{{"question": "{n}?", "answer": "#### {n},000.5"}}\n' for n in range(9)))


READERS = [
    *(
        Reader(
            f"text {name}",
            write,
            lambda folder, read=read: build_dataset(read(folder), plain_rules(), Filters()),
            words,
            module="fuzz_text",  # tables are read by Polars
        )
        for name, write, read, words in (
            ("amazon", write_amazon, lambda folder: read_amazon(folder, "X"), JSON_WORDS),
            ("amazon gzip", write_packed, lambda folder: read_amazon(folder, "X"), JSON_WORDS),
            ("movielens", write_movielens, read_movielens, TABLE_WORDS),
            ("atomic", write_atomic, read_movielens, TABLE_WORDS),
        )
    ),
    Reader("text dataset folder", write_dataset_folder, load_catalog, JSON_WORDS),
    Reader(
        "text conversations",
        write_conversations,
        lambda folder: list(read_records(folder / "x.json", Counter())),
        JSON_WORDS,
    ),
    Reader("text json run", write_json_run, lambda folder: read_run(folder / "run", ["u1"]), JSON_WORDS),
    Reader("text trec run", write_trec_run, lambda folder: read_run(folder / "run", ["u1"]), TABLE_WORDS),
    Reader("text table", write_table, lambda folder: read_run(folder / "run", ["u1"]), TABLE_WORDS),
    Reader("text questions", write_questions, lambda folder: load_questions(folder / "x"), JSON_WORDS),
]
