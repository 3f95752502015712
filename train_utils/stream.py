"""Samples on their way to the loop: step -> micro-batches, made a window of steps at a time, one window ahead."""

import math
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol

import torch
from tqdm import tqdm

from train_utils.catalog import Catalog
from train_utils.chat import Chat, Message, message
from train_utils.dataset import Choices, Sample, collate
from train_utils.loss import Batch
from train_utils.talks import ShortestSamples, Talk, make_talk
from train_utils.tasks import (
    Plan,
    SampleConfig,
    TeacherList,
    ask_teacher,
    check_tasks,
    plan_sample,
    teacher_queries,
    trainable_users,
)
from train_utils.teacher import Teacher
from train_utils.template import SYSTEM

WINDOW_STEPS = 8
Encode = Callable[[Chat, Choices, Talk, SampleConfig], Sample]


@lru_cache(maxsize=4)
def shuffled(seed: int, epoch: int, n: int) -> Sequence[int]:
    """The order of the `n` samples of an epoch."""
    return random.Random(f"{seed}/{epoch}").sample(range(n), n)


class Source(Protocol):
    """Where conversations come from, by their number in the stream."""

    config: SampleConfig

    def samples(self, epochs: int) -> int:
        """How many there are in so many epochs."""

    def check(self, epochs: int) -> None:
        """Raises ValueError where a sample of so many epochs cannot fit `max_token_length`, before any is made."""

    def talks(self, numbers: Sequence[int]) -> list[Talk]:
        """Those with these numbers, the same ones at every call."""

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        """Asks the recommender, where there is one, all that `talks` of these numbers will ask it."""


