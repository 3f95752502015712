"""What a test user is asked: the split, the wish, the words, and which items keep to the wish."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from train_utils.catalog import Catalog
from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.title_matching import Named
from train_utils.param import EvalOptions
from train_utils.prompts.list_spec import ListSpec, check_categories, draw_category, draw_others, list_messages
from train_utils.prompts.messages import Message


@dataclass(frozen=True, slots=True)
class EvalCase:
    """One user of a split: everything consumed before the target, what of it is shown, the target, and the wish."""

    user: str
    consumed: tuple[int, ...]
    shown: tuple[int, ...]
    target: int
    spec: ListSpec

    def hidden(self, hide_seen: str) -> tuple[int, ...]:
        return {"none": (), "visible": self.shown, "all": self.consumed}[hide_seen]


@dataclass(frozen=True)
class Prediction:
    """A list of item ids, None for a title that is not in the catalog.

    Attributes:
        completion, prompt: of a model, the text that the list came from, and the digest of the prompt's tokens.
        named: of a model that nothing constrained, each title as written. plain: they stood in plain text, with no
            control symbol.
    """

    items: Sequence[str | None]
    completion: str | None = None
    prompt: str = ""
    named: Sequence[Named] | None = None
    plain: bool = False


def eval_cases(catalog: Catalog, options: EvalOptions) -> list[EvalCase]:
    """The users of the split, or `options.users` of them drawn by seed, in file order.

    Raises:
        ValueError: more users than the split has, a history that shows nothing, or a task that the catalog lacks
            something for.
    """
    task = EvalTask.parse(options.SFT_test_task)
    if task.kind == "category":
        check_categories(task.name, catalog)
    if task.kind == "ranking" and not options.topk <= options.candidate_num:
        raise ValueError(f"--candidate_num is {options.candidate_num}, wanted --topk ({options.topk}) or more")
    users = catalog.split(options.split)
    if options.users > len(users):
        raise ValueError(f"--users {options.users}: the split has {len(users)} users")
    if options.users:
        chosen = set(random.Random(options.seed).sample(range(len(users)), options.users))
        users = [row for i, row in enumerate(users) if i in chosen]
    found = []
    for user, consumed, target in users:
        shown = consumed[-options.max_history :]
        row = EvalCase(user, consumed, shown, target, _list_spec(user, shown, target, catalog, options))
        # No list can hold more than the catalog has left.
        left = max(1, len(catalog.items) - len(set(row.hidden(options.hide_seen))))
        found.append(replace(row, spec=replace(row.spec, k=min(row.spec.k, left))))
    return found


def _list_spec(user: str, shown: Sequence[int], target: int, catalog: Catalog, options: EvalOptions) -> ListSpec:
    """What a user is asked for: the same whatever other users are tested."""
    task = EvalTask.parse(options.SFT_test_task)
    rng = random.Random(f"{options.seed}/{task.name}/{user}")
    match task.kind:
        case "item_count":
            return ListSpec(rng.randint(1, options.topk), in_words=True)
        case "category":
            category, wanted = draw_category(catalog, target, shown, rng)
            return ListSpec(options.topk, category=category, wanted=wanted)
        case "ranking":
            others = draw_others(len(catalog.items), options.candidate_num - 1, catalog.sequences[user], rng)
            candidates = [target, *others]
            rng.shuffle(candidates)
            return ListSpec(min(options.topk, len(candidates)), candidates=tuple(candidates))
    return ListSpec(options.topk)


def messages_of(row: EvalCase, exchange: Sequence[Message], options: EvalOptions) -> list[Message]:
    """The conversation up to where the model is to answer; `exchange` stands before the request."""
    return list_messages(
        row.shown,
        row.spec,
        exchange=exchange,
        names_symbols=options.use_control_symbol or EvalTask.parse(options.SFT_test_task).names_symbols,
        marked_history=options.marked_history,
    )
