"""Client of a teacher over HTTP."""

import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Literal, overload

import httpx

from train_utils.teacher.protocol import History, ScoredLists, TeacherError

logger = logging.getLogger(__name__)
# Of one request, each well below what the server takes (unirec/server_wire.py).
ROWS_A_REQUEST = 1024
IDS_A_REQUEST = 2**17
ANSWER_IDS_A_REQUEST = 2**23
_SILENT_S = 5.0  # of waiting, before it is said what is waited for
_LONGEST_WAIT_S = 5.0
_RETRIED_STATUS = (502, 503, 504)


class HttpTeacher:
    """Client of unirec/async_server.py. Connections stay open; usable from several threads.

    After a broken connection or a busy server a request is sent again, with jitter. A wrong address is thus reported
    soon, and a restart of the server ends no training run.

    Args:
        host: name or address of the server.
        port: port of the server.
        dataset: the dataset to ask for, where the server holds several.
        timeout: seconds that an answer may take.
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
        self._client = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

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
        response = self._post(body)
        if response.status_code != 200:
            raise TeacherError(f"teacher at {self.url} refused ({response.status_code}): {_reason(response)}")
        try:
            answer = response.json()
            sizes = [len(answer[name]) for name in (("inference", "scores") if scores else ("inference",))]
        except (ValueError, KeyError, TypeError) as error:
            raise TeacherError(f"{self.url} answers, but not like unirec/async_server.py: {error!r}") from error
        if set(sizes) != {len(histories)}:
            raise TeacherError(f"teacher at {self.url} answered {sizes[0]} lists for {len(histories)} histories")
        return answer

    def _post(self, body: dict) -> httpx.Response:
        """POST /inference, repeated while the server is away or busy and the patience lasts."""
        started, wait, warned = time.monotonic(), self._backoff, False
        while not self._closed.is_set():
            pause = wait
            try:
                response = self._client.post("/inference", json=body)
                if response.status_code not in _RETRIED_STATUS:
                    self._patience = self._later_patience
                    return response
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


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
