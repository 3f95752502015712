"""Distributions of a dataset for its audit: events per user and item, title lengths, times, popularity, cold items."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from readers.records import Events
from select_events import Selection, rank_in_user

SHARES = (1, 10, 20)  # percent of the items, the most popular first
_DAY = 86_400
_MOST_BINS = 60  # of time


def spread(counts: np.ndarray) -> dict[str, float | int]:
    """Return minimum, median, mean, 90th and 99th percentile and maximum of counts, int [n], n > 0."""
    low, median, p90, p99 = np.percentile(counts, [0, 50, 90, 99])
    return {
        "min": int(low), "median": float(median), "mean": round(float(counts.mean()), 3), "p90": round(float(p90), 1),
        "p99": round(float(p99), 1), "max": int(counts.max()),
    }  # fmt: skip


def doubling_bins(counts: np.ndarray) -> dict[str, int]:
    """Return bin -> how many counts are in it: "1", "2-3", "4-7", and so on, from the smallest count to the largest.

    Args:
        counts: int [n], from 1 on.
    """
    width = np.frexp(counts.astype(np.float64))[1] - 1
    numbers = np.bincount(width)
    first = int(width.min())
    return {f"{2**n}-{2 ** (n + 1) - 1}" if n else "1": int(numbers[n]) for n in range(first, len(numbers))}


def distribution(counts: np.ndarray) -> dict[str, object]:
    """Return `spread` and `doubling_bins`."""
    return {**spread(counts), "bins": doubling_bins(counts)}


def popularity_shares(per_item: np.ndarray) -> dict[str, float]:
    """Return the share of all events that the most popular 1, 10 and 20 % of the items have, and the Gini coefficient.

    Args:
        per_item: int [n], events of each item, 1 or more.
    """
    falling = np.sort(per_item)[::-1].astype(np.float64)
    total, n = falling.sum(), len(falling)
    shares = {f"top {share} %": round(float(falling[: max(1, n * share // 100)].sum() / total), 4) for share in SHARES}
    gini = (n + 1 - 2 * (np.cumsum(falling[::-1]).sum() / total)) / n
    return {**shares, "gini": round(float(gini), 4)}


def time_span(seconds: np.ndarray) -> dict[str, object]:
    """Return the first and the last moment, and the number of events per year, month or day.

    Args:
        seconds: int64 [n], seconds since 1970, of which there are some.
    """
    first, last = int(seconds.min()), int(seconds.max())
    span = {"first": _moment(first), "last": _moment(last)}
    for unit in ("day", "month", "year"):
        try:
            stamps = np.clip(seconds, -(2**40), 2**40).astype("datetime64[s]").astype(f"datetime64[{unit[0].upper()}]")
        except (ValueError, OverflowError):
            break
        if (stamps.max() - stamps.min()).astype(int) < _MOST_BINS or unit == "year":
            per_stamp = np.bincount((stamps - stamps.min()).astype(int))
            at = np.flatnonzero(per_stamp)[:1000]
            kept = dict(zip(map(str, stamps.min() + at), per_stamp[at].tolist(), strict=True))
            return {**span, "per": unit, "events": kept}
    return span


def _moment(second: int) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"second {second}, which no calendar has"


def cold_items(events: Events, selection: Selection) -> dict[str, int]:
    """Count the items, and the test and validation targets, that no training event has.

    Args:
        events: all events.
        selection: the kept ones, by user and oldest first.
    """
    rows = selection.rows
    user, item = events.user[rows], events.item[rows]
    counts = np.bincount(user, minlength=len(events.user_ids))
    is_tested = counts >= 3 if selection.cut is None else selection.cut.is_test
    from_end = counts[user] - 1 - rank_in_user(user)
    held_out = (from_end < 2) & is_tested[user]
    consumed, trained = (np.bincount(part, minlength=len(events.item_ids)) > 0 for part in (item, item[~held_out]))
    is_cold = ~trained[item]
    return {
        "items": int(consumed.sum() - trained.sum()),
        "test targets": int((is_cold & held_out & (from_end == 0)).sum()),
        "validation targets": int((is_cold & held_out & (from_end == 1)).sum()),
    }


def distributions_of(events: Events, selection: Selection, title_tokens: Sequence[int]) -> dict[str, object]:
    """Return the distributions of the kept events.

    Args:
        events: all events.
        selection: the kept ones, at least one.
        title_tokens: number of tokens of each title.
    """
    rows = selection.rows
    per_user, per_item = (counts[counts > 0] for counts in map(np.bincount, (events.user[rows], events.item[rows])))
    return {
        "events_per_user": distribution(per_user),
        "events_per_item": distribution(per_item),
        "title_tokens": distribution(np.maximum(np.array(title_tokens), 1)),
        "time_span": time_span(events.time[rows] // events.ticks),
        "popularity": popularity_shares(per_item),
        "cold": cold_items(events, selection),
    }
