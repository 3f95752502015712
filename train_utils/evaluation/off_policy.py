"""Value of a policy from the log of another one. `python -m train_utils.evaluation.off_policy LOG --target ...`.

The log is that of `cli_serve.py --impressions`. The value is the number of clicks, likes or purchases per list. The
estimators weigh each logged reward by how much more often the target policy shows it: inverse propensity (IPS), its
self-normalized form (SNIPS), and doubly robust (DR). The last line of the output is JSON. See docs/feedback.md.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from train_utils.command import LineParser, number, path_of, run_cli
from train_utils.evaluation.logged_lists import (
    Answer,
    LoggedList,
    greedy_policy,
    logging_policy,
    padded,
    policy_of_file,
    read_lists,
)
from train_utils.impression_files import EVENTS

_FOLDS = 5  # of users: the reward model of a list has not seen its user
_SHRINKAGE = 5.0  # an item in this many lists counts half, the mean of its position the other half
_BLOCK = 2_000_000  # counts of a resampling held at a time (16 MB)
# Below this many lists' worth of information an interval of a bootstrap is too narrow to be believed.
_FEW_LISTS = 50


@dataclass(frozen=True)
class Estimate:
    """Estimate of the value of a policy.

    Attributes:
        value: reward per list.
        ci: 95 % percentile bootstrap interval over users.
        positions: reward at each position.
    """

    value: float
    ci: tuple[float, float]
    positions: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        return {"value": self.value, "ci": list(self.ci), "positions": list(self.positions)}


@dataclass(frozen=True)
class Weights:
    """Importance weights of a log.

    Attributes:
        per_position: float64 [lists, positions], probability of the items up to a position under the target over that
            under the logging policy; with `whole`, of all items at every position.
        per_list: float64 [lists], the weight of whole lists.
    """

    per_position: np.ndarray
    per_list: np.ndarray

    @property
    def effective_size(self) -> float:
        """Effective sample size of whole lists, (sum w)^2 / sum w^2 (Kish 1965)."""
        return effective_size(self.per_list)


def effective_size(weights: np.ndarray) -> float:
    """Return (sum w)^2 / sum w^2; 0 where all weights are."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def importance_weights(lists: Sequence[LoggedList], answers: Sequence[Answer], whole: bool = False) -> Weights:
    """Return the importance weights of logged lists.

    Args:
        lists: the logged lists.
        answers: what the target policy does for each.
        whole: weigh a reward by the whole list, instead of by the items up to its position. Right also where users look
            at later items first, with a larger variance.
    """
    width = max(len(logged.items) for logged in lists)
    ratios = [
        np.cumsum(np.subtract(answer.log_probabilities, logged.log_probabilities))
        for logged, answer in zip(lists, answers, strict=True)
    ]
    per_list = np.exp([ratio[-1] for ratio in ratios])
    if whole:
        return Weights(np.repeat(per_list[:, None], width, axis=1), per_list)
    return Weights(np.exp([np.pad(ratio, (0, width - len(ratio)), mode="edge") for ratio in ratios]), per_list)


