"""Teacher lists in a SQLite file: each query is sent once, and its answer is recorded as it comes."""

import json
import sqlite3
import threading
from array import array
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, cast, overload

from train_utils.files.json_files import json_value
from train_utils.printable import one_line
from train_utils.teacher.protocol import History, ScoredLists, Teacher, TeacherError, TeacherRefusal, check_ranking

_CachedRanking = tuple[int, list[str], list[float]]  # k of the query, items, probabilities
# Nothing else may be in a file: a view, trigger or generated column would run SQL of the file's choice.
_TABLES = {
    "answers": "answers (history TEXT PRIMARY KEY, k INTEGER, items TEXT, probabilities BLOB) WITHOUT ROWID",
    "teacher": "teacher (whose TEXT)",
}
MAX_ROW_BYTES = 16 << 20  # a ranking of a million items
_SCHEMA_STEPS = 10_000  # instructions of SQLite that reading the schema may take; two tables take about 50


def open_recording(path: Path, writes: bool) -> sqlite3.Connection:
    """Open a recording that a stranger may have written, and verify that it has our tables alone.

    Args:
        path: the file; created if it is missing and `writes`.
        writes: whether answers are added; else the file is opened read-only.

    Raises:
        sqlite3.Error: the file is no database, or damaged.
        ValueError: it has something else than our tables.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    mode = "rwc" if writes else "ro"
    file = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, check_same_thread=False)
    try:
        # The system's SQLite may have other defaults.
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            file.execute(f"PRAGMA {setting}")
        file.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
        file.set_progress_handler(lambda: 1, _SCHEMA_STEPS)  # ends what takes longer
        tables = file.execute("SELECT name, sql FROM sqlite_schema LIMIT ?", (len(_TABLES) + 1,)).fetchall()
        file.set_progress_handler(None, 0)
        for name, sql in tables:
            if name not in _TABLES or sql != f"CREATE TABLE {_TABLES[name]}":
                raise ValueError(f"it has {name!r}, which no recording has")
        if writes:
            file.execute(f"CREATE TABLE IF NOT EXISTS {_TABLES['answers']}")
        file.execute("SELECT history, k, items, probabilities FROM answers LIMIT 1")
    except BaseException:
        file.close()
        raise
    return file


def _ranking(k: object, items: object, probabilities: object) -> _CachedRanking:
    """Return a row's ranking.

    Raises:
        ValueError: the row is not one that this module writes.
    """
    if not isinstance(k, int) or not isinstance(items, str) or not isinstance(probabilities, bytes):
        raise ValueError("a row has values of other types")
    ids, numbers = json_value(items), array("d", probabilities).tolist()
    check_ranking(ids, numbers, k)
    return k, cast("list[str]", ids), numbers


def _reason(error: Exception) -> str:
    return one_line(str(error), 200)  # SQLite names parts of the file


class RecordedTeacher:
    """Answers what `path` records, and asks `inner` for the rest, which is then recorded in one transaction.

    whose: what distinguishes the teacher from others, such as the digest of its checkpoint; "" where that is not known.
    Answers of another teacher are not mixed with its own. Without `inner` the file is only read, and what it
    lacks is an error. Usable from several threads of one process.

    Raises:
        TeacherError: a recording of another teacher; no file and no `inner`; a file that is no recording; without
            `inner`, a history or a `k` that was not recorded.
    """

    def __init__(self, path: str | Path, inner: Teacher | None = None, whose: str = "") -> None:
        self.path, self._inner = Path(path), inner
        self._lock = threading.Lock()
        if inner is None and not self.path.is_file():
            raise TeacherError(f"there is no recording {str(path)!r}; a training run with `teacher_record` writes one")
        if inner is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open_recording(self.path, writes=inner is not None)
        except (sqlite3.Error, ValueError) as error:
            raise TeacherError(f"{self.path} is not a recording of a teacher's answers ({_reason(error)})") from None
        if inner is not None and whose:
            self._claim(whose)

    def _claim(self, whose: str) -> None:
        """Record the teacher in the file, or refuse one that holds the answers of another."""
        try:
            with self._file:
                self._file.execute(f"CREATE TABLE IF NOT EXISTS {_TABLES['teacher']}")
                noted = self._file.execute("SELECT whose FROM teacher").fetchone()
                if noted is None:
                    self._file.execute("INSERT INTO teacher VALUES (?)", (whose,))
        except sqlite3.Error as error:
            raise TeacherError(f"the recording {self.path} cannot be written ({_reason(error)})") from None
        if noted is not None and noted[0] != whose:
            self._file.close()
            raise TeacherError(
                f"{self.path} records the answers of another teacher ({one_line(str(noted[0]), 80)}, now {whose}); "
                "delete it, or give another path"
            )

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`."""
        keys = [json.dumps(list(history)) for history in histories]
        with self._lock:
            known = self._known(keys, k)
        missing = {key: history for key, history in zip(keys, histories, strict=True) if key not in known}
        if missing:
            rankings = self._ask(list(missing.values()), k)
            known |= zip(missing, rankings, strict=True)
            with self._lock:
                self._record({key: known[key] for key in missing})
        lists = [known[key][1][:k] for key in keys]
        return (lists, [known[key][2][:k] for key in keys]) if scores else lists

    def close(self) -> None:
        """Close the file, and the teacher that is recorded."""
        if self._inner is not None:
            self._inner.close()
        with self._lock:
            self._file.close()

    def _known(self, keys: Sequence[str], k: int) -> dict[str, _CachedRanking]:
        """Return recorded answers for at least `k` items."""
        rankings: dict[str, _CachedRanking] = {}
        try:
            with closing(self._file.cursor()) as cursor:
                for key in dict.fromkeys(keys):
                    row = cursor.execute(
                        "SELECT k, items, probabilities FROM answers WHERE history = ? AND k >= ?", (key, k)
                    ).fetchone()
                    if row:
                        rankings[key] = _ranking(*row)
        except (sqlite3.Error, ValueError) as error:
            raise TeacherError(f"the recording {self.path} cannot be read ({_reason(error)}); record again") from None
        return rankings

    def _ask(self, histories: Sequence[History], k: int) -> list[_CachedRanking]:
        if self._inner is None:
            raise TeacherRefusal(
                f"{self.path} records no answer of {k} items for the history "
                f"{list(histories[0])[-10:]}; record again from a running teacher"
            )
        lists, probabilities = self._inner.top_k(histories, k, scores=True)
        rankings = [(k, list(items), list(p)) for items, p in zip(lists, probabilities, strict=True)]
        try:
            for _, items, p in rankings:
                check_ranking(items, p, k)
        except ValueError as error:
            raise TeacherError(f"the teacher's answer is not recorded: {error}") from None
        return rankings

    def _record(self, answers: Mapping[str, _CachedRanking]) -> None:
        rows = [
            (key, k, json.dumps(items, ensure_ascii=False), array("d", p).tobytes())
            for key, (k, items, p) in answers.items()
        ]
        try:
            with self._file:
                self._file.executemany("REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise TeacherError(f"the teacher's answers cannot be written to {self.path} ({_reason(error)})") from None
