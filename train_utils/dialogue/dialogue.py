"""Conversation of one user: a message -> a request to the engine, and its answer -> the state of the conversation."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from train_utils.catalog import Item
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.item_rules import ItemRules, category_caps, compile_rules, tighter
from train_utils.conversation.comparisons import with_compared_years
from train_utils.conversation.list_references import with_titles
from train_utils.conversation.preferences import Change, Preferences
from train_utils.conversation.reader import READ, Reader
from train_utils.conversation.words.numerals import MOST
from train_utils.decoding.request import Request
from train_utils.dialogue.expectations import Taste
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.prompts.templates import SYSTEM
from train_utils.prompts.title_forms import spoken_title
from train_utils.recommender import Recommender

AROUND_ITEM = 8  # tokens of a list around an item's title: its number, `<SOI>`, and a line break


@dataclass(frozen=True)
class Heard:
    """A message that fits the model's context, and what it changed.

    Attributes:
        user: the message.
        prompt: token ids of the conversation, up to where the answer begins.
        change: what the message changed.
        forgotten: number of the oldest exchanges that no longer fit the context.
    """

    user: Message
    prompt: list[int]
    change: Change
    forgotten: int = 0


@dataclass(frozen=True)
class Plan:
    """How a message is answered.

    Attributes:
        constraint: the admissible items; None where no item can be opened.
        n_items: number of items of the list that is the answer; 0 leaves the text to the model.
        problem: why no list can be given; "" where it can.
        wanted: number of items that were asked for.
        counted: whether the list will have `n_items` items; limits per category may end it before.
    """

    constraint: Constraint | None
    n_items: int = 0
    problem: str = ""
    wanted: int = 0
    counted: bool = True

    @property
    def fewer(self) -> bool:
        """Whether the list will have fewer items than were asked for."""
        return self.counted and self.n_items < self.wanted


@dataclass(frozen=True)
class Listing:
    """The last list, and what it was made from.

    Attributes:
        items: its items, in order, as many as a message may ask for.
        taste: what was known of the user's taste.
        preferences: what the user had asked for.
    """

    items: tuple[int, ...] = ()
    taste: Taste = Taste()
    preferences: Preferences = Preferences()


class Dialogue:
    """Conversation of one user with a recommender.

    A turn is `hear`, `plan`, an answer of the engine to `request`, and `record`.

    Args:
        recommender: model and catalog; without a catalog no item is opened.
        reader: reads what messages ask of the catalog; None reads nothing, so that the model answers freely.
        max_new_tokens: length limit of an answer. A list that was asked for is added to it.
        cuts_lists: whether the limit also holds for lists, which may then end early.
        max_context: tokens of prompt and answer at most, where the model's context is not shorter; 0 for no limit.
        decoding: how titles are decoded, one of `train_utils.recommender.DECODING`.
        distinct: whether a list holds an item once.
        system: the system message.
        list_length: items of a list for which the user names no number.
        admitted: ids of the items that may be listed, whatever the user asks for; None for all.
        max_per_category: as in `ItemRules`.

    Attributes:
        context: tokens of prompt and answer at most; 0 for no limit.
        exchanges: the exchanges so far, as (user message, answer).
        preferences: what the user has asked for, also in exchanges that were dropped since.
        profile: items that the user consumed before the conversation, oldest first.
        last: the last list.
    """

    def __init__(
        self,
        recommender: Recommender,
        reader: Reader | None = None,
        *,
        max_new_tokens: int = 512,
        cuts_lists: bool = False,
        max_context: int = 0,
        decoding: str = "rank",
        distinct: bool = True,
        system: str = SYSTEM,
        list_length: int = LIST_LENGTH,
        admitted: Sequence[str] | None = None,
        max_per_category: int | Mapping[str, int] = 0,
    ):
        self.recommender = recommender
        self.reader = reader
        self.max_new_tokens = max_new_tokens
        self.cuts_lists = cuts_lists
        self.context = min(filter(None, (recommender.context, max_context)), default=0)
        self.decoding = decoding
        self.distinct = distinct
        self.system = system
        self.list_length = list_length
        self.admitted = None if admitted is None else tuple(admitted)
        self.max_per_category = max_per_category
        self.profile: tuple[int, ...] = ()
        self.begin()

    def begin(self) -> None:
        """Forget the conversation; the profile stays."""
        self.exchanges: list[tuple[Message, Message]] = []
        self.preferences = Preferences()
        self.last = Listing()

    # -- a turn --------------------------------------------------------------------------------------------------

    def hear(self, text: str) -> Heard | None:
        """Read a message, which changes the preferences.

        Args:
            text: the user's message.

        Returns:
            What was heard; None, and nothing changes, for a message that does not fit the model's context.
        """
        user, change = message("user", text), self._read(text)
        forgotten, prompt = 0, self._prompt(user, 0, change.asks)
        if not self._fits(prompt):
            # Each rendering reads all of a long message, so few are made: halving finds how much must be forgotten.
            skips = range(1, len(self.exchanges) + 1)
            found = bisect_left(skips, True, key=lambda skip: self._fits(self._prompt(user, skip, change.asks)))
            if found == len(skips):
                return None
            forgotten, prompt = skips[found], self._prompt(user, skips[found], change.asks)
        del self.exchanges[:forgotten]
        self.preferences = self.preferences.after(change)
        return Heard(user, prompt, change, forgotten)

    def recall(self, text: str, parts: Sequence[Part]) -> None:
        """Add an exchange that was had before: what it asked holds, and what it listed is not listed again.

        Args:
            text: the user's message.
            parts: texts and items of the answer.
        """
        self.preferences = self.preferences.after(self._read(text))
        self.record(message("user", text), parts)

    def _prompt(self, user: Message, skip: int, asks: bool) -> list[int]:
        """Return the prompt of an answer; see `messages`.

        A small model that talks after lists writes lists of made-up titles, so it sees lists only to write another.
        """
        lists = asks or self.recommender.catalog is None or self.reader is None
        return self.recommender.renderer.render(self.messages(user, skip, lists), prompt=True).ids

    def _read(self, text: str) -> Change:
        """Return what a message changes; "the second one" and "newer" refer to the last list."""
        catalog = self.recommender.catalog
        if self.reader is None or catalog is None:
            return Change()
        text, listed = text[:READ], self.last.items
        if not listed:
            return with_compared_years(self.reader.read(text), catalog, ())
        mentioned = {item for mention in self.recommender.named_titles.locate(text) for item in mention.items}
        named, judged = (
            {listed.index(item) for item in items if item in listed} for items in (mentioned, self.preferences.named())
        )
        titles = [catalog.items[item].title for item in listed]
        change = self.reader.read(with_titles(text, titles, named, judged, pronouns=not mentioned))
        return with_compared_years(change, catalog, listed)

    def messages(self, user: Message, skip: int = 0, lists: bool = True) -> list[Message]:
        """Return the conversation for the model.

        Args:
            user: the newest message.
            skip: number of the oldest exchanges to leave out.
            lists: whether exchanges are shown whose answer holds items.
        """
        exchanges = [exchange for exchange in self.exchanges[skip:] if lists or not _holds_items(exchange[1])]
        return [message("system", self.system), *(m for exchange in exchanges for m in exchange), user]

    def _fits(self, prompt: Sequence[int]) -> bool:
        return not self.context or len(prompt) + self.max_new_tokens <= self.context

    @property
    def asked(self) -> str:
        """What the user has asked for, in words; "" for nothing."""
        catalog = self.recommender.catalog
        return self.preferences.describe(catalog) if catalog else ""

    @property
    def taste(self) -> Taste:
        """What is known of the user's taste: the profile, then what the conversation likes, newest last.

        Of items that share a title the most popular one counts. Titles that are merely known count where none is liked.
        """
        asked = self.preferences
        liked, known, disliked = map(self.chosen, (asked.liked, asked.known, asked.disliked))
        return Taste(tuple(dict.fromkeys((*self.profile, *(liked or known)))), liked, disliked)

    def chosen(self, titles: Iterable[Sequence[int]]) -> tuple[int, ...]:
        """Return the most popular item of each title."""
        catalog = self.recommender.catalog
        popularity = catalog.popularity if catalog else ()
        return tuple(max(items, key=lambda item: popularity[item]) for items in titles)

    def known_answer(self, heard: Heard) -> str:
        """Return the answer to a message that needs no model; "" where the model answers.

        A question about a title is answered from the catalog, and a statement of taste is noted: about both a small
        model invents.
        """
        catalog, change = self.recommender.catalog, heard.change
        if catalog is None or change.asks:
            return ""
        if change.unknown and not change.named():
            return f"{catalog.name} does not have {', '.join(change.unknown)}."
        if change.foreign and not change.named():
            return "I read requests in English only, such as: 5 comedies from the nineties."
        if change.about:
            return "\n".join(dict.fromkeys(map(self._described, change.about)))
        return "" if change.is_empty else "Noted. Ask for a list when you want one."

    def _described(self, title: Sequence[int]) -> str:
        """Return what the catalog says about a title; the items that share it may be retired."""
        catalog = self.recommender.catalog
        assert catalog is not None  # there is a title
        if left := [item for item in title if item not in catalog.retired]:
            return described(catalog.items[self.chosen([left])[0]])
        return f"{catalog.name} does not have {spoken_title(catalog.items[title[0]].title)} any more."

    def plan(self, heard: Heard, prior: Prior | None) -> Plan:
        """Return how a message is answered under all that the user has asked for.

        Args:
            heard: the message.
            prior: what is expected of the user.
        """
        if not heard.change.asks:
            return Plan(None)  # items stand in lists that were asked for, and nowhere else
        constraint, problem = self._rules(prior)
        wanted = self.preferences.count or self.list_length
        if constraint is None:
            return Plan(None, problem=problem)
        n_items = min(wanted, self._left(constraint))
        # How many items fit limits that are no quotas depends on which ones come first.
        counted = not self.preferences.limits and bool(self.preferences.quotas or not self.max_per_category)
        return Plan(constraint, n_items, wanted=wanted, counted=counted)

    def _left(self, constraint: Constraint) -> int:
        """Return how many items a list can have under the constraint and the quotas."""
        catalog, quotas = self.recommender.catalog, self.preferences.quotas
        if catalog is None or not quotas:
            return int(constraint.admitted.sum())
        caps = tighter(catalog, self.preferences.most_per_category(catalog), self.max_per_category)
        assert isinstance(caps, Mapping)
        fitting = {name: int(constraint.admitted[sorted(catalog.in_category(name))].sum()) for name, _ in quotas}
        return sum(min(caps[name], fitting[name]) for name, _ in quotas)

    def _rules(self, prior: Prior | None) -> tuple[Constraint | None, str]:
        """Return (constraint, problem); no constraint without a catalog, and where no item is left."""
        trie, catalog = self.recommender.renderer.trie, self.recommender.catalog
        if trie is None or catalog is None:
            return None, ""
        asked = self.preferences.rules(catalog)
        rules = replace(
            asked,
            allow=_both(asked.allow, self.admitted),
            seen=tuple(catalog.ids(self.profile)),
            max_per_category=tighter(catalog, asked.max_per_category, self.max_per_category),
            distinct=self.distinct,
        )
        try:
            return compile_rules(catalog, trie, rules, prior), ""
        except ConstraintError:
            if not rules.categories and not rules.all_categories and not rules.without_categories and not rules.where:
                return None, "every title of the catalog was named or listed: nothing is left to recommend"
            try:
                compile_rules(catalog, trie, replace(rules, deny=(), seen=()))
            except ConstraintError:
                described = self.preferences.describe(catalog)
                return None, f"nothing in {catalog.name} fits ({described}); take a condition back"
            return None, f"everything in {catalog.name} that fits was named or listed already; begin a new conversation"

    def request(self, heard: Heard, plan: Plan) -> Request:
        """Return the engine's request for the answer."""
        return self.recommender.answer_request(
            heard.prompt,
            plan.constraint,
            max_new_tokens=self._answer_tokens(len(heard.prompt), plan.n_items),
            decoding=self.decoding,
            n_items=plan.n_items,
        )

    def _answer_tokens(self, prompt: int, n_items: int) -> int:
        """Return the length limit of an answer with a list of so many items, as far as the context has room for it."""
        trie = self.recommender.renderer.trie
        if self.cuts_lists or trie is None or not n_items:
            return self.max_new_tokens
        wanted = self.max_new_tokens + n_items * (int(np.diff(trie.title_start).max()) + AROUND_ITEM)
        return min(wanted, self.context - prompt) if self.context else wanted

    def record(self, user: Message, parts: Sequence[Part]) -> None:
        """Add an exchange; what it listed is not listed again.

        Args:
            user: the user's message.
            parts: texts and items of the answer, as far as it was shown.
        """
        listed = tuple(part.item for part in parts if isinstance(part, ItemPart))
        self.exchanges.append((user, Message("assistant", _joined(parts))))
        if listed:
            self.last = Listing(listed[:MOST], self.taste, self.preferences)
        self.preferences = self.preferences.listing(listed)


