"""Prompts -> completions with items: the only place that drives a model's decoding.

One pass of the model takes every token that is already known. Tokens that the tree forces ride along with the choice
before them; what usually stands between two items, and the titles that a ranking expects, are drafted, and kept only
where plain decoding would have written the same. The output is that of one-token-at-a-time constrained decoding.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from transformers import PreTrainedModel

from train_utils.constraint.constraint import ConstraintError
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.drafter import LIKELY_ENOUGH, Drafter
from train_utils.decoding.events import Done, ItemEvent, TextDelta, answer_events
from train_utils.decoding.forward import forward, prefill_shared_prefix
from train_utils.decoding.ragged_attention import RaggedCache, use_ragged_attention
from train_utils.decoding.reference import PlainEngine, answered
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.retriever import Retriever
from train_utils.decoding.sampler import SampledToken, SamplingPoint, sample_tokens
from train_utils.decoding.support import decoding_support, readable_length
from train_utils.decoding.title_finder import NearestVector, TitleFinder, TrieSearch
from train_utils.decoding.title_search import Opening, Ranked, prefill_to_item
from train_utils.models.backbone import precision_of
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

_DRAFTED = 24  # drafted tokens that a row reads a pass at most


@dataclass
class Counters:
    """What an engine has done: passes of the model and rows in them, tokens read, tokens and items written, choices
    drafted and accepted.

    `off_catalog` counts items that are not spelled as the catalog spells them. It stays 0: one raises.
    """

    passes: int = 0
    row_passes: int = 0
    tokens_read: int = 0
    tokens: int = 0
    items: int = 0
    drafted: int = 0
    accepted: int = 0
    off_catalog: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, **more: int) -> None:
        """Adds to counters by name; several threads may decode with one engine."""
        with self._lock:
            for name, n in more.items():
                setattr(self, name, getattr(self, name) + n)


@dataclass(frozen=True)
class ForwardPlan:
    """Input of one forward pass for one sequence.

    Attributes:
        tokens: ids to feed.
        logit_positions: indices in `tokens` whose logits decide something.
        points: what may be sampled at each of them; None where a title is searched for.
        drafted: the drafted token at every position but the last.
    """

    tokens: list[int]
    logit_positions: list[int]
    points: list[SamplingPoint | None]
    drafted: list[int]


class _Sequence:
    """Decoding state of one request: what is written, and what of it the model has not read yet."""

    def __init__(self, request: Request, engine: "Engine", drafts: Drafter):
        # RecLM-ret finds every item whole; a request without the constraint spells what it likes.
        self.retrieves = engine.finder.always and request.constrained
        # Whole titles are retrieved: the nearest at each item, or the n nearest at the first of a list.
        self.request = request = replace(request, best_titles=request.best_titles or 1) if self.retrieves else request
        self.chat = engine.chat
        self.counters = engine.counters
        self.drafts = drafts
        self.out = Completion()
        self.pending: list[int] = list(request.prompt)
        self.length = 0  # tokens in the cache that count
        # What finds the title of an item that waits for it: the logits at `<SOI>`, or the state that predicts `<SOI>`.
        self.opened: torch.Tensor | None = None
        self.branch_rankings: dict[int, Sequence[int]] = {}  # what the model thought at the branches of the tree
        self._score = 0.0
        self.state: DecodingState | None = None
        with self.guarded():
            self.state = DecodingState(request, engine.chat)
            self._written(self.state, self.state.begin())

    @property
    def finished(self) -> bool:
        return bool(self.out.finish)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What goes wrong with a row ends that row, and no other one of its batch."""
        try:
            yield
        except ConstraintError as error:
            self.out.finish, self.out.error = "error", error
            self.opened = None

    def plan(self) -> ForwardPlan:
        """What to read next, with drafts."""
        assert self.state is not None  # a row without a state has finished
        ahead, block, chance = self.state.copy(), list(self.pending), 1.0
        guesses: list[int] = []
        # Where `<SOI>` is known before anything is read, the state before it is what retrieves.
        places, choices = [max(0, len(block) - 1 - (self.retrieves and ahead.searches))], [ahead.choice()]
        while not ahead.searches and (guess := self.drafts.propose(ahead, self.branch_rankings)) is not None:
            chance *= guess[1]
            written = ahead.write(guess[0]) if chance >= LIKELY_ENOUGH else []
            if not written or ahead.finish or len(block) + len(written) > len(self.pending) + _DRAFTED:
                break
            block += written
            guesses.append(guess[0])
            places.append(len(block) - 1)
            choices.append(ahead.choice())
        return ForwardPlan(block, places, choices, guesses)

    def take(self, picks: Sequence[SampledToken | None], guesses: Sequence[int], search_states: torch.Tensor) -> None:
        """Writes what a pass decided.

        Args:
            picks: one a place, None where a title is searched for. clues: what a title is found by: logits
                [places, V], or states [places, d].
        """
        state = self.state
        assert state is not None  # a row without a state has finished
        self.length += len(self.pending)
        self.pending = []
        self.counters.count(drafted=len(guesses))
        for at, found in enumerate(picks):
            if found is None:
                self.opened = search_states[at]
                return
            self.drafts.observe(state, self.branch_rankings, found.token)
            if found.ranked and state.matcher is not None and (branch := state.matcher.branch) is not None:
                self.drafts.store(branch, found.ranked, self.branch_rankings)
            self._score += found.score
            written = state.write(found.token)
            self._written(state, written)
            drafted = not self.finished and at < len(guesses) and found.token == guesses[at]
            if drafted:
                # The model has read these tokens already: they are written, but not pending.
                self.pending = []
                self.length += len(written)
                self.counters.count(accepted=1)
            if self.retrieves and len(written) == 1 and state.searches and not self.finished:
                self.opened = search_states[at]
                return
            if not drafted:
                return

    def take_titles(self, ranked: Sequence[tuple[int, float]]) -> None:
        """Writes the first of the titles that a search found into the open item, and keeps the others for the next."""
        assert self.state is not None  # a row without a state has finished
        self.opened = None
        self.state.ranking = tuple(ranked)
        self._written(self.state, self.state.write_title())

    def _written(self, state: DecodingState, tokens: Sequence[int]) -> None:
        self.out.ids += tokens
        self.pending += tokens
        self.out.finish = state.finish
        self.counters.count(tokens=len(tokens))
        for item, score, ids in state.take_items():
            self._check(item, ids)
            self.out.items.append(item)
            self.out.scores.append(self._score if score is None else score)
            self._score = 0.0

    def _check(self, item: int, ids: Sequence[int]) -> None:
        """Compares what was written with the catalog itself, not with the tree that led to it."""
        self.counters.count(items=1)
        if list(ids) != self.chat.item_ids(item):
            self.counters.count(off_catalog=1)
            raise ConstraintError(f"item {item} was written as {list(ids)}, which is not how the catalog spells it")


