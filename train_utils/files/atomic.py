"""Atomic writes, locks and checksums of files. Standard library only."""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import IO

_UMASK = os.umask(0)  # can only be read by setting it
os.umask(_UMASK)
# Replaces today's date in chat templates that write one, in training, tests and the chat alike. It is the fallback date
# of Llama's own templates. Manifests record it.
PROMPT_DATE = date(2024, 7, 26)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file next to `path`; make it durable and rename it to `path` when the block succeeds.

    Temporary files that killed processes left of `path` are deleted first.

    Args:
        path: the file to replace; of a link, its target is replaced.
    """
    path = Path(os.path.realpath(path))  # a link stays, its target is replaced
    with _writing_next_to(path), _named_where_full(path):
        handle, temporary = tempfile.mkstemp(_TEMPORARY, f".{path.name}.", path.parent)
        os.close(handle)
        try:
            yield Path(temporary)
            os.chmod(temporary, 0o666 & ~_UMASK)  # only its owner may read a temporary file
            _sync(Path(temporary))
            os.replace(temporary, path)
            _sync(path.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def discard_left_over(path: str | Path) -> None:
    """Delete the temporary files and folders that killed processes left of `path`."""
    with _writing_next_to(Path(os.path.realpath(path))):
        pass


@contextmanager
def replacing_folder(folder: str | Path, keep: Callable[[str], bool] = lambda name: False) -> Iterator[Path]:
    """Yield a temporary folder next to `folder`; make it durable and move it to `folder` when the block succeeds.

    Old and new folder are exchanged in one step where the file system supports it, so that a killed run leaves one of
    them. Elsewhere the old folder is moved aside first, and the next writer restores it.

    Args:
        folder: the folder to replace.
        keep: name of an entry of the old folder -> whether it is copied to the new folder, unless that has such an
            entry.

    Raises:
        ValueError: `folder` is a file.
    """
    final = Path(os.path.realpath(folder))  # a link stays, its target is replaced
    if final.exists() and not final.is_dir():
        raise ValueError(f"{folder} is a file, wanted a folder; give another path")
    with _writing_next_to(final), _named_where_full(final):
        made = [_temporary_folder(final)]
        try:
            yield made[0]
            _keep(final, made[0], keep)
            for path in [*made[0].rglob("*"), made[0]]:
                _sync(path)
                share(path)
            if final.exists() and not _exchange(made[0], final):
                made.append(_temporary_folder(final))
                final.rename(made[1] / _OLD)
            if not final.exists():
                made[0].rename(final)
            _sync(final.parent)
        finally:
            for left in made:
                _discard(left, final)


_TEMPORARY = ".tmp"
_OLD = ".replaced"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _temporary_folder(final: Path) -> Path:
    return Path(tempfile.mkdtemp(_TEMPORARY, f".{final.name}.", final.parent))


@contextmanager
def _writing_next_to(final: Path) -> Iterator[None]:
    """Make the parent folder, discard what killed writers of `final` left in it, and hold a lock on it.

    Every writer shares a lock on the folder, which the system releases when the process dies. A writer that gets the
    lock for itself is alone, so that the temporary files of `final` are of dead processes. Where others are writing, or
    the file system has no locks, the temporary files stay for a later writer.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _tidy(final)
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        with suppress(OSError):  # a child process may hold the folder open longer than we do
            fcntl.flock(folder, fcntl.LOCK_UN)
        os.close(folder)


