"""Freed memory that the C library keeps, returned to the system.

The tensors of a batch have ever new sizes. glibc keeps what was freed between those that live on, so that a server that
is under load for long grows to more than twice what it uses.
"""

import ctypes
import time
from collections.abc import Callable

EVERY_S = 5.0


def release_freed_memory() -> None:
    """Return freed memory to the system, in some milliseconds; does nothing without glibc."""
    if _trim is not None:
        _trim(0)


def _found_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim  # releases the interpreter's lock meanwhile
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return None


_trim = _found_trim()


class FreedMemory:
    """Decides when freed memory is returned: some seconds after work, and as often during it.

    Args:
        release: returns it.
        every_s: seconds from one time to the next at least.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        release: Callable[[], None] = release_freed_memory,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._release, self._every_s, self._clock = release, every_s, clock
        self._last, self._used = clock(), False

    def note_work(self) -> None:
        """Note that memory was used and freed since it was last returned."""
        self._used = True

    def due_s(self) -> float | None:
        """Return the seconds until memory is to be returned; None where there was no work since the last time."""
        return max(0.0, self._last + self._every_s - self._clock()) if self._used else None

    def release_if_due(self) -> None:
        """Return memory where it is time."""
        if self.due_s() == 0:
            self._release()
            self._last, self._used = self._clock(), False
