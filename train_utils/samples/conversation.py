"""From the plan of a sample and the recommender's answer to a conversation that can be learned from."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from train_utils.catalog import Catalog
from train_utils.prompts.list_spec import draw_others
from train_utils.prompts.messages import Message, message, numbered
from train_utils.prompts.renderer import Chat, Rendered
from train_utils.prompts.templates import SYSTEM, candidate_parts, fill, history_parts, in_words
from train_utils.samples.plan import SampleConfig, SamplePlan
from train_utils.teacher.protocol import TeacherList

_NEAR = 16  # tokens by which a sample may be longer than its parts


@dataclass(frozen=True)
class Conversation:
    """A conversation to learn from.

    Attributes:
        task: its name, for the log. messages: what is said. rendered: the same as tokens.
        n_history: how many marked items the request begins with; their choices may be learned as well.
        ranked: the recommender's ranking for the answer, of admissible items.
        beginnings: number of history items -> the ranking behind that many of them.
        about: what it came from, for people who read an exported file.
        cut: whether the list, the candidates or the chat exchange were shortened, so that it fits.
    """

    task: str
    messages: tuple[Message, ...]
    rendered: Rendered
    n_history: int = 0
    ranked: TeacherList | None = None
    beginnings: Mapping[int, TeacherList] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be learned: the items of the list, the candidates shown (none: all), the admissible ranking."""

    items: tuple[int, ...]
    candidates: tuple[int, ...]
    ranked: TeacherList


def answer_of(plan: SamplePlan, ranked: TeacherList, catalog: Catalog, config: SampleConfig) -> Target:
    """The true next item, then the teacher's best among those that the request admits, `plan.k` in all.

    A list is shorter where the catalog holds no more outside the history, or the teacher's ranking of a category.

    Raises:
        ValueError: the teacher gave too few items for a request that admits all.
    """
    others = [item for item in ranked.items if item != plan.target and item not in plan.history]
    if plan.task.kind == "SFTSeqRanking":
        return _selection(plan, others, ranked, catalog, config)
    if plan.category:
        members = catalog.categories[plan.category]

        def admits(item: int) -> bool:
            return (item in members) == plan.wanted

        return Target((plan.target, *list(filter(admits, others))[: plan.k - 1]), (), ranked.within(admits))
    there_are = len(catalog.items) - len({plan.target, *plan.history})
    if len(others) < min(plan.k - 1, there_are):
        raise ValueError(
            f"the teacher gave {len(others)} items for user {plan.user!r}, {plan.k - 1} are needed and "
            f"{there_are} outside the history shown are in the catalog"
        )
    return Target((plan.target, *others[: plan.k - 1]), (), ranked)


