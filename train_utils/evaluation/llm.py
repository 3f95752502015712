"""Language model under test: evaluation cases -> prompts and constraints -> lists of items."""

import hashlib
import logging
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
from train_utils.constraint.constraint import Constraint, Prior
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.support import Support, decoding_support
from train_utils.evaluation.cases import EvalCase, Prediction, messages_of
from train_utils.evaluation.eval_task import EvalTask, check_options
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
    """Apply `work` to `rows`. On CPU, two halves run concurrently, one core each.

    Threads that share one forward pass wait for each other, and long if another program runs. The split does not depend
    on the machine, so results do not either. A model that the engine does not fully support may keep state in its
    layers (a recurrence, the frequencies of dynamic RoPE), so it runs in one thread.

    Args:
        work: rows -> result.
        rows: rows to process.
        model: the model that `work` calls.

    Returns:
        One result for all rows, or one per half.
    """
    half = (len(rows) + 1) // 2
    if model.device.type != "cpu" or half == len(rows) or decoding_support(model) != Support():
        return [work(rows)]
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, (rows[:half], rows[half:])))


def prompt_of(row: EvalCase, exchange: Sequence[Message], chat: Chat, options: EvalOptions) -> list[int]:
    """Return the prompt of an evaluation case as token ids.

    Raises:
        ValueError: the prompt is longer than `--max_token_length`.
    """
    prompt = chat.render(messages_of(row, exchange, options), prompt=True).ids
    if len(prompt) > options.max_token_length:
        raise ValueError(
            f"the prompt of user {row.user!r} has {len(prompt)} tokens, --max_token_length allows "
            f"{options.max_token_length}; raise it or lower --max_history"
        )
    return prompt


class LLMRecommender:
    """Language model as a recommender under test.

    Args:
        catalog: the catalog to recommend from.
        options: options of the test.
        loaded: a loaded model with this catalog; None loads `--model_name`.

    Raises:
        ValueError: the options contradict each other, the model or the engine.
    """

    def __init__(self, catalog: Catalog, options: EvalOptions, loaded: Recommender | None = None):
        if has_retrieval(options.model_name):
            # Retrieved items are always items of the catalog, with or without --use_CBS.
            options = replace(options, use_CBS=True)
        self.catalog, self.options = catalog, options
        check_options(options)
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
        self._kept: dict[EvalCase, array[int]] = {}
        self.exchanges: Sequence[Sequence[Message]] = ()
        self.task = EvalTask.parse(options.SFT_test_task)
        if self.task.exchange:
            self.exchanges = load_exchanges(options.share_chat_gpt, self.chat, MR_SEGMENT, rounds=1)

    def prompt(self, row: EvalCase) -> list[int]:
        """Return the prompt of an evaluation case; see `prompt_of`."""
        return prompt_of(row, self._exchange(row), self.chat, self.options)

    def prompt_length(self, row: EvalCase) -> int:
        """Return the tokens of a user's prompt, which is kept until `request` takes it: each is rendered once."""
        self._kept[row] = array("i", self.prompt(row))
        return len(self._kept[row])

    def rules(self, row: EvalCase, prior: Prior | None = None) -> Constraint | None:
        """Return the constraint of a user's list, None without `--use_CBS`."""
        if not self.options.use_CBS:
            return None
        hidden = row.hidden(self.options.hide_seen)
        allow = row.spec.admitted(self.catalog) if self.options.enforce_request else None
        assert self.chat.trie is not None  # a test has a catalog
        return Constraint(self.chat.trie, allow, hidden, distinct=self.options.CBS_type == 2, prior=prior)

    def _has_choice(self, row: EvalCase) -> bool:
        """Return whether any item is admissible for a user."""
        if not self.options.use_CBS:
            return True
        admitted = row.spec.admitted(self.catalog) if self.options.enforce_request else None
        items = range(len(self.catalog.items)) if admitted is None else admitted
        return not set(items) <= set(row.hidden(self.options.hide_seen))

    def request(self, row: EvalCase) -> Request:
        """Return the request of an evaluation case, without a prior."""
        options = self.options
        forced = options.force_items or options.decoding == "rank"
        kept = self._kept.pop(row, None)
        prompt = self.prompt(row) if kept is None else kept.tolist()
        return Request(
            prompt,
            self.rules(row),
            answer_at=len(prompt),
            constrained=options.use_CBS,
            max_new_tokens=options.gen_max_length,
            # One extra item shows that the model miscounted; further items of a runaway list add no information.
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
        scores = self._prior_scores(users)
        requests = [self.request(row) for row in users]
        ranks = self.options.decoding == "rank"
        engine = self.engine
        opening = engine.prefill(requests) if ranks and engine.searches and not engine.finder.always else None
        for weight in weights:
            if self.options.prior:
                priors = [Prior(of_items, weight, self._reduce()) for of_items in scores]
                rules = [self.rules(row, prior) for row, prior in zip(users, priors, strict=True)]
                requests = [replace(request, rules=rule) for request, rule in zip(requests, rules, strict=True)]
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
        """Return the prior's scores of all items (float64 [items]) for each user; empty without a prior."""
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


def batches(users: Sequence[EvalCase], options: EvalOptions, llm: LLMRecommender) -> list[list[EvalCase]]:
    """Sort users by prompt length and cut them into batches, independent of progress so that a resumed run matches."""
    order = sorted(range(len(users)), key=lambda i: (llm.prompt_length(users[i]), i))
    return [[users[i] for i in order[at : at + options.batch_size]] for at in range(0, len(order), options.batch_size)]