@contextmanager
def _named_where_full(path: Path) -> Iterator[None]:
    """Name a file or folder in the error that the disk is full: the system does not say what was written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        reason = f"{error.strerror}; free some space, or give another path"
        raise OSError(error.errno, reason, str(path)) from None


def _tidy(final: Path) -> None:
    """Discard the temporary files and folders of `final`, whose processes are dead."""
    name = re.compile(rf"\.{re.escape(final.name)}\.[a-z0-9_]{{8}}{re.escape(_TEMPORARY)}")
    with os.scandir(final.parent) as entries:
        left = [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    for path in left:
        _discard(path, final)


def _discard(left: Path, final: Path) -> None:
    """Delete a temporary file or folder; restore the folder that was moved aside into it."""
    if left.is_symlink() or not left.is_dir():
        left.unlink(missing_ok=True)
        return
    if (left / _OLD).is_dir() and not final.exists():
        (left / _OLD).rename(final)
    shutil.rmtree(left, ignore_errors=True)


def _keep(old: Path, new: Path, keep: Callable[[str], bool]) -> None:
    for path in sorted(old.iterdir()) if old.is_dir() else ():
        if keep(path.name) and not (new / path.name).exists():
            if path.is_dir():
                shutil.copytree(path, new / path.name, symlinks=True)
            else:
                shutil.copy2(path, new / path.name, follow_symlinks=False)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one step; return False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return (
        rename is not None
        and rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0
    )


def share(path: Path) -> None:
    """Give a file or folder the permissions of the umask.

    Temporary files, and the weights that safetensors writes, are readable only by their owner.
    """
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_UMASK)


@contextmanager
def writing_file(path: str | Path, option: str, is_ours: Callable[[object], bool]) -> Iterator[None]:
    """Lock a JSON file that is about to be written; see `exclusively`.

    Args:
        path: the file.
        option: the option that names it, for errors.
        is_ours: JSON value of an existing file -> whether this command wrote it.

    Raises:
        ValueError: `path` is a folder, was written by another command, is locked by another process, or cannot be
            written.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"`{option}` is the folder {path}, wanted a file, such as {path / 'result.json'}")
    with exclusively(path):
        if path.exists():
            try:
                ours = is_ours(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, RecursionError):
                ours = False
            if not ours:
                raise ValueError(
                    f"`{option}` is {path}, which another command wrote; give another `{option}`, or delete it"
                )
        yield


@contextmanager
def exclusively(path: str | Path, option: str = "output") -> Iterator[None]:
    """Lock `path`, a file or folder that is about to be written, against other processes that call this function.

    The parent folder is created. The lock is a hidden file next to the resolved path, so that a link and its target are
    one output. The system releases it when the process dies.

    Args:
        path: the file or folder.
        option: the option that names it, for errors.

    Raises:
        ValueError: another process holds the lock, or the path cannot be written.
    """
    path = Path(path)
    real = Path(os.path.realpath(path))
    lock = real.with_name(f".{real.name}.lock")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(lock)
    except BlockingIOError:
        raise ValueError(
            f"{path} is being written by another process; wait for it, or give another `{option}`"
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}); give another `{option}`") from None
    try:
        yield
    finally:
        if is_open_at(handle.fileno(), lock):  # not the lock of a folder that was made again meanwhile
            lock.unlink(missing_ok=True)
        handle.close()


def is_open_at(handle: int, path: str | Path, folder: int | None = None) -> bool:
    """Return whether an open file is still the one at a path: it may have been moved or deleted.

    Args:
        handle: descriptor of the file.
        path: the path; a link is followed.
        folder: descriptor of the folder that a relative path begins at; None for the working directory.
    """
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, dir_fd=folder))
    except OSError:
        return False


def _locked(lock: Path) -> IO[str]:
    """Return the lock's open file.

    The previous holder deletes the lock file, so the opened file may be gone once it is locked; then try again.
    """
    while True:
        handle = lock.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_open_at(handle.fileno(), lock):
                return handle
        except OSError:
            handle.close()
            raise
        handle.close()


def _sync(path: Path) -> None:
    """Make the bytes of a file, or the entries of a folder, durable.

    A link is skipped: it is an entry of its folder.
    """
    if path.is_symlink():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: object, indent: int | None = 1) -> None:
    """Write a JSON value and a final newline to `path` atomically.

    Args:
        path: the file.
        value: the value.
        indent: spaces per level; None writes one line.
    """
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
