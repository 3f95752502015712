"""Samples of a small catalog and of an untrained teacher, for the tests of training."""

import json
import random
from pathlib import Path

import torch

from train_utils.catalog import Catalog, Item, make_catalog
from train_utils.prompts.messages import message
from train_utils.samples.encode import encode_sample
from train_utils.samples.plan import SampleConfig
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sources import DrawnSamples

TITLES = [
    "red",
    "red moon",
    "red moon 2",
    "the end",
    "é",
    "夜",
    "a",
    "blue river of the red moon",
    "b 1",
    "b 2",
    "b 3",
    "green",
    "green night",
    "night",
    "moon",
    "river 1",
    "river 2",
    "x",
    "xy",
    "xyz",
]
CATEGORIES = (("Comedy",), ("Drama", "War"), (), ("Comedy", "War"), ("Drama",))


def small_catalog() -> Catalog:
    rng = random.Random(0)
    items = [Item(str(i), title, CATEGORIES[i % 5]) for i, title in enumerate(TITLES)]
    return make_catalog("small", items, {f"u{u}": [str(i) for i in rng.sample(range(20), 8)] for u in range(9)})


def write_small_catalog(folder: Path) -> None:
    """Write the small catalog as a dataset folder."""
    folder.mkdir()
    catalog = small_catalog()
    files = {
        "metas": {i.id: {"title": i.title, "title_t": i.title} for i in catalog.items},
        "category": {name: catalog.ids(sorted(items)) for name, items in catalog.categories.items()},
        "sequential": {user: catalog.ids(items) for user, items in catalog.sequences.items()},
    }
    for name, content in files.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(content))


class FixedTeacher:
    """Teacher that ranks items in a fixed order after the last item of the history."""

    def top_k(self, histories, k, scores=False):
        lists = [[str((int(h[-1]) + step) % 20) for step in range(1, 20)] for h in histories]
        lists = [[i for i in row if i not in h][:k] for row, h in zip(lists, histories, strict=True)]
        probabilities = [[2.0 ** -(rank + 1) for rank in range(len(row))] for row in lists]
        return (lists, probabilities) if scores else lists


CONFIG = SampleConfig(max_history=4, topk=4, multi_round_ratio=0.5, soft_labels=0.7, history_weight=0.5)
EXCHANGE = (message("user", "hello <SOI>"), message("assistant", "hi there"))


def drawn(chat, config=CONFIG):
    return DrawnSamples(small_catalog(), chat, FixedTeacher(), [EXCHANGE], config)


def stream(model_chat, config=CONFIG, batch_size=3, accumulation=1, encode=encode_sample, **how):
    _, chat = model_chat
    return SampleStream(drawn(chat, config), chat, encode, batch_size, accumulation, 1, torch.device("cpu"), **how)
