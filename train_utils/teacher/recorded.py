"""Teacher lists in a SQLite file: each query is sent once, and its answer is recorded as it comes."""

import json
import sqlite3
import threading
from array import array
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, overload

from train_utils.teacher.protocol import History, ScoredLists, Teacher, TeacherError

_CachedRanking = tuple[int, list[str], list[float]]  # k of the query, items, probabilities


class RecordedTeacher:
    """Answers what `path` records, and asks `inner` for the rest, which is then recorded in one transaction.

    whose: what tells the teacher from others, such as the digest of its checkpoint; "" where that is not known. Answers
    of another teacher are not mixed with its own. Without `inner` the file is only read, and what it lacks is an error.
    Usable from several threads of one process.

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
        mode = "ro" if inner is None else "rwc"
        try:
            self._file = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, check_same_thread=False
            )
            if inner is not None:
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS answers (history TEXT PRIMARY KEY, k INTEGER, "
                    "items TEXT, probabilities BLOB) WITHOUT ROWID"
                )
            self._file.execute("SELECT history, k, items, probabilities FROM answers LIMIT 1")
        except sqlite3.Error as error:
            raise TeacherError(f"{self.path} is not a recording of a teacher's answers ({error})") from None
        if inner is not None and whose:
            self._claim(whose)

    def _claim(self, whose: str) -> None:
        """Record the teacher in the file, or refuse one that holds the answers of another."""
        try:
            with self._file:
                self._file.execute("CREATE TABLE IF NOT EXISTS teacher (whose TEXT)")
                noted = self._file.execute("SELECT whose FROM teacher").fetchone()
                if noted is None:
                    self._file.execute("INSERT INTO teacher VALUES (?)", (whose,))
        except sqlite3.Error as error:
            raise TeacherError(f"the recording {self.path} cannot be written ({error})") from None
        if noted is not None and noted[0] != whose:
            self._file.close()
            raise TeacherError(
                f"{self.path} records the answers of another teacher ({noted[0]}, now {whose}); delete "
                "it, or give another path"
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
                        rankings[key] = (row[0], json.loads(row[1]), array("d", row[2]).tolist())
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise TeacherError(f"the recording {self.path} cannot be read ({error}); record again") from None
        return rankings

    def _ask(self, histories: Sequence[History], k: int) -> list[_CachedRanking]:
        if self._inner is None:
            raise TeacherError(
                f"{self.path} records no answer of {k} items for the history "
                f"{list(histories[0])[-10:]}; record again from a running teacher"
            )
        lists, probabilities = self._inner.top_k(histories, k, scores=True)
        return [(k, list(items), list(p)) for items, p in zip(lists, probabilities, strict=True)]

    def _record(self, answers: Mapping[str, _CachedRanking]) -> None:
        rows = [
            (key, k, json.dumps(items, ensure_ascii=False), array("d", p).tobytes())
            for key, (k, items, p) in answers.items()
        ]
        try:
            with self._file:
                self._file.executemany("REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise TeacherError(f"the teacher's answers cannot be written to {self.path} ({error})") from None
