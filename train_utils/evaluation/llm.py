"""Language model under test: evaluation cases -> prompts and constraints -> lists of items."""

import hashlib
import logging
import os
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Constraint, Prior, log_shares
from train_utils.decoding.completions_endpoint import CompletionsEndpoint
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.shortlist_ranker import ShortlistEngine, ShortlistRanker
from train_utils.decoding.support import Support, decoding_support
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.evaluation.cases import EvalCase, Prediction, messages_of
from train_utils.evaluation.specs import ModelPlan, PriorSpec
from train_utils.evaluation.title_matching import TitleReader
from train_utils.param.evaluation import EvalOptions
from train_utils.priors import combined, teacher_scores
from train_utils.prompts.control_tokens import split_completion
from train_utils.prompts.messages import Message
from train_utils.prompts.renderer import Chat
from train_utils.prompts.sharegpt import load_exchanges
from train_utils.recommender import Recommender
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher

logger = logging.getLogger(__name__)
MR_SEGMENT = 200  # tokens that a turn of a chat exchange may have
T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[Sequence[T]], R], rows: Sequence[T], model: PreTrainedModel | None) -> list[R]:
    """Apply `work` to `rows`. On CPU, two halves run concurrently, one core each.

    Threads that share one forward pass wait for each other, and long if another program runs. The split does not depend
    on the machine, so results do not either. A model that the engine does not fully support may keep state in its
    layers (a recurrence, the frequencies of dynamic RoPE), so it runs in one thread.

    Args:
        work: rows -> result.
        rows: rows to process.
        model: the model that `work` calls; None for one at a server.

    Returns:
        One result for all rows, or one per half.
    """
    half = (len(rows) + 1) // 2
    if model is None or model.device.type != "cpu" or half == len(rows) or decoding_support(model) != Support():
        return [work(rows)]
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, (rows[:half], rows[half:])))


def prompt_of(row: EvalCase, exchange: Sequence[Message], chat: Chat, plan: ModelPlan) -> list[int]:
    """Return the prompt of an evaluation case as token ids.

    Raises:
        ValueError: the prompt is longer than `max_token_length` of the decoding.
    """
    prompt = chat.render(messages_of(row, exchange, plan.task, plan.split), prompt=True).ids
    if len(prompt) > plan.decoding.max_token_length:
        raise ValueError(
            f"the prompt of user {row.user!r} has {len(prompt)} tokens, `max_token_length` allows "
            f"{plan.decoding.max_token_length}; raise it or lower `max_history`"
        )
    return prompt


