"""Lists of `/v1/recommend`: the most probable items, or lists drawn from the model's distribution."""

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.item_rules import ItemRules, compile_rules, item_rules
from train_utils.decoding.list_sampling import draw_list
from train_utils.decoding.title_search import Ranked
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.recommender import Recommender
from train_utils.serving.impressions import Placed
from train_utils.serving.remote_scheduler import AnyScheduler

MAX_HISTORY = 10  # newest items that the model sees, unless a request or a variant says otherwise
# Candidates of a draw. With one token per item a pass ranks the whole catalog, and beyond this many the rest has next
# to no probability; titles cost passes of the model, so the best ones must do.
_ITEM_CANDIDATES = 20_000
_TITLE_CANDIDATES = 64
_CANDIDATES_PER_ITEM = 4  # of long lists of titles
_SEED_BITS = 53  # whole numbers that every JSON reader keeps exactly


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """List to make; None leaves a setting to the user's variant, or to the server.

    Attributes:
        history: item ids or titles, oldest first; the user need not be known.
        k: length of the list, which is shorter where fewer items are admissible.
        rules: item rules.
        domain: name of the domain; "" for the server's first.
        max_history: number of newest items that the model sees.
        explore: temperature at which the list is drawn; 0 lists the most probable items.
        seed: seed of the draw; None draws one.
        user: any name of the user, which is hashed; "" for none.
    """

    history: Sequence[str] = ()
    k: int = LIST_LENGTH
    rules: Mapping[str, object] = field(default_factory=dict)
    domain: str = ""
    max_history: int | None = None
    explore: float | None = None
    seed: int | None = None
    user: str = ""


@dataclass(frozen=True)
class ListAnswer:
    """Answer to a `ListRequest`.

    Attributes:
        domain: name of the domain.
        recommendation_id: names the list in feedback.
        variant: name of the user's variant; None without variants.
        items: the items as JSON objects.
    """

    domain: str
    recommendation_id: str
    variant: str | None
    items: list[dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class ListSettings:
    """How a list is made, by the request, its variant and the server.

    Attributes:
        k: length of the list.
        max_history: number of newest items that the model sees.
        prior_weight: weight of the teacher's scores; None for the recommender's.
        explore: temperature of the draw; 0 lists the most probable items.
        seed: seed of the draw; None without one.
    """

    k: int
    max_history: int
    prior_weight: float | None
    explore: float
    seed: int | None


@dataclass(frozen=True)
class MadeList:
    """A list, and what the log says of it.

    Attributes:
        items: the items, by position.
        admissible: number of items that the rules and the history admit.
        rules: the parsed rules.
        history: ids of the history's items.
        candidates: number of items that the list was drawn from; None without a draw.
        greedy: ids of the list without the draw; None without one.
    """

    items: list[Placed]
    admissible: int
    rules: ItemRules
    history: list[str]
    candidates: int | None = None
    greedy: list[str] | None = None


@dataclass(frozen=True)
class _Drawn:
    items: list[Placed]
    candidates: int | None = None
    greedy: list[str] | None = None


_Asked = tuple[list[str], ItemRules, int | None]  # history, rules, seed


def new_seed() -> int:
    """Return a seed that nobody can guess."""
    return secrets.randbits(_SEED_BITS)


def make_list(
    scheduler: AnyScheduler,
    recommender: Recommender,
    catalog: Catalog,
    request: ListRequest,
    settings: ListSettings,
    stop: threading.Event | None = None,
) -> MadeList:
    """Make a list; several callers with the same settings share a batch.

    Args:
        scheduler: runs the model.
        recommender: model and catalog.
        catalog: the catalog.
        request: history and rules.
        settings: how the list is made.
        stop: set when the list is not wanted any more.

    Raises:
        CallerLeft: `stop` was set before the model was asked.
        ValueError: an item is unknown, the rules are invalid, or the model cannot draw lists.
        ConstraintError: the rules admit nothing.
    """
    history = catalog.ids(recommender.indices(request.history))
    rules = item_rules(request.rules)
    trie = recommender.renderer.trie
    assert trie is not None  # the renderer knows the titles of the catalog
    constraint = compile_rules(catalog, trie, replace(rules, seen=(*rules.seen, *history)))

    def made(asked: list[_Asked]) -> list[_Drawn]:
        return _drawn(recommender, asked, settings) if settings.explore else _ranked(recommender, asked, settings)

    key = ("list", id(recommender), replace(settings, seed=None))
    read = min(len(history), settings.max_history)
    drawn = scheduler.call_together(key, made, (history, rules, settings.seed), read, stop)
    return MadeList(drawn.items, int(constraint.admitted.sum()), rules, history, drawn.candidates, drawn.greedy)


def _ranked(recommender: Recommender, asked: list[_Asked], settings: ListSettings) -> list[_Drawn]:
    histories, rules = [history for history, *_ in asked], [rules for _, rules, _ in asked]
    lists = recommender.recommend_each(
        histories, settings.k, rules, max_history=settings.max_history, prior_weight=settings.prior_weight
    )
    return [_Drawn([Placed(item_id=one.id, score=one.score) for one in found]) for found in lists]


def _drawn(recommender: Recommender, asked: list[_Asked], settings: ListSettings) -> list[_Drawn]:
    if recommender.retriever is not None:
        raise ValueError(f"explore is {settings.explore:g}, and RecLM-ret draws no lists; send explore 0")
    if not recommender.engine.searches:
        raise ValueError(f"explore is {settings.explore:g}, and this server's model draws no lists; send explore 0")
    histories, rules = [history for history, *_ in asked], [rules for _, rules, _ in asked]
    requests = recommender.list_requests(
        histories, settings.k, rules, max_history=settings.max_history, prior_weight=settings.prior_weight
    )
    constraints = [request.rules for request in requests if request.rules is not None]
    ranked = recommender.engine.prefill(requests).most_probable(
        constraints, _depth(recommender, constraints, settings.k)
    )
    assert recommender.catalog is not None
    ids = [item.id for item in recommender.catalog.items]
    return [
        _draw(ids, titles, constraint, settings, seed)
        for titles, constraint, (*_, seed) in zip(ranked, constraints, asked, strict=True)
    ]


def _depth(recommender: Recommender, constraints: Sequence[Constraint], k: int) -> int:
    """Return the number of candidates: with one token per item all that are admissible, else the best titles."""
    if recommender.renderer.one_token_codes is None:
        return max(_TITLE_CANDIDATES, _CANDIDATES_PER_ITEM * k)
    return min(_ITEM_CANDIDATES, max(int(constraint.admitted.sum()) for constraint in constraints))


def _draw(
    ids: Sequence[str], titles: Sequence[Ranked], constraint: Constraint, settings: ListSettings, seed: int | None
) -> _Drawn:
    assert seed is not None  # a draw has one
    drawn = draw_list(
        [title.item for title in titles],
        [title.log_probability for title in titles],
        constraint,
        settings.k,
        settings.explore,
        seed,
    )
    items = [
        Placed(item_id=ids[titles[at].item], score=titles[at].log_probability, log_probability=log_probability)
        for at, log_probability in zip(drawn.places, drawn.log_probabilities, strict=True)
    ]
    return _Drawn(items, len(titles), [ids[titles[at].item] for at in drawn.greedy])
