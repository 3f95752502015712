"""Scheduler: one thread decodes the requests of all callers, which join and leave running batches.

Each answer equals the one that the request gets alone. Callers read their answers in their own threads.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.engine import Engine, RunningBatch
from train_utils.decoding.events import Done, ItemEvent, TextDelta, answer_events
from train_utils.decoding.reference import PlainEngine
from train_utils.decoding.request import Completion, Request
from train_utils.serving.freed_memory import FreedMemory

A = TypeVar("A")
T = TypeVar("T")


class Overloaded(Exception):
    """Too much waits already; the caller should come back later."""


class Draining(Exception):
    """The scheduler takes nothing new, because the server ends."""


class DeadlineExceeded(Exception):
    """The answer would have come too late."""


class CallerLeft(Exception):
    """The caller does not want the result any more."""

    def __init__(self) -> None:
        super().__init__("the client left before its answer")


@dataclass(frozen=True, kw_only=True)
class SchedulerLimits:
    """Limits of one scheduler.

    Attributes:
        rows: answers that are decoded at a time.
        waiting: answers and calls that may wait.
        deadline_s: seconds from the submission to the end of an answer.
        prefilled: prompt tokens that join the running answers between two passes, so that those go on meanwhile; one
            longer prompt joins alone.
        weight: sum of the weights of the calls that run between two passes, for the same reason; a heavier one runs
            alone. Lists and reasons weigh the items of history that they read.
    """

    rows: int = 32
    waiting: int = 128
    deadline_s: float = 60.0
    prefilled: int = 2048
    weight: int = 1000


@dataclass(frozen=True)
class _Progress:
    """What one pass wrote of an answer; `state` comes with the first."""

    ids: list[int]
    items: list[int]
    scores: list[float]
    finish: str
    error: Exception | None = None
    state: DecodingState | None = None


@dataclass(eq=False)
class _Answer:
    """One answer on its way; the caller's thread reads `progress`."""

    engine: Engine
    request: Request
    deadline: float
    stop: threading.Event
    progress: "queue.SimpleQueue[_Progress]" = field(default_factory=queue.SimpleQueue)
    row: Any = None
    _read: tuple[int, int] = (0, 0)

    def report(self) -> None:
        """Pass on what the last pass wrote."""
        out, (n_ids, n_items) = self.row.out, self._read
        self.progress.put(
            _Progress(out.ids[n_ids:], out.items[n_items:], out.scores[n_items:], out.finish, out.error, self.row.state)
        )
        self._read = len(out.ids), len(out.items)

    def fail(self, error: Exception) -> None:
        self.progress.put(_Progress([], [], [], "error", error))


@dataclass(eq=False)
class _Call:
    """A function that runs between two passes, with the arguments of all calls of the same key."""

    key: Hashable
    function: Callable[[list[Any]], Sequence[Any]]
    argument: Any
    deadline: float
    weight: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done.set()

    def succeed(self, result: Any) -> None:
        self.result = result
        self.done.set()


