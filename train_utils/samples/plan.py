"""Sample plans: the content of samples before the teacher answers.

A sample is a pure function of (seed, epoch, index) and of the teacher's answer to its history.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from train_utils.catalog import Catalog
from train_utils.prompts.list_spec import ListSpec, check_categories, draw_category
from train_utils.prompts.templates import ONLY_CATEGORY, WITHOUT_CATEGORY, Template
from train_utils.samples.tasks import WORDINGS, Task, parse_tasks

MOST_TOLD = 8  # titles that a user tells in a conversation at most; few people type more
_CHATS_READ = 0.2  # share of the reading samples whose message is that of a chat exchange


@dataclass(frozen=True)
class SampleConfig:
    """Configuration of the draw of samples (docs/architecture.md, Samples and Loss).

    Attributes:
        tasks: tasks to draw from, by weight.
        max_history: maximum number of history events shown.
        topk: maximum number of items requested.
        candidate_num: number of candidates of a ranking task.
        list_ratio: share of samples that request a list, half of them of topk items and half of 1..topk; the others
            request 1. Not of conversations.
        idx: whether the list is numbered.
        multi_round_ratio: share of samples of -MR tasks with a chat exchange before the request, after its answer or
            both.
        max_segment: maximum tokens per turn of the exchange.
        max_answer: tokens that are read and trained of an answer without items that ends a conversation; 0 for all.
        decision_weight: weight of the tokens that decide between an item and text against the other text tokens.
        max_token_length: maximum tokens per sample; the oldest history items are dropped until it fits.
        teacher_depth: number of the teacher's items that carry a soft label.
        soft_labels: weight of the teacher's distribution against the item itself at a choice; 0 is the published loss.
        history_weight: weight of the choices inside the shown history; 0 trains the answer only, as published.
        scope_mask_type: 3 counts every title position, 1 leaves forced positions out, 2 leaves forced `<EOI>` out.
        seed: seed of all draws.
    """

    tasks: tuple[Task, ...] = parse_tasks("SFTSeqRec-MR:2,SFTSeqRec-CS-MR")
    max_history: int = 10
    topk: int = 10
    candidate_num: int = 10
    list_ratio: float = 1.0
    idx: bool = False
    multi_round_ratio: float = 0.1
    max_segment: int = 500
    max_answer: int = 0
    decision_weight: float = 1.0
    max_token_length: int = 1024
    teacher_depth: int = 50
    soft_labels: float = 0.0
    history_weight: float = 0.0
    scope_mask_type: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """Content of a sample before the teacher answers.

    Attributes:
        task: the training task.
        draw: seed of the draws after the teacher has answered.
        user: user id.
        history: items shown, oldest first; none in an alignment sample.
        target: the true next item, or the item of an alignment sample.
        spec: what the request asks for; candidates are drawn when the teacher has answered. Unused without a list
            and in conversations.
        template: the wording; None for tasks that ask for no list, and for conversations, which have several.
        marked: whether the history items are enclosed in control tokens.
        before: index of the chat exchange before the request, of the pure chat, or of the message that is read; None
            for no exchange.
        after: index of the chat exchange after the answer; None for no exchange.
    """

    task: Task
    draw: str
    user: str
    history: tuple[int, ...]
    target: int
    spec: ListSpec
    template: Template | None
    marked: bool
    before: int | None
    after: int | None


def trainable_users(catalog: Catalog) -> list[str]:
    """Return the users with at least two training events, in file order.

    Raises:
        ValueError: there is no such user.
    """
    users = [user for user in catalog.sequences if len(_trained(catalog, user)) >= 2]
    if not users:
        raise ValueError(f"dataset {catalog.name!r} has no user with two training events; nothing can be trained")
    return users


def _trained(catalog: Catalog, user: str) -> Sequence[int]:
    """Return a user's training events: without the last two if the user is tested."""
    return catalog.sequences[user][: -2 if catalog.is_tested(user) else None]