class RunningBatch:
    """A batch under way. Requests join it at any time, finished ones leave it; each is answered as if it were alone.

    Args:
        drafts: what has been learned of drafts; None shares the engine's.
    """

    def __init__(self, engine: "Engine", drafts: Drafter | None = None):
        self.engine = engine
        self.drafts = engine.drafts if drafts is None else drafts
        self.rows: list[_Sequence] = []
        self.cache = RaggedCache(0)

    @torch.inference_mode()
    def add(self, requests: Sequence[Request]) -> list[_Sequence]:
        """Reads the prompts of new requests, and their first choices. A request whose prompt's last turn is off the
        tree is not read; its row is finished, with an error."""
        new = [_Sequence(request, self.engine, self.drafts) for request in requests]
        rows = [row for row in new if not row.finished]
        if not rows:
            return new
        left = 1 + self.engine.finder.lookback
        with self.engine.autocast():
            cache, shared = prefill_shared_prefix(self.engine.model, [row.pending for row in rows], left)
        for row in rows:
            row.length, row.pending = shared, row.pending[shared:]
        with self.engine.autocast():
            self._pass(rows, cache)
        _drop_finished(rows, cache)
        if rows:
            self.cache.append(cache)
            self.rows += rows
        return new

    @torch.inference_mode()
    def step(self) -> None:
        """One pass over all rows."""
        with self.engine.autocast():
            self._pass(self.rows, self.cache)
        _drop_finished(self.rows, self.cache)

    @torch.inference_mode()
    def abort(self, row: _Sequence) -> None:
        """Takes a row out before it has finished."""
        if row in self.rows:
            row.out.finish = "stopped"
            _drop_finished(self.rows, self.cache)

    def _pass(self, rows: Sequence[_Sequence], cache: RaggedCache) -> None:
        """Reads what every row has pending and drafted, and lets each take what the model decided."""
        plans = [self._plan(row) for row in rows]
        if not any(plan.tokens for plan in plans):
            return
        logits = forward(
            self.engine.model,
            cache,
            [plan.tokens for plan in plans],
            [row.length for row in rows],
            [plan.logit_positions for plan in plans],
        )
        search_states = self.engine.finder.states(logits)
        self.engine.counters.count(passes=1, row_passes=len(rows), tokens_read=sum(len(plan.tokens) for plan in plans))
        choices = [choice for plan in plans for choice in plan.points]
        asked = {i: choice for i, choice in enumerate(choices) if choice is not None}
        picks: list[SampledToken | None] = [None] * len(choices)
        if asked:
            places = list(asked)
            rows_asked = logits if len(asked) == len(choices) else logits[torch.tensor(places, device=logits.device)]
            for i, found in zip(places, sample_tokens(rows_asked, list(asked.values())), strict=True):
                picks[i] = found
        begin = 0
        for row, plan in zip(rows, plans, strict=True):
            end = begin + len(plan.logit_positions)
            if plan.tokens:
                with row.guarded():
                    row.take(picks[begin:end], plan.drafted, search_states[begin:end])
            begin = end
        self._search(rows, cache)

    @staticmethod
    def _plan(row: _Sequence) -> ForwardPlan:
        """The row's plan; an empty one where it cannot go on."""
        with row.guarded():
            return row.plan()
        return ForwardPlan([], [], [], [])

    def _search(self, rows: Sequence[_Sequence], cache: RaggedCache) -> None:
        """Writes a whole title into each row that has opened an item and wants one."""
        waiting = [
            (i, row.state.matcher, row.opened)
            for i, row in enumerate(rows)
            if row.opened is not None and row.state is not None and row.state.matcher is not None
        ]
        if not waiting:
            return
        opened = [i for i, _, _ in waiting]
        asking = [rows[i] for i in opened]
        matchers, search_states = [matcher for _, matcher, _ in waiting], torch.stack([found for *_, found in waiting])
        wanted = [row.request.best_titles for row in asking]
        lengths = [row.length for row in rows]
        found = self.engine.finder.find(cache, lengths, opened, matchers, search_states, wanted)
        for row, ranked in zip(asking, found, strict=True):
            with row.guarded():
                row.take_titles(ranked)


