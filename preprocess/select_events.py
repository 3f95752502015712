"""Selection and order of events: filters on arrays; every dropped event is counted under one reason."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
from readers.records import Events

DUPLICATE = "same user and item again"


@dataclass(frozen=True)
class Filters:
    """Filters of events and users, applied in the order of the fields, after items without a usable title are dropped.

    Attributes:
        min_rating: events with a lower rating, or with none, are dropped; None keeps all.
        keep_duplicates: whether a user may have several events of an item; else the oldest one is kept.
        ties: order of a user's events of one time: "file order", or "hashed" ids, which no order of the file decides.
        k_core: users and items with fewer events are removed, repeatedly, until none is left; 0 removes none.
        min_events_per_user: users with fewer events are dropped.
        max_events_per_user: number of events that are kept per user; 0 keeps all.
        keep: which of a user's events are kept, "first" or "last".
        users: number of the remaining users to draw; 0 keeps all.
        with_replacement: whether users are drawn with replacement, as published, which gives fewer distinct users.
        seed: seed of the draw, and of hashed ties.
    """

    min_rating: float | None = None
    keep_duplicates: bool = False
    ties: Literal["file order", "hashed"] = "file order"
    k_core: int = 0
    min_events_per_user: int = 1
    max_events_per_user: int = 0
    keep: Literal["first", "last"] = "last"
    users: int = 0
    with_replacement: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k_core", "max_events_per_user", "users", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted 0 or more")
        if self.min_events_per_user < 1:
            raise ValueError(f"min_events_per_user is {self.min_events_per_user}, wanted 1 or more")
        if self.ties not in ("file order", "hashed"):
            raise ValueError(f"ties is {self.ties!r}, wanted 'file order' or 'hashed'")
        if self.keep not in ("first", "last"):
            raise ValueError(f"keep is {self.keep!r}, wanted 'first' or 'last'")


@dataclass(frozen=True)
class Cuts:
    """Moments of a temporal split, in milliseconds since 1970; an event at a moment is after it.

    Attributes:
        name: their name.
        test: test targets are after it.
        valid: training events are before it, and validation targets between the two; None for `test`.
    """

    name: str
    test: int
    valid: int | None = None


@dataclass(frozen=True)
class TimeCut:
    """Temporal split.

    Attributes:
        time: time of the latest training event, in the dump's unit.
        is_test: bool [n_user_ids], whether a user is tested.
        valid_time: time of the latest validation event; None where it is `time`.
    """

    time: int
    is_test: np.ndarray
    valid_time: int | None = None


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


def oldest_first(events: Events, rows: np.ndarray, ties: str = "file order", seed: int = 0) -> np.ndarray:
    """Return `rows` ordered by user (first appearance in the dump), then time, then position in the file.

    With hashed ties, a hash of the seed and the two ids comes before the position in the file.
    """
    # The sorts are stable, and `rows` is in the order of the file.
    if ties == "hashed":
        user, item = (_hashes(ids, seed) for ids in (events.user_ids, events.item_ids))
        hashes = (user[events.user[rows]] ^ item[events.item[rows]]) * np.uint64(0x9E3779B97F4A7C15)
        rows = rows[np.argsort(hashes, kind="stable")]
    return rows[_order(events.user[rows], events.time[rows])]


def _order(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the stable order by user, then time; in one sort where both fit into an integer, in half the time."""
    first, last = (int(time.min()), int(time.max())) if len(time) else (0, 0)
    span = last - first + 1
    if span * (int(user.max(initial=0)) + 1) < 2**63:
        key = user.astype(np.int64)
        key *= span
        key += time - first
        return np.argsort(key, kind="stable")
    return np.lexsort((time, user))


def _hashes(ids: Sequence[str], seed: int) -> np.ndarray:
    """Return a hash per id, uint64 [n], that depends on nothing but the id and the seed."""
    key = seed.to_bytes(16, "little")
    digests = (blake2b(text.encode("utf-8", "replace"), digest_size=8, key=key).digest() for text in ids)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def first_of_each_pair(events: Events, rows: np.ndarray) -> np.ndarray:
    """Return the oldest event of each (user, item) among ordered `rows`."""
    pairs = events.user[rows].astype(np.int64) * len(events.item_ids) + events.item[rows]
    _, oldest = np.unique(pairs, return_index=True)
    is_oldest = np.zeros(len(rows), dtype=bool)
    is_oldest[oldest] = True
    return rows[is_oldest]


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


def draw_users(events: Events, rows: np.ndarray, count: int, seed: int, with_replacement: bool = False) -> np.ndarray:
    """Return the rows of `count` users, drawn without replacement; all rows when there are at most `count`.

    The published draw, with replacement, is Python's `random.choices`; users that it draws again count once.
    """
    present = np.flatnonzero(np.bincount(events.user[rows]))
    if with_replacement and len(present):
        drawn = random.Random(seed).choices(present.tolist(), k=count)
    elif len(present) <= count:
        return rows
    else:
        drawn = np.random.default_rng(seed).choice(present, size=count, replace=False)
    is_drawn = np.zeros(len(events.user_ids), dtype=bool)
    is_drawn[drawn] = True
    return rows[is_drawn[events.user[rows]]]


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


