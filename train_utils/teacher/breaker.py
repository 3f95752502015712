"""Teacher that is left alone for a while after it failed, so that nobody waits for it, and is tried again by itself."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from train_utils.teacher.protocol import History, ScoredLists, Teacher, TeacherError, TeacherRefusal

logger = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0


class TeacherPaused(TeacherError):
    """The teacher failed a moment ago and was not asked."""


class CircuitBreaker:
    """Teacher behind a circuit breaker; usable from several threads.

    After a failure the circuit is open: requests fail at once. After a pause one of them is sent in a thread of its
    own, for which nobody waits (half-open). An answer closes the circuit; without one the next pause is twice as long,
    up to a limit. Each change of state is logged once. A refusal is an answer and only fails its request: another
    history may be known to the teacher.

    Args:
        teacher: the teacher.
        name: name of its catalog, for the log.
        clock: seconds since any moment.
        start: runs the trial.

    Attributes:
        teacher: see above.
        outages: number of times that the circuit opened.
    """

    def __init__(
        self,
        teacher: Teacher,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] | None = None,
    ):
        self.teacher, self._name, self._clock = teacher, name, clock
        self._start = start or (lambda trial: threading.Thread(target=trial, name="teacher", daemon=True).start())
        self.outages = 0
        self._lock = threading.Lock()
        self._pause = 0.0  # seconds between trials; 0 while the circuit is closed
        self._trial_at = 0.0
        self._trying = self._refuses = False

    @property
    def is_open(self) -> bool:
        """Whether the teacher failed and has not answered since."""
        return self._pause > 0

    def close(self) -> None:
        """See `Teacher.close`."""
        self.teacher.close()

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> Any:
        """See `Teacher.top_k`.

        Raises:
            TeacherPaused: it failed a moment ago.
            TeacherError: it fails now, or refuses the request.
        """
        if self.is_open:
            if self._may_try():
                self._start(lambda: self._try(list(histories[:1])))
            raise TeacherPaused(f"the teacher of {self._name} failed a moment ago and is asked again later")
        try:
            answer = self.teacher.top_k(histories, k, scores=True) if scores else self.teacher.top_k(histories, k)
        except TeacherRefusal as error:
            self._note_refusal(str(error))
            raise
        except TeacherError as error:
            self._open(str(error))
            raise
        self._note_refusal("")
        return answer

    def _may_try(self) -> bool:
        with self._lock:
            due = self.is_open and not self._trying and self._clock() >= self._trial_at
            self._trying = self._trying or due
            return due

    def _try(self, histories: Sequence[History]) -> None:
        """Send one history, and close the circuit where it is answered."""
        try:
            self.teacher.top_k(histories, 1)
        except TeacherRefusal:
            pass  # the teacher answers
        except Exception as error:  # noqa: BLE001  # whatever it is, the circuit may not stay half-open
            logger.debug("the teacher of %s still fails: %s", self._name, error)
            with self._lock:
                self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
                self._trial_at, self._trying = self._clock() + self._pause, False
            return
        with self._lock:
            self._pause, self._trying = 0.0, False
        logger.warning("note: the teacher of %s answers again and moves lists", self._name)

    def _open(self, reason: str) -> None:
        with self._lock:
            if self.is_open:  # by a request that was under way at the same time
                return
            self.outages += 1
            self._pause, self._trial_at = FIRST_PAUSE_S, self._clock() + FIRST_PAUSE_S
        logger.warning(
            "note: the teacher of %s is left out: %s; it is asked again after %g s, then at most every %g s",
            self._name,
            reason,
            FIRST_PAUSE_S,
            LONGEST_PAUSE_S,
        )

    def _note_refusal(self, reason: str) -> None:
        """Log the first refusal after an answer."""
        if reason and not self._refuses:
            logger.warning("note: the teacher of %s refuses a request: %s", self._name, reason)
        self._refuses = bool(reason)
