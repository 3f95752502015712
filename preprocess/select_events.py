"""Selection and order of events: filters on arrays; every dropped event is counted under one reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from readers.records import Events

DUPLICATE = "same user and item again"


@dataclass(frozen=True)
class Filters:
    """Filters of events and users, applied in the order of the fields, after items without a usable title are dropped.

    Attributes:
        k_core: users and items with fewer events are removed, repeatedly, until none is left; 0 removes none.
        min_events_per_user: users with fewer events are dropped.
        max_events_per_user: number of events that are kept per user; 0 keeps all.
        keep: which of a user's events are kept, "first" or "last".
        users: number of the remaining users to draw without replacement; 0 keeps all.
        seed: seed of the draw.
    """

    k_core: int = 0
    min_events_per_user: int = 1
    max_events_per_user: int = 0
    keep: Literal["first", "last"] = "last"
    users: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k_core", "max_events_per_user", "users", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted 0 or more")
        if self.min_events_per_user < 1:
            raise ValueError(f"min_events_per_user is {self.min_events_per_user}, wanted 1 or more")
        if self.keep not in ("first", "last"):
            raise ValueError(f"keep is {self.keep!r}, wanted 'first' or 'last'")


@dataclass(frozen=True)
class TimeCut:
    """Temporal split.

    Attributes:
        time: time of the latest training event, in the dump's unit.
        is_test: bool [n_user_ids], whether a user is tested.
    """

    time: int
    is_test: np.ndarray


@dataclass(frozen=True)
class Selection:
    """Kept events.

    Attributes:
        rows: int64 [n_kept], indices of events, grouped by user in order of first appearance, oldest first.
        dropped: reason -> number of dropped events.
        dropped_users: reason -> number of users that it left without events.
        cut: the temporal split; None for leave-one-out.
    """

    rows: np.ndarray
    dropped: dict[str, int]
    dropped_users: dict[str, int]
    cut: TimeCut | None = None


def oldest_first(events: Events, rows: np.ndarray) -> np.ndarray:
    """Return `rows` ordered by user (first appearance in the dump), then time, then position in the file."""
    return rows[np.lexsort((rows, events.time[rows], events.user[rows]))]


def first_of_each_pair(events: Events, rows: np.ndarray) -> np.ndarray:
    """Return the oldest event of each (user, item) among ordered `rows`."""
    pairs = events.user[rows].astype(np.int64) * len(events.item_ids) + events.item[rows]
    _, oldest = np.unique(pairs, return_index=True)
    return rows[np.sort(oldest)]


def k_core_of(events: Events, rows: np.ndarray, k: int) -> np.ndarray:
    """Return the largest subset of `rows` in which every user and every item has at least `k` events."""
    while len(rows):
        user, item = events.user[rows], events.item[rows]
        keep = (np.bincount(user)[user] >= k) & (np.bincount(item)[item] >= k)
        if keep.all():
            break
        rows = rows[keep]
    return rows


def rank_in_user(user: np.ndarray) -> np.ndarray:
    """Return the position of each row among its user's rows, from 0.

    Args:
        user: int [n], grouped by user; [5, 5, 9] gives [0, 1, 0].
    """
    starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]]) if len(user) else np.array([], dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(user)])
    return np.arange(len(user)) - np.repeat(starts, lengths)


def cut_users(events: Events, rows: np.ndarray, limit: int, keep: str) -> np.ndarray:
    """Return the first or last `limit` events of each user among ordered `rows`."""
    user = events.user[rows]
    rank = rank_in_user(user)
    if keep == "last":
        rank = np.bincount(user)[user] - 1 - rank
    return rows[rank < limit]


def draw_users(events: Events, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the rows of `count` users, drawn without replacement; all rows when there are at most `count`."""
    present = np.unique(events.user[rows])
    if len(present) <= count:
        return rows
    drawn = np.random.default_rng(seed).choice(present, size=count, replace=False)
    return rows[np.isin(events.user[rows], drawn)]


def time_cut(events: Events, rows: np.ndarray, test_share: float) -> TimeCut:
    """Return the temporal split: its time, and the users with a target after it.

    A test user has an event after the split, the target, and two events up to it, so that validation also precedes it.

    Args:
        events: all events.
        rows: int64 [n], kept events.
        test_share: upper bound on the share of `rows` after the split.

    Raises:
        ValueError: there is no test user.
    """
    time = int(np.sort(events.time[rows])[len(rows) - 1 - int(test_share * len(rows))])
    late = events.time[rows] > time
    before, after = (np.bincount(events.user[rows[part]], minlength=len(events.user_ids)) for part in (~late, late))
    is_test = (before >= 2) & (after > 0)
    if not is_test.any():
        raise ValueError(
            f"test_share {test_share} puts the split at second {time // events.ticks}, and no user has two events up "
            "to it and one after it; take another share, or leave-one-out"
        )
    return TimeCut(time, is_test)


def select_events(
    events: Events, usable_item: np.ndarray, filters: Filters, test_share: float | None = None
) -> Selection:
    """Return the kept events, in order.

    With `test_share` the split is temporal, and applied after the filters, which see all events: a test user's rows end
    with the first event after the split, and other users' rows before the split.

    Args:
        events: all events.
        usable_item: bool [n_item_ids]; False drops all events of an item.
        filters: the filters.
        test_share: upper bound on the share of events after the split; None for leave-one-out.

    Raises:
        ValueError: a temporal split leaves no test user.
    """
    dropped: dict[str, int] = {}
    dropped_users: dict[str, int] = {}

    def note(reason: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        if len(after) < len(before):
            dropped[reason] = len(before) - len(after)
            if lost := len(np.unique(events.user[before])) - len(np.unique(events.user[after])):
                dropped_users[reason] = lost
        return after

    every = np.arange(len(events.time))
    rows = note("item not usable", every, oldest_first(events, every[usable_item[events.item]]))
    rows = note(DUPLICATE, rows, first_of_each_pair(events, rows))
    if filters.k_core:
        rows = note(f"outside the {filters.k_core}-core", rows, k_core_of(events, rows, filters.k_core))
    counts = np.bincount(events.user[rows], minlength=len(events.user_ids))
    enough = rows[counts[events.user[rows]] >= filters.min_events_per_user]
    rows = note(f"user with fewer than {filters.min_events_per_user} events", rows, enough)
    if filters.max_events_per_user:
        cut = cut_users(events, rows, filters.max_events_per_user, filters.keep)
        rows = note(f"not among the {filters.keep} {filters.max_events_per_user} of the user", rows, cut)
    if filters.users:
        rows = note("user not drawn", rows, draw_users(events, rows, filters.users, filters.seed))
    if test_share is None or not len(rows):
        return Selection(rows, dropped, dropped_users)
    cut = time_cut(events, rows, test_share)
    trained = events.time[rows] <= cut.time
    kept = rows[trained | cut.is_test[events.user[rows]]]
    rows = note("after the split, user with fewer than 2 events before it", rows, kept)
    late = events.time[rows] > cut.time
    second_late = late & np.r_[False, late[:-1]] & (rank_in_user(events.user[rows]) > 0)
    rows = note("after the split, after the user's target", rows, rows[~second_late])
    return Selection(rows, dropped, dropped_users, cut)
