"""Evaluation cases: test users, their list specifications and prompts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from train_utils.catalog import Catalog
from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.specs import SplitSpec
from train_utils.evaluation.title_matching import Named
from train_utils.param.evaluation import HideSeen
from train_utils.prompts.list_spec import ListSpec, check_categories, draw_category, draw_others, list_messages
from train_utils.prompts.messages import Message


@dataclass(frozen=True, slots=True)
class EvalCase:
    """Test user and list specification.

    Attributes:
        user: user id.
        consumed: all items consumed before the target, oldest first.
        shown: items of `consumed` that the prompt shows.
        target: the held-out item.
        spec: the list specification.
    """

    user: str
    consumed: tuple[int, ...]
    shown: tuple[int, ...]
    target: int
    spec: ListSpec

    def hidden(self, hide_seen: HideSeen) -> tuple[int, ...]:
        """Return the consumed items that may not be listed."""
        match hide_seen:
            case "none":
                return ()
            case "visible":
                return self.shown
            case "all":
                return self.consumed


@dataclass(frozen=True)
class Prediction:
    """List of a model or baseline.

    Attributes:
        items: item ids, None for a title that is not in the catalog.
        completion: text of a model that the list was read from.
        prompt: digest of the prompt's tokens, for a model.
        named: titles as an unconstrained model wrote them.
        plain: whether the titles were in plain text, without control tokens.
    """

    items: Sequence[str | None]
    completion: str | None = None
    prompt: str = ""
    named: Sequence[Named] | None = None
    plain: bool = False


def eval_cases(catalog: Catalog, task: EvalTask, split: SplitSpec) -> list[EvalCase]:
    """Return the evaluation cases of the split, or `split.users` of them drawn by seed, in file order.

    Raises:
        ValueError: the split has no user or fewer ones, or the catalog does not fit the task.
    """
    if task.kind == "category":
        check_categories(task.name, catalog)
    users = catalog.split(split.split)
    if not users:
        raise ValueError(
            f"dataset {catalog.name!r} has no user to test, which takes three events; a catalog without users is for "
            "Recommender and cli_serve.py"
        )
    if split.users > len(users):
        raise ValueError(f"`users` {split.users}: the split has {len(users)} users")
    if split.users:
        chosen = set(random.Random(split.seed).sample(range(len(users)), split.users))
        users = [row for i, row in enumerate(users) if i in chosen]
    cases = []
    for user, consumed, target in users:
        shown = consumed[-split.max_history :]
        row = EvalCase(user, consumed, shown, target, _list_spec(user, shown, target, catalog, task, split))
        # No list can be longer than the number of items that are not hidden.
        left = max(1, len(catalog.items) - len(set(row.hidden(split.hide_seen))))
        cases.append(replace(row, spec=replace(row.spec, k=min(row.spec.k, left))))
    return cases


def _list_spec(
    user: str, shown: Sequence[int], target: int, catalog: Catalog, task: EvalTask, split: SplitSpec
) -> ListSpec:
    """Draw the list specification of a user, independent of the other users tested."""
    rng = random.Random(f"{split.seed}/{task.name}/{user}")
    match task.kind:
        case "next_items" | "embedding":
            return ListSpec(split.topk)
        case "item_count":
            return ListSpec(rng.randint(1, split.topk), in_words=True)
        case "category":
            category, inside = draw_category(catalog, target, shown, rng)
            return ListSpec(split.topk, category=category, inside=inside)
        case "ranking":
            others = draw_others(len(catalog.items), split.candidate_num - 1, catalog.sequences[user], rng)
            candidates = [target, *others]
            rng.shuffle(candidates)
            return ListSpec(min(split.topk, len(candidates)), candidates=tuple(candidates))


def messages_of(row: EvalCase, exchange: Sequence[Message], task: EvalTask, split: SplitSpec) -> list[Message]:
    """Return the conversation up to the model's answer; `exchange` precedes the request."""
    return list_messages(
        row.shown,
        row.spec,
        exchange=exchange,
        names_symbols=task.names_symbols,
        marked_history=split.marked_history,
    )
