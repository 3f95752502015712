"""Run one stage of a pipeline, or report that its outputs are up to date.

    python scripts/stage.py NAME --state DIR --input PATH ... --code FILE ... --value KEY=VALUE --output PATH ... \\
        -- COMMAND

`--code` names Python files and shell scripts; each is an input together with every project file that it can import or
call. Scripts that COMMAND names are inputs too. A stage is up to date when DIR/NAME.json holds the fingerprint of the
same command, values and input contents, and every output is unchanged since that run. Otherwise the command runs, and
only its success writes the record. A killed stage leaves no record, so the same command line resumes it. Exit status:
the command's own (128 + signal if a signal ended it), 2 for a wrong call.

Standard library only: it runs before packages are installed.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Digest = Callable[[Path], str]

_SKIPPED_FOLDER = "__pycache__"
_CACHED_BYTES = 1 << 20  # digests of files of this size or more are cached by size and modification time
_LONGEST_SECONDS = 1e9  # of a stage; more is no time that was measured
_CACHE_NAME = "digests.cache"


@dataclass(frozen=True)
class Stage:
    """Stage of a pipeline, as given on the command line.

    Attributes:
        name: name of the stage.
        state: folder of the records.
        inputs: paths or glob patterns; a folder stands for every file in it.
        values: KEY=VALUE texts.
        outputs: files or folders that the command writes.
        command: the command and its arguments.
    """

    name: str
    state: Path
    inputs: tuple[str, ...]
    values: tuple[str, ...]
    outputs: tuple[Path, ...]
    command: tuple[str, ...]

    @property
    def record(self) -> Path:
        return self.state / f"{self.name}.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
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
    except KeyboardInterrupt:  # while files are compared; a running command receives the signal itself
        return 128 + signal.SIGINT


def parse(argv: Sequence[str]) -> Stage:
    """Parse the command line; a wrong call ends the program with one line and status 2."""
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
        parser.error("no command; put it after `--`")
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
    """Return the seconds of every finished stage recorded in a folder, in the order of completion."""
    records = [record for path in Path(state_dir).glob("*.json") if (record := _read_record(path))]
    return {record["name"]: record["seconds"] for record in sorted(records, key=lambda r: r["finished_at"])}


def fingerprint(stage: Stage, digest: Digest) -> str:
    """Return the SHA-256 of the command, the values, and the names and contents of all inputs.

    Raises:
        ValueError: an input does not exist.
    """
    parts = ["command", *stage.command, "values", *stage.values, "inputs"]
    for path in input_files(stage.inputs):
        parts += [path.as_posix(), digest(path)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def input_files(patterns: Sequence[str]) -> list[Path]:
    """Return all files that paths and patterns match, folders recursively, each once and sorted.

    Raises:
        ValueError: a path or pattern matches no file.
    """
    files: set[Path] = set()
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
        if not matches:
            raise ValueError(f"input {pattern} does not exist: correct it, or run the stage that makes it")
        for match in map(Path, matches):
            files.update(_files_below(match) if match.is_dir() else [match])
    return sorted(files)


def code_files(entries: Sequence[Path]) -> set[Path]:
    """Return the files of `entries` and the files of the working directory that they use, directly or indirectly.

    Python files use the files that they import or read; shell scripts use the shell scripts that they call.
    """
    files: set[Path] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path not in files:
            files.add(path)
            if path.is_file() and path.suffix in (".py", ".sh"):
                waiting += imported_files(path) if path.suffix == ".py" else called_scripts(path)
    return files


def called_scripts(path: Path) -> list[Path]:
    """Return the shell scripts that a shell script names by their path from the working directory, outside comments."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if not line.lstrip().startswith("#")]
    named = re.findall(r"[\w./-]+\.sh\b", "\n".join(lines))
    return [script for script in map(Path, sorted(set(named))) if script.is_file() and script != path]


