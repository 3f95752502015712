"""Journal of a catalog's changes: JSON lines, each with a checksum, durable before a change is acknowledged.

The first line names the dataset. A line is a JSON list of the first digits of the SHA-256 of its object's text, and the
object. After each change the file is whole; a process that is killed while it writes leaves a half last line, which the
next one drops. A file that has grown long is rewritten by a thread, while changes are appended to the old one; the new
one gets them too before it takes its path.
"""

import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO

from train_utils.characters import shown
from train_utils.files.atomic import discard_left_over, exclusively, is_open_at, replacing
from train_utils.files.json_files import json_value
from train_utils.serving.catalog_ledger import Delta, Ledger

logger = logging.getLogger(__name__)

FORM = "catalog journal 1"
MAX_LINE = 256 << 20  # bytes; a change has at most the size of a request's body
# Bytes up to which a journal grows beyond twice its size after it was last rewritten: replaying so much takes seconds.
SPARE_BYTES = 4 << 20
_PART = 1000  # items of a line of a snapshot
_DIGITS = 16
_PREFIX = len('["",') + _DIGITS
_REMEDY = "restore the file, or move it away and send the catalog again"


class JournalError(OSError):
    """A change that could not be made durable, and was not made."""


class _Closed(Exception):
    """The journal is closed, so that its rewriting ends."""


