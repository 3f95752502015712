"""Atomic writes and run manifests. Standard library only."""

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO

_UMASK = os.umask(0)  # can only be read by setting it
os.umask(_UMASK)
# The date that chat templates which write today's date are given, in training, tests and the chat alike: the one that
# Llama's own templates fall back on. Manifests name it.
PROMPT_DATE = date(2024, 7, 26)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` to write into; made durable and renamed to `path` when the block ends well."""
    path = Path(os.path.realpath(path))  # a link stays, and what it leads to is replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(temporary)
        os.chmod(temporary, 0o666 & ~_UMASK)  # a temporary file is its owner's alone
        _sync(Path(temporary))
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(folder: str | Path, keep: Callable[[str], bool] = lambda name: False) -> Iterator[Path]:
    """A temporary folder next to `folder` to write into; made durable and put in its place when the block ends well.

    Old and new change places in one step where the file system can do that, so that a killed run leaves one of them.
    Where it cannot, the old one is put aside first, and the next writer puts it back.

    Args:
        keep: name of an entry of the old folder -> whether the new one gets a copy, where it has no such entry.

    Raises:
        ValueError: `folder` is a file.
    """
    final = Path(os.path.realpath(folder))  # behind a link, which stays
    if final.exists() and not final.is_dir():
        raise ValueError(f"{folder} is a file, wanted a folder; give another path")
    final.parent.mkdir(parents=True, exist_ok=True)
    _tidy(final)
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    try:
        yield temporary
        _keep(final, temporary, keep)
        for path in [*temporary.rglob("*"), temporary]:
            _sync(path)
            share(path)
        if not final.exists():
            temporary.rename(final)
        elif not _exchange(temporary, final):
            final.rename(Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent)) / _OLD)
            temporary.rename(final)
        _sync(final.parent)
    finally:
        _tidy(final)


_OLD = ".replaced"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _tidy(final: Path) -> None:
    """Puts back what a killed run had put aside, and deletes the temporary folders of `final`."""
    name = re.compile(rf"\.{re.escape(final.name)}\.[a-z0-9_]{{8}}")  # not those of a folder with a longer name
    for left in [path for path in final.parent.iterdir() if name.fullmatch(path.name) and path.is_dir()]:
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


def _exchange(one: Path, other: Path) -> bool:
    """Lets two paths change places in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return (
        rename is not None and rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )


def share(path: Path) -> None:
    """Gives a file or folder the rights of the umask: temporary ones are their owner's alone, and so are the weights
    that safetensors writes."""
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_UMASK)


@contextmanager
def writing_file(path: str | Path, flag: str, is_ours: Callable[[object], bool]) -> Iterator[None]:
    """Holds a JSON file that is about to be written; see `exclusively`.

    Args:
        flag: the command's flag that names it. is_ours: what an earlier file holds -> whether the command wrote it.

    Raises:
        ValueError: `path` is a folder, something the command did not write, held by another process, or cannot be
            written.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{flag} is the folder {path}, wanted a file, such as {path / 'result.json'}")
    with exclusively(path):
        if path.exists():
            try:
                ours = is_ours(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, RecursionError):
                ours = False
            if not ours:
                raise ValueError(f"{flag} is {path}, which another command wrote; give another {flag}, or delete it")
        yield


@contextmanager
def exclusively(path: str | Path) -> Iterator[None]:
    """Holds `path`, a file or folder that is about to be written, against every other process that asks for it.

    The folder above is made. The lock is a hidden file next to what `path` leads to, so that a link and its target are
    one output; the system lets go of it when its process dies.

    Raises:
        ValueError: another process holds it, or nothing can be written there.
    """
    path = Path(path)
    real = Path(os.path.realpath(path))
    lock = real.with_name(f".{real.name}.lock")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(lock)
    except BlockingIOError:
        raise ValueError(f"{path} is being written by another process; wait for it, or give another --output") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}); give another --output") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        handle.close()


def _locked(lock: Path) -> IO[str]:
    """The lock's open file. Whoever held it deletes the file, so that the one that was opened may be gone by then."""
    while True:
        handle = lock.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.fstat(handle.fileno()).st_ino == lock.stat().st_ino:
                return handle
        except OSError:
            handle.close()
            raise
        handle.close()


def _sync(path: Path) -> None:
    """Makes a file's bytes, or the names in a folder, durable; a link is one of those names."""
    if path.is_symlink():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes `content` to `path`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` to `path`, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: object, indent: int | None = 1) -> None:
    """Writes a JSON value and a final newline to `path`, atomically; without `indent` on one line."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def digest(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
