"""Reference decoding by `model.generate`, one token per pass.

It is the oracle of the engine, and decodes where the engine cannot.
"""

import copy
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from transformers import LogitsProcessor, PreTrainedModel, StoppingCriteria

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.events import Done, ItemEvent, TextDelta, answer_events
from train_utils.decoding.plain_generate import generate_greedily
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.sampler import sample_tokens
from train_utils.decoding.support import Support, decoding_support, read_plainly
from train_utils.models.backbone import mixed_precision
from train_utils.prompts.renderer import Chat


class _EnoughItems(StoppingCriteria):
    """Stopping criterion: a row has its maximum number of items.

    Args:
        prompt_length: tokens of the padded prompts.
        eoi: id of the control token that closes an item.
        max_items: maximum number of items per row; 0 for no limit.
    """

    def __init__(self, prompt_length: int, eoi: int, max_items: Sequence[int]):
        self.prompt_length, self.eoi = prompt_length, eoi
        self.max_items = torch.tensor([n or 2**31 for n in max_items])

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs) -> torch.BoolTensor:
        items = (input_ids[:, self.prompt_length :] == self.eoi).sum(1)
        return items >= self.max_items.to(items.device)  # type: ignore[return-value]  # PyTorch types it as a Tensor


def generate_reference(
    model: PreTrainedModel,
    chat: Chat,
    requests: Sequence[Request],
    processors: Sequence[LogitsProcessor] | None = None,
    watchers: Sequence[LogitsProcessor] = (),
) -> list[Completion]:
    """Return greedy answers to a left-padded batch.

    Args:
        model: the causal model.
        chat: renderer with the model's tokenizer and the catalog's titles.
        requests: the requests, all with rules.
        processors: logits processors of another implementation, instead of the catalog's own.
        watchers: logits processors that are called last, with the final scores.

    Raises:
        ValueError: a request needs what `generate` does not support: sampling, forced lists or title search.
    """
    rules: list[Constraint] = []
    for request in requests:
        unsupported = (request.sampling.temperature, request.force_items, request.best_titles, request.min_items)
        if any(unsupported) or request.rules is None:
            raise ValueError("the oracle decodes greedily under a catalog; use the engine for anything else")
        rules.append(request.rules)
    if len(requests) > 1 and processors is None and not watchers and decoding_support(model) != Support():
        # Other rows and padding may change how such a model reads a row: learned positions, or dependence on length.
        return [generate_reference(model, chat, [request])[0] for request in requests]
    width = max(len(request.prompt) for request in requests)
    padding = [width - len(request.prompt) for request in requests]
    device = next(model.parameters()).device
    ids = torch.tensor(
        [[chat.end_of_turn] * n + list(r.prompt) for n, r in zip(padding, requests, strict=True)], device=device
    )
    mask = torch.tensor([[0] * n + [1] * (width - n) for n in padding], device=device)
    starts = [
        n + (chat.answer_start(r.prompt) if r.answer_at is None else r.answer_at)
        for n, r in zip(padding, requests, strict=True)
    ]
    own = [CatalogLogitsProcessor(rules, chat.end_of_turn, answer_at=starts)]
    longest = max(request.max_new_tokens for request in requests)
    output = _generate(
        model,
        chat,
        ids,
        mask,
        longest,
        [*(own if processors is None else processors), *watchers],
        _EnoughItems(width, chat.eoi, [request.max_items for request in requests]),
    )
    written = output[:, width:].tolist()
    return [_completion(chat, *entry) for entry in zip(requests, rules, written, strict=True)]


def _generate(
    model: PreTrainedModel,
    chat: Chat,
    ids: torch.Tensor,
    mask: torch.Tensor,
    max_new_tokens: int,
    processors: Sequence[LogitsProcessor],
    criterion: StoppingCriteria,
) -> torch.Tensor:
    """Run `generate_greedily` independently of texts that the model has read before."""
    support = decoding_support(model)
    with _alone(model) if support != Support() else nullcontext():
        if support.max_length is not None:
            # Dynamic RoPE keeps the frequencies of the longest text so far until it reads a short one.
            read_plainly(model, [chat.end_of_turn], [0])
        return generate_greedily(model, ids, mask, max_new_tokens, chat.end_of_turn, processors, [criterion])


