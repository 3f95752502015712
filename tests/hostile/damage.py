"""Damaged copies of valid files, and a check that a reader ends each of them with a value or a one-line error.

A reader module `fuzz_NAME.py` in this folder lists its readers in `READERS`; `fuzz.py` runs all of them.
"""

import importlib
import json
import multiprocessing
import random
import resource
import shutil
import struct
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

EXTREMES = (
    0,
    1,
    -1,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    -(2**31),
    -(2**63),
)


@dataclass(frozen=True)
class Reader:
    """A reader of files that a stranger may have written.

    Attributes:
        name: shown in reports.
        write: writes a valid input below an empty folder.
        read: reads that folder; may raise ValueError or OSError with a message of one line, and nothing else.
        words: byte strings with a meaning in the format, inserted here and there.
        module: name of the fuzz module, where the reader uses threads of a library: these do not survive a fork, so it
            runs in a process that is started by a clean one, and imports the module. "" forks this process.
    """

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    words: Sequence[bytes] = ()
    module: str = ""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return reader_named, (self.module, self.name)


def reader_named(module: str, name: str) -> Reader:
    """Return a reader of a fuzz module."""
    return next(reader for reader in importlib.import_module(module).READERS if reader.name == name)


@dataclass(frozen=True)
class Fault:
    """A damaged input that a reader did not end well: its seed, and what happened."""

    seed: int
    what: str


def damaged(valid: bytes, rng: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """Return a copy of a file with one to four faults."""
    data = bytearray(valid)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(data) + 1), min(rng.choice((1, 2, 8, 64, 1024)), len(data))
        end = at + length
        match rng.randrange(8):
            case 0:
                data[at:end] = rng.randbytes(len(data[at:end]))
            case 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end] * rng.choice((1, 2, 100))
            case 5:
                data[at : at + 8] = struct.pack("<q", rng.choice(EXTREMES))[: len(data[at : at + 8])]
            case 6 if words:
                data[at : at + rng.choice((0, length))] = rng.choice(words)
            case _:
                other = rng.randrange(len(data) + 1)
                data[at:end] = data[other : other + length]
    return bytes(data)


def faults(reader: Reader, seeds: Iterable[int], seconds: float = 20, memory: int = 1 << 30) -> list[Fault]:
    """Give a reader one damaged input per seed and return what went wrong.

    One file of the valid input is damaged. The reader runs in a process of its own, which a signal, a hang or a
    traceback ends; the next seed gets a new one.

    Args:
        reader: what is tried.
        seeds: one input each.
        seconds: limit per input.
        memory: bytes of data that the process may have above what it has at the start.
    """
    found, left = [], list(seeds)
    with tempfile.TemporaryDirectory() as folder:
        valid = Path(folder) / "valid"
        valid.mkdir()
        reader.write(valid)
        while left:
            here, there = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.get_context("forkserver" if reader.module else "fork").Process(
                target=_try_seeds, args=(reader, valid, Path(folder) / "damaged", left, memory, there)
            )
            process.start()
            there.close()
            what = ""
            while left:
                if not here.poll(seconds):
                    what = f"no end within {seconds:g} s"
                    break
                try:
                    what = here.recv()
                except EOFError:
                    process.join()
                    what = f"ended by signal {-(process.exitcode or 0)}"
                    break
                if what:
                    break
                left.pop(0)
            process.kill()
            process.join()
            if left:
                found.append(Fault(left.pop(0), what))
    return found


def _try_seeds(
    reader: Reader, valid: Path, folder: Path, seeds: Sequence[int], memory: int, results: Connection
) -> None:
    """Send "" for each input that ended well; for another one what happened, after which this process ends."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + memory, used + memory))
    for seed in seeds:
        rng = random.Random(seed)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(valid, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = rng.choice(files)
        path.write_bytes(damaged(path.read_bytes(), rng, reader.words))
        results.send(_outcome(reader.read, folder))


def _outcome(read: Callable[[Path], object], folder: Path) -> str:
    try:
        read(folder)
    except (ValueError, OSError) as error:
        return "an error of several lines" if "\n" in str(error) else ""
    except BaseException as error:  # the point of the exercise
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})"
    return ""


def edit(path: Path, **fields: object) -> None:
    """Set keys of a JSON object in a file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refused(load: Callable[..., object], *arguments: object) -> str:
    """Return the error of a call that must be refused, in one line."""
    try:
        load(*arguments)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 700
        return str(error)
    raise AssertionError("the call was not refused")
