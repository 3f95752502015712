"""Reading samples: a message of a user, and the reading line that says what it asks."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from train_utils.catalog import Catalog
from train_utils.prompts.conversation_wordings import (
    ASK,
    DISLIKED,
    LIKED,
    LIKED_TOO,
    MORE,
    ONLY,
    RANGE,
    WITHOUT,
    joined,
    sentences,
    worded,
)
from train_utils.prompts.messages import Message, message
from train_utils.prompts.reading_line import MOST_READ, ReadingLine, line_parts, reading_prompt
from train_utils.prompts.reading_wordings import (
    ALSO,
    ANY_CATEGORY,
    EITHER,
    FORGET,
    KNOWN,
    NOUNS,
    ONLY_RANGE,
    ONLY_WITHOUT,
    SIMILAR,
    SMALL_TALK,
    TOGETHER,
)
from train_utils.prompts.title_forms import spoken_title
from train_utils.samples.plan import MOST_TOLD, SamplePlan
from train_utils.samples.ranges_of_target import Bounds, around, usable_attributes

_MOST_ASKED = 20  # items that a message asks for; few ask for more than 10
_SMALL_TALK = 0.05  # share of the messages that say nothing of items
_TITLES = 0.6  # share of the others that name titles
_ONLY_TELLS = 0.3  # share of those with titles that ask for nothing
_FORGETS = 0.06  # share of the messages that start over
_NO_NUMBER = 0.5  # share of the requests without a number
_ANY_ITEM = 0.5  # share of the messages whose titles are any of the catalog: histories hold few of the rare ones
# Kinds of requests and how often they are drawn. Those with conditions are rarer than single ones.
_KINDS = {
    "ask": 2.0, "more": 1.5, "similar": 1.5, "only": 3.0, "without": 2.0, "range": 2.0, "only range": 1.5,
    "only without": 0.7, "together": 1.0, "either": 1.0, "also": 0.6, "any": 0.5,
}  # fmt: skip


def reading_messages(
    plan: SamplePlan, exchange: Sequence[Message], catalog: Catalog, shorter: int = 0
) -> tuple[Message, ...]:
    """Return a message and its reading line, as a conversation.

    Args:
        plan: the sample plan; its history and its target are what the message is about.
        exchange: a chat exchange, whose first message asks for nothing of the catalog; () for a message of words drawn
            by the plan.
        catalog: the catalog of the plan.
        shorter: steps by which the message is shortened, 0 to `MOST_TOLD` - 1: each leaves out a title, or half of a
            chat message.
    """
    if exchange:
        typed = "".join(part for part in exchange[0].parts if isinstance(part, str))
        text, line = typed[: MOST_READ >> shorter], ReadingLine()
    else:
        text, line = _Writer(plan, catalog, MOST_TOLD - shorter).run()
    return (*reading_prompt(text), message("assistant", *line_parts(line)))


@dataclass
class _Writer:
    """Writer of a message and its slots."""

    plan: SamplePlan
    catalog: Catalog
    most: int  # titles that it may name
    line: ReadingLine = field(default_factory=ReadingLine)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.plan.draw}/reading")
        self.noun = self.rng.choice(NOUNS)
        self.lower = self.rng.random() < 0.25  # many users type no capitals

    def run(self) -> tuple[str, ReadingLine]:
        rng = self.rng
        if rng.random() < _SMALL_TALK:
            return rng.choice(SMALL_TALK), self.line
        said: list[str] = []
        if rng.random() < _FORGETS:
            self.line = replace(self.line, forget=True)
            said.append(rng.choice(FORGET))
        asks = True
        if rng.random() < _TITLES:
            told = self._told()
            asks = rng.random() > _ONLY_TELLS
            said += told
        if asks:
            said.append(self._request())
        if len(said) == 2 and not self.line.forget and rng.random() < 0.3:
            said.reverse()
        text = sentences(said)
        return text.lower() if self.lower else text, self.line

    # -- titles --------------------------------------------------------------------------------------------------

    def _told(self) -> list[str]:
        """Return the sentences that name titles."""
        rng = self.rng
        counts = [
            ("liked", rng.choice((1, 1, 1, 2, 2, 3, 4, MOST_TOLD))),
            ("disliked", 1),
            ("known", rng.randint(1, 3)),
        ]
        kinds = rng.sample(counts, rng.choice((1, 1, 1, 2)), counts=(3, 2, 2))
        return [self._told_of(kind, n) for kind, n in dict(kinds).items()]

    def _told_of(self, kind: str, n: int) -> str:
        items = self._items(n)
        if not items:
            return self.rng.choice(SMALL_TALK)
        slots: dict[str, Any] = {kind: (*getattr(self.line, kind), *items)}
        self.line = replace(self.line, **slots)
        titles = joined([spoken_title(self.catalog.items[item].title) for item in items], self.rng)
        wordings = {"liked": LIKED + LIKED_TOO, "disliked": DISLIKED, "known": KNOWN}[kind]
        return worded(wordings, None, self.rng, titles=titles, title=titles)

    def _items(self, n: int) -> tuple[int, ...]:
        """Return up to `n` items that the message has not named: of the history, or any."""
        line, rng = self.line, self.rng
        named = {*line.liked, *line.disliked, *line.known}
        pool = range(len(self.catalog.items)) if rng.random() < _ANY_ITEM else self.plan.history
        drawn = [item for item in rng.sample(pool, min(n, len(pool))) if item not in named]
        return tuple(dict.fromkeys(drawn))[: max(0, self.most - len(named))]

    # -- requests ------------------------------------------------------------------------------------------------

    def _request(self) -> str:
        """Return the sentence that asks."""
        rng, target = self.rng, self.catalog.items[self.plan.target]
        own = sorted(set(target.categories))
        others = sorted(set(self.catalog.categories) - set(own))
        bounds = self._bounds()
        possible = {
            **dict.fromkeys(("ask", "more", "similar"), True),
            **dict.fromkeys(("only", "also", "any"), bool(own)),
            "without": bool(others),
            "range": bounds is not None,
            "only range": bool(own) and bounds is not None,
            "only without": bool(own and others),
            **dict.fromkeys(("together", "either"), bool(own) and len(own) + len(others) > 1),
        }
        kinds = {kind: weight for kind, weight in _KINDS.items() if possible[kind]}
        (kind,) = rng.choices(list(kinds), list(kinds.values()))
        fields: dict[str, str] = {}
        slots: dict[str, Any] = {"asks": True}
        if kind.startswith("only") or kind == "also":
            slots |= {"only": (rng.choice(own),), "also": kind == "also"}
        elif kind in ("together", "either"):
            first = rng.choice(own)
            second = rng.choice([name for name in (own if len(own) > 1 else others) if name != first])
            slots |= {"only": (first, second), "together": kind == "together"}
            fields["other"] = self._named(second)
        if slots.get("only"):
            fields["category"] = self._named(slots["only"][0])
        if kind.endswith("without"):
            slots["without"] = (rng.choice(others),)
            fields["other" if kind == "only without" else "category"] = self._named(slots["without"][0])
        if kind.endswith("range") and bounds is not None:
            slots["ranges"] = ((bounds.attribute, bounds.low, bounds.high),)
            fields["which"] = bounds.phrase
        slots |= {"any_category": kind == "any", "more": kind == "more"}
        if kind == "similar" and (items := self._items(rng.choice((1, 1, 1, 2, 3)))):
            slots["liked"] = (*self.line.liked, *items)
            fields["titles"] = joined([spoken_title(self.catalog.items[item].title) for item in items], rng)
        elif kind == "similar":
            kind = "ask"
        wordings = {
            "ask": ASK, "more": MORE, "similar": SIMILAR, "only": ONLY, "without": WITHOUT, "range": RANGE,
            "only range": ONLY_RANGE, "only without": ONLY_WITHOUT, "together": TOGETHER, "either": EITHER,
            "also": ALSO, "any": ANY_CATEGORY,
        }[kind]  # fmt: skip
        n = None if rng.random() < _NO_NUMBER else rng.randint(1, 10 if rng.random() < 0.9 else _MOST_ASKED)
        self.line = replace(self.line, count=n, **slots)
        # "title" in a field's name stays.
        own_words = [re.sub(r"(?<!\{)\btitle", self.noun, wording) for wording in wordings]
        return worded(own_words, n, rng, spelled=rng.random() < 0.5, **fields)

    def _bounds(self) -> Bounds | None:
        """Return a range around a value of the target; None where it has no number."""
        target, rng = self.catalog.items[self.plan.target], self.rng
        names = [name for name in usable_attributes(self.catalog) if target.number(name) is not None]
        if not names:
            return None
        name = rng.choice(names)
        value = target.number(name)
        assert value is not None
        return around(self.catalog, name, value, rng)

    def _named(self, category: str) -> str:
        return category.lower() if self.rng.random() < 0.5 else category
