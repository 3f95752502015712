"""Recommender: a model and its catalog, loaded once, for recommendation lists and conversations."""

import copy
import logging
import operator
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, load_catalog
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.item_rules import ItemRules, compile_rules, item_rules
from train_utils.decoding.completions_endpoint import CompletionsEndpoint
from train_utils.decoding.engine import Engine, make_engine
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.next_item import next_item_shares
from train_utils.decoding.reference import PlainEngine
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.retriever import Retriever, load_retriever
from train_utils.decoding.shortlist import CANDIDATES
from train_utils.decoding.shortlist_ranker import ShortlistRanker
from train_utils.decoding.support import decoding_support
from train_utils.history_items import item_of_entry, item_of_written_title
from train_utils.item_codes import ItemCodes, check_item_codes, codes_for
from train_utils.models.backbone import context_length
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.trained import load_trained, trained_tokenizer
from train_utils.priors import (
    POPULARITY_WEIGHT,
    PRIOR_WEIGHT,
    SEQUENCE_WEIGHT,
    check_weight,
    combined,
    teacher_scores,
)
from train_utils.processes import pick_device
from train_utils.prompts.list_spec import ListSpec, list_messages
from train_utils.prompts.messages import ItemPart, Message, TitlePart, message
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.renderer import Chat
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher
from train_utils.text_files import whole_characters

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


