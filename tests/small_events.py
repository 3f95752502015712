"""Handmade events, title rules without a tokenizer, and a dataset folder with a temporal split."""

from pathlib import Path

from build_dataset import build_dataset, write_dataset
from readers.records import EventCollector, Events, Item, RawDataset
from select_events import Filters
from titles import TitleRules
from transform2unirec import transform


def plain_rules(round_trip=lambda text: text) -> TitleRules:
    return TitleRules(("<SOI>", "<EOI>"), round_trip)


def events_of(triples: list[tuple[str, str, int]]) -> Events:
    collector = EventCollector()
    for triple in triples:
        collector.add(*triple)
    return collector.events()


# The split is after second 5. u and v have events on both sides, w only before, x only after, y one before it.
TRIPLES = [
    ("u", "a", 1), ("u", "b", 2), ("u", "c", 8), ("u", "d", 9), ("w", "a", 3), ("w", "c", 4), ("w", "b", 5),
    ("v", "b", 2), ("v", "c", 3), ("v", "a", 4), ("v", "e", 7), ("x", "a", 6), ("x", "b", 7), ("y", "a", 5),
    ("y", "b", 6),
]  # fmt: skip


def dataset_of(triples, test_share=None):
    events = events_of(triples)
    items = [Item(i, f"Title {i}", ("C",)) for i in events.item_ids]
    raw = RawDataset("test", (Path("/dev/null"), Path("/dev/null")), events, items, {"null": {}})
    return build_dataset(raw, plain_rules(), Filters(), test_share=test_share)


def write_temporal(folder: Path, triples=TRIPLES) -> Path:
    write_dataset(dataset_of(triples, 0.4), folder / "data")
    transform(folder / "data", folder / "unirec", folder / "x.yaml")
    return folder
