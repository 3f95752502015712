"""Lists and rewards of an impression log as arrays, and the policies that a log can be asked about."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train_utils.characters import shown
from train_utils.files.json_files import read_json_lines
from train_utils.impression_files import EVENTS, FEEDBACK, read_records

_UNLIKELY = 1e-9  # log-probabilities above 0 by rounding


@dataclass(frozen=True)
class LoggedList:
    """List of a log.

    Attributes:
        recommendation_id: its name.
        user: pseudonym of the user; lists without one are of users of their own.
        items: ids, by position.
        log_probabilities: log-probability of each item at its position, given those before it.
        greedy: ids of the list that the most probable items make.
        rewards: event -> reward at each position, 1 where it happened.
    """

    recommendation_id: str
    user: str
    items: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    greedy: tuple[str, ...]
    rewards: Mapping[str, tuple[float, ...]]

    @property
    def is_drawn(self) -> bool:
        """Whether chance had a part in the list."""
        return any(value < 0 for value in self.log_probabilities)


@dataclass(frozen=True)
class Answer:
    """What a target policy does where a list was logged.

    Attributes:
        log_probabilities: log-probability of each logged item at its position, given those before it; -inf where the
            policy never lists it.
        lists: lists that the policy makes: its one list, or a sample; empty where unknown.
    """

    log_probabilities: tuple[float, ...]
    lists: tuple[tuple[str, ...], ...] = ()


def read_lists(
    paths: Iterable[str | Path], rejected: Counter[str], *, kind: str = "", domain: str = "", variant: str = ""
) -> list[LoggedList]:
    """Read the lists of logs, with the feedback of each.

    Args:
        paths: folders of logs, or files of them.
        rejected: counts what is left out, by reason.
        kind: keep lists of this kind; "" for all, as in the next two.
        domain: keep lists of this domain.
        variant: keep lists of this variant.

    Raises:
        ValueError: there are no such lists, or a folder holds no log.
        OSError: a path cannot be read.
    """
    kept: dict[str, dict[str, object]] = {}
    events: dict[str, set[tuple[object, object]]] = defaultdict(set)
    wanted = {name: value for name, value in (("kind", kind), ("domain", domain), ("variant", variant)) if value}
    n_lists = 0
    for record in read_records(paths, rejected):
        name = str(record.get("recommendation_id"))
        if record["record"] == FEEDBACK:
            events[name].add((str(record.get("item_id")), str(record.get("event"))))
            continue
        n_lists += 1
        if all(record.get(key) == value for key, value in wanted.items()):
            kept[name] = record
    lists = []
    for name, record in kept.items():
        try:
            lists.append(_logged(name, record, events[name]))
        except (KeyError, TypeError, ValueError):
            rejected["a list without items and log-probabilities"] += 1
    if not lists:
        asked = ", ".join(f"{key} {value!r}" for key, value in wanted.items()) or "any kind"
        raise ValueError(f"the log holds {n_lists} lists, and none that can be used is of {asked[:80]}; name another")
    return lists


def _logged(name: str, record: Mapping[str, object], events: set[tuple[object, object]]) -> LoggedList:
    """Return the list of a record. Raises KeyError, TypeError or ValueError for a record of another form."""
    entries = record["items"]
    if not isinstance(entries, list) or not entries:
        raise ValueError("no items")
    items = tuple(str(entry["item_id"]) for entry in entries)
    log_probabilities = _log_probabilities([entry["log_probability"] for entry in entries], len(items))
    if -math.inf in log_probabilities:
        raise ValueError("an item that cannot have been listed")
    greedy = record.get("greedy")
    user = record.get("user")
    return LoggedList(
        name,
        user if isinstance(user, str) else f"list {name}",
        items,
        log_probabilities,
        tuple(map(str, greedy)) if isinstance(greedy, list) else items,
        {event: tuple(float((item, event) in events) for item in items) for event in EVENTS},
    )


def _log_probabilities(values: object, n: int) -> tuple[float, ...]:
    """Return `n` log-probabilities of JSON; null is that of an impossible item. Raises ValueError for anything else."""
    if not isinstance(values, list) or len(values) != n:
        raise ValueError(f"log_probabilities is {shown(values)}, wanted a list of {n}, one per item of the list")
    numbers = [-math.inf if value is None else value for value in values]
    if not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and value <= _UNLIKELY for value in numbers
    ):
        raise ValueError(f"log_probabilities is {shown(values)}, wanted numbers up to 0, and null for impossible items")
    return tuple(min(0.0, float(value)) for value in numbers)


# -- targets -----------------------------------------------------------------------------------------------------------


def always(logged: LoggedList, items: Sequence[str]) -> Answer:
    """Return the answer of a policy that always makes one list."""
    same = (at < len(items) and item == items[at] for at, item in enumerate(logged.items))
    return Answer(tuple(0.0 if equal else -math.inf for equal in same), (tuple(items),))


def logging_policy(lists: Sequence[LoggedList]) -> list[Answer]:
    """Return the answers of the policy that made the log."""
    return [Answer(logged.log_probabilities, (logged.items,)) for logged in lists]


def greedy_policy(lists: Sequence[LoggedList]) -> list[Answer]:
    """Return the answers of the policy that lists the most probable items."""
    return [always(logged, logged.greedy) for logged in lists]


def policy_of_file(path: str | Path, lists: Sequence[LoggedList]) -> list[Answer]:
    """Return the answers of the policy in a file of JSON lines; see docs/feedback.md.

    A line is {"recommendation_id", "items"} of a policy that makes one list, or {"recommendation_id",
    "log_probabilities", "lists"} of one that draws.

    Raises:
        ValueError: a line is of another form, or a list of the log has no line.
        OSError: the file cannot be read.
    """
    by_name = {logged.recommendation_id: logged for logged in lists}
    answers: dict[str, Answer] = {}
    for number, line in read_json_lines(path):
        name = line.get("recommendation_id") if isinstance(line, dict) else None
        if not isinstance(line, dict) or not isinstance(name, str):
            raise ValueError(f"{path} line {number} is {shown(line)}, wanted an object with a recommendation_id")
        if name in by_name:
            try:
                answers[name] = _answer(by_name[name], line)
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {error}") from None
    if missing := [name for name in by_name if name not in answers]:
        raise ValueError(
            f"{path} has no line for {len(missing)} of {len(lists)} lists, such as {missing[0][:80]!r}; add them"
        )
    return [answers[logged.recommendation_id] for logged in lists]


def _answer(logged: LoggedList, line: Mapping[str, object]) -> Answer:
    if "items" in line:
        return always(logged, _ids("items", line["items"]))
    lists = line.get("lists", [])
    if not isinstance(lists, list):
        raise ValueError(f"lists is {shown(lists)}, wanted a list of lists of item ids")
    log_probabilities = _log_probabilities(line.get("log_probabilities"), len(logged.items))
    return Answer(log_probabilities, tuple(_ids("a list", items) for items in lists))


def _ids(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is {shown(value)}, wanted a list of item ids")
    return tuple(value)


# -- arrays ------------------------------------------------------------------------------------------------------------


def padded(rows: Sequence[Sequence[float]], width: int, fill: float = 0.0) -> np.ndarray:
    """Return rows of different lengths as float64 [rows, width], filled up at the right."""
    values = np.full((len(rows), width), fill)
    for row, numbers in zip(values, rows, strict=True):
        row[: len(numbers)] = numbers
    return values