def _drop_finished(rows: list[_Sequence], cache: RaggedCache) -> None:
    for i in reversed(range(len(rows))):
        if rows[i].finished:
            cache.drop(i)
            rows[i] = rows[-1]
            rows.pop()


class Engine:
    """Decodes over any Hugging Face causal model: greedily, or sampling.

    Args:
        model: the causal model. chat: its tokenizer, with the titles of the catalog whose rules the requests carry.
        retriever: chooses the items of RecLM-ret by the state that predicts `<SOI>`; None lets the model spell them.

    Attributes:
        searches: whether titles can be found whole (`Request.best_titles`).
        plain: decodes what gets longer than the engine's passes read the model alike; see `Support`.

    Raises:
        ValueError: a model that the engine cannot read; `make_engine` falls back to transformers' `generate`.
    """

    searches: Literal[True] = True

    def __init__(self, model: PreTrainedModel, chat: Chat, retriever: Retriever | None = None):
        if problem := decoding_support(model).problem:
            raise ValueError(f"{problem}; --engine hf decodes it, greedily")
        use_ragged_attention(model)
        self.plain = PlainEngine(model, chat, retrieves=retriever is not None)
        self.finder: TitleFinder = TrieSearch(model) if retriever is None else NearestVector(model, retriever)
        self.model = model
        self.chat = chat
        # Found once: a model's parameters are many, its passes too.
        self.autocast = partial(torch.autocast, **precision_of(model))
        self.counters = Counters()
        self.drafts = Drafter()

    def generate(self, requests: Sequence[Request], reproducible: bool = False) -> list[Completion]:
        """Answers a batch. A request that cannot be gone on with finishes as "error", with the error; the others of
        its batch are answered. Raises that ConstraintError where no request of the batch could be answered.

        reproducible: learn of drafts in this batch alone. They decide what is read in one pass, and in bf16 passes of
            other shapes round otherwise: slower, but the answers do not depend on batches before or in other threads.
        """
        long = [self._is_long(request) for request in requests]
        running = RunningBatch(self, Drafter() if reproducible else None)
        rows = iter(running.add([request for request, is_long in zip(requests, long, strict=True) if not is_long]))
        while running.rows:
            running.step()
        return answered(
            [
                self.plain.complete(request) if is_long else next(rows).out
                for request, is_long in zip(requests, long, strict=True)
            ]
        )

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[TextDelta | ItemEvent | Done]:
        """Answers one request as events. Half of a character or of an item is never shown; `stop` ends it early."""
        if self._is_long(request):
            yield from self.plain.stream(request, stop)
            return
        running = RunningBatch(self)
        (row,) = running.add([request])

        def go_on() -> None:
            if stop is not None and stop.is_set():
                running.abort(row)
            else:
                running.step()

        yield from answer_events(self.chat, row.state, row.out, go_on)

    def prefill(self, requests: Sequence[Request]) -> Opening:
        """Read prompts up to the first item of a list. `rank` ranks from there, any number of times.

        Raises:
            ValueError: texts longer than the engine reads, or a model that retrieves its items.
        """
        if self.finder.always:
            raise ValueError("RecLM-ret retrieves items and ranks no titles; call rank without prefill")
        starts = [request.answer_at for request in requests]
        prompts = [request.prompt for request in requests]
        return prefill_to_item(self.model, self.chat, prompts, requests[0].idx, starts)

    def rank(self, requests: Sequence[Request], opening: Opening | None = None) -> list[Completion]:
        """Return the `max_items` most probable items of each request, written as a list, best first.

        Args:
            requests: all with `max_items`, and with the same `idx`.
            opening: what `prefill` read for the same prompts; None reads them.

        Raises:
            ValueError: what `prefill` raises.
        """
        if self.finder.always:
            forced = [replace(request, best_titles=request.max_items, force_items=True) for request in requests]
            return self.generate(forced, reproducible=True)
        opening = self.prefill(requests) if opening is None else opening
        depth = max(request.max_items for request in requests)
        rules = [request.rules for request in requests if request.rules is not None]
        while True:
            ranked = opening.most_probable(rules, depth)
            lists = [self._within_caps(request, titles) for request, titles in zip(requests, ranked, strict=True)]
            whole = (
                len(listed) == request.max_items or len(titles) < depth
                for request, listed, titles in zip(requests, lists, ranked, strict=True)
            )
            if all(whole):
                return [self._written(listed, one.idx) for one, listed in zip(requests, lists, strict=True)]
            depth *= 4  # a cap closed titles of the ranking; those after them move up

    def _within_caps(self, request: Request, titles: Sequence[Ranked]) -> list[Ranked]:
        """Return the first `max_items` titles, without those that the titles before them close by a cap."""
        if request.rules is None or not request.rules.has_caps:
            return list(titles[: request.max_items])
        matcher = Matcher.from_tokens(request.rules, request.prompt, self.chat.end_of_turn, request.answer_at)
        listed: list[Ranked] = []
        for title in titles:
            if len(listed) == request.max_items or matcher.exhausted:
                break
            opened = matcher.copy()
            opened.accept_token(self.chat.soi)
            if opened.offers(title.item):
                for token in self.chat.item_ids(title.item):
                    matcher.accept_token(token)
                listed.append(title)
        return listed

    def _written(self, titles: Sequence[Ranked], idx: bool) -> Completion:
        """A list of items, written as the model writes it."""
        ids: list[int] = []
        for rank, title in enumerate(titles, 1):
            ids += [*self.chat.encode(separator(rank, idx)), *self.chat.item_ids(title.item)]
        scores = [title.log_probability for title in titles]
        return Completion(ids, [title.item for title in titles], scores, finish="items")

    def finds_titles(self, tokens: int) -> bool:
        """Whether titles can be found whole (`Request.best_titles`) in a text of so many tokens, with its answer."""
        return readable_length(self.model, tokens) is None

    def _is_long(self, request: Request) -> bool:
        """Whether an answer may get longer than the engine's passes read the model alike."""
        return not self.finds_titles(len(request.prompt) + request.max_new_tokens)


def make_engine(model: PreTrainedModel, chat: Chat, retriever: Retriever | None = None) -> "Engine | PlainEngine":
    """What decodes a model: the engine, or transformers' `generate` where the engine cannot.

    Raises:
        ValueError: neither can, or the engine cannot and items are to be retrieved.
    """
    support = decoding_support(model)
    if not support.problem:
        return Engine(model, chat, retriever)
    if support.undecodable:
        raise ValueError(f"{support.undecodable}; take another backbone")
    if retriever is not None:
        raise ValueError(f"{support.problem}; RecLM-ret needs the engine: take another backbone")
    return PlainEngine(model, chat)
