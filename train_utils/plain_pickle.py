"""Pickles of plain data, loaded without running any code that they name. Standard library only."""

import io
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from train_utils.files import replacing

MAX_FILE_BYTES = 8 << 30
# Plain containers that pickle stores by name: a defaultdict, common in grouping code, names its factory.
_CONTAINERS = {"list", "dict", "set", "frozenset", "tuple", "int", "str", "float"}
_PICKLE_GLOBALS = {
    "collections": {"OrderedDict", "defaultdict", "Counter"},
    "builtins": _CONTAINERS,
    "__builtin__": _CONTAINERS,
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},
}
# Names that pandas needs to rebuild a table of numbers or strings; none of them runs code that the file chooses.
TABLES = {
    "builtins": {"slice"},
    "__builtin__": {"slice"},
    "pandas": {"DataFrame", "Index", "RangeIndex", "StringDtype"},
    "pandas.arrays": {"StringArray"},
    "pandas.core.arrays.string_": {"StringDtype"},
    "pandas.core.frame": {"DataFrame"},
    "pandas.core.indexes.base": {"Index", "_new_Index"},
    "pandas.core.indexes.range": {"RangeIndex"},
    "pandas.core.internals.managers": {"BlockManager"},
    "pandas.core.internals.blocks": {"new_block"},
    "pandas._libs.internals": {"_unpickle_block"},
    "pandas._libs.arrays": {"__pyx_unpickle_NDArrayBacked"},
}


def write_pickle(path: str | Path, value: object) -> None:
    """Write one pickle atomically."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        pickle.dump(value, stream)


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, also: Mapping[str, Collection[str]]):
        super().__init__(stream)
        self._also = also

    def find_class(self, module: str, name: str):
        if name in _PICKLE_GLOBALS.get(module, ()) or name in self._also.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data")


def restricted_load(
    path: str | Path, max_bytes: int = MAX_FILE_BYTES, also: Mapping[str, Collection[str]] = MappingProxyType({})
) -> object:
    """Load a pickle of plain data and refuse every other class.

    Plain data are containers (also from `collections`), text, numbers and NumPy arrays.

    Args:
        path: the pickle.
        max_bytes: size limit of the file.
        also: module -> additional names that the file may use.

    Raises:
        ValueError: the file is too large or broken, or names another class.
    """
    path = Path(path)
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; more than {max_bytes} are refused")
    try:
        return _RestrictedUnpickler(io.BytesIO(path.read_bytes()), also).load()
    # A damaged stream raises many kinds of errors; the caller treats all of them alike.
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        MemoryError,
        OverflowError,
    ) as error:
        raise ValueError(f"{path} is not a pickle of plain data: {error}") from None
