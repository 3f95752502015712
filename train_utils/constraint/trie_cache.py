"""Trie cache: memory-mapped files, so that a million titles load at once and processes share them.

A file is read once when it is loaded: its digest and its structure are verified, so that a damaged file cannot fail in
the middle of decoding.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from train_utils.constraint.trie import TitleTrie
from train_utils.constraint.trie_check import check_trie
from train_utils.files.atomic import write_bytes
from train_utils.files.json_files import json_value

_FORM = "title tree 3"
_DTYPES: dict[str, np.dtype] = {"I32": np.dtype("<i4"), "I64": np.dtype("<i8")}
_ARRAYS = {f.name for f in fields(TitleTrie)} - {"soi", "eoi"}
REMEDY = "; delete it, and it is made again"
MAX_HEADER_BYTES = 1 << 16  # ours has about 1,500 bytes; JSON of this size takes no memory to speak of


def trie_key(tokenizer, titles: Iterable[str], soi: int, eoi: int, unspoken: Sequence[str] = ()) -> str:
    """Return the SHA-256, in hex digits, of everything that a trie is made from.

    Args:
        tokenizer: encodes the titles.
        titles: in item order.
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        unspoken: texts that no title may contain; they depend on the chat template and the special tokens.
    """
    made_by = tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else repr(sorted(tokenizer.get_vocab().items()))
    digest = sha256(f"{_FORM}\0{soi}\0{eoi}\0{json.dumps(unspoken)}\0{made_by}".encode())
    for title in titles:
        encoded = title.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


class TrieTitles(Sequence[list[int]]):
    """Token ids of each item's title, read from the trie on access."""

    def __init__(self, trie: TitleTrie):
        self.trie = trie

    def __len__(self) -> int:
        return self.trie.n_items

    def __getitem__(self, item: int) -> list[int]:  # type: ignore[override]  # titles are never sliced
        return self.trie.title(int(self.trie.item_leaf[item]))[:-1]


def trie_path(folder: str | Path, key: str) -> Path:
    """Return the path of the trie of this key."""
    return Path(folder) / f"{key}.safetensors"


def save_trie(trie: TitleTrie, folder: str | Path, key: str) -> None:
    """Write a trie into `folder` in the safetensors format, atomically."""
    arrays = {name: np.ascontiguousarray(array) for name, array in trie.arrays().items()}
    about = {"form": _FORM, "key": key, "soi": str(trie.soi), "eoi": str(trie.eoi), "sha256": _digest(arrays)}
    write_bytes(trie_path(folder, key), save(arrays, metadata=about))


def load_trie(folder: str | Path, key: str) -> TitleTrie | None:
    """Map the trie of this key into memory and verify it.

    Returns:
        The trie; None if no trie was saved under this key.

    Raises:
        ValueError: the file is not a complete trie, or is damaged.
        OSError: the file cannot be read.
    """
    path = trie_path(folder, key)
    if not path.exists():
        return None
    try:
        trie, recorded = _parsed(_mapped(path), key)
        if _digest(trie.arrays()) != recorded:
            raise ValueError("its content differs from its digest")
        check_trie(trie)
    except ValueError as error:
        raise ValueError(f"{path} is no trie cache ({error}){REMEDY}") from None
    return trie


def _mapped(path: Path) -> np.ndarray:
    """Map a file as uint8 [bytes]."""
    if not path.is_file():
        raise ValueError("it is no file")
    if path.stat().st_size < 8:
        raise ValueError("its header is cut off")
    return np.memmap(path, np.uint8, "r").view(np.ndarray)


def _parsed(content: np.ndarray, key: str) -> tuple[TitleTrie, str]:
    """Return the trie in a file, as views of its bytes, and the digest that the file has to have.

    Raises:
        ValueError: the header is broken, or an array lies outside the file.
    """
    size = int.from_bytes(content[:8].tobytes(), "little")
    if not 0 < size <= min(MAX_HEADER_BYTES, len(content) - 8):
        raise ValueError(f"its header has {size} bytes, wanted up to {MAX_HEADER_BYTES}, and no more than the file")
    header: Any = json_value(content[8 : 8 + size].tobytes().decode())
    about = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(about, dict) or about.get("form") != _FORM or about.get("key") != key:
        raise ValueError("it was made from something else")
    if header.keys() != _ARRAYS:
        raise ValueError("it has other arrays than a trie")
    arrays = {name: _array(content[8 + size :], entry, name) for name, entry in header.items()}
    soi, eoi, recorded = (str(about.get(name)) for name in ("soi", "eoi", "sha256"))
    if not all(text.isascii() and text.isdigit() and len(text) < 11 for text in (soi, eoi)):
        raise ValueError("its control tokens are no token ids")
    return TitleTrie(int(soi), int(eoi), **arrays), recorded


def _array(data: np.ndarray, entry: Any, name: str) -> np.ndarray:
    match entry:
        case {"dtype": "I32" | "I64" as kind, "shape": [int(count)], "data_offsets": [int(begin), int(end)]}:
            dtype = _DTYPES[kind]
            if 0 <= begin <= end <= len(data) and end - begin == count * dtype.itemsize:
                return data[begin:end].view(dtype)
    raise ValueError(f"its array {name} has not the size that the header states")


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays with their names, dtypes and sizes."""
    digest = sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {len(array)}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
