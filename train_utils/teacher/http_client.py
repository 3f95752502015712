"""Client of a teacher over HTTP."""

import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

import httpx

from train_utils.files.json_files import json_value
from train_utils.printable import one_line
from train_utils.teacher.protocol import History, ScoredLists, TeacherError, TeacherRefusal, check_ranking

logger = logging.getLogger(__name__)
# Of one request, each well below what the server takes (unirec/server_wire.py).
ROWS_A_REQUEST = 1024
IDS_A_REQUEST = 2**17
ANSWER_IDS_A_REQUEST = 2**23
_SILENT_S = 5.0  # of waiting, before it is said what is waited for
_LONGEST_WAIT_S = 5.0
_RETRIED_STATUS = (502, 503, 504)
# Bounds of an answer, whoever answers at the address. An id has up to 256 characters, each of up to 4 bytes.
MAX_ANSWER_BYTES = 1 << 30
_BYTES_AN_ID, _BYTES_OF_A_REASON = 1100, 1 << 16
_LONGEST_ANSWER_S = 600.0  # a large answer may take longer than `timeout`, as long as it goes on
_REASON_LENGTH = 300


class HttpTeacher:
    """Client of unirec/async_server.py. Connections stay open; usable from several threads.

    After a broken connection or a busy server a request is sent again, with jitter. A wrong address is thus reported
    soon, and a restart of the server ends no training run. Once that failed, each request is sent a single time, until
    the server answers again.

    Args:
        host: name or address of the server.
        port: port of the server.
        dataset: the dataset to ask for, where the server holds several.
        timeout: seconds without a byte of an answer.
        first_patience: seconds for which a request is sent again while the server has never answered.
        patience: the same, once it has answered.
        backoff: seconds before the first repetition; doubled up to 5 s.
    """

    def __init__(
        self,
        host: str,
        port: int,
        dataset: str | None = None,
        timeout: float = 60.0,
        first_patience: float = 15.0,
        patience: float = 600.0,
        backoff: float = 0.25,
    ) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.dataset = dataset
        self._port = port
        self._patience = first_patience
        self._later_patience = patience
        self._backoff = backoff
        self._closed = threading.Event()
        # trust_env off: a proxy of the environment must not be used between two processes of one machine
        # A packed answer could be of any size; the server sends none.
        self._client = httpx.Client(
            base_url=self.url, timeout=timeout, trust_env=False, headers={"Accept-Encoding": "identity"}
        )

    def close(self) -> None:
        """See `Teacher.close`."""
        self._closed.set()
        self._client.close()

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`; long lists of histories go in several requests (`request_bounds`).

        One request after the other: the server scores on one thread, and two in flight gained nothing measurable.
        """
        lists: list[list[str]] = []
        probabilities: list[list[float]] = []
        for start, end in request_bounds(list(map(len, histories)), k):
            chunk = histories[start:end]
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
        if self.dataset is not None:
            body["dataset"] = self.dataset
        most = min(MAX_ANSWER_BYTES, _BYTES_OF_A_REASON + _BYTES_AN_ID * len(histories) * k)
        status, content = self._post(body, most)
        if status != 200:
            failure = TeacherRefusal if 400 <= status < 500 else TeacherError
            raise failure(f"teacher at {self.url} refused ({status}): {_reason(content)}")
        try:
            answer: Any = json_value(content.decode())
            parts = [answer[name] for name in (("inference", "scores") if scores else ("inference",))]
            sizes = list(map(len, parts))
            for items, *probabilities in zip(*parts, strict=set(sizes) == {len(histories)}):
                check_ranking(items, probabilities[0] if scores else [0.0] * len(items), k)
        except (ValueError, KeyError, TypeError) as error:
            reason = one_line(repr(error), _REASON_LENGTH)
            raise TeacherError(f"{self.url} answers, but not like unirec/async_server.py: {reason}") from None
        if set(sizes) != {len(histories)}:
            raise TeacherError(f"teacher at {self.url} answered {sizes[0]} lists for {len(histories)} histories")
        return answer

    def _read(self, body: dict, most: int) -> tuple[httpx.Response, bytes]:
        """POST /inference once, and read the answer within `most` bytes and `_LONGEST_ANSWER_S`."""
        begun, content = time.monotonic(), bytearray()
        with self._client.stream("POST", "/inference", json=body) as response:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > most:
                    raise TeacherError(
                        f"teacher at {self.url} answers with more than {most} bytes; is it the right one?"
                    )
                if time.monotonic() - begun > _LONGEST_ANSWER_S or self._closed.is_set():
                    raise TeacherError(f"teacher at {self.url} took more than {_LONGEST_ANSWER_S:g} s for one answer")
        return response, bytes(content)

    def _post(self, body: dict, most: int) -> tuple[int, bytes]:
        """POST /inference, repeated while the server is away or busy and the patience lasts.

        Returns:
            The status and the body of the answer, which has at most `most` bytes.
        """
        started, wait, warned = time.monotonic(), self._backoff, False
        while not self._closed.is_set():
            pause = wait
            try:
                response, content = self._read(body, most)
                if response.status_code not in _RETRIED_STATUS:
                    self._patience = self._later_patience
                    return response.status_code, content
                reason = f"status {response.status_code}"
                pause = max(wait, _retry_after(response))
            except httpx.RequestError as error:
                reason = str(error) or type(error).__name__
            waited = time.monotonic() - started
            if waited > _SILENT_S and not warned:
                warned = True
                logger.warning(
                    "the teacher at %s does not answer (%s): the request is sent again for up to %.0f s",
                    self.url,
                    reason,
                    self._patience,
                )
            if waited + pause > self._patience:
                self._patience = 0.0
                raise TeacherError(
                    f"teacher at {self.url} does not answer ({reason}); "
                    f"start it with scripts/unirec_serve.sh {self.dataset or 'NAME'} {self._port}"
                )
            self._closed.wait(pause * random.uniform(0.5, 1.0))
            wait = min(2 * wait, _LONGEST_WAIT_S)
        raise TeacherError(f"the client of the teacher at {self.url} is closed")


def request_bounds(lengths: Sequence[int], k: int) -> Iterator[tuple[int, int]]:
    """Cut histories into requests of limited size.

    Args:
        lengths: items of each history.
        k: items of each list.

    Yields:
        (start, end) of each request, at least one history each.
    """
    rows = max(1, min(ROWS_A_REQUEST, ANSWER_IDS_A_REQUEST // max(1, k)))
    start = ids = 0
    for number, length in enumerate(lengths):
        if number > start and (number - start == rows or ids + length > IDS_A_REQUEST):
            yield start, number
            start, ids = number, 0
        ids += length
    if len(lengths):
        yield start, len(lengths)


def _retry_after(response: httpx.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), _LONGEST_WAIT_S) if seconds.isdecimal() and seconds.isascii() else 0.0


def _reason(content: bytes) -> str:
    text = content[:_BYTES_OF_A_REASON].decode("utf-8", "replace")
    try:
        answer = json_value(text)
    except ValueError:
        answer = None
    return one_line(str(answer["detail"]) if isinstance(answer, dict) and "detail" in answer else text, _REASON_LENGTH)
