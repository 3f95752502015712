"""Catalog of a dataset: loads a dataset folder and rejects items with the same id or title."""

import logging
from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from train_utils.attribute_counts import AttributeCounts, number_of
from train_utils.characters import has_text, shown, whole_characters
from train_utils.dataset_folder import (
    common_marker,
    dataset_name,
    dataset_paths,
    described,
    popularity_of,
    read_dataset,
    spelled_title,
)
from train_utils.layered_map import LayeredMap

logger = logging.getLogger(__name__)

# Characters of a title. Tokenizers abort the process on a text of hundreds of megabytes; no model lists such a title.
MAX_TITLE = 10_000
MAX_FORMER_TITLES = 100_000  # titles of renamed items that conversations may still name
_YEARS = (1800, 2100)


@dataclass(frozen=True, slots=True)
class Item:
    """Item of a catalog.

    Attributes:
        id: the item's id, unique in the catalog.
        title: the text that the model spells (`title_t` on disk), unique in the catalog.
        categories: names of its categories.
        description: its description; "" for none.
        attributes: the remaining fields of its metadata.
    """

    id: str
    title: str
    categories: tuple[str, ...] = ()
    description: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)

    def number(self, attribute: str) -> float | None:
        """Return the value of an attribute if it is a number, else None."""
        return number_of(self.attributes.get(attribute))


