"""What the catalog constraint costs at one decoding step: ours, the published code, transformers' own, and a floor.

    python benchmarks/bench_constraint.py --items 100000 --rows 16

Titles are synthetic. Rows hold `--listed` items of the open turn and end inside a title, right behind the opening
token, or in free text. A step is one call of the logits processor, as `model.generate` makes it: ids that are one token
longer than at the call before, and fresh scores. The memory of freed tensors is kept, which favors the rivals that
allocate a mask at every call. The last line of the output is the table as JSON.
"""

import argparse
import ctypes
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from baselines import PublishedProcessor, PublishedTrie, masked_fill_floor, nested_dict_fn
from machine import machine_name
from transformers import PrefixConstrainedLogitsProcessor

from train_utils.command import run_cli
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.trie import TitleTrie, build_trie

WHERE = ("title", "root", "free")
SHORTEST, LONGEST, MEAN = 3, 20, 8.1
ZIPF, SHARED_PREFIX = 1.15, 0.3
SEPARATOR = (5, 6)
COLUMNS = ("ours", "public", "published", "hf", "floor")
CHECKED = 3
SECONDS_A_CELL, FEWEST_CALLS = 10.0, 3

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class World:
    """A catalog and its control tokens; the last three ids of the vocabulary are never part of a title."""

    titles: list[list[int]]
    vocabulary: int

    @property
    def end_of_turn(self) -> int:
        return self.vocabulary - 3

    @property
    def soi(self) -> int:
        return self.vocabulary - 2

    @property
    def eoi(self) -> int:
        return self.vocabulary - 1


