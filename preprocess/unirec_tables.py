"""UniRec's tables, as pandas pickles them; the table of histories, an array per user, without its arrays in memory."""

import pickle
import pickletools
import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from train_utils.files.atomic import replacing

# Up to protocol 3 the opcodes of a value are the same anywhere in a file: there are no frames and no running numbers.
_PROTOCOL = 3
_ARRAYS_AT_ONCE = 1000  # as pickle's own batches
_FIRST_INDEX = 200  # at which the parts that all arrays share are remembered; the table itself uses some twenty
_PLACEHOLDER = 0x5EED_F00D_5EED_F00D  # is replaced by the arrays


def unirec_table(**columns: np.ndarray) -> pd.DataFrame:
    """Return a table as UniRec pickles it, with its columns in the given order."""
    frame = pd.DataFrame(columns)
    # Where pyarrow is installed, pandas would store the names as Arrow text, and readers of the file would need it.
    frame.columns = pd.Index(list(columns), dtype=object)
    return frame


def write_histories(path: Path, users: np.ndarray, lengths: np.ndarray, items: np.ndarray) -> None:
    """Write the table of `user_id` and `item_seq` atomically. It is read as one that pandas has pickled.

    pandas would need all the arrays at once, and its pickler would remember each of them with four parts.

    Args:
        path: the file.
        users: int64 [n_users].
        lengths: int64 [n_users], length of each user's history.
        items: int64 [n_events], the histories, user by user.
    """
    stream = BytesIO()
    _TablePickler(stream, _PROTOCOL).dump(unirec_table(user_id=users, item_seq=np.empty(len(users), dtype=object)))
    before, after = stream.getvalue().split(_opcodes(_PLACEHOLDER) + pickle.APPEND)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(before)
        file.writelines(_arrays(lengths, items))
        file.write(after)


class _Objects:
    """Replaces the list of a column's values."""


class _TablePickler(pickle.Pickler):
    """Pickler that writes `_PLACEHOLDER` for the values of the only column of objects."""

    def reducer_override(self, value: Any) -> Any:
        if value is _Objects:
            return list, (), None, iter([_PLACEHOLDER])
        if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 2:  # names of columns have 1
            make, arguments, (*state, _) = value.__reduce__()
            return make, arguments, (*state, _Objects)
        return NotImplemented


def _opcodes(value: object) -> bytes:
    """Return the opcodes that make a value."""
    protocol, stop = 2, 1  # bytes of the first and the last opcode
    return pickletools.optimize(pickle.dumps(value, _PROTOCOL))[protocol:-stop]


def _arrays(lengths: np.ndarray, items: np.ndarray) -> Iterator[bytes]:
    """Yield the opcodes that append arrays to a list."""
    make, arguments, (_, _, dtype, _, _) = items[:0].__reduce__()
    shared = (make, *arguments, dtype)
    indices = [bytes([_FIRST_INDEX + number]) for number in range(len(shared))]
    made = [_opcodes(value) + pickle.BINPUT + index for value, index in zip(shared, indices, strict=True)]
    again = [pickle.BINGET + index for index in indices]
    heads = {length: _head(length, items.itemsize, again) for length in np.flatnonzero(np.bincount(lengths)).tolist()}
    end = 0
    for first in range(0, len(lengths), _ARRAYS_AT_ONCE):
        part = lengths[first : first + _ARRAYS_AT_ONCE].tolist()
        begin, end = end, end + sum(part)
        contents = BytesIO(items[begin:end].tobytes())
        arrays = [heads[length] + contents.read(length * items.itemsize) + _TAIL for length in part]
        if not first:
            arrays[0] = _head(part[0], items.itemsize, made) + arrays[0][len(heads[part[0]]) :]
        yield pickle.MARK + b"".join(arrays) + pickle.APPENDS


def _head(length: int, size: int, shared: Sequence[bytes]) -> bytes:
    """Return the opcodes of an array up to its contents: `make(*arguments)`, then the state (1, shape, dtype, False, .

    Args:
        length: length of the array.
        size: bytes of an item.
        shared: opcodes of NumPy's function that makes arrays, its three arguments, and the dtype.
    """
    *call, dtype = shared
    return b"".join(
        [*call, pickle.TUPLE3, pickle.REDUCE, pickle.MARK, _opcodes(1), _opcodes((length,)), dtype, pickle.NEWFALSE,
         pickle.BINBYTES, struct.pack("<I", length * size)]
    )  # fmt: skip


_TAIL = pickle.TUPLE + pickle.BUILD
