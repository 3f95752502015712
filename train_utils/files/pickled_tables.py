"""Makers of the pandas tables in a pickle: UniRec's files, with columns of numbers, texts and arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from train_utils.files.pickle_limits import Maker, Name, Unfinished, refuse
from train_utils.files.pickle_reader import PickleReader

MAX_COLUMNS = 1000  # pandas takes a fraction of a millisecond for each; UniRec's tables have a dozen
_TEXT = pd.StringDtype("python", na_value=np.nan)


@dataclass(frozen=True, slots=True)
class _Texts:
    """Values of a text column. Without pyarrow, pandas keeps them as an array of objects."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class _Block:
    """Columns of one dtype: a row of `rows` each, and their positions in the table."""

    rows: list[np.ndarray | _Texts]
    places: list[int]


@dataclass(frozen=True, slots=True)
class _Manager:
    blocks: list[_Block]
    columns: pd.Index
    index: pd.Index


def _slice(reader: PickleReader, start: Any, stop: Any, step: Any) -> range:
    if not all(type(number) is int for number in (start, stop, step)) or step == 0:
        refuse("a slice has no whole numbers")
    return range(start, stop, step)


def _block(reader: PickleReader, values: Any, placement: Any, ndim: Any = 2) -> _Block:
    """Return columns; `values` has a row for each, or is the only column."""
    if type(values) is np.ndarray and values.ndim == 2 and values.dtype.kind in "biufcOmM":
        count, rows = len(values), list(values[: MAX_COLUMNS + 1])
    elif type(values) is _Texts and values.values.ndim in (1, 2):
        rows = [_Texts(row) for row in np.atleast_2d(values.values)[: MAX_COLUMNS + 1]]
        count = len(rows)
    else:
        refuse("a table has columns of another kind than numbers, texts and arrays")
    if type(placement) is np.ndarray and placement.ndim == 1 and placement.dtype.kind in "iu":
        length, places = len(placement), placement[: MAX_COLUMNS + 1].tolist()
    elif type(placement) is range:
        length, places = len(placement), list(placement[: MAX_COLUMNS + 1])
    else:
        refuse("a table has columns without a position")
    if length != count or count > MAX_COLUMNS:
        refuse(f"a table has {count} columns at {length} positions, wanted as many, and at most {MAX_COLUMNS}")
    return _Block(rows, places)


def _texts(reader: PickleReader, kind: Any, *_: Any) -> Unfinished:
    """Return the values of a text column, which follow as (dtype, array, ...)."""

    def finish(state: Any) -> _Texts:
        arrays = [part for part in state if type(part) is np.ndarray] if type(state) is tuple else []
        if len(arrays) != 1 or not all(type(text) in (str, float, type(None)) for text in arrays[0].flat):
            refuse("a text column holds something else")
        return _Texts(arrays[0])

    return Unfinished(finish)


def _text_dtype(reader: PickleReader, *_: Any) -> None:
    """Return nothing: text columns are all read alike."""


def _index(reader: PickleReader, kind: Any, parts: Any) -> pd.Index:
    """Return row numbers or names, from the arguments of pandas' constructor."""
    if type(kind) is not Name or type(parts) is not dict or type(parts.get("name")) not in (str, int, type(None)):
        refuse("a table has no index")
    name = parts.get("name")
    if "data" not in parts:
        return pd.RangeIndex(_slice(reader, parts["start"], parts["stop"], parts["step"]), name=name)
    data = parts["data"]
    values = data.values if type(data) is _Texts else data
    if type(values) is not np.ndarray or values.ndim != 1 or values.dtype.kind not in "iufO":
        refuse("an index holds neither numbers nor texts")
    if values.dtype.hasobject and not {*map(type, values)} <= {str, int, float, type(None)}:
        refuse("an index holds neither numbers nor texts")
    return pd.Index(values, dtype=_TEXT if type(data) is _Texts else values.dtype, name=name)


def _manager(reader: PickleReader, blocks: Any = None, axes: Any = None, *_: Any) -> _Manager | Unfinished:
    """Return the parts of a table. Before version 1.3 pandas gave them afterwards."""
    if blocks is None:
        return Unfinished(lambda state: _old_manager(reader, state))
    if type(blocks) not in (tuple, list) or not all(type(block) is _Block for block in blocks):
        refuse("a table has no columns")
    if type(axes) not in (tuple, list) or len(axes) != 2 or not all(isinstance(axis, pd.Index) for axis in axes):
        refuse("a table has no index")
    columns, index = axes
    if len(columns) > MAX_COLUMNS:
        refuse(f"a table has {len(columns)} columns, wanted at most {MAX_COLUMNS}")
    return _Manager(list(blocks), columns, index)


def _old_manager(reader: PickleReader, state: Any) -> _Manager:
    match state:
        case (_, _, _, {"0.14.1": {"axes": list() as axes, "blocks": list() as blocks}}):
            made = [_block(reader, block["values"], block["mgr_locs"]) for block in blocks]
            return _manager(reader, made, axes)  # type: ignore[return-value]
    refuse("a table is damaged")


def _table(reader: PickleReader, *_: Any) -> Unfinished:
    reader.whole.add(pd.DataFrame)
    return Unfinished(_finished_table)


def _finished_table(state: Any) -> pd.DataFrame:
    manager = state.get("_mgr", state.get("_data")) if type(state) is dict else None
    if type(manager) is not _Manager:
        refuse("a table has no contents")
    columns: dict[int, pd.Series] = {}
    for block in manager.blocks:
        for row, place in zip(block.rows, block.places, strict=True):
            values: Any = row.values if type(row) is _Texts else row
            if place in columns or not 0 <= place < len(manager.columns) or len(values) != len(manager.index):
                refuse("the columns of a table do not fit together")
            dtype = _TEXT if type(row) is _Texts else values.dtype
            columns[place] = pd.Series(values, dtype=dtype, index=manager.index)
    if len(columns) != len(manager.columns):
        refuse("the columns of a table do not fit together")
    frame = pd.DataFrame({place: columns[place] for place in sorted(columns)}, index=manager.index)
    frame.columns = manager.columns
    return frame


MAKERS: dict[str, Maker | None] = {
    "builtins slice": _slice,
    "pandas DataFrame": _table,
    "pandas.core.frame DataFrame": _table,
    **dict.fromkeys(("pandas Index", "pandas.core.indexes.base Index", "pandas RangeIndex"), None),
    **dict.fromkeys(("pandas.core.indexes.range RangeIndex", "pandas.core.indexes.numeric Int64Index"), None),
    "pandas.core.indexes.base _new_Index": _index,
    "pandas StringDtype": _text_dtype,
    "pandas.core.arrays.string_ StringDtype": _text_dtype,
    "pandas.arrays StringArray": None,
    "pandas.core.arrays.string_ StringArray": None,
    "pandas._libs.arrays __pyx_unpickle_NDArrayBacked": _texts,
    "pandas.core.internals.managers BlockManager": _manager,
    "pandas.core.internals.blocks new_block": _block,
    "pandas._libs.internals _unpickle_block": _block,
}