def estimates(
    lists: Sequence[LoggedList],
    answers: Sequence[Answer],
    weights: Weights,
    event: str,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate the value of a target policy.

    Args:
        lists: the logged lists.
        answers: what the target policy does for each.
        weights: their importance weights.
        event: what counts as a reward of 1.
        bootstrap: number of resamples of users.
        seed: seed of the resamples.

    Returns:
        "logged", the value of the policy that made the log, "ips", "snips", and "dr" where every answer has a list.
    """
    width = weights.per_position.shape[1]
    rewards = padded([logged.rewards[event] for logged in lists], width)
    w, ones = weights.per_position, np.ones(len(lists))
    users = np.unique([logged.user for logged in lists], return_inverse=True)[1]
    # estimator -> (numerators [lists, positions], denominators [lists, positions or 1]): a mean is a ratio of sums
    parts = {"logged": (rewards, ones[:, None]), "ips": (w * rewards, ones[:, None]), "snips": (w * rewards, w)}
    if all(answer.lists for answer in answers):
        logged_rewards, target_rewards = _modeled_rewards(lists, answers, rewards, users)
        parts["dr"] = target_rewards + w * (rewards - logged_rewards), ones[:, None]
    return {name: _ratio(*part, users, bootstrap, seed) for name, part in parts.items()}


def _ratio(numerators: np.ndarray, denominators: np.ndarray, users: np.ndarray, n: int, seed: int) -> Estimate:
    """Return the sums over positions of ratios of sums over lists, with an interval over users."""

    def by_user(values: np.ndarray) -> np.ndarray:
        sums = np.zeros((users.max() + 1, values.shape[1]))
        np.add.at(sums, users, values)
        return sums

    def ratios(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0)

    above, below = by_user(numerators), by_user(denominators)
    positions = ratios(above.sum(axis=0), below.sum(axis=0))
    rng, n_users, values = np.random.default_rng(seed), len(above), []
    for begin in range(0, n, step := max(1, _BLOCK // n_users)):
        counts = rng.multinomial(n_users, np.full(n_users, 1 / n_users), size=min(step, n - begin))
        values.append(ratios(counts @ above, counts @ below).sum(axis=1))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    return Estimate(float(positions.sum()), (float(low), float(high)), tuple(positions.tolist()))


def _modeled_rewards(
    lists: Sequence[LoggedList], answers: Sequence[Answer], rewards: np.ndarray, users: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict rewards from item and position, for each user by a model that has not seen the user.

    A position has its mean reward, to which an item adds its mean excess over that, shrunk by `_SHRINKAGE` lists.

    Returns:
        logged: float64 [lists, positions], of the logged items.
        target: float64 [lists, positions], of the items that the target policy lists, a mean over its lists.
    """
    logged, target = np.zeros_like(rewards), np.zeros_like(rewards)
    items = [one.items for one in lists]
    numbers = {item: number for number, item in enumerate({item for row in items for item in row})}
    row, at, item = _cells(enumerate(items), numbers)
    # What follows the end of a logged list was never shown.
    of_target = ((n, made[: len(items[n])]) for n, answer in enumerate(answers) for made in answer.lists)
    target_row, target_at, target_item = _cells(of_target, numbers)
    n_lists = np.array([len(answer.lists) for answer in answers])
    for fold in range(_FOLDS):
        unseen = users % _FOLDS == fold
        seen = ~unseen[row]
        n_at = np.bincount(at[seen], minlength=rewards.shape[1])
        mean_at = np.bincount(at[seen], rewards[row[seen], at[seen]], len(n_at)) / np.maximum(n_at, 1)
        excess = rewards[row[seen], at[seen]] - mean_at[at[seen]]
        n_of = np.bincount(item[seen], minlength=len(numbers))
        of_item = np.append(np.bincount(item[seen], excess, len(n_of)) / (n_of + _SHRINKAGE), 0.0)  # -1: never logged
        own = ~seen
        logged[row[own], at[own]] = mean_at[at[own]] + of_item[item[own]]
        own = unseen[target_row]
        predicted = mean_at[target_at[own]] + of_item[target_item[own]]
        np.add.at(target, (target_row[own], target_at[own]), predicted / n_lists[target_row[own]])
    return logged, target


def _cells(
    rows: Iterable[tuple[int, Sequence[str]]], numbers: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return list, position and number of each item of lists, int64 [cells] each; -1 for an item without a number."""
    cells = [(row, at, numbers.get(item, -1)) for row, items in rows for at, item in enumerate(items)]
    row, at, item = np.array(cells, dtype=np.int64).reshape(-1, 3).T
    return row, at, item


# -- warnings ----------------------------------------------------------------------------------------------------------


def support_warnings(lists: Sequence[LoggedList], answers: Sequence[Answer], weights: Weights) -> list[str]:
    """Return why estimates may be wrong although their intervals are narrow, a sentence each."""
    n, warnings = len(lists), []
    fixed = [not logged.is_drawn for logged in lists]
    differs = [is_fixed and weight < 1 for is_fixed, weight in zip(fixed, weights.per_list, strict=True)]
    if any(differs):
        warnings.append(
            f"{sum(fixed)} of {n} lists were not drawn, and the target makes another list for {sum(differs)} of them: "
            "greedy lists are deterministic, so they support only policies that make the same lists. Log with --explore"
        )
    above, below = weights.per_list[:, None], np.ones((n, 1))
    users = np.unique([logged.user for logged in lists], return_inverse=True)[1]
    low, high = _ratio(above, below, users, 1000, 0).ci
    if not low <= 1 <= high:
        warnings.append(
            f"the mean weight is {weights.per_list.mean():.3g} (95 % {low:.3g} to {high:.3g}) and should be 1: the "
            "target makes lists that the log cannot hold, or its probabilities are wrong; values are biased"
        )
    if (size := weights.effective_size) < _FEW_LISTS:
        warnings.append(
            f"the effective sample size is {size:.1f} of {n} lists: intervals are too narrow to be believed; log more "
            "lists, shorter ones, or a policy nearer to the target"
        )
    elif (n_users := int(users.max()) + 1) < _FEW_LISTS:
        warnings.append(
            f"the lists are those of {n_users} users: intervals are over users, and too narrow to be believed; log "
            "those of more"
        )
    return warnings


# -- command -----------------------------------------------------------------------------------------------------------


def report(
    lists: Sequence[LoggedList],
    answers: Sequence[Answer],
    events: Sequence[str],
    *,
    whole: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, object]:
    """Return what the command prints, as a JSON object."""
    weights = importance_weights(lists, answers, whole)
    return {
        "lists": len(lists),
        "users": len({logged.user for logged in lists}),
        "drawn": sum(logged.is_drawn for logged in lists),
        "effective_sample_size": weights.effective_size,
        "effective_sample_size_at": [effective_size(column) for column in weights.per_position.T],
        "largest_weight": float(weights.per_list.max()),
        "lists_of_target": int((weights.per_list > 0).sum()),
        "events": {
            event: {
                name: estimate.to_dict()
                for name, estimate in estimates(lists, answers, weights, event, bootstrap=bootstrap, seed=seed).items()
            }
            for event in events
        },
        "warnings": support_warnings(lists, answers, weights),
    }


def _printed(result: Mapping[str, object]) -> None:
    print(
        f"{result['lists']} lists of {result['users']} users, {result['drawn']} drawn; the target makes "
        f"{result['lists_of_target']} of them; effective sample size {result['effective_sample_size']:.1f}"
    )
    print(f"{'event':11}{'estimator':11}{'per list':>10}{'95 % interval':>22}   at positions")
    events = result["events"]
    assert isinstance(events, dict)
    for event, by_name in events.items():
        for name, estimate in by_name.items():
            low, high = estimate["ci"]
            positions = " ".join(f"{value:.3f}" for value in estimate["positions"][:10])
            print(f"{event:11}{name:11}{estimate['value']:10.4f}{low:12.4f}{high:10.4f}   {positions}")


def main() -> None:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", nargs="+", type=path_of, metavar="LOG", help="folders of --impressions, or their files")
    parser.add_argument(
        "--target",
        default="greedy",
        help="policy to estimate. greedy: the most probable items; logged: the policy of the log itself; else a file "
        "of JSON lines (docs/feedback.md) (default: %(default)s)",
    )
    parser.add_argument("--events", default="click,like,purchase", help="what counts (default: %(default)s)")
    parser.add_argument("--kind", default="list", choices=("list", "chat"), help="(default: %(default)s)")
    parser.add_argument("--domain", default="", help="domain of the lists (default: all)")
    parser.add_argument("--variant", default="", help="variant of the lists (default: all)")
    parser.add_argument(
        "--whole_lists",
        action="store_true",
        help="weigh a reward by its whole list, not by the items up to its position: right also where users look at "
        "later items first, with wider intervals",
    )
    parser.add_argument(
        "--bootstrap", type=number(int, least=100, most=100_000), default=1000, help="resamples (default: %(default)s)"
    )
    parser.add_argument("--seed", type=number(int, least=0), default=0, help="of the resamples (default: %(default)s)")
    options = parser.parse_args()
    events = [event.strip() for event in options.events.split(",")]
    if unknown := sorted(set(events) - {*EVENTS}):
        raise ValueError(f"`events` holds {unknown[0][:80]!r}, wanted some of {','.join(EVENTS)}")
    rejected: Counter[str] = Counter()
    lists = read_lists(options.log, rejected, kind=options.kind, domain=options.domain, variant=options.variant)
    policies = {"greedy": greedy_policy, "logged": logging_policy}
    known = policies.get(options.target)
    if not known and not path_of(options.target).is_file():
        raise ValueError(f"`target` is {options.target[:80]!r}, wanted greedy, logged or a file that exists")
    answers = known(lists) if known else policy_of_file(path_of(options.target), lists)
    result = {"target": options.target} | report(
        lists, answers, events, whole=options.whole_lists, bootstrap=options.bootstrap, seed=options.seed
    )
    for reason, n in rejected.items():
        print(f"note: {n} lines are left out: {reason}")
    _printed(result)
    warnings = result["warnings"]
    assert isinstance(warnings, list)
    for warning in warnings:
        print(f"warning: {warning}")
    print(json.dumps(result | {"left_out": sum(rejected.values())}))


if __name__ == "__main__":
    run_cli(main)