def _both(one: Sequence[str] | None, other: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the ids of two lists that admit items; None, which admits all, for none."""
    if one is None:
        return None if other is None else tuple(other)
    admitted = frozenset(one if other is None else other)
    return tuple(item for item in one if item in admitted)


def admitted_by(recommender: Recommender, rules: ItemRules) -> list[str] | None:
    """Return the ids of the items that rules admit; None where they admit all.

    Raises:
        ValueError: the rules name an item or a category that the catalog lacks.
        ConstraintError: they admit no item.
    """
    catalog, trie = recommender.catalog, recommender.renderer.trie
    if catalog is None or trie is None:
        return None
    category_caps(catalog, rules)  # raises here, not at the first list, for a category that no item has
    if replace(rules, max_per_category=0, distinct=True) == ItemRules():
        return None
    return catalog.ids(np.flatnonzero(compile_rules(catalog, trie, rules).admitted).tolist())


def described(item: Item) -> str:
    """Return what the catalog says about an item, in one line: categories, and attributes that are texts or numbers."""
    facts = [", ".join(item.categories)] if item.categories else []
    facts += [f"{name} {value}" for name, value in item.attributes.items() if isinstance(value, (str, int, float))]
    return f"{spoken_title(item.title)} [{item.id}]: {'; '.join(facts) or 'the catalog says nothing more'}."


def _holds_items(answer: Message) -> bool:
    return any(isinstance(part, ItemPart) for part in answer.parts)


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts with adjacent texts joined, so that they are encoded as one text."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