_LOCKS: WeakKeyDictionary[PreTrainedModel, threading.RLock] = WeakKeyDictionary()
_LOCKS_GUARD = threading.Lock()


def _alone(model: PreTrainedModel) -> threading.RLock:
    """Return the lock of a model that keeps a state in its layers: one thread generates with it at a time."""
    with _LOCKS_GUARD:
        return _LOCKS.setdefault(model, threading.RLock())


def _completion(chat: Chat, request: Request, rules: Constraint, ids: Sequence[int]) -> Completion:
    """Truncate a row where its request ends, and match its tokens again to collect its items."""
    answer_at = chat.answer_start(request.prompt) if request.answer_at is None else request.answer_at
    matcher = Matcher.from_tokens(rules, request.prompt, chat.end_of_turn, answer_at)
    completion = Completion()
    for token in ids:
        if token == chat.end_of_turn and matcher.free:
            completion.finish = "end"
            break
        item = matcher.accept_token(token)
        completion.ids.append(token)
        if item is not None:
            completion.items.append(item)
            completion.finish = "items" if len(completion.items) == request.max_items else ""
        if not completion.finish and len(completion.ids) >= request.max_new_tokens:
            completion.finish = "length"
        if completion.finish:
            break
    return completion


def answered(completions: list[Completion]) -> list[Completion]:
    """Return the completions, unless all of them failed.

    Raises:
        ConstraintError: every completion has an error; the first is raised.
    """
    errors = [completion.error for completion in completions if completion.error is not None]
    if errors and len(errors) == len(completions):
        raise errors[0]
    return completions


