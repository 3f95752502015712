"""What a sample is about: tasks, the draw of a sample, and what the recommender says of it.

A sample is a pure function of (seed, epoch, index), and of the recommender's answer to its history.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from train_utils.catalog import Catalog
from train_utils.teacher import Teacher
from train_utils.template import (
    ITEM_COUNT,
    ONLY_CATEGORY,
    RANKING,
    SEQREC,
    WITHOUT_CATEGORY,
    Template,
)

_WORDINGS: Mapping[str, tuple[Template, ...]] = {
    "SFTSeqRec": SEQREC,
    "SFTSeqRanking": RANKING,
    "SFTCategory": ONLY_CATEGORY + WITHOUT_CATEGORY,
    "SFTItemCount": ITEM_COUNT,
    "ShareChatGPT": (),
}
TASK_NAMES = tuple(_WORDINGS)


@dataclass(frozen=True, slots=True)
class Task:
    """One entry of `--SFT_train_tasks`.

    Attributes:
        name: as the flag spells it. kind: one of `TASK_NAMES`. weight: its share of the samples, before normalising.
        names_symbols: the request names the control symbols (-CS).
        multi_round: a chat exchange may stand before or behind (-MR).
    """

    name: str
    kind: str
    weight: float = 1.0
    names_symbols: bool = False
    multi_round: bool = False


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Tasks from `KIND[-CS][-MR][:WEIGHT],...`.

    Raises:
        ValueError: an unknown task, one that stands twice, or a weight that is no positive number.
    """
    tasks = tuple(_task(entry.strip()) for entry in text.split(","))
    names = [task.name for task in tasks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"--SFT_train_tasks names {twice} twice; give it one weight")
    return tasks


def _task(entry: str) -> Task:
    name, _, weight = entry.partition(":")
    kind, *suffixes = name.split("-")
    extra = ("CS", "MR") if kind != "ShareChatGPT" else ()
    if kind not in _WORDINGS or any(s not in extra for s in suffixes) or sorted(set(suffixes)) != suffixes:
        raise ValueError(f"--SFT_train_tasks has {entry!r}, wanted {', '.join(TASK_NAMES[:-1])} (each with -CS, -MR or "
                         "-CS-MR behind it, if wanted) or ShareChatGPT, and :WEIGHT behind any of them")
    try:
        number = float(weight or 1)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"--SFT_train_tasks has {entry!r}, wanted a number above 0 behind the colon")
    return Task(name, kind, number, "CS" in suffixes, "MR" in suffixes)


@dataclass(frozen=True)
class SampleConfig:
    """How samples are drawn (DESIGN sections 5 and 6).

    Attributes:
        tasks: what is asked, by weight.
        max_history: events shown at most. topk: items asked for at most. candidate_num: candidates to select from.
        list_ratio: share of samples that ask for 1..topk items; the others ask for one.
        idx: number the list. multi_round_ratio: share of samples of -MR tasks with a chat exchange before or after.
        max_segment: tokens that a turn of the exchange may have.
        max_token_length: tokens that a sample may have; its history loses its oldest items until it fits.
        teacher_depth: how many of the teacher's items carry a soft label.
        soft_labels: weight of the teacher's distribution against the item itself at a choice; 0 is the published loss.
        history_weight: weight of the choices inside the shown history; 0 trains the answer only, as published.
        scope_mask_type: 3 counts every title position, 1 leaves forced ones out, 2 leaves forced `<EOI>` out.
    """

    tasks: tuple[Task, ...] = parse_tasks("SFTSeqRec-MR:2,SFTSeqRec-CS-MR")
    max_history: int = 10
    topk: int = 10
    candidate_num: int = 10
    list_ratio: float = 1.0
    idx: bool = False
    multi_round_ratio: float = 0.1
    max_segment: int = 500
    max_token_length: int = 1024
    teacher_depth: int = 50
    soft_labels: float = 0.0
    history_weight: float = 0.0
    scope_mask_type: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sample is about, before the teacher is asked.

    Attributes:
        draw: seed of what is drawn once the teacher has answered.
        user, history, target, k: whose it is, the items shown (oldest first), the true next one, how many are asked.
        template: the wording. marked: whether the history stands between control tokens.
        exchange: which chat exchange stands beside the request, or is the sample itself; None for none.
        category: what the answer has to keep to (`wanted`) or to keep out of; "" for anything.
    """

    task: Task
    draw: str
    user: str
    history: tuple[int, ...]
    target: int
    k: int
    template: Template | None
    marked: bool
    exchange: int | None
    exchange_first: bool
    category: str = ""
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class TeacherList:
    """The teacher's ranking for one history: item indices, best first, and their probabilities."""

    items: tuple[int, ...]
    scores: tuple[float, ...]

    def within(self, admits: Callable[[int], bool]) -> "TeacherList":
        kept = [(item, score) for item, score in zip(self.items, self.scores, strict=True) if admits(item)]
        return TeacherList(tuple(item for item, _ in kept), tuple(score for _, score in kept))


def trainable_users(catalog: Catalog) -> list[str]:
    """Users with at least two training events, in file order. Raises ValueError when there is none."""
    users = [user for user in catalog.sequences if len(_trained(catalog, user)) >= 2]
    if not users:
        raise ValueError(f"dataset {catalog.name!r} has no user with two training events; nothing can be trained")
    return users


def _trained(catalog: Catalog, user: str) -> Sequence[int]:
    """A user's training events: without the two that are held out, where they are."""
    return catalog.sequences[user][: -2 if catalog.is_tested(user) else None]


