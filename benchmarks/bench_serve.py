"""Many clients of the chat server compared with one after the other, on the same server in the same run.

    python benchmarks/bench_serve.py --model_name snap/ml-100k/cgen/SFT_Epoch2/ --domain ml-100k

Starts `cli_serve.py --serve` as a user would. Clients stream conversations: lists that titles, categories and years are
asked for, second turns, and plain questions whose answer has up to 48 tokens. Every listed item is looked up in the
catalog; an item that it lacks, a repeated one, or a list of the wrong length is an error. With --soak_minutes, the load
goes on so long, while a tenth of the clients hang up in the middle, and the server's memory is noted after each round.
The last line is JSON.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from machine import machine_name
from tqdm import tqdm

from train_utils.catalog import Catalog, load_catalog
from train_utils.command import run_cli
from train_utils.options import option, parse
from train_utils.prompts.title_forms import spoken_title

ROOT = Path(__file__).resolve().parent.parent
ANSWER_TOKENS, LIST_TOKENS = 48, 256
TIMEOUT_S = 300.0
TALK = (
    "What is the capital of France?",
    "Write two sentences about the sea.",
    "How do I boil an egg?",
    "Explain in short what a matrix is.",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Throughput and latency of the chat server."""

    model_name: str = option(help="model folder")
    domain: str = option("ml-100k", "dataset folder in --data_root")
    data_root: str = option("data/dataset", "folder of the dataset folders")
    clients: int = option(32, "clients at a time", least=2)
    requests: int = option(256, "requests of all clients together", least=1)
    sequential: int = option(48, "requests of the one client that they are compared with", least=1)
    talk: float = option(0.5, "share of plain questions among the requests", least=0, most=1)
    soak_minutes: float = option(0.0, "go on with the load for so many minutes", least=0)
    seed: int = option(0, "seed of the requests")


@dataclass
class Sample:
    """One request: what it asks, and when its answer came.

    Attributes:
        messages: the conversation.
        n_items: items that the answer must have; 0 for a plain question.
        first_s: seconds to the first text or item.
        whole_s: seconds to the end.
        problem: what was wrong; "" for nothing.
    """

    messages: Sequence[dict[str, str]]
    n_items: int
    first_s: float = 0.0
    whole_s: float = 0.0
    problem: str = "lost"
    items: list[str] = field(default_factory=list)


def samples(catalog: Catalog, n: int, talk: float, seed: int) -> list[Sample]:
    """Return requests: the same ones for the same seed, so that both arms ask alike."""
    rng = random.Random(seed)
    popular = [spoken_title(catalog.items[i].title) for i in catalog.most_popular[:200]]
    categories = [name for name, items in catalog.categories.items() if len(items) >= 60]
    made = []
    for number in range(n):
        if (number + 1) * talk // 1 > number * talk // 1:
            made.append(Sample([{"role": "user", "content": rng.choice(TALK)}], 0))
            continue
        k = rng.choice((3, 5, 10))
        liked = rng.sample(popular, 2)
        asked = rng.choice(
            (
                f"I loved {liked[0]} and {liked[1]}. Give me {k} more like them.",
                f"{k} {rng.choice(categories)} movies, please.",
                f"Recommend {k} titles like {liked[0]}, but nothing after 1995.",
            )
        )
        made.append(Sample([{"role": "user", "content": asked}], k))
    return made


async def ask(client: httpx.AsyncClient, sample: Sample) -> None:
    """Stream an answer and note its times and what is wrong with it."""
    begun = time.perf_counter()
    body = {"messages": sample.messages, "stream": True, "max_tokens": LIST_TOKENS if sample.n_items else ANSWER_TOKENS}
    finished = ""
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                sample.problem = f"status {answer.status_code}: {(await answer.aread())[:200]!r}"
                return
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    sample.problem = chunk["error"]["message"]
                    return
                choice = chunk["choices"][0]
                if choice["delta"].get("content") and not sample.first_s:
                    sample.first_s = time.perf_counter() - begun
                sample.items += [item["item_id"] for item in choice["delta"].get("items", ())]
                finished = choice["finish_reason"] or finished
    except httpx.HTTPError as error:
        sample.problem = repr(error)
        return
    sample.whole_s = time.perf_counter() - begun
    sample.problem = "" if finished else "cut off"


async def load(url: str, asked: Sequence[Sample], clients: int, label: str) -> float:
    """Ask all requests by so many clients, each of which waits for its answer; return the seconds."""
    waiting = iter(asked)
    limits = httpx.Limits(max_connections=clients)
    with tqdm(total=len(asked), desc=label, unit="request") as bar:
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits) as client:

            async def one() -> None:
                for sample in waiting:
                    await ask(client, sample)
                    bar.update()

            begun = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(clients)))
            return time.perf_counter() - begun