@dataclass(frozen=True)
class Catalog:
    """Items of one dataset and the sequences of its users.

    Attributes:
        name: name of the dataset.
        items: the items, in file order.
        sequences: user id -> item indices, oldest first.
        index: item id -> item index.
        test_users: the test users of a temporal split; None for leave-one-out, which tests every user with at least
            three events.
        popular_by: attribute that says how popular an item is while there are no training events; "" for none.
        retired: items that may no longer be listed; they keep their index, since histories name them.
        added: number of the last items that were added since the dataset was loaded; a teacher does not have them.
        former_titles: title that an item had before it was renamed -> the item; the newest ones.
    """

    name: str
    items: tuple[Item, ...]
    sequences: Mapping[str, tuple[int, ...]]
    index: Mapping[str, int]
    test_users: frozenset[str] | None = None
    popular_by: str = ""
    retired: frozenset[int] = frozenset()
    added: int = 0
    former_titles: LayeredMap[str, int] = field(default_factory=lambda: LayeredMap({}))

    @cached_property
    def categories(self) -> Mapping[str, frozenset[int]]:
        """Category -> indices of its items, retired ones too; categories in the order of first mention."""
        indices: dict[str, set[int]] = {}
        for i, item in enumerate(self.items):
            for category in item.categories:
                indices.setdefault(category, set()).add(i)
        return MappingProxyType({category: frozenset(members) for category, members in indices.items()})

    @cached_property
    def training_events(self) -> tuple[int, ...]:
        """Number of training events per item."""
        counts = [0] * len(self.items)
        for sequence in self.training_sequences():
            for item in sequence:
                counts[item] += 1
        return tuple(counts)

    @property
    def is_cold(self) -> bool:
        """Whether no item has a training event."""
        return not any(self.training_events)

    @cached_property
    def popularity(self) -> tuple[float, ...]:
        """Training events per item; in a cold catalog the attribute `popular_by`, 0 where an item lacks it."""
        if not self.popular_by or not self.is_cold:
            return self.training_events
        return tuple(map(self._popularity_of, self.items))

    def _popularity_of(self, item: Item) -> float:
        return popularity_of(item.attributes.get(self.popular_by)) or 0.0

    @cached_property
    def most_popular(self) -> tuple[int, ...]:
        """All items that may be listed, those with the highest popularity first."""
        listed = (item for item in range(len(self.items)) if item not in self.retired)
        return tuple(sorted(listed, key=lambda item: -self.popularity[item]))

    @cached_property
    def attribute_counts(self) -> AttributeCounts:
        """What is known of the attributes of the items, retired ones too."""
        return AttributeCounts.of(self.items)

    @property
    def attribute_names(self) -> Collection[str]:
        """Attributes that an item has."""
        return self.attribute_counts.named.keys()

    @property
    def numeric_attributes(self) -> Mapping[str, tuple[float, float]]:
        """(Least, greatest) value of each attribute that is a number for at least half of the items."""
        return self.attribute_counts.bounds

    @property
    def titles(self) -> list[str]:
        return [item.title for item in self.items]

    @cached_property
    def listed_titles(self) -> LayeredMap[str, int]:
        """Title -> item, of the items that may be listed; of equal titles the first item."""
        listed = reversed([*enumerate(self.items)])
        return LayeredMap({item.title: i for i, item in listed if i not in self.retired})

    @cached_property
    def title_index(self) -> Mapping[str, int]:
        """Title -> item: a retired one, or one that had the title before, where no other has it."""
        retired = {self.items[i].title: i for i in sorted(self.retired, reverse=True)}
        return ChainMap(self.listed_titles.merged(), retired, self.former_titles.merged())

    def changed(self, put: Mapping[int, Item], retired: Collection[int] = ()) -> "Catalog":
        """Return the catalog after changes; what is known of the other items is kept, not computed again.

        Args:
            put: index -> item that may be listed from now on: a new form of an item, or one that follows the last.
            retired: indices of items that may no longer be listed.
        """
        items = [*self.items]
        for i, item in sorted(put.items()):
            items[i : i + 1] = [item]
        added = len(items) - len(self.items)
        index = self.index if isinstance(self.index, LayeredMap) else LayeredMap(self.index)
        if added:
            index = index.changed({item.id: i for i, item in put.items()})
        changed = replace(
            self,
            items=tuple(items),
            index=index,
            retired=(self.retired - put.keys()) | frozenset(retired),
            added=self.added + added,
            former_titles=self._former_titles_after(put),
        )
        before = (i for i in {*put, *retired} if i < len(self.items))
        gone = {self.items[i].title for i in before if self.listed_titles.get(self.items[i].title) == i}
        titles = {item.title: i for i, item in put.items() if i not in changed.retired}
        vars(changed).update(
            training_events=self.training_events + (0,) * added,
            categories=MappingProxyType(self._categories_after(put)),
            listed_titles=self.listed_titles.changed(titles, gone),
            attribute_counts=self.attribute_counts.changed(self.items, changed.items, put),
        )
        if self.popular_by and self.is_cold:
            popularity = [*self.popularity, *[0.0] * added]
            for i, item in put.items():
                popularity[i] = self._popularity_of(item)
            vars(changed).update(popularity=tuple(popularity))
        return changed

    def _former_titles_after(self, put: Mapping[int, Item]) -> LayeredMap[str, int]:
        """Return `former_titles` after items were put."""
        renamed = ((i, self.items[i].title) for i, item in put.items() if i < len(self.items))
        former = self.former_titles.changed({title: i for i, title in renamed if title != put[i].title})
        if len(former) <= MAX_FORMER_TITLES:
            return former
        newest = islice(former.merged().items(), len(former) // 2, None)
        return LayeredMap(dict(newest))

    def _categories_after(self, put: Mapping[int, Item]) -> dict[str, frozenset[int]]:
        """Return `categories` after items were put."""
        left: dict[str, set[int]] = {}
        joined: dict[str, set[int]] = {}
        for i, item in put.items():
            before = self.items[i].categories if i < len(self.items) else ()
            for name in before:
                left.setdefault(name, set()).add(i)
            for name in item.categories:
                joined.setdefault(name, set()).add(i)
        categories = dict(self.categories)
        for name in [*left, *joined]:
            categories[name] = (categories.get(name, frozenset()) - left.get(name, set())) | joined.get(name, set())
        return {name: members for name, members in categories.items() if members}

    def ids(self, indices: Iterable[int]) -> list[str]:
        return [self.items[i].id for i in indices]

    def indices(self, ids: Iterable[str]) -> list[int]:
        """Return the item indices of `ids`.

        Raises:
            ValueError: an id is not in the catalog; the error names the first one.
        """
        try:
            return [self.index[i] for i in ids]
        except KeyError as error:
            raise ValueError(f"item id {shown(error.args[0])} is not in the catalog {self.name!r}") from None

    def in_category(self, category: str) -> frozenset[int]:
        """Return the indices of the items of `category`.

        Raises:
            ValueError: no item has this category.
        """
        if category not in self.categories:
            known = ", ".join(sorted(self.categories)[:20])
            raise ValueError(f"no item of {self.name!r} has category {shown(category)}; known: {known}")
        return self.categories[category]

    def is_tested(self, user: str) -> bool:
        """Return whether the last two events of a user are held out, which takes at least three events."""
        return len(self.sequences[user]) >= 3 and (self.test_users is None or user in self.test_users)

    def split(self, part: str) -> list[tuple[str, tuple[int, ...], int]]:
        """Return the tested users with their histories and targets.

        The last event of a tested user is the test target and the second last the validation target. See
        docs/architecture.md, Split.

        Args:
            part: "valid" or "test".

        Returns:
            (user, all events before the target, target) per tested user.
        """
        cut = {"valid": -2, "test": -1}[part]
        return [
            (user, sequence[:cut], sequence[cut]) for user, sequence in self.sequences.items() if self.is_tested(user)
        ]

    def training_sequences(self) -> list[tuple[int, ...]]:
        """Return every user's sequence without the validation and test events."""
        return [sequence[:-2] if self.is_tested(user) else sequence for user, sequence in self.sequences.items()]


def year_attribute(bounds: Mapping[str, tuple[float, float]]) -> str:
    """Return the attribute that holds years, the one named so where there are several; "" for none.

    Args:
        bounds: see `Catalog.numeric_attributes`.
    """
    held = [name for name, (low, high) in bounds.items() if _YEARS[0] <= low and high <= _YEARS[1]]
    return min(held, key=lambda name: ("year" not in name.lower(), name), default="")


def dataset_files(folder: str | Path) -> list[Path]:
    """Return the files of a dataset folder that a run on it depends on."""
    return list(dataset_paths(folder).values())


def make_catalog(
    name: str,
    items: Iterable[Item],
    sequences: Mapping[str, Iterable[str]] | None = None,
    test_users: Iterable[str] | None = None,
    popular_by: str = "",
) -> Catalog:
    """Make a catalog from items and sequences in memory.

    Args:
        name: name of the catalog.
        items: the items; their order defines the item indices.
        sequences: user id -> item ids, oldest first.
        test_users: the test users of a temporal split; None for leave-one-out.
        popular_by: attribute that is the popularity while there are no training events; "" for none.

    Raises:
        ValueError: no items, an empty title or one above `MAX_TITLE`, two items with one id or one title, a sequence
            with an unknown id, or a test user with fewer than three events.
    """
    items = tuple(items)
    if not items:
        raise ValueError(f"catalog {name!r} has no items; check the preprocessing filters")
    index: dict[str, int] = {}
    seen_titles: dict[str, str] = {}
    for position, item in enumerate(items):
        if item.id in index:
            raise ValueError(f"item id {item.id!r} is in catalog {name!r} twice; ids must be unique")
        if len(item.title) > MAX_TITLE:
            raise ValueError(
                f"item {item.id!r} of catalog {name!r} has a title of {len(item.title)} characters, "
                f"{shown(item.title)}, wanted at most {MAX_TITLE}; preprocess it again, or shorten it"
            )
        if not has_text(item.title):
            raise ValueError(f"item {item.id!r} of catalog {name!r} has an empty title; preprocess it again")
        if item.title in seen_titles:
            raise ValueError(
                f"items {seen_titles[item.title]!r} and {item.id!r} of catalog {name!r} share the title "
                f"{item.title!r} and cannot be told apart; preprocessing makes titles unique"
            )
        index[item.id] = position
        seen_titles[item.title] = item.id
    catalog = Catalog(name, items, {}, MappingProxyType(index))
    resolved = {user: tuple(catalog.indices(ids)) for user, ids in (sequences or {}).items()}
    tested = None if test_users is None else frozenset(test_users)
    if short := [user for user in tested or () if len(resolved.get(user, ())) < 3]:
        raise ValueError(f"test user {min(short)!r} of {name!r} has fewer than three events; preprocess it again")
    return Catalog(name, items, MappingProxyType(resolved), catalog.index, tested, popular_by)


def load_catalog(data_path: str | Path) -> Catalog:
    """Load a dataset folder: `metas`, `category`, `sequential`, and where they exist `test_users.json`, `catalog.json`.

    Each of the first three files is JSON or pickle. A warning counts the entries that were left out.

    Raises:
        ValueError: a missing folder or file, an entry of the wrong shape, or items that cannot be told apart.
    """
    files = read_dataset(data_path)
    categories: dict[str, list[str]] = {}
    for category, ids in files.categories.items():
        for item_id in ids:
            categories.setdefault(item_id, []).append(category)
    titles = {item_id: str(spelled_title(meta)) for item_id, meta in files.metas.items()}
    marker = common_marker(titles.values()) if titles else ""
    if marker and not any(str(meta.get("title", marker)).startswith(marker) for meta in files.metas.values()):
        logger.warning(
            "the titles of %s all begin with %s, which a tokenizer left there: it is taken off", data_path, marker
        )
        titles = {item_id: title.removeprefix(marker).strip() for item_id, title in titles.items()}
    for sentence in files.left_out:
        logger.warning("%s", sentence)
    items = [
        _item(item_id, titles[item_id], meta, categories.get(item_id, [])) for item_id, meta in files.metas.items()
    ]
    return make_catalog(dataset_name(data_path), items, files.sequences, files.test_users, files.popularity)


def _item(item_id: str, title: str, meta: Mapping[str, object], categories: list[str]) -> Item:
    known = {"title", "title_t", "description", "category"}
    return Item(
        id=item_id,
        title=whole_characters(title),
        categories=tuple(categories),
        description=whole_characters(described(meta)),
        attributes=MappingProxyType({k: v for k, v in meta.items() if k not in known}),
    )
