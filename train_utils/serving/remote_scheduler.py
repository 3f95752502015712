"""Scheduler of a model at another server: each caller waits in its own thread, and that server batches."""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from train_utils.decoding.completions_endpoint import EndpointError
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.request import Request
from train_utils.serving.scheduler import CallerLeft, Draining, Overloaded, Scheduler, SchedulerLimits, too_late

A = TypeVar("A")
T = TypeVar("T")
logger = logging.getLogger(__name__)
_LOOK_S = 0.2  # between two looks at whether a waiting caller has left


class ModelUnavailable(Exception):
    """The server that has the model does not answer, or not as wanted."""


class _Streams(Protocol):
    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Iterator[TextDelta | ItemEvent | Done]: ...


class _Until(threading.Event):
    """Event that is also set once a deadline is over.

    Args:
        stop: the caller's event.
        deadline: time of `time.monotonic`.
    """

    def __init__(self, stop: threading.Event, deadline: float):
        super().__init__()
        self._stop, self._deadline = stop, deadline

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def is_set(self) -> bool:
        return self._stop.is_set() or self.is_late


class RemoteScheduler:
    """Passes requests on to the server that has the model, `limits.rows` at a time.

    Args:
        limits: how much it takes on; the other server has limits of its own.

    Attributes:
        limits: see above.
        waiting: number of answers and calls that wait.
        running: number of answers and calls at the server.
        passes: 0; the passes are the server's.
    """

    def __init__(self, limits: SchedulerLimits | None = None):
        self.limits = limits or SchedulerLimits()
        self.waiting = self.running = self.passes = 0
        self._changed = threading.Condition()
        self._draining = False

    def check_room(self) -> None:
        """Raise Overloaded or Draining where nothing more is taken on now; see `Scheduler.check_room`."""
        if self._draining:
            raise Draining("the server ends and takes nothing new; come back to its successor")
        if self.waiting >= self.limits.waiting:
            raise Overloaded(f"{self.waiting} requests wait already; come back later")

    def call(self, function: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Run a function that uses the model; see `Scheduler.call`.

        Raises:
            ModelUnavailable: the server does not answer as wanted.
        """
        with self._turn(self._until(stop or threading.Event())):
            return function()

    def call_together(
        self,
        key: Hashable,
        function: Callable[[list[A]], Sequence[T]],
        argument: A,
        weight: int = 0,
        stop: threading.Event | None = None,
    ) -> T:
        """Run a function on an argument, as others do at the same time; see `Scheduler.call_together` and `call`."""
        (result,) = self.call(lambda: function([argument]), stop)
        return result

    def events(
        self, engine: _Streams, request: Request, stop: threading.Event | None = None
    ) -> Iterator[TextDelta | ItemEvent | Done]:
        """Yield the answer to a request as it arrives; see `Scheduler.events` and `call`."""
        stop = stop or threading.Event()
        until = self._until(stop)
        with self._turn(until):
            for event in engine.stream(request, until):
                if isinstance(event, Done) and event.finish == "stopped" and not stop.is_set():
                    raise too_late(self.limits)
                yield event

    def drain(self) -> None:
        """Take nothing new, and wait until what was taken on has ended."""
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not self.running and not self.waiting)

    def _until(self, stop: threading.Event) -> _Until:
        return _Until(stop, time.monotonic() + self.limits.deadline_s)

    @contextmanager
    def _turn(self, until: _Until) -> Iterator[None]:
        """Wait for one of `limits.rows` turns, and hold it for the block."""
        with self._changed:
            self.check_room()
            self.waiting += 1
            while self.running >= self.limits.rows and not until.is_set():
                self._changed.wait(_LOOK_S)
            self.waiting -= 1
            if until.is_set():
                self._changed.notify_all()
                raise too_late(self.limits) if until.is_late else CallerLeft
            self.running += 1
        try:
            yield
        except EndpointError as error:
            if until.is_late:  # it may only be slow
                raise too_late(self.limits) from None
            # Addresses are for those who run the server.
            logger.error("the model's server: %s", error)
            raise ModelUnavailable(
                "the server that has the model does not answer as wanted; the log of this server has the reason"
            ) from None
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()


AnyScheduler = Scheduler | RemoteScheduler
