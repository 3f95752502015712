"""The front door: a model and its catalog, loaded once; lists for histories, and conversations."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from rapidfuzz import process
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, load_catalog
from train_utils.constraint.constraint import Constraint, Prior
from train_utils.constraint.item_rules import ItemRules, compile_rules, item_rules
from train_utils.decoding.engine import Engine, make_engine
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.reference import PlainEngine
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.retriever import Retriever, load_retriever
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.trained import load_trained
from train_utils.processes import pick_device
from train_utils.prompts.list_spec import ListSpec, list_messages
from train_utils.prompts.messages import Message, message
from train_utils.prompts.renderer import Chat
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher

TEACHER_DEPTH = 2000  # items of a large catalog that the teacher scores; the others count as 0
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Recommendation:
    """An item of the catalog in an answer.

    Attributes:
        id, title: of the item.
        rank: its place in the answer, from 1.
        score: its log-probability among the admissible items; a prior adds its weight times the log of its share.
    """

    id: str
    title: str
    rank: int
    score: float


class Recommender:
    """Recommends items of a catalog, by a chat model under the constraint.

    Args:
        model: a causal model that has the control tokens; see `load`.
        renderer: renders conversations by its tokenizer; it knows the catalog's titles.
        catalog: what is recommended; None for plain conversation, in which no item can be opened.
        retriever: finds the items of RecLM-ret; None lets the model spell titles.
        teacher: a sequential recommender whose scores enter lists as a prior; None for the model alone.
        prior_weight: weight of that prior.
        source: the folder that the model was loaded from; "" for none.
        untrained: whether the model had no control tokens when it was loaded, so that it never learned to recommend.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        renderer: Chat,
        catalog: Catalog | None = None,
        *,
        retriever: Retriever | None = None,
        teacher: Teacher | None = None,
        prior_weight: float = 32.0,
        source: str = "",
        untrained: bool = False,
    ):
        self.model, self.renderer, self.catalog, self.retriever = model, renderer, catalog, retriever
        self.teacher, self.prior_weight = teacher, prior_weight
        self.source, self.untrained = source, untrained
        self._by_title = {item.title: i for i, item in reversed([*enumerate(catalog.items)])} if catalog else {}

    @classmethod
    def load(
        cls,
        model: str | Path,
        dataset: str | Path | Catalog | None = None,
        *,
        teacher: str | Teacher | None = None,
        prior_weight: float = 32.0,
        device: str = "auto",
        dtype: str = "auto",
        attention: bool = False,
        backbone: str = "",
        trie_cache: str | Path = "",
    ) -> "Recommender":
        """Load a model and a catalog.

        Args:
            model: a merged folder, an adapter's folder, a base model or a GGUF file.
            dataset: a dataset folder or a catalog; None for plain conversation.
            teacher: `http://HOST:PORT[/DATASET]`, `local:PATH` or `file:PATH`, or a teacher.
            prior_weight: weight of the teacher's scores.
            device: "auto", "cpu" or a CUDA device.
            dtype: as `--dtype` of the scripts.
            attention: as `--FA2` of the scripts.
            backbone: base model of an adapter, instead of the one that it names.
            trie_cache: folder that keeps tries between runs.

        Raises:
            ValueError: nothing loadable, a broken dataset, or no such device; in one line.
        """
        picked = pick_device(device)
        tokenizer, causal = load_trained(str(model), picked, dtype, attention, backbone)
        # A base model gets the control tokens that it never saw, so that it can be constrained.
        untrained = add_item_tokens(tokenizer, causal)
        loaded = cls(
            causal,
            Chat(tokenizer),
            teacher=open_teacher(teacher) if isinstance(teacher, str) else teacher,
            prior_weight=prior_weight,
            source=str(model),
            untrained=untrained,
        )
        return loaded if dataset is None else loaded.with_catalog(dataset, trie_cache)

    def with_catalog(self, dataset: str | Path | Catalog, trie_cache: str | Path = "") -> "Recommender":
        """Return a recommender of another catalog that shares the model.

        Args:
            dataset: a dataset folder or a catalog.
            trie_cache: folder that keeps tries between runs; worth it from some 10,000 titles.

        Raises:
            ValueError: a broken dataset, titles that no trie can hold, or item vectors of another catalog.
        """
        catalog = dataset if isinstance(dataset, Catalog) else load_catalog(dataset)
        return Recommender(
            self.model,
            Chat(self.renderer.tokenizer, catalog.titles, trie_cache),
            catalog,
            retriever=load_retriever(self.source, catalog, self.model.device) if self.source else None,
            teacher=self.teacher,
            prior_weight=self.prior_weight,
            source=self.source,
            untrained=self.untrained,
        )

    @cached_property
    def engine(self) -> Engine | PlainEngine:
        """What decodes. Raises ValueError for a model that nothing here decodes."""
        return make_engine(self.model, self.renderer, self.retriever)

    # -- lists ---------------------------------------------------------------------------------------------------

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
            history: item ids or titles, oldest first; a user need not be known. May be empty.
            k: length of the list; it is shorter where fewer items are admissible.
            rules: what the list may hold, as `ItemRules` or as a mapping of its fields.
            max_history: how many of the newest items are shown to the model.

        Raises:
            ValueError: no catalog, an item that it does not have, or rules that are wrong.
            ConstraintError: rules that admit no item.
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
        """Return a list for each history, as `recommend` does; all are decoded in one batch."""
        _ = self._known_catalog
        if k < 1 or max_history < 1:
            raise ValueError(f"k is {k} and max_history is {max_history}, wanted 1 or more")
        if not self.engine.searches:
            raise ValueError("lists are ranked by the engine, which cannot read this model; use task_test.py")
        if not histories:
            return []
        items = [self.indices(history) for history in histories]
        priors = self._priors(items, k)
        requests = [
            self._list_request(history[-max_history:], k, self._constraint(rules, history, prior))
            for history, prior in zip(items, priors, strict=True)
        ]
        return [self._recommendations(completion) for completion in self.engine.rank(requests)]

    def indices(self, history: Sequence[str]) -> list[int]:
        """Return the item indices of a history of ids or titles. Raises ValueError for what the catalog lacks."""
        if isinstance(history, str):
            raise ValueError(f"history is the text {history!r}, wanted a list of item ids or titles")
        return [self._item_index(entry) for entry in history]

    @property
    def _known_catalog(self) -> Catalog:
        if self.catalog is None:
            raise ValueError("no catalog is loaded; pass dataset to Recommender.load")
        return self.catalog

    def _item_index(self, entry: str) -> int:
        catalog = self._known_catalog
        index = catalog.index.get(entry, self._by_title.get(entry))
        if index is None:
            near = process.extractOne(str(entry), list(self._by_title))
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{entry!r} is no item id or title of the catalog {catalog.name!r}{hint}")
        return index

    def _constraint(
        self, rules: ItemRules | Mapping[str, object] | None, history: Sequence[int], prior: Prior | None
    ) -> Constraint:
        wanted = rules if isinstance(rules, ItemRules) else item_rules(rules or {})
        catalog, trie = self._known_catalog, self.renderer.trie
        assert trie is not None  # the renderer knows the titles of the catalog
        wanted = replace(wanted, seen=(*wanted.seen, *catalog.ids(history)))
        return compile_rules(catalog, trie, wanted, prior)

    def _priors(self, histories: Sequence[Sequence[int]], k: int) -> list[Prior | None]:
        priors: list[Prior | None] = [None] * len(histories)
        known = [i for i, history in enumerate(histories) if history]
        if self.teacher is not None and known:
            scores = teacher_scores(self.teacher, self._known_catalog, [histories[i] for i in known], k)
            for i, one in zip(known, scores, strict=True):
                priors[i] = Prior(one, self.prior_weight, "sum")
        return priors

    def _list_request(self, shown: Sequence[int], k: int, constraint: Constraint) -> Request:
        prompt = self.renderer.render(list_messages(shown, ListSpec(k)), prompt=True).ids
        return Request(prompt, constraint, answer_at=len(prompt), max_items=k, force_items=True, idx=True)

    def _recommendations(self, completion: Completion) -> list[Recommendation]:
        pairs = zip(completion.items, completion.scores, strict=True)
        return [self._recommendation(item, rank, score) for rank, (item, score) in enumerate(pairs, 1)]

    def _recommendation(self, item: int, rank: int, score: float) -> Recommendation:
        found = self._known_catalog.items[item]
        return Recommendation(found.id, found.title, rank, score)

    # -- conversations -------------------------------------------------------------------------------------------

    def chat_request(self, messages: Sequence[Mapping[str, str] | Message], **more) -> Request:
        """Return the request that answers a conversation; `more` are fields of `Request`.

        Raises:
            ValueError: no messages, or one without role and content.
        """
        prompt = self.renderer.render([_message(entry) for entry in messages], prompt=True).ids
        if "rules" not in more and self.renderer.trie is not None:
            more["rules"] = Constraint(self.renderer.trie)
        return Request(prompt, answer_at=len(prompt), **more)

    def stream(
        self, request: Request, stop: threading.Event | None = None
    ) -> Iterator[TextDelta | Recommendation | Done]:
        """Yield the answer to a request of `chat_request` as it grows; `stop` ends it early."""
        for event in self.engine.stream(request, stop):
            match event:
                case ItemEvent(item, rank, score):
                    yield self._recommendation(item, rank, score)
                case _:
                    yield event

    def chat(
        self,
        messages: Sequence[Mapping[str, str] | Message],
        rules: ItemRules | Mapping[str, object] | None = None,
        *,
        max_new_tokens: int = 512,
        stop: threading.Event | None = None,
    ) -> Iterator[TextDelta | Recommendation | Done]:
        """Yield the model's answer to a conversation: text, items of the catalog, and how it ended.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": TEXT}`, the newest last.
            rules: which items may be recommended.
            max_new_tokens: length limit of the answer.
            stop: ends the answer early when it is set.

        Raises:
            ValueError: a message of another form, or rules that are wrong.
            ConstraintError: rules that admit no item.
        """
        more: dict[str, object] = {"max_new_tokens": max_new_tokens}
        if rules is not None:
            if self.catalog is None:
                raise ValueError("rules are given and no catalog is loaded; pass dataset to Recommender.load")
            more["rules"] = self._constraint(rules, (), None)
        yield from self.stream(self.chat_request(messages, **more), stop)


