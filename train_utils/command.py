"""Entry and exit of the commands: flag checks, one-line errors, closed pipes. Standard library only.

Errors of the library name options as code does, in backticks (`topk`). A command prints them as its flags (--topk).
"""

import argparse
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from train_utils.printable import printable

# A larger number is a typing error: C code (random generators, sizes) would fail on it with a traceback.
MOST = 2**31 - 1
# In errors of PyTorch and the system; for the stack of a thread, in Python and in Rust; for a library.
_OUT_OF_MEMORY = ("allocate memory", "can't start new thread", "ThreadPoolBuildError", "failed to map segment")
_flags: set[str] = set()  # those of the running command, without their dashes; `LineParser` fills it


class LineParser(argparse.ArgumentParser):
    """Argument parser that reports an error on one line and accepts no abbreviated flags."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **{"allow_abbrev": False, "prog": _program()} | more)

    def parse_known_args(self, *arguments, **more):
        _flags.clear()
        _flags.update(flag.removeprefix("--") for action in self._actions for flag in action.option_strings)
        return super().parse_known_args(*arguments, **more)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {_one_line(message)}; see {self.prog} --help\n")


def with_flags(text: str) -> str:
    """Return a text of the library with the running command's flags for the options that it names in backticks.

    `topk` becomes --topk, and `tensorboard=False` becomes --no-tensorboard. Words that are no flag stay as they are.
    """

    def flag(match: re.Match[str]) -> str:
        name = f"no-{match[1]}" if match[2] else match[1]
        return f"--{name}" if name in _flags else match[0]

    return re.sub(r"`(\w+)(=False)?`", flag, text)


def _one_line(text: str) -> str:
    return printable(" ".join(with_flags(text).split()))


class _FlagFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(with_flags(super().format(record)))


def _program() -> str | None:
    """Return `python -m NAME` for a package that runs; None, argparse's own choice, for a script."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = spec.name if spec else ""
    return f"python -m {name.removesuffix('.__main__')}" if name.startswith("train_utils") else None


def bounds_of(value: float, least: float | None = None, above: float | None = None, most: float | None = None) -> str:
    """Return the bounds that a number violates, in words; "" where it is within them.

    Infinities and NaN are never within the bounds.

    Args:
        value: the number.
        least: inclusive lower bound; None for none.
        above: exclusive lower bound; None for none.
        most: inclusive upper bound; None for none, or `MOST` for whole numbers.
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
    """Return the `type` of a flag that takes a number within bounds.

    Args:
        kind: int or float.
        least: see `bounds_of`.
        above: see `bounds_of`.
        most: see `bounds_of`.
    """

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            if kind is int and len(text) > 4000:  # longer than Python parses
                value = -(2**63) if text.startswith("-") else 2**63
            else:
                what = "whole number" if kind is int else "number"
                raise argparse.ArgumentTypeError(f"{text[:80]!r} is no {what}") from None
        if wanted := bounds_of(value, least, above, most):
            raise argparse.ArgumentTypeError(f"{str(value)[:80]} is not {wanted}")
        return value

    return read


def path_of(text: str) -> Path:
    """Return the path that a flag holds.

    Raises:
        argparse.ArgumentTypeError: the text is empty, which `Path` would read as the working directory.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def run_cli(main: Callable[[], int | None]) -> None:
    """Run an entry script and end the process.

    The exit status is the return value of `main`, 2 for a user's error, which is printed on one line, and 130 for an
    interrupt. A closed pipe is no error: the files that the command writes are complete.
    """
    status: int | None = 0
    if logging.lastResort:  # prints warnings, as no handler is set
        logging.lastResort.setFormatter(_FlagFormatter())
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # Python would report the closed pipe again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        status = print_error(error)
    except BaseException as error:
        if not is_out_of_memory(error):
            raise
        reason = _one_line(str(error))[:200]
        print(
            f"error: out of memory{reason and f' ({reason})'}; take smaller sizes"
            f"{', such as --batch_size,' if 'batch_size' in _flags else ''} or another machine",
            file=sys.stderr,
        )
        status = 2
    sys.exit(status)


def print_error(error: Exception) -> int:
    """Print an error of a user on one line, without what a terminal executes, and return the exit status."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.strerror}: {error.filename!r}"  # without the number of the error
    print(f"error: {_one_line(text)}", file=sys.stderr)
    return 2


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, of PyTorch (CPU or GPU) or of a library means that memory is exhausted."""
    is_its_kind = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_its_kind or any(text in str(error) for text in _OUT_OF_MEMORY)
