"""Text files of unknown origin: encoding and lines. Standard library only."""

import codecs
import gzip
import io
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, AnyStr

# Bytes of a line; characters in UTF-16 and UTF-32. No record of a dump is near it, and the objects that Python makes of
# JSON have up to 25 times its bytes.
MAX_LINE = 16 << 20
# Bounds of a file that is read as a whole. Files that are read by line or record have none, and need none.
MAX_TEXT = 8 << 30  # bytes, as for pickles
MAX_UNPACKED = 100  # bytes of text per byte of a gzip file; records shrink to a fifth or a tenth, rubbish to 1/1000
ALWAYS_UNPACKED = 16 << 20  # bytes that any gzip file may hold, since a few repeated lines shrink well

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_PIECE = 1 << 17
_NOT_CP1252 = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
NOT_TEXT = "not UTF-8 text"
TOO_LONG = f"line of more than {MAX_LINE >> 20} MiB"


def sniff_encoding(path: str | Path, fallback: str = "") -> str:
    """Return the encoding of a text file, plain or gzip.

    It is the encoding of the byte-order mark, UTF-16 where the zero bytes show it, or UTF-8.

    Args:
        path: the file.
        fallback: "latin-1" for a file that may have one byte per character, which takes reading all of it. The result
            is then "cp1252" where the file has characters that only Windows writes, for example quotation marks. A file
            with at least as many valid lines of UTF-8 as broken ones stays UTF-8. With "", only the first bytes are
            inspected, and errors are left to the reader.

    Raises:
        ValueError: a gzip file is damaged.
        OSError: the file cannot be read.
    """
    status = Path(path).stat()
    return _sniffed(str(path), fallback, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _sniffed(path: str, fallback: str, _size: int, _changed: int) -> str:
    with open_bytes(path) as file, damage_as_value_error(path):
        chunk = file.read(_CHUNK)
        for mark, encoding in _BYTE_ORDER_MARKS:
            if chunk.startswith(mark):
                return encoding
        if wide := _without_mark(chunk):
            return wide
        if not fallback:
            return "utf-8"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = file.read(_CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _of_broken_lines(path, fallback)
    return "utf-8"


def _without_mark(begin: bytes) -> str:
    """Return the byte order of UTF-16 without a byte-order mark; "" for other text.

    In UTF-16 of mostly Latin letters every second byte is zero.
    """
    even, odd = begin[0:4096:2].count(0), begin[1:4096:2].count(0)
    pairs = len(begin[:4096]) // 2
    if pairs < 8 or min(even, odd) > pairs // 10:
        return ""
    return "utf-16-le" if odd > pairs * 0.6 else "utf-16-be" if even > pairs * 0.6 else ""


def _of_broken_lines(path: str, fallback: str) -> str:
    """Return the encoding of a file that is not entirely UTF-8, judged by its lines outside ASCII."""
    whole = broken = 0
    windows: set[int] = set()
    with open_bytes(path) as file, damage_as_value_error(path):
        for line in _bounded(file, b"\n"):
            if line is None or line.isascii():
                continue
            if _decoded(line) is not None:
                whole += 1
            else:
                broken += 1
                windows |= {byte for byte in line if 0x80 <= byte < 0xA0}
    if whole and whole >= broken:
        return "utf-8"
    # In Latin-1 these bytes are control characters, which text does not contain.
    return "cp1252" if windows and not windows & _NOT_CP1252 else fallback


def _decoded(line: bytes, encoding: str = "utf-8") -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None


def read_text(path: str | Path, fallback: str = "", most: int = MAX_TEXT) -> str:
    """Return the text of a file, plain or gzip.

    Args:
        path: the file.
        fallback: see `sniff_encoding`.
        most: bytes of the text at most.

    Raises:
        ValueError: the bytes are not text of the file's encoding, the text has more than `most` bytes, or a gzip
            file is damaged or unpacks to more than `MAX_UNPACKED` times its size.
        OSError: the file cannot be read.
    """
    encoding, size = sniff_encoding(path, fallback), os.stat(path).st_size
    limit = min(most, max(ALWAYS_UNPACKED, MAX_UNPACKED * size))
    data = bytearray()
    with open_bytes(path) as file, damage_as_value_error(path):
        while size <= limit and len(data) <= limit and (piece := file.read(_CHUNK)):
            data += piece
        if max(size, len(data)) > limit:
            raise ValueError(
                f"{path} has {size} bytes and holds more than {limit} bytes of text; is it the right file?"
            )
        return data.decode(encoding)


def text_chunks(path: str | Path) -> Iterator[str]:
    """Yield the text of a file, plain or gzip, in chunks; undecodable bytes become U+FFFD.

    The encoding is the one of the byte-order mark, UTF-16 where the first character has a zero byte, or UTF-8.

    Raises:
        ValueError: a gzip file is damaged; the text before the damage has been yielded.
        OSError: the file cannot be read.
    """
    with open_bytes(path) as file, damage_as_value_error(path):
        piece = file.read1(_PIECE)
        marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if piece.startswith(mark)), "")
        unmarked = {b"\0": "utf-16-be"}.get(piece[:1]) or {b"\0": "utf-16-le"}.get(piece[1:2], "utf-8")
        decoder = codecs.getincrementaldecoder(marked or unmarked)("replace")
        while piece:
            yield decoder.decode(piece)
            piece = file.read1(_PIECE)
        yield decoder.decode(b"", final=True)


