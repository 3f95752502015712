"""Readers of pickles: a dataset folder, UniRec's files, and every kind of plain value."""

import pickle
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
from damage import Reader
from teacher_world import write_ring
from transform2unirec import transform

from train_utils.dataset_folder import read_dataset
from train_utils.files.array_files import load_npy, load_npz
from train_utils.files.plain_pickle import restricted_load
from train_utils.unirec_folder import TABLES, UniRecFolder

# Opcodes that build, refer and call, and names that a file may use.
WORDS = (
    *(bytes([code]) for code in b"]})(.aseutRb0123q\x85\x86\x87\x93\x94\x8f\x90\x91\x81Nh"),
    b"h\x00", b"h\x01", b"\x94h\x00", b"\x85" * 300, b"(]" * 300, b"\x8c\x06latin1", b"\x8c\x08punycode",
    b"c_codecs\nencode\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy._core.multiarray\n_reconstruct\n",
    b"cnumpy._core.multiarray\nscalar\n", b"cbuiltins\nset\n", b"cbuiltins\nslice\n", b"ccollections\nCounter\n",
    b"cpandas\nDataFrame\n", b"cpandas._libs.internals\n_unpickle_block\n", b"C\x01b", b"\x8c\x02O8", b"\x8c\x02i8",
)  # fmt: skip


def write_plain(folder: Path) -> None:
    values = {
        "a": [1, -1, 300, 70000, 2**40, -(2**70), 2.5, None, True, b"x", "é"], "s": {1, "x"}, "f": frozenset([(1, 2)]),
        "o": OrderedDict(a=1), "d": defaultdict(list, x=[1]), "c": Counter("abc"), "n": np.arange(6).reshape(2, 3),
        "t": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ()), (1, "k"): {}, "u": np.array(["a", "bb"]), "z": np.float32(1),
        "w": np.array([[1], None, np.arange(2)], object), "m": np.array(["2020-01-01"], "M8[D]"),
    }  # fmt: skip
    values["again"] = [values["a"], values["n"]]
    for protocol in (0, 2, 4, 5):
        (folder / f"plain{protocol}.pkl").write_bytes(pickle.dumps(values, protocol))


def read_plain(folder: Path) -> None:
    for path in folder.glob("*.pkl"):
        repr(restricted_load(path, tables=True))


def write_dataset(folder: Path) -> None:
    items = {f"i{n}": {"title": f"Title {n}", "price": np.float32(n), "tags": ["a", "b"]} for n in range(5)}
    for name, value in {
        "metas": items,
        "category": {"one": {"i0", "i1"}, "two": np.array(["i2"])},
        "sequential": {f"u{n}": ["i0", "i1", "i2", "i3"] for n in range(4)},
    }.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(value))


def read_unirec(folder: Path) -> None:
    files = UniRecFolder(folder)
    files.ids()
    for table in TABLES:
        files.events(table)


def write_copied(folder: Path) -> None:
    write_dataset(folder)
    transform(folder, folder, folder / "x.yaml")
    for path in (*folder.glob("*.pickle"), folder / "x.yaml", folder / "category.jsonl"):
        path.unlink()


def write_arrays(folder: Path) -> None:
    np.save(folder / "a.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    np.savez(folder / "b.npz", x=np.arange(3), y=np.empty(0))


def read_arrays(folder: Path) -> None:
    load_npy(folder / "a.npy")
    load_npz(folder / "b.npz")


ARRAY_WORDS = (b"10000000000000", b"(" * 200, b"'|O'", b"'<f8'", b"-1", b"{}", b"True", b"PK\x01\x02", b"PK\x05\x06")

READERS = [
    Reader("pickles of plain values", write_plain, read_plain, WORDS),
    Reader("pickles of a dataset folder", write_dataset, read_dataset, WORDS),
    Reader("pickles of UniRec", lambda folder: write_ring(folder / "ring"), lambda f: read_unirec(f / "ring"), WORDS),
    Reader("copies of UniRec's pickles", write_copied, read_unirec, (*WORDS, *ARRAY_WORDS)),
    Reader("npy and npz files", write_arrays, read_arrays, ARRAY_WORDS),
]
