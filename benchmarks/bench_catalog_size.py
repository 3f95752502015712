"""Catalogs of few and of many items: what a model costs at the start and per list, by item form.

    python benchmarks/bench_catalog_size.py --items 20,200000

The catalogs and the users are synthetic, and the models are not trained. Training changes the time per list of titles:
the search for the best titles reads fewer prefixes of a model that is sure of them. Each model is made in one process
and loaded in another, whose peak memory is reported. Titles, the published form, are the rival. The last line of the
output is JSON.
"""

import json
import multiprocessing
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

# Threads that spin at barriers block each other on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from machine import machine_name
from tqdm import tqdm
from transformers.utils import logging

from train_utils.catalog import load_catalog
from train_utils.command import run_cli
from train_utils.files.atomic import write_json
from train_utils.item_codes import save_item_codes
from train_utils.options import option, parse
from train_utils.param.training import TrainOptions
from train_utils.recommender import Recommender
from train_utils.training.method import CGEN, CODES
from train_utils.training.trainable import load_trainable

TIMES = ("Winter", "Summer", "First", "Last", "Silent", "Lost", "Secret", "Little", "Great", "Broken")
COLORS = ("Red", "Blue", "Golden", "Dark", "Pale", "White", "Green", "Silver", "Black", "Bright")
PLACES = ("Moon", "River", "City", "House", "Island", "Bridge", "Tower", "Garden", "Road", "Door", "Star", "Castle")
EVENTS, USERS, LIST = 20, 200, 10
FORMS = {"title_t": CGEN, "token": CODES}
COLUMNS = ("items", "form", "made_s", "start_s", "memory_gib", "disk_gib", "first_list_s", "list_s")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Start, memory and time per list over the size of the catalog."""

    items: str = option("20,2000,200000", "numbers of items, with commas between")
    users: int = option(8, "histories that are ranked for, one after the other", least=1, most=USERS - 1)
    backbone: str = option("snap/base/SmolLM2-135M-Instruct", "chat model")


def sizes(items: str) -> list[int]:
    """Return the numbers of items.

    Raises:
        ValueError: an entry is no number of at least `EVENTS`.
    """
    parts = [part.strip() for part in items.split(",")]
    wrong = [part for part in parts if not part.isdecimal() or int(part) < EVENTS]
    if wrong:
        raise ValueError(f"--items has {wrong[0]!r}, wanted whole numbers from {EVENTS} on, with commas between")
    return [int(part) for part in parts]


def titles(n: int) -> Iterator[str]:
    """Return `n` different titles of three words; repeated ones get a number."""
    words = [" ".join(parts) for parts in product(TIMES, COLORS, PLACES)]
    return (f"{words[i % len(words)]} {i // len(words)}" if i >= len(words) else words[i] for i in range(n))


def write_dataset(folder: Path, n: int) -> None:
    """Write a dataset of `n` items and `USERS` users with random events."""
    folder.mkdir(parents=True)
    rng = random.Random(n)
    write_json(folder / "metas.jsonl", {str(item): {"title": title} for item, title in enumerate(titles(n))})
    write_json(folder / "category.jsonl", {"even": [str(item) for item in range(0, n, 2)]})
    events = {str(user): [str(item) for item in rng.sample(range(n), min(EVENTS, n))] for user in range(USERS)}
    write_json(folder / "sequential.jsonl", events)


def make_model(backbone: str, dataset: str, form: str, folder: str) -> float:
    """Write an untrained model of an item form; return the seconds from the loaded catalog on."""
    logging.disable_progress_bar()
    catalog, begun = load_catalog(dataset), time.perf_counter()
    options = TrainOptions(
        data_path=dataset, backbone=backbone, item_index=form, sequences=form == "token", peft="full"
    )
    model, chat = load_trainable(options, catalog, torch.device("cpu"), FORMS[form])
    model.to(torch.bfloat16).save_pretrained(folder)
    chat.tokenizer.save_pretrained(folder)
    if chat.codes is not None:
        save_item_codes(chat.codes, Path(folder))
    return time.perf_counter() - begun


def load_and_rank(dataset: str, folder: str, users: int) -> dict[str, float]:
    """Load a model, rank for some histories, and return seconds and the peak memory of this process."""
    logging.disable_progress_bar()
    begun = time.perf_counter()
    rec = Recommender.load(folder, load_catalog(dataset))
    start = time.perf_counter() - begun
    seconds = [timed(rec, user) for user in range(users + 1)]
    return {
        "start_s": start,
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "disk_gib": sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**30,
        "first_list_s": seconds[0],
        "list_s": statistics.median(seconds[1:]),
    }


def timed(rec: Recommender, user: int) -> float:
    """Return the seconds of one list for a user's last 10 events."""
    catalog = rec.catalog
    history = catalog.ids(catalog.training_sequences()[user])[-10:]
    begun = time.perf_counter()
    rec.recommend(history, min(LIST, len(catalog.items) - len(history)))
    return time.perf_counter() - begun


def in_subprocess(work: Callable[..., T], *arguments: object) -> T:
    """Return what a function returns in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measure(options: Options) -> dict[str, object]:
    rows = []
    runs = tqdm([*product(sizes(options.items), FORMS)], desc="models", unit="model", disable=None)
    for n, form in runs:
        with TemporaryDirectory(prefix="bench-catalog-size-") as folder:
            dataset, model = f"{folder}/catalog", f"{folder}/model"
            write_dataset(Path(dataset), n)
            made = in_subprocess(make_model, options.backbone, dataset, form, model)
            rows.append(
                {
                    "items": n,
                    "form": form,
                    "made_s": made,
                    **in_subprocess(load_and_rank, dataset, model, options.users),
                }
            )
    return {"machine": machine_name(), "users": options.users, "rows": rows}


def show(record: dict) -> None:
    print(record["machine"])
    print("".join(f"{name:>14}" for name in COLUMNS))
    for row in record["rows"]:
        cells = (row[name] for name in COLUMNS)
        print("".join(f"{cell:14.2f}" if isinstance(cell, float) else f"{cell:>14}" for cell in cells))
    print(json.dumps(record))


def main() -> None:
    show(measure(parse(Options)))


if __name__ == "__main__":
    run_cli(main)
