"""What a teacher is: anything that ranks the catalog after a history."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, overload

History = Sequence[str]
ScoredLists = tuple[list[list[str]], list[list[float]]]


class TeacherError(ValueError):
    """The teacher does not answer, refuses the request, or its answer makes no sense."""


class TeacherRefusal(TeacherError):
    """The teacher answers, and refuses this request, such as a history with an unknown item."""


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


_HIGHEST = 1 + 1e-6  # of a probability, with the rounding of float32


def check_ranking(items: object, probabilities: Sequence[float], k: int) -> None:
    """Verify one ranking of a teacher: up to `k` ids, each with a probability.

    Raises:
        ValueError: the ids are no distinct texts, there are too many, or their probabilities are too few or out of
            range.
    """
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("a ranking is no list of item ids")
    if len(items) > k or len(items) != len(probabilities):
        raise ValueError(f"a ranking of {k} items has {len(items)} ids and {len(probabilities)} probabilities")
    if len(set(items)) < len(items):
        raise ValueError("a ranking lists an item twice")
    if not isinstance(probabilities, (list, tuple)) or not {*map(type, probabilities)} <= {int, float}:
        raise ValueError("a ranking has probabilities that are no numbers")
    # NaN compares as false with anything, so `min` and `max` may miss it; a sum does not.
    within = not probabilities or 0 <= min(probabilities) <= max(probabilities) <= _HIGHEST
    if not within or math.isnan(sum(probabilities)):
        raise ValueError("a ranking has probabilities outside 0..1")


@dataclass(frozen=True, slots=True)
class TeacherList:
    """The teacher's ranking for one history: item indices, best first, and their probabilities."""

    items: tuple[int, ...]
    scores: tuple[float, ...]

    def within(self, admits: Callable[[int], bool]) -> "TeacherList":
        kept = [(item, score) for item, score in zip(self.items, self.scores, strict=True) if admits(item)]
        return TeacherList(tuple(item for item, _ in kept), tuple(score for _, score in kept))
