"""Pickles of plain data: written atomically, read without running any code that they name. Standard library only."""

import pickle
import struct
from importlib import import_module
from pathlib import Path
from typing import Any

from train_utils.files.atomic import replacing
from train_utils.files.pickle_limits import Maker, Name, refuse
from train_utils.files.pickle_reader import PickleReader

MAX_FILE_BYTES = 8 << 30
# Modules that make the arrays and tables in a pickle. They are imported where a file holds some: a stage of plain data
# needs neither NumPy nor pandas.
_ARRAYS, _TABLES = "train_utils.files.pickled_arrays", "train_utils.files.pickled_tables"
_REASON_LENGTH = 200


def write_pickle(path: str | Path, value: object) -> None:
    """Write one pickle atomically."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        pickle.dump(value, stream)


def restricted_load(path: str | Path, max_bytes: int = MAX_FILE_BYTES, tables: bool = False) -> object:
    """Load a pickle of plain data and refuse everything else.

    Plain data are containers (dictionaries of `collections` come as `dict`), text, numbers and NumPy arrays of them.

    Args:
        path: the pickle.
        max_bytes: size limit of the file.
        tables: whether the file may be a pandas table of numbers, texts and arrays.

    Raises:
        ValueError: the file is too large or broken, or holds anything else.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; more than {max_bytes} are refused")
    try:
        return PickleReader(path.read_bytes(), lambda name: find_plain(name, tables)).load()
    # A damaged stream raises many kinds of errors; the caller treats all of them alike.
    except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError, struct.error) as error:
        raise ValueError(f"{path} is not a pickle of plain data: {reason_of(error)}") from None


def reason_of(error: Exception) -> str:
    """Return what is wrong with a pickle, on one line, from an error of `PickleReader.load`."""
    if isinstance(error, (LookupError, struct.error)):
        return "it is cut off or damaged"
    return " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__


def find_plain(name: str, tables: bool = False) -> Maker | None:
    """Return the maker of a name that plain data need; KeyError for another name."""
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith("numpy"):
        return import_module(_ARRAYS).MAKERS[name]
    if not tables:
        raise KeyError(name)
    return import_module(_TABLES).MAKERS[name]


def _dictionary(reader: PickleReader, entries: Any = ()) -> dict:
    """Return the dictionary of a `Counter` or an `OrderedDict`; the latter comes with its entries from Python 2."""
    if type(entries) is dict:
        return entries
    if type(entries) not in (list, tuple) or not all(
        type(pair) in (list, tuple) and len(pair) == 2 for pair in entries
    ):
        refuse("a dictionary has no entries of a key and a value")
    target: dict = {}
    reader.set_items(target, [key for key, _ in entries], [value for _, value in entries])
    return target


def _default_dictionary(reader: PickleReader, factory: object = None) -> dict:
    if type(factory) not in (Name, type(None)):
        refuse("the default of a dictionary is no class")
    return {}


def _list(reader: PickleReader) -> list:
    """Return a list whose items follow."""
    return []


def _set(reader: PickleReader, items: Any = ()) -> set:
    if type(items) not in (list, tuple):
        refuse("a set is made from no list")
    return reader.make_set(items)


def _encoded(reader: PickleReader, text: object = "", codec: object = "latin1") -> bytes:
    """Return bytes, which protocols 0 to 2 write as text."""
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        refuse("bytes are encoded otherwise than in latin1")
    reader.spend(len(text))
    return text.encode("latin1")


# Names that plain data need; a defaultdict names its factory.
_NAMES: dict[str, Maker | None] = {
    **dict.fromkeys((f"builtins {kind}" for kind in ("dict", "tuple", "int", "str", "float")), None),
    "builtins list": _list,
    "builtins set": _set,
    "builtins frozenset": lambda reader, items=(): frozenset(_set(reader, items)),
    "builtins bytes": _encoded,
    "collections OrderedDict": _dictionary,
    "collections Counter": _dictionary,
    "collections defaultdict": _default_dictionary,
    "_codecs encode": _encoded,
}
