"""A teacher that fails is left alone, tried again in the background, and used again once it answers."""

import logging
import threading
from collections.abc import Callable

import pytest

from train_utils.teacher.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, CircuitBreaker, TeacherPaused
from train_utils.teacher.protocol import TeacherError, TeacherRefusal


class World:
    """A teacher that fails as it is told to, a clock, and trials that run when the test says so."""

    def __init__(self):
        self.error: Exception | None = None
        self.asked: list[tuple[list[list[str]], int]] = []
        self.now = 0.0
        self.trials: list[Callable[[], None]] = []
        self.breaker = CircuitBreaker(self, "films", lambda: self.now, self.trials.append)

    def top_k(self, histories, k, scores=False):
        self.asked.append((histories, k))
        if self.error:
            raise self.error
        return ([["b"]], [[1.0]]) if scores else [["b"]]

    def close(self):
        pass

    def fail(self, error: Exception | None = None) -> None:
        self.error = error or TeacherError("teacher at http://10.0.0.9:8000 does not answer")
        with pytest.raises(TeacherError):
            self.breaker.top_k([["a"]], 3)


@pytest.fixture
def world(caplog) -> World:
    caplog.set_level(logging.WARNING)
    return World()


def test_after_a_failure_requests_fail_at_once_and_the_teacher_is_not_asked(world):
    assert world.breaker.top_k([["a"]], 3, scores=True) == ([["b"]], [[1.0]])
    world.fail()
    asked = len(world.asked)
    for _ in range(5):
        with pytest.raises(TeacherPaused, match="films failed a moment ago"):
            world.breaker.top_k([["a"]], 3)
    assert len(world.asked) == asked and not world.trials and world.breaker.is_open


def test_after_a_pause_one_request_is_sent_for_which_nobody_waits(world):
    world.fail()
    world.now = FIRST_PAUSE_S
    for _ in range(3):
        with pytest.raises(TeacherPaused):
            world.breaker.top_k([["a"], ["b"]], 3)
    assert len(world.trials) == 1, "one trial at a time"
    world.error = None
    world.trials.pop()()
    assert world.asked[-1] == ([["a"]], 1)
    assert world.breaker.top_k([["a"]], 3) == [["b"]] and not world.breaker.is_open


def test_pauses_double_up_to_a_limit_and_begin_again_after_an_answer(world):
    world.fail()
    pauses = []
    for _ in range(6):
        begun = world.now
        while not world.trials:
            world.now += 1.0
            with pytest.raises(TeacherPaused):
                world.breaker.top_k([["a"]], 3)
        pauses.append(world.now - begun)
        world.trials.pop()()
    assert pauses == [5.0, 10.0, 20.0, 40.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    world.error, world.now = None, world.now + LONGEST_PAUSE_S
    with pytest.raises(TeacherPaused):
        world.breaker.top_k([["a"]], 3)
    world.trials.pop()()
    world.fail()
    world.now += FIRST_PAUSE_S
    with pytest.raises(TeacherPaused):
        world.breaker.top_k([["a"]], 3)
    assert len(world.trials) == 1 and world.breaker.outages == 2


def test_each_change_of_state_is_logged_once(world, caplog):
    for _ in range(2):
        world.fail()
        for _ in range(20):
            world.now += LONGEST_PAUSE_S
            with pytest.raises(TeacherPaused):
                world.breaker.top_k([["a"]], 3)
            world.trials.pop()()
        world.error, world.now = None, world.now + LONGEST_PAUSE_S
        with pytest.raises(TeacherPaused):
            world.breaker.top_k([["a"]], 3)
        world.trials.pop()()
        world.breaker.top_k([["a"]], 3)
    lines = [record.getMessage() for record in caplog.records]
    assert [("left out" in line, "answers again" in line) for line in lines] == [(True, False), (False, True)] * 2
    assert "10.0.0.9" in lines[0]


def test_a_refusal_fails_its_request_alone_and_is_logged_once_until_an_answer(world, caplog):
    for _ in range(3):
        world.fail(TeacherRefusal("unknown item 'x'"))
    assert not world.breaker.is_open
    world.error = None
    assert world.breaker.top_k([["a"]], 3) == [["b"]]
    world.fail(TeacherRefusal("unknown item 'y'"))
    assert [record.getMessage()[-3:] for record in caplog.records] == ["'x'", "'y'"]


def test_a_trial_that_is_refused_or_breaks_leaves_a_state_behind(world):
    world.fail()
    for error, is_open in ((RuntimeError("broken"), True), (TeacherRefusal("unknown item"), False)):
        world.error, world.now = error, world.now + LONGEST_PAUSE_S
        with pytest.raises(TeacherPaused):
            world.breaker.top_k([["a"]], 3)
        world.trials.pop()()
        assert world.breaker.is_open is is_open


def test_a_trial_runs_in_a_thread_of_its_own_without_more_ado():
    world = World()
    breaker = CircuitBreaker(world, "films", lambda: world.now)
    world.error = TeacherError("gone")
    with pytest.raises(TeacherError, match="gone"):
        breaker.top_k([["a"]], 3)
    world.error, world.now = None, FIRST_PAUSE_S
    with pytest.raises(TeacherPaused):
        breaker.top_k([["a"]], 3)
    for thread in threading.enumerate():
        if thread.name == "teacher":
            thread.join()
    assert breaker.top_k([["a"]], 3) == [["b"]]
