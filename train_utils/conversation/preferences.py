"""Preferences of a user in a conversation: a record that each message changes, and the item rules that it implies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from train_utils.catalog import Catalog, Item
from train_utils.constraint.item_rules import ItemRules, tighter
from train_utils.conversation.limits.ranges import Range, hull, narrowed
from train_utils.prompts.title_forms import spoken_title

T = TypeVar("T")
_SHOWN = 6  # titles of one kind in a description


@dataclass(frozen=True, kw_only=True)
class Judgments:
    """Titles that a user has named, each as the items that share it, oldest first.

    Attributes:
        liked: those that the user likes, or names as an example.
        disliked: those that the user does not like.
        known: those that the user knows, without a judgment.
    """

    liked: tuple[tuple[int, ...], ...] = ()
    disliked: tuple[tuple[int, ...], ...] = ()
    known: tuple[tuple[int, ...], ...] = ()

    def named(self) -> list[int]:
        """Return the items of all titles, in ascending order."""
        return sorted(
            {item for titles in (self.liked, self.disliked, self.known) for items in titles for item in items}
        )


@dataclass(frozen=True, kw_only=True)
class Change(Judgments):
    """What one message changes, and the titles that it names.

    Attributes:
        asks: whether the message asks for recommendations.
        count: number of items that it asks for; None where it names none.
        only: categories asked for.
        quotas: (category, number of its items) for each of `only`, where the message numbers them all.
        together: whether an item must have all of them ("romantic comedy") instead of one of them.
        also: whether they are added to those asked for before.
        without: categories excluded.
        kinds: those of `without` of which only a kind was rejected ("no slapstick").
        allowed: categories that are excluded no longer.
        included: categories that are excluded no longer, and asked for where they were not excluded.
        taken_back: categories that are neither excluded nor asked for any longer.
        withdrawn: titles whose judgment the user takes back, each as the items that share it.
        limits: (category, number of its items that a list may have), for lists of other items too.
        ranges: ranges of attributes; one without bounds takes back the attribute's range.
        excluded: ranges whose values no item may have ("not from the nineties").
        widening: ranges that come on top of those before ("the 80s are fine too").
        any_category: whether the user takes back a restriction to categories.
        more: whether it asks for further items of the same kind.
        forget: whether the user starts over.
        unknown: titles that it names and the catalog does not have, as typed, each of at most 80 characters.
        foreign: whether it is in another language than English, of which only titles and a number are read.
        unknowable: names of the facts that it wishes for and the catalog does not have ("directors").
        about: titles that it asks about ("what year is Casablanca from?"), each as the items that share it.
        compared: "newer", "older", "not newer" or "not older" where it asks for items that are so compared with the
            titles that it names, or with the last list; "" otherwise.
        judges: "liked" or "disliked" where it judges the titles of the message before ("It was great"); "" otherwise.
    """

    asks: bool = False
    count: int | None = None
    only: tuple[str, ...] = ()
    quotas: tuple[tuple[str, int], ...] = ()
    together: bool = False
    also: bool = False
    without: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    taken_back: tuple[str, ...] = ()
    withdrawn: tuple[tuple[int, ...], ...] = ()
    limits: tuple[tuple[str, int], ...] = ()
    ranges: tuple[Range, ...] = ()
    excluded: tuple[Range, ...] = ()
    widening: tuple[Range, ...] = ()
    any_category: bool = False
    more: bool = False
    forget: bool = False
    unknown: tuple[str, ...] = ()
    foreign: bool = False
    unknowable: tuple[str, ...] = ()
    about: tuple[tuple[int, ...], ...] = ()
    compared: str = ""
    judges: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the message said nothing about recommendations."""
        said = Change(
            asks=self.asks,
            judges=self.judges,
            about=self.about,
            foreign=self.foreign,
            unknowable=self.unknowable,
        )
        return self == said


