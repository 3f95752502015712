"""Run one stage of a pipeline, or say that its outputs are up to date.

    python scripts/stage.py NAME --state DIR --input PATH ... --code FILE ... --value KEY=VALUE --output PATH ... \\
        -- COMMAND

`--code` names Python files and shell scripts that count with every file of this project that they can import or call;
scripts that COMMAND names count as well. A stage is up to date when
DIR/NAME.json holds the fingerprint of the same command, values and input contents, and every output is as that run left
it. Otherwise the command runs, and only its success writes the record: a stage that is killed leaves none, so the same
line goes on. Exit status: the command's own (128 + signal if a signal ended it), 2 for a wrong call.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import ast
import glob
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Digest = Callable[[Path], str]

_SKIPPED_FOLDER = "__pycache__"
_CACHED_BYTES = 1 << 20  # digests of files from here on are remembered by size and time of change
_CACHE_NAME = "digests.cache"


@dataclass(frozen=True)
class Stage:
    """One stage as the command line gives it."""

    name: str
    state: Path
    inputs: tuple[str, ...]  # paths or glob patterns; folders count with everything below them
    values: tuple[str, ...]  # KEY=VALUE
    outputs: tuple[Path, ...]
    command: tuple[str, ...]

    @property
    def record(self) -> Path:
        return self.state / f"{self.name}.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    try:
        stage = parse(sys.argv[1:] if argv is None else argv)
        stage.state.mkdir(parents=True, exist_ok=True)
        with digest_cache(stage.state / _CACHE_NAME) as digest:
            mark = fingerprint(stage, digest)
            done = up_to_date(stage, mark, digest)
        if done is not None:
            day = done["finished_at"][:10]
            print(f"[{stage.name}] up to date (took {done['seconds']:.1f} s on {day})", flush=True)
            return 0
        return run_and_record(stage, mark)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while comparing files; a running command gets the signal itself
        return 128 + signal.SIGINT


def parse(argv: Sequence[str]) -> Stage:
    """Command line -> Stage; argparse ends the program with one line and status 2 on a wrong call."""
    parser = argparse.ArgumentParser(
        description="Run a pipeline stage unless its outputs are up to date.",
        usage="%(prog)s NAME --state DIR [options] -- COMMAND ...",
    )
    parser.add_argument("name", metavar="NAME", help="letters, digits, '.', '_', '-'")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.add_argument("--input", nargs="+", action="extend", default=[], metavar="PATH_OR_GLOB")
    parser.add_argument("--code", nargs="+", action="extend", default=[], type=Path, metavar="FILE")
    parser.add_argument("--value", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output", nargs="+", action="extend", default=[], type=Path, metavar="PATH")
    split = list(argv).index("--") if "--" in argv else len(argv)
    options = parser.parse_args(argv[:split])
    command = tuple(argv[split + 1 :])
    if not command:
        parser.error("no command: put it behind `--`")
    if not re.fullmatch(r"[\w][\w.-]*", options.name):
        parser.error(f"stage name {options.name!r} must consist of letters, digits, '.', '_' and '-'")
    for value in options.value:
        if "=" not in value:
            parser.error(f"--value {value!r} must read KEY=VALUE")
    scripts = [Path(word) for word in command if word.endswith(".sh") and os.path.isfile(word)]
    return Stage(
        name=options.name,
        state=options.state,
        inputs=(*options.input, *sorted(path.as_posix() for path in code_files([*options.code, *scripts]))),
        values=tuple(sorted(options.value)),
        outputs=tuple(options.output),
        command=command,
    )


def read_seconds(state_dir: str | Path) -> dict[str, float]:
    """Seconds of every finished stage recorded in the folder, in the order they finished."""
    records = filter(None, (_read_json(path) for path in Path(state_dir).glob("*.json")))
    return {record["name"]: record["seconds"] for record in sorted(records, key=lambda r: r["finished_at"])}


def fingerprint(stage: Stage, digest: Digest) -> str:
    """SHA-256 over the command, the values, and the names and contents of all inputs.

    Raises ValueError for an input that does not exist.
    """
    parts = ["command", *stage.command, "values", *stage.values, "inputs"]
    for path in input_files(stage.inputs):
        parts += [path.as_posix(), digest(path)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def input_files(patterns: Sequence[str]) -> list[Path]:
    """All files behind the paths and patterns, folders taken recursively, each once and sorted."""
    found: set[Path] = set()
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
        if not matches:
            raise ValueError(f"input {pattern} does not exist: correct it, or run the stage that makes it")
        for match in map(Path, matches):
            found.update(_files_below(match) if match.is_dir() else [match])
    return sorted(found)


def code_files(entries: Sequence[Path]) -> set[Path]:
    """The files of `entries`, and those of the working directory that they use, directly or not: what Python files
    import and read, and the shell scripts that shell scripts call."""
    found: set[Path] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            if path.is_file() and path.suffix in (".py", ".sh"):
                waiting += imported_files(path) if path.suffix == ".py" else called_scripts(path)
    return found


def called_scripts(path: Path) -> list[Path]:
    """The shell scripts that a shell script names by their path from the working directory, comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if not line.lstrip().startswith("#")]
    named = re.findall(r"[\w./-]+\.sh\b", "\n".join(lines))
    return [place for place in map(Path, sorted(set(named))) if place.is_file() and place != path]


