"""Events of a streamed answer: text as soon as it is final, items as they are written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.request import Completion
from train_utils.prompts.renderer import Chat


@dataclass(frozen=True)
class TextDelta:
    """Piece of text that is appended to the answer."""

    text: str


@dataclass(frozen=True)
class ItemEvent:
    """Item of the catalog in the answer.

    Attributes:
        item: item index.
        rank: number of the item in the answer, from 1.
        score: log-probability of the item among the admissible items.
    """

    item: int
    rank: int
    score: float


@dataclass(frozen=True)
class Done:
    """End of the answer.

    Attributes:
        finish: as in `Completion`.
        tokens: tokens of the answer.
    """

    finish: str
    tokens: int = field(default=0, compare=False)


def answer_events(
    chat: Chat, state: DecodingState | None, answer: Completion, go_on: Callable[[], object]
) -> Iterator[TextDelta | ItemEvent | Done]:
    """Yield the events of an answer; incomplete characters and items are withheld.

    Args:
        chat: decodes the tokens.
        state: state of the answer; None if its prompt could not be read.
        answer: the completion, which `go_on` extends.
        go_on: writes more of the answer, or finishes it.

    Raises:
        ConstraintError: decoding of the answer failed.
    """
    if answer.error is not None:
        raise answer.error
    assert state is not None  # it is None only if there is an error
    text, read, rank, inside = _StreamedText(chat, state.begins_answer), 0, 0, state.begins_inside
    while True:
        finished = bool(answer.finish)
        for token in answer.ids[read:]:
            if not state.constrained:
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
    yield Done(answer.finish, len(answer.ids))


class _StreamedText:
    """Text between two items of an answer; yields each character once, when no later token can change it.

    Args:
        chat: decodes the tokens.
        first: whether the text begins the answer instead of following an item.
    """

    def __init__(self, chat: Chat, first: bool = True):
        self.chat, self.first = chat, first
        self._ids: list[int] = []
        self._shown = 0  # characters yielded so far

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
