"""Raw records -> dataset folder: sequences, metadata, categories, and an audit of every decision."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

import numpy as np
from audit import VISIBLE_HISTORY, Naming, audit_of, split_audit, targets_in_history
from distributions import distributions_of
from readers.records import Events, Item, RawDataset
from report import REPORT
from select_events import Cuts, Filters, Selection, TimeCut, select_events
from sequences import Sequences
from titles import TitleRules, clean_text, is_cut, titles_or_reasons, token_counts, unique_titles
from tqdm import tqdm

from train_utils.dataset_folder import AUDIT, CATALOG, TEST_USERS, UNFINISHED
from train_utils.files.atomic import digest, replacing, write_json, write_text
from train_utils.files.plain_pickle import write_pickle


@dataclass(frozen=True)
class Dataset:
    """Contents of a dataset folder; all ids are text.

    Attributes:
        sequences: user id -> item ids, oldest first.
        meta: item id -> its fields, in catalog order.
        categories: category -> item ids.
        audit: see `audit_of`.
        test_users: users whose last event is a target, for a temporal split; None means every user.
        popularity: attribute that tells how popular an item is while there are no events; "" for none.
    """

    sequences: Mapping[str, list[str]]
    meta: dict[str, dict[str, Any]]
    categories: dict[str, list[str]]
    audit: dict[str, Any]
    test_users: list[str] | None = None
    popularity: str = ""


def build_dataset(
    raw: RawDataset,
    rules: TitleRules,
    filters: Filters,
    need_category: bool = False,
    test_share: float | None = None,
    cuts: Cuts | None = None,
) -> Dataset:
    """Filter and order the events, and name the items. The catalog holds the items that a kept event consumes.

    Args:
        raw: the dump.
        rules: requirements of the tokenizer on titles.
        filters: filters of events and users.
        need_category: whether items without a category are dropped.
        test_share: share of the events after the temporal split; None for leave-one-out.
        cuts: moments of the temporal split, instead of a share.

    Raises:
        ValueError: no event is left, or `test_share` is out of range or leaves no test user.
    """
    if test_share is not None and not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}, wanted a share between 0 and 1, such as 0.1")
    settled, unusable = settle_items(raw.items, rules, need_category)
    selection, naming, failed = select_and_name(raw.events, settled, rules, filters, test_share, cuts)
    if not naming.titles:
        raise ValueError(f"{raw.source}: no event is left ({selection.dropped}); use weaker filters")
    if failed:
        unusable["no suffixed title survives the tokenizer"] = failed
    by_id = {item.id: item for item in raw.items}
    meta = {item_id: meta_entry(by_id[item_id], title, rules) for item_id, title in naming.titles.items()}
    sequences = sequences_of(raw.events, selection.rows)
    test_users = test_users_of(raw.events, selection.cut, sequences)
    audit = audit_of(raw, filters, selection, naming, unusable) | {
        "titles_cut": sum(is_cut(entry["title_t"], entry["title"]) for entry in meta.values()),
        "targets_in_visible_history": targets_in_tested(raw.events, selection),
        **distributions_of(raw.events, selection, token_counts(list(naming.titles.values()), rules)),
    }
    if selection.cut is not None:
        how = {"test_share": test_share} if cuts is None else {"moments": asdict(cuts)}
        audit["split"] = {"by": "time", **how} | split_audit(raw.events, selection)
    return Dataset(sequences, meta, categories_of(meta), audit, test_users)


def settle_items(
    items: Sequence[Item], rules: TitleRules, need_category: bool
) -> tuple[dict[str, str], dict[str, int]]:
    """Return the clean titles of the usable items, and the number of unusable items per reason.

    Args:
        items: the items of the dump.
        rules: requirements of the tokenizer on titles.
        need_category: whether an item without a category is unusable.

    Returns:
        (item id -> clean title, not yet unique; reason -> number of items).
    """
    settled: dict[str, str] = {}
    unusable: Counter[str] = Counter()
    titles = titles_or_reasons((item.title for item in items), rules)
    for item, (title, reason) in zip(tqdm(items, desc="titles", disable=None), titles, strict=True):
        if title is not None and need_category and not clean_categories(item, rules):
            title, reason = None, "no category"
        if title is None:
            unusable[reason] += 1
        else:
            settled[item.id] = title
    return settled, dict(unusable)


def select_and_name(
    events: Events,
    settled: Mapping[str, str],
    rules: TitleRules,
    filters: Filters,
    test_share: float | None = None,
    cuts: Cuts | None = None,
) -> tuple[Selection, Naming, int]:
    """Select events and make the titles of their items unique.

    Items without a unique title are dropped, and the filters are applied again without them.

    Args:
        events: all events.
        settled: item id -> clean title.
        rules: requirements of the tokenizer on titles.
        filters: filters of events and users.
        test_share: share of the events after the temporal split; None for leave-one-out.
        cuts: moments of the temporal split, instead of a share.

    Returns:
        (kept events, titles of their items, number of items without a unique title).
    """
    number_of = {item_id: number for number, item_id in enumerate(events.item_ids)}
    failed: set[str] = set()
    while True:
        usable = np.zeros(len(number_of), dtype=bool)
        usable[[number_of[item_id] for item_id in settled if item_id not in failed]] = True
        selection = select_events(events, usable, filters, test_share, cuts)
        consumed = np.bincount(events.item[selection.rows], minlength=len(number_of)) > 0
        catalog = {item_id: title for item_id, title in settled.items() if consumed[number_of[item_id]]}
        unique = unique_titles(catalog, rules)
        titles = {item_id: title for item_id, title in unique.items() if title is not None}
        if len(titles) == len(unique):
            return selection, naming_of(catalog, titles), len(failed)
        failed |= unique.keys() - titles.keys()


def naming_of(settled: Mapping[str, str], titles: dict[str, str]) -> Naming:
    """Return the titles of a catalog with the numbers of those that several items had.

    Args:
        settled: item id -> clean title, not yet unique.
        titles: item id -> unique title.
    """
    holders = Counter(settled.values())
    return Naming(titles, sum(count > 1 for count in holders.values()), len(settled) - len(holders))


_clean_category = lru_cache(maxsize=1 << 14)(clean_text)  # items share them


def clean_categories(item: Item, rules: TitleRules) -> list[str]:
    """Return the distinct non-empty category names of an item, cleaned like titles, in the dump's order."""
    names = (_clean_category(name, rules.special_tokens) for name in item.categories)
    return list(dict.fromkeys(name for name in names if name))


