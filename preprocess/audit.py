"""Audit of a dataset: what was left out, with reasons and counts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from readers.progress import raw_digest
from readers.records import OF_ITEMS, Events, RawDataset
from select_events import DUPLICATE, Filters, Selection, count_users, rank_in_user

VISIBLE_HISTORY = 10


@dataclass(frozen=True)
class Naming:
    """Titles of a catalog.

    Attributes:
        titles: item id -> final title, in catalog order.
        clashes: number of titles that several items share.
        suffixed: number of items whose title got a number.
    """

    titles: dict[str, str]
    clashes: int
    suffixed: int


def split_audit(events: Events, selection: Selection) -> dict[str, Any]:
    """Return the time of the temporal split, and the numbers of users and events on each side of it."""
    cut, n_test = selection.cut, int(selection.cut.is_test.sum())
    second = cut.time // events.ticks
    try:
        moment = datetime.fromtimestamp(second, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        moment = f"second {second}, which no calendar has"
    n_users = count_users(events, selection.rows)
    return {
        "last_training_second": second,
        "last_training_time": moment,
        "users": {"test": n_test, "training only": n_users - n_test},
        "events": {"training": len(selection.rows) - 2 * n_test, "validation": n_test, "test": n_test},
    }


def time_ties(events: Events, rows: np.ndarray, rule: str = "file order") -> dict[str, int | str]:
    """Return how often the order of events depends on the file order, because their times tie.

    Args:
        events: all events.
        rows: int64 [n], kept events, by user and oldest first.
        rule: what decides their order.
    """
    user, time = events.user[rows], events.time[rows]
    same_as_before = np.r_[False, (user[1:] == user[:-1]) & (time[1:] == time[:-1])]
    last = np.r_[user[1:] != user[:-1], True]
    return {
        "rule": rule,
        "events_tied_with_the_one_before": int(same_as_before.sum()),
        "users_whose_last_two_events_tie": int((same_as_before & last).sum()),
        "users_with_two_events": int((last & (rank_in_user(user) > 0)).sum()),
    }


def targets_in_history(lengths: np.ndarray, items: np.ndarray, visible: int) -> dict[str, int]:
    """Count the targets that repeat an item of the visible history.

    Args:
        lengths: int [n_users], length of each sequence, 1 or more. The last item of a sequence is the test target, the
            second last the validation target.
        items: int [n_events], the sequences, user by user and oldest first.
        visible: number of events before a target that are shown.
    """
    ends = np.cumsum(lengths)

    def repeated(back: int) -> int:
        is_repeated = np.zeros(len(ends), dtype=bool)
        for step in range(back + 1, back + 1 + visible):
            (longer,) = np.nonzero(lengths >= step)
            is_repeated[longer] |= items[ends[longer] - step] == items[ends[longer] - back]
        return int(is_repeated.sum())

    return {"visible": visible, "test": repeated(1), "validation": repeated(2)}


def audit_of(
    raw: RawDataset, filters: Filters, selection: Selection, naming: Naming, unusable: Mapping[str, int]
) -> dict[str, Any]:
    """Return the audit: read, kept and dropped events, users and items with reasons.

    Rejected lines count as read and dropped.

    Args:
        raw: the dump.
        filters: the filters that were applied.
        selection: the kept events.
        naming: the titles of the kept items.
        unusable: reason -> number of items without a usable title.
    """
    events, names = raw.events, [path.name for path in raw.files]
    second = f"{names[1]}{OF_ITEMS}"
    rejected = raw.rejected[names[0]], raw.rejected[second if second in raw.rejected else names[1]]
    unconsumed = len(raw.items) - sum(unusable.values()) - len(naming.titles)
    return {
        "source": raw.source,
        "encodings": dict(raw.encodings),
        "shortened": dict(raw.shortened),
        "time_unit": raw.events.time_unit,
        "times_by_unit": dict(raw.events.times_by_unit),
        "inputs": {path.name: raw_digest(path) for path in raw.files},
        "filters": asdict(filters),
        "events": {
            "read": len(events.time) + sum(rejected[0].values()),
            "kept": len(selection.rows),
            "dropped": {**rejected[0], **selection.dropped},
        },
        "users": {
            "read": len(events.user_ids),
            "kept": count_users(events, selection.rows),
            "dropped": selection.dropped_users,
        },
        "items": {
            "read": len(raw.items) + sum(rejected[1].values()),
            "kept": len(naming.titles),
            "dropped": {**rejected[1], **unusable} | ({"no kept event": unconsumed} if unconsumed else {}),
        },
        "time_ties": time_ties(events, selection.rows, filters.ties),
        "duplicates": {"events": selection.dropped.get(DUPLICATE, 0)},
        "title_clashes": {"titles": naming.clashes, "items_suffixed": naming.suffixed},
    }


def summary_of(audit: Mapping[str, Any]) -> str:
    """Return the lines for the terminal: what was read, kept and dropped, of the parts that the dump has."""
    lines = [
        f"{part}: {audit[part]['kept']} of {audit[part]['read']} kept"
        + "".join(f"; {count} {reason}" for reason, count in audit[part]["dropped"].items())
        for part in ("events", "users", "items")
        if part in audit
    ]
    if ties := audit.get("time_ties"):
        lines.append(
            f"ties in time, broken by {ties['rule']}: last two events of {ties['users_whose_last_two_events_tie']} "
            f"of {ties['users_with_two_events']} users"
        )
    times, span = audit.get("times_by_unit", {}), audit.get("time_span")
    if len(times) > 1 or any("dates" in unit for unit in times):  # decided by the column, for users to check
        counts = ", ".join(f"{n} {unit}" if "dates" in unit else f"{n} in {unit}" for unit, n in times.items())
        lines.append(f"times: {counts}" + (f"; from {span['first'][:10]} to {span['last'][:10]}" if span else ""))
    if audit["shortened"]:
        cut = ", ".join(f"{field} of {n} items" for field, n in audit["shortened"].items())
        lines.append(f"cut, because they are too long: {cut}")
    if unknown := audit.get("unknown"):
        lines.append("unknown, and left out: " + ", ".join(f"{field} of {n} items" for field, n in unknown.items()))
    if split := audit.get("split"):
        users, events = split["users"], split["events"]
        lines.append(
            f"split in time: {events['training']} training events up to {split['last_training_time']}; "
            f"{users['test']} test users with a target after it, {users['training only']} users for training only"
        )
    clashes = audit["title_clashes"]
    lines.append(
        f"titles with several holders: {clashes['titles']}; {clashes['items_suffixed']} items suffixed; "
        f"{audit['titles_cut']} titles cut"
    )
    return "\n".join(lines)
