"""Cost of the catalog constraint per decoding step: ours, the published code, transformers' own, and a floor.

    python benchmarks/bench_constraint.py --items 100000 --rows 16

Titles are synthetic. Rows hold `--listed` items of the open turn and end inside a title, right after the opening token,
or in free text. A step is one call of the logits processor, as in `model.generate`: ids that are one token longer than
in the previous call, and fresh scores. With `--keep_memory`, freed tensors keep their memory, which favors the rivals
that allocate a mask per call. The last line of the output is the table as JSON.
"""

import argparse
import ctypes
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from baselines import PublishedProcessor, PublishedTrie, masked_fill_floor, nested_dict_fn
from machine import machine_name
from packed_rivals import run_packed
from synthetic_catalog import World, synthetic_titles
from transformers import PrefixConstrainedLogitsProcessor

from train_utils.command import run_cli
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.trie import TitleTrie, build_trie

WHERE = ("title", "root", "free")
SEPARATOR = (5, 6)
COLUMNS = ("ours", "public", "published", "hf", "floor")
CHECKED = 3
SECONDS_A_CELL, FEWEST_CALLS = 10.0, 3

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def context(world: World, where: str, listed: int, length: int, rng: np.random.Generator) -> list[int]:
    """Return one row: a prompt, an end of turn, `listed` different items, and the position to decode.

    Args:
        world: the catalog.
        where: position to decode: "title", "root" or "free".
        listed: number of items in the answer.
        length: number of tokens of the row.
        rng: source of randomness.

    Raises:
        ValueError: the items do not fit into `length` tokens.
    """
    *items, last = rng.choice(len(world.titles), listed + 1, replace=False)
    answer = [token for item in items for token in (world.soi, *world.titles[item], world.eoi, *SEPARATOR)]
    if where != "free":
        answer.append(world.soi)
    if where == "title":
        answer += world.titles[last][: rng.integers(1, len(world.titles[last]) + 1)]
    if len(answer) >= length:
        raise ValueError(f"{listed} items take {len(answer)} tokens, --context is {length}; raise it or lower --listed")
    prompt = rng.integers(0, world.end_of_turn, length - 1 - len(answer)).tolist()
    return [*prompt, world.end_of_turn, *answer]


def batches(world: World, where: str, options: argparse.Namespace) -> Iterator[torch.Tensor]:
    """Yield int64 [rows, context] without end, the same sequence for every rival."""
    rng = np.random.default_rng(WHERE.index(where))
    while True:
        rows = [context(world, where, options.listed, options.context, rng) for _ in range(options.rows)]
        yield torch.tensor(rows)


