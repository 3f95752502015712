"""How a command begins and ends: flags are checked, a user's error is one line, and a reader that leaves early is no
error. Standard library only."""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

# Numbers from here on are typing errors; what counts in C (random generators, sizes) ends with a traceback beyond it.
MOST = 2**31 - 1


class LineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and that guesses no flag from its beginning."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **{"allow_abbrev": False} | more)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {' '.join(message.split())}; see {self.prog} --help\n")


def bounds_of(value: float, least: float | None = None, above: float | None = None, most: float | None = None) -> str:
    """What a number was wanted to be, where it is not within its bounds; "" where it is. Infinities and NaN never are.

    Args:
        least, most: bounds. above: a lower bound that is not itself allowed.
    """
    whole = isinstance(value, int)
    bounds = [
        (f"{least} or more", least, least is None or value >= least),
        (f"more than {above}", above, above is None or value > above),
        (f"at most {most if most is not None else MOST}", most, value <= (MOST if most is None else most)),
    ]
    if not all(holds for *_, holds in bounds[:2]) or (most is not None or whole) and not bounds[2][2]:
        return " and ".join(text for text, bound, holds in bounds if bound is not None or not holds)
    return "" if math.isfinite(value) else "a finite number"


def number(
    kind: type = int, least: float | None = None, above: float | None = None, most: float | None = None
) -> Callable[[str], float]:
    """The `type` of a flag that takes a number within bounds; see `bounds_of`."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            if kind is int and len(text) > 4000:  # Python reads no longer ones
                value = -(2**63) if text.startswith("-") else 2**63
            else:
                what = "whole number" if kind is int else "number"
                raise argparse.ArgumentTypeError(f"{text[:80]!r} is no {what}") from None
        if wanted := bounds_of(value, least, above, most):
            raise argparse.ArgumentTypeError(f"{str(value)[:80]} is not {wanted}")
        return value

    return read


def path_of(text: str) -> Path:
    """The `type` of a flag that takes a path: an empty one would be the working directory."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def run_cli(main: Callable[[], int | None]) -> None:
    """Runs an entry script and ends the process.

    The status is what `main` returns, 2 for a user's error, which is told in one line, and 130 for an interrupt. Where
    the reader of a pipe has left, nothing is said: what the command writes into files is written.
    """
    status: int | None = 0
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print(
            f"error: out of memory ({' '.join(str(error).split())[:200]}); take smaller sizes, such as --batch_size, "
            "or another machine",
            file=sys.stderr,
        )
        status = 2
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    sys.exit(status)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was asked for that is not there, in the words of Python, of PyTorch on a CPU, or on a GPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or ("allocate memory" in str(error))
    )
