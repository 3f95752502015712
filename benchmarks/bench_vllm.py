"""Lists per second of vLLM under the plugin, against vLLM without a constraint, a stock grammar, and our engine.

All arms of a server take turns on the same prompts and write the same number of tokens per prompt, 16 requests at a
time. The stock grammar, a regular expression that every text matches, shows what vLLM's own path of structured outputs
costs. A second server adds jump forward. Our engine decodes the same requests in this process, before any server.

Overheads are given in time, and in processor seconds of the server's processes, which other programs on the machine
change less.
"""

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from machine import machine_name
from served_requests import Asked, drawn_requests, identical, own_answers, violations
from transformers.utils import logging

from train_utils.command import run_cli
from train_utils.decoding.request import Completion
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.options import option, parse
from train_utils.recommender import Recommender

ROOT = Path(__file__).parent.parent
ANY_TEXT = r"[\s\S]*"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Lists per second of vLLM under the plugin and its rivals."""

    model: str = option(help="merged folder")
    data: str = option("data/dataset/ml-100k", "dataset folder")
    requests: int = option(64, "requests, in the forms of scripts/vllm_check.sh", least=1)
    at_once: int = option(16, "requests at a time", least=1)
    topk: int = option(10, "items of a list", least=1)
    rounds: int = option(3, "rounds of each arm; the median counts", least=1)
    jump_forward: int = option(8, "tokens that the second server drafts at most", least=1, most=99)
    dtype: str = option("float32", "number format of the model", ("float32", "bfloat16"))
    port: int = option(8000, "port of the servers", least=1, most=65535)
    seed: int = option(0, "seed of the requests")


@contextmanager
def server(options: Options, *flags: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server and yield its address and its first process.

    Raises:
        ValueError: it does not start.
    """
    folder = Path(options.data).resolve()
    with tempfile.TemporaryDirectory() as place:
        ready, log = Path(place) / "ready", Path(place) / "log"
        command = ["bash", "scripts/vllm_serve.sh", folder.name, str(Path(options.model).resolve()), str(options.port)]
        limits = ["--dtype", options.dtype, "--max-model-len", "2048", "--max-num-seqs", str(options.at_once)]
        environment = os.environ | {"DATA_ROOT": str(folder.parent), "VLLM_READY_FILE": str(ready)}
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, *flags, *limits, "--enforce-eager"], cwd=ROOT, env=environment, stdout=out, stderr=out
            )
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise ValueError(f"the server did not start: {_last_words(process, log)}")
                time.sleep(0.5)
            try:
                yield f"http://127.0.0.1:{options.port}", psutil.Process(process.pid)
            except (ValueError, httpx.HTTPError) as error:
                try:
                    process.wait(5)  # the script ends a moment after its server
                except subprocess.TimeoutExpired:
                    raise error from None
                raise ValueError(f"the server ended during the benchmark: {_last_words(process, log)}") from error
        finally:
            process.terminate()
            process.wait()


