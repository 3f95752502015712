"""Reader of files of `torch.save`: tensors and plain values, built from the archive without torch's own reader.

`torch.load(weights_only=True)` runs no code of the file, but follows its opcodes unchecked: a key nested two million
deep ends the process.
"""

import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from train_utils.files.array_files import stored_entries
from train_utils.files.pickle_limits import Maker, Name, refuse
from train_utils.files.pickle_reader import PickleReader
from train_utils.files.plain_pickle import find_plain, reason_of

MAX_EMPTY_ROWS = 1_000_000  # of a tensor without values; later code may iterate over them
_MAX_DIMENSIONS = 64  # torch's own limit
_LOCAL_HEADER = struct.Struct("<26xHH")
_STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip


def load_torch(path: str | Path, mapped: bool = False) -> object:
    """Load what `torch.save` wrote: plain values and dense tensors, on the CPU.

    Args:
        path: the file, a zip archive as torch writes it since version 1.6.
        mapped: whether the tensors are pages of the file, loaded on first access, instead of memory. Their checksums
            are not verified then.

    Raises:
        ValueError: the file is damaged, or holds anything else.
        OSError: the file cannot be read.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(path, archive, mapped).load()
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is no archive of torch.save, or damaged; copy it again") from None
    # A damaged stream raises many kinds of errors; the caller treats all of them alike.
    except (
        ValueError,
        LookupError,
        TypeError,
        ArithmeticError,
        RuntimeError,  # also NotImplementedError, of a packed entry
        EOFError,
        MemoryError,
        struct.error,
    ) as error:
        raise ValueError(f"{path} is not a checkpoint of tensors and plain values: {reason_of(error)}") from None


class _Archive:
    """The entries of one file: `data.pkl`, and the bytes of each storage."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, mapped: bool):
        self._archive = archive
        size = path.stat().st_size
        entries = stored_entries(archive, size)
        self._entries: Mapping[str, zipfile.ZipInfo] = {entry.filename: entry for entry in entries}
        if len(self._entries) < len(entries):
            refuse("an entry is there twice")
        pickles = [name for name in self._entries if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            refuse("it holds no data.pkl of torch.save")
        self._size = size
        self._prefix = pickles[0].removesuffix("data.pkl")
        self._whole = torch.UntypedStorage.from_file(str(path), False, size) if mapped else None
        self._flat: dict[str, torch.Tensor] = {}

    def load(self) -> object:
        order = f"{self._prefix}byteorder"
        if order in self._entries and self._archive.read(order) != b"little":
            refuse("its numbers are big-endian; save it again on a machine like this one")
        reader = PickleReader(self._archive.read(f"{self._prefix}data.pkl"), _find, self._storage, self._size)
        reader.children[torch.Tensor] = lambda tensor: ((), 1 + tensor.numel())
        return reader.load()

    def _storage(self, identity: Any) -> "_Storage":
        """Return the values of a storage from ("storage", its type, key, device, number of values)."""
        match identity:
            case ("storage", Name(text=text), str(key), str(), int()):
                dtype = _STORAGES[text.removeprefix("torch ").removesuffix("Storage")]
                if key not in self._flat:
                    self._flat[key] = self._bytes(self._entries[f"{self._prefix}data/{key}"])
                flat = self._flat[key]
                return _Storage(flat[: len(flat) // dtype.itemsize * dtype.itemsize].view(dtype))
        refuse("a tensor has no storage")

    def _bytes(self, entry: zipfile.ZipInfo) -> torch.Tensor:
        if not entry.file_size:
            return torch.empty(0, dtype=torch.uint8)
        if self._whole is None:
            return torch.frombuffer(bytearray(self._archive.read(entry)), dtype=torch.uint8)
        header = entry.header_offset
        name, extra = _LOCAL_HEADER.unpack(bytes(self._whole[header : header + _LOCAL_HEADER.size]))
        start = header + _LOCAL_HEADER.size + name + extra
        if start + entry.file_size > len(self._whole):
            refuse("an entry ends after the file")
        # A storage of its own: torch saves the whole storage of a tensor, later that of the whole file.
        part = self._whole[start : start + entry.file_size]
        flat = torch.empty(0, dtype=torch.uint8).set_(part)
        return flat if flat.data_ptr() % 8 == 0 else flat.clone()  # torch.save aligns them


@dataclass(frozen=True)
class _Storage:
    """Values of the file, [n]; a tensor is a view of them."""

    values: torch.Tensor


def _tensor(reader: PickleReader, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> object:
    """Return a tensor, a view of its storage; it has no more values than that."""
    numbers = (offset, *size, *stride) if type(size) is tuple and type(stride) is tuple else (None,)
    if type(storage) is not _Storage or not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
        refuse("a tensor has no storage, or no shape")
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        refuse("a tensor has another number of sizes than of strides")
    values = storage.values
    held, count = len(values), math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if count else 0
    if count > held or last >= max(held, 1) or (not count and math.prod(max(1, n) for n in size) > MAX_EMPTY_ROWS):
        refuse(f"a tensor of the shape {str(size)[:60]} is longer than its storage of {held} values")
    if not count:
        return torch.empty(size, dtype=values.dtype)
    reader.spend(count)
    if values.dtype is torch.bool and (values.view(torch.uint8) > 1).any():
        refuse("a truth is neither 0 nor 1")
    return values.as_strided(size, stride, values.storage_offset() + offset)


def _parameter(reader: PickleReader, tensor: Any, *_: Any) -> object:
    if not isinstance(tensor, torch.Tensor):
        refuse("a parameter is no tensor")
    return tensor


def _size(reader: PickleReader, lengths: Any = ()) -> tuple:
    if type(lengths) is not tuple or not {*map(type, lengths)} <= {int}:
        refuse("a shape is no tuple of numbers")
    return lengths


def _device(reader: PickleReader, kind: Any, *_: Any) -> str:
    if type(kind) is not str:
        refuse("a device has no name")
    return kind


_NAMES: dict[str, Maker | None] = {
    **{f"torch {name}Storage": None for name in _STORAGES},
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch Size": _size,
    "torch device": _device,
}


def _find(name: str) -> Maker | None:
    return _NAMES[name] if name in _NAMES else find_plain(name)
