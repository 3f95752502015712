"""What a sample is about: tasks, the draw of a sample, and what the recommender says of it.

A sample is a pure function of (seed, epoch, index), and of the recommender's answer to its history.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from train_utils.catalog import Catalog
from train_utils.prompts.list_spec import check_categories, draw_category
from train_utils.prompts.templates import ONLY_CATEGORY, WITHOUT_CATEGORY, Template
from train_utils.samples.tasks import WORDINGS, Task, parse_tasks


@dataclass(frozen=True)
class SampleConfig:
    """How samples are drawn (docs/architecture.md, Samples and Loss).

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
class SamplePlan:
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


def trainable_users(catalog: Catalog) -> list[str]:
    """Users with at least two training events, in file order. Raises ValueError when there is none."""
    users = [user for user in catalog.sequences if len(_trained(catalog, user)) >= 2]
    if not users:
        raise ValueError(f"dataset {catalog.name!r} has no user with two training events; nothing can be trained")
    return users


def _trained(catalog: Catalog, user: str) -> Sequence[int]:
    """A user's training events: without the two that are held out, where they are."""
    return catalog.sequences[user][: -2 if catalog.is_tested(user) else None]


def plan_sample(
    catalog: Catalog, users: Sequence[str], config: SampleConfig, n_exchanges: int, epoch: int, index: int
) -> SamplePlan:
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
    plan = SamplePlan(
        task=task,
        draw=draw,
        user=user,
        history=tuple(trained[at - length : at]),
        target=trained[at],
        k=rng.randint(1, config.topk) if lists else 1,
        template=None,
        # Users of a chat name titles in plain words, so some samples do; only marked ones carry choices to learn.
        marked=rng.random() < (0.75 if config.history_weight > 0 else 0.5),
        exchange=rng.randrange(n_exchanges) if beside or chat_only else None,
        exchange_first=rng.random() < 0.5,
    )
    return plan if chat_only else _worded(plan, catalog, rng)


def _worded(plan: SamplePlan, catalog: Catalog, rng: random.Random) -> SamplePlan:
    """The plan with a wording, and a category where the task is about one."""
    wordings = WORDINGS[plan.task.kind]
    if plan.task.kind == "SFTCategory":
        plan = _about_a_category(plan, catalog, rng)
        wordings = ONLY_CATEGORY if plan.wanted else WITHOUT_CATEGORY
    fitting = [wording for wording in wordings if wording.names_symbols == plan.task.names_symbols]
    return replace(plan, template=rng.choice(fitting))


def _about_a_category(plan: SamplePlan, catalog: Catalog, rng: random.Random) -> SamplePlan:
    category, wanted = draw_category(catalog, plan.target, plan.history, rng)
    return replace(plan, category=category, wanted=wanted)


def check_tasks(config: SampleConfig, catalog: Catalog, n_exchanges: int) -> None:
    """Raises ValueError for a task that this catalog or these conversations cannot feed."""
    for task in config.tasks:
        if task.kind == "SFTCategory":
            check_categories(task.name, catalog)
        if task.kind == "ShareChatGPT" and not n_exchanges:
            raise ValueError(f"task {task.name} needs conversations; name a file of them by --share_chat_gpt")
        if task.kind == "SFTSeqRanking" and config.candidate_num < 2:
            raise ValueError(f"--candidate_num is {config.candidate_num}, task {task.name} needs 2 or more")
