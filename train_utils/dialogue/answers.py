"""Answer to a message of a conversation: what was understood, then text and items as they are written."""

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from train_utils.constraint.constraint import Prior
from train_utils.conversation.reader import READ
from train_utils.conversation.titles.questions import asks_for_categories
from train_utils.conversation.unknowable import unknowable_notice
from train_utils.conversation.why import asked_about, asks_why
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.dialogue.dialogue import Dialogue, Heard, Plan
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.dialogue.reasons import Explain, Moved, moved, reasons
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.recommender import Recommendation, Recommender

_CUT_SHORT = {"length": "the answer reached `max_new_tokens`", "stopped": "stopped"}
# A small model can fall into a loop, which would go on to the length limit: (characters at most, repetitions).
_LOOPS = ((24, 8), (240, 4))
_CATEGORIES = 30  # categories that are named, the largest first
_REREAD = max(length * times for length, times in _LOOPS)  # characters in which a loop shows

# What a reader does not see: zero-width spaces, byte order marks, and the sign of a character that was cut off. Joiners
# stay, since scripts and emoji need them.
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\ufffd"))
# Said where the model writes nothing that can be seen, such as after "thank you".
_NO_WORDS = "I am here for the next list: say what you would like to see, such as 5 comedies from the nineties."


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

    def moved(self, expectations: Expectations, taste: Taste, items: Sequence[int]) -> dict[int, Moved]:
        """Return what moves items up for a user."""

    def prior(self, expectations: Expectations, taste: Taste) -> Prior | None:
        """Return what is expected of a user."""

    def events(
        self, recommender: Recommender, request: Request, stop: threading.Event
    ) -> Iterator[TextDelta | Recommendation | Done]:
        """Yield the answer to a request."""


class Directly:
    """Use of the model in the caller's thread."""

    def moved(self, expectations: Expectations, taste: Taste, items: Sequence[int]) -> dict[int, Moved]:
        return moved(expectations, taste, items)

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
        lines = reasons_of(dialogue, expectations, asked, model.moved)
        yield from _said(dialogue, message("user", text), lines)
        return
    if answer := _of_the_catalog(dialogue, text):
        yield from _said(dialogue, message("user", text), answer)
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


def _of_the_catalog(dialogue: Dialogue, text: str) -> str:
    """Return the answer to a question about the catalog or a list that was not given; "" for any other message."""
    catalog = dialogue.recommender.catalog
    if catalog is None or dialogue.reader is None:
        return ""
    if not dialogue.last.items and asks_why(text):
        return "Nothing was listed yet."
    if catalog.categories and asks_for_categories(text[:READ]):
        names = sorted(catalog.categories, key=lambda name: (-len(catalog.categories[name]), name))
        shown, more = ", ".join(names[:_CATEGORIES]), len(names) - _CATEGORIES
        return f"{catalog.name} has {shown}" + (f" and {more} more categories." if more > 0 else ".")
    return ""


def understood(dialogue: Dialogue) -> str:
    """Return what was understood so far, in one line; "" for nothing."""
    return f"understood: {dialogue.asked}" if dialogue.asked else ""


def reasons_of(
    dialogue: Dialogue, expectations: Expectations | None, items: Sequence[int], explain: Explain = moved
) -> str:
    """Return why items of the last list were listed, a line each."""
    catalog = dialogue.recommender.catalog
    assert catalog is not None  # there is a list
    assert expectations is not None
    return "\n".join(reason.text(catalog) for reason in reasons(expectations, dialogue.last, items, catalog, explain))


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
    if heard.change.foreign and (heard.change.asks or heard.change.named()):
        yield Notice("this is not English: only titles and a number of items were read")
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
    loops = False
    try:
        for event in model.events(recommender, dialogue.request(heard, plan), stop):
            match event:
                case TextDelta(words):
                    event = TextDelta(words.translate(_UNSEEN))
                    parts.append(event.text)
                    written = (written + words)[-_REREAD:]
                    if repeats_itself(written):
                        loops = True
                        stop.set()
                    if not event.text:  # nothing that a user would see
                        continue
                case Recommendation(item_id):
                    assert recommender.catalog is not None
                    parts.append(ItemPart(recommender.catalog.index[item_id]))
                case Done(finish):
                    said = any(not isinstance(part, str) or part.strip() for part in parts)
                    if not said and (loops or finish != "stopped"):
                        loops, finish = False, "end"
                        parts.append(_NO_WORDS)
                        yield TextDelta(_NO_WORDS)
            yield event
    finally:
        dialogue.record(heard.user, parts)
    if finish in _CUT_SHORT:
        yield Notice("stopped: the answer repeats itself" if loops else _CUT_SHORT[finish])
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
