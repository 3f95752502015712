"""State of one request in a running batch: what the next pass reads, and what the tokens that it decided write."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.drafter import LIKELY_ENOUGH, Drafter
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.sampler import SampledToken, SamplingPoint
from train_utils.prompts.renderer import Chat

_DRAFTED = 24  # maximum number of drafted tokens per sequence and pass


@dataclass
class Counters:
    """Counters of an engine's work.

    Attributes:
        passes: forward passes.
        row_passes: sequences in these passes, summed.
        tokens_read: tokens that the model read.
        tokens: tokens written.
        items: items written.
        drafted: sampling points with a draft.
        accepted: sampling points whose draft was accepted.
        off_catalog: items that are not spelled as in the catalog. It stays 0, because such an item raises an error.
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
        """Add to counters by name, under a lock because several threads may decode with one engine."""
        with self._lock:
            for name, n in more.items():
                setattr(self, name, getattr(self, name) + n)


@dataclass(frozen=True)
class ForwardPlan:
    """Input of one forward pass for one sequence.

    Attributes:
        tokens: ids to feed.
        logit_positions: indices in `tokens` whose logits are used.
        points: sampling point at each of these positions; None where a title is searched.
        drafted: drafted token at every position but the last.
    """

    tokens: list[int]
    logit_positions: list[int]
    points: list[SamplingPoint | None]
    drafted: list[int]


class RunningSequence:
    """One request in a running batch: the completion so far, and its tokens that the model has not read yet.

    Args:
        request: the request.
        chat: renderer of the request's catalog.
        counters: counts of the work.
        drafts: proposes drafts, and learns which are accepted.
        retrieves: whether a model of RecLM-ret retrieves every item; a request without the constraint spells titles.

    Attributes:
        out: the completion so far.
        pending: tokens that the model has not read.
        length: valid tokens in the cache.
        opened: input of the title search of an open item (logits at `<SOI>`, or the state that predicts it); None
            where none is searched.
    """

    def __init__(self, request: Request, chat: Chat, counters: Counters, drafts: Drafter, retrieves: bool):
        self.retrieves = retrieves and request.constrained
        # Retrieval returns whole titles: the nearest at each item, or the n nearest at the first item of a list.
        self.request = request = replace(request, best_titles=request.best_titles or 1) if self.retrieves else request
        self.chat, self.counters, self.drafts = chat, counters, drafts
        self.out = Completion()
        self.pending: list[int] = list(request.prompt)
        self.length = 0
        self.opened: torch.Tensor | None = None
        self.branch_rankings: dict[int, Sequence[int]] = {}  # branch -> tokens, most probable first
        self._score = 0.0
        self.state: DecodingState | None = None
        with self.guarded():
            self.state = DecodingState(request, chat)
            self._written(self.state, self.state.begin())

    @property
    def finished(self) -> bool:
        return bool(self.out.finish)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn a `ConstraintError` into the end of this sequence; the others of its batch continue."""
        try:
            yield
        except ConstraintError as error:
            self.out.finish, self.out.error = "error", error
            self.opened = None

    def plan(self) -> ForwardPlan:
        """Return the input of the next forward pass, with drafts."""
        assert self.state is not None  # a sequence without a state has finished
        ahead, block, probability = self.state.copy(), list(self.pending), 1.0
        drafted: list[int] = []
        # If `<SOI>` is pending itself, retrieval uses the state before it.
        positions, points = [max(0, len(block) - 1 - (self.retrieves and ahead.searches))], [ahead.choice()]
        while not ahead.searches and (draft := self.drafts.propose(ahead, self.branch_rankings)) is not None:
            probability *= draft[1]
            written = ahead.write(draft[0]) if probability >= LIKELY_ENOUGH else []
            if not written or ahead.finish or len(block) + len(written) > len(self.pending) + _DRAFTED:
                break
            block += written
            drafted.append(draft[0])
            positions.append(len(block) - 1)
            points.append(ahead.choice())
        return ForwardPlan(block, positions, points, drafted)

    def take(self, picks: Sequence[SampledToken | None], guesses: Sequence[int], search_states: torch.Tensor) -> None:
        """Write the tokens that a pass decided.

        Args:
            picks: sampled token at each logit position; None where a title is searched.
            guesses: drafted token at every position but the last.
            search_states: input of a title search at each position: logits [positions, V] or states [positions, d].
        """
        state = self.state
        assert state is not None  # a sequence without a state has finished
        self.length += len(self.pending)
        self.pending = []
        self.counters.count(drafted=len(guesses))
        for at, sampled in enumerate(picks):
            if sampled is None:
                self.opened = search_states[at]
                return
            self.drafts.observe(state, self.branch_rankings, sampled.token)
            if sampled.ranked and (branch := state.matcher.branch) is not None:
                self.drafts.store(branch, sampled.ranked, self.branch_rankings)
            self._score += sampled.score
            written = state.write(sampled.token)
            self._written(state, written)
            drafted = not self.finished and at < len(guesses) and sampled.token == guesses[at]
            if drafted:
                # The model has read these tokens already, so they are not pending.
                self.pending = []
                self.length += len(written)
                self.counters.count(accepted=1)
            if self.retrieves and len(written) == 1 and state.searches and not self.finished:
                self.opened = search_states[at]
                return
            if not drafted:
                return

    def take_titles(self, ranked: Sequence[tuple[int, float]]) -> None:
        """Write the first title of a search into the open item, and keep the others for the next items.

        Args:
            ranked: (item, log-probability) of each title, best first.
        """
        assert self.state is not None  # a sequence without a state has finished
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
        """Compare a written item with the catalog itself, independently of the trie."""
        self.counters.count(items=1)
        if list(ids) != self.chat.item_ids(item):
            self.counters.count(off_catalog=1)
            raise ConstraintError(f"item {item} was written as {list(ids)}, which is not how the catalog spells it")
