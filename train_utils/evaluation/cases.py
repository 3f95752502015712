"""What a test user is asked: the split, the wish, the words, and which items keep to the wish."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from train_utils.catalog import Catalog
from train_utils.evaluation.title_matching import Named
from train_utils.param import EvalOptions
from train_utils.prompts.list_spec import Wish, check_categories, draw_category, draw_others
from train_utils.prompts.messages import Message, message
from train_utils.prompts.templates import (
    ONLY_CATEGORY_TEST,
    RANKING_TEST,
    SEQREC_TEST,
    SYSTEM,
    WITHOUT_CATEGORY_TEST,
    candidate_parts,
    fill,
    history_parts,
    in_words,
)


@dataclass(frozen=True, slots=True)
class EvalUser:
    """One user of a split: everything consumed before the target, what of it is shown, the target, and the wish."""

    user: str
    consumed: tuple[int, ...]
    shown: tuple[int, ...]
    target: int
    wish: Wish

    def hidden(self, hide_seen: str) -> tuple[int, ...]:
        return {"none": (), "visible": self.shown, "all": self.consumed}[hide_seen]


@dataclass(frozen=True)
class Answer:
    """A list of item ids, None for a title that is not in the catalogue.

    Attributes:
        completion, prompt: of a model, the text that the list came from, and the digest of the prompt's tokens.
        named: of a model that nothing constrained, each title as written. plain: they stood in plain text, with no
            control symbol.
    """

    items: list[str | None]
    completion: str | None = None
    prompt: str = ""
    named: Sequence[Named] | None = None
    plain: bool = False


def eval_users(catalog: Catalog, options: EvalOptions) -> list[EvalUser]:
    """The users of the split, or `options.users` of them drawn by seed, in file order.

    Raises:
        ValueError: more users than the split has, a history that shows nothing, or a task that the catalogue lacks
            something for.
    """
    if options.SFT_test_task == "SFTTestCategory":
        check_categories(options.SFT_test_task, catalog)
    if options.SFT_test_task == "SFTTestSeqRanking" and not options.topk <= options.candidate_num:
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
        row = EvalUser(user, consumed, shown, target, _wish(user, shown, target, catalog, options))
        # No list can hold more than the catalogue has left.
        left = max(1, len(catalog.items) - len(set(row.hidden(options.hide_seen))))
        found.append(replace(row, wish=replace(row.wish, k=min(row.wish.k, left))))
    return found


def _wish(user: str, shown: Sequence[int], target: int, catalog: Catalog, options: EvalOptions) -> Wish:
    """What a user is asked for: the same whatever other users are tested."""
    rng = random.Random(f"{options.seed}/{options.SFT_test_task}/{user}")
    match options.SFT_test_task:
        case "SFTTestItemCount":
            return Wish(rng.randint(1, options.topk), in_words=True)
        case "SFTTestCategory":
            category, wanted = draw_category(catalog, target, shown, rng)
            return Wish(options.topk, category=category, wanted=wanted)
        case "SFTTestSeqRanking":
            others = draw_others(len(catalog.items), options.candidate_num - 1, catalog.sequences[user], rng)
            candidates = [target, *others]
            rng.shuffle(candidates)
            return Wish(min(options.topk, len(candidates)), candidates=tuple(candidates))
    return Wish(options.topk)


def messages_of(row: EvalUser, exchange: Sequence[Message], options: EvalOptions) -> list[Message]:
    """The conversation up to where the model is to answer; `exchange` stands before the request."""
    wish = row.wish
    wordings = SEQREC_TEST
    if wish.candidates:
        wordings = RANKING_TEST
    elif wish.category:
        wordings = ONLY_CATEGORY_TEST if wish.wanted else WITHOUT_CATEGORY_TEST
    names_symbols = options.use_control_symbol or "-CS" in options.SFT_test_task
    wording = next(template for template in wordings if template.names_symbols == names_symbols)
    asked = fill(
        wording,
        history=history_parts(row.shown, options.marked_history),
        k=in_words(wish.k) if wish.in_words else wish.k,
        category=wish.category,
        candidates=candidate_parts(wish.candidates, options.marked_history),
    )
    return [message("system", SYSTEM), *exchange, message("user", *asked)]
