"""Trie cache: memory-mapped files, so that a million titles load at once and processes share them."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from train_utils.constraint.trie import TitleTrie
from train_utils.files import replacing

_FORM = "title tree 2"


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


def _path(folder: str | Path, key: str) -> Path:
    return Path(folder) / f"{key}.safetensors"


def save_trie(trie: TitleTrie, folder: str | Path, key: str) -> None:
    """Write a trie into `folder` in the safetensors format, atomically."""
    about = {"form": _FORM, "key": key, "soi": str(trie.soi), "eoi": str(trie.eoi)}
    with replacing(_path(folder, key)) as temporary:
        save_file({name: np.ascontiguousarray(a) for name, a in trie.arrays().items()}, temporary, metadata=about)


def load_trie(folder: str | Path, key: str) -> TitleTrie | None:
    """Map the trie of this key into memory; pages are loaded on first access.

    Returns:
        The trie; None if no trie was saved under this key.

    Raises:
        ValueError: the file is not a complete trie.
    """
    path = _path(folder, key)
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if not 0 < size < path.stat().st_size:
                raise ValueError("its header is cut off")
            header = json.loads(stream.read(size))
        about = header.pop("__metadata__")
        if about["form"] != _FORM or about["key"] != key:
            raise ValueError("it was made from something else")
        trie = TitleTrie(
            int(about["soi"]),
            int(about["eoi"]),
            **{name: _mapped(path, 8 + size, entry) for name, entry in header.items()},
        )
        if trie.title_start[-1] != len(trie.tokens) or trie.leaf_item_start[-1] != trie.n_items:
            raise ValueError("its arrays do not fit together")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} is no trie cache ({error}); delete it, and it is made again") from None
    return trie


def _mapped(path: Path, offset: int, entry: dict) -> np.ndarray:
    dtype = {"I32": np.int32, "I64": np.int64}[entry["dtype"]]
    begin, end = entry["data_offsets"]
    (count,) = entry["shape"]
    if end - begin != count * np.dtype(dtype).itemsize:
        raise ValueError("an array has not the size that the header tells")
    mapped = np.memmap(path, dtype, "r", offset + begin, (count,)) if count else np.empty(0, dtype)
    return mapped.view(np.ndarray)
