"""An answer that grows -> events: text as soon as it is settled, items as they are written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.request import Completion
from train_utils.prompts.renderer import Chat


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class ItemEvent:
    """An item of the catalog, as it stands in the answer: `item` is its index, `rank` counts from 1, `score` is its
    log-probability among the admissible items."""

    item: int
    rank: int
    score: float


@dataclass(frozen=True)
class Done:
    finish: str


def answer_events(
    chat: Chat, state: DecodingState | None, answer: Completion, go_on: Callable[[], object]
) -> Iterator[TextDelta | ItemEvent | Done]:
    """The events of an answer. Half of a character or of an item is never shown.

    Args:
        state: the state of the answer, None where its prompt could not be read.
        answer: what is written so far; it grows.
        go_on: writes more of it, or finishes it.

    Raises:
        ConstraintError: the answer cannot be gone on with.
    """
    if answer.error is not None:
        raise answer.error
    assert state is not None  # there is none only where there is an error
    text, read, rank, inside = _StreamedText(chat, state.begins_answer), 0, 0, state.begins_inside
    while True:
        finished = bool(answer.finish)
        for token in answer.ids[read:]:
            if state.matcher is None:
                text.add(token)
            elif token == chat.soi:
                inside = True
            elif token == chat.eoi:
                yield from text.rest()
                yield ItemEvent(answer.items[rank], rank + 1, answer.scores[rank])
                text, rank, inside = _StreamedText(chat, first=False), rank + 1, False
            elif not inside:
                text.add(token)
            read += 1
        if finished:
            break
        yield from text.settled()
        go_on()
    yield from text.rest()
    if answer.error is not None:
        raise answer.error
    yield Done(answer.finish)


class _StreamedText:
    """A run of an answer's text that grows; it gives each character once, as soon as no further token can change it.

    first: whether the run begins the answer, rather than follows an item.
    """

    def __init__(self, chat: Chat, first: bool = True):
        self.chat, self.first = chat, first
        self._ids: list[int] = []
        self._shown = 0  # characters given so far

    def add(self, token: int) -> None:
        self._ids.append(token)

    def settled(self) -> Iterator[TextDelta]:
        yield from self._more(self.chat.settled_part(self._ids, self.first))

    def rest(self) -> Iterator[TextDelta]:
        yield from self._more(self.chat.decode_part(self._ids, self.first))

    def _more(self, text: str) -> Iterator[TextDelta]:
        if len(text) > self._shown:
            begin, self._shown = self._shown, len(text)
            yield TextDelta(text[begin:])
