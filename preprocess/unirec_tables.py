"""UniRec's tables, as pandas pickles them; the table of histories, an array per user, without its arrays in memory."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from train_utils.files import replacing

_REMEMBERED = 40  # arrays that the pickler remembers at most; indices up to 255 take one byte


def unirec_table(**columns: np.ndarray) -> pd.DataFrame:
    """Return a table as UniRec pickles it, with its columns in the given order."""
    frame = pd.DataFrame(columns)
    # Where pyarrow is installed, pandas would store the names as Arrow text, and readers of the file would need it.
    frame.columns = pd.Index(list(columns), dtype=object)
    return frame


class _Rows:
    """In the place of the list of all arrays."""


class _HistoryPickler(pickle.Pickler):
    """Pickler of a table that makes the values of its only column of objects as it writes them.

    Args:
        file: the file.
        arrays: the values, in row order.
    """

    def __init__(self, file: Any, arrays: Iterator[np.ndarray]) -> None:
        # Up to protocol 3 a file states the index at which a value is remembered, so that indices can be used again.
        super().__init__(file, protocol=3)
        self._arrays, self._rows = arrays, _Rows()
        # NumPy gives new objects for each array, which are all written; to these the file refers.
        self._make, self._arguments, (self._version, _, self._int64, self._order, _) = np.arange(1).__reduce__()

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.ndarray and value.ndim == 1 and value.dtype is self._int64:
            state = self._version, (len(value),), self._int64, self._order, value.tobytes()
            return (
                self._make,
                (*self._arguments,),
                state,
            )  # a new tuple: restricted readers refuse one with a class again
        if value is self._rows:
            return list, (), None, self._forgotten()
        if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 2:  # names of columns have 1
            make, arguments, (*state, _) = value.__reduce__()
            return make, arguments, (*state, self._rows)
        return NotImplemented

    def _forgotten(self) -> Iterator[np.ndarray]:
        """Yield the arrays; forget those that are written, but for the first one, whose dtype the others share."""
        for number, array in enumerate(self._arrays):
            if number == 1:
                kept = self.memo.copy()
            elif number % _REMEMBERED == 0 and number:
                self.memo = kept
            yield array


def write_histories(path: Path, users: np.ndarray, lengths: np.ndarray, items: np.ndarray) -> None:
    """Write the table of `user_id` and `item_seq` atomically. It is read as one that pandas has pickled.

    pandas would need all the arrays at once, and its pickler would remember each of them with four parts.

    Args:
        path: the file.
        users: int64 [n_users].
        lengths: int64 [n_users], length of each user's history.
        items: int64 [n_events], the histories, user by user.
    """
    table = unirec_table(user_id=users, item_seq=np.empty(len(users), dtype=object))
    with replacing(path) as temporary, temporary.open("wb") as file:
        _HistoryPickler(file, _parts(items, lengths)).dump(table)


def _parts(items: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the parts of an array that follow each other in these lengths."""
    end = 0
    for length in lengths:
        begin, end = end, end + int(length)
        yield items[begin:end]
