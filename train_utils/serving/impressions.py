"""Log of what a server recommended and what users did with it: JSON lines, written in a thread of its own.

Users are in it as salted hashes, and their texts never are. The records: docs/feedback.md.
"""

import hmac
import json
import logging
import math
import os
import queue
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from train_utils.constraint.item_rules import ItemRules
from train_utils.files.atomic import exclusively
from train_utils.impression_files import FEEDBACK, LIST, numbered_files, read_records
from train_utils.serving.record_files import FILE_BYTES, RecordFiles

logger = logging.getLogger(__name__)

_QUEUED = 10_000  # records that wait for the disk: some MB, and minutes of lists on the fastest model
_BATCH = 256  # records per write, so that a sync is shared
_KNOWN_LISTS = 50_000  # lists that feedback may name: days of a small server; 100 items each are 50 MB
_SALT_BYTES = 32
_PSEUDONYM = 32  # hexadecimal digits: 128 bits, so that no two users share one
_NAME, _SIGNATURE = 32, 16  # hexadecimal digits of a list's name, and of the signature after them
_DIGEST = 12  # hexadecimal digits of rules, as many as of catalog versions


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Item of a list.

    Attributes:
        item_id: id of the item.
        score: the model's log-probability of the item among the admissible ones, prior included.
        log_probability: log-probability with which the item was drawn at its position; 0 where nothing was drawn.
    """

    item_id: str
    score: float
    log_probability: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Impression:
    """A list that was recommended.

    Attributes:
        recommendation_id: names the list in feedback.
        kind: "list" of `/v1/recommend`, or "chat".
        domain: name of the catalog.
        catalogue_version: digest of its items.
        model: name of the model.
        variant: name of the variant; None without variants.
        user: pseudonym of the user; None for a request without a user.
        items: the items, by position.
        admissible: number of items that the rules and the history admit.
        rules: digest of the rules.
        history: ids of the items that the user consumed, oldest first.
        decoding: how titles were found.
        max_history: number of newest items that the model saw; None for a chat.
        prior_weight: weight of the teacher's scores, where it was set; None for the model's own.
        explore: temperature at which the list was drawn; 0 where the most probable items were listed.
        seed: seed of the draw; None without one.
        candidates: number of items that the list was drawn from; None without a draw.
        greedy: ids of the list without the draw; None without one.
    """

    recommendation_id: str
    kind: str
    domain: str
    catalogue_version: str
    model: str
    variant: str | None
    user: str | None
    items: Sequence[Placed]
    admissible: int
    rules: str
    history: Sequence[str]
    decoding: str
    max_history: int | None = None
    prior_weight: float | None = None
    explore: float = 0.0
    seed: int | None = None
    candidates: int | None = None
    greedy: Sequence[str] | None = None

    def record(self, with_history: bool) -> dict[str, object]:
        """Return the record of the log."""
        items = [
            {"item_id": item.item_id, "position": position, "score": _rounded(item.score)}
            | {"log_probability": item.log_probability}
            for position, item in enumerate(self.items, 1)
        ]
        whole = sum(item.log_probability for item in self.items)
        own = {name: value for name, value in vars(self).items() if name != "history"}
        kept = {"history": list(self.history)} if with_history else {}
        return {
            "record": LIST,
            "time": _now(),
            **own,
            "items": items,
            "log_probability": whole,
            "history_length": len(self.history),
            **kept,
        }


class KnownLists:
    """The newest lists, which feedback may name. Its methods may be called from any thread.

    Args:
        most: number of lists that are kept.
    """

    def __init__(self, most: int = _KNOWN_LISTS):
        self._most = most
        self._items: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, recommendation_id: str, item_ids: Iterable[str]) -> None:
        """Add items to a list."""
        with self._lock:
            self._items[recommendation_id] = (*self._items.get(recommendation_id, ()), *item_ids)
            if len(self._items) > self._most:
                self._items.popitem(last=False)

    def items(self, recommendation_id: str) -> tuple[str, ...] | None:
        """Return the items of a list; None for an unknown one."""
        return self._items.get(recommendation_id)


class ImpressionLog:
    """Log in a folder that has one writer at a time; see `open_impressions`.

    Args:
        folder: the folder, which exists.
        salt: secret of the pseudonyms.
        with_history: whether records hold the ids of users' histories.
        most_bytes: bytes that the folder's files may hold together; further records are dropped.
        file_bytes: bytes after which a new file begins.

    Attributes:
        known: lists that feedback may name.
        written: records written so far.
        dropped: records lost so far, because the disk was too slow or full, or `most_bytes` was reached.
    """

    def __init__(self, folder: Path, salt: bytes, *, with_history: bool, most_bytes: int, file_bytes: int = FILE_BYTES):
        self._folder, self._salt, self._with_history = folder, salt, with_history
        self._files = RecordFiles(folder, most_bytes, file_bytes)
        self.known = KnownLists()
        for recommendation_id, item_ids in _newest_lists(list(numbered_files(folder).values())):
            self.known.add(recommendation_id, item_ids)
        self.written = self.dropped = 0
        self._lock = threading.Lock()
        self._warned = False
        self._queue: queue.Queue[Mapping[str, object] | None] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._work, name="impressions", daemon=True)
        self._thread.start()

    # -- callers ---------------------------------------------------------------------------------------------------

    def new_list(self) -> str:
        """Return the name of a new list, by which every server with this salt recognizes it as a server's."""
        name = uuid4().hex
        return name + self._signature(name)

    def signed(self, recommendation_id: str) -> bool:
        """Return whether a server with this salt gave a list its name, such as another replica."""
        name, signature = recommendation_id[:_NAME], recommendation_id[_NAME:]
        return hmac.compare_digest(self._signature(name).encode(), signature.encode("utf-8", "surrogatepass"))

    def _signature(self, name: str) -> str:
        content = b"list " + name.encode("utf-8", "surrogatepass")
        return hmac.new(self._salt, content, sha256).hexdigest()[-_SIGNATURE:]  # pseudonyms are the first digits

    def pseudonym(self, user: str) -> str | None:
        """Return the salted hash of a user's name; None for ""."""
        name = user.encode("utf-8", "surrogatepass")
        return hmac.new(self._salt, name, sha256).hexdigest()[:_PSEUDONYM] if name else None

    def add(self, impression: Impression) -> None:
        """Record a list; its items were added to `known` before, at the latest when the user got them."""
        self._enqueue(impression.record(self._with_history))

    def add_feedback(
        self, recommendation_id: str, item_id: str, event: str, value: float | None = None, at: datetime | None = None
    ) -> None:
        """Record what a user did with an item of a list.

        Args:
            recommendation_id: the list.
            item_id: the item.
            event: one of `train_utils.impression_files.EVENTS`.
            value: such as a price or a rating.
            at: when it happened, if not now.
        """
        record: dict[str, object] = {"record": FEEDBACK, "time": _now(), "recommendation_id": recommendation_id}
        record |= {"item_id": item_id, "event": event, "value": value}
        self._enqueue(record | ({"at": at.isoformat()} if at else {}))

    def _enqueue(self, record: Mapping[str, object]) -> None:
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._drop(1, "the disk is too slow")

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    # -- the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < _BATCH:
                    batch.append(self._queue.get_nowait())
            is_open = None not in batch
            records = [record for record in batch if record is not None]
            try:
                lines = [json.dumps(record, default=vars, allow_nan=False).encode() + b"\n" for record in records]
                self._files.append(lines)
                self.written += len(lines)
            except (OSError, ValueError) as error:
                self._drop(len(records), str(error))
        self._files.close()

    def _drop(self, n: int, reason: str) -> None:
        with self._lock:
            self.dropped += n
            warned, self._warned = self._warned, True
        if not warned:
            logger.warning("records of %s are lost: %s (said once; /metrics counts them)", self._folder, reason)


