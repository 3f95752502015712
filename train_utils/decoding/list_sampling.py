"""Lists drawn from a ranking without replacement (Plackett-Luce), with the exact probability of each draw. NumPy only.

At each position an item is drawn with a probability that is proportional to exp(score / temperature) among the
candidates that are admissible there. Adding Gumbel noise to score / temperature once and taking the best admissible
candidate at each position draws from this distribution: which candidates are admissible depends on the items listed
before, and not on the noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from train_utils.constraint.constraint import Constraint


@dataclass(frozen=True)
class DrawnList:
    """A list that was drawn.

    Attributes:
        places: index of each item among the candidates.
        log_probabilities: log-probability of each draw, given the draws before it; their sum is that of the list.
        greedy: the list without noise, as indices among the candidates.
    """

    places: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    greedy: tuple[int, ...]


def draw_list(
    items: Sequence[int], scores: Sequence[float], constraint: Constraint, k: int, temperature: float, seed: int
) -> DrawnList:
    """Draw a list from candidates.

    Args:
        items: item indices of the candidates, all admissible in an empty list.
        scores: log-probability of each candidate, finite.
        constraint: limits how many items of a group the list may hold.
        k: length of the list, which is shorter where fewer candidates are admissible.
        temperature: above 0; 1 draws from the model's own distribution, less is nearer to the greedy list.
        seed: the draw depends on it and on the arguments alone.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, wanted more than 0")
    of_candidates = np.asarray(items, dtype=np.int64)
    logits = np.asarray(scores, dtype=np.float64) / temperature
    log_probabilities: list[float] = []

    def note(place: int, admissible: np.ndarray) -> None:
        log_probabilities.append(min(0.0, float(logits[place] - np.logaddexp.reduce(logits[admissible]))))

    noisy = logits + np.random.default_rng(seed).gumbel(size=len(logits))
    places = _best_first(noisy, of_candidates, constraint, k, note)
    return DrawnList(places, tuple(log_probabilities), _best_first(logits, of_candidates, constraint, k))


def _best_first(
    keys: np.ndarray,
    items: np.ndarray,
    constraint: Constraint,
    k: int,
    note: Callable[[int, np.ndarray], None] = lambda place, admissible: None,
) -> tuple[int, ...]:
    """Return the indices of the `k` greatest keys, greatest first, under the limits of the constraint.

    `note` gets each index and the candidates that were admissible with it, bool [candidates].
    """
    unlisted = np.ones(len(items), dtype=bool)
    places: list[int] = []
    for _ in range(k):
        capped = constraint.capped(constraint.full_groups(int(items[place]) for place in places))
        admissible = unlisted & capped.admitted[items]
        if not admissible.any():
            break
        place = int(np.where(admissible, keys, -np.inf).argmax())
        note(place, admissible)
        places.append(place)
        unlisted[place] = False
    return tuple(places)
