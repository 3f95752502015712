"""A server returns the memory that passes leave, under load and after it, and not more often than it may."""

import threading

from tiny import tiny_chat

from train_utils.decoding.engine import Engine
from train_utils.decoding.request import Request
from train_utils.serving.freed_memory import FreedMemory, release_freed_memory
from train_utils.serving.scheduler import Scheduler


class Clock:
    """Clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_memory_is_returned_once_per_interval_and_only_after_work():
    clock, released = Clock(), []
    freed = FreedMemory(lambda: released.append(clock.now), 5.0, clock)
    for second in range(100, 121):
        clock.now = float(second)
        freed.note_work()
        freed.release_if_due()
    assert released == [105.0, 110.0, 115.0, 120.0]
    clock.now = 200.0
    assert freed.due_s() is None, "there was no work since"
    freed.release_if_due()
    assert len(released) == 4
    clock.now = 202.0
    freed.note_work()
    assert freed.due_s() == 0
    freed.release_if_due()
    freed.note_work()
    assert released[4:] == [202.0] and freed.due_s() == 5.0


def test_a_scheduler_that_has_nothing_left_to_do_returns_memory():
    model, chat = tiny_chat(["red", "a"])
    released = threading.Event()
    scheduler = Scheduler(freed=FreedMemory(released.set, 0.05))
    list(scheduler.events(Engine(model, chat), Request([5, 6, 7], max_new_tokens=2)))
    released.clear()
    scheduler.call(lambda: None)
    assert released.wait(60)
    scheduler.drain()


def test_returning_memory_works_with_whatever_c_library_there_is():
    release_freed_memory()