@dataclass(frozen=True, kw_only=True)
class Preferences(Judgments):
    """What a user has asked for so far, and the titles named.

    Attributes:
        count: number of items that the last message asked for; None for no number.
        quotas: (category, number of its items) of the last message; () for any mixture of categories.
        only: categories, one of which an item must have; () for any.
        together: whether an item must have all of `only`.
        without: categories that no item may have.
        limits: category -> number of its items that a list may have.
        ranges: attribute -> its range.
        excluded: ranges whose values no item may have.
        listed: items that the conversation has listed.
        mentioned: titles that the last message named without asking for recommendations.
    """

    count: int | None = None
    quotas: tuple[tuple[str, int], ...] = ()
    only: tuple[str, ...] = ()
    together: bool = False
    without: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    excluded: tuple[Range, ...] = ()
    listed: tuple[int, ...] = ()
    mentioned: tuple[tuple[int, ...], ...] = ()

    def after(self, change: Change) -> "Preferences":
        """Return the preferences after a message. The newest statement about a title or a category wins."""
        before = self.started_over() if change.forget else self
        if change.judges:
            named = set(change.named())
            last = tuple(items for items in self.mentioned if not named.intersection(items))
            liked, disliked = (last, ()) if change.judges == "liked" else ((), last)
            change = replace(change, liked=(*liked, *change.liked), disliked=(*disliked, *change.disliked))
        if change.kinds:  # who asked for comedies and wants "no slapstick" still wants comedies
            rejected = (name for name in change.without if name not in change.kinds or name not in before.only)
            change = replace(change, without=tuple(rejected))
        judged = {*change.named(), *(item for items in change.withdrawn for item in items)}
        limited = {name for name, _ in change.limits}  # whoever asked for comedies asks for other items as well now
        rejects_own = bool({*change.without, *limited} & set(before.only))
        only, together = (() if rejects_own and before.together else before.only), before.together
        only = tuple(name for name in only if name not in change.taken_back and name not in limited)
        added = _union(change.only, (name for name in change.included if name not in before.without))
        if added:
            kept = only if (change.also or not change.only) and not together else ()
            only, together = _union(kept, added), change.together
        elif change.any_category:
            only = ()
        if self.quotas and change.asks and change.liked and not change.only:
            only = ()  # "two comedies and a drama" was that list alone, and this is another wish
        lifted = {*change.only, *change.allowed, *change.included, *change.taken_back}
        without = _union((name for name in before.without if name not in lifted), change.without)
        return replace(
            before,
            count=change.count,
            quotas=change.quotas,
            liked=_judged(before.liked, judged, change.liked),
            disliked=_judged(before.disliked, judged, change.disliked),
            known=_judged(before.known, judged, change.known),
            only=tuple(name for name in only if name not in change.without),
            together=together and bool(only),
            without=without,
            limits={name: most for name, most in before.limits.items() if name not in (*lifted, *without)}
            | dict(change.limits),
            mentioned=() if change.asks else (*change.liked, *change.disliked, *change.known, *change.about),
            ranges=_ranges_after(_lasting(before, change), change),
            excluded=_excluded_after(before.excluded, change),
        )

    def started_over(self) -> "Preferences":
        """Return the preferences without all that was said. What was named or listed is not listed again."""
        return Preferences(listed=_union(self.listed, self.named()))

    def lifted(self, command: str) -> "Preferences":
        """Return the preferences without what "only", "without", "like", "dislike", "seen" or "where" has set.

        "conditions" stands for "only", "without" and "where".
        """
        match command:
            case "only":
                return replace(self, only=(), quotas=(), together=False)
            case "without":
                return replace(self, without=(), limits={})
            case "like":
                return replace(self, liked=())
            case "dislike":
                return replace(self, disliked=())
            case "seen":
                return replace(self, known=())
            case "conditions":
                return self.lifted("only").lifted("without").lifted("where")
        return replace(self, ranges={}, excluded=())

    def listing(self, items: Iterable[int]) -> "Preferences":
        """Return the preferences after items were listed."""
        return replace(self, listed=_union(self.listed, items))

    def rules(self, catalog: Catalog) -> ItemRules:
        """Return the item rules: categories, ranges, and nothing that was named or listed.

        With quotas, each item has exactly one of the numbered categories, so that it counts once.
        """
        numbered = {name for name, _ in self.quotas}
        counted_once = (item.id for item in catalog.items if len(numbered.intersection(item.categories)) == 1)
        return ItemRules(
            allow=tuple(counted_once) if numbered else None,
            max_per_category=self.most_per_category(catalog),
            deny=tuple(catalog.ids(sorted({*self.named(), *self.listed}))),
            categories=() if self.together else self.only,
            all_categories=self.only if self.together else (),
            without_categories=self.without,
            where=self._where(),
        )

    def most_per_category(self, catalog: Catalog) -> int | Mapping[str, int]:
        """Return the limits of a list, as in `ItemRules`: those of quotas, and of categories in lists of others."""
        return tighter(catalog, dict(self.quotas), self.limits)

    def _where(self) -> dict[str, dict[str, object]]:
        """Return attribute -> {operator: value}, as in `ItemRules.where`."""
        where: dict[str, dict[str, object]] = {name: _condition(entry) for name, entry in self.ranges.items()}
        for name in {entry.attribute: None for entry in self.excluded}:
            outside = [[entry.low, entry.high] for entry in self.excluded if entry.attribute == name]
            where.setdefault(name, {})["outside"] = outside
        return where

    def met_by(self, item: Item) -> tuple[str, ...]:
        """Return what the user asked for and an item has, in words: categories, and ranges of attributes."""
        categories = tuple(name for name in self.only if name in item.categories)
        attributes = tuple(_in_words(entry) for name, entry in self.ranges.items() if name in item.attributes)
        return categories + attributes

    def describe(self, catalog: Catalog) -> str:
        """Return the preferences in words, in one line; "" where there are none."""
        parts = [f"{self.count} {'item' if self.count == 1 else 'items'}"] if self.count else []
        if self.quotas:
            parts.append(" and ".join(f"{n} {name}" for name, n in self.quotas))
        elif self.only:
            parts.append((" and " if self.together else " or ").join(self.only))
        parts += [f"no {name}" for name in self.without]
        parts += [f"at most {most} {name}" for name, most in self.limits.items()]
        parts += [_in_words(entry) for entry in self.ranges.values()]
        parts += [_in_words(entry, "not ") for entry in self.excluded]
        for label, titles in (("like", self.liked), ("not like", self.disliked), ("known", self.known)):
            if titles:
                names = [spoken_title(catalog.items[items[0]].title) for items in titles[-_SHOWN:]]
                parts.append(f"{label} {'..., ' if len(titles) > _SHOWN else ''}{', '.join(names)}")
        return " · ".join(parts)


