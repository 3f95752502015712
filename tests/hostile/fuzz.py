"""Give every reader damaged files for some minutes: python tests/hostile/fuzz.py [--minutes 10] [--seed 0]

Not part of the test suite, which runs a few seeds of each reader.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(path) for path in (HERE, HERE.parent, ROOT, ROOT / "preprocess", ROOT / "unirec", ROOT / "scripts")]

from damage import Reader, faults  # noqa: E402

BATCH = 50


def readers() -> list[Reader]:
    """Return the readers of all modules `fuzz_NAME.py` in this folder."""
    modules = sorted(path.stem for path in HERE.glob("fuzz_*.py"))
    return [reader for module in modules for reader in importlib.import_module(module).READERS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--only", default="", help="readers whose name contains this")
    options = parser.parse_args()
    chosen = [reader for reader in readers() if options.only in reader.name]
    tried, wrong = dict.fromkeys((reader.name for reader in chosen), 0), 0
    end, seed = time.monotonic() + 60 * options.minutes, options.seed
    while time.monotonic() < end:
        for reader in chosen:
            for fault in faults(reader, range(seed, seed + BATCH)):
                wrong += 1
                print(f"{reader.name} seed {fault.seed}: {fault.what}", flush=True)
            tried[reader.name] += BATCH
        seed += BATCH
    for name, count in tried.items():
        print(f"{name:40}{count:10,} inputs")
    print(f"{sum(tried.values()):,} inputs, {wrong} faults")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
