"""JSON of unknown origin: files, lines, texts. Standard library only."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from train_utils.characters import shown
from train_utils.files.text_files import numbered_lines, read_text


def read_json(path: str | Path, remedy: str = "", wanted: str = "JSON") -> object:
    """Return the single JSON value of a file.

    Args:
        path: the file.
        remedy: remedy for a broken file, for the error.
        wanted: what the file should be, for the error.

    Raises:
        ValueError: the file is not text, is not one JSON value, or has an object with a duplicate key.
        OSError: the file cannot be read.
    """
    try:
        return json.loads(read_text(path), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        if reason.startswith("Extra data"):
            reason = f"after one value there is more: {reason}"
        raise ValueError(f"{path} is not {wanted} ({reason}){remedy and f'; {remedy}'}") from None


def read_bounded_json(path: str | Path, most: int) -> object:
    """Return the single JSON value of a plain file that one of our commands wrote, in UTF-8.

    Args:
        path: the file.
        most: limit of its bytes; JSON takes up to 20 times as much memory.

    Raises:
        ValueError: the file is larger, is no regular file, or is not one JSON value.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file")
    with path.open("rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise ValueError(f"{path} has {size:,} bytes, wanted up to {most:,}")
        content = file.read()
    try:
        return json_value(content.decode())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from None


def read_json_lines(path: str | Path, rejected: Counter[str] | None = None) -> Iterator[tuple[int, object]]:
    """Yield (line number from 1, value) of a file with one JSON value per line, plain or gzip; skip blank lines.

    Args:
        path: the file.
        rejected: counts the lines that are not JSON, by reason; None raises an error for the first one.

    Raises:
        ValueError: a line is not JSON or longer than `MAX_LINE`, or a gzip file is damaged.
        OSError: the file cannot be read.
    """
    for number, line, reason in numbered_lines(path, "latin-1"):
        # Concatenated files have byte-order marks in the middle.
        line = line.removeprefix("\ufeff")
        if not reason and not line.strip():
            continue
        try:
            if reason:
                raise ValueError(reason)
            yield number, json_value(line)
        except ValueError as error:
            if rejected is None:
                raise ValueError(f"{path}, line {number}, is not JSON ({error})") from None
            rejected[reason or "not strict JSON"] += 1


def json_value(line: str) -> object:
    """Return the JSON value of a line.

    Raises:
        ValueError: the line is not JSON.
    """
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def strict_json(text: str) -> object:
    """Return the JSON value of a text, without Python's additions to JSON.

    Raises:
        ValueError: the text is not JSON, has NaN or an infinity, or an object with a duplicate key.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {shown(twice)} is in one object twice")
    return fields