class LLMRecommender:
    """Language model as a recommender under test.

    Args:
        catalog: the catalog to recommend from.
        recommender: the loaded model, with this catalog.
        plan: plan of the test.
        exchanges: chat exchanges, one of which precedes each request; None takes those of the plan's task.

    Raises:
        ValueError: the engine cannot decode this model as planned, or no chat exchange fits.
    """

    def __init__(
        self,
        catalog: Catalog,
        recommender: Recommender,
        plan: ModelPlan,
        exchanges: Sequence[Sequence[Message]] | None = None,
    ):
        self.catalog, self.plan = catalog, plan
        self.recommender = recommender
        self.chat = recommender.renderer
        self.engine = (
            recommender.engine
            if recommender.ranker is None
            else ShortlistEngine(recommender.ranker, recommender.renderer)
        )
        if isinstance(recommender, ServedRecommender):
            _check_server(recommender, plan)
        elif not self.engine.searches and recommender.ranker is None:
            problem = decoding_support(recommender.model).problem
            if plan.decoding.decoding != "greedy":
                raise ValueError(
                    f"`decoding` {plan.decoding.decoding} finds titles by the engine; {problem}: take `decoding` greedy"
                )
            if plan.decoding.engine != "hf":
                logger.warning("%s: it is decoded by transformers' generate, one token per pass", problem)
        self.titles = TitleReader(catalog.titles)
        self.teacher: Teacher | None = recommender.teacher
        self._kept: dict[EvalCase, array[int]] = {}
        if exchanges is None:
            exchanges = load_exchanges(plan.exchanges, self.chat, MR_SEGMENT, rounds=1) if plan.task.exchange else ()
        self._exchanges = exchanges

    def prompt(self, row: EvalCase) -> list[int]:
        """Return the prompt of an evaluation case; see `prompt_of`."""
        return prompt_of(row, self._exchange(row), self.chat, self.plan)

    def prompt_length(self, row: EvalCase) -> int:
        """Return the tokens of a user's prompt, which is kept until `request` takes it: each is rendered once."""
        self._kept[row] = array("i", self.prompt(row))
        return len(self._kept[row])

    def rules(self, row: EvalCase, prior: Prior | None = None) -> Constraint | None:
        """Return the constraint of a user's list, None where titles are not constrained."""
        if not self.plan.decoding.constrained:
            return None
        split, decoding = self.plan.split, self.plan.decoding
        allow = row.spec.admitted(self.catalog) if split.enforce_request else None
        assert self.chat.trie is not None  # a test has a catalog
        return Constraint(self.chat.trie, allow, row.hidden(split.hide_seen), distinct=decoding.distinct, prior=prior)

    def admits(self, row: EvalCase, item: int) -> bool:
        """Return whether a user's list may have an item, by what is hidden and by an enforced request."""
        split = self.plan.split
        admitted = row.spec.admitted(self.catalog) if split.enforce_request else None
        return item not in row.hidden(split.hide_seen) and (admitted is None or item in admitted)

    def _has_choice(self, row: EvalCase) -> bool:
        """Return whether any item is admissible for a user."""
        if not self.plan.decoding.constrained:
            return True
        split = self.plan.split
        admitted = row.spec.admitted(self.catalog) if split.enforce_request else None
        items = range(len(self.catalog.items)) if admitted is None else admitted
        return not set(items) <= set(row.hidden(split.hide_seen))

    def requests(self, rows: Sequence[EvalCase]) -> list[Request]:
        """Return the requests of evaluation cases, with what the model expects after their bare histories."""
        return [self.request(row, prior) for row, prior in zip(rows, self._sequence_priors(rows), strict=True)]

    @property
    def sequence_weight(self) -> float:
        """Weight of what the model expects after the bare history; 0 where lists are not constrained."""
        return self.recommender.sequence_weight if self.plan.decoding.constrained else 0.0

    def _sequence_priors(self, rows: Sequence[EvalCase]) -> list[Prior | None]:
        if not self.sequence_weight:
            return [None] * len(rows)
        return self.recommender.sequence_priors([row.shown for row in rows])

    def request(self, row: EvalCase, prior: Prior | None = None) -> Request:
        """Return the request of an evaluation case."""
        decoding = self.plan.decoding
        kept = self._kept.pop(row, None)
        prompt = self.prompt(row) if kept is None else kept.tolist()
        return Request(
            prompt,
            self.rules(row, prior),
            answer_at=len(prompt),
            constrained=decoding.constrained,
            max_new_tokens=decoding.max_new_tokens,
            # One extra item shows that the model miscounted; further items of a runaway list add no information.
            max_items=row.spec.k + (not decoding.opens_items),
            force_items=decoding.opens_items,
            idx=decoding.idx,
            best_titles={"greedy": 0, "best": 1, "rank": row.spec.k}[decoding.decoding],
        )

    def _exchange(self, row: EvalCase) -> Sequence[Message]:
        if not self._exchanges:
            return ()
        drawn_for = "" if self.plan.task.exchange == "shared" else row.user
        return random.Random(f"{self.plan.split.seed}/{drawn_for}").choice(self._exchanges)

    def answer(self, request: Request, completion: Completion) -> Prediction:
        text = self.chat.tokenizer.decode(completion.ids)
        digest = hashlib.sha256(" ".join(map(str, request.prompt)).encode()).hexdigest()[:16]
        if request.rules is not None:
            return Prediction(self.catalog.ids(completion.items), text, digest)
        spans, _ = split_completion(completion.ids, self.chat.soi, self.chat.eoi)
        named = [self.titles.read(self.chat.decode(ids)) for ids in spans] or self.titles.read_list(text)
        items = [None if title.item is None else self.catalog.items[title.item].id for title in named]
        return Prediction(items, text, digest, named, plain=not spans and bool(named))

    def answers(self, users: Sequence[EvalCase], weights: Sequence[float] = (0.0,)) -> list[list[Prediction]]:
        """Predict lists for evaluation cases, once per weight of the prior.

        A user without an admissible item gets an empty list, which counts as a miss.

        Args:
            users: the evaluation cases.
            weights: weights of the prior.

        Returns:
            [weights][users], predictions in the order of the arguments.

        Raises:
            ConstraintError: a completion cannot continue under its constraint.
        """

        def work(part: Sequence[EvalCase]) -> list[list[Prediction]]:
            asked = [row for row in part if self._has_choice(row)]
            if not asked:
                return [[Prediction([]) for _ in part] for _ in weights]
            users = [row.user for row in asked]
            by_weight = [dict(zip(users, answers, strict=True)) for answers in self._answers(asked, weights)]
            return [[answers.get(row.user) or Prediction([]) for row in part] for answers in by_weight]

        parts = side_by_side(work, users, self.engine.model)
        return [list(chain.from_iterable(halves)) for halves in zip(*parts, strict=True)]

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the engine's completions of requests of any kind."""
        return list(chain.from_iterable(side_by_side(self._generated, requests, self.engine.model)))

    def _generated(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the engine's completions.

        Raises:
            ConstraintError: a completion cannot continue under its constraint; this is not counted as a miss.
        """
        completions = self.engine.generate(requests, reproducible=True)
        for completion in completions:
            if completion.error is not None:
                raise completion.error
        return completions

    def _answers(self, users: Sequence[EvalCase], weights: Sequence[float]) -> Iterator[list[Prediction]]:
        """Yield the predictions of each weight. Where lists are ranked, prompts are prefilled once for all weights."""
        prior = self.plan.prior
        scores = self.prior_scores(prior, users) if prior else []
        of_model = self._sequence_priors(users)
        requests = [self.request(row, its_prior) for row, its_prior in zip(users, of_model, strict=True)]
        ranks = self.plan.decoding.decoding == "rank"
        engine = self.engine
        opening = engine.prefill(requests) if ranks and engine.searches and not engine.finder.always else None
        for weight in weights:
            if prior:
                priors = [Prior(of_items, weight, prior.reduce) for of_items in scores]
                both = map(combined, of_model, priors)
                rules = [self.rules(row, its_prior) for row, its_prior in zip(users, both, strict=True)]
                requests = [replace(request, rules=rule) for request, rule in zip(requests, rules, strict=True)]
            if ranks and engine.searches:
                completions = engine.rank(requests, opening)
            elif self.plan.decoding.engine == "hf":
                assert engine.model is not None  # it is loaded here
                completions = generate_reference(engine.model, self.chat, requests)
            else:
                completions = self._generated(requests)
            yield [self.answer(*pair) for pair in zip(requests, completions, strict=True)]

    @property
    def scores_items(self) -> bool:
        """Whether one pass gives what the model thinks of every item: with one token per item, by the own engine."""
        own = self.plan.decoding.engine == "own" and self.plan.decoding.constrained
        return own and self.chat.one_token_codes is not None and self.engine.searches and not self.engine.finder.always

    def item_scores(self, users: Sequence[EvalCase]) -> np.ndarray:
        """Return what the model adds to each item at the first of a list, with its own prior after the bare history.

        Only where `scores_items`.

        Args:
            users: evaluation cases, at least one.

        Returns:
            float32 [users, items], log-probabilities up to a constant per user; -inf for what may not be listed.
        """
        tokens, engine = self.chat.one_token_codes, self.engine
        assert tokens is not None and engine.searches  # the caller asked `scores_items`

        def work(part: Sequence[EvalCase]) -> np.ndarray:
            requests = self.requests(part)
            logits = engine.prefill(requests).logits
            scores = logits[:, torch.from_numpy(tokens).to(logits.device)].float().cpu().numpy()
            for row, request in zip(scores, requests, strict=True):
                assert request.rules is not None  # lists are constrained
                if request.rules.prior is not None:
                    row += log_shares(request.rules.prior).astype(np.float32)
                row[~request.rules.admitted] = -np.inf
            return scores

        return np.concatenate(side_by_side(work, users, engine.model))

    def prior_scores(self, prior: PriorSpec, users: Sequence[EvalCase]) -> list[np.ndarray]:
        """Return the prior's scores of all items (float64 [items]) for each user."""
        match prior.source:
            case "teacher":
                histories = [row.hidden(self.plan.split.hide_seen) or row.shown for row in users]
                self.teacher = self.teacher or open_teacher(prior.teacher)
                return teacher_scores(self.teacher, self.catalog, histories, self.plan.split.topk)
            case "popularity":
                return [np.array(self.catalog.popularity, dtype=np.float64)] * len(users)


def load_llm(catalog: Catalog, options: EvalOptions) -> Recommender:
    """Load the model that `--model_name` names, or the tokenizer of one at a server."""
    if options.engine == "shortlist":
        ranker = ShortlistRanker(CompletionsEndpoint(options.url, api_key=os.environ.get("VLLM_API_KEY", "")))
        return Recommender.of_server(
            ranker, options.model_name, catalog, options.teacher if options.prior == "teacher" else None
        )
    if options.engine == "vllm":
        served = ServedRecommender.at(
            options.url, options.model_name, options.trust_remote_code, sequence_weight=_sequence_weight(options)
        )
        return served.with_catalog(catalog, options.trie_cache)
    return Recommender.load(
        options.model_name,
        catalog,
        device=options.gpu,
        dtype=options.dtype,
        sequence_weight=_sequence_weight(options),
        attention=options.FA2,
        backbone=options.backbone,
        trie_cache=options.trie_cache,
        trust_remote_code=options.trust_remote_code,
    )


def _sequence_weight(options: EvalOptions) -> float | None:
    return None if options.sequence_weight == "auto" else float(options.sequence_weight)


def _check_server(served: ServedRecommender, plan: ModelPlan) -> None:
    """Raise ValueError where a server cannot decode as planned."""
    if plan.decoding.decoding == "rank" and not served.engine.ranks:
        raise ValueError(
            f"`decoding` rank: {served.endpoint.url} ranks items of one token each, started by scripts/vllm_serve.sh; "
            "take `decoding` greedy"
        )
    adds = plan.prior is not None or served.sequence_weight > 0
    if plan.decoding.decoding == "greedy" and adds and not served.engine.takes_priors:
        raise ValueError(
            f"{served.endpoint.url} adds no prior to items that are spelled: it adds it to items of one token each, "
            "without --jump_forward; take `decoding` rank, or `sequence_weight` 0 and no `prior`"
        )


def batches(users: Sequence[EvalCase], llm: LLMRecommender) -> list[list[EvalCase]]:
    """Sort users by prompt length and cut them into batches, independent of progress so that a resumed run matches."""
    order = sorted(range(len(users)), key=lambda i: (llm.prompt_length(users[i]), i))
    size = llm.plan.decoding.batch_size
    return [[users[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
