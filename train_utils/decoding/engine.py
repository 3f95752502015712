"""The engine: prompts to completions with items, by constrained decoding of batches.

One forward pass reads every token that is already known. Tokens that the trie forces are emitted with the sampled token
before them (jump forward). The usual separator between two items and the titles that a ranking expects are drafted, and
kept only where plain decoding writes the same tokens. The output equals constrained decoding one token at a time.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from transformers import PreTrainedModel

from train_utils.decoding.drafter import Drafter
from train_utils.decoding.events import Done, ItemEvent, TextDelta, answer_events
from train_utils.decoding.forward import forward, prefill_shared_prefix
from train_utils.decoding.ragged_attention import RaggedCache, use_ragged_attention
from train_utils.decoding.ranked_list import ranked_list
from train_utils.decoding.reference import PlainEngine, answered
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.retriever import Retriever
from train_utils.decoding.running_sequence import Counters, ForwardPlan, RunningSequence
from train_utils.decoding.sampler import SampledToken, sample_tokens
from train_utils.decoding.support import decoding_support, readable_length
from train_utils.decoding.title_finder import NearestVector, TitleFinder, TrieSearch
from train_utils.decoding.title_search import Opening, Ranked, prefill_to_item
from train_utils.models.backbone import precision_of
from train_utils.prompts.renderer import Chat


class RunningBatch:
    """Requests that are decoded together. They may be added at any time and leave when finished.

    Each request is answered as if it were decoded by itself. Engines of one model, for several catalogs, may share a
    batch where titles are searched in the trie; see `Engine.shares_batch`.

    Args:
        engine: the engine that decodes.
        drafts: drafter with its acceptance rates; None shares that of each request's engine.
    """

    def __init__(self, engine: "Engine", drafts: Drafter | None = None):
        self.engine = engine
        self.drafts = drafts
        self.rows: list[RunningSequence] = []
        self.cache = RaggedCache(0)

    @torch.inference_mode()
    def add(self, requests: Sequence[Request], engines: Sequence["Engine"] = ()) -> list[RunningSequence]:
        """Prefill new requests and sample their first tokens.

        If the last turn of a prompt is off the trie, the prompt is not read and its sequence finishes with an error.

        Args:
            requests: the new requests.
            engines: the engine of each request; () for the batch's own.

        Returns:
            The sequence of each request.

        Raises:
            ValueError: an engine cannot share this batch.
        """
        if any(not self.engine.shares_batch(engine) for engine in engines):
            raise ValueError("an engine of another model, or of RecLM-ret, needs a batch of its own")
        new = [
            RunningSequence(
                request,
                engine.chat,
                engine.counters,
                engine.drafts if self.drafts is None else self.drafts,
                engine.finder.always,
            )
            for request, engine in zip(requests, engines or [self.engine] * len(requests), strict=True)
        ]
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
        """Run one forward pass over all sequences."""
        with self.engine.autocast():
            self._pass(self.rows, self.cache)
        _drop_finished(self.rows, self.cache)

    @torch.inference_mode()
    def abort(self, row: RunningSequence) -> None:
        """Remove a sequence before it has finished."""
        if row in self.rows:
            row.out.finish = "stopped"
            _drop_finished(self.rows, self.cache)

    def _pass(self, rows: Sequence[RunningSequence], cache: RaggedCache) -> None:
        """Feed the pending and drafted tokens of every sequence, and write the sampled tokens."""
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
        points = [point for plan in plans for point in plan.points]
        sampled = {i: point for i, point in enumerate(points) if point is not None}
        picks: list[SampledToken | None] = [None] * len(points)
        if sampled:
            indices = list(sampled)
            selected = logits if len(sampled) == len(points) else logits[torch.tensor(indices, device=logits.device)]
            for i, token in zip(indices, sample_tokens(selected, list(sampled.values())), strict=True):
                picks[i] = token
        begin = 0
        for row, plan in zip(rows, plans, strict=True):
            end = begin + len(plan.logit_positions)
            if plan.tokens:
                with row.guarded():
                    row.take(picks[begin:end], plan.drafted, search_states[begin:end])
            begin = end
        self._search(rows, cache)

    @staticmethod
    def _plan(row: RunningSequence) -> ForwardPlan:
        """Return the plan of a sequence; an empty plan if the sequence cannot continue."""
        with row.guarded():
            return row.plan()
        return ForwardPlan([], [], [], [])

    def _search(self, rows: Sequence[RunningSequence], cache: RaggedCache) -> None:
        """Search and write a whole title in each sequence that waits for one in an open item."""
        waiting = [
            (i, row.state.matcher, row.opened)
            for i, row in enumerate(rows)
            if row.opened is not None and row.state is not None
        ]
        if not waiting:
            return
        opened = [i for i, _, _ in waiting]
        asking = [rows[i] for i in opened]
        matchers, search_states = [matcher for _, matcher, _ in waiting], torch.stack([state for *_, state in waiting])
        k = [row.request.best_titles for row in asking]
        lengths = [row.length for row in rows]
        rankings = self.engine.finder.find(cache, lengths, opened, matchers, search_states, k)
        for row, ranked in zip(asking, rankings, strict=True):
            with row.guarded():
                row.take_titles(ranked)


def _drop_finished(rows: list[RunningSequence], cache: RaggedCache) -> None:
    before = len(rows)
    for i in reversed(range(len(rows))):
        if rows[i].finished:
            cache.drop(i)
            rows[i] = rows[-1]
            rows.pop()
    if len(rows) < before:
        cache.shrink(max((row.length for row in rows), default=0))


class Engine:
    """Batched constrained decoding for any Hugging Face causal model, greedy or sampled.

    Args:
        model: the causal model.
        chat: renderer with the model's tokenizer and the catalog's titles, to which the rules of the requests refer.
        retriever: retrieves the items of RecLM-ret by the state that predicts `<SOI>`; None spells titles.

    Attributes:
        searches: whether whole titles can be searched (`Request.best_titles`).
        plain: decodes texts longer than the length up to which the engine's passes equal plain ones; see `Support`.

    Raises:
        ValueError: the engine cannot read the model; `make_engine` falls back to transformers' `generate`.
    """

    searches: Literal[True] = True

    def __init__(self, model: PreTrainedModel, chat: Chat, retriever: Retriever | None = None):
        if problem := decoding_support(model).problem:
            raise ValueError(f"{problem}; `engine` hf decodes it, greedily")
        use_ragged_attention(model)
        self.plain = PlainEngine(model, chat, retrieves=retriever is not None)
        self.finder: TitleFinder = TrieSearch(model) if retriever is None else NearestVector(model, retriever)
        self.model = model
        self.chat = chat
        # Computed once, because it visits all parameters and every pass needs it.
        self.autocast = partial(torch.autocast, **precision_of(model))
        self.counters = Counters()
        self.drafts = Drafter()

    def generate(self, requests: Sequence[Request], reproducible: bool = False) -> list[Completion]:
        """Answer a batch of requests.

        A request that cannot be continued finishes as "error", with the error; the others of its batch are answered.

        Args:
            requests: the requests.
            reproducible: use acceptance rates of drafts from this batch only. Drafts determine the shapes of passes,
                and bf16 rounds differently in other shapes. Decoding is slower, but answers do not depend on earlier
                batches or on other threads.

        Returns:
            A completion per request.

        Raises:
            ConstraintError: no request of the batch could be answered.
        """
        long = [self.is_long(request) for request in requests]
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
        """Yield the answer to one request as events; incomplete characters and items are withheld.

        Args:
            request: the request.
            stop: ends the answer early when it is set.
        """
        if self.is_long(request):
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
        """Prefill prompts up to the first item of a list, from where `rank` can rank any number of times.

        Args:
            requests: the requests, all with the same `idx`.

        Raises:
            ValueError: a text is longer than the engine reads, or the model retrieves its items.
        """
        if self.finder.always:
            raise ValueError("RecLM-ret retrieves items and ranks no titles; call rank without prefill")
        starts = [request.answer_at for request in requests]
        prompts = [request.prompt for request in requests]
        return prefill_to_item(self.model, self.chat, prompts, requests[0].idx, starts)

    def rank(self, requests: Sequence[Request], opening: Opening | None = None) -> list[Completion]:
        """Return the `max_items` most probable items of each request, written as a list, best first.

        Args:
            requests: the requests, all with `max_items` and with the same `idx`.
            opening: result of `prefill` for the same prompts; None prefills them.

        Raises:
            ValueError: as `prefill`.
        """
        if self.finder.always:
            forced = [replace(request, best_titles=request.max_items, force_items=True) for request in requests]
            return self.generate(forced, reproducible=True)
        opening = self.prefill(requests) if opening is None else opening
        depth = max(request.max_items for request in requests)
        rules = [request.rules for request in requests if request.rules is not None]
        if len(rules) < len(requests):
            raise ValueError("a request without rules has no catalog to rank; give each its rules")
        while True:
            ranked = opening.most_probable(rules, depth)
            lists = [self._listed(request, titles) for request, titles in zip(requests, ranked, strict=True)]
            if all(completion.finish or len(titles) < depth for completion, titles in zip(lists, ranked, strict=True)):
                return lists
            depth *= 4  # caps closed titles of a ranking; those after it move up

    def _listed(self, request: Request, titles: Sequence[Ranked]) -> Completion:
        """Return a ranking written as a list; it has no finish where the ranking ends before the list does."""
        return ranked_list(request, [(title.item, title.log_probability) for title in titles], self.chat)

    @torch.inference_mode()
    def last_logits(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the logits after each of one or more texts, float32 or wider [texts, V].

        With a text that is too long for the engine's passes, all are read one by one.
        """
        if not all(self.finds_titles(len(text)) for text in texts):
            return self.plain.last_logits(texts)
        with self.autocast():
            logits = forward(
                self.model, RaggedCache(len(texts)), texts, [0] * len(texts), [[len(t) - 1] for t in texts]
            )
        self.counters.count(passes=1, row_passes=len(texts), tokens_read=sum(map(len, texts)))
        return logits

    def shares_batch(self, other: "Engine") -> bool:
        """Return whether requests of another engine may be decoded in a batch of this one."""
        return other is self or other.model is self.model and not (self.finder.always or other.finder.always)

    def finds_titles(self, tokens: int) -> bool:
        """Return whether whole titles can be searched in a text of `tokens` tokens, answer included."""
        return readable_length(self.model, tokens) is None

    def is_long(self, request: Request) -> bool:
        """Return whether an answer may exceed the length up to which the engine's passes equal plain ones."""
        return not self.finds_titles(len(request.prompt) + request.max_new_tokens)


def make_engine(model: PreTrainedModel, chat: Chat, retriever: Retriever | None = None) -> "Engine | PlainEngine":
    """Return the engine for a model, or a `PlainEngine` if the engine cannot decode the model.

    Args:
        model: the causal model.
        chat: renderer with the model's tokenizer and the catalog's titles.
        retriever: retrieves the items of RecLM-ret; None lets the model spell titles.

    Raises:
        ValueError: neither engine can decode the model, or only `PlainEngine` can and a retriever is given.
    """
    support = decoding_support(model)
    if not support.problem:
        return Engine(model, chat, retriever)
    if support.undecodable:
        raise ValueError(f"{support.undecodable}; take another backbone")
    if retriever is not None:
        raise ValueError(f"{support.problem}; RecLM-ret needs the engine: take another backbone")
    return PlainEngine(model, chat)