class PlainEngine:
    """Fallback engine: `generate`, one request at a time and one token per pass.

    It serves models that the engine's passes cannot read. Its answers equal those of the engine, but it cannot search
    whole titles.

    Args:
        model: the causal model.
        chat: renderer with the model's tokenizer and the catalog's titles.
        retrieves: whether the model's items are retrieved, which only the engine supports.
    """

    searches: Literal[False] = False

    def __init__(self, model: PreTrainedModel, chat: Chat, retrieves: bool = False):
        self.model, self.chat, self.retrieves = model, chat, retrieves

    def finds_titles(self, tokens: int) -> bool:
        """Return False; see `Engine.finds_titles`."""
        return False

    @torch.inference_mode()
    def last_logits(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the logits after each text, float32 [texts, V], read one by one."""
        return torch.stack([self._last_logits(text) for text in texts])

    def _last_logits(self, text: Sequence[int]) -> torch.Tensor:
        with _alone(self.model), mixed_precision(self.model):
            if decoding_support(self.model).max_length is not None:
                read_plainly(self.model, [self.chat.end_of_turn], [0])  # as in `_generate`
            return read_plainly(self.model, text, range(len(text)))[-1]

    def generate(self, requests: Sequence[Request], reproducible: bool = False) -> list[Completion]:
        """Answer a batch as `Engine.generate` does; every answer is reproducible."""
        return answered([self.complete(request) for request in requests])

    def complete(
        self,
        request: Request,
        stop: threading.Event | None = None,
        on_progress: Callable[[DecodingState | None, Completion], None] = lambda state, answer: None,
    ) -> Completion:
        """Answer one request.

        Args:
            request: the request.
            stop: ends the answer early when it is set.
            on_progress: called with the state and the answer before the first token and after each token.
        """
        answer = Completion()
        try:
            if request.best_titles or (self.retrieves and request.constrained):
                raise ConstraintError(
                    "whole titles are found by the engine alone, which cannot read this model or a "
                    "text of this length; decode greedily"
                )
            driver = _Driver(DecodingState(request, self.chat), answer, stop, on_progress)
        except ConstraintError as error:
            answer.finish, answer.error = "error", error
            on_progress(None, answer)
            return answer
        if not answer.finish:
            device = next(self.model.parameters()).device
            ids = torch.tensor([list(request.prompt)], device=device)
            try:
                with torch.inference_mode():
                    _generate(
                        self.model, self.chat, ids, torch.ones_like(ids), request.max_new_tokens, [driver], driver.ended
                    )
            except ConstraintError as error:
                answer.finish, answer.error = "error", error
            on_progress(driver.state, answer)
        return answer

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[TextDelta | ItemEvent | Done]:
        """Yield the answer to one request as events, as `Engine.stream` does."""
        snapshots: queue.Queue[tuple[DecodingState | None, Completion] | BaseException] = queue.Queue()
        stop = threading.Event() if stop is None else stop

        def on_progress(state: DecodingState | None, answer: Completion) -> None:
            snapshots.put((state, copy.deepcopy(answer)))

        def work() -> None:
            try:
                self.complete(request, stop, on_progress)
            except Exception as error:  # raised again in the thread that reads the events
                snapshots.put(error)

        thread = threading.Thread(target=work, name="plain engine", daemon=True)
        thread.start()
        answer = Completion()

        def go_on() -> DecodingState | None:
            snapshot = snapshots.get()
            if isinstance(snapshot, BaseException):
                raise snapshot
            vars(answer).update(vars(snapshot[1]))
            return snapshot[0]

        try:
            state = go_on()
            yield from answer_events(self.chat, state, answer, go_on)
        finally:
            if not answer.finish:
                stop.set()  # the caller stopped reading
            thread.join()


class _Driver(LogitsProcessor):
    """Logits processor that writes an answer by its state: forced tokens, or tokens sampled as in the engine.

    Args:
        state: state of the answer.
        answer: the completion, extended in place.
        stop: ends the answer early when it is set.
        on_progress: called with the state and the answer before the first token and after each token.
    """

    def __init__(
        self,
        state: DecodingState,
        answer: Completion,
        stop: threading.Event | None,
        on_progress: Callable[[DecodingState, Completion], None],
    ):
        self.state, self.answer, self.stop, self.on_progress = state, answer, stop, on_progress
        self.chat = state.chat
        self._steps, self._score = 0, 0.0
        self._ended = False
        self._write(state.begin())
        self.on_progress(state, answer)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self._steps == len(self.answer.ids):
            point = self.state.choice()
            assert point is not None  # None means a title search, which `complete` rejects
            (sampled,) = sample_tokens(scores.to(torch.promote_types(scores.dtype, torch.float32)), [point])
            self._score += sampled.score
            self._write(self.state.write(sampled.token))
            self.on_progress(self.state, self.answer)
        ended = self._steps == len(self.answer.ids)
        token = self.chat.end_of_turn if ended else self.answer.ids[self._steps]
        self._steps += 1
        forced = torch.full_like(scores, -torch.inf)
        forced[:, token] = 0
        return forced  # type: ignore[return-value]  # PyTorch types it as a Tensor

    def _write(self, tokens: Sequence[int]) -> None:
        self.answer.ids += tokens
        self.answer.finish = self.state.finish
        for item, score, ids in self.state.take_items():
            if list(ids) != self.chat.item_ids(item):
                raise ConstraintError(f"item {item} was written as {list(ids)}, not as the catalog spells it")
            self.answer.items.append(item)
            self.answer.scores.append(self._score if score is None else score)
            self._score = 0.0

    @property
    def ended(self) -> StoppingCriteria:
        return _Ended(self)


class _Ended(StoppingCriteria):
    """Stopping criterion: the answer is finished and written, or the caller stopped it."""

    def __init__(self, driver: _Driver):
        self.driver = driver

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs) -> torch.BoolTensor:
        driver = self.driver
        if driver.stop is not None and driver.stop.is_set() and not driver.answer.finish:
            driver.answer.finish = "stopped"
        over = bool(driver.answer.finish) and (
            driver.answer.finish == "stopped" or driver._steps >= len(driver.answer.ids)
        )
        ended = torch.full((len(input_ids),), over, device=input_ids.device)
        return ended  # type: ignore[return-value]  # PyTorch types it as a Tensor
