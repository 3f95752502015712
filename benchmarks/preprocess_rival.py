"""The published way to preprocess Amazon reviews, re-implemented plainly: the rival of `bench_preprocess.py`.

Every line becomes a dictionary by `json.loads` and stays in memory; each round of the k-core makes a deep copy of what
is left; titles are encoded and decoded one by one. Standard library, and the tokenizer's own library.
"""

import copy
import gzip
import json
import pickle
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

from tokenizers import Tokenizer


def parse(path: Path) -> list[dict]:
    """Return all records of a gzip file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def k_core(reviews: list[dict], k: int) -> list[dict]:
    """Return the reviews of users and items with at least k reviews; every round copies what is left."""
    left = copy.deepcopy(reviews)
    while True:
        users = Counter(review["reviewerID"] for review in left)
        items = Counter(review["asin"] for review in left)
        kept = [review for review in left if users[review["reviewerID"]] >= k and items[review["asin"]] >= k]
        if len(kept) == len(left):
            return left
        left = copy.deepcopy(kept)


def sequences_of(reviews: list[dict], events: int) -> dict[str, list[str]]:
    """Return user -> its first items, of users with that many distinct ones."""
    by_user: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for review in reviews:
        by_user[review["reviewerID"]].append((review["unixReviewTime"], review["asin"]))
    sequences = {}
    for user, rows in by_user.items():
        items = list(dict.fromkeys(item for _, item in sorted(rows, key=lambda row: row[0])))
        if len(items) >= events:
            sequences[user] = items[:events]
    return sequences


def main(reviews_path: str, meta_path: str, tokenizer_path: str, output: str, k: str = "5", events: str = "17") -> None:
    """Write the files of the dataset."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(Path(tokenizer_path) / "tokenizer.json"))
    metas = {}
    for record in parse(Path(meta_path)):
        if record.get("title") and record.get("category"):
            ids = tokenizer.encode(record["title"], add_special_tokens=False).ids
            record["title_t"] = tokenizer.decode(ids, skip_special_tokens=False)
            metas[record["asin"]] = record
    reviews = [review for review in parse(Path(reviews_path)) if review["asin"] in metas]
    sequences = sequences_of(k_core(reviews, int(k)), int(events))
    users = list(sequences)
    drawn = {user: sequences[user] for user in random.Random(0).choices(users, k=10_000)} if users else {}
    used = {item for items in drawn.values() for item in items}
    meta = {item: metas[item] for item in metas if item in used}
    categories: dict[str, list[str]] = defaultdict(list)
    for item, record in meta.items():
        for category in record["category"]:
            categories[category].append(item)
    (folder / "meta.pickle").write_bytes(pickle.dumps(meta))
    (folder / "category.jsonl").write_text(json.dumps(categories), encoding="utf-8")
    (folder / "sequential.jsonl").write_text(json.dumps(drawn), encoding="utf-8")
    print(len(drawn), "users", len(meta), "items")


if __name__ == "__main__":
    main(*sys.argv[1:])
