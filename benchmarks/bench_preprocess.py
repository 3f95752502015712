"""Preprocessing of Amazon reviews, from gzip to all output files: seconds, reviews per second, peak memory.

    python benchmarks/bench_preprocess.py --reviews 8700000

The raw files are generated in the true format of 2018, and kept in `--raw`. The rival, the published approach, runs on
a smaller file in the same run, and so do we. Seconds are of the whole command, start included; peak memory is that of
all its processes together. The last line of the output is JSON.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from amazon_raw import Shape, write_amazon
from machine import machine_name

from train_utils.command import run_cli
from train_utils.options import option, parse

ROOT = Path(__file__).resolve().parents[1]
NAME = "Movies_and_TV"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Preprocessing from gzip to all files, and the published approach on a smaller file."""

    reviews: int = option(8_700_000, "review lines of the large file; 0 leaves it out")
    rival_reviews: int = option(500_000, "review lines of the file that the rival reads")
    raw: str = option("data/raw/generated", "folder of the generated files, which are used again")
    tokenizer: str = option("snap/base/SmolLM2-135M-Instruct", "folder of the tokenizer")
    protocol: str = option("published", "what is kept", ("published", "full"))
    threads: int = option(2, "threads of our command")


@dataclass(frozen=True)
class Cost:
    """Cost of a command.

    Attributes:
        seconds: wall time.
        cpu_seconds: processor time, which other work on the machine changes less.
        peak_mb: largest resident memory of its processes together; pages that they share count for each.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def cost_of(command: Sequence[str]) -> Cost:
    """Run a command and return its cost.

    Raises:
        ValueError: it fails.
    """
    began = time.perf_counter()
    child = os.posix_spawn(command[0], list(command), os.environ | {"PYTHONPATH": str(ROOT)})
    peaks, ended = [0], threading.Event()
    sampler = threading.Thread(target=_sample, args=(child, peaks, ended))
    sampler.start()
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    ended.set()
    sampler.join()
    if status:
        raise ValueError(f"{command[1]} failed with status {os.waitstatus_to_exitcode(status)}")
    alone = usage.ru_maxrss * (1024 if sys.platform != "darwin" else 1)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, max(alone, *peaks) / 1024**2)


def _sample(process: int, peaks: list[int], ended: threading.Event) -> None:
    """Note the memory of a process and its children until it has ended."""
    while not ended.wait(0.02):
        peaks.append(max(peaks.pop(), resident_bytes(process)))


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process and its children; 0 where the system does not say it."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, IndexError):  # it has ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident_bytes, map(int, children)))


def raw_files(options: Options, reviews: int) -> Path:
    """Return the folder of a generated category, which is made where it is not there."""
    folder = Path(options.raw) / f"amazon-2018-{reviews}"
    done = folder / "complete"
    if not done.exists():
        print(f"generating {reviews:,} reviews in {folder}", file=sys.stderr)
        write_amazon(folder, NAME, Shape.of_movies(reviews))
        done.touch()
    return folder


def ours(options: Options, raw: Path, out: Path) -> Cost:
    """Return the cost of our command."""
    command = [
        *(sys.executable, str(ROOT / "preprocess/data_preprocess.py"), "amazon-2018", "bench"),
        *("--protocol", options.protocol, "--threads", str(options.threads), "--tokenizer_path", options.tokenizer),
        *("--raw_path", str(raw), "--data_path", str(out / "data"), "--unirec_data_path", str(out / "unirec")),
        *("--unirec_config_path", str(out / "bench.yaml")),
    ]
    return cost_of(command)


def rival(options: Options, raw: Path, out: Path) -> Cost:
    """Return the cost of the published approach."""
    files = (str(raw / f"{NAME}.json.gz"), str(raw / f"meta_{NAME}.json.gz"))
    return cost_of([sys.executable, str(ROOT / "benchmarks/preprocess_rival.py"), *files, options.tokenizer, str(out)])


def main() -> None:
    options = parse(Options)
    if not (Path(options.tokenizer) / "tokenizer.json").is_file():  # before minutes of generating
        raise ValueError(
            f"`tokenizer` {options.tokenizer!r} holds no tokenizer.json; run python scripts/fetch_defaults.py, or name "
            "another folder"
        )
    small = raw_files(options, options.rival_reviews)
    large = raw_files(options, options.reviews) if options.reviews else None
    with TemporaryDirectory() as folder:
        out = Path(folder)
        rows = [
            ("published", options.rival_reviews, rival(options, small, out / "rival")),
            ("ours", options.rival_reviews, ours(options, small, out / "small")),
        ]
        if large:
            rows.append(("ours", options.reviews, ours(options, large, out / "large")))
    print(f"{machine_name()}; --protocol {options.protocol}, {options.threads} threads")
    print(f"{'':>10} {'reviews':>10} {'seconds':>9} {'CPU s':>8} {'reviews/s':>10} {'peak MB':>8}")
    for name, reviews, cost in rows:
        figures = f"{cost.seconds:>9.1f} {cost.cpu_seconds:>8.1f} {reviews / cost.seconds:>10,.0f} {cost.peak_mb:>8.0f}"
        print(f"{name:>10} {reviews:>10,} {figures}")
    (_, few, published), (_, _, same), (_, reviews, most) = rows[0], rows[1], rows[-1]
    record = {
        "machine": machine_name(), "reviews": reviews, **asdict(most), "reviews_per_s": reviews / most.seconds,
        "published_reviews_per_s": few / published.seconds, "published_peak_mb": published.peak_mb,
        "published_cpu_seconds": published.cpu_seconds, "same_file_seconds": same.seconds,
        "same_file_cpu_seconds": same.cpu_seconds, "same_file_peak_mb": same.peak_mb,
    }  # fmt: skip
    print(json.dumps({key: round(value, 2) if isinstance(value, float) else value for key, value in record.items()}))


if __name__ == "__main__":
    run_cli(main)