def meta_entry(item: Item, title_t: str, rules: TitleRules) -> dict[str, Any]:
    """Return the metadata of an item: clean title, spelled title, description, categories, attributes.

    Args:
        item: the item.
        title_t: the title that the model spells: unique, and cut where it is too long.
        rules: requirements of the tokenizer on titles.
    """
    attributes = {
        name: clean_text(value, rules.special_tokens) if isinstance(value, str) else value
        for name, value in item.attributes.items()
    }
    return {
        "title": clean_text(item.title, rules.special_tokens),
        "title_t": title_t,
        "description": clean_text(item.description, rules.special_tokens),
        "category": clean_categories(item, rules),
    } | {name: value for name, value in attributes.items() if value != ""}


def categories_of(meta: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return category -> item ids, in catalog order."""
    categories: dict[str, list[str]] = {}
    for item_id, entry in meta.items():
        for name in entry["category"]:
            categories.setdefault(name, []).append(item_id)
    return categories


def sequences_of(events: Events, rows: np.ndarray) -> Sequences:
    """Return user id -> item ids, of rows that are grouped by user and ordered in time."""
    user = events.user[rows]
    begins = np.flatnonzero(np.diff(user, prepend=-1))
    users = [events.user_ids[number] for number in user[begins].tolist()]
    return Sequences(users, events.item_ids, np.diff(begins, append=len(rows)), events.item[rows])


def targets_in_tested(events: Events, selection: Selection) -> dict[str, int]:
    """Return how many targets of tested users repeat an item of the visible history."""
    rows = selection.rows
    if selection.cut is not None:
        rows = rows[selection.cut.is_test[events.user[rows]]]
    sequences = sequences_of(events, rows)
    return targets_in_history(sequences.lengths, sequences.numbers, VISIBLE_HISTORY)


def test_users_of(events: Events, cut: TimeCut | None, users: Iterable[str]) -> list[str] | None:
    """Return the users with a target after the cut, in the order of `users`; None without a cut."""
    if cut is None:
        return None
    tested = {events.user_ids[number] for number in np.flatnonzero(cut.is_test)}
    return [user for user in users if user in tested]


def with_shared_texts(meta: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the metadata with one object per text, so that the bytes of their pickle depend on the values alone.

    A pickle refers to an object that it holds already, and whether readers give equal texts as one object varies.
    """
    texts: dict[str, str] = {}
    one = texts.setdefault

    def shared(value: Any) -> Any:
        if isinstance(value, str):
            return one(value, value)
        return [one(text, text) for text in value] if isinstance(value, list) else value

    return {
        one(item, item): {one(name, name): shared(value) for name, value in entry.items()}
        for item, entry in meta.items()
    }


def write_sequences(path: Path, sequences: Sequences) -> None:
    """Write the sequences atomically as one JSON object, user by user, with each item id encoded once."""
    in_json = list(map(encode_basestring, sequences.item_ids))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("{")
        for begin, users, lengths, numbers in sequences.parts():
            items = map(in_json.__getitem__, numbers.tolist())
            entries = (
                f"{encode_basestring(user)}: [{', '.join(islice(items, length))}]"
                for user, length in zip(users, lengths.tolist(), strict=True)
            )
            file.write((", " if begin else "") + ", ".join(entries))
        file.write("}\n")


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write the files of a dataset folder.

    A marker file is present until all are written, so that readers reject the folder of a killed run.
    """
    write_text(folder / UNFINISHED, "Preprocessing was writing here; run it again.\n")
    for name in (AUDIT, REPORT):
        (folder / name).unlink(missing_ok=True)
    write_pickle(folder / "meta.pickle", with_shared_texts(dataset.meta))
    write_json(folder / "metas.jsonl", dataset.meta, indent=None)
    write_json(folder / "category.jsonl", dataset.categories, indent=None)
    write_sequences(folder / "sequential.jsonl", Sequences.of(dataset.sequences))
    if dataset.test_users is None:
        (folder / TEST_USERS).unlink(missing_ok=True)
    else:
        until = dataset.audit["split"]["last_training_second"]
        write_json(folder / TEST_USERS, {"last_training_second": until, "users": dataset.test_users}, indent=None)
    if dataset.popularity:
        write_json(folder / CATALOG, {"popularity": dataset.popularity}, indent=None)
    else:
        (folder / CATALOG).unlink(missing_ok=True)
    copies = {name: digest(folder / name) for name in ("metas.jsonl", "meta.pickle")}
    write_json(folder / AUDIT, dataset.audit | {"copies": copies}, indent=2)
    (folder / UNFINISHED).unlink()
