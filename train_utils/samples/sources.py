"""Sources of samples: conversations drawn from the catalog and completed by the teacher."""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from tqdm import tqdm

from train_utils.catalog import Catalog
from train_utils.prompts.messages import Message, message
from train_utils.prompts.renderer import Chat
from train_utils.prompts.templates import SYSTEM
from train_utils.samples.batch import Sample
from train_utils.samples.conversation import Conversation, ShortestSamples, make_conversation, render_sample
from train_utils.samples.encode import ScopeLabels
from train_utils.samples.plan import SampleConfig, SamplePlan, check_tasks, plan_sample, trainable_users
from train_utils.samples.spoken import histories
from train_utils.samples.tasks import NO_LIST
from train_utils.teacher.protocol import Teacher, TeacherList

_DEEP = 500  # items of a ranking from which a conversation takes those of a category and a range


def teacher_queries(plan: SamplePlan, config: SampleConfig) -> list[tuple[int, ...]]:
    """Return the histories to query the teacher with: the whole history, then its prefixes if they are trained too."""
    if plan.task.kind in NO_LIST:
        return []
    if plan.task.kind == "SFTConversation":
        return histories(plan)
    learned = plan.marked and config.history_weight > 0 and config.soft_labels > 0
    return [plan.history, *(plan.history[:end] for end in range(1, len(plan.history)) if learned)]


def ask_teacher(
    teacher: Teacher, catalog: Catalog, histories: Sequence[tuple[int, ...]], config: SampleConfig, least: int = 1
) -> list[TeacherList]:
    """Query the teacher once for many histories, for `least` items or more of each."""
    if not histories:
        return []
    # One item more than the answer needs: the true next item may be among the teacher's. For a catalog hardly larger
    # than a history, request a ranking of all items: the teacher hides the history, so its lists are then shorter.
    n_items, needed = len(catalog.items), config.topk + 1
    left = n_items - config.max_history
    depth = max(1, min(max(config.teacher_depth, needed, least), left if left >= needed else n_items - 1))
    ids, scores = teacher.top_k([catalog.ids(history) for history in histories], depth, scores=True)
    return [TeacherList(tuple(catalog.indices(row)), tuple(p)) for row, p in zip(ids, scores, strict=True)]


Encode = Callable[[Chat, ScopeLabels, Conversation, SampleConfig], Sample]


@lru_cache(maxsize=4)
def shuffled(seed: int, epoch: int, n: int) -> Sequence[int]:
    """Return the order of the `n` samples of an epoch."""
    return random.Random(f"{seed}/{epoch}").sample(range(n), n)


class Source(Protocol):
    """Source of conversations, addressed by their number in the stream."""

    config: SampleConfig

    def samples(self, epochs: int) -> int:
        """Return the number of samples in `epochs` epochs."""

    def tasks(self) -> list[str]:
        """Return the kinds of tasks that the conversations are of, sorted."""

    def check(self, epochs: int) -> None:
        """Verify, before any sample is built, that all samples of `epochs` epochs can fit `max_token_length`.

        Raises:
            ValueError: a sample cannot fit.
        """

    def talks(self, numbers: Sequence[int]) -> list[Conversation]:
        """Return the conversations with these numbers, the same at every call."""

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        """Send the teacher queries, if any, that `talks` will need for these numbers."""


