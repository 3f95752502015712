"""A recording of a stranger's runs no SQL of its own, and gives rankings with probabilities or one line."""

import json
import sqlite3
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from damage import faults
from fuzz_recording import HISTORIES, READERS, FixedTeacher, K, write

from train_utils.teacher.protocol import TeacherError
from train_utils.teacher.recorded import RecordedTeacher

ROOT = Path(__file__).parents[2]
ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT"
SCHEMAS = {
    "an endless view": f"CREATE VIEW answers AS {ENDLESS} x AS history, x AS k, x AS items, x AS probabilities FROM r",
    "a view that sorts an endless table": f"""CREATE VIEW answers AS {ENDLESS} 'a' AS history, 9 AS k, x AS items,
        hex(zeroblob(1000)) AS probabilities FROM r ORDER BY x DESC""",
    "a generated column": """CREATE TABLE answers (history TEXT PRIMARY KEY, k INTEGER AS (length(zeroblob(900000000))),
        items TEXT, probabilities BLOB) WITHOUT ROWID""",
    "a check": """CREATE TABLE answers (history TEXT PRIMARY KEY, k INTEGER CHECK (length(hex(zeroblob(1e9))) > 0),
        items TEXT, probabilities BLOB) WITHOUT ROWID""",
    "a view of the teacher": f"CREATE VIEW teacher AS {ENDLESS} x AS whose FROM r ORDER BY x DESC",
    "a trigger": f"""CREATE TRIGGER t AFTER INSERT ON answers BEGIN
        INSERT INTO answers {ENDLESS} x, 1, 1, 1 FROM r; END""",
    "an index by an expression": "CREATE INDEX i ON answers (length(zeroblob(900000000)))",
    "a table with a line break": 'CREATE TABLE "a\nb\x1b[2J" (x)',
}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_recording_is_refused_or_gives_rankings(reader):
    assert faults(reader, range(40)) == []


def use(path: str) -> None:
    """Read and extend a recording with little memory, and print how each ended."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    for inner in (None, FixedTeacher()):
        try:
            RecordedTeacher(path, inner, "digest" if inner else "").top_k(HISTORIES, K, scores=True)
        except TeacherError as error:
            print("refused:", error)
        else:
            print("answered")


def used(path: Path) -> list[str]:
    code = f"import sys; sys.path[:0] = {[str(ROOT), str(Path(__file__).parent)]}\n"
    code += f"import test_hostile_recording; test_hostile_recording.use({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SCHEMAS)
def test_sql_in_a_recording_is_never_run(tmp_path, name):
    path = tmp_path / "answers.sqlite"
    sql = SCHEMAS[name]
    if "TABLE answers (" not in sql and "VIEW answers" not in sql:
        write(tmp_path)
    with sqlite3.connect(path) as file:
        if "VIEW teacher" in sql:
            file.execute("DROP TABLE teacher")
        file.execute(sql)
    outcomes = used(path)
    assert [line.startswith("refused: ") and "which no recording has" in line for line in outcomes] == [True, True]


def test_a_schema_of_a_hundred_thousand_tables_is_refused_before_it_is_read(tmp_path):
    write(tmp_path)
    with sqlite3.connect(tmp_path / "answers.sqlite") as file:
        file.execute("PRAGMA writable_schema = ON")
        rows = ((f"t{n}", f"CREATE VIRTUAL TABLE t{n} USING x(a)") for n in range(100_000))
        file.executemany("INSERT INTO sqlite_schema VALUES ('table', ?1, ?1, 0, ?2)", rows)
    assert all("interrupted" in line for line in used(tmp_path / "answers.sqlite"))


@pytest.mark.parametrize(
    "column,value",
    [
        ("probabilities", array("d", [float("nan")] * K).tobytes()),
        ("probabilities", array("d", [-1.0] * K).tobytes()),
        ("probabilities", array("d", [float("inf")] * K).tobytes()),
        ("probabilities", array("d", [0.1] * (K - 1)).tobytes()),
        ("probabilities", array("d", [0.1] * K).tobytes()[:-1]),
        ("probabilities", "0.1 0.1 0.1 0.1 0.1"),
        ("probabilities", None),
        ("items", '["a", "b"]'),
        ("items", '["a", "b", "c", "d", 5]'),
        ("items", '"abcde"'),
        ("items", "[" * 100_000),
        ("items", b"\xff"),
        ("items", None),
        ("k", "many"),
        ("k", 10**6 + 0.5),
    ],
)
def test_a_row_that_is_no_ranking_is_refused(tmp_path, column, value):
    write(tmp_path)
    with sqlite3.connect(tmp_path / "answers.sqlite") as file:
        file.execute(f"UPDATE answers SET {column} = ?", (value,))
    recording = RecordedTeacher(tmp_path / "answers.sqlite")
    with pytest.raises(TeacherError, match=r"cannot be read \(.*\); record again") as caught:
        recording.top_k(HISTORIES[:1], K, scores=True)
    assert "\n" not in str(caught.value)


def test_a_row_above_the_limit_is_refused(tmp_path):
    write(tmp_path)
    with sqlite3.connect(tmp_path / "answers.sqlite") as file:
        file.execute("UPDATE answers SET items = zeroblob(20000000) WHERE history = ?", (json.dumps(HISTORIES[0]),))
    assert used(tmp_path / "answers.sqlite")[0].startswith("refused: ")


def test_reading_a_recording_changes_no_byte_of_it(tmp_path):
    write(tmp_path)
    path = tmp_path / "answers.sqlite"
    before = path.read_bytes()
    path.chmod(0o444)
    recording = RecordedTeacher(path)
    recording.top_k(HISTORIES, K)
    recording.close()
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_answer_that_is_no_ranking_is_not_recorded(tmp_path):
    class Broken(FixedTeacher):
        def top_k(self, histories, k, scores=False):
            return [["a"]], [[float("nan")]]

    recording = RecordedTeacher(tmp_path / "a", Broken())
    with pytest.raises(TeacherError, match="not recorded: a ranking has probabilities"):
        recording.top_k([["h"]], 1)
