"""Turns of a user in the chat: what the user says, and the lists that answer it.

The messages are as in the chat, text without control tokens, and the answers are as the chat forces them.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from train_utils.catalog import Catalog
from train_utils.prompts.conversation_wordings import (
    ASK,
    DISLIKED,
    LIKED,
    LIKED_TOO,
    MORE,
    NOTHING,
    ONLY,
    RANGE,
    WITHOUT,
    joined,
    sentences,
    worded,
)
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.prompts.messages import Message, message, numbered
from train_utils.prompts.title_forms import spoken_title
from train_utils.samples.plan import SamplePlan
from train_utils.samples.ranges_of_target import Bounds, around, leaves_room, outside, usable_attributes
from train_utils.teacher.protocol import TeacherList

MOST_ASKED = 10  # items of a list at most
_MOST_TURNS = 4
_TELLS_AGAIN = 0.5  # share of the conversations of several turns in which titles are named in two messages
_NOTHING_FITS = 0.2  # share of them in which the user asks for something that no item is
_CONDITION_AT_ONCE = 0.3  # share of the first messages that state a condition
_NO_NUMBER = 0.25  # share of the messages without a number
_JUDGES = 0.3  # share of the later messages that judge an item of the last list


@dataclass(frozen=True, slots=True)
class Outline:
    """What is drawn of a conversation before the teacher answers.

    Attributes:
        turns: number of turns.
        again: turn in which the other titles are named, from 0; 0 names all in the first.
        split: number of history items that the first message names.
        nothing: turn that asks for something that nothing fits; 0 for none.
    """

    turns: int
    again: int
    split: int
    nothing: int


def outline(plan: SamplePlan) -> Outline:
    """Return the outline of a plan's conversation."""
    rng = random.Random(f"{plan.draw}/spoken")
    turns, n = rng.randint(1, _MOST_TURNS), len(plan.history)
    again = rng.randrange(1, turns) if turns > 1 and n > 1 and rng.random() < _TELLS_AGAIN else 0
    nothing = rng.randrange(1, turns) if turns > 1 and rng.random() < _NOTHING_FITS else 0
    if nothing == again:
        nothing = 0
    return Outline(turns, again, rng.randint(1, n - 1) if again else n, nothing)


