"""What a server offers, without HTTP: conversations, lists, items and reasons, for many callers at once."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding.events import Done, TextDelta
from train_utils.dialogue.answers import Notice, reply
from train_utils.dialogue.dialogue import Dialogue
from train_utils.dialogue.expectations import Taste
from train_utils.impression_files import EVENTS
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.recommender import Recommendation
from train_utils.serving.domains import NO_DOMAIN, Domain, Domains, StillLoading
from train_utils.serving.exchange import (
    NO_TEACHER,
    ChatRequest,
    Finished,
    Listed,
    NotFound,
    RequestError,
    ServiceEvent,
    ServiceLimits,
    TeacherUnavailable,
    Understood,
    check_size,
)
from train_utils.serving.explanations import explanation, held_rules
from train_utils.serving.impressions import Impression, ImpressionLog, Placed, rules_digest
from train_utils.serving.item_card import item_card, recommended_card
from train_utils.serving.item_search import found_items
from train_utils.serving.lists import MAX_HISTORY, ListAnswer, ListRequest, ListSettings, make_list, new_seed
from train_utils.serving.remote_scheduler import AnyScheduler
from train_utils.serving.request_dialogue import dialogue_of, digest_of_rules
from train_utils.serving.saved_preferences import SavedPreferences, saved
from train_utils.serving.scheduler import CallerLeft, too_late
from train_utils.serving.shared_model import Shared
from train_utils.serving.variants import MOST_EXPLORE, Assignment, Variant, Variants
from train_utils.teacher.protocol import TeacherError

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Service:
    """Conversations, lists, items and reasons of several domains, for many callers at once.

    Its methods may be called from any thread.

    Args:
        domains: the catalogs.
        first: name of the domain that holds where a request names none.
        scheduler: runs the model.
        max_context: tokens of prompt and answer at most; 0 for no limit but the model's.
        limits: limits of requests.
        impressions: keeps what was recommended and what users did with it; None keeps nothing, and takes no feedback.
        variants: settings by user; they need `impressions`, whose salt divides the users.
        explore: temperature at which lists are drawn where neither a request nor a variant has one; 0 draws none.

    Raises:
        ValueError: there are variants and no impressions.
    """

    def __init__(
        self,
        domains: Domains,
        first: str,
        scheduler: AnyScheduler,
        *,
        max_context: int = 0,
        limits: ServiceLimits | None = None,
        impressions: ImpressionLog | None = None,
        variants: Variants | None = None,
        explore: float = 0.0,
    ):
        if variants and not impressions:
            raise ValueError("`variants` needs `impressions`: the salt in that folder divides the users")
        self.domains, self.first, self.scheduler = domains, first, scheduler
        self.max_context = max_context
        self.limits = limits or ServiceLimits()
        self.impressions, self.variants, self.explore = impressions, variants, explore

    @cached_property
    def model(self) -> str:
        """Name of the model: the last part of its folder."""
        return (self.domains.recommender.source.rstrip("/").rsplit("/", 1)[-1]) or "reclm"

    # -- catalogs ------------------------------------------------------------------------------------------------

    def domain(self, name: str) -> Domain:
        """Return a domain; "" is the first.

        Raises:
            NotFound: it is unknown or cannot be loaded.
            StillLoading: it is being loaded in the background.
        """
        name = name or self.first
        if name != NO_DOMAIN and name not in self.domains.folders:
            raise NotFound(f"domain {name[:80]!r} is unknown; there are: {', '.join(self.domains.folders)}")
        try:
            return self.domains.ready(name)
        except (ValueError, OSError) as error:
            # What is wrong with the folder is for those who run the server: it may name paths.
            logger.error("domain %r cannot be loaded: %s", name, error)
            raise NotFound(f"domain {name[:80]!r} cannot be loaded; the server's log says why") from None

    def catalog(self, name: str) -> tuple[Domain, Catalog]:
        """Return a domain that has a catalog, and its catalog."""
        domain = self.domain(name)
        if domain.catalog is None:
            raise NotFound(f"name a domain; there are: {', '.join(self.domains.folders)}")
        return domain, domain.catalog

    def catalogs(self) -> list[dict[str, object]]:
        """Return what is known of each catalog; those that are still loaded or cannot be are left out."""
        found = []
        for name in self.domains.folders:
            with suppress(NotFound, StillLoading):
                found.append(self.described(name))
        return found

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
        check_size("limit", limit, self.limits.found)
        return [
            item_card(catalog.items[item], domain.name)
            for item in found_items(domain.searched_titles, catalog, query, limit)
        ]

    # -- lists ---------------------------------------------------------------------------------------------------

    def recommend(
        self,
        history: Sequence[str],
        k: int = LIST_LENGTH,
        rules: Mapping[str, object] | None = None,
        name: str = "",
        max_history: int | None = None,
    ) -> list[dict[str, object]]:
        """Return the items of `recommend_list` for a user without a name.

        Args:
            history: item ids or titles, oldest first; the user need not be known.
            k: length of the list, which is shorter where fewer items are admissible.
            rules: item rules.
            name: name of the domain.
            max_history: number of newest items that the model sees.
        """
        request = ListRequest(history=history, k=k, rules=rules or {}, domain=name, max_history=max_history)
        return self.recommend_list(request).items

    def recommend_list(self, request: ListRequest, stop: threading.Event | None = None) -> ListAnswer:
        """Return the most probable next items of a user, or a list drawn from the model's distribution.

        Args:
            request: the list to make.
            stop: set when the list is not wanted any more.

        Raises:
            RequestError: an item is unknown, the rules are invalid or admit nothing, or a number is out of its range.
            TeacherUnavailable: the teacher does not answer.
            CallerLeft: `stop` was set before the list was made; such a list is not logged.
        """
        domain, catalog = self.catalog(request.domain)
        assigned = self._assigned(request.user)
        settings = self._list_settings(request, assigned.variant)
        try:
            made = make_list(self.scheduler, domain.recommender, catalog, request, settings, stop)
        except TeacherError:  # the log has it; see `CircuitBreaker`
            raise TeacherUnavailable(f"the teacher moves no list: {NO_TEACHER}") from None
        except (ConstraintError, ValueError) as error:
            raise RequestError(str(error)) from None
        if stop is not None and stop.is_set():
            raise CallerLeft
        recommendation_id = self._new_list()
        if self.impressions:
            self.impressions.known.add(recommendation_id, (placed.item_id for placed in made.items))
            self._keep(
                domain,
                assigned,
                recommendation_id=recommendation_id,
                kind="list",
                items=made.items,
                admissible=made.admissible,
                rules=rules_digest(made.rules),
                history=made.history,
                decoding="rank" if domain.recommender.engine.finds_titles(1) else "greedy",
                max_history=settings.max_history,
                prior_weight=settings.prior_weight,
                explore=settings.explore,
                seed=settings.seed,
                candidates=made.candidates,
                greedy=made.greedy,
            )
        own = {"catalogue_version": domain.version, "recommendation_id": recommendation_id}
        cards = []
        for rank, placed in enumerate(made.items, 1):
            item = catalog.items[catalog.index[placed.item_id]]
            found = Recommendation(item.id, item.title, rank, placed.score)
            cards.append({**recommended_card(found, item, domain.name), **own})
        return ListAnswer(domain.name, recommendation_id, assigned.name, cards)

    def _list_settings(self, request: ListRequest, variant: Variant) -> ListSettings:
        """Return the settings of a list: the request's, else the variant's, else the server's."""
        max_history = _first(request.max_history, variant.max_history, MAX_HISTORY)
        explore = _first(request.explore, variant.explore, self.explore)
        check_size("k", request.k, self.limits.items)
        check_size("max_history", max_history, self.limits.history)
        self.limits.check_history(request.history)
        if not 0 <= explore <= MOST_EXPLORE:
            raise RequestError(f"explore is {explore}, wanted 0 to {MOST_EXPLORE:g}")
        if request.seed is not None and request.seed < 0:
            raise RequestError(f"seed is {str(request.seed)[:80]}, wanted 0 or more")
        return ListSettings(
            k=request.k,
            max_history=max_history,
            prior_weight=variant.prior_weight,
            explore=explore,
            seed=_first(request.seed, new_seed()) if explore else None,
        )

    def _assigned(self, user: str) -> Assignment:
        """Return the pseudonym and the variant of a user; "" is no user."""
        pseudonym = self.impressions.pseudonym(user) if self.impressions else None
        return self.variants.assign(pseudonym) if self.variants else Assignment(pseudonym, None, Variant(share=1))

    def _new_list(self) -> str:
        """Return the name of a new list."""
        return self.impressions.new_list() if self.impressions else uuid4().hex

    def _keep(self, domain: Domain, assigned: Assignment, **of_list: Any) -> None:
        """Log a list; `of_list` are the fields of `Impression` that the domain and the user do not give."""
        if self.impressions:
            self.impressions.add(
                Impression(
                    domain=domain.name,
                    catalogue_version=domain.version,
                    model=self.model,
                    variant=assigned.name,
                    user=assigned.user,
                    **of_list,
                )
            )

    def feedback(
        self,
        recommendation_id: str,
        item_id: str,
        event: str,
        value: float | None = None,
        at: datetime | None = None,
    ) -> None:
        """Keep what a user did with an item of a list or of an answer.

        Args:
            recommendation_id: the list, as the answer named it.
            item_id: the item.
            event: one of `train_utils.impression_files.EVENTS`.
            value: such as a price or a rating.
            at: when it happened, if not now.

        Raises:
            RequestError: the event is unknown, or the value is not finite.
            NotFound: the list is unknown, or the item is not in it. The items of a list that another server with this
                salt made, or that is too old, are not known: who reads the logs leaves out what does not fit.
        """
        if event not in EVENTS:
            raise RequestError(f"event is {event[:80]!r}, wanted one of {', '.join(EVENTS)}")
        if value is not None and not np.isfinite(value):
            raise RequestError(f"value is {value}, wanted a finite number")
        if self.impressions is None:
            raise NotFound("this server keeps no impressions, and so has no list; start it with --impressions FOLDER")
        items = self.impressions.known.items(recommendation_id)
        if items is None and not self.impressions.signed(recommendation_id):
            raise NotFound(f"recommendation_id {recommendation_id[:80]!r} is unknown, or too old")
        if items is not None and item_id not in items:
            raise NotFound(f"the list {recommendation_id[:80]} does not hold the item {item_id[:80]!r}")
        self.impressions.add_feedback(recommendation_id, item_id, event, value, at)

    def why(
        self,
        history: Sequence[str],
        item_ids: Sequence[str],
        name: str = "",
        rules: Mapping[str, object] | None = None,
        preferences: SavedPreferences | None = None,
        stop: threading.Event | None = None,
    ) -> list[dict[str, object]]:
        """Return what moves items up for a user: how much each score falls without an item of the history, in nats.

        Args:
            history: item ids or titles, oldest first.
            item_ids: the items to explain.
            name: name of the domain.
            rules: item rules of the list; each item gets those that hold and those that do not.
            preferences: what a conversation had asked for; the same.
            stop: set when the answer is not wanted any more.

        Raises:
            RequestError: an item is unknown, or the rules or preferences are invalid.
            CallerLeft: `stop` was set before the model was asked.
        """
        domain, catalog = self.catalog(name)
        self.limits.check_history(history)
        check_size("number of items", len(item_ids), self.limits.items)
        try:
            known, asked = domain.recommender.indices(history), catalog.indices(item_ids)
            held = held_rules(catalog, asked, rules or {}, preferences)
        except ValueError as error:
            raise RequestError(str(error)) from None
        taste, expectations = Taste(tuple(known)), domain.expectations
        assert expectations is not None
        explained = Shared(self.scheduler, stop).moved(expectations, taste, asked)
        return [explanation(catalog, item, explained[item], held[item]) for item in asked]

    # -- conversations -------------------------------------------------------------------------------------------

    def chat(self, request: ChatRequest, stop: threading.Event | None = None) -> Iterator[ServiceEvent]:
        """Answer a conversation and yield the events of the answer.

        Args:
            request: the conversation, in which nothing is remembered between two requests.
            stop: ends the answer early when it is set.

        Raises:
            RequestError: the request cannot be answered; raised before the first event.
            Overloaded, Draining, DeadlineExceeded, CallerLeft: see `Scheduler`.
        """
        domain = self.domain(request.domain)
        assigned = self._assigned(request.user)
        request = replace(request, user="", decoding=request.decoding or assigned.variant.decoding or "rank")
        stop = stop or threading.Event()
        deadline = time.monotonic() + self.scheduler.limits.deadline_s

        def check_wanted() -> None:
            """Raise where the client left, or a long conversation takes too long to read."""
            if stop.is_set():
                raise CallerLeft
            if time.monotonic() > deadline:
                raise too_late(self.scheduler.limits)

        dialogue, text = dialogue_of(request, domain, self.limits, self.max_context, check_wanted)
        self.scheduler.check_room()  # here, not when the model is asked: an answer that began has no status any more
        return self._events(domain, dialogue, text, request, assigned, stop)

    def _events(
        self,
        domain: Domain,
        dialogue: Dialogue,
        text: str,
        request: ChatRequest,
        assigned: Assignment,
        stop: threading.Event,
    ) -> Iterator[ServiceEvent]:
        model, catalog, finish, at = Shared(self.scheduler, stop), domain.catalog, "end", 0
        placed: list[Placed] = []
        recommendation_id, reported = self._new_list(), False
        own = {"catalogue_version": domain.version, "recommendation_id": recommendation_id}
        try:
            for event in reply(dialogue, domain.expectations, text, stop, model):
                if not reported:
                    # Reading the message is done with the first event, and what follows is the answer to it.
                    asked = saved(dialogue.preferences, catalog)
                    yield Understood(dialogue.asked, asked, recommendation_id, assigned.name)
                    reported = True
                match event:
                    case TextDelta(words):
                        at += len(words)
                        yield event
                    case Recommendation(id=item_id, title=title):
                        assert catalog is not None
                        card = recommended_card(event, catalog.items[catalog.index[item_id]], domain.name)
                        span = [at, at + len(title)]
                        at = span[1]
                        if self.impressions:
                            # Before the user gets the item, and may judge it.
                            self.impressions.known.add(recommendation_id, [item_id])
                            placed.append(Placed(item_id=item_id, score=event.score))
                        yield Listed({**card, **own, "span": span})
                    case Done(finish):
                        pass
                    case Notice(line, says_understood=False):
                        line = line.replace("`max_new_tokens`", "max_tokens")  # the name of the limit in a request
                        yield Notice(line)
                        if request.notices_in_text:
                            words = f"\n{line}" if at else f"{line}\n"
                            at += len(words)
                            yield TextDelta(words)
        finally:  # also of an answer that was stopped
            if placed:
                self._keep(
                    domain,
                    assigned,
                    recommendation_id=recommendation_id,
                    kind="chat",
                    items=placed,
                    admissible=model.admissible,
                    rules=digest_of_rules(request, dialogue),
                    history=catalog.ids(dialogue.profile) if catalog else [],
                    decoding=request.decoding,
                )
        yield Finished(finish, model.prompt_tokens, model.completion_tokens, saved(dialogue.preferences, catalog))


def _first(*values: T | None) -> T:
    """Return the first value that is not None."""
    return next(value for value in values if value is not None)
