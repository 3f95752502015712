"""A teacher opened by its address: a server, a local checkpoint or a recording."""

from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from train_utils.files import digest
from train_utils.teacher.http_client import HttpTeacher
from train_utils.teacher.protocol import Teacher
from train_utils.teacher.recorded import RecordedTeacher

# Seconds that a teacher's server has to answer where users wait: scores of a batch take milliseconds.
WHILE_USERS_WAIT_S = 2.0


def open_teacher(spec: str, within_s: float | None = None) -> Teacher:
    """Return a teacher from its description.

    Args:
        spec: "host:port" or "http://host:port" is a server, "http://host:port/NAME" a server of several datasets,
            "local:PATH" a checkpoint or the folder of its runs, "file:PATH" a recording.
        within_s: seconds that a server may be silent, and for which it is asked again; None waits for minutes, as a
            training run should.

    Raises:
        ValueError: another text, or a broken file.
    """
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
        'a teacher is "http://host:port", "http://host:port/DATASET", "host:port", "local:PATH" or "file:PATH", '
        f"got {spec!r}"
    )


def checkpoint_of(teacher: Teacher) -> str:
    """Return the digest of the checkpoint of a teacher inside this process; "" where the teacher is elsewhere."""
    from train_utils.teacher.local import LocalTeacher

    return f"sha256 {digest(teacher.path)[:16]}" if isinstance(teacher, LocalTeacher) else ""


def _is_plain(parts: SplitResult) -> bool:
    """Whether an http address has at most one name after host and port."""
    more = (parts.query, parts.fragment, parts.username)
    return parts.scheme == "http" and not any(more) and parts.path.rstrip("/").count("/") < 2
