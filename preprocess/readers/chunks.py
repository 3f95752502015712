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
from typing import BinaryIO, NamedTuple, TypeVar

from isal import igzip, isal_zlib
from tqdm import tqdm

from train_utils.files.text_files import (
    MAX_LINE,
    NOT_TEXT,
    TOO_LONG,
    damage_as_value_error,
    open_bytes,
    sniff_encoding,
    text_lines,
)

T = TypeVar("T")

CHUNK = 1 << 18  # bytes that are read at once; more do not fit into the cache of a core
_WIDE_LINES = 20_000  # lines of a chunk of UTF-16 or UTF-32
_AHEAD = 8  # chunks that wait

_read_ahead = False  # see `use_threads`


def use_threads(threads: int) -> None:
    """Read ahead in a thread of its own where there are two threads or more. The result is the same."""
    global _read_ahead
    _read_ahead = threads > 1


def can_start(threads: int) -> bool:
    """Return whether the system has memory for threads; libraries that start some themselves fail without it."""
    ended = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(threads):
            thread = threading.Thread(target=ended.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        ended.set()
        for thread in started:
            thread.join()
    return True


def are_two_threads() -> bool:
    """Return whether two threads or more are used."""
    return _read_ahead


class Block(NamedTuple):
    """Lines that were read at once.

    Attributes:
        text: whole lines with their ends; the last line of a file may have none.
        end: position after them in the unpacked file; None where reading cannot begin there.
        too_long: number of lines that were left out because they are too long.
        raw_end: number of bytes of the file, which may be packed, that were read; 0 where that is not known.
    """

    text: bytes
    end: int | None
    too_long: int = 0
    raw_end: int = 0


class LineFile:
    """Raw file of lines.

    Args:
        path: the file.
        rejected: counts unreadable lines, by reason.
        bar: line of the terminal, from 0 on, in which a bar shows how much is read.

    Attributes:
        path: the file.
        rejected: as given.
        position: where the lines that `blocks` has yielded end in the unpacked file; None where reading cannot begin.
        saw_other: whether one of them is not UTF-8.
    """

    def __init__(self, path: Path, rejected: Counter[str], bar: int = 0) -> None:
        self.path, self.rejected, self._bar = path, rejected, bar
        self.position: int | None = None
        self.saw_other = False

    def blocks(self, begin: int = 0) -> Iterator[bytes]:
        """Yield the lines in blocks of whole lines. Lines that are too long are counted and left out.

        Args:
            begin: a `position` to begin at.

        Raises:
            ValueError: a gzip file is damaged; the lines before the damage are lost, as the file is.
            OSError: the file cannot be read.
        """
        blocks = ahead(self._blocks(begin)) if _read_ahead else self._blocks(begin)
        size = self.path.stat().st_size
        options = {"total": size, "unit": "B", "unit_scale": True, "disable": None, "position": self._bar}
        with tqdm(desc=self.path.name, **options) as bar:
            for block in blocks:
                bar.update(max(0, block.raw_end - bar.n))
                self.position = block.end
                if block.too_long:
                    self.rejected[TOO_LONG] += block.too_long
                yield block.text

    def chunks(self) -> Iterator[list[bytes]]:
        """Yield the lines of `blocks` in lists, without their ends."""
        return map(lines_of, self.blocks())

    def _blocks(self, begin: int) -> Iterator[Block]:
        encoding = sniff_encoding(self.path)
        if encoding.startswith(("utf-16", "utf-32")):
            yield from self._wide_blocks()
            return
        left, is_long, end = b"", False, begin  # the begin of a line; whether it is the rest of one that is too long
        with _opened(self.path) as file, _damage_as_value_error(self.path):
            _skip(file, begin)
            block = file.read(CHUNK)
            if not begin and block.startswith(codecs.BOM_UTF8):
                block, end = block.removeprefix(codecs.BOM_UTF8), len(codecs.BOM_UTF8)
            while block:
                end += len(block)
                block, too_long = left + block, 0
                cut = block.rfind(b"\n") + 1
                left, text = block[cut:], block[:cut]
                if is_long and cut:
                    is_long, text = False, text[text.index(b"\n") + 1 :]
                if is_long:
                    left = b""
                elif len(left) >= MAX_LINE:
                    too_long, is_long, left = 1, True, b""
                if len(block) >= MAX_LINE:
                    text, more = _without_long_lines(text)
                    too_long += more
                yield Block(text, None if is_long else end - len(left), too_long, _raw_position(file))
                block = file.read(CHUNK)
        if left:
            yield Block(left, end)

    def _wide_blocks(self) -> Iterator[Block]:
        lines: list[bytes] = []
        for line in text_lines(self.path, "latin-1", rejected := Counter()):
            lines.append(line.encode("utf-8", "surrogatepass"))
            if len(lines) == _WIDE_LINES:
                yield Block(b"\n".join([*lines, b""]), None)
                lines = []
        yield Block(b"\n".join([*lines, b""]), None, rejected[TOO_LONG])

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
            self.saw_other = True
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
        return sniff_encoding(self.path, "latin-1" if self.saw_other else "")


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


def _raw_position(file: BinaryIO) -> int:
    """Return the number of bytes that were read of a file, of a gzip file before they are unpacked."""
    return getattr(file, "fileobj", file).tell()


def _skip(file: BinaryIO, count: int) -> None:
    """Read bytes and forget them: a gzip file has no other way to a position."""
    while count and (piece := file.read(min(count, CHUNK))):
        count -= len(piece)


def lines_of(block: bytes) -> list[bytes]:
    """Return the lines of a block, without their ends."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines] if b"\r" in block else lines


def _without_long_lines(block: bytes) -> tuple[bytes, int]:
    """Return a block without the lines that are too long, and their number."""
    lines = block.split(b"\n")
    short = [line for line in lines if len(line) < MAX_LINE]
    return b"\n".join(short), len(lines) - len(short)


def is_utf8(block: bytes) -> bool:
    """Return whether a block is UTF-8."""
    try:
        return block.isascii() or block.decode() is not None
    except UnicodeDecodeError:
        return False


def ahead(values: Iterator[T]) -> Iterator[T]:
    """Yield the values of an iterator that runs in a thread, which is at most a few values ahead.

    Where the system has no memory for a thread, the iterator runs in this one.
    """
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
    try:
        thread.start()
    except RuntimeError:
        yield from values
        return
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
