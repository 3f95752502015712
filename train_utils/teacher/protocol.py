"""What a teacher is: anything that ranks the catalog after a history."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, overload

History = Sequence[str]
ScoredLists = tuple[list[list[str]], list[list[float]]]


class TeacherError(ValueError):
    """The teacher does not answer, refuses the request, or its answer makes no sense."""


class Teacher(Protocol):
    """Usable from several threads at a time."""

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """Return the k best next items of each history, best first.

        histories: raw item ids, oldest first, any length; every id in a history is hidden from its answer.
        A list is shorter than k only when the catalog holds fewer items outside the history.
        scores: return (lists, probabilities) instead, the probabilities over all items outside the history.
        TeacherError when there is no answer.
        """

    def close(self) -> None:
        """End the use of the teacher; a question that waits for its answer in another thread fails soon."""


@dataclass(frozen=True, slots=True)
class TeacherList:
    """The teacher's ranking for one history: item indices, best first, and their probabilities."""

    items: tuple[int, ...]
    scores: tuple[float, ...]

    def within(self, admits: Callable[[int], bool]) -> "TeacherList":
        kept = [(item, score) for item, score in zip(self.items, self.scores, strict=True) if admits(item)]
        return TeacherList(tuple(item for item, _ in kept), tuple(score for _, score in kept))
