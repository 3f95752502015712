"""Recordings of a teacher: what they answer are rankings with probabilities, whatever is in the file."""

import math
from pathlib import Path

from damage import Reader

from train_utils.teacher.recorded import RecordedTeacher

HISTORIES = [[f"i{n}", f"i{n + 1}"] for n in range(60)]
K = 5


class FixedTeacher:
    """Teacher of one ranking."""

    def top_k(self, histories, k, scores=False):
        lists = [[f"x{n}" for n in range(k)] for _ in histories]
        return (lists, [[0.5 / (n + 1) for n in range(k)] for _ in histories]) if scores else lists

    def close(self) -> None:
        pass


def write(folder: Path) -> None:
    recording = RecordedTeacher(folder / "answers.sqlite", FixedTeacher(), "digest")
    recording.top_k(HISTORIES, K, scores=True)
    recording.close()


def check_answers(recording: RecordedTeacher) -> None:
    for history in HISTORIES:
        (items,), (probabilities,) = recording.top_k([history], K, scores=True)
        assert len(items) == len(probabilities) <= K and all(isinstance(item, str) for item in items)
        assert all(math.isfinite(p) and 0 <= p <= 1.001 for p in probabilities)


def read(folder: Path) -> None:
    recording = RecordedTeacher(folder / "answers.sqlite")
    try:
        check_answers(recording)
    finally:
        recording.close()


def extend(folder: Path) -> None:
    recording = RecordedTeacher(folder / "answers.sqlite", FixedTeacher(), "digest")
    try:
        check_answers(recording)
        recording.top_k([[f"new{n}"] for n in range(50)], K)
    finally:
        recording.close()


WORDS = (b"VIEW", b"TRIGGER", b"GENERATED ALWAYS AS (1)", b"\x7f\xf8\0\0\0\0\0\0", b"[" * 3000, b"WITH RECURSIVE")
READERS = [Reader("recording", write, read, WORDS), Reader("recording, extended", write, extend, WORDS)]
