"""Requests of concurrent clients -> batches for one worker thread. Knows nothing of models or HTTP."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Overloaded(Exception):
    """The queue is full; the client should come back later."""


class DeadlineExceeded(Exception):
    """The answer would come too late; waiting jobs were dropped uncomputed."""


@dataclass(frozen=True)
class Waiting(Generic[Job, Result]):
    job: Job
    size: int
    future: "asyncio.Future[Result]"


def take_batch(queue: "deque[Waiting]", max_size: int) -> list[Waiting]:
    """Take jobs from the front up to `max_size` in total, at least one; drop those nobody waits for."""
    batch: list[Waiting] = []
    size = 0
    while queue and (not batch or size + queue[0].size <= max_size):
        waiting = queue.popleft()
        if not waiting.future.done():
            batch.append(waiting)
            size += waiting.size
    return batch


class MicroBatcher(Generic[Job, Result]):
    """Runs whatever is waiting as one batch as soon as the worker is free; a lone client never waits.

    After a batch of several jobs the next one is given `gather_s` seconds to fill: the clients just answered
    are about to ask again, and one full batch takes less than two halves.

    run: jobs -> results, same order, in the worker thread. Sizes are in rows. on_queue hears how many rows
    wait whenever that changes.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], list[Result]],
        max_batch: int,
        max_queue: int,
        deadline_s: float,
        gather_s: float = 0.0,
        on_queue: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._deadline_s = deadline_s
        self._gather_s = gather_s
        self._on_queue = on_queue
        self._queue: deque[Waiting[Job, Result]] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._worker = ThreadPoolExecutor(1, "teacher")
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """Rows that wait for the worker; those of a dropped request count until the worker passes them."""
        return self._queued

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task
        self._worker.shutdown()

    async def submit(self, jobs: Sequence[tuple[Job, int]], first: bool = False) -> list[Result]:
        """Results of (job, size) pairs, in order; `first` puts them before what is waiting.

        Raises Overloaded before anything is queued, DeadlineExceeded after `deadline_s` seconds.
        """
        size = sum(job_size for _, job_size in jobs)
        if self._closing or self._queued + size > self._max_queue:
            raise Overloaded(f"{self._queued} rows are waiting, at most {self._max_queue} may")
        loop = asyncio.get_running_loop()
        waiting = [Waiting(job, job_size, loop.create_future()) for job, job_size in jobs]
        if first:
            self._queue.extendleft(reversed(waiting))
        else:
            self._queue.extend(waiting)
        self._set_queued(self._queued + size)
        self._wake.set()
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.gather(*(waiter.future for waiter in waiting))
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self._deadline_s:g} s") from None
        finally:
            for waiter in waiting:  # on a deadline or a client that hung up; done futures ignore it
                waiter.future.cancel()

    def _set_queued(self, rows: int) -> None:
        self._queued = rows
        self._on_queue(rows)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._closing and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while batch := take_batch(self._queue, self._max_batch):
                self._set_queued(sum(waiting.size for waiting in self._queue))
                running = loop.run_in_executor(self._worker, self._run, [waiting.job for waiting in batch])
                await asyncio.wait({running})
                _hand_out(batch, running)
                if len(batch) > 1 and self._queued < self._max_batch and not self._closing:
                    await asyncio.sleep(self._gather_s)
            self._set_queued(0)


def _hand_out(batch: Sequence[Waiting], finished: "asyncio.Future") -> None:
    """Give each waiter its result, or all of them the worker's exception; the server keeps running."""
    error = finished.exception()
    for number, waiting in enumerate(batch):
        if waiting.future.done():
            continue
        if error is not None:
            waiting.future.set_exception(error)
        else:
            waiting.future.set_result(finished.result()[number])
