"""A catalogue's tree as a file that is memory-mapped: a million titles are there at once, and shared by processes."""

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from train_utils.trie import TitleTree, build_tree

_FORM = "title tree 1"


def tree_key(tokenizer_json: str, titles: Iterable[str], soi: int, eoi: int) -> str:
    """What a tree was made from: the tokenizer, the titles in their order, the control tokens. Hex digits."""
    digest = sha256(f"{_FORM}\0{soi}\0{eoi}\0{len(tokenizer_json)}\0{tokenizer_json}".encode())
    for title in titles:
        encoded = title.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def save_tree(tree: TitleTree, path: str | Path, key: str = "") -> None:
    """Writes a tree in the safetensors format, atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"form": _FORM, "key": key, "soi": str(tree.soi), "eoi": str(tree.eoi)}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file({name: np.ascontiguousarray(a) for name, a in tree.arrays().items()}, temporary, metadata=about)
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_tree(path: str | Path, key: str = "") -> TitleTree:
    """Maps a saved tree into memory; nothing of it is read before it is used.

    Raises:
        ValueError: not a whole tree file, or one of another tokenizer or catalogue than `key` says.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if not 0 < size < path.stat().st_size:
                raise ValueError("its header is cut off")
            header = json.loads(stream.read(size))
        about = header.pop("__metadata__")
        if about["form"] != _FORM:
            raise ValueError(f"its form is {about['form']!r}, wanted {_FORM!r}")
        arrays = {name: _mapped(path, 8 + size, entry) for name, entry in header.items()}
        tree = TitleTree(int(about["soi"]), int(about["eoi"]), **arrays)
        if tree.title_start[-1] != len(tree.tokens) or tree.leaf_item_start[-1] != tree.n_items:
            raise ValueError("its arrays do not fit together")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} is no tree file ({error}); delete it, and it is made again") from None
    if about["key"] != key:
        raise ValueError(f"{path} was made for another tokenizer or catalogue; delete it, and it is made again")
    return tree


def _mapped(path: Path, offset: int, entry: dict) -> np.ndarray:
    dtype = {"I32": np.int32, "I64": np.int64}[entry["dtype"]]
    begin, end = entry["data_offsets"]
    (count,) = entry["shape"]
    if end - begin != count * np.dtype(dtype).itemsize:
        raise ValueError("an array has not the size that the header tells")
    return np.memmap(path, dtype, "r", offset + begin, (count,)).view(np.ndarray) if count else np.empty(0, dtype)


def cached_tree(folder: str | Path, key: str, titles: Sequence[Sequence[int]], soi: int, eoi: int) -> TitleTree:
    """The tree of `titles` out of `folder`, where it is put when it is not there or not whole."""
    path = Path(folder) / f"{key[:32]}.safetensors"
    try:
        return load_tree(path, key)
    except (OSError, ValueError):
        tree = build_tree(titles, soi, eoi)
        save_tree(tree, path, key)
        return tree