def imported_files(path: Path) -> list[Path]:
    """Return the project files that a Python file imports, also in functions, and adjacent data files that it names.

    Modules are resolved from the working directory, and from the file's own folder, as a script resolves its siblings.

    Raises:
        ValueError: the file is not Python.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not Python ({' '.join(str(error).split())}); correct it") from None
    candidates: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                candidates += _candidates(alias.name.split("."), path)
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            for name in ([], *([alias.name] for alias in node.names)):
                if node.level:
                    # One dot is the file's folder, each further dot the parent folder.
                    above = path.parent.joinpath(*[".."] * (node.level - 1))
                    candidates += _module_candidates(Path(os.path.normpath(above)), [*base, *name])
                else:
                    candidates += _candidates([*base, *name], path)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__", "run_module"):
            candidates += [module for text in _texts(node) for module in _candidates(text.split("."), path)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILE_NAME.fullmatch(node.value):
            candidates.append(path.parent / node.value)
    return sorted({path for path in candidates if path.is_file()})


_FILE_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


def _candidates(parts: list[str], path: Path) -> list[Path]:
    return [module for root in (Path(), path.parent) for module in _module_candidates(root, parts)]


def _module_candidates(root: Path, parts: list[str]) -> list[Path]:
    """Return the possible files of a module and of its packages, which its import runs."""
    if not all(part.isidentifier() for part in parts):
        return []
    packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts) + 1)]
    return [*packages[root == Path() :], *([root.joinpath(*parts).with_suffix(".py")] if parts else [])]


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _texts(call: ast.Call) -> list[str]:
    return [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def up_to_date(stage: Stage, mark: str, digest: Digest) -> dict[str, Any] | None:
    """Return the stage's record if it is still valid, or None."""
    record = _read_record(stage.record)
    if record is None or record.get("fingerprint") != mark:
        return None
    for path in stage.outputs:
        if not path.exists() or record["outputs"].get(str(path)) != describe_output(path, digest):
            return None
    return record


def _read_record(path: Path) -> dict[str, Any] | None:
    """Return a record of `run_and_record`; None if the file is missing or another one."""
    match record := _read_json(path):
        case {"name": str(), "fingerprint": str(), "seconds": int() | float() as seconds, "outputs": dict()} if (
            0 <= seconds < _LONGEST_SECONDS and isinstance(record.get("finished_at"), str)
        ):
            return record
    return None


def describe_output(path: Path, digest: Digest) -> dict[str, Any]:
    """Return a record's entry for an output: size and digest of a file, or names and sizes in a folder."""
    if path.is_file():
        return {"size": path.stat().st_size, "sha256": digest(path)}
    entries = [[file.relative_to(path).as_posix(), file.stat().st_size] for file in _files_below(path)]
    return {
        "size": sum(size for _, size in entries),
        "names_sha256": hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest(),
    }


def run_and_record(stage: Stage, mark: str) -> int:
    """Run the command; write the record if it succeeds and its outputs exist.

    Returns:
        The exit status.

    Raises:
        ValueError: the command succeeded without writing an output.
    """
    stage.record.unlink(missing_ok=True)  # from now on the outputs may be incomplete
    print(f"[{stage.name}] {shlex.join(stage.command)}", flush=True)
    start = time.monotonic()
    status = run(stage.command)
    seconds = time.monotonic() - start
    if status:
        again = "run the same command again to continue"
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
    """Run a command in its own process group, with our output, and return its exit status.

    SIGINT and SIGTERM are forwarded to the group and make the status 128 + signal, even if the command then succeeds,
    because it was stopped early. If this process is killed, the group is killed too.
    """
    received: list[int] = []
    # A background group that reads the terminal would be stopped forever.
    stdin = subprocess.DEVNULL if os.isatty(0) else None
    with guarded_group() as group:

        def forward(number: int, _frame: object) -> None:
            received.append(number)
            os.killpg(group, number)

        previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            child = subprocess.Popen(command, process_group=group, stdin=stdin)
            if received:  # the signal arrived before the child existed
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
    """Yield a new process group that dies with this process: its leader reads a pipe that closes early only then."""
    watch = "trap '' INT TERM; read -r _ || kill -KILL 0"
    guard = subprocess.Popen(["sh", "-c", watch], stdin=subprocess.PIPE, process_group=0)
    try:
        yield guard.pid
    finally:
        guard.communicate(b"done\n")


@contextmanager
def digest_cache(path: Path) -> Iterator[Digest]:
    """Yield a function that returns the SHA-256 of a file.

    Digests of large files are cached in `path` by name, size and modification time.
    """
    known = _read_json(path) or {}
    before = dict(known)

    def digest(file: Path) -> str:
        status = file.stat()
        if status.st_size < _CACHED_BYTES:
            return _sha256(file)
        name, state = str(file.absolute()), [status.st_size, status.st_mtime_ns]
        match known.get(name):
            case [size, changed, str(sha256)] if [size, changed] == state:
                return sha256
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
    """Return the object of a JSON file; None if the file is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file by one rename.

    The temporary name is fixed, so that the next write replaces what a killed process left; writers take turns.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no such locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main())
