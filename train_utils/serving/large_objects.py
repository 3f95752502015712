"""Garbage collection in a process that keeps millions of objects: a full one stops all threads for seconds."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NEVER = 1 << 30  # collections of the middle generation before a full one

_lock = threading.Lock()
_making = 0  # threads that make large objects
_thresholds = gc.get_threshold()


@contextmanager
def large_objects() -> Iterator[None]:
    """Put off full garbage collections, and at the end exempt all objects that exist then from later ones.

    Reference counts still free an exempt object. Objects that refer to each other in a cycle are then never freed, so
    that large objects should not.
    """
    global _making, _thresholds
    with _lock:
        if not _making:
            _thresholds = gc.get_threshold()
            gc.set_threshold(*_thresholds[:2], _NEVER)
        _making += 1
    try:
        yield
    finally:
        with _lock:
            _making -= 1
            if not _making:
                gc.set_threshold(*_thresholds)
            gc.freeze()