def _lasting(before: Preferences, change: Change) -> dict[str, Range]:
    """Return the ranges that still hold: "newer than these" ends where the user turns to other categories."""
    turns = bool(before.only) and bool(change.only) and not change.also and not set(change.only) & set(before.only)
    return {name: entry for name, entry in before.ranges.items() if not (turns and entry.relative)}


def _ranges_after(before: Mapping[str, Range], change: Change) -> dict[str, Range]:
    ranges = dict(before)
    for entry in change.ranges:
        ranges[entry.attribute] = narrowed(before.get(entry.attribute), entry)
    for entry in change.widening:
        ranges[entry.attribute] = hull(ranges[entry.attribute], entry) if entry.attribute in ranges else entry
    return {
        name: entry
        for name, entry in ranges.items()
        if (entry.low is not None or entry.high is not None)
        and not any(_has_all(excluded, entry) for excluded in change.excluded)
    }


def _excluded_after(before: Sequence[Range], change: Change) -> tuple[Range, ...]:
    """Return the excluded ranges after a message: one that it asks for, or takes back, is excluded no longer."""
    named = [*change.ranges, *change.widening]
    kept = (entry for entry in before if not any(_has_all(entry, other) for other in named))
    return _union(kept, change.excluded)


def _has_all(entry: Range, other: Range) -> bool:
    """Return whether an excluded range has all values of another of its attribute, or that takes ranges back."""
    if entry.attribute != other.attribute:
        return False
    if other.low is None or other.high is None:
        return other.low is other.high
    assert entry.low is not None and entry.high is not None  # excluded ranges have both bounds
    return entry.low <= other.low and other.high <= entry.high


def _judged(
    before: Sequence[tuple[int, ...]], judged: set[int], now: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], ...]:
    """Return titles without those that the message judges, then those that it adds."""
    return (*(items for items in before if not judged.intersection(items)), *dict.fromkeys(now))


def _union(first: Iterable[T], second: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*first, *second]))


def _condition(entry: Range) -> dict[str, object]:
    bounds = ((">" if entry.above else ">=", entry.low), ("<" if entry.below else "<=", entry.high))
    return {sign: bound for sign, bound in bounds if bound is not None}


def _in_words(entry: Range, sign: str = "") -> str:
    name = f"{entry.attribute} {sign}"
    if entry.low is None:
        return f"{name}{'below' if entry.below else 'up to'} {entry.high:g}"
    if entry.high is None:
        return f"{name}{'above' if entry.above else 'from'} {entry.low:g}"
    return f"{name}{entry.low:g}" + (f" to {entry.high:g}" if entry.high > entry.low else "")