def time_cut_at(events: Events, rows: np.ndarray, cuts: Cuts) -> TimeCut:
    """Return the temporal split at given moments.

    With two of them, a test user has an event before the first, one between the two, and one after the second.

    Raises:
        ValueError: there is no test user.
    """
    last, until = (_last_before(cuts.test if ms is None else ms, events.ticks) for ms in (cuts.valid, cuts.test))
    user, time, size = events.user[rows], events.time[rows], len(events.user_ids)
    before, late = (np.bincount(user[part], minlength=size) for part in (time <= last, time > until))
    if cuts.valid is None:
        is_test = (before >= 2) & (late > 0)
    else:
        between = np.bincount(user[(time > last) & (time <= until)], minlength=size)
        is_test = (before > 0) & (between > 0) & (late > 0)
    if not is_test.any():
        events_needed = "two events before it" if cuts.valid is None else "events before, between and after its moments"
        raise ValueError(f"the split {cuts.name} leaves no user with {events_needed} and a target; take other moments")
    return TimeCut(last, is_test, None if cuts.valid is None else until)


def _last_before(moment: int, ticks: int) -> int:
    """Return the last tick before a moment in milliseconds."""
    return (moment * ticks - 1) // 1000


def select_events(
    events: Events,
    usable_item: np.ndarray,
    filters: Filters,
    test_share: float | None = None,
    cuts: Cuts | None = None,
) -> Selection:
    """Return the kept events, in order.

    With `test_share` or `cuts` the split is temporal, and applied after the filters, which see all events: a test
    user's rows end with the first event after the split, and other users' rows before the split.

    Args:
        events: all events.
        usable_item: bool [n_item_ids]; False drops all events of an item.
        filters: the filters.
        test_share: upper bound on the share of events after the split; None for leave-one-out.
        cuts: moments of the split, instead of a share.

    Raises:
        ValueError: a temporal split leaves no test user.
    """
    dropped: dict[str, int] = {}
    dropped_users: dict[str, int] = {}

    def note(reason: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        if len(after) < len(before):
            dropped[reason] = len(before) - len(after)
            if lost := count_users(events, before) - count_users(events, after):
                dropped_users[reason] = lost
        return after

    rows = np.arange(len(events.time))
    rows = note("item not usable", rows, rows[usable_item[events.item]])
    if filters.min_rating is not None:
        rows = note(f"rating below {filters.min_rating:g}, or none", rows, rated(events, rows, filters.min_rating))
    rows = oldest_first(events, rows, filters.ties, filters.seed)
    if not filters.keep_duplicates:
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
        drawn = draw_users(events, rows, filters.users, filters.seed, filters.with_replacement)
        rows = note("user not drawn", rows, drawn)
    if (test_share is None and cuts is None) or not len(rows):
        return Selection(rows, dropped, dropped_users)
    time = time_cut(events, rows, test_share) if cuts is None else time_cut_at(events, rows, cuts)  # type: ignore[arg-type]
    for reason, part in _split_steps(events, time):
        rows = note(reason, rows, rows[part(rows)])
    return Selection(rows, dropped, dropped_users, time)


def count_users(events: Events, rows: np.ndarray) -> int:
    """Return the number of distinct users of rows."""
    has_rows = np.zeros(len(events.user_ids), dtype=bool)
    has_rows[events.user[rows]] = True
    return int(has_rows.sum())


def rated(events: Events, rows: np.ndarray, least: float) -> np.ndarray:
    """Return the rows with a rating of at least `least`.

    Raises:
        ValueError: no event has a rating.
    """
    if events.rating is None:
        raise ValueError(f"min_rating is {least:g}, but no event of the dump has a rating; leave it out")
    return rows[events.rating[rows] >= np.float32(least)]


def _split_steps(events: Events, cut: TimeCut) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Yield (reason, ordered rows -> which of them stay) for what a temporal split drops."""
    until = cut.time if cut.valid_time is None else cut.valid_time

    def of_tested(rows: np.ndarray) -> np.ndarray:
        return (events.time[rows] <= cut.time) | cut.is_test[events.user[rows]]

    def not_later(rows: np.ndarray) -> np.ndarray:
        late = events.time[rows] > until
        return ~(late & np.r_[False, late[:-1]] & (rank_in_user(events.user[rows]) > 0))

    def last_between(rows: np.ndarray) -> np.ndarray:
        between = (events.time[rows] > cut.time) & (events.time[rows] <= until)
        return ~(between & np.r_[between[1:], False])  # the target of the same user follows the last of them

    if cut.valid_time is None:
        yield "after the split, user with fewer than 2 events before it", of_tested
    else:
        yield "after the split, user without events before, between and after its moments", of_tested
    yield "after the split, after the user's target", not_later
    if cut.valid_time is not None:
        yield "between the moments of the split, before the user's validation target", last_between
