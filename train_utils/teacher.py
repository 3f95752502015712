"""Top items of a history from the sequential teacher, over HTTP or from a recorded file: one protocol."""

import json
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, overload
from urllib.parse import urlsplit

import httpx

History = Sequence[str]
ScoredLists = tuple[list[list[str]], list[list[float]]]

ROWS_A_REQUEST = 1024
_LONGEST_WAIT_S = 5.0
_RETRIED_STATUS = (502, 503, 504)


class TeacherError(ValueError):
    """The teacher does not answer, refuses the request, or its answer makes no sense."""


class Teacher(Protocol):
    """Anything that ranks the catalogue after a history."""

    @overload
    def top_k(
        self, histories: Sequence[History], k: int, scores: Literal[False] = False
    ) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(
        self, histories: Sequence[History], k: int, scores: bool = False
    ) -> list[list[str]] | ScoredLists:
        """The k best next items of each history, best first.

        histories: raw item ids, oldest first, any length; every id in a history is hidden from its answer.
        A list is shorter than k only when the catalogue holds fewer items outside the history.
        scores: return (lists, probabilities) instead, the probabilities over all items outside the history.
        TeacherError when there is no answer.
        """


@dataclass(frozen=True)
class Ranked:
    """The answer to one history: at most `k` items with their probabilities."""

    k: int
    items: tuple[str, ...]
    probabilities: tuple[float, ...]


class HttpTeacher:
    """Client of unirec/async_server.py. Connections stay open; usable from several threads.

    timeout: seconds a request may take. retries: further attempts after a broken connection or a busy server,
    `backoff` seconds apart at first, doubling up to 5 s, with jitter; the defaults outlast a restart of 10 s.
    """

    def __init__(
        self, host: str, port: int, timeout: float = 60.0, retries: int = 7, backoff: float = 0.25
    ) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._port = port
        self._retries = retries
        self._backoff = backoff
        # trust_env off: a proxy of the environment must not stand between two processes of one machine
        self._client = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def top_k(
        self, histories: Sequence[History], k: int, scores: bool = False
    ) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`; long lists of histories go in requests of 1024."""
        lists: list[list[str]] = []
        probabilities: list[list[float]] = []
        for start in range(0, len(histories), ROWS_A_REQUEST):
            chunk = histories[start : start + ROWS_A_REQUEST]
            answer = self._ask([list(history) for history in chunk], k, scores)
            lists += answer["inference"]
            probabilities += answer.get("scores", [])
        return (lists, probabilities) if scores else lists

    def _ask(self, histories: list[list[str]], k: int, scores: bool) -> dict:
        """One request and a checked answer."""
        body = {
            "users": list(range(len(histories))),
            "item_lengths": [len(history) for history in histories],
            "item_lists": histories,
            "k": k,
            "immediately": False,
            "return_scores": scores,
        }
        response = self._post(body)
        if response.status_code != 200:
            raise TeacherError(f"teacher at {self.url} refused ({response.status_code}): {_reason(response)}")
        try:
            answer = response.json()
            sizes = [len(answer[name]) for name in (("inference", "scores") if scores else ("inference",))]
        except (ValueError, KeyError, TypeError) as error:
            raise TeacherError(
                f"{self.url} answers, but not like unirec/async_server.py: {error!r}"
            ) from error
        if set(sizes) != {len(histories)}:
            raise TeacherError(
                f"teacher at {self.url} answered {sizes[0]} lists for {len(histories)} histories"
            )
        return answer

    def _post(self, body: dict) -> httpx.Response:
        """POST /inference, retried while the server is away or busy."""
        for attempt in range(self._retries + 1):
            wait = min(self._backoff * 2**attempt, _LONGEST_WAIT_S)
            try:
                response = self._client.post("/inference", json=body)
                if response.status_code not in _RETRIED_STATUS:
                    return response
                reason = f"status {response.status_code}"
                wait = max(wait, _retry_after(response))
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            if attempt < self._retries:
                time.sleep(wait * random.uniform(0.5, 1.0))
        raise TeacherError(
            f"teacher at {self.url} does not answer ({reason}); "
            f"start it with scripts/unirec_serve.sh NAME {self._port}"
        )


def _retry_after(response: httpx.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), _LONGEST_WAIT_S) if seconds.isdigit() else 0.0


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]


class FileTeacher:
    """Recorded answers: JSON lines {"history", "k", "items", "probabilities"}, by RecordingTeacher.save."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._answers: dict[tuple[str, ...], Ranked] = {}
        with self.path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                    ranked = Ranked(int(record["k"]), tuple(record["items"]), tuple(record["probabilities"]))
                    self._answers[tuple(record["history"])] = ranked
                except (ValueError, KeyError, TypeError) as error:
                    raise TeacherError(
                        f"{self.path}, line {number}, is not a recorded answer: {error!r}"
                    ) from error

    def top_k(
        self, histories: Sequence[History], k: int, scores: bool = False
    ) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`; TeacherError for a history, or a k, that was not recorded."""
        for history in histories:
            recorded = self._answers.get(tuple(history))
            if recorded is None or recorded.k < k:
                what = "no answer" if recorded is None else f"only {recorded.k} items"
                raise TeacherError(
                    f"{self.path} records {what} for the history {list(history)[-10:]}, wanted are {k}; "
                    "record again from a running teacher"
                )
        return _take(self._answers, histories, k, scores)


class RecordingTeacher:
    """Asks `inner` once per history, answers repeats from memory, and saves all it knows for FileTeacher."""

    def __init__(self, inner: Teacher, path: str | Path) -> None:
        self.path = Path(path)
        self._inner = inner
        self._answers: dict[tuple[str, ...], Ranked] = {}

    def top_k(
        self, histories: Sequence[History], k: int, scores: bool = False
    ) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`."""
        keys = dict.fromkeys(map(tuple, histories))
        missing = [key for key in keys if key not in self._answers or self._answers[key].k < k]
        if missing:
            found = self._inner.top_k(missing, k, scores=True)
            for key, items, probabilities in zip(missing, *found, strict=True):
                self._answers[key] = Ranked(k, tuple(items), tuple(probabilities))
        return _take(self._answers, histories, k, scores)

    def save(self) -> None:
        """Write every known answer to `path`, atomically."""
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                for history, ranked in self._answers.items():
                    record = {
                        "history": history,
                        "k": ranked.k,
                        "items": ranked.items,
                        "probabilities": ranked.probabilities,
                    }
                    stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _take(
    answers: Mapping[tuple[str, ...], Ranked], histories: Sequence[History], k: int, scores: bool
) -> list[list[str]] | ScoredLists:
    found = [answers[tuple(history)] for history in histories]
    lists = [list(ranked.items[:k]) for ranked in found]
    return (lists, [list(ranked.probabilities[:k]) for ranked in found]) if scores else lists


def open_teacher(spec: str) -> Teacher:
    """A teacher from its description: "http://host:port", "host:port", or "file:PATH"."""
    if spec.startswith("file:"):
        return FileTeacher(spec.removeprefix("file:"))
    try:
        parts = urlsplit(spec if "://" in spec else f"http://{spec}")
        port = parts.port
    except ValueError:
        parts, port = None, None
    if (
        parts is None
        or parts.scheme != "http"
        or not parts.hostname
        or port is None
        or parts.path not in ("", "/")
    ):
        raise ValueError(f'a teacher is "host:port", "http://host:port" or "file:PATH", got {spec!r}')
    return HttpTeacher(parts.hostname, port)
