"""Threads in which the requests of a server wait for the model."""

from collections.abc import Callable
from typing import TypeVar

import anyio

from train_utils.serving.scheduler import Overloaded, SchedulerLimits

T = TypeVar("T")
_CALLS = 16  # threads beyond those of the answers, for lists, searches and metrics


class Threads:
    """Threads in which requests wait for the model, as many as it takes on and some more.

    Args:
        limits: those of the scheduler.
    """

    def __init__(self, limits: SchedulerLimits):
        self._most = limits.rows + limits.waiting + _CALLS
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, function: Callable[[], T], *, begun: bool = False) -> T:
        """Run a function in a thread.

        Args:
            function: the function.
            begun: whether it continues an answer, which waits for a thread instead of being broken off.

        Raises:
            Overloaded: all threads are taken.
        """
        self._limiter = self._limiter or anyio.CapacityLimiter(self._most)  # made in the event loop
        if not begun and self._limiter.available_tokens < 1:
            raise Overloaded(f"{self._most} requests are under way; come back later")
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)
