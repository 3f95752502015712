"""Counts of held-out events in the training data of a catalog and in the training files of its teacher."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from train_utils.catalog import Catalog
from train_utils.unirec_folder import UniRecFolder

PARTS = ("valid", "test")
TRAINED_ON = ("train", "user_history")

Events = Mapping[str, Counter[str]]  # user id -> item id -> how often


def read_teacher_data(folder: str | Path) -> dict[str, Events]:
    """Load the events of `unirec/data/<name>` by file: "train", "user_history", "valid".

    Raises:
        ValueError: a file is missing, is no table, or has a user or item that is not in `map.pkl`.
    """
    files = UniRecFolder(folder)
    user_ids, item_ids = files.ids()
    return {name: _counted(files, name, user_ids, item_ids) for name in (*TRAINED_ON, "valid")}


def _counted(files: UniRecFolder, table: str, user_ids: Sequence[str], item_ids: Sequence[str]) -> Events:
    users, items = files.events(table)
    for ints, ids in ((users, user_ids), (items, item_ids)):
        if len(ints) and not 0 <= ints.min() <= ints.max() < len(ids):
            raise ValueError(
                f"{files.path / table}.pkl is no table of user_id and item_id of map.pkl (it has {ints.min()}.."
                f"{ints.max()}, map.pkl 0..{len(ids) - 1}); preprocess the dataset again"
            )
    events: dict[str, Counter[str]] = {}
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        events.setdefault(user_ids[user], Counter())[item_ids[item]] += 1
    return events


def count_split(catalog: Catalog, visible: int) -> dict[str, dict[str, int]]:
    """Count users, repeats and held-out events in the dataset.

    Args:
        catalog: the catalog with its split.
        visible: number of history items that a test shows.

    Returns:
        Counts by kind:

        - "users": tested users, and users for training only.
        - "repeats": events of an item that the user consumed before.
        - "target_in_history": targets among the `visible` items before them, and among all items before them.
        - "held_out_in_training": targets in `training_sequences()`; each is a leak.
    """
    trained = dict(zip(catalog.sequences, catalog.training_sequences(), strict=True))
    rows = {part: catalog.split(part) for part in PARTS}
    tested = len(rows["test"])
    return {
        "users": {"tested": tested, "training_only": len(catalog.sequences) - tested},
        "repeats": {"events": sum(len(items) - len(set(items)) for items in catalog.sequences.values())},
        "target_in_history": {
            name: count
            for part in PARTS
            for name, count in (
                (f"{part}_visible", sum(target in history[-visible:] for _, history, target in rows[part])),
                (f"{part}_all", sum(target in history for _, history, target in rows[part])),
            )
        },
        "held_out_in_training": {
            part: sum(len(history) < len(trained[user]) for user, history, _ in rows[part]) for part in PARTS
        },
    }


def count_teacher(catalog: Catalog, files: Mapping[str, Events]) -> dict[str, dict[str, int]]:
    """Count the events in the teacher's files that the dataset split holds out; each is a leak.

    Returns:
        file -> {"test", "valid": targets in the file, "other": further events that are no training events of the
        dataset}. For the file "valid", which selects the teacher's best epoch, only test targets.
    """
    trained = {
        user: Counter(catalog.ids(items))
        for user, items in zip(catalog.sequences, catalog.training_sequences(), strict=True)
    }
    targets = {part: {user: catalog.items[target].id for user, _, target in catalog.split(part)} for part in PARTS}
    counts = {name: _surplus(files[name], trained, targets) for name in TRAINED_ON}
    validated = {user: trained[user] + Counter([target]) for user, target in targets["valid"].items()}
    counts["valid"] = {"test": _surplus(files["valid"], validated, targets)["test"]}
    return counts


def _surplus(events: Events, trained: Events, targets: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """Count the events beyond each user's training events, as targets and others; a repeated item counts repeatedly."""
    counts = Counter(dict.fromkeys((*PARTS, "other"), 0))
    for user, items in events.items():
        surplus = items - trained.get(user, Counter())
        for part in PARTS:
            if (target := targets[part].get(user)) is not None and surplus[target] > 0:
                counts[part] += 1
                surplus[target] -= 1
        counts["other"] += surplus.total()
    return dict(counts)