class DrawnSamples:
    """Conversations drawn on the fly, one per user and epoch, completed by the teacher.

    Raises:
        ValueError: a task needs more than the catalog or the exchanges hold, no user has enough events, or no exchange
            fits.
    """

    def __init__(
        self,
        catalog: Catalog,
        chat: Chat,
        teacher: Teacher,
        exchanges: Sequence[Sequence[Message]],
        config: SampleConfig,
    ):
        self.catalog, self.chat, self.teacher, self.exchanges = catalog, chat, teacher, exchanges
        self.config, self.users = config, trainable_users(catalog)
        self.cut = 0  # samples so far whose list, candidates or chat exchange were shortened
        check_tasks(config, catalog, len(exchanges))
        if any(task.kind == "ShareChatGPT" for task in config.tasks):
            self.exchanges = self._fitting(exchanges)

    def samples(self, epochs: int) -> int:
        return len(self.users) * epochs

    def tasks(self) -> list[str]:
        return sorted({task.kind for task in self.config.tasks})

    def check(self, epochs: int) -> None:
        """Draw every sample and measure its shortest form; see `Source.check`."""
        shortest, limit = ShortestSamples(self.catalog, self.chat, self.config), self.config.max_token_length
        needs: dict[int, int] = {}
        numbers = tqdm(range(self.samples(epochs)), desc="lengths", unit="sample", mininterval=5, leave=False)
        for plan in (plan for number in numbers for plan in self.plans([number])):
            if (tokens := shortest.too_long(plan)) is not None:
                for item in shortest.items(plan):
                    needs[item] = max(tokens, needs.get(item, 0))
        if needs:
            longest = sorted(needs, key=lambda item: -shortest.titles[item])[:5]
            named = ", ".join(f"{self.catalog.items[item].id!r} ({shortest.titles[item]} tokens)" for item in longest)
            raise ValueError(
                f"`max_token_length` {limit} is too short for samples of {len(needs)} items: the titles of {named} are "
                f"the longest, and a sample has up to {max(needs.values())} tokens at the shortest; raise it, or "
                "shorten titles (preprocessing does by --max_title_tokens)"
            )

    def plans_of(self, epoch: int, users: Sequence[int]) -> list[SamplePlan]:
        """Draw the plans of an epoch for `users`, given as indices into `self.users`."""
        return [plan_sample(self.catalog, self.users, self.config, len(self.exchanges), epoch, user) for user in users]

    def plans(self, numbers: Sequence[int]) -> list[SamplePlan]:
        """Draw the plans with these numbers. Every epoch has its own order of users."""
        n = len(self.users)
        return [
            plan
            for number in numbers
            for plan in self.plans_of(number // n, [shuffled(self.config.seed, number // n, n)[number % n]])
        ]

    def talks(self, numbers: Sequence[int]) -> list[Conversation]:
        return self.talks_of(self.plans(numbers))

    def talks_of(self, plans: Sequence[SamplePlan]) -> list[Conversation]:
        talks = [
            make_conversation(
                plan,
                answers,
                self._exchange(plan.before, plan),
                self._exchange(plan.after, plan),
                self.catalog,
                self.chat,
                self.config,
            )
            for plan, answers in zip(plans, self._answers(plans), strict=True)
        ]
        self.cut += sum(talk.cut for talk in talks)
        return talks

    def _exchange(self, number: int | None, plan: SamplePlan) -> Sequence[Message]:
        """Return a chat exchange: as published, one round next to a request, all rounds in a pure chat."""
        return () if number is None else self.exchanges[number][: 2 if plan.template else None]

    def _fitting(self, exchanges: Sequence[Sequence[Message]]) -> list[Sequence[Message]]:
        """Return the exchanges whose first round fits as a sample."""
        limit, system = self.config.max_token_length, message("system", SYSTEM)
        fitting = [
            exchange
            for exchange in exchanges
            if len(render_sample([system, *exchange[:2]], self.chat, self.config).ids) <= limit
        ]
        if not fitting:
            raise ValueError(
                f"`max_token_length` {limit} is too short for every conversation; raise it, or lower `max_segment`"
            )
        return fitting

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        self._answers(self.plans(numbers))

    def _answers(self, plans: Sequence[SamplePlan]) -> list[list[TeacherList]]:
        """Return the teacher's answers to the queries of each plan, from one bulk query per depth."""
        queries = [(_least(plan), teacher_queries(plan, self.config)) for plan in plans]
        answers: dict[tuple[int, tuple[int, ...]], TeacherList] = {}
        for least in sorted({least for least, _ in queries}):
            unique = list(dict.fromkeys(query for depth, group in queries if depth == least for query in group))
            ranked = ask_teacher(self.teacher, self.catalog, unique, self.config, least)
            answers |= {(least, query): ranking for query, ranking in zip(unique, ranked, strict=True)}
        return [[answers[least, query] for query in group] for least, group in queries]


def _least(plan: SamplePlan) -> int:
    """Return the number of items that a ranking for a plan should have at least."""
    return _DEEP if plan.task.kind == "SFTConversation" else 1