def histories(plan: SamplePlan) -> list[tuple[int, ...]]:
    """Return the histories to query the teacher with: all that is named, and what the first message names of it."""
    told = outline(plan).split
    return [plan.history, *([plan.history[:told]] if told < len(plan.history) else [])]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a conversation is kept.

    Attributes:
        told: number of the newest history items that are told.
        turns: number of turns.
        items: items of a list at most.
    """

    told: int
    turns: int = _MOST_TURNS
    items: int = MOST_ASKED


def sizes(plan: SamplePlan) -> Iterator[Size]:
    """Yield sizes of a plan's conversation, from all of it down: fewer titles, then fewer turns, then fewer items."""
    turns = outline(plan).turns
    yield from (Size(told, turns) for told in range(len(plan.history), 0, -1))
    yield from (Size(1, fewer) for fewer in range(turns - 1, 0, -1))
    yield from (Size(1, 1, items) for items in range(MOST_ASKED - 1, 0, -1))


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user has said so far.

    Attributes:
        named: items that were named, oldest first.
        only: category that an item must have; "" for any.
        without: categories that an item must not have.
        ranges: ranges of attributes, one of each.
    """

    named: tuple[int, ...] = ()
    only: str = ""
    without: tuple[str, ...] = ()
    ranges: tuple[Bounds, ...] = ()

    def admits(self, item: int, catalog: Catalog) -> bool:
        """Return whether an item is as the user wants it, and was not named."""
        entry = catalog.items[item]
        return (
            item not in self.named
            and (not self.only or self.only in entry.categories)
            and not any(name in entry.categories for name in self.without)
            and all(bounds.admits(entry) for bounds in self.ranges)
        )

    def naming(self, items: Iterable[int]) -> "Stated":
        return replace(self, named=tuple(dict.fromkeys([*self.named, *items])))

    def within(self, bounds: Bounds) -> "Stated":
        """Return what is said after a range, which replaces that of its attribute."""
        others = (entry for entry in self.ranges if entry.attribute != bounds.attribute)
        return replace(self, ranges=(*others, bounds))

    def to_dict(self, catalog: Catalog, k: int) -> dict[str, object]:
        """Return what is said in item ids, for an exported file."""
        record: dict[str, object] = {"k": k, "named": catalog.ids(self.named)}
        if self.only:
            record["only"] = self.only
        if self.without:
            record["without"] = list(self.without)
        if self.ranges:
            record["where"] = {bounds.attribute: bounds.to_dict() for bounds in self.ranges}
        return record


@dataclass
class Spoken:
    """Turns of a conversation.

    Attributes:
        messages: the messages, the user's first.
        rankings: the teacher's ranking of admissible items for each list.
        asked: what was said up to each answer; `k` is the number of items asked for.
    """

    messages: list[Message] = field(default_factory=list)
    rankings: list[TeacherList] = field(default_factory=list)
    asked: list[dict[str, object]] = field(default_factory=list)


def speak(
    plan: SamplePlan, lists: Sequence[TeacherList], catalog: Catalog, size: Size, *, topk: int, depth: int
) -> Spoken:
    """Return the conversation of a plan.

    The last list begins with the target. Where a list before it would lack an item for want of the target, the
    conversation ends with that list.

    Args:
        plan: the plan.
        lists: the teacher's answers to `histories(plan)`; () where only the target is listed.
        catalog: the catalog of the plan.
        size: how much of the conversation is kept.
        topk: number of items that a message asks for at most.
        depth: items of a ranking at most.
    """
    return _Speaker(plan, lists, catalog, size, topk, depth).run()


class _Speaker:
    def __init__(
        self, plan: SamplePlan, lists: Sequence[TeacherList], catalog: Catalog, size: Size, topk: int, depth: int
    ):
        self.plan, self.lists, self.catalog, self.size, self.depth = plan, lists, catalog, size, depth
        self.most = min(topk, MOST_ASKED, size.items)
        self.outline, self.target = outline(plan), catalog.items[plan.target]
        self.attributes = [name for name in usable_attributes(catalog) if self.target.number(name) is not None]
        self.roomy = [name for name in self.attributes if leaves_room(catalog, name)]
        start = len(plan.history) - size.told
        # The oldest titles may be gone, and with them all that the first message told: then it tells the others.
        self.told_twice = self.outline.again > 0 and start < self.outline.split
        split = self.outline.split if self.told_twice else len(plan.history)
        self.first, self.second = plan.history[start:split], plan.history[split:]
        self.stated, self.listed, self.last = Stated(), set[int](), tuple[int, ...]()
        self.spoken = Spoken()
        self.dead = ""  # attribute of a range that nothing fits

    def run(self) -> Spoken:
        turns = self.size.turns
        nothing = self.outline.nothing if self.roomy else 0
        last_list = turns - 2 if nothing == turns - 1 > 0 else turns - 1
        for turn in range(turns):
            rng = random.Random(f"{self.plan.draw}/spoken/{turn}")
            if turn == nothing > 0:
                self._asks_for_nothing(rng)
            elif self._asks(turn, rng, is_last=turn >= last_list) and turn < last_list:
                break
        return self.spoken

    # -- one turn ------------------------------------------------------------------------------------------------

    def _asks_for_nothing(self, rng: random.Random) -> None:
        """Add a turn that nothing fits."""
        attribute = rng.choice(self.roomy)
        members = self.catalog.categories[self.stated.only] if self.stated.only else None
        bounds = outside(self.catalog, attribute, members, rng)
        self.stated, self.dead = self.stated.within(bounds), attribute
        n, number = self._number(rng)
        text = worded(RANGE, number, rng, spelled=self._spelled(rng, number), which=bounds.phrase)
        self._add(text, message("assistant", rng.choice(NOTHING)), n)

    def _asks(self, turn: int, rng: random.Random, is_last: bool) -> bool:
        """Add a turn with a list; return whether the list has the target."""
        told = self._statements(turn, rng)
        n, number = self._number(rng)
        asked = self._request(turn, rng, number)
        ranking = self.lists[self._tells_partly(turn)] if self.lists else TeacherList((), ())
        items = tuple(islice(self._best(ranking), n))
        if is_last or len(items) < n:
            is_last, items = True, (self.plan.target, *items)[:n]
        reverse = turn == 0 and len(told) == 1 and rng.random() < 0.2
        text = sentences([asked, *told] if reverse else [*told, asked])
        stated = self.stated
        # The target stays in the labels of the lists that leave it out: what the teacher expects does not change.
        fitting = ((i, p) for i, p in zip(ranking.items, ranking.scores, strict=True) if stated.admits(i, self.catalog))
        self.spoken.rankings.append(_ranking(islice(fitting, self.depth)))
        self._add(text, message("assistant", *numbered(items, len(items) > 1)), n)
        self.listed.update(items)
        self.last = items
        return is_last

    def _add(self, text: str, answer: Message, n: int) -> None:
        self.spoken.messages += [message("user", text), answer]
        self.spoken.asked.append(self.stated.to_dict(self.catalog, n))

    def _tells_partly(self, turn: int) -> bool:
        return self.told_twice and turn < self.outline.again

    def _best(self, ranking: TeacherList) -> Iterator[int]:
        """Yield the admissible items but the target: the teacher's, then those that it does not rank, by popularity."""
        yield from filter(self._is_open, ranking.items)
        ranked = set(ranking.items)
        for item in self.catalog.most_popular if self.lists else ():
            if item not in ranked and self._is_open(item):
                yield item

    def _is_open(self, item: int) -> bool:
        return item != self.plan.target and item not in self.listed and self.stated.admits(item, self.catalog)

    # -- words ---------------------------------------------------------------------------------------------------

    def _number(self, rng: random.Random) -> tuple[int, int | None]:
        """Return the number of items that a message asks for, and the number that it names, None for none."""
        n = rng.randint(1, self.most)
        if rng.random() < _NO_NUMBER and self.size.items >= LIST_LENGTH:
            return LIST_LENGTH, None
        return n, n

    def _spelled(self, rng: random.Random, number: int | None) -> bool:
        return number is not None and rng.random() < 0.5

    def _statements(self, turn: int, rng: random.Random) -> list[str]:
        """Return the sentences that say what the user liked and disliked."""
        said = []
        if turn and self.last and rng.random() < _JUDGES:
            item = rng.choice(self.last)
            said.append(worded(DISLIKED, None, rng, title=self._title(item)))
            self.stated = self.stated.naming([item])
        told, wordings = (self.first, LIKED) if turn == 0 else (self.second, LIKED_TOO)
        if turn in (0, self.outline.again if self.told_twice else 0):
            # A user who takes an item again has not named it.
            names = [item for item in dict.fromkeys(told) if item not in (self.plan.target, *self.stated.named)]
            if names:
                said.append(worded(wordings, None, rng, titles=joined([*map(self._title, names)], rng)))
                self.stated = self.stated.naming(names)
        return said

    def _title(self, item: int) -> str:
        return spoken_title(self.catalog.items[item].title)

    def _request(self, turn: int, rng: random.Random, number: int | None) -> str:
        """Return the sentence that asks, which may add a condition."""
        spelled = self._spelled(rng, number)
        kinds = self._conditions()
        kind = rng.choice(sorted(kinds)) if kinds else ""
        if self.dead:
            kind = "range"
        elif rng.random() > (0.8 if turn else _CONDITION_AT_ONCE):
            kind = ""
        if kind == "only":
            self.stated = replace(self.stated, only=rng.choice(sorted(set(self.target.categories))))
            return worded(ONLY, number, rng, spelled=spelled, category=_named(self.stated.only, rng))
        if kind == "without":
            name = rng.choice(kinds[kind])
            self.stated = replace(self.stated, without=(*self.stated.without, name))
            return worded(WITHOUT, number, rng, spelled=spelled, category=_named(name, rng))
        if kind == "range":
            attribute = self.dead or rng.choice(kinds[kind])
            value = self.target.number(attribute)
            assert value is not None
            bounds = around(self.catalog, attribute, value, rng)
            self.stated, self.dead = self.stated.within(bounds), ""
            return worded(RANGE, number, rng, spelled=spelled, which=bounds.phrase)
        return worded(MORE if turn else ASK, number, rng, spelled=spelled)

    def _conditions(self) -> dict[str, list[str]]:
        """Return the conditions that may be added, each with the categories or attributes that it may be about."""
        own, stated = set(self.target.categories), self.stated
        seen = self.last or self.plan.history
        shown = {name for item in seen for name in self.catalog.items[item].categories}
        ranged = {bounds.attribute for bounds in stated.ranges}
        kinds = {
            "only": [] if stated.only else sorted(own),
            # What the last list shows is what users want to be rid of.
            "without": sorted((shown or {*self.catalog.categories}) - own - {*stated.without}),
            "range": sorted({*self.attributes} - ranged),
        }
        return {kind: names for kind, names in kinds.items() if names}


def _named(category: str, rng: random.Random) -> str:
    return category.lower() if rng.random() < 0.5 else category


def _ranking(scored: Iterable[tuple[int, float]]) -> TeacherList:
    pairs = tuple(scored)
    return TeacherList(tuple(item for item, _ in pairs), tuple(score for _, score in pairs))
