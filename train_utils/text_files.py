"""Text files of unknown origin: their encoding, their lines, the JSON in them. Standard library only."""

import codecs
import gzip
import io
import json
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_PIECE = 1 << 17
_NOT_CP1252 = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
NOT_TEXT = "not UTF-8 text"
_UNSEEN = ("Cc", "Cf", "Cn", "Cs", "Me", "Mn", "Zl", "Zp", "Zs")
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks that show nothing
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def sniff_encoding(path: str | Path, fallback: str = "") -> str:
    """Return the encoding of a text file, plain or gzip: by its byte-order mark or the zeros of UTF-16, else UTF-8.

    Args:
        path: the file.
        fallback: "latin-1" for a file that may be of one byte a character, which is found by reading it all: it is
            "cp1252" where it has what only Windows writes, quotation marks for example. A file with at least as many
            lines of UTF-8 as broken ones stays UTF-8. With "" all that is left for the reader to find.

    Raises:
        ValueError: a gzip file is damaged.
        OSError: the file cannot be read.
    """
    status = Path(path).stat()
    return _sniffed(str(path), fallback, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _sniffed(path: str, fallback: str, _size: int, _changed: int) -> str:
    with _open_bytes(path) as file, _damage_told(path):
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
    """Return the kind of UTF-16 that a file without a byte-order mark begins in, "" for none: of such text, in Latin
    letters for the most part, every second byte is zero."""
    even, odd = begin[0:4096:2].count(0), begin[1:4096:2].count(0)
    pairs = len(begin[:4096]) // 2
    if pairs < 8 or min(even, odd) > pairs // 10:
        return ""
    return "utf-16-le" if odd > pairs * 0.6 else "utf-16-be" if even > pairs * 0.6 else ""


def _of_broken_lines(path: str, fallback: str) -> str:
    """Return the encoding of a file that is not UTF-8 throughout, by its lines outside ASCII."""
    whole = broken = 0
    windows: set[int] = set()
    with _open_bytes(path) as file, _damage_told(path):
        for line in file:
            if line.isascii():
                continue
            if _decoded(line) is not None:
                whole += 1
            else:
                broken += 1
                windows |= {byte for byte in line if 0x80 <= byte < 0xA0}
    if whole and whole >= broken:
        return "utf-8"
    # To Latin-1 these bytes are control characters, which no text has.
    return "cp1252" if windows and not windows & _NOT_CP1252 else fallback


def _decoded(line: bytes, encoding: str = "utf-8") -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None


def read_text(path: str | Path, fallback: str = "") -> str:
    """Return the text of a file, plain or gzip.

    Raises:
        ValueError: the bytes are not text of the file's encoding, or a gzip file is damaged.
        OSError: the file cannot be read.
    """
    encoding = sniff_encoding(path, fallback)
    with _open_bytes(path) as file, _damage_told(path):
        return file.read().decode(encoding)


def text_chunks(path: str | Path) -> Iterator[str]:
    """Yield the text of a file, plain or gzip, piece by piece; bytes that are no text as U+FFFD.

    The encoding is that of the byte-order mark, else UTF-16 where the first character has a zero byte, else UTF-8.

    Raises:
        ValueError: a gzip file is damaged; what it holds before the damage has been given.
        OSError: the file cannot be read.
    """
    with _open_bytes(path) as file, _damage_told(path):
        piece = file.read1(_PIECE)
        marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if piece.startswith(mark)), "")
        unmarked = {b"\0": "utf-16-be"}.get(piece[:1]) or {b"\0": "utf-16-le"}.get(piece[1:2], "utf-8")
        decoder = codecs.getincrementaldecoder(marked or unmarked)("replace")
        while piece:
            yield decoder.decode(piece)
            piece = file.read1(_PIECE)
        yield decoder.decode(b"", final=True)


