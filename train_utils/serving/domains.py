"""Domains: the catalogs that one model recommends from, each loaded when it is first asked for, or all at the start."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from train_utils.catalog import Catalog
from train_utils.conversation.limits.category_words import Encoder
from train_utils.conversation.reader import Reader, RequestReader
from train_utils.dataset_folder import is_dataset
from train_utils.dialogue.expectations import Expectations
from train_utils.dialogue.readers import make_reader
from train_utils.dialogue.weights import read_weights
from train_utils.recommender import Recommender
from train_utils.serving.catalog_ledger import content_digest, version_name
from train_utils.serving.large_objects import large_objects
from train_utils.serving.scheduler import Overloaded
from train_utils.teacher.protocol import Teacher

logger = logging.getLogger(__name__)
NO_DOMAIN = "none"
_AGAIN_S = 30  # seconds after which a domain that could not be loaded is tried again: its folder may be mended


class StillLoading(Overloaded):
    """A domain that is being loaded in the background."""

    retry_after_s = 5


@dataclass(frozen=True)
class LoadedDomains:
    """Which domains there are, by their names.

    Attributes:
        ready: those that requests may name. Where they are loaded when they are first asked for, these are all of them
            that did not fail.
        loading: those that the start has not loaded yet.
        failed: those that could not be loaded.
    """

    ready: list[str]
    loading: list[str]
    failed: list[str]


# name of a domain -> its teacher; None for none
TeacherOf = Callable[[str], Teacher | None]


@dataclass(frozen=True)
class Domain:
    """Source of the recommendations; without a catalog no item can be opened.

    Attributes:
        name: the domain's name.
        recommender: model and catalog.
        reader: reads what messages ask of the catalog; None without a catalog.
        expectations: what is expected of a user; None without a catalog.
        changed_to: name of the version after changes; "" for the catalog as it was loaded.
    """

    name: str
    recommender: Recommender
    reader: Reader | None = None
    expectations: Expectations | None = None
    changed_to: str = ""

    @property
    def catalog(self) -> Catalog | None:
        return self.recommender.catalog

    @cached_property
    def searched_titles(self) -> tuple[list[str], list[int]]:
        """Titles in lower case of the items that may be listed, and these items."""
        listed = self.catalog.listed_titles.merged() if self.catalog else {}
        return [title.lower() for title in listed], list(listed.values())

    @cached_property
    def version(self) -> str:
        """Name of the version of the catalog, such as "1-0a1b2c3d4e5f"; "" without a catalog."""
        return self.changed_to or (version_name(1, content_digest(self.catalog)) if self.catalog else "")


def dataset_folders(data_root: str | Path) -> dict[str, Path]:
    """Return the dataset folders in `data_root`, by name; empty when `data_root` does not exist."""
    root = Path(data_root)
    folders = [path for path in root.iterdir() if is_dataset(path)] if root.is_dir() else []
    return {path.name: path for path in sorted(folders)}


def first_domain(folders: Mapping[str, Path], requested: str) -> str:
    """Return the name of the domain to start with.

    Args:
        folders: dataset folders by domain name.
        requested: the requested domain; "" takes the only folder, or no domain.

    Raises:
        ValueError: the requested domain is unknown.
    """
    if not requested:
        return next(iter(folders)) if len(folders) == 1 else NO_DOMAIN
    return known_domain(folders, requested)


def known_domain(folders: Mapping[str, Path], name: str) -> str:
    """Return the name of a domain. Raises ValueError for one that is unknown."""
    if name != NO_DOMAIN and name not in folders:
        raise ValueError(f"domain {name[:80]!r} is unknown; there are: {', '.join([*folders, NO_DOMAIN])}")
    return name


class Domains:
    """The domains of one model.

    Args:
        recommender: a chat model that has the control tokens, without a catalog.
        folders: dataset folders by domain name; each is loaded when it is first asked for.
        encoder: encodes texts, for words that mean a category without naming it; None reads names only.
        teacher_of: opens the teacher of a domain; None for no teacher.
        trie_cache: folder that keeps tries between runs; "" for none.
        reads: who reads messages, "rules", "model" or "both".
    """

    def __init__(
        self,
        recommender: Recommender,
        folders: Mapping[str, Path],
        encoder: Encoder | None = None,
        teacher_of: TeacherOf | None = None,
        trie_cache: str = "",
        reads: str = "rules",
    ):
        self.recommender = recommender
        self.folders = folders
        self._encoder = encoder
        self._teacher_of = teacher_of or (lambda name: None)
        self._trie_cache = trie_cache
        self._reads = reads
        self._loaded: dict[str, Domain] = {}
        self._failed: dict[str, tuple[float, ValueError | OSError]] = {}  # when, and why
        self._lock = threading.Lock()
        self._asked: queue.SimpleQueue[str] | None = None  # of the loading thread; None without one
        self._settled = threading.Condition()  # of the two below
        self._waiting: set[str] = set()  # names in the queue, and the one that is being loaded
        self._first_pass: frozenset[str] = frozenset()

    def load_in_background(self) -> None:
        """Load all domains in a thread, one after the other; `ready` waits for none of them from now on."""
        try:
            self.load(NO_DOMAIN)
        except ValueError as error:
            logger.info("the model does not decode without a catalog: %s", error)
        self._first_pass = frozenset(self.folders) - self._loaded.keys()
        self._asked = queue.SimpleQueue()
        for name in self.folders:
            if name in self._first_pass:
                self._queue(name)
        threading.Thread(target=self._load_queued, name="domains", daemon=True).start()

    def _queue(self, name: str) -> None:
        assert self._asked is not None
        with self._settled:
            if name not in self._waiting:
                self._waiting.add(name)
                self._asked.put(name)

    def _load_queued(self) -> None:
        """Load what is queued, until the process ends."""
        assert self._asked is not None
        while True:
            name = self._asked.get()
            begun = time.monotonic()
            try:
                self.load(name)
                logger.info("loaded domain %s in %.1f s", name, time.monotonic() - begun)
            except Exception as error:  # noqa: BLE001  # such as memory; the others are loaded
                if not isinstance(error, (ValueError, OSError)):  # those are kept already
                    self._failed[name] = (time.monotonic(), ValueError(str(error)))
                logger.error("domain %r cannot be loaded: %s", name, error)
            finally:
                with self._settled:
                    self._waiting.discard(name)
                    self._first_pass -= {name}
                    self._settled.notify_all()

    def ready(self, name: str) -> Domain:
        """Return a domain without waiting for those that load in the background.

        Raises:
            StillLoading: it is being loaded.
            ValueError: it is unknown, or its dataset or teacher cannot be loaded.
        """
        known_domain(self.folders, name)
        if self._asked is None or name in self._loaded or name == NO_DOMAIN:
            return self.load(name)
        if (failure := self._recent_failure(name)) is not None:
            raise failure
        self._queue(name)
        raise StillLoading(f"domain {name!r} is being loaded; come back in some seconds")

    def state(self) -> LoadedDomains:
        """Return which domains are loaded, which the start still loads, and which failed."""
        names = [*self.folders]
        loading = [name for name in names if name in self._first_pass]
        failed = [name for name in names if name in self._failed and name not in self._loaded]
        return LoadedDomains([name for name in names if name not in {*loading, *failed}], loading, failed)

    def load(self, name: str) -> Domain:
        """Return a domain.

        Raises:
            ValueError: it is unknown, or its dataset or teacher cannot be loaded.
        """
        known_domain(self.folders, name)
        if name in self._loaded:  # without the lock: another domain may take a minute to load
            return self._loaded[name]
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load_or_recall(name)
            return self._loaded[name]

    def _load_or_recall(self, name: str) -> Domain:
        """Load a domain, unless that failed a moment ago: else each request for a broken one would read it all."""
        if (failure := self._recent_failure(name)) is not None:
            raise failure
        try:
            with large_objects():
                return self._load(name)
        except (ValueError, OSError) as error:
            self._failed[name] = (time.monotonic(), error)
            raise

    def _recent_failure(self, name: str) -> ValueError | OSError | None:
        """Return why a domain could not be loaded a moment ago; None where it may be tried."""
        failure = self._failed.get(name)
        if failure is None or time.monotonic() - failure[0] >= _AGAIN_S:
            return None
        return failure[1].with_traceback(None)

    def _load(self, name: str) -> Domain:
        if name == NO_DOMAIN:
            _ = self.recommender.engine  # raises here where a model cannot decode without a catalog
            return Domain(name, self.recommender)
        recommender = self.recommender.with_catalog(self.folders[name], self._trie_cache)
        _ = recommender.engine  # raises here where the catalog cannot be decoded
        catalog = recommender.catalog
        assert catalog is not None
        reader = make_reader(self._reads, recommender, self._encoder)
        if isinstance(reader, RequestReader):
            reader.prepare()
        weights = read_weights(recommender.source, name)
        expectations = Expectations.of(recommender, catalog, self._teacher_of(name), weights)
        recommender.teacher = expectations.teacher
        return Domain(name, recommender, reader, expectations)