class Scheduler:
    """Decodes the answers of many callers in one thread.

    Args:
        limits: how much it takes on.
        freed: returns the memory that passes leave; None as by default.

    Attributes:
        limits: see above.
        passes: passes so far.
    """

    def __init__(self, limits: SchedulerLimits | None = None, freed: FreedMemory | None = None):
        self.limits = limits or SchedulerLimits()
        self._freed = freed or FreedMemory()
        self.passes = 0
        self._waiting: deque[_Answer | _Call] = deque()
        self._changed = threading.Condition()
        self._draining = False
        self._running: list[_Answer] = []
        self._batches: list[RunningBatch] = []
        self._thread = threading.Thread(target=self._work, name="scheduler", daemon=True)
        self._thread.start()

    # -- callers ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Number of answers and calls that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Number of answers that are decoded."""
        return len(self._running)

    def check_room(self) -> None:
        """Raise Overloaded or Draining where nothing more is taken on now."""
        if self._draining:
            raise Draining("the server ends and takes nothing new; come back to its successor")
        if len(self._waiting) >= self.limits.waiting:
            raise Overloaded(f"{len(self._waiting)} requests wait already; come back later")

    def call(self, function: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Run a function that uses a model, between two passes, and return its result.

        Args:
            function: the function.
            stop: as in `call_together`.

        Raises:
            Overloaded, Draining, DeadlineExceeded, CallerLeft: it was not run.
            Exception: what the function raises.
        """
        return self.call_together(object(), lambda _: [function()], None, stop=stop)

    def call_together(
        self,
        key: Hashable,
        function: Callable[[list[A]], Sequence[T]],
        argument: A,
        weight: int = 0,
        stop: threading.Event | None = None,
    ) -> T:
        """Run a function on the arguments of all callers that wait with the same key, and return the own result.

        Between two passes the calls of one key run, so that the running answers wait for one of them at most.

        Args:
            key: calls with the same key have functions that do the same.
            function: arguments -> their results, in order.
            argument: the caller's.
            weight: what the call takes, as in `SchedulerLimits`; 0 for little.
            stop: takes the call out of the queue when it is set.

        Raises:
            Overloaded, Draining, DeadlineExceeded, CallerLeft: it was not run.
            Exception: what the function raises for this argument alone.
        """
        deadline = time.monotonic() + self.limits.deadline_s
        call = _Call(key, function, argument, deadline, weight, stop or threading.Event())
        self._submit(call)
        call.done.wait()
        if call.error is not None:
            raise call.error
        return cast(T, call.result)

    def events(
        self, engine: Engine | PlainEngine, request: Request, stop: threading.Event | None = None
    ) -> Iterator[TextDelta | ItemEvent | Done]:
        """Yield the answer to a request as it is decoded.

        Args:
            engine: the engine of the request's model and catalog.
            request: the request.
            stop: ends the answer early when it is set; closing the iterator does so, too.

        Raises:
            Overloaded, Draining: the request is not taken on; raised before the first event.
            DeadlineExceeded: the answer took too long.
            ConstraintError: decoding failed.
        """
        stop = stop or threading.Event()
        if isinstance(engine, PlainEngine) or engine.is_long(request):
            yield from self.call(lambda: list(engine.stream(request, stop)), stop)
            return
        answer = _Answer(engine, request, time.monotonic() + self.limits.deadline_s, stop)
        self._submit(answer)
        try:
            yield from _read(answer)
        finally:
            stop.set()

    def _submit(self, entry: _Answer | _Call) -> None:
        with self._changed:
            self.check_room()
            self._waiting.append(entry)
            self._changed.notify()

    def drain(self) -> None:
        """Take nothing new, finish what was taken on, and end the thread."""
        with self._changed:
            self._draining = True
            self._changed.notify()
        self._thread.join()

    # -- the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._running or self._draining):
                    self._changed.wait(self._freed.due_s())
                    self._freed.release_if_due()
                if self._draining and not (self._waiting or self._running):
                    return
                calls, joining = self._take()
            self._run(calls)
            self._join(joining)
            self._drop_unwanted()
            self._step()
            self._freed.note_work()
            self._freed.release_if_due()

    def _run(self, calls: list[_Call]) -> None:
        """Run calls of one key together."""
        if not calls:
            return
        try:
            results = calls[0].function([call.argument for call in calls])
        except Exception as error:  # noqa: BLE001  # it is the caller's, whose thread raises it
            if len(calls) == 1:
                calls[0].fail(error)
            else:  # one of them is at fault: each alone
                for call in calls:
                    self._run([call])
            return
        for call, result in zip(calls, results, strict=True):
            call.succeed(result)

    def _take(self) -> tuple[list[_Call], list[_Answer]]:
        """Take what may go on from the queue, in its order: calls of one key, and answers while there is room.

        What was stopped or is late leaves the queue, so that it keeps nobody out.
        """
        calls: list[_Call] = []
        joining: list[_Answer] = []
        left: deque[_Answer | _Call] = deque()
        tokens = weight = 0
        while self._waiting:
            entry = self._waiting.popleft()
            if self._is_unwanted(entry):
                continue
            if isinstance(entry, _Call):
                fits = not calls or entry.key == calls[0].key and weight + entry.weight <= self.limits.weight
                (calls if fits else left).append(entry)
                weight += entry.weight if fits else 0
                continue
            room = len(self._running) + len(joining) < self.limits.rows
            fits = not joining or tokens + len(entry.request.prompt) <= self.limits.prefilled
            if room and fits:
                joining.append(entry)
                tokens += len(entry.request.prompt)
            else:
                left.append(entry)
        self._waiting = left
        return calls, joining

    def _join(self, joining: list[_Answer]) -> None:
        for batch, answers in self._by_batch(joining):
            try:
                rows = batch.add([a.request for a in answers], [a.engine for a in answers])
            except Exception as error:  # noqa: BLE001  # such as memory; the others go on
                for answer in answers:
                    answer.fail(error)
                continue
            for answer, row in zip(answers, rows, strict=True):
                answer.row = row
                self._running.append(answer)
                answer.report()
        self._running = [answer for answer in self._running if not answer.row.finished]

    def _by_batch(self, answers: list[_Answer]) -> list[tuple[RunningBatch, list[_Answer]]]:
        """Return the answers by the batch that each may join, which is made where there is none."""
        by_batch: dict[int, tuple[RunningBatch, list[_Answer]]] = {}
        for answer in answers:
            batch = next((b for b in self._batches if b.engine.shares_batch(answer.engine)), None)
            if batch is None:
                batch = RunningBatch(answer.engine)
                self._batches.append(batch)
            by_batch.setdefault(id(batch), (batch, []))[1].append(answer)
        return list(by_batch.values())

    def _is_unwanted(self, entry: _Answer | _Call) -> bool:
        """End what was stopped, and what is late, before it begins."""
        if entry.stop.is_set():
            if isinstance(entry, _Answer):
                entry.progress.put(_Progress([], [], [], "stopped"))
            else:
                entry.fail(CallerLeft())
            return True
        if time.monotonic() > entry.deadline:
            entry.fail(too_late(self.limits))
            return True
        return False

    def _drop_unwanted(self) -> None:
        for answer in self._running[:]:
            late = time.monotonic() > answer.deadline
            if late or answer.stop.is_set():
                self._running.remove(answer)
                for batch in self._batches:
                    batch.abort(answer.row)
                if late:
                    answer.fail(too_late(self.limits))
                else:
                    answer.report()

    def _step(self) -> None:
        self._batches = [batch for batch in self._batches if batch.rows]
        for batch in self._batches:
            try:
                batch.step()
            except Exception as error:  # noqa: BLE001  # the pass is lost, and all of its answers; the thread goes on
                rows = set(map(id, batch.rows))
                lost = [answer for answer in self._running if id(answer.row) in rows]
                self._batches = [other for other in self._batches if other is not batch]  # its cache is no more whole
                self._running = [answer for answer in self._running if answer not in lost]
                for answer in lost:
                    answer.fail(error)
                continue
            self.passes += 1
        for answer in self._running:
            answer.report()
        self._running = [answer for answer in self._running if not answer.row.finished]


def _read(answer: _Answer) -> Iterator[TextDelta | ItemEvent | Done]:
    """Yield the events of an answer in the thread of its caller."""
    seen = Completion()

    def go_on() -> _Progress:
        more = answer.progress.get()
        if more.error is not None and not isinstance(more.error, ConstraintError):
            raise more.error
        seen.ids += more.ids
        seen.items += more.items
        seen.scores += more.scores
        seen.finish, seen.error = more.finish, more.error
        return more

    first = go_on()
    if first.state is None:  # it ended before it began
        if seen.error is not None:
            raise seen.error
        yield Done(seen.finish)
        return
    yield from answer_events(answer.engine.chat, first.state, seen, go_on)


def too_late(limits: SchedulerLimits) -> DeadlineExceeded:
    """Return the error of an answer that is late."""
    return DeadlineExceeded(f"the answer was not ready after {limits.deadline_s:g} s; ask for less, or come back later")
