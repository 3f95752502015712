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
from train_utils.serving.domains import Domain

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
    domain: Domain,
    dialogue: Dialogue,
    text: str,
    stop: threading.Event | None = None,
    model: ModelUse = DIRECTLY,
) -> Iterator[AnswerEvent]:
    """Answer a message and yield the answer's events.

    The part of the answer that was shown is kept, also when the answer is stopped or the caller stops iterating.

    Args:
        domain: the catalog that the conversation is about.
        dialogue: the conversation, which is continued.
        text: the user's message.
        stop: set to stop the answer.
        model: how the model is used.
    """
    if asked := asked_about(text, dialogue.last.items, domain.recommender.named_titles):
        told = model.call(lambda: reasons_of(domain, dialogue, asked))
        yield from _said(dialogue, message("user", text), told)
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
    plan = yield from _planned(domain, dialogue, heard, model)
    if plan.problem:
        return
    if answer := dialogue.known_answer(heard):
        yield from _said(dialogue, heard.user, answer)
        return
    yield from _answered(domain, dialogue, heard, plan, stop or threading.Event(), model)


def understood(domain: Domain, dialogue: Dialogue) -> str:
    """Return what was understood so far, in one line; "" for nothing."""
    text = asked_in_words(domain, dialogue)
    return f"understood: {text}" if text else ""


def asked_in_words(domain: Domain, dialogue: Dialogue) -> str:
    """Return what the conversation has asked for, in words; "" for nothing."""
    return dialogue.preferences.describe(domain.catalog) if domain.catalog else ""


def reasons_of(domain: Domain, dialogue: Dialogue, items: Sequence[int]) -> str:
    """Return why items of the last list were listed, a line each."""
    assert domain.catalog is not None
    assert domain.expectations is not None
    found = reasons(domain.expectations, dialogue.last, items, domain.catalog)
    return "\n".join(reason.text(domain.catalog) for reason in found)


def _planned(domain: Domain, dialogue: Dialogue, heard: Heard, model: ModelUse) -> Generator[Notice, None, Plan]:
    """Yield what was understood and what prevents it; return the plan."""
    line = understood(domain, dialogue)
    if line and not heard.change.is_empty:
        yield Notice(line, says_understood=True)
    if heard.change.unknown and (heard.change.asks or heard.change.named()):
        yield Notice(f"not in {domain.name}: {', '.join(heard.change.unknown)}")
    if heard.change.unknowable and domain.catalog:
        yield Notice(unknowable_notice(heard.change.unknowable, domain.catalog))
    expectations = domain.expectations if heard.change.asks else None
    prior = model.prior(expectations, dialogue.taste) if expectations else None
    if expectations and (problem := expectations.take_problem()):
        yield Notice(f"the teacher is left out: {problem}")
    plan = dialogue.plan(heard, prior)
    if plan.problem:
        yield Notice(plan.problem)
    if plan.fewer:
        yield Notice(f"only {counted(plan.n_items, 'item')} of {domain.name} {'fits' if plan.n_items == 1 else 'fit'}")
    return plan


def _said(dialogue: Dialogue, user: Message, answer: str) -> Iterator[AnswerEvent]:
    """Yield an answer that is known, and record it."""
    dialogue.record(user, [answer])
    yield TextDelta(answer)
    yield Done("end")


def _answered(
    domain: Domain, dialogue: Dialogue, heard: Heard, plan: Plan, stop: threading.Event, model: ModelUse
) -> Iterator[AnswerEvent]:
    parts: list[Part] = []
    finish = written = ""
    try:
        for event in model.events(domain.recommender, dialogue.request(heard, plan), stop):
            match event:
                case TextDelta(words):
                    parts.append(words)
                    written = (written + words)[-_REREAD:]
                    if repeats_itself(written):
                        stop.set()
                case Recommendation(item_id):
                    assert domain.catalog is not None
                    parts.append(ItemPart(domain.catalog.index[item_id]))
                case Done(finish):
                    pass
            yield event
    finally:
        dialogue.record(heard.user, parts)
    if finish in _CUT_SHORT:
        yield Notice("stopped: the answer repeats itself" if repeats_itself(written) else _CUT_SHORT[finish])


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