def teacher_scores(teacher: Teacher, catalog: Catalog, histories: Sequence[Sequence[int]], k: int) -> list[np.ndarray]:
    """Return the teacher's probability of each item after each history.

    Args:
        teacher: answers for all histories at once.
        catalog: whose items are scored.
        histories: item indices, oldest first.
        k: length of the lists that the scores are for.

    Returns:
        float64 [items] for each history; 0 for items beyond the teacher's `TEACHER_DEPTH` best.
    """
    n_items = len(catalog.items)
    left = n_items - max(map(len, map(set, histories)))
    # One user who has had nearly everything takes no score from the others: then all is asked for, and what a history
    # holds is missing from its list.
    depth = max(1, min(TEACHER_DEPTH, left if left > k else n_items - 1))
    lists, probabilities = teacher.top_k([catalog.ids(history) for history in histories], depth, scores=True)
    scores = np.zeros((len(histories), n_items))
    for row, ids, found in zip(scores, lists, probabilities, strict=True):
        row[catalog.indices(ids)] = found
    return list(scores)


def _message(entry: Mapping[str, str] | Message) -> Message:
    if isinstance(entry, Message):
        return entry
    role, content = (entry.get("role"), entry.get("content")) if isinstance(entry, Mapping) else (None, None)
    if role not in _ROLES or not isinstance(content, str):
        raise ValueError(f"a message is {entry!r}, wanted {{'role': one of {', '.join(_ROLES)}, 'content': text}}")
    return message(role, content)
