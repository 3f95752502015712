"""Pickles: plain data come back equal to what `pickle.load` gives, anything else ends in one line."""

import json
import os
import pickle
import struct
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from damage import faults
from fuzz_pickles import READERS, write_copied, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils import unirec_folder
from train_utils.dataset_folder import read_dataset
from train_utils.files import pickle_limits
from train_utils.files.atomic import digest
from train_utils.files.pickle_limits import MAX_DEPTH, MAX_INT_BYTES
from train_utils.files.plain_pickle import restricted_load
from train_utils.unirec_folder import TABLES as TEACHER_TABLES
from train_utils.unirec_folder import UniRecFolder

ROOT = Path(__file__).resolve().parents[2]
PROTOCOLS = range(6)
PROTO = b"\x80\x04"


@pytest.fixture
def load(tmp_path):
    """load(bytes) -> the value of a file with these bytes."""

    def read(data: bytes) -> object:
        (tmp_path / "x.pkl").write_bytes(data)
        return restricted_load(tmp_path / "x.pkl", tables=True)

    return read


def assert_equal(actual: object, expected: object) -> None:
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(actual, expected)
    elif isinstance(expected, np.ndarray):
        assert type(actual) is np.ndarray and actual.shape == expected.shape and actual.flags.writeable
        assert actual.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        for ours, theirs in zip(actual.flat, expected.flat, strict=True):
            assert_equal(ours, theirs)
    elif isinstance(expected, dict):
        assert type(actual) is dict and list(actual) == list(expected)
        for key in expected:
            assert_equal(actual[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(actual) is type(expected)
        for ours, theirs in zip(actual, expected, strict=True):
            assert_equal(ours, theirs)
    else:
        assert type(actual) is type(expected) and (actual == expected or expected != expected)


# -- what is read ------------------------------------------------------------------------------------------------------
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=300) | st.text(max_size=300)
    | st.sampled_from([2**2000, -(2**63), "\ud800", np.float32(2), np.int64(-3), np.str_("x"), np.bool_(True)])
)  # fmt: skip
KEYS = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=3)) | st.floats(allow_nan=False)
VALUES = st.recursive(
    LEAVES | st.frozensets(KEYS, max_size=4) | st.sets(KEYS, max_size=4),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(KEYS, inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict)
    | st.dictionaries(KEYS, inner, max_size=3).map(lambda value: defaultdict(list, value))
    | st.lists(KEYS, max_size=5).map(Counter) | inner.map(lambda value: [value, value]),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(value=VALUES, protocol=st.integers(0, 5))
def test_plain_data_come_as_pickle_reads_them(tmp_path_factory, value, protocol):
    path = tmp_path_factory.getbasetemp() / "plain.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    assert_equal(restricted_load(path), pickle.loads(path.read_bytes()))


def column(*values: object) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


ARRAYS = [
    np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(5), np.array([]),
    np.empty((0, 3)), np.array(["a", "bb"]), np.array([b"a"]), np.array(["é"], ">U1"), np.array([True, False]),
    np.arange(3, dtype=">i4"), np.array([1 + 2j], np.complex64), np.array(["2020-01-01"], "M8[ns]"),
    np.timedelta64(5, "25s"), np.datetime64("2020-01-01"), np.float16(1), np.str_(""), np.bytes_(b"q"),
    column(np.arange(2), np.arange(3)), column(np.arange(2), np.arange(2)), column([1], "a", None, (1, {2: 3})),
    column(column("a", "b"), column()), column(np.arange(4)).reshape(1, 1),
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_come_as_pickle_reads_them(load, protocol):
    for array in ARRAYS:
        data = pickle.dumps([array, array], protocol)
        assert_equal(load(data), pickle.loads(data))


TABLE = pd.DataFrame({"user_id": np.arange(3), "x": [1.5, 2, 3], "t": ["a", None, "c"], "y": [3, 4, 5],
                      "seq": column(np.arange(2), [1], np.arange(3)), "b": [True, False, True]})  # fmt: skip
TABLES = [
    TABLE, TABLE.set_axis([5, 7, 9]), TABLE.set_axis(pd.Index(list(TABLE), dtype=object), axis=1), TABLE.iloc[:0],
    pd.DataFrame(), TABLE[["user_id", "y"]], TABLE.iloc[::-1], TABLE.set_axis(["a"] * 6, axis=1),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(2, 6))
def test_tables_come_as_pandas_reads_them(load, protocol):
    for table in TABLES:
        data = pickle.dumps(table, protocol)
        assert_equal(load(data), pickle.loads(data))


class Named:
    """Pickled as a call of a name that is spelled as older versions of a library spell it."""

    def __init__(self, name: str, *arguments: object, state: object = None):
        self.name, self.arguments, self.state = name, arguments, state


def opcodes(value: object) -> bytes:
    """Opcodes of a value in which `Named` are calls."""
    if isinstance(value, Named):
        call = b"c" + value.name.replace(" ", "\n").encode() + b"\n"
        if not value.arguments and value.state is None:
            return call
        state = b"" if value.state is None else opcodes(value.state) + b"b"
        return call + opcodes(value.arguments) + b"R" + state
    if type(value) in (tuple, list):
        return b"(" + b"".join(map(opcodes, value)) + (b"t" if type(value) is tuple else b"l")
    if type(value) is dict:
        return b"(" + b"".join(opcodes(part) for pair in value.items() for part in pair) + b"d"
    return pickle.dumps(value, 3)[2:-1]


def numbers_1() -> Named:
    dtype = Named("numpy dtype", "i8", 0, 1, state=(3, "<", None, None, None, -1, -1, 0))
    start = Named("numpy.core.multiarray _reconstruct", Named("numpy ndarray"), (0,), b"b")
    start.state = (1, (2, 3), dtype, False, np.arange(6).tobytes())
    return start


def names_1() -> Named:
    dtype = Named("numpy dtype", "O8", 0, 1, state=(3, "|", None, None, None, -1, -1, 63))
    start = Named("numpy.core.multiarray _reconstruct", Named("numpy ndarray"), (0,), b"b")
    start.state = (1, (2,), dtype, False, ["user_id", "item_id"])
    return Named("pandas.core.indexes.base _new_Index", Named("pandas.core.indexes.base Index"),
                 {"data": start, "name": None})  # fmt: skip


def rows_1() -> Named:
    parts = {"name": None, "start": 0, "stop": 3, "step": 1}
    return Named("pandas.core.indexes.base _new_Index", Named("pandas.core.indexes.range RangeIndex"), parts)


def test_tables_of_pandas_1_are_read(load):
    place = Named("__builtin__ slice", 0, 2, 1)
    axes = [names_1(), rows_1()]
    managers = [
        Named("pandas.core.internals.managers BlockManager",
              (Named(f"pandas.{name}", numbers_1(), place, 2),), axes)
        for name in ("_libs.internals _unpickle_block", "core.internals.blocks new_block")
    ]  # fmt: skip
    old = {"0.14.1": {"axes": axes, "blocks": [{"values": numbers_1(), "mgr_locs": place}]}}
    managers.append(Named("pandas.core.internals.managers BlockManager", state=(axes, [], [], old)))
    for manager, key in zip(managers, ("_mgr", "_mgr", "_data"), strict=True):
        state = {key: manager, "_typ": "dataframe", "_metadata": [], "attrs": {}}
        data = b"\x80\x03cpandas.core.frame\nDataFrame\n)\x81" + opcodes(state) + b"b."
        columns = pd.Index(["user_id", "item_id"], dtype=object)
        assert_equal(load(data), pd.DataFrame(np.arange(6).reshape(2, 3).T, columns=columns))


def test_dictionaries_and_texts_of_python_2_are_read(load):
    data = b"ccollections\nOrderedDict\n((lp0\n(lp1\nS'a'\np2\naI1\naa(lp3\nS'b\\''\naL2L\naatR."
    assert load(data) == pickle.loads(data) == {"a": 1, "b'": 2}


# -- what is refused ---------------------------------------------------------------------------------------------------
def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def array_of(shape: tuple, code: str, content: object, state: tuple = (3, "|", None, None, None, -1, -1, 0)) -> bytes:
    """A pickle of an array whose parts need not fit together."""
    call = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    dtype = b"cnumpy\ndtype\n(" + short(code) + b"\x89\x88tR" + opcodes(state) + b"b"
    return PROTO + call + b"(K\x01" + opcodes(shape) + dtype + b"\x89" + opcodes(content) + b"tb."


def tens(levels: int, dictionaries: bool = False) -> bytes:
    """Nested lists of ten references each to the one before: 10 ** levels elements in a few hundred bytes."""
    if dictionaries:
        inner = b"(" + b"".join(b"K" + bytes([n]) + b"h%c" for n in range(10)) + b"d"
    else:
        inner = b"(" + b"h%c" * 10 + b"l"
    first = b"]\x94"
    return PROTO + first + b"".join(inner.replace(b"%c", bytes([n])) + b"\x94" for n in range(levels)) + b"."


def nested(begin: bytes, end: bytes, depth: int) -> bytes:
    return PROTO + begin * depth + end * depth + b"."


ENCODED = b"c_codecs\nencode\n(" + short("x" * 200) + short("%") + b"tR."
REFUSED = {
    "an array of objects with too short a list": array_of((1000,), "O8", ["a"], (3, "|", None, None, None, -1, -1, 63)),
    "an array of objects that is filled with bytes": array_of((8,), "O8", b"x" * 64),
    "a dtype with a field behind its end": array_of((1,), "V8", b"x" * 8, (3, "|", None, ("f",), {"f": 1}, 8, 1, 63)),
    "a number of bytes that does not fit": array_of((10**12,), "i8", b"x" * 8, (3, "<", None, None, None, -1, -1, 0)),
    "an array of 10^12 empty rows": array_of((10**12, 0), "i8", b"", (3, "<", None, None, None, -1, -1, 0)),
    "an array of 10^12 empty texts": array_of((10**12,), "U0", b""),
    "a negative length": array_of((-1, -8), "i8", b"x" * 64),
    "a text of characters that do not exist": array_of((1,), "U1", b"\xff" * 4, (3, "<", None, None, None, 4, 4, 8)),
    "a key nested 300,000 deep": PROTO + b"})" + b"\x85" * 300_000 + b"K\x01s.",
    "a set of tuples nested deep": PROTO + b"\x8f()" + b"\x85" * 100_000 + b"\x90.",
    "lists nested 300,000 deep": nested(b"]", b"a", 300_000)[:-2] + b".",
    "tuples nested 300,000 deep": PROTO + b")" + b"\x85" * 300_000 + b".",
    "default dictionaries nested deep": nested(
        b"ccollections\ndefaultdict\n(cbuiltins\nlist\ntRK\x01", b"", 100_000)[:-1] + b"N" + b"s" * 100_000 + b".",
    "punycode": ENCODED.replace(short("%"), short("punycode")),
    "an unknown codec": ENCODED.replace(short("%"), short("klingon")),
    "UTF-7": ENCODED.replace(short("%"), short("utf7")),
    "10^12 elements in lists": tens(12),
    "10^12 elements in dictionaries": tens(12, dictionaries=True),
    "a list that contains itself": PROTO + b"]\x94h\x00a.",
    "a list that is changed after it was referred to": PROTO + b"]\x94h\x00\x86h\x00K\x01a.",
    "a list that grows after it was referred to": PROTO + b"]\x94(h\x00h\x00h\x00lh\x00K\x01a\x86.",
    "a set that grows after it was referred to": PROTO + b"\x8f\x94(h\x00h\x00lh\x00(K\x01\x90\x86.",
    "a huge index of the memo": PROTO + b"]j\xff\xff\xff\xff.",
    "a text that is longer than the file": PROTO + b"\x8d" + b"\xff" * 7 + b"\x7f.",
    "a number of a megabyte": PROTO + b"\x8b" + struct.pack("<I", 1 << 20) + b"\x7f" * (1 << 20) + b".",
    "a key that is a long number": PROTO + b"}\x8a\xff" + b"\x7f" * 255 + b"K\x01s.",
    "a key that is a list": PROTO + b"}]K\x01s.",
    "a key without a value": PROTO + b"}(K\x01u.",
    "a function": PROTO + b"cposix\nsystem\n(" + short("true") + b"tR.",
    "a class as a value": PROTO + b"](cbuiltins\nlist\nl.",
    "a call of a container": PROTO + b"cbuiltins\nlist\n(]tR.",
    "an unfinished array": PROTO + b"cnumpy\ndtype\n(" + short("i8") + b"\x89\x88tR.",
    "a table of one block twice": PROTO + b"cpandas._libs.internals\n_unpickle_block\n(NNK\x02tR.",
    "a date": pickle.dumps(date(2020, 1, 1)),
    "an object": pickle.dumps(Named("x")),
    "an extension": PROTO + b"\x82\x01.",
    "a persistent id": PROTO + b"K\x01Q.",
    "a buffer outside the file": PROTO + b"\x97.",
    "a duplicate of the stack": PROTO + b"]2.",
    "a protocol of the future": b"\x80\x09].",
    "an empty file": b"",
    "half a file": pickle.dumps([1, 2])[:-2],
    "a value too many": PROTO + b"K\x01K\x02.",
    "a mark too many": PROTO + b"(K\x01.",
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_plain_data_is_one_line(load, what):
    with pytest.raises(ValueError, match=r"^\S+ is not a pickle of plain data: .") as error:
        load(REFUSED[what])
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_keys_that_were_chosen_to_collide_are_refused_soon(load, monkeypatch):
    """Multiples of 2^61 - 1 all have the hash 0: a dictionary of n of them takes n ** 2 comparisons."""
    monkeypatch.setattr(pickle_limits, "FREE_HASHING", 0.01)
    keys = b"".join(b"\x8a\x0c" + (n * (2**61 - 1)).to_bytes(12, "little") + b"N" for n in range(20_000))
    for data in (PROTO + b"}(" + keys + b"u.", PROTO + b"\x8f(" + keys.replace(b"N\x8a", b"\x8a") + b"\x90."):
        with pytest.raises(ValueError, match="chosen to have equal hashes"):
            load(data)
    spread = dict.fromkeys(range(10**9, 10**9 + 200_000))
    assert load(pickle.dumps(spread)) == spread


def test_memory_stays_in_proportion_to_the_file(load):
    """Each file is a few megabytes at most, and would fill some gigabytes."""
    text = PROTO + b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"\x94"
    encode = b"c_codecs\nencode\n\x94" + short("latin1") + b"\x94"
    copies = text + encode + b"](" + b"h\x01h\x00h\x02\x86R" * 100_000 + b"e."
    array = array_of((1 << 20,), "i1", b"x" * (1 << 20))
    with pytest.raises(ValueError, match="refer to one another|cut off|not plain data"):
        load(copies)
    with pytest.raises(ValueError, match="refer to one another"):
        load(text + b"](" + b"h\x00" * 2_000_000 + b"e.")
    with pytest.raises(ValueError, match="refer to one another"):
        load(array[:-1] + b"\x94](" + b"h\x00" * 2_000_000 + b"e0.")


def test_a_value_may_be_as_deep_and_as_long_as_real_ones(load):
    value: object = "x"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert load(pickle.dumps(value)) == value
    number = 1 << (8 * MAX_INT_BYTES - 2)
    assert load(pickle.dumps(number)) == number
    genres = ["Drama", "War"]
    shared = {f"item {n}": genres for n in range(50_000)}
    assert load(pickle.dumps(shared)) == shared


def test_a_table_is_refused_where_plain_data_are_wanted(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(TABLE))
    with pytest.raises(ValueError, match="pandas.DataFrame, which is not plain data"):
        restricted_load(tmp_path / "x.pkl")


def test_plain_data_are_read_without_numpy_and_pandas(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": [1, 2.5, {3}]}))
    code = (
        "import sys; from train_utils.files.plain_pickle import restricted_load;"
        f"assert restricted_load({str(tmp_path / 'x.pkl')!r}) == {{'a': [1, 2.5, {{3}}]}};"
        "assert not {'numpy', 'pandas'} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment).returncode == 0


@pytest.fixture
def unirec(tmp_path) -> UniRecFolder:
    write_copied(tmp_path)
    return UniRecFolder(tmp_path)


def test_unirec_s_pickles_are_not_read_while_their_copies_are_of_them(unirec, monkeypatch):
    assert unirec.ids()[1] == ("[PAD]", *(f"i{n}" for n in range(5)))
    expected = {table: pd.read_pickle(unirec.path / f"{table}.pkl") for table in TEACHER_TABLES}
    read = []
    monkeypatch.setattr(unirec_folder, "read_pickle", lambda path: read.append(path) or pd.read_pickle(path))
    for table in ("train", "valid", "test"):
        users, items = unirec.events(table)
        assert users.tolist() == expected[table].user_id.tolist() and items.tolist() == expected[table].item_id.tolist()
    assert [array.tolist() for array in unirec.events("user_history")] == [
        array.tolist() for array in unirec.events("train")
    ]
    unirec.ids()
    assert not read


def test_a_pickle_of_unirec_that_was_changed_is_read_itself(unirec):
    table = pd.read_pickle(unirec.path / "train.pkl")
    table.assign(item_id=3).to_pickle(unirec.path / "train.pkl")
    assert unirec.events("train")[1].tolist() == [3] * len(table)
    maps = pickle.loads((unirec.path / "map.pkl").read_bytes())
    (unirec.path / "map.pkl").write_bytes(pickle.dumps(maps | {"item2id": {"[PAD]": 0, "other": 1}}))
    assert unirec.ids()[1] == ("[PAD]", "other")
    for name in ("events.npz", "map.json"):
        (unirec.path / name).unlink()
    assert UniRecFolder(unirec.path).events("test")[1].tolist() == [4] * 4


def test_copies_of_a_dataset_s_metadata_are_told_apart_from_changed_ones(tmp_path):
    write_dataset(tmp_path)
    metas = {f"i{n}": {"title": f"Title {n}"} for n in range(5)}
    (tmp_path / "metas.jsonl").write_text(json.dumps(metas))
    names = ("metas.jsonl", "metas.pickle")
    (tmp_path / "audit.json").write_text(json.dumps({"copies": {name: digest(tmp_path / name) for name in names}}))
    assert read_dataset(tmp_path).left_out == ()  # as preprocessing wrote them, whatever the second holds
    (tmp_path / "metas.jsonl").write_text(json.dumps(metas | {"i9": {"title": "x"}}))
    assert "metas.pickle, which holds something else" in read_dataset(tmp_path).left_out[0]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused(reader):
    assert faults(reader, range(40)) == []