def synthetic_titles(n: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    """`n` distinct titles of 3 to 20 tokens: frequencies by Zipf's law, and 3 of 10 share a beginning with another.

    On catalogs of 10k to 1M titles about 0.7 of the tokens are the only choice at their node, as in real ones.
    """
    rng = np.random.default_rng(seed)
    words = rng.permutation(vocabulary - 3).astype(np.int32)
    frequency = np.cumsum(np.arange(1, len(words) + 1) ** -ZIPF)
    places = np.arange(LONGEST)
    table = np.zeros((0, LONGEST), dtype=np.int32)
    while len(table) < n:
        more = int(1.1 * (n - len(table))) + 16
        lengths = np.clip(SHORTEST + rng.poisson(MEAN - SHORTEST, more), SHORTEST, LONGEST)
        ranks = np.searchsorted(frequency, rng.random((more, LONGEST)) * frequency[-1])
        drawn = np.where(places < lengths[:, None], words[ranks], -1)
        other = rng.integers(0, more, more)
        shared = np.minimum(np.minimum(lengths, lengths[other]), rng.integers(1, 9, more))
        shared *= rng.random(more) < SHARED_PREFIX
        table = np.concatenate([table, np.where(places < shared[:, None], drawn[other], drawn)])
        whole_rows = table.view(np.dtype((np.void, table.itemsize * LONGEST))).ravel()
        table = table[np.sort(np.unique(whole_rows, return_index=True)[1])]
    return [row[row >= 0].tolist() for row in table[:n]]


def context(world: World, where: str, listed: int, length: int, rng: np.random.Generator) -> list[int]:
    """One row: a prompt, an end of turn, `listed` different items, and the place that is asked for.

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
    """Endless int64 [rows, context], the same sequence for every rival."""
    rng = np.random.default_rng(WHERE.index(where))
    while True:
        rows = [context(world, where, options.listed, options.context, rng) for _ in range(options.rows)]
        yield torch.tensor(rows)


def take_step(step: Step, ids: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The call before, untimed, then the call itself: (masked scores, seconds)."""
    step(ids[:, :-1], scores.clone())
    fresh = scores.clone()
    start = time.perf_counter()
    masked = step(ids, fresh)
    return masked, time.perf_counter() - start


def median_ms(step: Step, world: World, where: str, options: argparse.Namespace) -> float:
    """Median milliseconds a call over `--repeats` batches; a slow rival stops after 10 s, with three calls at least."""
    scores = torch.rand(options.rows, world.vocabulary)
    seconds: list[float] = []
    begun = time.perf_counter()
    for ids in islice(batches(world, where, options), options.repeats):
        seconds.append(take_step(step, ids, scores)[1])
        if len(seconds) >= FEWEST_CALLS and time.perf_counter() - begun > SECONDS_A_CELL:
            break
    return 1000 * statistics.median(seconds)


def finite_scores(step: Step, world: World, where: str, options: argparse.Namespace) -> list[torch.Tensor]:
    """For the first batches: which scores are left (bool [rows, V]), but for the closing token in free text."""
    found = []
    for ids in islice(batches(world, where, options), CHECKED):
        finite = torch.isfinite(take_step(step, ids, torch.rand(options.rows, world.vocabulary))[0])
        if where == "free":
            finite[:, world.eoi] = False
        found.append(finite)
    return found


def measure(
    name: str, step: Step, expected: dict[str, list[torch.Tensor]], world: World, options: argparse.Namespace
) -> dict[str, float]:
    """where -> milliseconds of one rival, after its allowed tokens were compared with ours.

    Raises:
        ValueError: the rival allows other tokens than ours; one without distinctness may allow more.
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
    """As the public class takes a step: the scores that it is given stay as they are."""
    return lambda ids, scores: step(ids, scores.clone())


def rival_steps(world: World, options: argparse.Namespace) -> Iterator[tuple[str, Step]]:
    """The other processors, built one after the other: a tree of Python objects takes gigabytes at 1M titles."""
    control = world.soi, world.eoi
    if not options.no_published:
        yield "published", PublishedProcessor(PublishedTrie(world.titles, *control, world.end_of_turn))
        gc.collect()
    if not options.no_hf:
        allowed = nested_dict_fn(world.titles, *control, world.vocabulary)
        yield "hf", PrefixConstrainedLogitsProcessor(allowed, num_beams=1)


def floor_ms(world: World, where: str, options: argparse.Namespace) -> float:
    """The floor: an in-place fill with a mask that is already there."""
    mask = torch.rand(options.rows, world.vocabulary) < 0.99
    return median_ms(lambda _, scores: masked_fill_floor(scores, mask), world, where, options)


def array_bytes(trie: TitleTrie) -> int:
    """Bytes of the arrays of a tree, titles included."""
    return sum(value.nbytes for value in vars(trie).values() if isinstance(value, np.ndarray))


def keep_freed_memory() -> None:
    """Asks glibc to give no memory back, as a GPU allocator does: page faults would come and go with the heap."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_max = -1, -4
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One record a place: milliseconds of every rival, None for one that was left out."""
    if min(options.items, options.rows, options.repeats) < 1 or options.listed < 0:
        raise ValueError("--items, --rows and --repeats must be 1 or more, --listed 0 or more")
    if options.listed >= options.items:
        raise ValueError(f"--listed is {options.listed}, wanted fewer than the {options.items} items")
    world = World(synthetic_titles(options.items, options.vocab), options.vocab)
    start = time.perf_counter()
    trie = build_trie(world.titles, world.soi, world.eoi)
    build_s = time.perf_counter() - start
    size = array_bytes(trie) / options.items
    print(f"{machine_name()}: tree of {options.items} titles in {build_s:.3f} s, {size:.1f} bytes a title", flush=True)

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
    parser.add_argument("--where", nargs="+", choices=WHERE, default=WHERE, help="places of a row that are timed")
    parser.add_argument("--no_published", action="store_true", help="leave the published code out (2.6 GB at 1M items)")
    parser.add_argument("--no_hf", action="store_true", help="leave transformers' own processor out (1.8 GB at 1M)")
    parser.add_argument("--keep_memory", action="store_true", help="give no freed memory back, which helps the rivals")
    return parser.parse_args(argv)


def main() -> None:
    options = parse()
    if options.keep_memory:
        keep_freed_memory()
    show(run(options))


if __name__ == "__main__":
    run_cli(main)