def take_step(step: Step, ids: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Make the previous call, untimed, then the timed call; return (masked scores, seconds)."""
    step(ids[:, :-1], scores.clone())
    fresh = scores.clone()
    start = time.perf_counter()
    masked = step(ids, fresh)
    return masked, time.perf_counter() - start


def median_ms(step: Step, world: World, where: str, options: argparse.Namespace) -> float:
    """Return the median milliseconds per call over `--repeats` batches.

    A slow rival stops after 10 s, but makes at least three calls.
    """
    scores = torch.rand(options.rows, world.vocabulary)
    seconds: list[float] = []
    begun = time.perf_counter()
    for ids in islice(batches(world, where, options), options.repeats):
        seconds.append(take_step(step, ids, scores)[1])
        if len(seconds) >= FEWEST_CALLS and time.perf_counter() - begun > SECONDS_A_CELL:
            break
    return 1000 * statistics.median(seconds)


def finite_scores(step: Step, world: World, where: str, options: argparse.Namespace) -> list[torch.Tensor]:
    """Return the unmasked scores of the first batches, bool [rows, V] each, except the closing token in free text."""
    unmasked = []
    for ids in islice(batches(world, where, options), CHECKED):
        finite = torch.isfinite(take_step(step, ids, torch.rand(options.rows, world.vocabulary))[0])
        if where == "free":
            finite[:, world.eoi] = False
        unmasked.append(finite)
    return unmasked


def measure(
    name: str, step: Step, expected: dict[str, list[torch.Tensor]], world: World, options: argparse.Namespace
) -> dict[str, float]:
    """Return the milliseconds of one rival by position, after comparing its allowed tokens with ours.

    Args:
        name: name of the rival.
        step: its logits processor.
        expected: position -> unmasked scores of ours, per batch.
        world: the catalog.
        options: the flags.

    Raises:
        ValueError: the rival allows other tokens than ours; without distinctness ("hf") it may allow more.
    """
    times = {}
    for where in options.where:
        for ours, theirs in zip(expected[where], finite_scores(step, world, where, options), strict=True):
            same = torch.equal(ours, theirs) if name != "hf" else not (ours & ~theirs).any()
            if not same:
                raise ValueError(f"{name} and ours allow different tokens ({where}); the timing would mean nothing")
        times[where] = median_ms(step, world, where, options)
        print(f"{name:>9} {where:>5} {times[where]:10.4f} ms", flush=True)
    return times


def on_a_copy(step: Step) -> Step:
    """Return the step on a copy of the scores, as in the public class, which leaves its input unchanged."""
    return lambda ids, scores: step(ids, scores.clone())


def rival_steps(world: World, options: argparse.Namespace) -> Iterator[tuple[str, Step]]:
    """Yield the other processors by name.

    They are built one after the other: a trie of Python objects takes gigabytes at 1M titles.
    """
    control = world.soi, world.eoi
    if not options.no_published:
        yield "published", PublishedProcessor(PublishedTrie(world.titles, *control, world.end_of_turn))
        gc.collect()
    if not options.no_hf:
        allowed = nested_dict_fn(world.titles, *control, world.vocabulary)
        yield "hf", PrefixConstrainedLogitsProcessor(allowed, num_beams=1)


def floor_ms(world: World, where: str, options: argparse.Namespace) -> float:
    """Return the milliseconds of the floor: an in-place fill with an existing mask."""
    mask = torch.rand(options.rows, world.vocabulary) < 0.99
    return median_ms(lambda _, scores: masked_fill_floor(scores, mask), world, where, options)


def array_bytes(trie: TitleTrie) -> int:
    """Return the bytes of a trie's arrays, titles included."""
    return sum(value.nbytes for value in vars(trie).values() if isinstance(value, np.ndarray))


def keep_freed_memory() -> None:
    """Make glibc keep freed memory, as a GPU allocator does.

    Otherwise page faults would vary with the size of the heap.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_max = -1, -4
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """Return one record per position: milliseconds of every rival, None for a rival that was left out.

    Raises:
        ValueError: a flag is out of range, or a rival allows other tokens than ours.
    """
    if min(options.items, options.rows, options.repeats) < 1 or options.listed < 0:
        raise ValueError("--items, --rows and --repeats must be 1 or more, --listed 0 or more")
    if options.listed >= options.items:
        raise ValueError(f"--listed is {options.listed}, wanted fewer than the {options.items} items")
    world = World(synthetic_titles(options.items, options.vocab), options.vocab)
    start = time.perf_counter()
    trie = build_trie(world.titles, world.soi, world.eoi)
    build_s = time.perf_counter() - start
    size = array_bytes(trie) / options.items
    print(f"{machine_name()}: trie of {options.items} titles in {build_s:.3f} s, {size:.1f} bytes a title", flush=True)

    ours = CatalogLogitsProcessor(Constraint(trie), world.end_of_turn)
    expected = {where: finite_scores(ours, world, where, options) for where in options.where}
    times = {"ours": measure("ours", ours, expected, world, options)}
    times["public"] = measure(
        "public", on_a_copy(CatalogLogitsProcessor(Constraint(trie), world.end_of_turn)), expected, world, options
    )
    times |= {name: measure(name, step, expected, world, options) for name, step in rival_steps(world, options)}
    times["floor"] = {where: floor_ms(world, where, options) for where in options.where}
    return [
        {"items": options.items, "rows": options.rows, "where": where}
        | {f"{name}_ms": times.get(name, {}).get(where) for name in COLUMNS}
        | {
            "build_s": build_s,
            "bytes_per_title": size,
            "listed": options.listed,
            "keep_memory": options.keep_memory,
            "machine": machine_name(),
        }
        for where in options.where
    ]


def show(records: Sequence[dict[str, object]]) -> None:
    columns = [f"{name}_ms" for name in COLUMNS]
    print("\n" + f"{'items':>8} {'rows':>5} {'where':>6}" + "".join(f"{name:>14}" for name in columns))
    for record in records:
        cells = ("-" if record[name] is None else f"{record[name]:.4f}" for name in columns)
        print(f"{record['items']:>8} {record['rows']:>5} {record['where']:>6}" + "".join(f"{c:>14}" for c in cells))
    print(json.dumps(records))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--items", type=int, default=10_000, help="titles of the catalog")
    parser.add_argument("--rows", type=int, default=16, help="rows of the batch")
    parser.add_argument("--vocab", type=int, default=128_258, help="tokens of the vocabulary")
    parser.add_argument("--listed", type=int, default=5, help="items that the turn already holds")
    parser.add_argument("--context", type=int, default=400, help="tokens of a row")
    parser.add_argument("--repeats", type=int, default=50, help="timed calls, each on new rows")
    parser.add_argument("--where", nargs="+", choices=WHERE, default=WHERE, help="positions of a row that are timed")
    parser.add_argument("--no_published", action="store_true", help="leave the published code out (2.6 GB at 1M items)")
    parser.add_argument("--no_hf", action="store_true", help="leave transformers' own processor out (1.8 GB at 1M)")
    parser.add_argument(
        "--packed",
        action="store_true",
        help="rows of packed bits instead, as inference engines take them, and their rivals",
    )
    parser.add_argument("--most_seconds", type=float, default=600, help="of one engine of --packed")
    parser.add_argument("--keep_memory", action="store_true", help="give no freed memory back, which helps the rivals")
    return parser.parse_args(argv)


def main() -> None:
    options = parse()
    if options.packed:
        run_packed(options.items, options.vocab, options.repeats, options.most_seconds)
        return
    if options.keep_memory:
        keep_freed_memory()
    show(run(options))


if __name__ == "__main__":
    run_cli(main)
