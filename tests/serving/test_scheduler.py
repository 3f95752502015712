"""Requests of many callers are answered as if each were alone, and none of them can stop the others."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tiny import tiny_chat

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.decoding.engine import Engine
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.request import Request, SamplingParams
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat
from train_utils.serving.scheduler import (
    CallerLeft,
    DeadlineExceeded,
    Draining,
    Overloaded,
    Scheduler,
    SchedulerLimits,
)

FILMS = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]
BOOKS = ["night", "green moon", "the list"]


@pytest.fixture(scope="module")
def engines():
    """Engines of two catalogs that share a model, in float64, so that no two logits of it are equal by rounding."""
    model, films = tiny_chat(FILMS)
    model = model.double()
    return Engine(model, films), Engine(model, Chat(films.tokenizer, BOOKS))


@pytest.fixture
def scheduler():
    made = Scheduler()
    yield made
    made.drain()


def requests_of(engine: Engine, n: int) -> list[Request]:
    """Requests of several kinds: lists, free text, sampled text, and some items closed."""
    trie = engine.chat.trie
    made = []
    for i in range(n):
        prompt = engine.chat.render([message("user", "recommend " + "the moon " * (i % 5))], prompt=True).ids
        kinds: dict[str, object] = (
            {"max_items": 3, "force_items": True, "idx": True, "best_titles": 32},
            {},
            {"sampling": SamplingParams(1.0), "seed": i},
            {"max_items": 2, "min_items": 2},
        )[i % 4]
        made.append(Request(prompt, Constraint(trie, deny=[i % 3]), answer_at=len(prompt), max_new_tokens=30, **kinds))
    return made


def alone(engine: Engine, request: Request) -> list[object]:
    return list(Engine(engine.model, engine.chat).stream(request))


def joined(events: list[object]) -> list[object]:
    """Events with neighboring texts joined: where a text is cut depends on the passes."""
    merged: list[object] = []
    for event in events:
        if isinstance(event, TextDelta) and merged and isinstance(merged[-1], TextDelta):
            merged[-1] = TextDelta(merged[-1].text + event.text)
        else:
            merged.append(replace(event, score=round(event.score, 6)) if isinstance(event, ItemEvent) else event)
    return merged


def test_answers_of_many_callers_and_two_catalogs_equal_those_of_each_request_alone(engines, scheduler):
    asked = [(engine, request) for engine in engines for request in requests_of(engine, 12)]
    with ThreadPoolExecutor(len(asked)) as callers:
        answers = list(callers.map(lambda pair: list(scheduler.events(*pair)), asked))
    for (engine, request), answer in zip(asked, answers, strict=True):
        assert joined(answer) == joined(alone(engine, request))
    assert scheduler.passes < sum(len(request.prompt) for _, request in asked), "they shared passes"
    assert scheduler.running == scheduler.waiting == 0


def test_more_answers_than_rows_wait_their_turn(engines):
    scheduler = Scheduler(SchedulerLimits(rows=2, prefilled=1))
    requests = requests_of(engines[0], 8)
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda request: list(scheduler.events(engines[0], request)), requests))
    assert [joined(answer) for answer in answers] == [joined(alone(engines[0], request)) for request in requests]
    scheduler.drain()


def hold(scheduler: Scheduler) -> threading.Event:
    """Keep the scheduler's thread busy until the returned event is set."""
    go_on, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait()

    threading.Thread(target=scheduler.call, args=(wait,), daemon=True).start()
    begun.wait()
    return go_on


def test_what_exceeds_the_queue_is_refused_at_once(engines):
    scheduler = Scheduler(SchedulerLimits(waiting=1))
    go_on = hold(scheduler)
    (request,) = requests_of(engines[0], 1)
    with ThreadPoolExecutor(1) as caller:
        first = caller.submit(lambda: list(scheduler.events(engines[0], request)))
        while not scheduler.waiting:
            pass
        with pytest.raises(Overloaded, match="1 requests wait"):
            next(scheduler.events(engines[0], request))
        go_on.set()
        assert isinstance(first.result()[-1], Done)
    scheduler.drain()


def test_an_answer_that_is_late_fails_and_the_next_one_is_answered(engines):
    scheduler = Scheduler(SchedulerLimits(deadline_s=0.0))
    (request,) = requests_of(engines[0], 1)
    with pytest.raises(DeadlineExceeded, match="after 0 s"):
        list(scheduler.events(engines[0], request))
    with pytest.raises(DeadlineExceeded):
        scheduler.call(lambda: 1)
    scheduler.drain()


