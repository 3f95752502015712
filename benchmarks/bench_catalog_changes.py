"""Changes of a catalog while it is served, compared with loading it again, in the same run.

    python benchmarks/bench_catalog_changes.py --titles 100000 --changes 100

Renames, adds, retires and prices items one at a time, durably, while a client asks for lists. A change is timed until
it is acknowledged, and until a message that names the item is read with it; its processor time is that of its thread,
for machines with other work. The rival is
`Recommender.with_catalog` of the changed catalog, which every change would take without this. The catalog is synthetic.
Every listed item must be in the version that its answer names; one that is not, and a request that fails, is lost. The
last line is JSON.
"""

import json
import random
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
from machine import machine_name
from tqdm import tqdm

from train_utils.command import run_cli
from train_utils.files.atomic import write_json
from train_utils.options import option, parse
from train_utils.recommender import Recommender
from train_utils.serving.catalog_journal import SPARE_BYTES
from train_utils.serving.living_domains import LivingDomains
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import Service

TIMES = ("Winter", "Summer", "First", "Last", "Silent", "Lost", "Secret", "Little", "Great", "Broken")
COLORS = ("Red", "Blue", "Golden", "Dark", "Pale", "White", "Green", "Silver", "Black", "Bright")
PLACES = ("Moon", "River", "City", "House", "Island", "Bridge", "Tower", "Garden", "Road", "Door", "Star", "Castle")
DOMAIN = "synthetic"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Time until a change of a catalog is seen, and that of loading the catalog again."""

    model_name: str = option("snap/base/SmolLM2-135M-Instruct", "model folder")
    titles: int = option(100_000, "titles of the catalog", least=100)
    changes: int = option(100, "changes, one item each", least=8)
    fill: bool = option(False, "fill the journal first, so that it is rewritten while changes are timed")
    reloads: int = option(2, "times that the catalog is loaded again", least=1)
    ask: bool = option(True, "ask for lists while the catalog changes")
    seed: int = option(0, "seed of the changes")


def write_dataset(folder: Path, n: int) -> Path:
    """Write a dataset folder of n titles in twelve categories."""
    words = [" ".join(parts) for parts in product(TIMES, COLORS, PLACES)]
    metas = {f"i{i}": {"title": f"{words[i % len(words)]} {i // len(words)}", "price": i % 90} for i in range(n)}
    categories = {place: [f"i{i}" for i in range(n) if i % len(PLACES) == k] for k, place in enumerate(PLACES)}
    sequences = {f"u{u}": [f"i{(u * 37 + step) % n}" for step in range(8)] for u in range(50)}
    folder.mkdir(parents=True)
    for name, part in (("metas", metas), ("category", categories), ("sequential", sequences)):
        write_json(folder / f"{name}.jsonl", part, indent=None)
    return folder


class Client:
    """Client that asks for lists until it is ended.

    Attributes:
        cards: the listed items.
        failed: what requests failed with.
    """

    def __init__(self, service: Service):
        self.cards: list[dict[str, object]] = []
        self.failed: list[str] = []
        self._service, self._ended = service, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.cards += self._service.recommend(["i1", "i2"], 5, {"where": {"price": {"<": 50}}})
            except Exception as error:  # noqa: BLE001  # what is lost is counted, whatever it was lost by
                self.failed.append(str(error))

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def change(domains: LivingDomains, kind: str, number: int, rng: random.Random, n: int) -> str:
    """Change one item, and return its id."""
    if kind == "retire":
        retired = f"i{n - 1 - number}"
        domains.retire(DOMAIN, [retired])
        return retired
    item_id = f"new{number}" if kind == "add" else f"i{rng.randrange(n // 2)}"
    title = f"Changed Title {number}"
    if kind == "price":
        title = title_of(domains, item_id)
    domains.put(DOMAIN, [{"item_id": item_id, "title": title, "price": number}])
    return item_id


def title_of(domains: LivingDomains, item_id: str) -> str:
    """Return the title of an item."""
    catalog = domains.load(DOMAIN).catalog
    assert catalog is not None
    return catalog.items[catalog.index[item_id]].title


def see(domains: LivingDomains, kind: str, item_id: str) -> None:
    """Read a message that names a changed item, and look the item up, as requests do."""
    domain = domains.load(DOMAIN)
    catalog, reader = domain.catalog, domain.reader
    assert catalog is not None and reader is not None
    item = catalog.index[item_id]
    named = reader.read(f'I liked "{catalog.items[item].title}".').liked
    if (item,) not in named or (item in catalog.retired) != (kind == "retire"):
        raise ValueError(f"the change of {item_id!r} is not seen: a message names {named}")


def fill(domains: LivingDomains, journal: Path, n: int) -> None:
    """Price items until the journal is one of the next changes short of being rewritten."""
    catalog = domains.load(DOMAIN).catalog
    assert catalog is not None
    items = cycle(catalog.items[: n // 2])
    for part in (5000, 100, 5):
        while journal.stat().st_size + 150 * part < SPARE_BYTES:
            records = [{"item_id": item.id, "title": item.title, "price": 100} for item in islice(items, part)]
            domains.put(DOMAIN, records)


def measure(options: Options, folder: Path) -> dict[str, float]:
    """Return the figures of the last line."""
    recommender = Recommender.load(options.model_name)
    dataset = write_dataset(folder / DOMAIN, options.titles)
    domains = LivingDomains(recommender, {DOMAIN: dataset}, journals=folder / "journals")
    domains.load(DOMAIN)
    scheduler = Scheduler()
    service, rng = Service(domains, DOMAIN, scheduler), random.Random(options.seed)
    client = Client(service)
    if options.fill:
        fill(domains, folder / "journals" / f"{DOMAIN}.journal", options.titles)
    if options.ask:
        client.start()
    seconds, own_seconds, seen_seconds, gone_at = [], [], [], {}
    for number in tqdm(range(options.changes), unit="change", disable=None):
        kind = ("rename", "add", "retire", "price")[number % 4]
        begun, own = time.perf_counter(), time.thread_time()
        changed = change(domains, kind, number, rng, options.titles)
        seconds.append(time.perf_counter() - begun)
        own_seconds.append(time.thread_time() - own)
        see(domains, kind, changed)
        seen_seconds.append(time.perf_counter() - begun)
        if kind == "retire":
            gone_at[changed] = domains.versions(DOMAIN)[-1].number
    if options.ask:
        client.end()
    scheduler.drain()
    wrong = sum(
        gone_at.get(str(card["item_id"]), np.inf) <= int(str(card["catalogue_version"]).partition("-")[0])
        for card in client.cards
    )
    catalog = domains.load(DOMAIN).catalog
    assert catalog is not None
    own_ms = round(1000 * float(np.median(own_seconds)), 1)
    print(f"processor time of a change: {own_ms} ms, its time: {1000 * float(np.median(seconds)):.1f} ms", flush=True)
    reloads, own_reloads = [], []
    for _ in range(options.reloads):
        begun, own = time.perf_counter(), time.thread_time()
        _ = recommender.with_catalog(catalog).engine
        reloads.append(time.perf_counter() - begun)
        own_reloads.append(time.thread_time() - own)
    domains.close()
    print(f"{len(client.cards)} items were listed meanwhile; {len(client.failed)} requests failed {client.failed[:1]}")
    return {
        "titles": options.titles,
        "change_ms_p50": round(1000 * float(np.percentile(seconds, 50)), 1),
        "change_ms_p99": round(1000 * float(np.percentile(seconds, 99)), 1),
        "change_ms_max": round(1000 * max(seconds), 1),
        "seen_ms_p50": round(1000 * float(np.percentile(seen_seconds, 50)), 1),
        "seen_ms_p99": round(1000 * float(np.percentile(seen_seconds, 99)), 1),
        "reload_s": round(float(np.median(reloads)), 2),
        "lost": len(client.failed) + wrong,
        "change_cpu_ms_p50": own_ms,
        "change_cpu_ms_p99": round(1000 * float(np.percentile(own_seconds, 99)), 1),
        "reload_cpu_s": round(float(np.median(own_reloads)), 2),
    }


def main() -> None:
    options = parse(Options)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options, Path(folder))
    print(machine_name())
    print(json.dumps(figures))


if __name__ == "__main__":
    run_cli(main)
