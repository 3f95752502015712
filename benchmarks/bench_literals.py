"""Reading Python literals, as the dumps of Steam have them: CPU seconds of our reader and of `ast.literal_eval`.

    python benchmarks/bench_literals.py --reviews 500000

The file is generated in the true format and kept in `--raw`. Both read users, items and times of all reviews, each in
a process of its own, and must agree on them. The last line of the output is JSON.
"""

import ast
import gzip
import json
import resource
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from amazon_raw import Shape
from machine import machine_name
from steam_raw import write_steam

from train_utils.command import run_cli
from train_utils.options import option, parse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "preprocess"))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Reading a file of Python literals."""

    reviews: int = option(500_000, "lines of the file")
    raw: str = option("data/raw/generated", "folder of the generated file, which is used again")


def ours(path: Path) -> tuple[list[str], list[str], list[int]]:
    from readers.chunks import LineFile
    from readers.steam import read_reviews

    events = read_reviews(LineFile(path, Counter()))
    users, items = events.user_ids, events.item_ids
    return [users[n] for n in events.user], [items[n] for n in events.item], events.time.tolist()


def literal_eval(path: Path) -> tuple[list[str], list[str], list[int]]:
    """Return users, items and seconds of the lines, as scripts for these dumps read them."""
    from datetime import UTC, datetime

    users, items, times = [], [], []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            record = ast.literal_eval(line)
            users.append(record["username"])
            items.append(record["product_id"])
            times.append(int(datetime.fromisoformat(record["date"]).replace(tzinfo=UTC).timestamp()))
    return users, items, times


def cost_of(name: str, path: Path) -> tuple[float, float, str]:
    """Return CPU seconds, peak MB and a digest of what a reader of this module reads."""
    began = time.process_time()
    columns = globals()[name](path)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, peak, sha256(json.dumps(columns).encode()).hexdigest()


def main() -> None:
    options = parse(Options)
    path = Path(options.raw) / f"steam-{options.reviews}" / "steam_reviews.json.gz"
    if not path.exists():
        print(f"generating {options.reviews:,} reviews in {path}", file=sys.stderr)
        write_steam(path, Shape(options.reviews, options.reviews // 3, max(20, options.reviews // 500)))
    costs = {}
    for name in ("ours", "literal_eval"):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            costs[name] = pool.submit(cost_of, name, path).result()
    if costs["ours"][2] != costs["literal_eval"][2]:
        raise ValueError("the two readers differ")
    print(machine_name())
    for name, (seconds, peak, _) in costs.items():
        print(f"{name:>13} {seconds:8.1f} CPU s {seconds / options.reviews * 1e6:8.1f} us per line {peak:8.0f} MB")
    (mine, mb, _), (rival, rival_mb, _) = costs["ours"], costs["literal_eval"]
    record = {
        "machine": machine_name(), "reviews": options.reviews, "cpu_seconds": round(mine, 2), "peak_mb": round(mb),
        "rival_cpu_seconds": round(rival, 2), "rival_peak_mb": round(rival_mb), "times_faster": round(rival / mine, 2),
    }  # fmt: skip
    print(json.dumps(record))


if __name__ == "__main__":
    run_cli(main)