@contextmanager
def open_impressions(folder: str | Path, *, with_history: bool, most_bytes: int) -> Iterator[ImpressionLog]:
    """Open the log in a folder, which is made, and close it after the block.

    Args:
        folder: the folder.
        with_history: as in `ImpressionLog`.
        most_bytes: as in `ImpressionLog`.

    Raises:
        ValueError: another process writes into the folder, it cannot be written, or its salt is broken.
    """
    folder = Path(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"`impressions` {folder} cannot be made ({error.strerror}); give another folder") from None
    with exclusively(folder / "impressions", "impressions"):
        log = ImpressionLog(folder, _salt(folder / "salt"), with_history=with_history, most_bytes=most_bytes)
        try:
            yield log
        finally:
            log.close()


def rules_digest(*rules: ItemRules) -> str:
    """Return a digest of item rules; equal rules have equal digests."""
    content = json.dumps([asdict(one) for one in rules], sort_keys=True, default=str)
    return sha256(content.encode()).hexdigest()[:_DIGEST]


def _salt(path: Path) -> bytes:
    """Return the salt in a file, which is made."""
    if not path.exists():
        temporary = path.with_name(".salt.tmp")
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(_SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    try:
        with path.open() as file:
            salt = bytes.fromhex(file.read(4 * _SALT_BYTES))
    except ValueError:
        salt = b""
    if len(salt) != _SALT_BYTES:
        raise ValueError(
            f"{path} is no salt of {2 * _SALT_BYTES} hexadecimal digits; restore it, or delete it: then every user "
            "gets a new pseudonym"
        )
    return salt


def _newest_lists(files: Sequence[Path]) -> list[tuple[str, list[str]]]:
    """Return the newest lists of a log as (recommendation_id, item ids), oldest first, as many as are known."""
    lists: list[tuple[str, list[str]]] = []
    for file in reversed(files):
        of_file = [
            (str(record.get("recommendation_id")), _item_ids(record))
            for record in read_records([file], Counter())
            if record["record"] == LIST
        ]
        lists = of_file + lists
        if len(lists) >= _KNOWN_LISTS:
            break
    return lists[-_KNOWN_LISTS:]


def _item_ids(record: Mapping[str, object]) -> list[str]:
    items = record.get("items")
    items = items if isinstance(items, list) else []
    return [str(item["item_id"]) for item in items if isinstance(item, dict) and "item_id" in item]


def _rounded(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None  # JSON has no infinities


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