def plan_sample(catalog: Catalog, users: Sequence[str], config: SampleConfig, n_exchanges: int, epoch: int,
                index: int) -> Plan:
    """Draws the sample `index` of `epoch`: the same one whatever the worker, the rank or the restart."""
    draw = f"{config.seed}/{epoch}/{index}"
    rng = random.Random(draw)
    (task,) = rng.choices(config.tasks, [task.weight for task in config.tasks])
    user = users[index % len(users)]
    trained = _trained(catalog, user)
    at = rng.randrange(1, len(trained))
    longest = min(at, config.max_history)
    # Half of the samples show a full window, as the tests do; the others any shorter one.
    length = longest if rng.random() < 0.5 else rng.randint(1, longest)
    chat_only = task.kind == "ShareChatGPT"
    beside = task.multi_round and n_exchanges > 0 and rng.random() < config.multi_round_ratio
    lists = task.kind == "SFTItemCount" or rng.random() < config.list_ratio
    plan = Plan(
        task=task,
        draw=draw,
        user=user,
        history=trained[at - length:at],
        target=trained[at],
        k=rng.randint(1, config.topk) if lists else 1,
        template=None,
        # Users of a chat name titles in plain words, so some samples do; only marked ones carry choices to learn.
        marked=rng.random() < (0.75 if config.history_weight > 0 else 0.5),
        exchange=rng.randrange(n_exchanges) if beside or chat_only else None,
        exchange_first=rng.random() < 0.5,
    )
    return plan if chat_only else _worded(plan, catalog, rng)


def _worded(plan: Plan, catalog: Catalog, rng: random.Random) -> Plan:
    """The plan with a wording, and a category where the task is about one."""
    wordings = _WORDINGS[plan.task.kind]
    if plan.task.kind == "SFTCategory":
        plan = _about_a_category(plan, catalog, rng)
        wordings = ONLY_CATEGORY if plan.wanted else WITHOUT_CATEGORY
    fitting = [wording for wording in wordings if wording.names_symbols == plan.task.names_symbols]
    return replace(plan, template=rng.choice(fitting))


def _about_a_category(plan: Plan, catalog: Catalog, rng: random.Random) -> Plan:
    category, wanted = draw_category(catalog, plan.target, plan.history, rng)
    return replace(plan, category=category, wanted=wanted)


def draw_category(catalog: Catalog, target: int, history: Sequence[int], rng: random.Random) -> tuple[str, bool]:
    """(category, whether it is wanted): one of the target, or one to leave out that the target lacks, of the history's
    where it can."""
    own = sorted(set(catalog.items[target].categories))
    shown = {name for item in history for name in catalog.items[item].categories}
    others = sorted(shown - set(own)) or sorted(set(catalog.categories) - set(own))
    wanted = bool(own) and (not others or rng.random() < 0.5)
    return rng.choice(own if wanted else others), wanted


def draw_others(n_items: int, n: int, taken: Iterable[int], rng: random.Random) -> list[int]:
    """`n` different items outside `taken`; fewer where there are no more."""
    had = set(taken)
    n = min(n, n_items - len(had))
    drawn: list[int] = []
    while len(drawn) < n:
        item = rng.randrange(n_items)
        if item not in had:
            had.add(item)
            drawn.append(item)
    return drawn


def check_tasks(config: SampleConfig, catalog: Catalog, n_exchanges: int) -> None:
    """Raises ValueError for a task that this catalogue or these conversations cannot feed."""
    for task in config.tasks:
        if task.kind == "SFTCategory":
            check_categories(task.name, catalog)
        if task.kind == "ShareChatGPT" and not n_exchanges:
            raise ValueError(f"task {task.name} needs conversations; name a file of them by --share_chat_gpt")
        if task.kind == "SFTSeqRanking" and config.candidate_num < 2:
            raise ValueError(f"--candidate_num is {config.candidate_num}, task {task.name} needs 2 or more")


def check_categories(task: str, catalog: Catalog) -> None:
    """Raises ValueError where nothing could be asked for or left out."""
    if len(catalog.categories) < 2:
        raise ValueError(f"task {task} needs items of two or more categories, {catalog.name!r} has "
                         f"{len(catalog.categories)}; leave it out")


def teacher_queries(plan: Plan, config: SampleConfig) -> list[tuple[int, ...]]:
    """The histories to ask the teacher about: the whole one, then its beginnings where those are trained too."""
    if plan.task.kind == "ShareChatGPT":
        return []
    learned = plan.marked and config.history_weight > 0 and config.soft_labels > 0
    return [plan.history, *(plan.history[:end] for end in range(1, len(plan.history)) if learned)]


def ask_teacher(teacher: Teacher, catalog: Catalog, histories: Sequence[tuple[int, ...]],
                config: SampleConfig) -> list[TeacherList]:
    """One bulk question for many histories."""
    if not histories:
        return []
    # One more than the answer needs: the true next item may be among the teacher's. A catalogue hardly larger than a
    # history is asked for whole: what a history shows is hidden from its list, which is then shorter.
    n_items, needed = len(catalog.items), config.topk + 1
    left = n_items - config.max_history
    depth = max(1, min(max(config.teacher_depth, needed), left if left >= needed else n_items - 1))
    ids, scores = teacher.top_k([catalog.ids(history) for history in histories], depth, scores=True)
    return [TeacherList(tuple(catalog.indices(row)), tuple(p)) for row, p in zip(ids, scores, strict=True)]
