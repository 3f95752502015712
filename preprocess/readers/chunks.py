"""Lines of a raw file in chunks, gzip or plain, in constant memory; a thread reads the next chunk ahead."""

import codecs
import gzip
import queue
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar

from isal import igzip, isal_zlib
from tqdm import tqdm

from train_utils.text_files import (
    MAX_LINE,
    NOT_TEXT,
    TOO_LONG,
    damage_as_value_error,
    open_bytes,
    sniff_encoding,
    text_lines,
)

T = TypeVar("T")

CHUNK = 1 << 20  # bytes that are read at once
_WIDE_LINES = 20_000  # lines of a chunk of UTF-16 or UTF-32
_AHEAD = 2  # chunks that wait

_read_ahead = False  # see `use_threads`


def use_threads(threads: int) -> None:
    """Read ahead in a thread of its own where there are two threads or more. The result is the same."""
    global _read_ahead
    _read_ahead = threads > 1


class LineFile:
    """Raw file of lines.

    Args:
        path: the file.
        rejected: counts unreadable lines, by reason.

    Attributes:
        path: the file.
        rejected: as given.
    """

    def __init__(self, path: Path, rejected: Counter[str]) -> None:
        self.path, self.rejected = path, rejected
        self._saw_other = False  # a line that is not UTF-8

    def chunks(self) -> Iterator[list[bytes]]:
        """Yield the lines, without their ends, in lists. Lines that are too long are counted and left out.

        Raises:
            ValueError: a gzip file is damaged; the lines before the damage are lost, as the file is.
            OSError: the file cannot be read.
        """
        blocks = ahead(self._blocks()) if _read_ahead else self._blocks()
        with tqdm(desc=self.path.name, unit=" lines", unit_scale=True, disable=None) as bar:
            for lines in blocks:
                bar.update(len(lines))
                yield lines

    def _blocks(self) -> Iterator[list[bytes]]:
        begin = sniff_encoding(self.path)
        if begin.startswith(("utf-16", "utf-32")):
            yield from self._wide_blocks()
            return
        left, is_long = b"", False  # the begin of a line; whether it is the rest of a line that is too long
        with _opened(self.path) as file, _damage_as_value_error(self.path):
            block = file.read(CHUNK).removeprefix(codecs.BOM_UTF8)
            while block:
                block = left + block
                cut = block.rfind(b"\n") + 1
                left, lines = block[cut:], _lines(block[:cut])
                if is_long and cut:
                    is_long, lines = False, lines[1:]
                if is_long:
                    left = b""
                elif len(left) >= MAX_LINE:
                    self.rejected[TOO_LONG] += 1
                    is_long, left = True, b""
                yield self._short(lines) if len(block) >= MAX_LINE else lines
                block = file.read(CHUNK)
        if left:
            yield [left.removesuffix(b"\r")]

    def _short(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines that are not too long; count the others."""
        short = [line for line in lines if len(line) < MAX_LINE]
        self.rejected[TOO_LONG] += len(lines) - len(short)
        return short

    def _wide_blocks(self) -> Iterator[list[bytes]]:
        lines: list[bytes] = []
        for line in text_lines(self.path, "latin-1", self.rejected):
            lines.append(line.encode("utf-8", "surrogatepass"))
            if len(lines) == _WIDE_LINES:
                yield lines
                lines = []
        yield lines

    def lines(self) -> Iterator[str]:
        """Yield the text of the lines; lines that are no text are counted and left out."""
        for lines in self.chunks():
            for line in lines:
                try:
                    yield self.text(line)
                except ValueError as reason:
                    self.rejected[str(reason)] += 1

    def text(self, line: bytes) -> str:
        """Return the text of a line: UTF-8, or the encoding of a file with one byte per character.

        Raises:
            ValueError: it is no text.
        """
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._saw_other = True
        if self._one_byte == "utf-8":
            raise ValueError(NOT_TEXT)
        try:
            return line.decode(self._one_byte)
        except UnicodeDecodeError:
            raise ValueError(NOT_TEXT) from None

    @cached_property
    def _one_byte(self) -> str:
        encoding = sniff_encoding(self.path, "latin-1")
        return encoding if encoding in ("latin-1", "cp1252") else "utf-8"

    @property
    def encoding(self) -> str:
        """Encoding of the file, once its lines have been read; `text` was called for every line that is not UTF-8."""
        return sniff_encoding(self.path, "latin-1" if self._saw_other else "")


def _opened(path: Path) -> BinaryIO:
    """Open a file, plain or gzip; a gzip file by ISA-L, which takes a third of zlib's time."""
    file = open_bytes(path)  # refuses pipes and devices
    if not isinstance(file.raw, gzip.GzipFile):
        return file
    file.close()
    return igzip.open(path, "rb")  # type: ignore[return-value]


@contextmanager
def _damage_as_value_error(path: Path) -> Iterator[None]:
    with damage_as_value_error(path):
        try:
            yield
        except isal_zlib.error as error:
            raise zlib.error(str(error)) from None


def _lines(block: bytes) -> list[bytes]:
    """Return the lines of a block that ends with a line."""
    lines = block.split(b"\n")[:-1]
    return [line.removesuffix(b"\r") for line in lines] if b"\r\n" in block else lines


def is_utf8(lines: list[bytes]) -> bool:
    """Return whether all lines are UTF-8."""
    try:
        return all(line.isascii() or line.decode() is not None for line in lines)
    except UnicodeDecodeError:
        return False


def ahead(values: Iterator[T]) -> Iterator[T]:
    """Yield the values of an iterator that runs in a thread, which is at most a few values ahead."""
    waiting: queue.Queue[tuple[bool, object]] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(kind: bool, value: object) -> None:
        while not stopped.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for value in values:
                put(True, value)
                if stopped.is_set():
                    return
            put(False, None)
        except BaseException as error:
            put(False, error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            is_value, value = waiting.get()
            if not is_value:
                break
            yield value  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
    if isinstance(value, BaseException):
        raise value