def _last_words(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the status of a server that ended, and the errors in its output or, without one, its last lines."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if "rror" in line][:3] or lines[-3:]
    return f"status {process.returncode}; {' '.join(errors)[:600]}"


def counted(url: str) -> dict[str, float]:
    """Return the counters of a server by name."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    return {name: float(value) for name, value in re.findall(r"^vllm:(\w+)\{[^}]*\} (\S+)$", text, re.MULTILINE)}


def passes_per_item(url: str, work: Callable[[], Sequence[Completion]]) -> tuple[Sequence[Completion], float]:
    """Return answers and the forward passes of a sequence per item: its tokens but the accepted drafts."""
    before = counted(url)
    answers = work()
    after = counted(url)
    written, accepted = (
        after.get(name, 0) - before.get(name, 0)
        for name in ("generation_tokens_total", "spec_decode_num_accepted_tokens_total")
    )
    return answers, (written - accepted) / max(1, sum(len(answer.items) for answer in answers))


def free_answer(url: str, prompt: Sequence[int], tokens: int, **more: object) -> None:
    """Let a server write a number of tokens without a catalog."""
    body = {"model": "reclm", "prompt": list(prompt), "max_tokens": tokens, "min_tokens": tokens, "temperature": 0.0}
    answer = httpx.post(f"{url}/v1/completions", json={**body, "logprobs": 1, **more}, timeout=600)
    written = answer.json()["usage"]["completion_tokens"] if answer.status_code == 200 else answer.text[:200]
    if written != tokens:
        raise ValueError(f"the server wrote {written}, wanted {tokens} tokens")


def processor_seconds(first: psutil.Process) -> float:
    """Return the processor time of a process and its descendants so far."""
    times = [process.cpu_times() for process in (first, *first.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def seconds(work: Callable[[], object], first: psutil.Process | None = None) -> tuple[float, float]:
    """Return the seconds that work takes, and the processor seconds of a server meanwhile."""
    used = processor_seconds(first) if first else 0.0
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun, (processor_seconds(first) if first else 0.0) - used


def run(options: Options) -> dict:
    logging.disable_progress_bar()
    own = Recommender.load(options.model, options.data, dtype=options.dtype)
    asked = drawn_requests(own, options.requests, options.topk, options.seed)
    own_answers(own, asked[:1])
    ours: list[Completion] = []
    engine_s, _ = seconds(lambda: ours.extend(own_answers(own, asked, options.at_once)))

    def at_once(work: Callable[[Asked], Completion | None]) -> list[Completion | None]:
        with ThreadPoolExecutor(options.at_once) as threads:
            return list(threads.map(work, asked))

    def constrained_at(url: str) -> Callable[[], list[Completion]]:
        served = ServedRecommender.at(url, options.model).with_catalog(own.catalog)
        return lambda: at_once(lambda one: served.engine.generate([one.request])[0])

    times: dict[str, list[tuple[float, float]]] = {"free": [], "stock grammar": [], "plugin": []}
    with server(options) as (url, first):
        constrained = constrained_at(url)
        answers, passes = passes_per_item(url, constrained)  # the first round warms the server up
        # The end of a reply is a token as well.
        length = {id(one): len(answer.ids) + 1 for one, answer in zip(asked, answers, strict=True)}

        def free(**more: object) -> list[None]:
            return at_once(lambda one: free_answer(url, one.request.prompt, length[id(one)], **more))

        arms = {
            "plugin": constrained,
            "free": lambda: free(ignore_eos=True),
            "stock grammar": lambda: free(structured_outputs={"regex": ANY_TEXT}),
        }
        for work in list(arms.values())[1:]:
            work()
        for _ in range(options.rounds):
            for name, work in arms.items():
                times[name].append(seconds(work, first))
    with server(options, "--jump_forward", str(options.jump_forward)) as (url, first):
        constrained = constrained_at(url)
        constrained()
        jumped, jump_passes = passes_per_item(url, constrained)
        times["plugin, jump forward"] = [seconds(constrained, first) for _ in range(options.rounds)]
    wall, used = (
        {name: statistics.median(pair[which] for pair in took) for name, took in times.items()} for which in (0, 1)
    )

    def over(of: dict[str, float], name: str) -> float:
        return 100 * (of[name] / of["free"] - 1)

    per_second = {name: len(asked) / took for name, took in wall.items()}
    for name in times:
        print(
            f"{name:24} {per_second[name]:7.2f} lists/s, {wall[name]:7.1f} s ({over(wall, name):+6.1f} %), "
            f"{used[name]:7.1f} processor s ({over(used, name):+6.1f} %)"
        )
    print(f"{'our engine':24} {len(asked) / engine_s:7.2f} lists/s")
    return {
        "machine": machine_name(),
        "model": options.model,
        "dtype": options.dtype,
        "requests": len(asked),
        "at_once": options.at_once,
        "engine_lists_per_s": len(asked) / engine_s,
        "vllm_lists_per_s": per_second["plugin"],
        "vllm_unconstrained_lists_per_s": per_second["free"],
        "vllm_stock_grammar_lists_per_s": per_second["stock grammar"],
        "vllm_jump_forward_lists_per_s": per_second["plugin, jump forward"],
        "overhead_percent": over(used, "plugin"),
        "overhead_percent_of_time": over(wall, "plugin"),
        "stock_overhead_percent": over(used, "stock grammar"),
        "stock_overhead_percent_of_time": over(wall, "stock grammar"),
        "identical": identical(ours, answers),
        "identical_jump_forward": identical(ours, jumped),
        "violations": violations(own, asked, answers) + violations(own, asked, jumped),
        "passes_per_item": jump_passes,
        "passes_per_item_without_drafts": passes,
    }


def main() -> None:
    print(json.dumps(run(parse(Options))))


if __name__ == "__main__":
    run_cli(main)
