"""Makers of the NumPy values in a pickle: every shape is checked against the bytes or values that fill it."""

import math
import re
from typing import Any

import numpy as np

from train_utils.files.pickle_limits import Maker, Name, Unfinished, refuse
from train_utils.files.pickle_reader import PickleReader

# An array without bytes may have this many rows; later code iterates over them.
MAX_EMPTY_ROWS = 1_000_000
_MAX_DIMENSIONS = 32  # NumPy's own limit until version 2
_CODE = re.compile(r"[?bi][1248]?|u[1248]|f[248]|c(?:8|16)|O8?|[mM]8?|[SU][0-9]{1,8}")
_TIME_UNITS = {"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"}


def _dtype(reader: PickleReader, code: Any, *_: Any) -> Unfinished:
    """Return a number, text, time or object dtype; those with fields are refused."""
    if type(code) is not str or not _CODE.fullmatch(code):
        refuse(f"an array has the dtype {str(code)[:40]}, wanted numbers, texts, times or objects")

    def finish(state: Any) -> np.dtype:
        if type(state) is not tuple or len(state) not in (8, 9) or any(part is not None for part in state[2:5]):
            refuse("a dtype is damaged, or has fields, which are not plain data")
        order, times = state[1], state[8] if len(state) == 9 else None
        if order not in ("<", ">", "|", "="):
            refuse("a dtype has no byte order")
        dtype = np.dtype(code + (f"[{_unit(times)}]" if times is not None else ""))
        return dtype if order in ("|", "=") else dtype.newbyteorder(order)

    return Unfinished(finish)


def _unit(metadata: Any) -> str:
    """Return the unit of a time as NumPy writes it, from (metadata, (unit, count, divisor, events))."""
    match metadata:
        case (_, (bytes() | str() as unit, int(count), 1, 1)) if 0 < count < 1 << 31:
            text = unit if isinstance(unit, str) else unit.decode("ascii")
            if text in _TIME_UNITS:
                return f"{count}{text}"
    refuse("a time has no unit of NumPy")


def _reconstruct(reader: PickleReader, kind: Any, *_: Any) -> Unfinished:
    """Return an array whose shape, dtype and contents follow."""
    if type(kind) is not Name or kind.text != "numpy ndarray":
        refuse("it holds a subclass of NumPy's array")

    def finish(state: Any) -> np.ndarray:
        if type(state) is not tuple or len(state) != 5:
            refuse("an array is damaged")
        _, shape, dtype, in_fortran_order, content = state
        return _array(reader, content, dtype, shape, "F" if in_fortran_order is True else "C")

    return Unfinished(finish)


def _array(reader: PickleReader, content: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Return the array of the given contents.

    Args:
        reader: the reader of the file.
        content: its bytes (as text in latin1 from Python 2), or the list of its objects.
        dtype: its dtype.
        shape: its shape; the contents fill it.
        order: "C" or "F".
    """
    if not isinstance(dtype, np.dtype) or order not in ("C", "F", "A"):
        refuse("an array has no dtype")
    if np.ndarray not in reader.children:
        reader.children[np.ndarray] = _contents
    if type(content) is bytes and dtype.kind in "iuf" and shape == (len(content) // dtype.itemsize,) and content:
        reader.spend(len(content))  # the usual case, in a third of the time
        return np.frombuffer(content, dtype).copy()
    if type(shape) is not tuple or not {*map(type, shape)} <= {int} or min(shape, default=0) < 0:
        refuse("an array has no shape")
    if len(shape) > _MAX_DIMENSIONS:
        refuse(f"an array has {len(shape)} dimensions, wanted at most {_MAX_DIMENSIONS}")
    count = math.prod(shape)
    if dtype.hasobject:
        wanted, length = count, len(content) if type(content) is list else -1
    else:
        content = content.encode("latin1") if type(content) is str else content
        wanted, length = count * dtype.itemsize, len(content) if type(content) in (bytes, bytearray) else -1
    if length != wanted:
        refuse(f"an array of the shape {str(shape)[:60]} is filled with {max(length, 0)} values or bytes, not {wanted}")
    reader.spend(length)
    if not length:
        if math.prod(max(1, length) for length in shape) > MAX_EMPTY_ROWS:
            refuse(f"an array without contents has the shape {str(shape)[:60]}")
        return np.zeros(shape, dtype, "F" if order == "F" else "C")
    if dtype.hasobject:
        reader.measure(content)
        flat = np.fromiter(content, dtype, count)
    else:
        flat = _checked(np.frombuffer(content, dtype))
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _checked(values: np.ndarray) -> np.ndarray:
    """Return a writable copy of numbers; ValueError for texts with characters that do not exist."""
    if values.dtype.kind == "b":
        return values.view(np.uint8) != 0  # every other byte is a truth that equals neither
    code_points = np.dtype(np.uint32).newbyteorder(values.dtype.byteorder)
    if values.dtype.kind == "U" and (values.view(code_points) > 0x10FFFF).any():
        refuse("a text has characters that do not exist")
    return values.copy()


def _scalar(reader: PickleReader, dtype: Any, content: Any = b"") -> object:
    if isinstance(dtype, np.dtype) and dtype.hasobject:
        refuse("a number is an object")
    value = _array(reader, content, dtype, ())[()]
    reader.leaves.add(type(value))
    return value


def _contents(array: np.ndarray) -> tuple[list, int]:
    return (array.ravel().tolist() if array.dtype.hasobject else []), 1 + array.size


_IN_CORE: dict[str, Maker] = {
    "multiarray _reconstruct": _reconstruct,
    "multiarray scalar": _scalar,
    "numeric _frombuffer": _array,
}
MAKERS: dict[str, Maker | None] = {
    "numpy ndarray": None,
    "numpy dtype": _dtype,
    # NumPy 1 has core, NumPy 2 has _core.
    **{f"numpy.{core}.{name}": maker for core in ("core", "_core") for name, maker in _IN_CORE.items()},
}