class DrawnSamples:
    """Conversations made on the fly: one a user and epoch, completed by the recommender.

    Raises:
        ValueError: a task that the catalogue or the conversations cannot feed; no user with enough events.
    """

    def __init__(self, catalog: Catalog, chat: Chat, teacher: Teacher, exchanges: Sequence[Sequence[Message]],
                 config: SampleConfig):
        self.catalog, self.chat, self.teacher, self.exchanges = catalog, chat, teacher, exchanges
        self.config, self.users = config, trainable_users(catalog)
        self.cut = 0  # samples made so far whose list, candidates or chat exchange were shortened
        check_tasks(config, catalog, len(exchanges))
        if any(task.kind == "ShareChatGPT" for task in config.tasks):
            self.exchanges = self._fitting(exchanges)

    def samples(self, epochs: int) -> int:
        return len(self.users) * epochs

    def check(self, epochs: int) -> None:
        """Draws every sample and measures its shortest form; see `Source.check`."""
        shortest, limit = ShortestSamples(self.catalog, self.chat, self.config), self.config.max_token_length
        found: dict[int, int] = {}
        numbers = tqdm(range(self.samples(epochs)), desc="lengths", unit="sample", mininterval=5, leave=False)
        for plan in (plan for number in numbers for plan in self.plans([number])):
            if (tokens := shortest.too_long(plan)) is not None:
                for item in shortest.items(plan):
                    found[item] = max(tokens, found.get(item, 0))
        if found:
            longest = sorted(found, key=lambda item: -shortest.titles[item])[:5]
            named = ", ".join(f"{self.catalog.items[item].id!r} ({shortest.titles[item]} tokens)" for item in longest)
            raise ValueError(
                f"--max_token_length {limit} is too short for samples of {len(found)} items: the titles of {named} are "
                f"the longest, and a sample has up to {max(found.values())} tokens at the shortest; raise it, or "
                "shorten titles (preprocessing does by --max_title_tokens)")

    def plans_of(self, epoch: int, users: Sequence[int]) -> list[Plan]:
        """Plans of the samples of an epoch, for users by their place in `users`."""
        return [plan_sample(self.catalog, self.users, self.config, len(self.exchanges), epoch, user) for user in users]

    def plans(self, numbers: Sequence[int]) -> list[Plan]:
        """Every epoch has its own order of users."""
        n = len(self.users)
        return [plan for number in numbers for plan in self.plans_of(
            number // n, [shuffled(self.config.seed, number // n, n)[number % n]])]

    def talks(self, numbers: Sequence[int]) -> list[Talk]:
        return self.talks_of(self.plans(numbers))

    def talks_of(self, plans: Sequence[Plan]) -> list[Talk]:
        queries = [teacher_queries(plan, self.config) for plan in plans]
        answers = self._answers(queries)
        talks = [
            # The published exchange beside a request is one question and its answer; a pure chat goes on.
            make_talk(plan, [answers[query] for query in group],
                      () if plan.exchange is None else self.exchanges[plan.exchange][: 2 if plan.template else None],
                      self.catalog, self.chat, self.config)
            for plan, group in zip(plans, queries, strict=True)
        ]
        self.cut += sum(talk.cut for talk in talks)
        return talks

    def _fitting(self, exchanges: Sequence[Sequence[Message]]) -> list[Sequence[Message]]:
        """Those whose first round is a sample that fits."""
        limit, system = self.config.max_token_length, message("system", SYSTEM)
        fitting = [one for one in exchanges if len(self.chat.render([system, *one[:2]], prompt=False).ids) <= limit]
        if not fitting:
            raise ValueError(f"--max_token_length {limit} is too short for every conversation; raise it, or lower "
                             "--max_segment")
        return fitting

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        self._answers([teacher_queries(plan, self.config) for plan in self.plans(numbers)])

    def _answers(self, queries: Sequence[Sequence[tuple[int, ...]]]) -> dict[tuple[int, ...], TeacherList]:
        """The recommender's answer to each history of the groups, from one bulk question."""
        unique = list(dict.fromkeys(query for group in queries for query in group))
        return dict(zip(unique, ask_teacher(self.teacher, self.catalog, unique, self.config), strict=True))


class SampleStream:
    """step -> micro-batches on `device`, made in a thread.

    Within a window samples are sorted by length before they are cut into batches, so little is padding; the
    recommender is asked once a window. With `epochs` nothing is made behind the window of the last step, and that every
    sample can fit is checked first.

    Args:
        encode, apart: how a method makes samples and batches of conversations; see `train_utils.dataset`.
    """

    def __init__(self, source: Source, chat: Chat, encode: Encode, batch_size: int, accumulation: int, pad_id: int,
                 device: torch.device, epochs: int | None = None, apart: bool = False):
        self.source, self.chat, self.encode, self.apart = source, chat, encode, apart
        self.batch_size, self.accumulation, self.pad_id, self.device = batch_size, accumulation, pad_id, device
        self.choices = Choices(chat.tree)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._windows: dict[int, Future[list[list[Batch]]]] = {}
        self._n_windows = math.inf if epochs is None else math.ceil(self.steps(epochs) / WINDOW_STEPS)
        if epochs is not None:
            source.check(epochs)

    def close(self) -> None:
        """Begins no further window."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def steps(self, epochs: int) -> int:
        return math.ceil(self.source.samples(epochs) / (self.batch_size * self.accumulation))

    def __call__(self, step: int) -> list[Batch]:
        window, offset = divmod(step, WINDOW_STEPS)
        for wanted in (window, window + 1):
            if wanted not in self._windows and wanted < self._n_windows:
                self._windows[wanted] = self._pool.submit(self._make_window, wanted)
        self._windows = {w: f for w, f in self._windows.items() if w >= window}
        return [batch.to(self.device) for batch in self._windows[window].result()[offset]]

    def ask_ahead(self) -> None:
        """Asks the recommender all that the `epochs` will ask it, a window at a time."""
        for window in tqdm(range(int(self._n_windows)), desc="teacher", unit="window", mininterval=5):
            self.source.ask_ahead(self._numbers(window))

    def samples(self, numbers: Sequence[int]) -> list[Sample]:
        return [self.encode(self.chat, self.choices, talk, self.source.config) for talk in self.source.talks(numbers)]

    def _numbers(self, window: int) -> range:
        """Numbers of the samples of a window."""
        size = WINDOW_STEPS * self.batch_size * self.accumulation
        return range(window * size, (window + 1) * size)

    def _make_window(self, window: int) -> list[list[Batch]]:
        samples = sorted(self.samples(self._numbers(window)), key=lambda sample: len(sample.ids))
        starts = range(0, len(samples), self.batch_size)
        batches = [collate(samples[at:at + self.batch_size], self.pad_id, self.apart) for at in starts]
        random.Random(f"{self.source.config.seed}/window/{window}").shuffle(batches)
        return [batches[at:at + self.accumulation] for at in range(0, len(batches), self.accumulation)]
