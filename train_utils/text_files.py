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
from pathlib import Path
from typing import BinaryIO

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_UNSEEN = ("Cc", "Cf", "Cn", "Cs", "Me", "Mn", "Zl", "Zp", "Zs")
_PIECE = 1 << 17
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks that show nothing
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def sniff_encoding(path: str | Path, fallback: str = "") -> str:
    """Return the encoding of a text file, plain or gzip: by its byte-order mark, else UTF-8.

    Args:
        path: the file.
        fallback: encoding of a file that is not UTF-8, such as "latin-1", which is found by reading it all; with ""
            bytes that are not UTF-8 are left for the reader to find.

    Raises:
        ValueError: a gzip file is damaged.
        OSError: the file cannot be read.
    """
    with _open_bytes(path) as file, _damage_told(path):
        chunk = file.read(_CHUNK)
        for mark, encoding in _BYTE_ORDER_MARKS:
            if chunk.startswith(mark):
                return encoding
        if fallback:
            decoder = codecs.getincrementaldecoder("utf-8")()
            try:
                while chunk:
                    decoder.decode(chunk)
                    chunk = file.read(_CHUNK)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return fallback
    return "utf-8"


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


def text_lines(path: str | Path, fallback: str = "") -> Iterator[str]:
    """Yield the lines of a text file, plain or gzip, without their end.

    Only "\\n" and "\\r\\n" end a line: U+2028, U+0085 and the like are characters of the text.

    Raises:
        ValueError: as `read_text`, where the reading gets to the damage.
    """
    encoding = sniff_encoding(path, fallback)
    with _open_bytes(path) as file, io.TextIOWrapper(file, encoding, newline="\n") as stream, _damage_told(path):
        for line in stream:
            yield line.rstrip("\n").removesuffix("\r")


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
    for number, line in enumerate(_raw_lines(path), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if rejected is None:
                raise ValueError(f"{path}, line {number}, is not JSON ({error})") from None
            rejected["not strict JSON"] += 1
            continue
        yield number, value


def _raw_lines(path: str | Path) -> Iterator[str | bytes]:
    """Yield UTF-8 lines as bytes, which json decodes: one broken line spoils no other. Other encodings as text."""
    if sniff_encoding(path).startswith("utf-8"):
        with _open_bytes(path) as file, _damage_told(path):
            yield from file
    else:
        yield from text_lines(path)


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


def _open_bytes(path: str | Path) -> BinaryIO:
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
