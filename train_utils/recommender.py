"""Recommender: a model and its catalog, loaded once, for recommendation lists and conversations."""

import logging
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from train_utils.catalog_model import CatalogModel
from train_utils.characters import whole_characters
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.item_rules import ItemRules, compile_rules, item_rules
from train_utils.decoding.engine import Engine
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.reference import PlainEngine
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.support import decoding_support
from train_utils.priors import (
    check_weight,
    combined,
    teacher_scores,
)
from train_utils.prompts.list_spec import ListSpec, list_messages
from train_utils.prompts.messages import ItemPart, Message, TitlePart, message

logger = logging.getLogger(__name__)

# Whole titles that a search returns for a conversation, by the name of the decoding; a longer list searches again.
DECODING = {"greedy": 0, "best": 1, "rank": 32}
CHAT_HISTORY = 50  # newest items named in a conversation that say what may come next, as many as training shows
_ROLES = ("system", "user", "assistant")

# Decodes a request, as `Engine.stream` does.
Stream = Callable[[Engine | PlainEngine, Request, threading.Event | None], Iterator[TextDelta | ItemEvent | Done]]


@dataclass(frozen=True)
class Recommendation:
    """Item of the catalog in an answer.

    Attributes:
        id: id of the item.
        title: title of the item.
        rank: position in the answer, from 1.
        score: log-probability among the admissible items; a prior adds its weight times the log of the item's share.
    """

    id: str
    title: str
    rank: int
    score: float