def test_a_caller_that_leaves_frees_its_place(engines, scheduler):
    request = replace(requests_of(engines[0], 2)[1], max_new_tokens=1000)
    events = scheduler.events(engines[0], request)
    next(events)
    events.close()
    scheduler.call(lambda: None)
    scheduler.call(lambda: None)
    assert scheduler.running == 0


def test_stopping_ends_an_answer_with_what_was_written(engines, scheduler):
    request = replace(requests_of(engines[0], 2)[1], max_new_tokens=1000)
    stop, seen = threading.Event(), []
    for event in scheduler.events(engines[0], request, stop):
        seen.append(event)
        stop.set()
    assert seen[-1] == Done("stopped") and len(seen) > 1


def test_calls_of_one_key_run_between_two_passes_and_those_of_others_wait_for_the_next_turn(engines, scheduler):
    stop, seen = threading.Event(), []
    running = scheduler.events(engines[0], replace(requests_of(engines[0], 2)[1], max_new_tokens=10_000), stop)
    next(running)
    go_on = hold(scheduler)
    with ThreadPoolExecutor(6) as callers:
        asked = [
            callers.submit(scheduler.call_together, key, lambda args: [seen.append(scheduler.passes)] * len(args), None)
            for key in ("a", "b", "c", "a", "b", "a")
        ]
        while scheduler.waiting < 6:
            pass
        go_on.set()
        for call in asked:
            call.result()
    stop.set()
    assert len(seen) == 3 and len({*seen}) == 3, "a pass of the running answer is between two of them"


def test_a_call_whose_caller_left_leaves_the_queue(engines, scheduler):
    go_on, stop, ran = hold(scheduler), threading.Event(), []
    with ThreadPoolExecutor(1) as caller:
        left = caller.submit(scheduler.call, lambda: ran.append("left"), stop)
        while not scheduler.waiting:
            pass
        stop.set()
        go_on.set()
        with pytest.raises(CallerLeft):
            left.result()
    assert not ran and scheduler.call(lambda: 1) == 1


def test_a_prompt_off_the_trie_fails_alone(engines, scheduler):
    engine = engines[0]
    good, _ = requests_of(engine, 2)
    open_item = [*good.prompt, engine.chat.soi, engine.chat.encode("9")[0]]
    with pytest.raises(ConstraintError):
        list(scheduler.events(engine, Request(open_item, good.rules, answer_at=len(good.prompt))))
    assert joined(list(scheduler.events(engine, good))) == joined(alone(engine, good))


def test_errors_of_a_call_are_its_callers(scheduler):
    assert scheduler.call(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        scheduler.call(lambda: 1 / 0)
    assert scheduler.call(lambda: 4) == 4


def test_a_pass_that_fails_fails_its_answers_and_not_the_scheduler(engines, scheduler, monkeypatch):
    engine = engines[0]
    (request,) = requests_of(engine, 1)
    with monkeypatch.context() as broken:
        broken.setattr(engine.finder, "states", None)
        with pytest.raises(TypeError):
            list(scheduler.events(engine, request))
    assert joined(list(scheduler.events(engine, request))) == joined(alone(engine, request))


def test_what_joins_after_a_pass_that_failed_reads_nothing_of_it(engines, scheduler, monkeypatch):
    engine = engines[0]
    lost, *whole = requests_of(engine, 9)
    failures, states = [MemoryError("a pass")], engine.finder.states

    def failing_once(logits):
        if failures:
            raise failures.pop()
        return states(logits)

    running = scheduler.events(engine, replace(lost, max_items=0, force_items=False, best_titles=0, max_new_tokens=500))
    next(running)
    go_on = hold(scheduler)
    monkeypatch.setattr(engine.finder, "states", failing_once)
    with ThreadPoolExecutor(len(whole)) as callers:
        answers = [callers.submit(lambda one=request: list(scheduler.events(engine, one))) for request in whole]
        while scheduler.waiting < len(whole):
            pass
        go_on.set()
        with pytest.raises(MemoryError):
            list(running)
        assert [joined(answer.result()) for answer in answers] == [joined(alone(engine, one)) for one in whole]


def test_draining_finishes_what_runs_and_refuses_the_rest(engines):
    scheduler = Scheduler()
    (request,) = requests_of(engines[0], 1)
    events = scheduler.events(engines[0], request)
    first = next(events)
    ended = threading.Thread(target=scheduler.drain)
    ended.start()
    assert joined([first, *events]) == joined(alone(engines[0], request))
    ended.join()
    with pytest.raises(Draining):
        next(scheduler.events(engines[0], request))