def text_lines(path: str | Path, fallback: str = "", rejected: Counter[str] | None = None) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzip, without their end.

    Only "\n" and "\r\n" end a line: U+2028, U+0085 and the like are characters of the text.

    Args:
        path: the file.
        fallback: see `sniff_encoding`. Lines of UTF-8 in a file of one byte a character are read as UTF-8.
        rejected: counts the lines that are no text of the file's encoding, instead of an error for the first one.

    Raises:
        ValueError: as `read_text`, where the reading gets to the damage.
    """
    for number, line in _numbered_lines(path, fallback):
        if line is not None:
            yield line
        elif rejected is None:
            raise ValueError(f"{path} is no UTF-8 text (line {number}); save it as UTF-8")
        else:
            rejected[NOT_TEXT] += 1


def _numbered_lines(path: str | Path, fallback: str) -> Iterator[tuple[int, str | None]]:
    """Yield (number from 1, line without its end, or None where it is no text) of a file: one broken line spoils no
    other, except in UTF-16 and UTF-32."""
    encoding = sniff_encoding(path, fallback)
    with _open_bytes(path) as file, _damage_told(path):
        if encoding.startswith(("utf-16", "utf-32")):
            with io.TextIOWrapper(file, encoding, newline="\n") as stream:
                for number, line in enumerate(stream, 1):
                    yield number, line.removesuffix("\n").removesuffix("\r")
            return
        one_byte = encoding if encoding in ("latin-1", "cp1252") else "utf-8"
        for number, data in enumerate(file, 1):
            if number == 1 and not (data := data.removeprefix(codecs.BOM_UTF8)):
                return
            data = data.removesuffix(b"\n").removesuffix(b"\r")
            text = _decoded(data)
            yield number, _decoded(data, one_byte) if text is None else text


def read_json(path: str | Path, remedy: str = "", wanted: str = "JSON") -> object:
    """Return the one JSON value that a file holds.

    Args:
        path: the file.
        remedy: what the user can do about a broken file, for the error.
        wanted: what the file should be, for the error.

    Raises:
        ValueError: the file is not text, or not one JSON value, or an object in it names a key twice.
        OSError: the file cannot be read.
    """
    try:
        return json.loads(read_text(path), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        if reason.startswith("Extra data"):
            reason = f"after one value there is more: {reason}"
        raise ValueError(f"{path} is not {wanted} ({reason}){remedy and f'; {remedy}'}") from None


def read_json_lines(path: str | Path, rejected: Counter[str] | None = None) -> Iterator[tuple[int, object]]:
    """Yield (line number from 1, value) of a file with one JSON value a line, plain or gzip; blank lines are skipped.

    Args:
        path: the file.
        rejected: counts the lines that are not JSON, by reason, instead of an error for the first one.

    Raises:
        ValueError: a line is not JSON, or a gzip file is damaged.
        OSError: the file cannot be read.
    """
    for number, line in _numbered_lines(path, "latin-1"):
        # Files that were put together have a mark in the middle.
        line = line.removeprefix("\ufeff") if line is not None else None
        if line is not None and not line.strip():
            continue
        try:
            yield number, json_value(line)
        except ValueError as error:
            if rejected is None:
                raise ValueError(f"{path}, line {number}, is not JSON ({error})") from None
            rejected[NOT_TEXT if line is None else "not strict JSON"] += 1


def json_value(line: str | None) -> object:
    """Return the JSON value that a line holds; None for a line that is no text. Raises ValueError for anything else."""
    if line is None:
        raise ValueError(NOT_TEXT)
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def whole_characters(text: str) -> str:
    """Return `text` with U+FFFD in place of lone surrogates, which JSON may hold and no tokenizer takes."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def has_text(text: str) -> bool:
    """Whether a text shows anything: white space, characters of no width and marks on no letter do not."""
    return any(unicodedata.category(character) not in _UNSEEN and character not in _BLANKS for character in text)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _open_bytes(path: str | Path) -> io.BufferedReader | gzip.GzipFile:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


@contextmanager
def _damage_told(path: str | Path) -> Iterator[None]:
    """Turn what a damaged file makes of reading it into one line."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}); download it again") from None
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise ValueError(f"{path} is no {error.encoding.upper()} text ({reason}); save it as UTF-8") from None