def plan_sample(
    catalog: Catalog, users: Sequence[str], config: SampleConfig, n_exchanges: int, epoch: int, index: int
) -> SamplePlan:
    """Draw sample `index` of `epoch`, independent of worker, rank and restart."""
    draw = f"{config.seed}/{epoch}/{index}"
    rng = random.Random(draw)
    (task,) = rng.choices(config.tasks, [task.weight for task in config.tasks])
    user = users[index % len(users)]
    trained = _trained(catalog, user)
    at = rng.randrange(1, len(trained))
    is_conversation = task.kind in ("SFTConversation", "SFTReading")
    longest = min(at, config.max_history, *([MOST_TOLD] if is_conversation else []))
    # Half of the samples show a full window, as the tests do; the others a window of random length. Users who talk
    # tell any number of titles.
    length = longest if rng.random() < 0.5 and not is_conversation else rng.randint(1, longest)
    chat_only = task.kind == "ShareChatGPT"
    has_exchange = task.multi_round and n_exchanges > 0 and rng.random() < config.multi_round_ratio
    sides = rng.choice((("before",), ("after",), ("before", "after"))) if has_exchange else ()
    k = rng.randint(1, config.topk) if task.kind == "SFTItemCount" else _list_length(config, rng)
    if task.kind == "SFTAlignment":
        # Items that nobody consumed have names as well.
        target = rng.randrange(len(catalog.items))
        return SamplePlan(task, draw, user, (), target, ListSpec(1), None, False, None, None)
    if is_conversation:
        history = tuple(trained[at - length : at])
        is_chat = task.kind == "SFTReading" and n_exchanges > 0 and rng.random() < _CHATS_READ
        chat = rng.randrange(n_exchanges) if is_chat else None
        return SamplePlan(task, draw, user, history, trained[at], ListSpec(1), None, False, chat, None)
    plan = SamplePlan(
        task=task,
        draw=draw,
        user=user,
        history=tuple(trained[at - length : at]),
        target=trained[at],
        spec=ListSpec(k, in_words=task.kind == "SFTItemCount"),
        template=None,
        # Chat users write titles in plain text, so some samples do; only marked items carry choices to train.
        marked=rng.random() < (0.75 if config.history_weight > 0 else 0.5),
        before=rng.randrange(n_exchanges) if "before" in sides or chat_only else None,
        after=rng.randrange(n_exchanges) if "after" in sides else None,
    )
    return plan if chat_only else _worded(plan, catalog, rng)


def _list_length(config: SampleConfig, rng: random.Random) -> int:
    """Draw the number of items to request; see `SampleConfig.list_ratio`.

    Half of the lists have the full length, as the tests request it. A tokenizer that splits numbers into digits writes
    10 as 1 and 0: where requests for 10 are rare against those for 1, the model answers them with one item.
    """
    if rng.random() >= config.list_ratio:
        return 1
    return config.topk if rng.random() < 0.5 else rng.randint(1, config.topk)


def _worded(plan: SamplePlan, catalog: Catalog, rng: random.Random) -> SamplePlan:
    """Add a wording to the plan, and a category if the task needs one."""
    wordings = WORDINGS[plan.task.kind]
    if plan.task.kind == "SFTCategory":
        category, inside = draw_category(catalog, plan.target, plan.history, rng)
        plan = replace(plan, spec=replace(plan.spec, category=category, inside=inside))
        wordings = ONLY_CATEGORY if inside else WITHOUT_CATEGORY
    fitting = [wording for wording in wordings if wording.names_symbols == plan.task.names_symbols]
    return replace(plan, template=rng.choice(fitting))


def check_tasks(config: SampleConfig, catalog: Catalog, n_exchanges: int) -> None:
    """Verify that the catalog and the chat exchanges suffice for every task.

    Raises:
        ValueError: a task needs categories, exchanges or candidates that are missing.
    """
    for task in config.tasks:
        if task.kind == "SFTCategory":
            check_categories(task.name, catalog)
        if task.kind == "ShareChatGPT" and not n_exchanges:
            raise ValueError(f"task {task.name} needs conversations; name a file of them by `share_chat_gpt`")
        if task.kind == "SFTSeqRanking" and config.candidate_num < 2:
            raise ValueError(f"`candidate_num` is {config.candidate_num}, task {task.name} needs 2 or more")
