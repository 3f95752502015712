"""The audit of a dataset: what was left out, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from readers.records import Events, RawDataset
from select_events import DUPLICATE, Filters, Selection, rank_in_user

from train_utils.files import digest

VISIBLE_HISTORY = 10


@dataclass(frozen=True)
class Naming:
    """`titles`: item id -> final title, in catalog order; `clashes`: titles with several holders;
    `suffixed`: items whose title got a number."""

    titles: dict[str, str]
    clashes: int
    suffixed: int


def split_audit(events: Events, selection: Selection) -> dict[str, Any]:
    """Where the temporal split lies, and how many users and events are on which side of it."""
    cut, n_test = selection.cut, int(selection.cut.is_test.sum())
    second = cut.time // events.ticks
    try:
        moment = datetime.fromtimestamp(second, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        moment = f"second {second}, which no calendar has"
    n_users = len(np.unique(events.user[selection.rows]))
    return {
        "last_training_second": second,
        "last_training_time": moment,
        "users": {"test": n_test, "training only": n_users - n_test},
        "events": {"training": len(selection.rows) - 2 * n_test, "validation": n_test, "test": n_test},
    }


def time_ties(events: Events, rows: np.ndarray) -> dict[str, int | str]:
    """How often the order of ordered `rows` rests on the place in the file instead of on time."""
    user, time = events.user[rows], events.time[rows]
    same_as_before = np.r_[False, (user[1:] == user[:-1]) & (time[1:] == time[:-1])]
    last = np.r_[user[1:] != user[:-1], True]
    return {
        "rule": "file order",
        "events_tied_with_the_one_before": int(same_as_before.sum()),
        "users_whose_last_two_events_tie": int((same_as_before & last).sum()),
        "users_with_two_events": int((last & (rank_in_user(user) > 0)).sum()),
    }


def targets_in_history(sequences: Iterable[Sequence[str]], visible: int) -> dict[str, int]:
    """Test (last) and validation (second last) items already among the `visible` items before them."""
    test = validation = 0
    for sequence in sequences:
        test += sequence[-1] in sequence[-1 - visible : -1]
        validation += len(sequence) > 1 and sequence[-2] in sequence[-2 - visible : -2]
    return {"visible": visible, "test": test, "validation": validation}


def audit_of(
    raw: RawDataset, filters: Filters, selection: Selection, naming: Naming, unusable: Mapping[str, int]
) -> dict[str, Any]:
    """Read, kept and dropped with reasons; rejected lines count as read and dropped."""
    events, rejected = raw.events, [raw.rejected[path.name] for path in raw.files]
    unconsumed = len(raw.items) - sum(unusable.values()) - len(naming.titles)
    return {
        "source": raw.source,
        "encodings": dict(raw.encodings),
        "time_unit": raw.events.time_unit,
        "times_by_unit": dict(raw.events.times_by_unit),
        "inputs": {path.name: digest(path) for path in raw.files},
        "filters": asdict(filters),
        "events": {
            "read": len(events.time) + sum(rejected[0].values()),
            "kept": len(selection.rows),
            "dropped": {**rejected[0], **selection.dropped},
        },
        "users": {
            "read": len(events.user_ids),
            "kept": len(np.unique(events.user[selection.rows])),
            "dropped": selection.dropped_users,
        },
        "items": {
            "read": len(raw.items) + sum(rejected[1].values()),
            "kept": len(naming.titles),
            "dropped": {**rejected[1], **unusable} | ({"no kept event": unconsumed} if unconsumed else {}),
        },
        "time_ties": time_ties(events, selection.rows),
        "duplicates": {"events": selection.dropped.get(DUPLICATE, 0)},
        "title_clashes": {"titles": naming.clashes, "items_suffixed": naming.suffixed},
    }


def summary_of(audit: Mapping[str, Any]) -> str:
    """Lines for the terminal: what was read, kept and dropped."""
    lines = [
        f"{part}: {audit[part]['kept']} of {audit[part]['read']} kept"
        + "".join(f"; {count} {reason}" for reason, count in audit[part]["dropped"].items())
        for part in ("events", "users", "items")
    ]
    ties, clashes = audit["time_ties"], audit["title_clashes"]
    lines.append(
        f"ties in time, broken by file order: last two events of {ties['users_whose_last_two_events_tie']} "
        f"of {ties['users_with_two_events']} users"
    )
    if len(audit["times_by_unit"]) > 1:
        counts = ", ".join(f"{n} in {unit}" for unit, n in audit["times_by_unit"].items())
        lines.append(f"times in several units: {counts}")
    if split := audit.get("split"):
        users, events = split["users"], split["events"]
        lines.append(
            f"split in time: {events['training']} training events up to {split['last_training_time']}; "
            f"{users['test']} test users with a target after it, {users['training only']} users for training only"
        )
    lines.append(
        f"titles with several holders: {clashes['titles']}; {clashes['items_suffixed']} items suffixed; "
        f"{audit['titles_cut']} titles cut"
    )
    return "\n".join(lines)
