"""Sample plan and teacher lists -> training conversation."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from train_utils.catalog import Catalog
from train_utils.prompts.list_spec import ListSpec, draw_others, request_message
from train_utils.prompts.messages import ItemPart, Message, message, numbered
from train_utils.prompts.reading_line import is_reading
from train_utils.prompts.renderer import Chat, Rendered
from train_utils.prompts.templates import SYSTEM
from train_utils.samples.alignment import alignment_messages
from train_utils.samples.plan import MOST_TOLD, SampleConfig, SamplePlan
from train_utils.samples.reading import reading_messages
from train_utils.samples.spoken import MOST_ASKED, Size, outline, sizes, speak
from train_utils.teacher.protocol import TeacherList

_NEAR = 16  # tokens by which a sample may be longer than its parts
_CONTROL = 2  # control tokens of an item


@dataclass(frozen=True)
class Conversation:
    """Training conversation.

    Attributes:
        task: task name, for the log.
        messages: messages of the conversation, the system message first.
        rendered: the messages as tokens.
        n_history: number of marked items at the start of the request; their choices may be trained as well.
        ranked: the teacher's ranking of admissible items for the answer, the last one where several have items.
        beginnings: n -> the teacher's ranking after the first n history items.
        about: source of the sample, for readers of an exported file.
        cut: whether the list, the candidates or the chat exchanges were shortened to fit.
        text_weight: factor of the text's loss.
        ranked_before: the teacher's ranking for each answer with items before the last one.
    """

    task: str
    messages: tuple[Message, ...]
    rendered: Rendered
    n_history: int = 0
    ranked: TeacherList | None = None
    beginnings: Mapping[int, TeacherList] = field(default_factory=dict)
    about: Mapping[str, object] = field(default_factory=dict)
    cut: bool = False
    text_weight: float = 1.0
    ranked_before: tuple[TeacherList, ...] = ()

    @property
    def admits_any_item(self) -> bool:
        """Whether the answer may list any item outside the history, as its task and its request say."""
        kind = self.task.split("-")[0]
        return kind in ("SFTSeqRec", "SFTItemCount") and self.about.keys().isdisjoint(ListSpec.CONDITIONS)


@dataclass(frozen=True, slots=True)
class Target:
    """Training target.

    Attributes:
        items: the items of the list.
        spec: the list specification, with the candidates shown; its `k` may exceed the number of items.
        ranked: the teacher's ranking of admissible items.
    """

    items: tuple[int, ...]
    spec: ListSpec
    ranked: TeacherList


def answer_of(plan: SamplePlan, ranked: TeacherList, catalog: Catalog, config: SampleConfig) -> Target:
    """Return the true next item and the teacher's best admissible items, `plan.spec.k` in all.

    The list is shorter if the catalog has no more items outside the history, or the teacher ranks no more items of the
    category.

    Raises:
        ValueError: the teacher gave too few items for a request that admits all.
    """
    others = [item for item in ranked.items if item != plan.target and item not in plan.history]
    spec, n_others = plan.spec, plan.spec.k - 1
    if plan.task.kind == "SFTSeqRanking":
        spec = replace(spec, candidates=_draw_candidates(plan, others, catalog, config))
    elif not spec.category:
        there_are = len(catalog.items) - len({plan.target, *plan.history})
        if len(others) < min(n_others, there_are):
            raise ValueError(
                f"the teacher gave {len(others)} items for user {plan.user!r}, {n_others} are needed and "
                f"{there_are} outside the history shown are in the catalog"
            )
    # The list follows the teacher's ranking, not the order of the candidates: a drawn one may rank above the others.
    best = [item for item in others if spec.admits(item, catalog)][:n_others]
    return Target((plan.target, *best), spec, ranked.within(lambda item: spec.admits(item, catalog)))


def _draw_candidates(
    plan: SamplePlan, others: Sequence[int], catalog: Catalog, config: SampleConfig
) -> tuple[int, ...]:
    """Draw candidates: the true next item, some of the teacher's items, and items that the user never consumed.

    Args:
        plan: the sample plan.
        others: items of the teacher's ranking outside the history shown, best first.
        catalog: the catalog of the plan.
        config: sample configuration.
    """
    rng = random.Random(f"{plan.draw}/candidates")
    room = config.candidate_num - 1
    near = min(len(others), max(min(plan.spec.k - 1, room), room // 2))
    taken = [others[position] for position in sorted(rng.sample(range(len(others)), near))]
    drawn = draw_others(len(catalog.items), room - near, {*catalog.sequences[plan.user], *taken}, rng)
    candidates = [plan.target, *taken, *drawn]
    rng.shuffle(candidates)
    return tuple(candidates)


def make_conversation(
    plan: SamplePlan,
    lists: Sequence[TeacherList],
    before: Sequence[Message],
    after: Sequence[Message],
    catalog: Catalog,
    chat: Chat,
    config: SampleConfig,
) -> Conversation:
    """Build the conversation of a plan and shorten it to at most `max_token_length` tokens.

    Shortening drops one of two chat exchanges, then the oldest history items, then the last items of the list, then
    candidates, then the other chat exchange. A pure chat loses its last rounds, a conversation as `sizes` says.

    Args:
        plan: the sample plan.
        lists: the teacher's answers to `teacher_queries(plan, config)`.
        before: the chat exchange before the request, or the pure chat.
        after: the chat exchange after the answer.
        catalog: the catalog of the plan.
        chat: renderer of the messages.
        config: sample configuration.

    Raises:
        ValueError: the shortest form is too long.
    """
    for shorter in _shortenings(plan, lists, before, after, catalog, chat, config):
        rendered = render_sample(shorter.messages, chat, config)
        if len(rendered.ids) <= config.max_token_length:
            return replace(shorter, rendered=rendered)
    raise ValueError(
        f"a sample of task {plan.task.name} has {len(rendered.ids)} tokens at the shortest, "
        f"`max_token_length` allows {config.max_token_length}; raise it"
    )


def render_sample(messages: Sequence[Message], chat: Chat, config: SampleConfig) -> Rendered:
    """Encode the messages of a sample, with no more than `max_answer` tokens of an answer without items at the end.

    An answer that is cut has no end of turn, so that the model does not learn to stop there. How an answer begins
    matters most behind a list: whether it goes on to list.
    """
    rendered = chat.render(messages, prompt=False)
    last = messages[-1]
    is_chat = last.role == "assistant" and all(isinstance(part, str) for part in last.parts)
    if not config.max_answer or not is_chat or is_reading(messages) or not any(rendered.labeled):
        return rendered
    end = len(rendered.labeled)
    while not rendered.labeled[end - 1]:
        end -= 1
    begin = end
    while begin and rendered.labeled[begin - 1]:
        begin -= 1
    if end - begin <= config.max_answer:
        return rendered
    kept = begin + config.max_answer
    return Rendered(rendered.ids[:kept], rendered.labeled[:kept], rendered.items)


def not_rendered() -> Rendered:
    return Rendered([], [], [])


def _shortenings(
    plan: SamplePlan,
    lists: Sequence[TeacherList],
    before: Sequence[Message],
    after: Sequence[Message],
    catalog: Catalog,
    chat: Chat,
    config: SampleConfig,
) -> Iterator[Conversation]:
    """Yield the whole conversation, then shorter and shorter versions."""
    if plan.task.kind == "SFTAlignment":
        messages = alignment_messages(plan, catalog, config.idx)
        yield Conversation(plan.task.name, messages, not_rendered(), about={"target": catalog.items[plan.target].id})
        return
    if plan.task.kind == "SFTReading":
        for step in range(MOST_TOLD):
            messages = reading_messages(plan, before, catalog, step)
            yield Conversation(plan.task.name, messages, not_rendered(), about={"user": plan.user})
        return
    if plan.task.kind == "SFTConversation":
        whole = outline(plan).turns
        for size in sizes(plan):
            yield replace(
                _spoken(plan, size, lists, catalog, config), cut=size.turns < whole or size.items < MOST_ASKED
            )
        return
    if plan.template is None:
        for end in range(len(before), 0, -2):
            yield Conversation(plan.task.name, (message("system", SYSTEM), *before[:end]), not_rendered())
        return
    answer = answer_of(plan, lists[0], catalog, config)
    beginnings = dict(enumerate(lists[1:], 1))
    if before and after:
        yield _from_history(plan, 0, answer, beginnings, before, after, catalog, config)
        before = ()  # one exchange is worth less than history and list
    for start in range(len(plan.history)):
        yield _from_history(plan, start, answer, beginnings, before, after, catalog, config)
    shorter = [replace(answer, items=answer.items[:k]) for k in range(len(answer.items) - 1, 0, -1)]
    shorter += [_with_candidates(answer, n, chat) for n in range(len(answer.spec.candidates) - 1, 1, -1)]
    for shortened in shorter:
        yield replace(_from_history(plan, start, shortened, beginnings, before, after, catalog, config), cut=True)
    if before or after:
        last = (shorter or [answer])[-1]
        yield replace(_from_history(plan, start, last, beginnings, (), (), catalog, config), cut=True)


def _spoken(
    plan: SamplePlan, size: Size, lists: Sequence[TeacherList], catalog: Catalog, config: SampleConfig
) -> Conversation:
    """Build a conversation of several turns, not rendered."""
    spoken = speak(plan, lists, catalog, size, topk=config.topk, depth=config.teacher_depth)
    *before, last = spoken.rankings
    return Conversation(
        plan.task.name,
        (message("system", SYSTEM), *spoken.messages),
        not_rendered(),
        ranked=last,
        ranked_before=tuple(before),
        about={
            "user": plan.user,
            "history": catalog.ids(plan.history[len(plan.history) - size.told :]),
            "target": catalog.items[plan.target].id,
            "turns": spoken.asked,
        },
    )


def _with_candidates(answer: Target, n: int, chat: Chat) -> Target:
    """Reduce the answer to its first item and the candidates to `n`: this item and the shortest other titles."""
    first = answer.items[0]
    others = [item for item in answer.spec.candidates if item != first]
    others = sorted(others, key=lambda item: len(chat.title_ids[item]))[: n - 1]
    kept = tuple(item for item in answer.spec.candidates if item == first or item in others)
    return Target((first,), replace(answer.spec, candidates=kept), answer.ranked.within(kept.__contains__))


def _from_history(
    plan: SamplePlan,
    start: int,
    answer: Target,
    beginnings: Mapping[int, TeacherList],
    before: Sequence[Message],
    after: Sequence[Message],
    catalog: Catalog,
    config: SampleConfig,
) -> Conversation:
    """Build the conversation with the history from `start` on, not rendered."""
    assert plan.template is not None  # a pure chat has no request
    shown = plan.history[start:]
    spec = replace(answer.spec, k=len(answer.items))
    request = request_message(plan.template, shown, spec, plan.marked)
    answered = message("assistant", *numbered(answer.items, config.idx))
    return Conversation(
        plan.task.name,
        (message("system", SYSTEM), *before, request, answered, *after),
        not_rendered(),
        len(shown) * plan.marked,
        answer.ranked,
        # The teacher's rankings still use the items that are no longer shown: they belong to this user's history.
        {length - start: ranking for length, ranking in beginnings.items() if length > start},
        _about(plan, shown, spec, catalog),
    )


class ShortestSamples:
    """Token counts of the shortest forms of samples, computed without the teacher.

    The shortest form has one history item and one answer item. A wording is rendered once. An item between control
    tokens adds exactly the tokens of its title, an item in running text nearly so: close to the limit the sample itself
    is rendered.
    """

    def __init__(self, catalog: Catalog, chat: Chat, config: SampleConfig):
        self.catalog, self.chat, self.config = catalog, chat, config
        self.titles = [len(ids) for ids in chat.title_ids]
        # A history writes an item as its title in running text, or as its bare code.
        named = chat.encode_many([chat.spell(title) for title in chat.titles]) if chat.code_ids else chat.title_ids
        self._named = [len(ids) for ids in named]
        self._bare = [len(ids) for ids in chat.code_ids] or self.titles
        self._by_length = sorted(range(len(self.titles)), key=lambda item: -self.titles[item])
        self._around: dict[tuple, int] = {}

    def too_long(self, plan: SamplePlan) -> int | None:
        """Return the token count of a plan's shortest form if it exceeds `max_token_length`, else None."""
        if plan.task.kind == "SFTAlignment":
            messages = alignment_messages(plan, self.catalog, self.config.idx)
            tokens = len(render_sample(messages, self.chat, self.config).ids)
            return tokens if tokens > self.config.max_token_length else None
        if plan.task.kind in ("SFTConversation", "SFTReading"):
            messages = (
                _spoken(plan, [*sizes(plan)][-1], (), self.catalog, self.config).messages
                if plan.task.kind == "SFTConversation"
                else reading_messages(plan, (), self.catalog, MOST_TOLD - 1)
            )
            # A token has a byte or more, so the text need not be encoded where its bytes fit.
            parts = [part for m in messages[1:] for part in m.parts]
            most = sum(len(part.encode()) for part in parts if isinstance(part, str))
            most += sum(self.titles[part.item] + _CONTROL for part in parts if isinstance(part, ItemPart))
            if self._frame + most + _NEAR <= self.config.max_token_length:
                return None
            tokens = len(render_sample(messages, self.chat, self.config).ids)
            return tokens if tokens > self.config.max_token_length else None
        if plan.template is None:
            return None  # chats that do not fit were left out
        key = (plan.template, plan.marked, plan.spec.category)
        if key not in self._around:
            self._around[key] = self._rendered(plan) - self._tokens(plan)
        tokens = self._around[key] + self._tokens(plan)
        if tokens + _NEAR > self.config.max_token_length:
            tokens = self._rendered(plan)
        return tokens if tokens > self.config.max_token_length else None

    def _tokens(self, plan: SamplePlan) -> int:
        """Return the tokens of the items of the shortest form, without control tokens."""
        shown = self._bare if plan.marked else self._named
        candidates = self._candidates(plan)
        return shown[plan.history[-1]] + self.titles[plan.target] + sum(shown[item] for item in candidates)

    def items(self, plan: SamplePlan) -> tuple[int, ...]:
        """Return the items of the shortest form, each as often as it is written."""
        if plan.task.kind == "SFTAlignment":
            return (plan.target,)
        return (plan.history[-1], plan.target, *self._candidates(plan))

    def _candidates(self, plan: SamplePlan) -> tuple[int, ...]:
        """Return the target and the other candidate of the shortest form of a ranking task, in the worst case.

        Of any `m` other candidates, the shortest title is no longer than the `m`-th longest title of the catalog.
        """
        if plan.task.kind != "SFTSeqRanking":
            return ()
        config = self.config
        # Candidates that the teacher's ranking is sure to give; the catalog may have none to draw.
        m = max(1, min((config.candidate_num - 1) // 2, config.topk, len(self.titles) - config.max_history - 1))
        others = [item for item in self._by_length[: m + 1] if item != plan.target]
        return (plan.target, *others[:m][-1:])

    @cached_property
    def _frame(self) -> int:
        """Tokens of a conversation of one turn without its texts."""
        texts = (message("system", SYSTEM), message("user", "a"), message("assistant", "a"))
        return len(self.chat.render(texts, prompt=False).ids)

    def _rendered(self, plan: SamplePlan) -> int:
        answer = Target((plan.target,), replace(plan.spec, candidates=self._candidates(plan)), TeacherList((), ()))
        conversation = _from_history(plan, len(plan.history) - 1, answer, {}, (), (), self.catalog, self.config)
        return len(self.chat.render(conversation.messages, prompt=False).ids)


def _about(plan: SamplePlan, shown: Sequence[int], spec: ListSpec, catalog: Catalog) -> dict[str, object]:
    """Return a description of the sample with catalog ids."""
    return {
        "user": plan.user,
        "history": catalog.ids(shown),
        "target": catalog.items[plan.target].id,
        **spec.to_dict(catalog),
    }
