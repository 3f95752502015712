"""A model with the items of a catalog: loading, what the model expects of them, and its engine."""

import copy
import logging
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, load_catalog
from train_utils.constraint.constraint import Prior
from train_utils.decoding.completions_endpoint import CompletionsEndpoint
from train_utils.decoding.engine import Engine, make_engine
from train_utils.decoding.next_item import next_item_shares
from train_utils.decoding.reference import PlainEngine
from train_utils.decoding.retriever import Retriever, load_retriever
from train_utils.decoding.shortlist import CANDIDATES
from train_utils.decoding.shortlist_ranker import ShortlistRanker
from train_utils.history_items import item_of_entry, item_of_written_title, only_ids
from train_utils.item_codes import ItemCodes, check_item_codes, codes_for
from train_utils.models.backbone import context_length
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.trained import load_trained, trained_tokenizer
from train_utils.priors import POPULARITY_WEIGHT, PRIOR_WEIGHT, SEQUENCE_WEIGHT, check_weight, combined
from train_utils.processes import pick_device
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.renderer import Chat
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher

logger = logging.getLogger(__name__)


class CatalogModel:
    """A chat model and the catalog that it recommends from.

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
    ) -> Self:
        """Load a model and a catalog, or the tokenizer of a model that another server has.

        Args:
            model: a merged folder, an adapter's folder, a base model or a GGUF file. With `url`, the merged folder that
                the server serves, whose weights are not read.
            dataset: a dataset folder or a catalog; None for plain conversation.
            teacher: an address (see `open_teacher`), or a teacher.
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
    ) -> Self:
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

    def with_catalog(self, dataset: str | Path | Catalog, trie_cache: str | Path = "") -> Self:
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
        recommender = type(self)(
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

    def with_items(self, catalog: Catalog, renderer: Chat, renamed: Collection[int]) -> Self:
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

    @cached_property
    def named_titles(self) -> NamedTitles:
        """Search of the catalog's titles in a text."""
        return NamedTitles(self.catalog.titles if self.catalog else ())

    def indices(self, history: Sequence[str]) -> list[int]:
        """Return the item indices of a history of ids or titles.

        A title may be written as people write it: in any case, "The Lion King" for "Lion King, The", without its year.
        Where each entry is an id and one of them is no title, none is read as a title.

        Raises:
            ValueError: an entry is no id or title of the catalog, or may be several.
        """
        if isinstance(history, str) or not isinstance(history, Iterable):
            raise ValueError(f"`history` is {history!r}, wanted a list of item ids or titles")
        history = list(history)
        if history and only_ids(history, self._known_catalog):
            return self._known_catalog.indices(history)
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

    def _check_context(self, tokens: int, remedy: str) -> None:
        if self.context is not None and tokens > self.context:
            raise ValueError(f"prompt and answer take {tokens} tokens, the context has {self.context}; {remedy}")