class Recommender(CatalogModel):
    """Recommender of a catalog's items by a chat model under the constraint.

    `Recommender.load` loads one; its arguments, and those of the class, are those of `CatalogModel`.
    """

    def recommend(
        self,
        history: Sequence[str],
        k: int = 10,
        rules: ItemRules | Mapping[str, object] | None = None,
        *,
        max_history: int = 10,
    ) -> list[Recommendation]:
        """Return the k most probable items that follow a history, best first, without the items of the history.

        Args:
            history: item ids or titles, oldest first; may be empty, and the user may be unknown.
            k: length of the list, which is shorter if fewer items are admissible.
            rules: item rules of the list, as `ItemRules` or as a mapping of its fields.
            max_history: number of newest items that the model sees.

        Raises:
            ValueError: there is no catalog, it lacks an item, or the rules are invalid.
            ConstraintError: the rules admit no item.
        """
        return self.recommend_batch([history], k, rules, max_history=max_history)[0]

    def recommend_batch(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        rules: ItemRules | Mapping[str, object] | None = None,
        *,
        max_history: int = 10,
    ) -> list[list[Recommendation]]:
        """Return a list for each history, as `recommend` does, decoded in one batch."""
        if isinstance(histories, str) or not isinstance(histories, Iterable):
            raise ValueError(f"`histories` is {histories!r}, wanted a list of histories")
        histories = list(histories)
        return self.recommend_each(histories, k, [rules] * len(histories), max_history=max_history)

    def recommend_each(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        rules: Sequence[ItemRules | Mapping[str, object] | None],
        *,
        max_history: int = 10,
        prior_weight: float | None = None,
    ) -> list[list[Recommendation]]:
        """Return a list for each history under its own rules, decoded in one batch; see `recommend`.

        Args:
            histories: item ids or titles of each user.
            k: length of the lists.
            rules: the rules of each list.
            max_history: number of newest items that the model sees.
            prior_weight: weight of the teacher's scores; None for the recommender's.
        """
        requests = self.list_requests(histories, k, rules, max_history=max_history, prior_weight=prior_weight)
        if not requests:
            return []
        completions = self._lists(requests)
        for number, completion in enumerate(completions):
            if completion.error is not None:
                raise ConstraintError(f"history {number}: {completion.error}") from completion.error
        return [self._recommendations(completion) for completion in completions]

    def _lists(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the completions of requests of `list_requests`."""
        if self.ranker is not None:
            return self.ranker.rank(self.renderer, requests)
        assert self.engine.searches  # else there are no requests
        return self.engine.rank(requests)

    def list_requests(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        rules: Sequence[ItemRules | Mapping[str, object] | None],
        *,
        max_history: int = 10,
        prior_weight: float | None = None,
    ) -> list[Request]:
        """Return the engine's requests for lists; arguments and errors as of `recommend_each`."""
        _ = self._known_catalog
        k, max_history = whole_number("k", k), whole_number("max_history", max_history)
        self._check_lists()
        items = [self.indices(history) for history in histories]
        if not items:
            return []
        of_model = self.sequence_priors([history[-max_history:] for history in items])
        priors = list(map(combined, of_model, self._teacher_priors(items, k, prior_weight)))
        if self.ranker is not None:  # a shortlist of a user without a history has the most popular items
            popular = Prior(np.array(self._known_catalog.popularity))
            priors = [popular if prior is None else prior for prior in priors]
        requests = []
        for number, (history, own, prior) in enumerate(zip(items, rules, priors, strict=True)):
            try:
                requests.append(self._list_request(history[-max_history:], k, self._constraint(own, history, prior)))
            except ConstraintError as error:
                raise ConstraintError(f"history {number}: {error}" if len(items) > 1 else str(error)) from None
        return requests

    def _check_lists(self) -> None:
        """Raise ValueError for a model whose lists the engine cannot rank."""
        if self.ranker is None and not self.engine.searches:
            problem = decoding_support(self.model).problem
            raise ValueError(f"{problem}, so lists cannot be ranked; run task_test.py with --decoding greedy")

    def _constraint(
        self, rules: ItemRules | Mapping[str, object] | None, history: Sequence[int], prior: Prior | None
    ) -> Constraint:
        parsed = rules if isinstance(rules, ItemRules) else item_rules({} if rules is None else rules)
        catalog, trie = self._known_catalog, self.renderer.trie
        assert trie is not None  # the renderer knows the titles of the catalog
        parsed = replace(parsed, seen=(*parsed.seen, *catalog.ids(history)))
        return compile_rules(catalog, trie, parsed, prior)

    def _teacher_priors(
        self, histories: Sequence[Sequence[int]], k: int, weight: float | None = None
    ) -> list[Prior | None]:
        if weight is not None:
            check_weight("prior_weight", weight)
        priors: list[Prior | None] = [None] * len(histories)
        known = [i for i, history in enumerate(histories) if history]
        if self.teacher is not None and known:
            scores = teacher_scores(self.teacher, self._known_catalog, [histories[i] for i in known], k)
            for i, item_scores in zip(known, scores, strict=True):
                priors[i] = Prior(item_scores, self.prior_weight if weight is None else weight, "sum")
        return priors

    def _list_request(self, shown: Sequence[int], k: int, constraint: Constraint) -> Request:
        # A model with item codes knows items by their codes best; titles in a text are for what users type.
        messages = list_messages(shown, ListSpec(k), marked_history=bool(self.renderer.code_ids))
        prompt = self.renderer.render(messages, prompt=True).ids
        self._check_context(len(prompt), "show less of the history by `max_history`")
        return Request(prompt, constraint, answer_at=len(prompt), max_items=k, force_items=True, idx=True)

    def _recommendations(self, completion: Completion) -> list[Recommendation]:
        pairs = zip(completion.items, completion.scores, strict=True)
        return [self._recommendation(item, rank, score) for rank, (item, score) in enumerate(pairs, 1)]

    def _recommendation(self, item: int, rank: int, score: float) -> Recommendation:
        entry = self._known_catalog.items[item]
        return Recommendation(entry.id, entry.title, rank, score)

    # -- conversations -------------------------------------------------------------------------------------------

    def _mentions(self, messages: Iterable[Message]) -> list[list[int]]:
        """Return the items of each mention by the user, as a title in the text or as an item."""
        mentions: list[list[int]] = []
        for part in (part for entry in messages if entry.role == "user" for part in entry.parts):
            if isinstance(part, (ItemPart, TitlePart)):
                mentions.append([part.item])
            elif isinstance(part, str):
                mentions += self.named_titles.mentions(part)
        return mentions

    def named_prior(self, mentions: Sequence[Sequence[int]]) -> Prior | None:
        """Return what the model expects after the items that a user has named, as a prior.

        Args:
            mentions: the items of each mention, oldest first; of several with one title the most popular one counts.
        """
        popularity = self._known_catalog.popularity
        history = dict.fromkeys(max(items, key=lambda item: popularity[item]) for items in mentions)
        return self.sequence_priors([list(history)[-CHAT_HISTORY:]])[0]

    def answer_request(
        self,
        prompt: Sequence[int],
        constraint: Constraint | None,
        *,
        max_new_tokens: int,
        decoding: str = "rank",
        n_items: int = 0,
    ) -> Request:
        """Return the request to the engine for the answer to a rendered conversation.

        Args:
            prompt: token ids, up to where the answer begins.
            constraint: the admissible items; None lets no item be opened.
            max_new_tokens: length limit of the answer.
            decoding: how titles are decoded, one of `DECODING`; a text that is too long to search spells them.
            n_items: answer with a numbered list of this many items; 0 leaves text and items to the model.
        """
        if decoding not in DECODING:
            raise ValueError(f"`decoding` is {decoding!r}, wanted one of {', '.join(DECODING)}")
        searched = DECODING[decoding] if self.engine.finds_titles(len(prompt) + max_new_tokens) else 0
        return Request(
            prompt,
            self._decodable(constraint, ranks=searched > 0 and n_items > 0),
            answer_at=len(prompt),
            max_new_tokens=max_new_tokens,
            max_items=n_items,
            force_items=n_items > 0,
            idx=n_items > 1,
            best_titles=searched,
        )

    def _decodable(self, constraint: Constraint | None, ranks: bool) -> Constraint | None:
        """Return the constraint of an answer as the engine can decode it, by a ranking or token by token."""
        return constraint

    def events(
        self, request: Request, stop: threading.Event | None = None, stream: Stream | None = None
    ) -> Iterator[TextDelta | Recommendation | Done]:
        """Yield the answer to a request of `answer_request` as it is written.

        Args:
            request: the request.
            stop: ends the answer early when it is set.
            stream: decodes; None for the engine in this thread.
        """
        stream = stream or (lambda engine, request, stop: engine.stream(request, stop))
        for event in stream(self.engine, request, stop):
            yield self._recommendation(event.item, event.rank, event.score) if isinstance(event, ItemEvent) else event

    def chat(
        self,
        messages: Sequence[Mapping[str, str] | Message],
        rules: ItemRules | Mapping[str, object] | None = None,
        *,
        max_new_tokens: int = 512,
        decoding: str = "rank",
        exclude_named: bool = True,
        stop: threading.Event | None = None,
    ) -> Iterator[TextDelta | Recommendation | Done]:
        """Answer a conversation: an iterator over text, items of the catalog, and how the answer ended.

        The items that the user names are a history: what the model expects after them enters as a prior. A teacher is
        not asked.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": TEXT}`, the newest last.
            rules: which items may be recommended.
            max_new_tokens: length limit of the answer.
            decoding: "rank", "best" or "greedy", as `--decoding` of the chat.
            exclude_named: do not recommend what the user's messages name.
            stop: ends the answer early when it is set.

        Raises:
            ValueError: a message of another form, a conversation longer than the context, or invalid rules.
            ConstraintError: the rules admit no item.
        """
        if isinstance(messages, (str, Mapping)) or not isinstance(messages, Iterable):
            raise ValueError(f"`messages` is {messages!r}, wanted a list of messages")
        conversation = [_message(entry) for entry in messages]
        max_new_tokens = whole_number("max_new_tokens", max_new_tokens)
        prompt = self.renderer.render(conversation, prompt=True).ids
        self._check_context(len(prompt) + max_new_tokens, "leave out old messages or lower `max_new_tokens`")
        constraint = self._chat_constraint(rules, self._mentions(conversation), exclude_named)
        request = self.answer_request(prompt, constraint, max_new_tokens=max_new_tokens, decoding=decoding)
        return self.events(request, stop)

    def _chat_constraint(
        self, rules: ItemRules | Mapping[str, object] | None, mentions: Sequence[Sequence[int]], exclude_named: bool
    ) -> Constraint | None:
        if self.catalog is None:
            if rules is not None:
                raise ValueError("rules are given and no catalog is loaded; pass `dataset` to Recommender.load")
            return None
        try:
            # Training closes a history at every choice: of its own items the model expects nothing in particular.
            prior = self.named_prior(mentions) if exclude_named else self.popularity_prior
            named = sorted({item for items in mentions for item in items}) if exclude_named else ()
            return self._constraint(rules, named, prior)
        except ConstraintError:
            self._constraint(rules, (), None)  # raises where the rules alone admit no item
            return None  # all that may be recommended was named: the model can only talk


def _message(entry: Mapping[str, str] | Message) -> Message:
    if isinstance(entry, Message):
        return entry
    role, content = (entry.get("role"), entry.get("content")) if isinstance(entry, Mapping) else (None, None)
    if role not in _ROLES or not isinstance(content, str):
        raise ValueError(f"a message is {entry!r}, wanted {{'role': one of {', '.join(_ROLES)}, 'content': text}}")
    return message(role, whole_characters(content))


def whole_number(name: str, value: object) -> int:
    """Return a whole number of any kind as an int. Raises ValueError for another value, or one below 1."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what is no number raises
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"`{name}` is {value!r}, wanted a whole number, 1 or more")
    return number
