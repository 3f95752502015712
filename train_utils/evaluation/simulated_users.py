"""Users who chat: they tell, ask, reject and narrow down, until the item that they took next is listed.

A simulated user is a test user. In up to five turns it names titles of its history in words, asks for a list, tells
more, and then narrows by the category and the year of its target. What it says is known, so every list can be checked.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from train_utils.catalog import Catalog, Item
from train_utils.prompts.messages import ItemPart, Part
from train_utils.prompts.title_forms import spoken_title

TURNS = 5
_FIRST, _LATER = 3, 2  # titles named in the first turn, and in the second

# Wordings of the evaluation; those of training are in train_utils/prompts/templates.py.
_TELL = (
    "I really liked {titles}. What should I watch next? Give me {n}.",
    "My favorites lately: {titles}. {n} suggestions?",
    "{titles} - loved them. Can you find me {n} more like that?",
    "Having enjoyed {titles}, I need {n} ideas for tonight.",
    "give me {n} titles for someone who loves {titles}",
)
_TELL_MORE = (
    "None of these. I also loved {titles}. {n} others?",
    "Not quite. I liked {titles} too. {n} more please.",
    "hmm, no. {titles} were great as well, show me {n} more",
)
_ONLY = ("Only {category} please, {n} of them.", "{n} more, but just {category}", "Could it be {category}? {n} titles.")
_WITHOUT = (
    "No {category} please. {n} more.",
    "{n} more, but without {category}.",
    "Anything but {category}, {n} titles.",
)
_YEARS = ("{n} from {low} to {high}, please.", "{n} more, made between {low} and {high}.")
_REJECT = ("I did not like {title}. {n} other ones?", "{title} was bad. {n} more?")
_MORE = ("{n} more, please.", "Show me {n} others.")


@dataclass
class Stated:
    """What a user has said so far.

    Attributes:
        n: number of items asked for in the last turn.
        named: items that were named.
        only: category that every item must have; "" for any.
        without: category that no item may have; "" for none.
        years: the first and the last year; None for any.
    """

    n: int = 0
    named: set[int] = field(default_factory=set)
    only: str = ""
    without: str = ""
    years: tuple[int, int] | None = None

    def admits(self, item: Item) -> bool:
        """Return whether an item is as the user wants it."""
        if self.only and self.only not in item.categories or self.without in item.categories:
            return False
        year = item.attributes.get("year")
        return self.years is None or isinstance(year, int) and self.years[0] <= year <= self.years[1]


class SimulatedUser:
    """User who knows the target and answers lists that lack it.

    Args:
        catalog: the catalog.
        history: item indices before the target, oldest first.
        target: the item that the user took next.
        seed: seed of the wordings and of what is named.
    """

    def __init__(self, catalog: Catalog, history: Sequence[int], target: int, seed: str):
        self.catalog = catalog
        self.target = target
        self.stated = Stated()
        self._untold = list(history)
        self._rng = random.Random(seed)

    def message(self, turn: int, listed: Sequence[int]) -> str:
        """Return the message of a turn.

        Args:
            turn: number of the turn, from 0.
            listed: items of the answer before.
        """
        steps: Sequence[Callable[[Sequence[int]], str]] = (
            self._tells,
            self._tells_more,
            self._narrows,
            self._dates,
            self._excludes,
        )
        self.stated.n = self._rng.randint(3, 5)
        return steps[turn](listed)

    def _say(self, wordings: Sequence[str], **fields: object) -> str:
        return self._rng.choice(wordings).format(n=self.stated.n, **fields)

    def _name(self, items: Iterable[int]) -> str:
        items = list(items)
        self.stated.named.update(items)
        names = [spoken_title(self.catalog.items[item].title) for item in items]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

    def _next(self, n: int) -> list[int]:
        told, self._untold = self._untold[-n:], self._untold[:-n]
        return told

    def _tells(self, _: Sequence[int]) -> str:
        return self._say(_TELL, titles=self._name(self._next(_FIRST)))

    def _tells_more(self, _: Sequence[int]) -> str:
        told = self._next(_LATER)
        return self._say(_TELL_MORE, titles=self._name(told)) if told else self._say(_MORE)

    def _narrows(self, listed: Sequence[int]) -> str:
        categories = self.catalog.items[self.target].categories
        if not categories:
            return self._rejects(listed)
        self.stated.only = self._rng.choice(categories)
        return self._say(_ONLY, category=self.stated.only)

    def _dates(self, listed: Sequence[int]) -> str:
        year = self.catalog.items[self.target].attributes.get("year")
        if not isinstance(year, int) or "year" not in self.catalog.numeric_attributes:
            return self._rejects(listed)
        low = year - self._rng.randint(0, 5)
        self.stated.years = (low, low + 5)
        return self._say(_YEARS, low=low, high=low + 5)

    def _excludes(self, listed: Sequence[int]) -> str:
        own = self.catalog.items[self.target].categories
        others = sorted({name for item in listed for name in self.catalog.items[item].categories} - set(own))
        if not others:
            return self._rejects(listed)
        self.stated.without = self._rng.choice(others)
        return self._say(_WITHOUT, category=self.stated.without)

    def _rejects(self, listed: Sequence[int]) -> str:
        return self._say(_REJECT, title=self._name(listed[:1])) if listed else self._say(_MORE)


@dataclass(frozen=True)
class Answer:
    """Answer of a system.

    Attributes:
        parts: texts and items, in order.
    """

    parts: tuple[Part, ...] = ()

    @property
    def items(self) -> tuple[int, ...]:
        """The listed items."""
        return tuple(part.item for part in self.parts if isinstance(part, ItemPart))

    @property
    def text(self) -> str:
        """The words around the items, which an item separates."""
        return "\n".join(part for part in self.parts if isinstance(part, str))


# users still talking, by number, and their messages -> their answers
Chat = Callable[[Mapping[int, str]], Mapping[int, Answer]]


@dataclass(frozen=True)
class TurnRecord:
    """One turn of one user, as it is counted.

    Attributes:
        turn: number of the turn, from 1.
        hit: whether the list has the target.
        adheres: whether every item is as stated.
        exact: whether the list has as many items as asked, or all that are left.
        repeats: items listed in an earlier turn.
        named_back: items that the user had named.
        outside: titles of the catalog in the words around the list.
        off_catalog: items that the catalog does not have.
    """

    turn: int
    hit: bool
    adheres: bool
    exact: bool
    repeats: int
    named_back: int
    outside: int
    off_catalog: int


def converse(users: Sequence[SimulatedUser], chat: Chat, named: Callable[[str], int]) -> list[list[TurnRecord]]:
    """Let users talk with a system until their targets are listed or their turns are over.

    Args:
        users: the users.
        chat: the system.
        named: counts the titles that a text names.

    Returns:
        The turns of each user.
    """
    records: list[list[TurnRecord]] = [[] for _ in users]
    listed: list[list[int]] = [[] for _ in users]
    last: list[tuple[int, ...]] = [()] * len(users)
    talking = list(range(len(users)))
    for turn in range(TURNS):
        if not talking:
            break
        messages = {i: users[i].message(turn, last[i]) for i in talking}
        answers = chat(messages)
        for i in talking:
            records[i].append(_record(turn, users[i], answers[i], listed[i], named))
            listed[i] += answers[i].items
            last[i] = answers[i].items
        talking = [i for i in talking if not records[i][-1].hit]
    return records


def _record(
    turn: int, user: SimulatedUser, answer: Answer, listed: Sequence[int], named: Callable[[str], int]
) -> TurnRecord:
    items, stated = user.catalog.items, user.stated
    before = set(listed)
    left = sum(stated.admits(item) and i not in before and i not in stated.named for i, item in enumerate(items))
    return TurnRecord(
        turn=turn + 1,
        hit=user.target in answer.items,
        adheres=all(stated.admits(items[i]) for i in answer.items),
        exact=len(answer.items) == min(stated.n, left),
        repeats=len(before.intersection(answer.items)) + len(answer.items) - len(set(answer.items)),
        named_back=len(stated.named.intersection(answer.items)),
        outside=named(answer.text),
        off_catalog=sum(not 0 <= i < len(items) for i in answer.items),
    )


def hits_by_turn(records: Sequence[Sequence[TurnRecord]]) -> list[float]:
    """Return the share of users whose target was listed by each turn."""
    hits = [sum(any(turn.hit and turn.turn <= n for turn in user) for user in records) for n in range(1, TURNS + 1)]
    return [hit / len(records) for hit in hits]


def mean_hits(records: Sequence[Sequence[TurnRecord]]) -> float:
    """Return the mean of `hits_by_turn`, which is higher the sooner targets are listed."""
    return sum(hits_by_turn(records)) / TURNS


def summary(records: Sequence[Sequence[TurnRecord]]) -> dict[str, object]:
    """Return the measures of a system.

    Returns:
        `hit_turns`: share of users whose target was listed by each turn; `adherence` and `exact_count`: shares of the
        turns; `repeats`, `named_back`, `titles_outside` and `off_catalogue`: counts.
    """
    turns = [turn for user in records for turn in user]
    return {
        "hit_turns": [round(hit, 4) for hit in hits_by_turn(records)],
        "adherence": sum(turn.adheres for turn in turns) / len(turns),
        "exact_count": sum(turn.exact for turn in turns) / len(turns),
        "repeats": sum(turn.repeats for turn in turns),
        "named_back": sum(turn.named_back for turn in turns),
        "titles_outside": sum(turn.outside for turn in turns),
        "off_catalogue": sum(turn.off_catalog for turn in turns),
    }
