"""Domains whose catalogs change while they are served: every change makes a new domain, which replaces the old one.

A request keeps the domain that it began with, so it sees one version of the catalog from start to end. Versions share
what did not change: a change takes the time of the items that it changes.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from train_utils.catalog import Catalog
from train_utils.constraint.title_check import TitleError, listed_twice
from train_utils.conversation.limits.category_words import Encoder
from train_utils.conversation.reader import RequestReader
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.serving.catalog_journal import Journal
from train_utils.serving.catalog_ledger import Delta, Ledger, Version
from train_utils.serving.domains import Domain, Domains, TeacherOf


@dataclass(eq=False)
class _Living:
    """A catalog that changes.

    Attributes:
        ledger: its items and versions.
        journal: where changes are kept; None keeps them in memory.
        lock: held while it is changed.
    """

    ledger: Ledger
    journal: Journal | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Changed:
    """Result of a change.

    Attributes:
        version: the version after it.
        durable: whether it outlives the process.
    """

    version: Version
    durable: bool


class LivingDomains(Domains):
    """The domains of one model, whose catalogs may change.

    Args:
        recommender: see `Domains`.
        folders: see `Domains`.
        encoder: see `Domains`.
        teacher_of: see `Domains`.
        trie_cache: see `Domains`.
        reads: see `Domains`.
        journals: folder that keeps the changes between runs; "" keeps them in memory.
    """

    def __init__(
        self,
        recommender: Recommender,
        folders: Mapping[str, Path],
        encoder: Encoder | None = None,
        teacher_of: TeacherOf | None = None,
        trie_cache: str = "",
        reads: str = "rules",
        *,
        journals: str | Path = "",
    ):
        super().__init__(recommender, folders, encoder, teacher_of, trie_cache, reads)
        self._journals = Path(journals) if journals else None
        self._living: dict[str, _Living] = {}

    def load_changed(self) -> None:
        """Load the domains that have a journal, so that a broken one is reported before the first request.

        Raises:
            ValueError: see `Journal`.
        """
        for name in self.folders:
            if self._journals and self._journal_path(self._journals, name).exists():
                self.load(name)

    def _load(self, name: str) -> Domain:
        domain = super()._load(name)
        if domain.catalog is None:
            return domain
        _ = domain.catalog.changed({})  # what the first change would wait for is made here
        living = _Living(Ledger(domain.catalog))
        if self._journals is not None:
            living.journal = Journal(self._journal_path(self._journals, name), living.ledger)
        self._living[name] = living
        version = living.ledger.version
        delta = living.ledger.delta_since_base(version.number)
        if delta.put or delta.retired:
            try:
                domain = changed_domain(domain, delta, version.name)
            except ValueError as error:  # such as another model, which has no codes for added items
                self.close()
                raise ValueError(f"the changes of {name!r} do not fit the model: {error}") from None
        return replace(domain, changed_to=version.name)

    @staticmethod
    def _journal_path(folder: Path, name: str) -> Path:
        return folder / f"{name}.journal"

    def close(self) -> None:
        """Release the journals."""
        for living in self._living.values():
            if living.journal is not None:
                living.journal.close()

    # -- changes -------------------------------------------------------------------------------------------------

    def put(self, name: str, records: Sequence[object], whole: bool = False) -> Changed:
        """Add and change items of a domain; see `Ledger.put`."""
        return self._change(name, lambda ledger: ledger.put(records, whole))

    def retire(self, name: str, ids: Sequence[str]) -> Changed:
        """Retire items of a domain; see `Ledger.retire`."""
        return self._change(name, lambda ledger: ledger.retire(ids))

    def rollback(self, name: str, number: int) -> Changed:
        """Return to the items of an earlier version of a domain, by a new version; see `Ledger.rollback`."""
        return self._change(name, lambda ledger: ledger.rollback(number))

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a domain that can be returned to, oldest first."""
        living = self._changing(name)
        with living.lock:
            return list(living.ledger.versions)

    def _changing(self, name: str) -> _Living:
        self.load(name)
        if name not in self._living:
            raise ValueError(f"domain {name[:80]!r} has no catalog; name one of {', '.join(self.folders)}")
        return self._living[name]

    def _change(self, name: str, plan: Callable[[Ledger], Delta]) -> Changed:
        """Make a change: all of it, or none where it raises.

        Raises:
            ValueError: the change is refused; the text names the item.
            JournalError: it cannot be made durable.
        """
        if isinstance(self.recommender, ServedRecommender):
            raise ValueError(
                "the server that has the model has catalogs of its own; change the dataset folder, then restart both"
            )
        living = self._changing(name)
        with living.lock:
            ledger = living.ledger
            delta = plan(ledger)
            if not delta.put and not delta.retired:
                return Changed(replace(ledger.version, added=0, changed=0, retired=0), living.journal is not None)
            version = ledger.after(delta)
            domain = changed_domain(self._loaded[name], delta, version.name)
            if living.journal is not None:
                living.journal.append(ledger, delta, version.digest)
            ledger.apply(delta)
            self._loaded[name] = domain
            if living.journal is not None:
                living.journal.compact(ledger)
            return Changed(version, living.journal is not None)


def changed_domain(domain: Domain, delta: Delta, version: str) -> Domain:
    """Return a domain after a change; indexes are shared, except for the entries of the items that changed.

    Raises:
        ValueError: an item is added that the model has no code or vector for, a title cannot be spelled, or two items
            that may be listed have titles of the same tokens; the text names the item.
    """
    before = domain.catalog
    assert before is not None and domain.expectations is not None
    assert isinstance(domain.reader, RequestReader)  # a server reads by rules
    catalog = before.changed(delta.put, delta.retired)
    renamed = [i for i, item in delta.put.items() if i >= len(before.items) or item.title != before.items[i].title]
    renderer = changed_renderer(domain.recommender, len(before.items), catalog, renamed)
    recommender = domain.recommender.with_items(catalog, renderer, renamed)
    return replace(
        domain,
        recommender=recommender,
        reader=domain.reader.changed(catalog, recommender.named_titles, renamed),
        expectations=domain.expectations.changed(recommender, delta.put),
        changed_to=version,
    )


def changed_renderer(recommender: Recommender, n_before: int, catalog: Catalog, renamed: Sequence[int]) -> Chat:
    """Return the renderer of a catalog after a change.

    Args:
        recommender: the recommender before it.
        n_before: number of items before it.
        catalog: the catalog after it.
        renamed: items whose titles are new.

    Raises:
        ValueError: as `changed_domain`.
    """
    renderer = recommender.renderer
    if len(catalog.items) > n_before and (renderer.code_ids or recommender.retriever is not None):
        raise ValueError(
            f"item {catalog.items[n_before].id[:80]!r} is new, and this model lists known items only, by codes or "
            "vectors; add it to the dataset, run python -m train_utils.add_items, and restart the server"
        )
    if renamed:
        titles = list(renderer.titles)
        for i in sorted(renamed):
            titles[i : i + 1] = [catalog.items[i].title]
        try:
            renderer = renderer.with_titles(titles, renamed)
        except TitleError as error:
            raise ValueError(f"item {catalog.items[renamed[error.number]].id[:80]!r}: {error.reason}") from None
    assert renderer.trie is not None  # the renderer knows the titles of the catalog
    if pair := listed_twice(renderer.trie, catalog.retired):
        first, second = (catalog.items[i].id[:80] for i in pair)
        raise ValueError(f"items {first!r} and {second!r} have titles of the same tokens; change one of the titles")
    return renderer
