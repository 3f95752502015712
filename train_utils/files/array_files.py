"""Readers of `.npy` and `.npz` files that compare what a header claims with the bytes that follow it."""

import io
import math
import struct
import tokenize
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# NumPy reads the header as Python text, and fails in as many ways as Python does.
_BROKEN = (ValueError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError, TypeError, LookupError, EOFError,
           OverflowError, struct.error)  # fmt: skip


def load_npy(path: str | Path) -> np.ndarray:
    """Load an array of numbers.

    Raises:
        ValueError: the file is damaged, or holds anything else.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as stream:
        return _array(stream, path.stat().st_size, str(path))


def load_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Load the arrays of numbers that `numpy.savez` wrote, by name.

    Raises:
        ValueError: the file is damaged, or holds anything else.
        OSError: the file cannot be read.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                entry.filename.removesuffix(".npy"): _array(
                    io.BytesIO(archive.read(entry)), entry.file_size, entry.filename
                )
                for entry in stored_entries(archive, path.stat().st_size)
            }
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, struct.error) as error:
        raise ValueError(f"{path} holds no arrays of numbers ({' '.join(str(error).split())[:200]})") from None


def stored_entries(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """Return the entries of an archive whose writer packs nothing, as those of `numpy.savez` and `torch.save`.

    Args:
        archive: the archive.
        size: size of its file, in bytes.

    Raises:
        ValueError: an entry is packed, or they are larger than the file.
    """
    entries = archive.infolist()
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > size:
        raise ValueError("its entries are packed, or larger than the file")
    return entries


def _array(stream: BinaryIO, size: int, name: str) -> np.ndarray:
    """Return the array of a stream of `size` bytes."""
    try:
        shape, in_fortran_order, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
        if dtype.kind not in "biufc":
            raise ValueError(f"it holds {dtype}, not numbers")
        wanted, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
        if min(shape, default=0) < 0 or wanted != held or (not held and max(shape, default=0) > 0):
            raise ValueError(f"an array of the shape {shape} has {wanted} bytes, {held} follow")
        values = np.frombuffer(stream.read(held), dtype) if held else np.empty(0, dtype)
        return values.reshape(shape, order="F" if in_fortran_order else "C").copy()
    except _BROKEN as error:
        raise ValueError(f"{name} is no array of numbers ({' '.join(str(error).split())[:200]})") from None