def text_lines(path: str | Path, fallback: str = "", rejected: Counter[str] | None = None) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzip, without their line ends.

    Only a line feed, or a carriage return with a line feed, ends a line: U+2028, U+0085 and the like belong to the
    text.

    Args:
        path: the file.
        fallback: see `sniff_encoding`. Lines of UTF-8 in a file with one byte per character are read as UTF-8.
        rejected: counts the lines that are undecodable or longer than `MAX_LINE`; None raises an error for the first
            one.

    Raises:
        ValueError: as `read_text` but for the size, when the damage is reached, or an unreadable line.
        OSError: the file cannot be read.
    """
    for number, line, reason in numbered_lines(path, fallback):
        if not reason:
            yield line
        elif rejected is not None:
            rejected[reason] += 1
        elif reason == TOO_LONG:
            raise ValueError(f"{path}, line {number}, is a {TOO_LONG}; wanted one record per line")
        else:
            raise ValueError(f"{path} is no UTF-8 text (line {number}); save it as UTF-8")


def numbered_lines(path: str | Path, fallback: str) -> Iterator[tuple[int, str, str]]:
    """Yield the lines of a file as (number from 1, line without its end, ""), or (number, "", why it is unreadable).

    Except in UTF-16 and UTF-32, an undecodable line does not affect the others.
    """
    encoding = sniff_encoding(path, fallback)
    with open_bytes(path) as file, damage_as_value_error(path):
        if encoding.startswith(("utf-16", "utf-32")):
            with io.TextIOWrapper(file, encoding, newline="\n") as stream:
                for number, line in enumerate(_bounded(stream, "\n"), 1):
                    yield (number, "", TOO_LONG) if line is None else (number, _without_end(line), "")
            return
        one_byte = encoding if encoding in ("latin-1", "cp1252") else "utf-8"
        for number, data in enumerate(_bounded(file, b"\n"), 1):
            if data is None:
                yield number, "", TOO_LONG
                continue
            if number == 1 and not (data := data.removeprefix(codecs.BOM_UTF8)):
                return
            data = data.removesuffix(b"\n").removesuffix(b"\r")
            text = _decoded(data)
            text = _decoded(data, one_byte) if text is None else text
            yield (number, "", NOT_TEXT) if text is None else (number, text, "")


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _bounded(stream: IO[AnyStr], end: AnyStr) -> Iterator[AnyStr | None]:
    """Yield the lines of a stream with their ends; None for a line longer than `MAX_LINE`, which is read in pieces."""
    while line := stream.readline(MAX_LINE + 1):
        if len(line) <= MAX_LINE:
            yield line
            continue
        while line and not line.endswith(end):
            line = stream.readline(_PIECE)
        yield None


class _GzipBytes(gzip.GzipFile):
    """Gzip file of which a buffer gets every byte before a damage."""

    def readinto(self, target) -> int:
        return self.readinto1(target)


def open_bytes(path: str | Path) -> io.BufferedReader:
    """Open a file for reading, plain or gzip.

    Raises:
        ValueError: the path is a pipe or a device, which may have no end and cannot be read twice.
        OSError: the file cannot be read.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(f"{path} is a pipe or a device, wanted a file; write its output to a file first")
    file: io.BufferedReader = io.BufferedReader(io.FileIO(path), _PIECE)
    if file.peek(2)[:2] != b"\x1f\x8b":
        return file
    file.close()
    return io.BufferedReader(_GzipBytes(path), _PIECE)  # gzip's own reader is slower by line


@contextmanager
def damage_as_value_error(path: str | Path) -> Iterator[None]:
    """Turn the errors of reading a damaged file into a one-line ValueError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}); download it again") from None
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise ValueError(f"{path} is no {error.encoding.upper()} text ({reason}); save it as UTF-8") from None
