"""What a server offers, without HTTP: conversations, lists, items and reasons, for many callers at once."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar
from uuid import uuid4

import numpy as np
from rapidfuzz import fuzz, process

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import ConstraintError, Prior
from train_utils.constraint.item_rules import ItemRules, compile_rules, item_rules
from train_utils.constraint.trie import TitleTrie
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.dialogue.dialogue import Dialogue, Listing
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.dialogue.reasons import falls
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.prompts.templates import SYSTEM
from train_utils.recommender import DECODING, Recommendation, Recommender
from train_utils.serving.answers import Notice, reply, understood
from train_utils.serving.domains import NO_DOMAIN, Domain, Domains
from train_utils.serving.item_card import item_card, recommended_card
from train_utils.serving.listed_titles import listed_parts
from train_utils.serving.saved_preferences import SavedPreferences, restored, saved
from train_utils.serving.scheduler import Scheduler
from train_utils.text_files import whole_characters

T = TypeVar("T")
_SIMILAR = 60  # of 100, from which on a title is found


class RequestError(ValueError):
    """A request that cannot be answered as it stands; the text is one line for the client."""


class NotFound(RequestError):
    """There is no such domain or item."""


@dataclass(frozen=True, kw_only=True)
class ServiceLimits:
    """Limits of requests.

    Attributes:
        items: items of a list at most.
        history: items of a history at most.
        messages: messages of a conversation at most.
        characters: characters of a message at most.
        found: items of a search at most.
    """

    items: int = 100
    history: int = 1000
    messages: int = 200
    characters: int = 100_000
    found: int = 50


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """Conversation to answer.

    Attributes:
        messages: (role, text), oldest first; roles are system, user and assistant, and the last one is the user's.
        domain: name of the catalog; "" for the server's first.
        history: item ids or titles that the user consumed before, oldest first.
        rules: item rules that hold beside what the user asks.
        k: items of a list for which the user names no number.
        decoding: how titles are decoded, one of `train_utils.recommender.DECODING`.
        max_new_tokens: length limit of the answer.
        preferences: what the conversation asked before its last message; None reads the messages.
        notices_in_text: whether what a terminal would print beside the answer is a line of the answer's text.
    """

    messages: Sequence[tuple[str, str]]
    domain: str = ""
    history: Sequence[str] = ()
    rules: Mapping[str, object] = field(default_factory=dict)
    k: int = LIST_LENGTH
    decoding: str = "rank"
    max_new_tokens: int = 512
    preferences: SavedPreferences | None = None
    notices_in_text: bool = True


@dataclass(frozen=True)
class Listed:
    """Item of an answer, with its place in the text.

    Attributes:
        card: the item as a JSON object.
    """

    card: Mapping[str, object]


@dataclass(frozen=True)
class Understood:
    """What was understood, before the answer.

    Attributes:
        text: in words; "" for nothing.
        preferences: as data, which the next request may send back.
    """

    text: str
    preferences: SavedPreferences


@dataclass(frozen=True)
class Finished:
    """End of an answer.

    Attributes:
        finish: as in `train_utils.decoding.request.Completion`.
        prompt_tokens: tokens that the model read; 0 where it was not needed.
        completion_tokens: tokens that it wrote.
        preferences: what the conversation asked so far, its answer included.
    """

    finish: str
    prompt_tokens: int
    completion_tokens: int
    preferences: SavedPreferences


ServiceEvent = TextDelta | Listed | Notice | Understood | Finished


class Shared:
    """Use of the model through a scheduler, by one request.

    Attributes:
        prompt_tokens: tokens of the prompt; 0 until the model is asked.
        completion_tokens: tokens of the answer.
    """

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler
        self.prompt_tokens = self.completion_tokens = 0

    def call(self, function: Callable[[], T]) -> T:
        return self._scheduler.call(function)

    def prior(self, expectations: Expectations, taste: Taste) -> Prior | None:
        return self._scheduler.call_together(("prior", id(expectations)), expectations.priors, taste)

    def events(
        self, recommender: Recommender, request: Request, stop: threading.Event
    ) -> Iterator[TextDelta | Recommendation | Done]:
        self.prompt_tokens = len(request.prompt)
        for event in recommender.events(request, stop, self._scheduler.events):
            if isinstance(event, Done):
                self.completion_tokens = event.tokens
            yield event


class Service:
    """Conversations, lists, items and reasons of several domains, for many callers at once.

    Its methods may be called from any thread.

    Args:
        domains: the catalogs.
        first: name of the domain that holds where a request names none.
        scheduler: runs the model.
        max_context: tokens of prompt and answer at most; 0 for no limit but the model's.
        limits: limits of requests.
    """

    def __init__(
        self,
        domains: Domains,
        first: str,
        scheduler: Scheduler,
        *,
        max_context: int = 0,
        limits: ServiceLimits | None = None,
    ):
        self.domains, self.first, self.scheduler = domains, first, scheduler
        self.max_context = max_context
        self.limits = limits or ServiceLimits()

    @cached_property
    def model(self) -> str:
        """Name of the model: the last part of its folder."""
        return (self.domains.recommender.source.rstrip("/").rsplit("/", 1)[-1]) or "reclm"

    # -- catalogs ------------------------------------------------------------------------------------------------

    def domain(self, name: str) -> Domain:
        """Return a domain; "" is the first. Raises NotFound for one that is unknown."""
        name = name or self.first
        if name != NO_DOMAIN and name not in self.domains.folders:
            raise NotFound(f"domain {name[:80]!r} is unknown; there are: {', '.join(self.domains.folders)}")
        return self.domains.load(name)

    def catalog(self, name: str) -> tuple[Domain, Catalog]:
        """Return a domain that has a catalog, and its catalog."""
        domain = self.domain(name)
        if domain.catalog is None:
            raise NotFound(f"name a domain; there are: {', '.join(self.domains.folders)}")
        return domain, domain.catalog

    def described(self, name: str) -> dict[str, object]:
        """Return what is known of a catalog as a JSON object."""
        domain, catalog = self.catalog(name)
        return {
            "domain": catalog.name,
            "catalogue_version": domain.version,
            "items": len(catalog.items) - len(catalog.retired),
            "categories": {
                name: n for name, items in catalog.categories.items() if (n := len(items - catalog.retired))
            },
            "ranges": {name: list(bounds) for name, bounds in catalog.numeric_attributes.items()},
            "events": sum(catalog.training_events),
        }

    def item(self, name: str, item_id: str) -> dict[str, object]:
        """Return an item as a JSON object. Raises NotFound where there is none."""
        domain, catalog = self.catalog(name)
        if item_id not in catalog.index:
            raise NotFound(f"no item of {domain.name} has the id {item_id[:80]!r}")
        if catalog.index[item_id] in catalog.retired:
            raise NotFound(f"item {item_id[:80]!r} of {domain.name} was retired")
        return item_card(catalog.items[catalog.index[item_id]], domain.name)

    def search(self, query: str, name: str = "", limit: int = 10) -> list[dict[str, object]]:
        """Return the items whose titles are most like a text, best first."""
        domain, catalog = self.catalog(name)
        self._check_size("limit", limit, self.limits.found)
        lowered = query[:200].lower()
        if not lowered.strip():
            return [item_card(catalog.items[i], domain.name) for i in catalog.most_popular[:limit]]
        items = list(catalog.listed_titles.values())
        titles = [title.lower() for title in catalog.listed_titles]
        found = process.extract(lowered, titles, scorer=fuzz.WRatio, score_cutoff=_SIMILAR, limit=4 * limit)
        # A title that has the text in it comes first, then the nearest; of equals, the popular one.
        order = sorted(
            found, key=lambda one: (lowered not in one[0], -round(one[1]), -catalog.popularity[items[one[2]]])
        )
        return [item_card(catalog.items[items[i]], domain.name) for _, _, i in order[:limit]]

    # -- lists ---------------------------------------------------------------------------------------------------

    def recommend(
        self,
        history: Sequence[str],
        k: int = LIST_LENGTH,
        rules: Mapping[str, object] | None = None,
        name: str = "",
        max_history: int = 10,
    ) -> list[dict[str, object]]:
        """Return the k most probable next items of a user, best first; several callers share a batch.

        Args:
            history: item ids or titles, oldest first; the user need not be known.
            k: length of the list, which is shorter where fewer items are admissible.
            rules: item rules.
            name: name of the domain.
            max_history: number of newest items that the model sees.

        Raises:
            RequestError: an item is unknown, the rules are invalid or admit nothing, or a number is out of its range.
        """
        domain, catalog = self.catalog(name)
        self._check_size("k", k, self.limits.items)
        self._check_size("max_history", max_history, self.limits.history)
        self._check_history(history)
        recommender = domain.recommender
        try:
            items = recommender.indices(history)
            parsed = item_rules(rules or {})
            compile_rules(catalog, _trie(recommender), replace(parsed, seen=(*parsed.seen, *catalog.ids(items))))
            found = self.scheduler.call_together(
                ("list", id(recommender), k, max_history),
                lambda asked: recommender.recommend_each(
                    [history for history, _ in asked], k, [rules for _, rules in asked], max_history=max_history
                ),
                (catalog.ids(items), parsed),
            )
        except (ConstraintError, ValueError) as error:
            raise RequestError(str(error)) from None
        return [
            {
                **recommended_card(one, catalog.items[catalog.index[one.id]], domain.name),
                "catalogue_version": domain.version,
            }
            for one in found
        ]

    def why(self, history: Sequence[str], item_ids: Sequence[str], name: str = "") -> list[dict[str, object]]:
        """Return what moves items up for a user: how much each score falls without an item of the history, in nats.

        Raises:
            RequestError: an item is unknown.
        """
        domain, catalog = self.catalog(name)
        self._check_history(history)
        self._check_size("number of items", len(item_ids), self.limits.items)
        try:
            known, asked = domain.recommender.indices(history), catalog.indices(item_ids)
        except ValueError as error:
            raise RequestError(str(error)) from None
        taste, expectations = Taste(tuple(known)), domain.expectations
        assert expectations is not None
        fallen = self.scheduler.call(lambda: falls(expectations, taste, asked)) if known else {i: {} for i in asked}
        return [
            {
                "item_id": catalog.items[item].id,
                "title": catalog.items[item].title,
                "because": [
                    {
                        "item_id": catalog.items[left].id,
                        "title": catalog.items[left].title,
                        "score_without": None if np.isinf(fall) else round(-fall, 4),
                    }
                    for left, fall in sorted(fallen[item].items(), key=lambda pair: -pair[1])
                    if fall > 0
                ],
            }
            for item in asked
        ]

    # -- conversations -------------------------------------------------------------------------------------------

    def chat(self, request: ChatRequest, stop: threading.Event | None = None) -> Iterator[ServiceEvent]:
        """Answer a conversation and yield the events of the answer.

        Args:
            request: the conversation, in which nothing is remembered between two requests.
            stop: ends the answer early when it is set.

        Raises:
            RequestError: the request cannot be answered; raised before the first event.
            Overloaded, Draining, DeadlineExceeded: see `Scheduler`.
        """
        domain = self.domain(request.domain)
        dialogue, text = self._dialogue(domain, request)
        return self._events(domain, dialogue, text, request, stop or threading.Event())

    def _events(
        self, domain: Domain, dialogue: Dialogue, text: str, request: ChatRequest, stop: threading.Event
    ) -> Iterator[ServiceEvent]:
        model = Shared(self.scheduler)
        recommendation_id = uuid4().hex
        catalog, finish, at, told = domain.catalog, "end", 0, False
        for event in reply(domain, dialogue, text, stop, model):
            if not told:
                # Reading the message is done with the first event, and what follows is the answer to it.
                yield Understood(understood(domain, dialogue), saved(dialogue.preferences, catalog))
                told = True
            match event:
                case TextDelta(words):
                    at += len(words)
                    yield event
                case Recommendation(id=item_id, title=title):
                    assert catalog is not None
                    card = recommended_card(event, catalog.items[catalog.index[item_id]], domain.name)
                    span = [at, at + len(title)]
                    at = span[1]
                    yield Listed(
                        {
                            **card,
                            "catalogue_version": domain.version,
                            "recommendation_id": recommendation_id,
                            "span": span,
                        }
                    )
                case Done(finish):
                    pass
                case Notice(line) if line != understood(domain, dialogue):
                    yield event
                    if request.notices_in_text:
                        words = f"\n{line}" if at else f"{line}\n"
                        at += len(words)
                        yield TextDelta(words)
        yield Finished(finish, model.prompt_tokens, model.completion_tokens, saved(dialogue.preferences, catalog))

    def _dialogue(self, domain: Domain, request: ChatRequest) -> tuple[Dialogue, str]:
        """Return the conversation before its last message, and that message."""
        system, exchanges, text = self._exchanges(request)
        self._check_size("k", request.k, self.limits.items)
        self._check_history(request.history)
        if request.decoding not in DECODING:
            raise RequestError(f"decoding is {request.decoding[:80]!r}, wanted one of {', '.join(DECODING)}")
        context = min(filter(None, (domain.recommender.context, self.max_context)), default=0)
        if request.max_new_tokens < 1 or context and request.max_new_tokens >= context:
            raise RequestError(
                f"max_tokens is {request.max_new_tokens}, wanted 1 to {context - 1 if context else 'any number'}"
            )
        try:
            rules = item_rules(request.rules)
            dialogue = Dialogue(
                domain.recommender,
                domain.reader,
                max_new_tokens=request.max_new_tokens,
                max_context=self.max_context,
                decoding=request.decoding,
                distinct=rules.distinct,
                system=f"{SYSTEM}\n{system}" if system else SYSTEM,
                list_length=request.k,
                admitted=_admitted(domain, rules),
                max_per_category=rules.max_per_category,
            )
            if domain.catalog is not None:
                dialogue.profile = tuple(dict.fromkeys(domain.recommender.indices(request.history)))
            elif request.history:
                raise RequestError("a history needs a domain")
            titles = domain.catalog.title_index if domain.catalog else {}
            for said, answer in exchanges:
                dialogue.recall(said, listed_parts(answer, titles))
            if request.preferences is not None:
                asked = restored(request.preferences, domain.catalog)
                dialogue.preferences = asked.listing(dialogue.preferences.listed)
                dialogue.last = Listing(dialogue.last.items, dialogue.taste, asked)
        except (ConstraintError, ValueError) as error:
            raise RequestError(str(error)) from None
        return dialogue, text

    def _exchanges(self, request: ChatRequest) -> tuple[str, list[tuple[str, str]], str]:
        """Return (system text, exchanges, newest message of the user)."""
        messages = [(role, whole_characters(text)) for role, text in request.messages]
        if not messages or messages[-1][0] != "user":
            raise RequestError("the last message must be the user's; add one with role user")
        if len(messages) > self.limits.messages:
            raise RequestError(f"{len(messages)} messages, wanted {self.limits.messages} or fewer; leave out old ones")
        if (longest := max(len(text) for _, text in messages)) > self.limits.characters:
            raise RequestError(
                f"a message has {longest} characters, wanted {self.limits.characters} or fewer; shorten it"
            )
        system = "\n".join(text for role, text in messages if role == "system")
        exchanges: list[tuple[str, str]] = []
        waiting: list[str] = []
        for role, text in messages[:-1]:
            if role == "user":
                waiting.append(text)
            elif role == "assistant" and waiting:
                exchanges.append(("\n".join(waiting), text))
                waiting = []
        return system, exchanges, "\n".join([*waiting, messages[-1][1]])

    # -- checks --------------------------------------------------------------------------------------------------

    def _check_history(self, history: Sequence[str]) -> None:
        if len(history) > self.limits.history:
            raise RequestError(f"the history has {len(history)} items, wanted {self.limits.history} or fewer")

    @staticmethod
    def _check_size(name: str, value: int, most: int) -> None:
        if not 1 <= value <= most:
            raise RequestError(f"{name} is {value}, wanted 1 to {most}")


def _trie(recommender: Recommender) -> TitleTrie:
    trie = recommender.renderer.trie
    assert trie is not None  # the renderer knows the titles of the catalog
    return trie


def _admitted(domain: Domain, rules: ItemRules) -> list[str] | None:
    """Return the ids of the items that rules admit; None where they admit all."""
    if domain.catalog is None or replace(rules, max_per_category=0, distinct=True) == ItemRules():
        return None
    constraint = compile_rules(domain.catalog, _trie(domain.recommender), rules)
    return domain.catalog.ids(np.flatnonzero(constraint.admitted).tolist())
