"""A server whose model is elsewhere promises the limits of one that decodes: rows, waiting callers, deadlines."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from train_utils.decoding.completions_endpoint import EndpointError
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.serving.remote_scheduler import ModelUnavailable, RemoteScheduler
from train_utils.serving.scheduler import DeadlineExceeded, Draining, Overloaded, SchedulerLimits

REQUEST = Request([1])


class Held:
    """An engine elsewhere, whose answers end when `release` is called, or when they are stopped."""

    def __init__(self):
        self.begun, self._released = threading.Semaphore(0), threading.Event()
        self.release = self._released.set

    def stream(self, request, stop=None):
        self.begun.release()
        yield TextDelta("a")
        while not (self._released.wait(0.001) or stop.is_set()):
            pass
        yield Done("stopped" if stop.is_set() else "end")


def test_no_more_answers_than_rows_are_at_the_server_and_no_more_than_waiting_wait():
    scheduler, engine = RemoteScheduler(SchedulerLimits(rows=2, waiting=1)), Held()
    with ThreadPoolExecutor(3) as callers:
        answers = [callers.submit(list, scheduler.events(engine, REQUEST)) for _ in range(3)]
        for _ in range(2):
            engine.begun.acquire()
        while not scheduler.waiting:
            pass
        assert (scheduler.running, scheduler.waiting) == (2, 1)
        assert not engine.begun.acquire(blocking=False)
        with pytest.raises(Overloaded, match="1 requests wait already"):
            scheduler.call(lambda: 1)
        engine.release()
        assert [answer.result() for answer in answers] == [[TextDelta("a"), Done("end")]] * 3
    assert (scheduler.running, scheduler.waiting) == (0, 0)


def test_what_is_late_is_ended_at_the_server_and_in_the_queue():
    scheduler, engine = RemoteScheduler(SchedulerLimits(rows=1, deadline_s=0.05)), Held()
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        list(scheduler.events(engine, REQUEST))
    holding, stop = scheduler.events(engine, REQUEST, threading.Event()), threading.Event()
    next(holding)
    with pytest.raises(DeadlineExceeded):
        list(scheduler.events(engine, REQUEST, stop))
    holding.close()
    assert scheduler.running == 0


def test_a_caller_who_leaves_ends_the_answer():
    scheduler, engine, stop = RemoteScheduler(), Held(), threading.Event()
    events = scheduler.events(engine, REQUEST, stop)
    assert next(events) == TextDelta("a")
    stop.set()
    assert list(events) == [Done("stopped")] and scheduler.running == 0


def test_a_failing_server_is_named_to_its_operator_alone(caplog):
    def failing(_):
        raise EndpointError("http://10.0.0.1:8000 does not answer")

    scheduler = RemoteScheduler()
    with pytest.raises(ModelUnavailable, match="log of this server") as refused:
        scheduler.call_together("key", failing, 1)
    assert "10.0.0.1" not in str(refused.value) and "10.0.0.1" in caplog.text
    assert scheduler.call_together("key", lambda numbers: [2 * n for n in numbers], 4) == 8


def test_draining_takes_nothing_new_and_waits_for_what_was_begun():
    scheduler, engine = RemoteScheduler(), Held()
    with ThreadPoolExecutor(2) as callers:
        answer = callers.submit(list, scheduler.events(engine, REQUEST))
        engine.begun.acquire()
        drained = callers.submit(scheduler.drain)
        with pytest.raises(Draining):
            while True:
                scheduler.check_room()
        assert not drained.done()
        engine.release()
        assert answer.result()[-1] == Done("end")
        drained.result()
