"""Recommender whose model is in a vLLM server with the plugin."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedModel

from train_utils.catalog import Catalog, load_catalog
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.item_rules import ItemRules
from train_utils.decoding.completions_endpoint import CompletionsEndpoint, EndpointError
from train_utils.decoding.request import Request
from train_utils.engines.remote_engine import REMEDY, RemoteEngine
from train_utils.models.trained import trained_tokenizer
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommendation, Recommender
from train_utils.teacher.protocol import Teacher

logger = logging.getLogger(__name__)


class ServedRecommender(Recommender):
    """Recommender that decodes greedily at a server.

    Lists and conversations are those of a `Recommender` with `decoding` greedy, whose items are spelled token by token.
    A prior needs a model with one token per item. What the model expects after a bare history cannot be asked.

    Args:
        endpoint: the server.
        renderer: renders conversations with the served model's tokenizer and the catalog's titles.
        catalog: the items to recommend; None until `with_catalog`.
        domain: name of the catalog at the server; "" for the catalog's own.
        teacher: see `Recommender`.
        prior_weight: see `Recommender`.
        source: folder of the served model.
    """

    def __init__(
        self,
        endpoint: CompletionsEndpoint,
        renderer: Chat,
        catalog: Catalog | None = None,
        *,
        domain: str = "",
        teacher: Teacher | None = None,
        prior_weight: float | None = None,
        source: str = "",
    ):
        super().__init__(
            None, renderer, catalog, teacher=teacher, prior_weight=prior_weight, sequence_weight=0.0, source=source
        )
        self.endpoint, self.domain = endpoint, domain
        self._warned = False

    @classmethod
    def at(cls, url: str, model: str | Path, trust_remote_code: bool = False) -> "ServedRecommender":
        """Return the recommender of a server, without a catalog.

        Args:
            url: address of the server.
            model: the merged folder that it serves, whose weights are not read.
            trust_remote_code: as `--trust_remote_code` of the scripts.

        Raises:
            ValueError: the address is no HTTP address, or the folder has no tokenizer of a trained model.
        """
        endpoint = CompletionsEndpoint(url, server="vllm", remedy=REMEDY)
        return cls(endpoint, Chat(trained_tokenizer(str(model), trust_remote_code)), source=str(model))

    @property
    def model(self) -> PreTrainedModel:
        """Raise ValueError: the server has the model."""
        raise ValueError(f"the model is at {self.endpoint.url}; load it here for what needs its weights")

    def with_catalog(self, dataset: str | Path | Catalog, trie_cache: str | Path = "") -> "ServedRecommender":
        """Return the recommender of a catalog of the server; see `Recommender.with_catalog`."""
        catalog = dataset if isinstance(dataset, Catalog) else load_catalog(dataset)
        renderer = Chat(self.renderer.tokenizer, catalog.titles, trie_cache, *self._item_codes(catalog))
        return ServedRecommender(
            self.endpoint,
            renderer,
            catalog,
            domain=self.domain,
            teacher=self.teacher,
            prior_weight=self._prior_weight,
            source=self.source,
        )

    @cached_property
    def engine(self) -> RemoteEngine:  # type: ignore[override]  # with the methods of an engine that spells titles
        """Engine at the server.

        Raises:
            EndpointError: there is no catalog.
        """
        if self.catalog is None:
            raise EndpointError("a server answers under one of its catalogs; choose one by /domain NAME")
        return RemoteEngine(self.endpoint, self.catalog, self.renderer, self.domain or self.catalog.name)

    def answer_request(
        self,
        prompt: Sequence[int],
        constraint: Constraint | None,
        *,
        max_new_tokens: int,
        decoding: str = "rank",
        n_items: int = 0,
    ) -> Request:
        """Return the request for an answer; see `Recommender.answer_request`.

        A prior that the server cannot add is left out, with a warning.
        """
        if constraint is not None and constraint.prior is not None and self.renderer.one_token_codes is None:
            self._warn_of_priors()
            constraint = constraint.without_prior()
        return super().answer_request(
            prompt, constraint, max_new_tokens=max_new_tokens, decoding=decoding, n_items=n_items
        )

    def _warn_of_priors(self) -> None:
        if not self._warned:
            logger.warning(
                "note: what is expected of the user is left out: a server adds it to items of one token each, and "
                "this model spells titles"
            )
        self._warned = True

    def recommend_each(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        rules: Sequence[ItemRules | Mapping[str, object] | None],
        *,
        max_history: int = 10,
        prior_weight: float | None = None,
    ) -> list[list[Recommendation]]:
        """Return a list for each history, written by the model item by item; see `Recommender.recommend_each`."""
        items = [self.indices(history) for history in histories]
        priors = self._teacher_priors(items, k, prior_weight) if items else []
        requests = [
            self._list_request(history[-max_history:], k, self._constraint(own, history, prior))
            for history, own, prior in zip(items, rules, priors, strict=True)
        ]
        completions = self.engine.generate([replace(request, force_items=True, best_titles=0) for request in requests])
        for number, completion in enumerate(completions):
            if completion.error is not None:
                raise type(completion.error)(f"history {number}: {completion.error}")
        return [self._recommendations(completion) for completion in completions]