class Journal:
    """Journal of one catalog, locked against other processes.

    Args:
        path: the file, which is made where there is none.
        ledger: the catalog as it was loaded; the changes of the file are applied to it.
        spare_bytes: see `SPARE_BYTES`.

    Raises:
        ValueError: the file is of another dataset, is broken, is in use, or cannot be read.
    """

    def __init__(self, path: str | Path, ledger: Ledger, spare_bytes: int = SPARE_BYTES):
        self.path, self._spare = Path(path), spare_bytes
        self._closing = ExitStack()
        self._writing = threading.Lock()  # held while the file, or its place, changes
        self._rewriter: threading.Thread | None = None
        self._closed = threading.Event()
        self._failed, self._file, self._size, self._compacted = "", -1, 0, 0
        try:
            self._closing.enter_context(exclusively(self.path))
        except ValueError as error:
            raise ValueError(
                f"{str(error).partition(';')[0]}; a journal serves one process: give another `catalogue_journal`"
            ) from None
        try:
            discard_left_over(self.path)
            if not self.path.exists() or not self.path.stat().st_size:
                self._rewrite(ledger, 0)
            else:
                self._replay(ledger)
            self._open()
        except OSError as error:
            self.close()
            raise ValueError(f"{self.path} cannot be read or written ({error.strerror}); {_REMEDY}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file; what is rewritten stays as it was."""
        self._closed.set()
        self.finish_compacting()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._closing.close()

    def append(self, ledger: Ledger, delta: Delta, digest: str) -> None:
        """Make a change durable before it is applied.

        Args:
            ledger: the catalog before the change.
            delta: the change.
            digest: digest of the catalog after it.

        Raises:
            JournalError: it could not be written; nothing of it is in the file.
        """
        number = ledger.version.number + 1
        line = _line({"version": number, "digest": digest, **ledger.record(delta)})
        if len(line) > MAX_LINE:
            raise JournalError(
                f"the change takes {len(line)} bytes of the journal, wanted {MAX_LINE}; send it in parts"
            )
        with self._writing:
            self._write(line)

    def compact(self, ledger: Ledger) -> bool:
        """Begin to rewrite the journal where it has grown long: the oldest kept version, then the changes since.

        A thread does so. Changes may be appended meanwhile. If it fails, a warning is logged and the file stays.

        Returns:
            Whether it was begun.
        """
        if self._rewriter is not None and self._rewriter.is_alive():
            return False
        if self._failed or self._size <= 2 * self._compacted + self._spare:
            return False
        self._rewriter = threading.Thread(
            target=self._rewrite_or_warn, args=(ledger.frozen(), self._size), name="journal", daemon=True
        )
        self._rewriter.start()
        return True

    def finish_compacting(self) -> None:
        """Wait until the journal is not being rewritten."""
        if self._rewriter is not None:
            self._rewriter.join()

    # -- writing -------------------------------------------------------------------------------------------------

    def _check_own(self) -> None:
        """Raise JournalError where the next start would not read what is written to the file."""
        problem = self._failed
        if not problem and not is_open_at(self._file, self.path):
            problem = "the file was moved or deleted while the server ran"
        if not problem and os.fstat(self._file).st_size != self._size:
            problem = "another program wrote to the file"
        if problem:
            raise JournalError(
                f"{self.path}: {problem}; the change was not made, restart the server to change catalogs again"
            )

    def _write(self, line: bytes) -> None:
        self._check_own()
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            self._take_back()
            raise JournalError(f"{self.path} cannot be written ({error.strerror}); the change was not made") from None
        self._size += len(line)

    def _open(self) -> None:
        """Open the file for further changes."""
        self._failed = "the file could not be opened again"
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._size = os.fstat(self._file).st_size
        self._failed = ""

    def _take_back(self) -> None:
        """Cut off what a failed write left; where that fails, nothing more is written."""
        try:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        except OSError:
            self._failed = "a change was written in part"

    def _rewrite_or_warn(self, ledger: Ledger, size: int) -> None:
        try:
            self._rewrite(ledger, size)
        except _Closed:
            pass
        except (OSError, ValueError) as error:  # what was acknowledged is in the file at the path
            logger.warning("note: %s cannot be rewritten (%s)", self.path, error)

    def _rewrite(self, ledger: Ledger, size: int) -> None:
        """Replace the first `size` bytes of the file by fewer lines, and keep what was appended since."""
        with ExitStack() as placing, replacing(self.path) as temporary, temporary.open("wb") as file:
            self._write_compact(file, ledger, size)
            compacted = file.tell()
            file.flush()
            os.fsync(file.fileno())  # so that no change waits for it below
            if size:
                placing.enter_context(self._writing)
                self._check_own()  # a file that was moved away is not put back
                placing.callback(self._open)  # also after an error: the path may be another file's already
                with self.path.open("rb") as before:
                    before.seek(size)
                    shutil.copyfileobj(before, file)
        self._compacted = compacted

    def _write_compact(self, file: IO[bytes], ledger: Ledger, size: int) -> None:
        """Write what the first `size` bytes of the file hold: the oldest kept version, and the changes since."""
        oldest, kept = ledger.versions[0], len(ledger.versions) - 1
        file.write(_line({"form": FORM, "dataset": ledger.dataset}))
        for part in _parts(ledger.delta_since_base(oldest.number)):
            if self._closed.is_set():
                raise _Closed
            file.write(_line({"version": oldest.number, "digest": "", **ledger.record(part)}))
        if oldest.number > 1:
            end: dict[str, object] = {"put": [], "restored": [], "retired": []}
            file.write(_line({"version": oldest.number, "digest": oldest.digest, **end}))
        if kept:
            with self.path.open("rb") as before:
                n_lines = sum(1 for _ in _lines_of(before, size))
                before.seek(0)
                file.writelines(islice(_lines_of(before, size), n_lines - kept, None))

    # -- reading -------------------------------------------------------------------------------------------------

    def _replay(self, ledger: Ledger) -> None:
        """Apply the changes of the file, and cut off a half last line."""
        good = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                if not line.endswith(b"\n") and len(line) <= MAX_LINE:
                    logger.warning(
                        "note: %s: line %d is half written, by a process that was killed; its change, which was never "
                        "acknowledged, is dropped", self.path, number,
                    )  # fmt: skip
                    break
                try:
                    record = _record(line)
                    if number == 1:
                        _check_head(record, ledger)
                    else:
                        _apply(record, ledger)
                except ValueError as error:
                    raise ValueError(f"{self.path} line {number}: {error}; {_REMEDY}") from None
                good += len(line)
        if not good:
            raise ValueError(f"{self.path} line 1: it is half written; {_REMEDY}")
        if good < self.path.stat().st_size:
            with self.path.open("r+b") as file:
                file.truncate(good)
                os.fsync(file.fileno())
        self._compacted = good // 2  # as if it had been rewritten a while ago


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, cut off where they exceed the limit."""
    while line := file.readline(MAX_LINE + 1):
        yield line


def _lines_of(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the lines of the first `size` bytes of a file."""
    while size > 0 and (line := file.readline()):
        size -= len(line)
        yield line


def _parts(delta: Delta) -> Iterator[Delta]:
    """Yield a delta in parts, each of which may be applied before the next."""
    places = sorted(delta.put.keys() | delta.retired)
    for start in range(0, len(places), _PART):
        part = places[start : start + _PART]
        put = {place: delta.put[place] for place in part if place in delta.put}
        yield Delta(put, delta.retired.intersection(part))


def _line(record: Mapping[str, object]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b'["%s",%s]\n' % (_checksum(text), text)


def _checksum(text: bytes) -> bytes:
    return sha256(text).hexdigest()[:_DIGITS].encode()


def _record(line: bytes) -> Mapping[str, object]:
    """Return the object of a line. Raises ValueError for a broken one."""
    text = line[_PREFIX:-2]
    if line != b'["%s",%s]\n' % (_checksum(text), text):
        raise ValueError("it is broken, its checksum is another")
    record = json_value(text.decode())
    if not isinstance(record, Mapping):
        raise ValueError("it holds no object")
    return record


def _check_head(record: Mapping[str, object], ledger: Ledger) -> None:
    if record.get("form") != FORM:
        raise ValueError(f"it is {shown(record.get('form'))}, wanted {FORM!r}")
    if record.get("dataset") != ledger.dataset:
        raise ValueError(
            f"it is of another dataset, {shown(record.get('dataset'))}, than {ledger.base.name!r}, {ledger.dataset!r}"
        )


def _apply(record: Mapping[str, object], ledger: Ledger) -> None:
    """Apply a change, and compare the catalog with what it was then."""
    number, newest = record.get("version"), ledger.version.number
    is_snapshot = len(ledger.versions) == 1
    if not isinstance(number, int) or not (number == newest + 1 or is_snapshot and number >= newest):
        raise ValueError(f"its version is {shown(number)}, wanted {newest + 1}")
    version = ledger.apply(ledger.delta_of(record), number)
    if record.get("digest") not in ("", version.digest):
        raise ValueError(f"the catalog is {version.digest} after it, wanted {shown(record.get('digest'))}")