def _selection(
    plan: SamplePlan, others: Sequence[int], ranked: TeacherList, catalog: Catalog, config: SampleConfig
) -> Target:
    """Candidates: the true next item, some of the teacher's, and items drawn from all that the user never had."""
    rng = random.Random(f"{plan.draw}/candidates")
    room = config.candidate_num - 1
    near = min(len(others), max(min(plan.k - 1, room), room // 2))
    taken = [others[place] for place in sorted(rng.sample(range(len(others)), near))]
    drawn = draw_others(len(catalog.items), room - near, {*catalog.sequences[plan.user], *taken}, rng)
    candidates = [plan.target, *taken, *drawn]
    rng.shuffle(candidates)
    # A drawn item may rank before those taken from the ranking: the answer follows the ranking, not the draw.
    best = [item for item in others if item in candidates]
    return Target((plan.target, *best[: plan.k - 1]), tuple(candidates), ranked.within(candidates.__contains__))


def make_conversation(
    plan: SamplePlan,
    lists: Sequence[TeacherList],
    exchange: Sequence[Message],
    catalog: Catalog,
    chat: Chat,
    config: SampleConfig,
) -> Conversation:
    """The conversation of a plan; `lists` answers `teacher_queries(plan, config)`, `exchange` is the plan's.

    Where it is longer than `max_token_length`, the history loses its oldest items, then the list its last ones, then
    candidates go, then the chat exchange; a chat alone loses its last rounds.

    Raises:
        ValueError: it is too long even so.
    """
    for shorter in _shortenings(plan, lists, exchange, catalog, chat, config):
        rendered = chat.render(shorter.messages, prompt=False)
        if len(rendered.ids) <= config.max_token_length:
            return replace(shorter, rendered=rendered)
    raise ValueError(
        f"a sample of task {plan.task.name} has {len(rendered.ids)} tokens at the shortest, "
        f"--max_token_length allows {config.max_token_length}; raise it"
    )


def not_rendered() -> Rendered:
    return Rendered([], [], [])


def _shortenings(
    plan: SamplePlan,
    lists: Sequence[TeacherList],
    exchange: Sequence[Message],
    catalog: Catalog,
    chat: Chat,
    config: SampleConfig,
) -> Iterator[Conversation]:
    """The whole conversation, then ever shorter ones."""
    if plan.template is None:
        for end in range(len(exchange), 0, -2):
            yield Conversation(plan.task.name, (message("system", SYSTEM), *exchange[:end]), not_rendered())
        return
    answer = answer_of(plan, lists[0], catalog, config)
    beginnings = dict(enumerate(lists[1:], 1))
    for start in range(len(plan.history)):
        yield _talk(plan, start, answer, beginnings, exchange, catalog, config)
    shorter = [replace(answer, items=answer.items[:k]) for k in range(len(answer.items) - 1, 0, -1)]
    shorter += [_with_candidates(answer, n, chat) for n in range(len(answer.candidates) - 1, 1, -1)]
    for one in shorter:
        yield replace(_talk(plan, start, one, beginnings, exchange, catalog, config), cut=True)
    if exchange:
        yield replace(_talk(plan, start, (shorter or [answer])[-1], beginnings, (), catalog, config), cut=True)


def _with_candidates(answer: Target, n: int, chat: Chat) -> Target:
    """The answer's first item, chosen among itself and the shortest titles of the other candidates, `n` in all."""
    first = answer.items[0]
    others = [item for item in answer.candidates if item != first]
    others = sorted(others, key=lambda item: len(chat.title_ids[item]))[: n - 1]
    kept = tuple(item for item in answer.candidates if item == first or item in others)
    return Target((first,), kept, answer.ranked.within(kept.__contains__))


def _talk(
    plan: SamplePlan,
    start: int,
    answer: Target,
    beginnings: Mapping[int, TeacherList],
    exchange: Sequence[Message],
    catalog: Catalog,
    config: SampleConfig,
) -> Conversation:
    """The conversation with the history from `start` on."""
    assert plan.template is not None  # a chat alone asks for nothing
    shown = plan.history[start:]
    asked = message(
        "user",
        *fill(
            plan.template,
            history=history_parts(shown, plan.marked),
            k=in_words(len(answer.items)) if plan.task.kind == "SFTItemCount" else len(answer.items),
            category=plan.category,
            candidates=candidate_parts(answer.candidates, plan.marked),
        ),
    )
    answered = message("assistant", *numbered(answer.items, config.idx))
    rounds = (*exchange, asked, answered) if plan.exchange_first else (asked, answered, *exchange)
    return Conversation(
        plan.task.name,
        (message("system", SYSTEM), *rounds),
        not_rendered(),
        len(shown) * plan.marked,
        answer.ranked,
        # What the teacher ranked behind items that are no longer shown stays what it knows of this user.
        {place - start: one for place, one in beginnings.items() if place > start},
        _about(plan, shown, answer, catalog),
    )


class ShortestSamples:
    """How many tokens the shortest form of a sample has, before the teacher is asked: an item of history, one answered.

    A wording is rendered once; items between control tokens add exactly their titles to it, and those in running text
    nearly so, where the sample itself is rendered once the limit is near.
    """

    def __init__(self, catalog: Catalog, chat: Chat, config: SampleConfig):
        self.catalog, self.chat, self.config = catalog, chat, config
        self.titles = [len(ids) for ids in chat.title_ids]
        self._by_length = sorted(range(len(self.titles)), key=lambda item: -self.titles[item])
        self._around: dict[tuple, int] = {}

    def too_long(self, plan: SamplePlan) -> int | None:
        """The tokens of the shortest form of a plan, where they are more than `max_token_length`."""
        if plan.template is None:
            return None  # conversations that do not fit were left out
        items = self.items(plan)
        key = (plan.template, plan.marked, plan.category)
        if key not in self._around:
            self._around[key] = self._rendered(plan) - sum(self.titles[item] for item in items)
        found = self._around[key] + sum(self.titles[item] for item in items)
        if found + _NEAR > self.config.max_token_length:
            found = self._rendered(plan)
        return found if found > self.config.max_token_length else None

    def items(self, plan: SamplePlan) -> tuple[int, ...]:
        """The items of the shortest form, as often as it writes them."""
        return (plan.history[-1], plan.target, *self._candidates(plan))

    def _candidates(self, plan: SamplePlan) -> tuple[int, ...]:
        """Of a choice the target and the other item of the longest title that may be left as the shortest.

        Of `m` other candidates, whichever they are, the shortest is no longer than the `m`-th longest title.
        """
        if plan.task.kind != "SFTSeqRanking":
            return ()
        config = self.config
        # As many as the teacher's ranking is sure to give; those drawn from the catalog may be none.
        m = max(1, min((config.candidate_num - 1) // 2, config.topk, len(self.titles) - config.max_history - 1))
        others = [item for item in self._by_length[: m + 1] if item != plan.target]
        return (plan.target, *others[:m][-1:])

    def _rendered(self, plan: SamplePlan) -> int:
        answer = Target((plan.target,), self._candidates(plan), TeacherList((), ()))
        talk = _talk(plan, len(plan.history) - 1, answer, {}, (), self.catalog, self.config)
        return len(self.chat.render(talk.messages, prompt=False).ids)


def _about(plan: SamplePlan, shown: Sequence[int], answer: Target, catalog: Catalog) -> dict[str, object]:
    """What the sample is about, in the catalog's ids."""
    told: dict[str, object] = {
        "user": plan.user,
        "history": catalog.ids(shown),
        "target": catalog.items[plan.target].id,
        "k": len(answer.items),
    }
    if plan.category:
        told["only" if plan.wanted else "without"] = plan.category
    if answer.candidates:
        told["candidates"] = catalog.ids(answer.candidates)
    return told