def check(asked: Sequence[Sample], catalog: Catalog) -> list[str]:
    """Return what is wrong with the answers."""
    problems = []
    for sample in asked:
        found = sample.problem
        if not found and sample.n_items and len(set(sample.items)) != sample.n_items:
            found = f"{len(set(sample.items))} distinct items instead of {sample.n_items}"
        if not found and not set(sample.items) <= catalog.index.keys():
            found = f"off the catalog: {sorted(set(sample.items) - catalog.index.keys())}"
        if found:
            problems.append(f"{sample.messages[-1]['content']!r}: {found}")
    return problems


def milliseconds(seconds: Sequence[float], percent: float) -> float:
    return round(1000 * float(np.percentile(seconds, percent)), 1) if len(seconds) else 0.0


async def hang_up(url: str, asked: Sequence[Sample]) -> None:
    """Begin answers and leave after their first chunk."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
        for sample in asked:
            async with client.stream(
                "POST", "/v1/chat/completions", json={"messages": sample.messages, "stream": True}
            ) as answer:
                async for _ in answer.aiter_lines():
                    break


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def soak(options: Options, url: str, pid: int, catalog: Catalog) -> dict[str, object]:
    """Load a server for minutes; return its memory after each round, requests and errors."""
    ends, memory, n, problems = time.monotonic() + 60 * options.soak_minutes, [], 0, 0
    while time.monotonic() < ends:
        asked = samples(catalog, options.requests, options.talk, options.seed + 2 + len(memory))
        leaving = samples(catalog, max(1, options.clients // 10), options.talk, len(memory))

        async def both(asked: Sequence[Sample] = asked, leaving: Sequence[Sample] = leaving) -> None:
            await asyncio.gather(load(url, asked, options.clients, f"round {len(memory) + 1}"), hang_up(url, leaving))

        asyncio.run(both())
        problems += len(check(asked, catalog))
        n += len(asked)
        memory.append(resident_mb(pid))
    return {
        "soak_minutes": options.soak_minutes,
        "soak_requests": n,
        "soak_errors": problems,
        "soak_rss_mb": [round(value) for value in memory],
    }


def measure(options: Options, url: str) -> dict[str, object]:
    catalog = load_catalog(Path(options.data_root) / options.domain)
    asyncio.run(load(url, samples(catalog, 4, options.talk, options.seed + 1), 1, "warm-up"))
    alone = samples(catalog, options.sequential, options.talk, options.seed)
    alone_s = asyncio.run(load(url, alone, 1, "one client"))
    together = samples(catalog, options.requests, options.talk, options.seed)
    together_s = asyncio.run(load(url, together, options.clients, f"{options.clients} clients"))
    problems = check([*alone, *together], catalog)
    for problem in problems[:10]:
        print(problem, file=sys.stderr)
    rows = {"one client": (alone, alone_s), f"{options.clients} clients": (together, together_s)}
    print(f"\n{machine_name()}; {100 * options.talk:g} % plain questions\n")
    print("| | requests/s | first text p50 / p99, ms | list p50 / p99, ms |\n|:--|--:|--:|--:|")
    figures = {}
    for name, (asked, seconds) in rows.items():
        first = [sample.first_s for sample in asked if not sample.problem]
        lists = [sample.whole_s for sample in asked if sample.n_items and not sample.problem]
        figures[name] = (len(asked) / seconds, first, lists)
        shown = [f"{milliseconds(times, 50):g} / {milliseconds(times, 99):g}" for times in (first, lists)]
        print(f"| {name} | {len(asked) / seconds:.2f} | {shown[0]} | {shown[1]} |")
    rate, first, lists = figures[f"{options.clients} clients"]
    return {
        "clients": options.clients,
        "requests_per_s": round(rate, 3),
        "first_token_ms_p50": milliseconds(first, 50),
        "first_token_ms_p99": milliseconds(first, 99),
        "list_ms_p50": milliseconds(lists, 50),
        "list_ms_p99": milliseconds(lists, 99),
        "sequential_requests_per_s": round(figures["one client"][0], 3),
        "times": round(rate / figures["one client"][0], 2),
        "errors": len(problems),
        "lost": sum(sample.problem == "lost" for sample in [*alone, *together]),
        "machine": machine_name(),
    }


def main() -> None:
    options = parse(Options)
    command = [
        sys.executable, str(ROOT / "cli_serve.py"), "--model_name", options.model_name, "--serve", "--port", "0",
        "--data_root", options.data_root, "--domain", options.domain, "--deadline_s", str(TIMEOUT_S),
    ]  # fmt: skip
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip().rpartition(" ")[2]
            if not url.startswith("http"):
                raise ValueError(f"the server did not start; run it by hand: {' '.join(command)}")
            result = measure(options, url)
            if options.soak_minutes:
                result |= soak(options, url, server.pid, load_catalog(Path(options.data_root) / options.domain))
        finally:
            server.send_signal(signal.SIGTERM)
    print(json.dumps(result))


if __name__ == "__main__":
    run_cli(main)
