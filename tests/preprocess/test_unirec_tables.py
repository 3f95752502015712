"""The table of histories: read as the one that pandas has pickled, written in memory that its arrays do not need."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from unirec_tables import unirec_table, write_histories

from train_utils.unirec_folder import read_pickle

ROOT = Path(__file__).parents[2]
WRITE_HISTORIES = """
import resource, sys
from pathlib import Path
import numpy as np
from unirec_tables import unirec_table, write_histories
n, used = int(sys.argv[2]), lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unirec_table(user_id=np.arange(3))
columns = np.arange(n), np.full(n, 2), np.arange(2 * n)
before = used()
write_histories(Path(sys.argv[1]), *columns)
print(used() - before)
"""


def plain_table(users: np.ndarray, lengths: np.ndarray, items: np.ndarray) -> pd.DataFrame:
    """Return the table with all of its arrays."""
    column = np.empty(len(users), dtype=object)
    column[:] = np.split(items, np.cumsum(lengths))[:-1]
    return unirec_table(user_id=users, item_seq=column)


def assert_same_tables(actual: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(actual, expected, check_column_type="exact")
    assert [array.dtype for array in actual["item_seq"]] == [array.dtype for array in expected["item_seq"]]
    assert all(type(array) is np.ndarray and array.flags.writeable for array in actual["item_seq"])


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5), max_size=400), st.integers(0, 9))
def test_histories_are_read_as_those_that_pandas_has_pickled(tmp_path_factory, sizes, seed):
    folder, lengths = tmp_path_factory.mktemp("tables"), np.array(sizes, dtype=np.int64)
    items = np.random.default_rng(seed).integers(1, 10**6, lengths.sum())
    users = np.arange(1, len(lengths) + 1)
    write_histories(folder / "ours.pkl", users, lengths, items)
    plain_table(users, lengths, items).to_pickle(folder / "plain.pkl")
    expected = pd.read_pickle(folder / "plain.pkl")
    for read in (pd.read_pickle, read_pickle):
        assert_same_tables(read(folder / "ours.pkl"), expected)
    write_histories(folder / "again.pkl", users, lengths, items)
    assert (folder / "again.pkl").read_bytes() == (folder / "ours.pkl").read_bytes()


def test_histories_take_less_memory_than_their_arrays(tmp_path):
    """A NumPy array takes 112 bytes without its contents."""
    n = 100_000
    command = [sys.executable, "-c", WRITE_HISTORIES, str(tmp_path / "x.pkl"), str(n)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "preprocess")])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * (1 if sys.platform == "darwin" else 1024) < 112 * n