class Recommender:
    """Recommender of a catalog's items by a chat model under the constraint.

    Args:
        model: a causal model that has the control tokens; see `load`. None with a `ranker`.
        renderer: renders conversations with the model's tokenizer and the catalog's titles.
        catalog: the items to recommend; None for plain conversation, in which no item can be opened.
        retriever: retrieves the items of RecLM-ret; None lets the model spell titles.
        teacher: sequential recommender whose scores are the prior of lists; None for no prior.
        prior_weight: weight of the prior; None for `PRIOR_WEIGHT` of the model's item form.
        sequence_weight: weight of what the model expects after the bare history; None for `SEQUENCE_WEIGHT` where the
            model was trained on such histories, else 0.
        source: the folder that the model was loaded from; "" for none.
        untrained: whether the model had no control tokens when it was loaded, so that it never learned to recommend.
        ranker: ranks lists on another server, which has the model; then there are lists and no conversations.

    Attributes:
        context: tokens that the model reads at most; None where its configuration does not say.

    Raises:
        ValueError: a renderer of other titles than the catalog's, or a weight that is no number of 0 or more.
    """

    def __init__(
        self,
        model: PreTrainedModel | None,
        renderer: Chat,
        catalog: Catalog | None = None,
        *,
        retriever: Retriever | None = None,
        teacher: Teacher | None = None,
        prior_weight: float | None = None,
        sequence_weight: float | None = None,
        source: str = "",
        untrained: bool = False,
        ranker: ShortlistRanker | None = None,
    ):
        self._model, self.renderer, self.catalog, self.retriever = model, renderer, catalog, retriever
        self.ranker = ranker
        self.teacher, self._prior_weight, self._sequence_weight = teacher, prior_weight, sequence_weight
        self.source, self.untrained = source, untrained
        self.context = None if model is None else context_length(model)
        if catalog is not None and list(renderer.titles) != catalog.titles:
            raise ValueError(
                f"the renderer's {len(renderer.titles)} titles are not those of catalog {catalog.name!r} in its order; "
                "make it by Chat(tokenizer, catalog.titles)"
            )
        for name, weight in (("prior_weight", prior_weight), ("sequence_weight", sequence_weight)):
            if weight is not None:
                check_weight(name, weight)
        if sequence_weight and catalog is not None and renderer.one_token_codes is None:
            form = renderer.codes.form if renderer.codes else "title_t"
            raise ValueError(
                f"`sequence_weight` {sequence_weight} needs a model with one token per item, and this one writes items "
                f"as {form}; give 0, or train with --item_index token"
            )

    @classmethod
    def load(
        cls,
        model: str | Path,
        dataset: str | Path | Catalog | None = None,
        *,
        teacher: str | Teacher | None = None,
        prior_weight: float | None = None,
        sequence_weight: float | None = None,
        device: str = "auto",
        dtype: str = "auto",
        attention: bool = False,
        backbone: str = "",
        trie_cache: str | Path = "",
        trust_remote_code: bool = False,
        url: str = "",
        mode: str = "",
        candidates: int = CANDIDATES,
        served_model: str = "",
        server: str = "auto",
        api_key: str = "",
    ) -> "Recommender":
        """Load a model and a catalog, or the tokenizer of a model that another server has.

        Args:
            model: a merged folder, an adapter's folder, a base model or a GGUF file. With `url`, the merged folder that
                the server serves, whose weights are not read.
            dataset: a dataset folder or a catalog; None for plain conversation.
            teacher: `http://HOST:PORT[/DATASET]`, `local:PATH` or `file:PATH`, or a teacher.
            prior_weight: weight of the teacher's scores; None for `PRIOR_WEIGHT` of the model's item form.
            sequence_weight: weight of what the model expects after the bare history; see the class.
            device: "auto", "cpu" or a CUDA device.
            dtype: as `--dtype` of the scripts.
            attention: as `--FA2` of the scripts.
            backbone: base model of an adapter, instead of the base model that its configuration names.
            trie_cache: folder that keeps tries between runs.
            trust_remote_code: as `--trust_remote_code` of the scripts.
            url: server with OpenAI's completions API that has the model; the arguments below belong to it.
            mode: "shortlist": the model lists the teacher's best candidates, under a grammar.
            candidates: candidates of a list, at most 64.
            served_model: name under which the server serves the model; "" for the first that it lists.
            server: "vllm", "sglang", "tensorrt_llm" or "llamacpp"; "auto" asks it.
            api_key: key that the server wants; "" for none.

        Raises:
            ValueError: the model cannot be loaded, the dataset is broken, or the device does not exist; in one line.
        """
        if url or mode:
            if mode != "shortlist" or not url:
                raise ValueError(f"`url` is {url!r} and `mode` {mode!r}, wanted an address and 'shortlist'")
            endpoint = CompletionsEndpoint(url, served_model, server, api_key)
            ranker = ShortlistRanker(endpoint, candidates)
            return cls.of_server(ranker, model, dataset, teacher, trie_cache, trust_remote_code)
        picked = pick_device(device)
        # Before the model, which takes longest to load.
        catalog = load_catalog(dataset) if isinstance(dataset, (str, Path)) else dataset
        prior = open_teacher(teacher) if isinstance(teacher, str) else teacher
        tokenizer, causal = load_trained(str(model), picked, dtype, attention, backbone, trust_remote_code)
        check_item_codes(getattr(causal.config, "item_form", None), model)
        # A base model gets new control tokens, so that it can be constrained.
        untrained = add_item_tokens(tokenizer, causal)
        loaded = cls(
            causal,
            Chat(tokenizer),
            teacher=prior,
            prior_weight=prior_weight,
            sequence_weight=sequence_weight,
            source=str(model),
            untrained=untrained,
        )
        return loaded if catalog is None else loaded.with_catalog(catalog, trie_cache)

    @classmethod
    def of_server(
        cls,
        ranker: ShortlistRanker,
        model: str | Path,
        dataset: str | Path | Catalog | None,
        teacher: str | Teacher | None = None,
        trie_cache: str | Path = "",
        trust_remote_code: bool = False,
    ) -> "Recommender":
        """Load the tokenizer of a model that another server has, and a catalog whose lists the server writes.

        Args:
            ranker: asks the server.
            model: the merged folder that the server serves.
            dataset: a dataset folder or a catalog.
            teacher: chooses the candidates; see `load`. None for the most popular items.
            trie_cache: see `load`.
            trust_remote_code: see `load`.

        Raises:
            ValueError: as `load`.
        """
        if dataset is None:
            raise ValueError("`dataset` is None, and a shortlist is chosen from a catalog; give its folder")
        catalog = dataset if isinstance(dataset, Catalog) else load_catalog(dataset)
        if teacher is None:
            if not any(catalog.popularity):
                raise ValueError("`teacher` is None and the catalog has no popularity, so nothing chooses a shortlist")
            logger.warning("note: without a teacher, the candidates of every user are the most popular items")
        tokenizer = trained_tokenizer(str(model), trust_remote_code)
        prior = open_teacher(teacher) if isinstance(teacher, str) else teacher
        # What the model expects after a bare history cannot be asked of a server.
        loaded = cls(None, Chat(tokenizer), teacher=prior, sequence_weight=0.0, source=str(model), ranker=ranker)
        return loaded.with_catalog(catalog, trie_cache)

    @property
    def model(self) -> PreTrainedModel:
        """The model.

        Raises:
            ValueError: another server has it.
        """
        if self._model is None:
            assert self.ranker is not None  # one of them is given
            raise ValueError(
                f"the model is at {self.ranker.endpoint.url}, which only lists (recommend, recommend_batch); for all "
                "else load the model here, without `url`"
            )
        return self._model

    def with_catalog(self, dataset: str | Path | Catalog, trie_cache: str | Path = "") -> "Recommender":
        """Return a recommender of another catalog that shares the model.

        Args:
            dataset: a dataset folder or a catalog.
            trie_cache: folder that keeps tries between runs; worth it from some 10,000 titles.

        Raises:
            ValueError: the dataset is broken, no trie can hold its titles, or the item vectors are of another catalog.
        """
        if not isinstance(dataset, (str, Path, Catalog)):
            raise ValueError(f"`dataset` is {dataset!r}, wanted a dataset folder or a Catalog")
        if self.retriever is not None and not self.source:
            raise ValueError(
                "a model of RecLM-ret made from parts has item vectors of one catalog; load it by Recommender.load"
            )
        catalog = dataset if isinstance(dataset, Catalog) else load_catalog(dataset)
        recommender = Recommender(
            self._model,
            Chat(self.renderer.tokenizer, catalog.titles, trie_cache, *self._item_codes(catalog)),
            catalog,
            retriever=load_retriever(self.source, catalog, self.model.device) if self.source and self._model else None,
            teacher=self.teacher,
            prior_weight=self._prior_weight,
            sequence_weight=self._sequence_weight,
            source=self.source,
            untrained=self.untrained,
            ranker=self.ranker,
        )
        if recommender.catalog_note:
            logger.warning("note: %s", recommender.catalog_note)
        return recommender

    def with_items(self, catalog: Catalog, renderer: Chat, renamed: Collection[int]) -> "Recommender":
        """Return a recommender of the same catalog after changes of its items, which shares all that still holds.

        Args:
            catalog: the catalog of this recommender after `Catalog.changed`.
            renderer: the renderer of its titles; this recommender's own where no title changed.
            renamed: items whose titles are new.
        """
        changed = copy.copy(self)
        changed.catalog, changed.renderer = catalog, renderer
        vars(changed).pop("popularity_prior", None)
        if renamed:
            vars(changed).pop("engine", None)
            changed.named_titles = self.named_titles.changed(renderer.titles, renamed)
        return changed

    @property
    def catalog_note(self) -> str:
        """Sentence for the user where the model was trained on the items of another catalog; "" elsewhere."""
        if self.catalog is None or not self.renderer.unused_codes:
            return ""
        leads = f"; {self.catalog.popular_by!r} leads its lists" if self.popularity_prior else ""
        return (
            f"the model was not trained on {self.catalog.name!r} and has item codes of another catalog: here it spells "
            f"titles{leads}"
        )

    @cached_property
    def popularity_prior(self) -> Prior | None:
        """Popularity of the items as a prior; None for a catalog with training events, or without a popularity."""
        if self.catalog is None or not self.catalog.is_cold or not any(self.catalog.popularity):
            return None
        return Prior(np.array(self.catalog.popularity), POPULARITY_WEIGHT, "sum")

    @property
    def prior_weight(self) -> float:
        """Weight of the prior."""
        if self._prior_weight is not None:
            return self._prior_weight
        if self.sequence_weight:
            return PRIOR_WEIGHT["sequences"]
        return PRIOR_WEIGHT["titles" if self.renderer.codes is None else "codes"]

    @property
    def sequence_weight(self) -> float:
        """Weight of what the model expects after the bare history, relative to its choice in the conversation."""
        if self._sequence_weight is not None:
            return self._sequence_weight
        codes = self.renderer.codes
        learned = codes is not None and codes.sequences and self.renderer.one_token_codes is not None
        return SEQUENCE_WEIGHT if learned else 0.0

    def sequence_priors(self, histories: Sequence[Sequence[int]], weight: float | None = None) -> list[Prior | None]:
        """Return what the model expects after each bare history, as a prior; None where it has no weight.

        In a catalog without training events the popularity of its items is part of the prior.

        Args:
            histories: item indices that the model sees, oldest first.
            weight: weight of the prior; None for `sequence_weight`. A model without such a prior has none.
        """
        priors = [self.popularity_prior] * len(histories)
        known = [i for i, history in enumerate(histories) if history]
        weight = self.sequence_weight if weight is None or not self.sequence_weight else weight
        if weight and known:
            readable = self.context - 1 if self.context else 0  # a conversation starts with one token more
            shares = self._next_item_shares([histories[i][-readable:] for i in known])
            for i, of_items in zip(known, shares, strict=True):
                priors[i] = combined(Prior(of_items, weight, "sum"), priors[i])
        return priors

    def _next_item_shares(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the probability of each item after each bare history; see `next_item_shares`."""
        return next_item_shares(self.engine, histories)

    def _item_codes(self, catalog: Catalog) -> tuple[ItemCodes | None, Sequence[str]]:
        """Return the codes of a catalog's items, and the code tokens of a model that has those of another catalog."""
        if not self.source:
            return self.renderer.codes, self.renderer.unused_codes
        return codes_for(self.source, catalog)

    @cached_property
    def engine(self) -> Engine | PlainEngine:
        """Engine of the model, created on first access.

        Raises:
            ValueError: no engine can decode the model.
        """
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

    def indices(self, history: Sequence[str]) -> list[int]:
        """Return the item indices of a history of ids or titles.

        A title may be written as people write it: in any case, "The Lion King" for "Lion King, The", without its year.

        Raises:
            ValueError: an entry is no id or title of the catalog, or may be several.
        """
        if isinstance(history, str) or not isinstance(history, Iterable):
            raise ValueError(f"`history` is {history!r}, wanted a list of item ids or titles")
        return [self._item_index(entry) for entry in history]

    @property
    def _known_catalog(self) -> Catalog:
        if self.catalog is None:
            raise ValueError("no catalog is loaded; pass `dataset` to Recommender.load")
        return self.catalog

    def _item_index(self, entry: str) -> int:
        index = item_of_entry(entry, self._known_catalog)
        # The search of titles takes long to make for a large catalog, so it is made only if needed.
        return item_of_written_title(entry, self._known_catalog, self.named_titles) if index is None else index

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

    def _check_context(self, tokens: int, remedy: str) -> None:
        if self.context is not None and tokens > self.context:
            raise ValueError(f"prompt and answer take {tokens} tokens, the context has {self.context}; {remedy}")

    @cached_property
    def named_titles(self) -> NamedTitles:
        """Search of the catalog's titles in a text."""
        return NamedTitles(self.catalog.titles if self.catalog else ())

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
