"""Recommender whose model is in a vLLM server with the plugin."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, load_catalog
from train_utils.constraint.constraint import Constraint
from train_utils.decoding.completions_endpoint import TIMEOUT_S, CompletionsEndpoint, EndpointError
from train_utils.decoding.request import Completion, Request
from train_utils.engines.remote_engine import REMEDY, RemoteEngine
from train_utils.models.trained import trained_tokenizer
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.teacher.protocol import Teacher

logger = logging.getLogger(__name__)


class ServedRecommender(Recommender):
    """Recommender whose model is at a server.

    With one token per item, its lists are ranked as those of a `Recommender`, with the same priors. Other items, and
    text with items, are spelled token by token, as with `decoding` greedy; a prior needs items of one token.

    Args:
        endpoint: the server.
        renderer: renders conversations with the served model's tokenizer and the catalog's titles.
        catalog: the items to recommend; None until `with_catalog`.
        domain: name of the catalog at the server; "" for the catalog's own.
        teacher: see `Recommender`.
        prior_weight: see `Recommender`.
        sequence_weight: see `Recommender`; 0 where the server does not rank.
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
        sequence_weight: float | None = None,
        source: str = "",
    ):
        super().__init__(
            None,
            renderer,
            catalog,
            teacher=teacher,
            prior_weight=prior_weight,
            sequence_weight=sequence_weight,
            source=source,
        )
        self.endpoint, self.domain = endpoint, domain
        self.context = endpoint.context
        self._warned = False

    @classmethod
    def at(
        cls,
        url: str,
        model: str | Path,
        trust_remote_code: bool = False,
        *,
        api_key: str = "",
        timeout: float = TIMEOUT_S,
        sequence_weight: float | None = None,
    ) -> "ServedRecommender":
        """Return the recommender of a server, without a catalog.

        Args:
            url: address of the server.
            model: the merged folder that it serves, whose weights are not read.
            trust_remote_code: as `--trust_remote_code` of the scripts.
            api_key: key that the server wants; "" takes that of `VLLM_API_KEY`, vLLM's own variable.
            timeout: seconds without a byte of an answer.
            sequence_weight: see the class.

        Raises:
            ValueError: the address is no HTTP address, the server does not answer, or the folder has no tokenizer of a
                trained model.
        """
        key = api_key or os.environ.get("VLLM_API_KEY", "")
        endpoint = CompletionsEndpoint(url, server="vllm", api_key=key, timeout=timeout, remedy=REMEDY)
        renderer = Chat(trained_tokenizer(str(model), trust_remote_code))
        return cls(endpoint, renderer, sequence_weight=sequence_weight, source=str(model))

    @property
    def model(self) -> PreTrainedModel:
        """Raise ValueError: the server has the model."""
        raise ValueError(f"the model is at {self.endpoint.url}; load it here for what needs its weights")

    def with_catalog(self, dataset: str | Path | Catalog, trie_cache: str | Path = "") -> "ServedRecommender":
        """Return the recommender of a catalog of the server; see `Recommender.with_catalog`.

        Raises:
            EndpointError: the server has no plugin, no such catalog, or another model.
        """
        catalog = dataset if isinstance(dataset, Catalog) else load_catalog(dataset)
        renderer = Chat(self.renderer.tokenizer, catalog.titles, trie_cache, *self._item_codes(catalog))
        served = ServedRecommender(
            self.endpoint,
            renderer,
            catalog,
            domain=self.domain,
            teacher=self.teacher,
            prior_weight=self._prior_weight,
            sequence_weight=self._sequence_weight,
            source=self.source,
        )
        served.engine.check()
        if self._sequence_weight and not served.engine.ranks:
            raise EndpointError(
                f"`sequence_weight` is {self._sequence_weight}, and {self.endpoint.url} does not rank items; start it "
                "by scripts/vllm_serve.sh, or take 0"
            )
        return served

    @property
    def sequence_weight(self) -> float:
        """Weight of what the model expects after the bare history; 0 where the server does not rank."""
        return super().sequence_weight if self.catalog is not None and self.engine.ranks else 0.0

    def _next_item_shares(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        return self.engine.next_item_shares(histories)

    @cached_property
    def engine(self) -> RemoteEngine:  # type: ignore[override]  # with the methods of an engine that spells titles
        """Engine at the server.

        Raises:
            EndpointError: there is no catalog.
        """
        if self.catalog is None:
            raise EndpointError("a server answers under one of its catalogs; name it by `domain`, or /domain NAME")
        return RemoteEngine(self.endpoint, self.catalog, self.renderer, self.domain or self.catalog.name)

    def _decodable(self, constraint: Constraint | None, ranks: bool) -> Constraint | None:
        """Leave out a prior that the server cannot add, with a warning."""
        if constraint is None or constraint.prior is None or self.engine.takes_priors or ranks:
            return constraint
        if not self._warned:
            spells = self.renderer.one_token_codes is None
            logger.warning(
                "note: what is expected of the user is left out: a server adds it to items of one token each, %s",
                "and this model spells titles" if spells else "but not with --jump_forward",
            )
        self._warned = True
        return constraint.without_prior()

    def _check_lists(self) -> None:
        """Accept any model: where the server does not rank, it writes the lists itself."""

    def _lists(self, requests: Sequence[Request]) -> list[Completion]:
        """Return lists that are ranked, or that the model writes item by item."""
        if self.engine.ranks:
            return self.engine.generate([replace(request, best_titles=request.max_items) for request in requests])
        return self.engine.generate(
            [replace(request, rules=self._decodable(request.rules, ranks=False)) for request in requests]
        )
