"""Files that appear whole or not at all: temporary file in the same folder, flush, fsync, rename."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Binary stream that becomes `path` when the block ends, and leaves nothing behind when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """One JSON value, UTF-8, with a final newline."""
    with atomic_file(path) as stream:
        stream.write(json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8") + b"\n")


def write_pickle(path: Path, value: Any) -> None:
    """One pickle."""
    with atomic_file(path) as stream:
        pickle.dump(value, stream)


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; ValueError names the file when it holds anything else."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); write it again by preprocessing") from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise ValueError(f"{path} holds a JSON {kind}, wanted one object; is it the right file?")
    return value
