"""A teacher opened by its address: a server, a local checkpoint, a recording or the co-occurrence of a dataset."""

from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from train_utils.files.atomic import digest
from train_utils.teacher.http_client import HttpTeacher
from train_utils.teacher.protocol import Teacher
from train_utils.teacher.recorded import RecordedTeacher
from train_utils.teacher_address import address_parts

# Seconds that a teacher's server has to answer where users wait: scores of a batch take milliseconds.
WHILE_USERS_WAIT_S = 2.0


def open_teacher(spec: str, within_s: float | None = None) -> Teacher:
    """Return a teacher from its description.

    Args:
        spec: "host:port" or "http://host:port" is a server, "http://host:port/NAME" a server of several datasets,
            "local:PATH" a checkpoint or the folder of its runs, "file:PATH" a recording, "ease:FOLDER" EASE on the
            training events of a dataset, and "TEACHER+ease:FOLDER" a teacher, no recording, with EASE added.
        within_s: seconds that a server may be silent, and for which it is asked again; None waits for minutes, as a
            training run should.

    Raises:
        ValueError: another text, or a broken file.
    """
    first, ease = address_parts(spec)
    if ease and first.startswith("file:"):
        raise ValueError(
            f"the teacher is {first!r} with EASE added, and a recording has the best items of each list alone; record "
            "TEACHER+ease:FOLDER, and name the recording by itself"
        )
    if ease:
        from train_utils.teacher.ease_teacher import BlendedTeacher, EaseTeacher  # SciPy; the others need none

        # Before the other teacher, which would have to be closed again where the dataset is broken.
        co_occurrence = EaseTeacher(ease)
        return BlendedTeacher(open_teacher(first, within_s), co_occurrence) if first else co_occurrence
    kind, _, path = spec.partition(":")
    if kind == "file" and path:
        return RecordedTeacher(path)
    if kind == "local" and path:
        from train_utils.teacher.local import LocalTeacher  # torch and UniRec; the other teachers need neither

        return LocalTeacher(path)
    with suppress(ValueError, httpx.InvalidURL):
        parts = urlsplit(spec if "://" in spec else f"http://{spec}")
        if parts.hostname and parts.port and _is_plain(parts):
            dataset = unquote(parts.path.strip("/")) or None
            if within_s is None:
                return HttpTeacher(parts.hostname, parts.port, dataset)
            return HttpTeacher(parts.hostname, parts.port, dataset, within_s, within_s, within_s)
    raise ValueError(
        'a teacher is "http://host:port", "http://host:port/DATASET", "host:port", "local:PATH", "file:PATH", '
        f'"ease:FOLDER" or "TEACHER+ease:FOLDER", got {spec!r}'
    )


def checkpoint_of(teacher: Teacher) -> str:
    """Return the digest of what a teacher inside this process is made from; "" where it, or a part, is elsewhere."""
    from train_utils.teacher.ease_teacher import BlendedTeacher, EaseTeacher
    from train_utils.teacher.local import LocalTeacher

    if isinstance(teacher, BlendedTeacher):
        first = checkpoint_of(teacher.first)
        return first and f"{first}, {checkpoint_of(teacher.ease)}"
    if isinstance(teacher, EaseTeacher):
        return f"EASE of {teacher.digest}"
    return f"sha256 {digest(teacher.path)[:16]}" if isinstance(teacher, LocalTeacher) else ""


def _is_plain(parts: SplitResult) -> bool:
    """Whether an http address has at most one name after host and port."""
    more = (parts.query, parts.fragment, parts.username)
    return parts.scheme == "http" and not any(more) and parts.path.rstrip("/").count("/") < 2
