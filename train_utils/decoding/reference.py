"""The same answers by `model.generate`, one token a pass: what the engine is compared with, and what decodes where the
engine cannot."""

import copy
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

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
from train_utils.prompts.renderer import Chat


class _EnoughItems(StoppingCriteria):
    """Ends a row behind its last wanted item."""

    def __init__(self, prompt_length: int, eoi: int, wanted: Sequence[int]):
        self.prompt_length, self.eoi = prompt_length, eoi
        self.wanted = torch.tensor([n or 2**31 for n in wanted])

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs) -> torch.BoolTensor:
        items = (input_ids[:, self.prompt_length :] == self.eoi).sum(1)
        return items >= self.wanted.to(items.device)  # type: ignore[return-value]  # PyTorch types it as a Tensor


def generate_reference(
    model: PreTrainedModel,
    chat: Chat,
    requests: Sequence[Request],
    processors: Sequence[LogitsProcessor] | None = None,
    watchers: Sequence[LogitsProcessor] = (),
) -> list[Completion]:
    """Greedy answers of a left-padded batch.

    Args:
        processors: a rival's, instead of the catalog's own. watchers: called last, with the scores that decide.

    Raises:
        ValueError: a request for something that `generate` does not do: sampling, forced lists, titles by search.
    """
    rules: list[Constraint] = []
    for request in requests:
        others = (request.sampling.temperature, request.force_items, request.best_titles, request.min_items)
        if any(others) or request.rules is None:
            raise ValueError("the oracle decodes greedily under a catalog; use the engine for anything else")
        rules.append(request.rules)
    if len(requests) > 1 and processors is None and not watchers and decoding_support(model) != Support():
        # Rows and padding beside a row may change how such a model reads it: learned places, a length that counts.
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
    return [_completion(chat, *one) for one in zip(requests, rules, written, strict=True)]


def _generate(
    model: PreTrainedModel,
    chat: Chat,
    ids: torch.Tensor,
    mask: torch.Tensor,
    max_new_tokens: int,
    processors: Sequence[LogitsProcessor],
    criterion: StoppingCriteria,
) -> torch.Tensor:
    """`generate_greedily`, whatever the model has read before."""
    if decoding_support(model).max_length is not None:
        # Dynamic RoPE keeps the frequencies of the longest text so far until it reads a short one.
        read_plainly(model, [chat.end_of_turn], [0])
    return generate_greedily(model, ids, mask, max_new_tokens, chat.end_of_turn, processors, [criterion])


def _completion(chat: Chat, request: Request, rules: Constraint, ids: Sequence[int]) -> Completion:
    """Cuts a row where its request ends, and walks the tree once more for its items."""
    answer_at = chat.answer_start(request.prompt) if request.answer_at is None else request.answer_at
    matcher = Matcher.from_tokens(rules, request.prompt, chat.end_of_turn, answer_at)
    found = Completion()
    for token in ids:
        if token == chat.end_of_turn and matcher.free:
            found.finish = "end"
            break
        item = matcher.accept_token(token)
        found.ids.append(token)
        if item is not None:
            found.items.append(item)
            found.finish = "items" if len(found.items) == request.max_items else ""
        if not found.finish and len(found.ids) >= request.max_new_tokens:
            found.finish = "length"
        if found.finish:
            break
    return found


def answered(completions: list[Completion]) -> list[Completion]:
    """The completions; raises the error of the first where every one of them has one."""
    errors = [one.error for one in completions if one.error is not None]
    if errors and len(errors) == len(completions):
        raise errors[0]
    return completions


class PlainEngine:
    """Decodes as `Engine` does, by `generate`, one request after the other and one token a pass.

    For models that the engine's passes cannot read. It writes what the engine would, but finds no whole titles.
    """

    searches: Literal[False] = False
    retriever = None

    def __init__(self, model: PreTrainedModel, chat: Chat, retrieves: bool = False):
        """retrieves: the model's items are retrieved, which only the engine does."""
        self.model, self.chat, self.retrieves = model, chat, retrieves

    def finds_titles(self, tokens: int) -> bool:
        """See `Engine.finds_titles`."""
        return False

    def generate(self, requests: Sequence[Request], reproducible: bool = False) -> list[Completion]:
        """See `Engine.generate`; every answer is reproducible."""
        return answered([self.complete(request) for request in requests])

    def complete(
        self,
        request: Request,
        stop: threading.Event | None = None,
        told: Callable[[DecodingState | None, Completion], None] = lambda state, answer: None,
    ) -> Completion:
        """One answer. `stop` ends it early; `told` is called before the first token, and behind each."""
        answer = Completion()
        try:
            if request.best_titles or (self.retrieves and request.constrained):
                raise ConstraintError(
                    "whole titles are found by the engine alone, which cannot read this model or a "
                    "text of this length; decode greedily"
                )
            driver = _Driver(DecodingState(request, self.chat), answer, stop, told)
        except ConstraintError as error:
            answer.finish, answer.error = "error", error
            told(None, answer)
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
            told(driver.state, answer)
        return answer

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[TextDelta | ItemEvent | Done]:
        """See `Engine.stream`."""
        snapshots: queue.Queue[tuple[DecodingState | None, Completion] | BaseException] = queue.Queue()
        stop = threading.Event() if stop is None else stop

        def told(state: DecodingState | None, answer: Completion) -> None:
            snapshots.put((state, copy.deepcopy(answer)))

        def work() -> None:
            try:
                self.complete(request, stop, told)
            except Exception as error:  # it belongs to the thread that reads the events
                snapshots.put(error)

        thread = threading.Thread(target=work, name="plain engine", daemon=True)
        thread.start()
        answer = Completion()

        def go_on() -> DecodingState | None:
            found = snapshots.get()
            if isinstance(found, BaseException):
                raise found
            vars(answer).update(vars(found[1]))
            return found[0]

        try:
            state = go_on()
            yield from answer_events(self.chat, state, answer, go_on)
        finally:
            if not answer.finish:
                stop.set()  # nobody reads on
            thread.join()


class _Driver(LogitsProcessor):
    """Writes an answer by its state: what must follow is forced, a choice is taken as the engine takes it."""

    def __init__(
        self,
        state: DecodingState,
        answer: Completion,
        stop: threading.Event | None,
        told: Callable[[DecodingState, Completion], None],
    ):
        self.state, self.answer, self.stop, self.told = state, answer, stop, told
        self.chat = state.chat
        self._steps, self._score = 0, 0.0
        self._ended = False
        self._write(state.begin())
        self.told(state, answer)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self._steps == len(self.answer.ids):
            point = self.state.choice()
            assert point is not None  # None asks for a search of titles, which `complete` refuses
            (found,) = sample_tokens(scores.to(torch.promote_types(scores.dtype, torch.float32)), [point])
            self._score += found.score
            self._write(self.state.write(found.token))
            self.told(self.state, self.answer)
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
    """Ends a row when its answer is finished and written, or somebody stops it."""

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
