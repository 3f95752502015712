"""Answer to a message of a conversation: what was understood, then text and items as they are written."""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from train_utils.constraint.constraint import Prior
from train_utils.conversation.unknowable import unknowable_notice
from train_utils.conversation.why import asked_about
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.dialogue.dialogue import Dialogue, Heard, Plan
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.dialogue.reasons import reasons
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.recommender import Recommendation, Recommender

T = TypeVar("T")
_CUT_SHORT = {"length": "the answer reached `max_new_tokens`", "stopped": "stopped"}
# A small model can fall into a loop, which would go on to the length limit: (characters at most, repetitions).
_LOOPS = ((24, 8), (240, 4))
_REREAD = max(length * times for length, times in _LOOPS)  # characters in which a loop shows


@dataclass(frozen=True)
class Notice:
    """Line for the user that is not part of the conversation.

    Attributes:
        text: the line.
        says_understood: whether it is what was understood, which servers send as data.
    """

    text: str
    says_understood: bool = field(default=False, compare=False)


AnswerEvent = TextDelta | Recommendation | Done | Notice


class ModelUse(Protocol):
    """How the model is used: in the caller's thread, or in that of a server."""

    def call(self, function: Callable[[], T]) -> T:
        """Return the result of a function that uses the model."""

    def prior(self, expectations: Expectations, taste: Taste) -> Prior | None:
        """Return what is expected of a user."""

    def events(
        self, recommender: Recommender, request: Request, stop: threading.Event
    ) -> Iterator[TextDelta | Recommendation | Done]:
        """Yield the answer to a request."""


class Directly:
    """Use of the model in the caller's thread."""

    def call(self, function: Callable[[], T]) -> T:
        return function()

    def prior(self, expectations: Expectations, taste: Taste) -> Prior | None:
        return expectations.priors([taste])[0]

    def events(
        self, recommender: Recommender, request: Request, stop: threading.Event
    ) -> Iterator[TextDelta | Recommendation | Done]:
        return recommender.events(request, stop)


DIRECTLY = Directly()


def reply(
    dialogue: Dialogue,
    expectations: Expectations | None,
    text: str,
    stop: threading.Event | None = None,
    model: ModelUse = DIRECTLY,
) -> Iterator[AnswerEvent]:
    """Answer a message and yield the answer's events.

    The part of the answer that was shown is kept, also when the answer is stopped or the caller stops iterating.

    Args:
        dialogue: the conversation, which is continued.
        expectations: what is expected of a user; None without a catalog.
        text: the user's message.
        stop: set to stop the answer.
        model: how the model is used.
    """
    if asked := asked_about(text, dialogue.last.items, dialogue.recommender.named_titles):
        lines = model.call(lambda: reasons_of(dialogue, expectations, asked))
        yield from _said(dialogue, message("user", text), lines)
        return
    heard = dialogue.hear(text)
    if heard is None:
        yield Notice(
            f"the message is too long and was not sent: with `max_new_tokens` {dialogue.max_new_tokens} it does not "
            f"fit the context of {dialogue.context} tokens"
        )
        return
    if heard.forgotten:
        yield Notice(
            f"the model reads {dialogue.context} tokens: the oldest {counted(heard.forgotten, 'exchange')} are "
            "left out; what they asked stays in force"
        )
    plan = yield from _planned(dialogue, expectations, heard, model)
    if plan.problem:
        return
    if answer := dialogue.known_answer(heard):
        yield from _said(dialogue, heard.user, answer)
        return
    yield from _answered(dialogue, heard, plan, stop or threading.Event(), model)


def understood(dialogue: Dialogue) -> str:
    """Return what was understood so far, in one line; "" for nothing."""
    return f"understood: {dialogue.asked}" if dialogue.asked else ""


def reasons_of(dialogue: Dialogue, expectations: Expectations | None, items: Sequence[int]) -> str:
    """Return why items of the last list were listed, a line each."""
    catalog = dialogue.recommender.catalog
    assert catalog is not None  # there is a list
    assert expectations is not None
    return "\n".join(reason.text(catalog) for reason in reasons(expectations, dialogue.last, items, catalog))


def _planned(
    dialogue: Dialogue, expectations: Expectations | None, heard: Heard, model: ModelUse
) -> Generator[Notice, None, Plan]:
    """Yield what was understood and what prevents it; return the plan."""
    catalog, line = dialogue.recommender.catalog, understood(dialogue)
    name = catalog.name if catalog else ""
    if line and not heard.change.is_empty:
        yield Notice(line, says_understood=True)
    if heard.change.unknown and (heard.change.asks or heard.change.named()):
        yield Notice(f"not in {name}: {', '.join(heard.change.unknown)}")
    if heard.change.unknowable and catalog:
        yield Notice(unknowable_notice(heard.change.unknowable, catalog))
    expectations = expectations if heard.change.asks else None
    prior = model.prior(expectations, dialogue.taste) if expectations else None
    if expectations and (problem := expectations.take_problem()):
        yield Notice(f"the teacher is left out: {problem}")
    plan = dialogue.plan(heard, prior)
    if plan.problem:
        yield Notice(plan.problem)
    if plan.fewer:
        yield _only(plan.n_items, name)
    return plan


def _only(n_items: int, catalog: str) -> Notice:
    return Notice(f"only {counted(n_items, 'item')} of {catalog} {'fits' if n_items == 1 else 'fit'}")


def _said(dialogue: Dialogue, user: Message, answer: str) -> Iterator[AnswerEvent]:
    """Yield an answer that is known, and record it."""
    dialogue.record(user, [answer])
    yield TextDelta(answer)
    yield Done("end")


def _answered(
    dialogue: Dialogue, heard: Heard, plan: Plan, stop: threading.Event, model: ModelUse
) -> Iterator[AnswerEvent]:
    recommender, parts = dialogue.recommender, list[Part]()
    finish = written = ""
    try:
        for event in model.events(recommender, dialogue.request(heard, plan), stop):
            match event:
                case TextDelta(words):
                    parts.append(words)
                    written = (written + words)[-_REREAD:]
                    if repeats_itself(written):
                        stop.set()
                case Recommendation(item_id):
                    assert recommender.catalog is not None
                    parts.append(ItemPart(recommender.catalog.index[item_id]))
                case Done(finish):
                    pass
            yield event
    finally:
        dialogue.record(heard.user, parts)
    if finish in _CUT_SHORT:
        yield Notice("stopped: the answer repeats itself" if repeats_itself(written) else _CUT_SHORT[finish])
    elif not plan.counted and (listed := sum(isinstance(part, ItemPart) for part in parts)) < plan.wanted:
        assert recommender.catalog is not None
        yield _only(listed, recommender.catalog.name)


def repeats_itself(text: str) -> bool:
    """Return whether a text ends with eight repetitions of up to 24 characters, or four of up to 240."""
    return any(
        text.endswith(text[len(text) - length :] * times)
        for most, times in _LOOPS
        for length in range(1, min(most, len(text) // times) + 1)
    )


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: "1 item", "2 items"."""
    return f"{n} {noun}" + "s" * (n != 1)
