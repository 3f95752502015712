"""A language model under test: users -> prompts and rules -> lists of items."""

import hashlib
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Constraint, Prior
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.support import Support, decoding_support
from train_utils.evaluation.cases import EvalCase, Prediction, messages_of
from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.title_matching import TitleReader
from train_utils.models.retrieval_head import has_retrieval
from train_utils.param import EvalOptions
from train_utils.prompts.control_tokens import split_completion
from train_utils.prompts.messages import Message
from train_utils.prompts.renderer import Chat
from train_utils.prompts.sharegpt import load_exchanges
from train_utils.recommender import Recommender, teacher_scores
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher

logger = logging.getLogger(__name__)
MR_SEGMENT = 200
T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[Sequence[T]], R], rows: Sequence[T], model: PreTrainedModel) -> list[R]:
    """What `work` makes of `rows`; on the CPU of their halves, at the same time, each on one core.

    Threads that share one pass of a model wait for each other, and for long where another program runs. How the rows
    are cut does not depend on the machine, so neither does an answer. A model that the engine reads only partly or not
    at all may keep a state in its layers (a recurrence, the frequencies of dynamic RoPE): one thread reads with it.
    """
    half = (len(rows) + 1) // 2
    if model.device.type != "cpu" or half == len(rows) or decoding_support(model) != Support():
        return [work(rows)]
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, (rows[:half], rows[half:])))


def prompt_of(row: EvalCase, exchange: Sequence[Message], chat: Chat, options: EvalOptions) -> list[int]:
    """What a user's list is asked by. Raises ValueError when it is longer than `--max_token_length`."""
    prompt = chat.render(messages_of(row, exchange, options), prompt=True).ids
    if len(prompt) > options.max_token_length:
        raise ValueError(
            f"the prompt of user {row.user!r} has {len(prompt)} tokens, --max_token_length allows "
            f"{options.max_token_length}; raise it or lower --max_history"
        )
    return prompt


class LLMRecommender:
    """A model and its catalog: makes prompts, decodes, reads items back.

    Args:
        loaded: a model with this catalog, instead of what `--model_name` names.
    """

    def __init__(self, catalog: Catalog, options: EvalOptions, loaded: Recommender | None = None):
        if has_retrieval(options.model_name):
            # What is retrieved is of the catalog, whether a constraint was asked for or not.
            options = replace(options, use_CBS=True)
        self.catalog, self.options = catalog, options
        _check_task(options)
        recommender = loaded or load_llm(catalog, options)
        model, self.chat, self.engine = recommender.model, recommender.renderer, recommender.engine
        if options.decoding != "greedy" and not self.engine.searches:
            raise ValueError(
                f"--decoding {options.decoding} finds titles by the engine; "
                f"{decoding_support(model).problem}: take --decoding greedy"
            )
        if not self.engine.searches and options.engine != "hf":
            logger.warning(
                "%s: it is decoded by transformers' generate, one token a pass", decoding_support(model).problem
            )
        self.titles = TitleReader(catalog.titles)
        self.teacher: Teacher | None = None
        self.exchanges: Sequence[Sequence[Message]] = ()
        self.task = EvalTask.parse(options.SFT_test_task)
        if self.task.exchange:
            self.exchanges = load_exchanges(options.share_chat_gpt, self.chat, MR_SEGMENT, rounds=1)

    def prompt(self, row: EvalCase) -> list[int]:
        """Raises ValueError when it is longer than `--max_token_length`."""
        return prompt_of(row, self._exchange(row), self.chat, self.options)

    def rules(self, row: EvalCase, prior: Prior | None = None) -> Constraint | None:
        """What a user's list may hold; None where nothing constrains it."""
        if not self.options.use_CBS:
            return None
        hidden = row.hidden(self.options.hide_seen)
        allow = row.spec.admitted(self.catalog) if self.options.enforce_request else None
        assert self.chat.trie is not None  # a test has a catalog
        return Constraint(self.chat.trie, allow, hidden, distinct=self.options.CBS_type == 2, prior=prior)

    def _has_choice(self, row: EvalCase) -> bool:
        """Whether the rules of a user admit any item."""
        if not self.options.use_CBS:
            return True
        admitted = row.spec.admitted(self.catalog) if self.options.enforce_request else None
        items = range(len(self.catalog.items)) if admitted is None else admitted
        return not set(items) <= set(row.hidden(self.options.hide_seen))

    def request(self, row: EvalCase) -> Request:
        """What the model is asked for a user, without a prior."""
        options = self.options
        forced = options.force_items or options.decoding == "rank"
        prompt = self.prompt(row)
        return Request(
            prompt,
            self.rules(row),
            answer_at=len(prompt),
            constrained=options.use_CBS,
            max_new_tokens=options.gen_max_length,
            # One item beyond the list shows that the model counted wrong; the rest of a runaway list shows nothing.
            max_items=row.spec.k + (not forced),
            force_items=forced,
            idx=options.idx,
            best_titles={"greedy": 0, "best": 1, "rank": row.spec.k}[options.decoding],
        )

    def _exchange(self, row: EvalCase) -> Sequence[Message]:
        if not self.exchanges:
            return ()
        drawn_for = "" if self.task.exchange == "shared" else row.user
        return random.Random(f"{self.options.seed}/{drawn_for}").choice(self.exchanges)

    def answer(self, request: Request, completion: Completion) -> Prediction:
        text = self.chat.tokenizer.decode(completion.ids)
        digest = hashlib.sha256(" ".join(map(str, request.prompt)).encode()).hexdigest()[:16]
        if request.rules is not None:
            return Prediction(self.catalog.ids(completion.items), text, digest)
        spans, _ = split_completion(completion.ids, self.chat.soi, self.chat.eoi)
        named = [self.titles.read(self.chat.decode(ids)) for ids in spans] or self.titles.read_list(text)
        items = [None if one.item is None else self.catalog.items[one.item].id for one in named]
        return Prediction(items, text, digest, named, plain=not spans and bool(named))

    def answers(self, users: Sequence[EvalCase], weights: Sequence[float] = (0.0,)) -> list[list[Prediction]]:
        """The answers to the users, once for each weight of the prior.

        A user for whom every item is hidden or unasked for has nothing to be given: an empty list, which is a miss.
        """

        def work(part: Sequence[EvalCase]) -> list[list[Prediction]]:
            asked = [row for row in part if self._has_choice(row)]
            if not asked:
                return [[Prediction([]) for _ in part] for _ in weights]
            users = [row.user for row in asked]
            found = [dict(zip(users, one, strict=True)) for one in self._answers(asked, weights)]
            return [[answers.get(row.user) or Prediction([]) for row in part] for answers in found]

        parts = side_by_side(work, users, self.engine.model)
        return [list(chain.from_iterable(found)) for found in zip(*parts, strict=True)]

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """What the engine writes for requests of any kind."""
        return list(chain.from_iterable(side_by_side(self._generated, requests, self.engine.model)))

    def _generated(self, requests: Sequence[Request]) -> list[Completion]:
        """What the engine writes. Raises ConstraintError where one answer cannot be gone on with: it is no miss."""
        completions = self.engine.generate(requests, reproducible=True)
        for completion in completions:
            if completion.error is not None:
                raise completion.error
        return completions

    def _answers(self, users: Sequence[EvalCase], weights: Sequence[float]) -> Iterator[list[Prediction]]:
        """Prompts are read only once where lists are ranked."""
        scores = self._prior_scores(users)
        requests = [self.request(row) for row in users]
        ranks = self.options.decoding == "rank"
        engine = self.engine
        opening = engine.prefill(requests) if ranks and engine.searches and not engine.finder.always else None
        for weight in weights:
            if self.options.prior:
                priors = [Prior(one, weight, self._reduce()) for one in scores]
                rules = [self.rules(row, prior) for row, prior in zip(users, priors, strict=True)]
                requests = [replace(request, rules=one) for request, one in zip(requests, rules, strict=True)]
            if ranks and engine.searches:
                completions = engine.rank(requests, opening)
            elif self.options.engine == "hf":
                completions = generate_reference(engine.model, self.chat, requests)
            else:
                completions = self._generated(requests)
            yield [self.answer(*pair) for pair in zip(requests, completions, strict=True)]

    def _reduce(self) -> str:
        by_decoding = "max" if self.options.decoding == "greedy" else "sum"
        return by_decoding if self.options.prior_reduce == "auto" else self.options.prior_reduce

    def _prior_scores(self, users: Sequence[EvalCase]) -> list[np.ndarray]:
        """Scores of all items for each user (float64 [items]); nothing without a prior."""
        match self.options.prior:
            case "teacher":
                histories = [row.hidden(self.options.hide_seen) or row.shown for row in users]
                self.teacher = self.teacher or open_teacher(self.options.teacher)
                return teacher_scores(self.teacher, self.catalog, histories, self.options.topk)
            case "popularity":
                return [np.array(self.catalog.popularity, dtype=np.float64)] * len(users)
            case _:
                return []