def imported_files(path: Path) -> list[Path]:
    """The project's files that a Python file imports, inside its functions too, and files of data beside it that it
    names: modules by their name from the working directory, or from the file's own folder, as a script finds its
    siblings.

    Raises ValueError for a file that is not Python.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not Python ({' '.join(str(error).split())}); correct it") from None
    places: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                places += _places(alias.name.split("."), path)
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            for name in ([], *([alias.name] for alias in node.names)):
                if node.level:
                    # One dot is the file's folder, each further one the folder above.
                    above = path.parent.joinpath(*[".."] * (node.level - 1))
                    places += _module_places(Path(os.path.normpath(above)), [*base, *name])
                else:
                    places += _places([*base, *name], path)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__", "run_module"):
            places += [place for text in _texts(node) for place in _places(text.split("."), path)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILE_NAME.fullmatch(node.value):
            places.append(path.parent / node.value)
    return sorted({place for place in places if place.is_file()})


_FILE_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


def _places(parts: list[str], path: Path) -> list[Path]:
    return [place for root in (Path(), path.parent) for place in _module_places(root, parts)]


def _module_places(root: Path, parts: list[str]) -> list[Path]:
    """Where a module may be: importing it runs the packages that it is in."""
    if not all(part.isidentifier() for part in parts):
        return []
    packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts) + 1)]
    return [*packages[root == Path() :], *([root.joinpath(*parts).with_suffix(".py")] if parts else [])]


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _texts(call: ast.Call) -> list[str]:
    return [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def up_to_date(stage: Stage, mark: str, digest: Digest) -> dict[str, Any] | None:
    """The stage's record if it still holds, else None."""
    record = _read_json(stage.record)
    if record is None or record.get("fingerprint") != mark:
        return None
    for path in stage.outputs:
        if not path.exists() or record["outputs"].get(str(path)) != describe_output(path, digest):
            return None
    return record


def describe_output(path: Path, digest: Digest) -> dict[str, Any]:
    """What a record keeps of an output: size and content of a file; names and sizes in a folder."""
    if path.is_file():
        return {"size": path.stat().st_size, "sha256": digest(path)}
    entries = [[file.relative_to(path).as_posix(), file.stat().st_size] for file in _files_below(path)]
    return {
        "size": sum(size for _, size in entries),
        "names_sha256": hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest(),
    }


def run_and_record(stage: Stage, mark: str) -> int:
    """Run the command; if it succeeds and its outputs exist, write the record. Returns the exit status."""
    stage.record.unlink(missing_ok=True)  # from here on the outputs may be half of something
    print(f"[{stage.name}] {shlex.join(stage.command)}", flush=True)
    start = time.monotonic()
    status = run(stage.command)
    seconds = time.monotonic() - start
    if status:
        again = "run the same command again to go on"
        print(f"error: stage {stage.name} failed (status {status}); {again}", file=sys.stderr)
        return status
    for path in stage.outputs:
        if not path.exists():
            raise ValueError(f"stage {stage.name} ended well but left no {path}: its command must write it")
    with digest_cache(stage.state / _CACHE_NAME) as digest:
        outputs = {str(path): describe_output(path, digest) for path in stage.outputs}
    record = {
        "name": stage.name,
        "fingerprint": mark,
        "seconds": round(seconds, 3),
        "outputs": outputs,
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    _write_json(stage.record, record)
    print(f"[{stage.name}] done in {seconds:.1f} s", flush=True)
    return 0


def run(command: Sequence[str]) -> int:
    """Run the command in a process group of its own, with our output; returns its exit status.

    SIGINT and SIGTERM go on to the group and make the status 128 + signal, even if the command then ends
    well: it was told to stop early. If this process is killed outright, the group is killed as well.
    """
    received: list[int] = []
    # A group in the background that reads the terminal would be stopped for ever.
    stdin = subprocess.DEVNULL if os.isatty(0) else None
    with guarded_group() as group:

        def forward(number: int, _frame: object) -> None:
            received.append(number)
            os.killpg(group, number)

        previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            child = subprocess.Popen(command, process_group=group, stdin=stdin)
            if received:  # it came before there was anybody to tell
                os.killpg(group, received[0])
            status = child.wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    if received:
        return 128 + received[0]
    return 128 - status if status < 0 else status


@contextmanager
def guarded_group() -> Iterator[int]:
    """A new process group that dies with us: its leader waits on a pipe that only our death closes early."""
    watch = "trap '' INT TERM; read -r _ || kill -KILL 0"
    guard = subprocess.Popen(["sh", "-c", watch], stdin=subprocess.PIPE, process_group=0)
    try:
        yield guard.pid
    finally:
        guard.communicate(b"done\n")


@contextmanager
def digest_cache(path: Path) -> Iterator[Digest]:
    """SHA-256 of files; those of big files are kept in `path` by name, size and time of change."""
    known = _read_json(path) or {}
    before = dict(known)

    def digest(file: Path) -> str:
        status = file.stat()
        if status.st_size < _CACHED_BYTES:
            return _sha256(file)
        name, state = str(file.absolute()), [status.st_size, status.st_mtime_ns]
        if known.get(name, [None])[:2] != state:
            known[name] = [*state, _sha256(file)]
        return known[name][2]

    yield digest
    if known != before:
        _write_json(path, known)


def _files_below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != _SKIPPED_FOLDER]
        yield from (Path(root, name) for name in files)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any] | None:
    """The file's object; None if there is no file, or one that was cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write beside the final name, then move there in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