def load_llm(catalog: Catalog, options: EvalOptions) -> Recommender:
    """Load the model that `--model_name` names."""
    return Recommender.load(
        options.model_name,
        catalog,
        device=options.gpu,
        dtype=options.dtype,
        attention=options.FA2,
        backbone=options.backbone,
        trie_cache=options.trie_cache,
    )


def _check_task(options: EvalOptions) -> None:
    kind = EvalTask.parse(options.SFT_test_task).kind
    if kind == "embedding":
        raise ValueError(
            "--SFT_test_task SFTTestEmbedding looks into RecLM-ret; run main.py --train_stage SFT_Embedding_Test"
        )
    if kind == "item_count" and (options.decoding == "rank" or options.force_items):
        raise ValueError(
            "--SFT_test_task SFTTestItemCount asks whether the model counts; --decoding rank and "
            "--force_items count for it, take --decoding greedy or best"
        )
    if options.enforce_request and not options.use_CBS:
        raise ValueError("--enforce_request makes rules of requests; it needs --use_CBS")
    if not options.model_name:
        raise ValueError("--model_name is missing: a merged model folder")
    if options.decoding != "greedy" and not options.use_CBS:
        raise ValueError(f"--decoding {options.decoding} compares the titles of the catalog; it needs --use_CBS")
    if options.engine == "hf" and (options.decoding != "greedy" or options.force_items or not options.use_CBS):
        raise ValueError(
            "--engine hf is the oracle of greedy lists; it needs --decoding greedy and --use_CBS, and "
            "has no --force_items"
        )
    if options.engine == "hf" and has_retrieval(options.model_name):
        raise ValueError("--engine hf spells titles; a model of RecLM-ret retrieves them, take --engine own")
    if options.prior and not options.use_CBS:
        raise ValueError(f"--prior {options.prior} scores the titles of the catalog; it needs --use_CBS")


def batches(users: Sequence[EvalCase], options: EvalOptions, llm: LLMRecommender) -> list[list[EvalCase]]:
    """Batches of like length. They do not depend on what is done already, so that a resumed run has the same."""
    order = sorted(range(len(users)), key=lambda i: (len(llm.prompt(users[i])), i))
    return [[users[i] for i in order[at : at + options.batch_size]] for at in range(0, len(order), options.batch_size)]
