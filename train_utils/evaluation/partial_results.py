"""Partial results, written batch by batch next to the result file, so that an interrupted test resumes."""

import glob
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from accelerate import PartialState
from tqdm import tqdm

from train_utils.evaluation.result_reader import is_number
from train_utils.files.atomic import write_text
from train_utils.files.json_files import json_value


class HasUser(Protocol):
    @property
    def user(self) -> str: ...


Row = TypeVar("Row", bound=HasUser)
Record = dict[str, Any]  # as JSON holds it


def run_resumable(
    batches: Sequence[Sequence[Row]],
    work: Callable[[Sequence[Row]], Sequence[Record]],
    output: Path,
    made_from: Mapping[str, object],
    processes: PartialState,
    name: str,
    is_record: Callable[[Record], bool] = lambda record: True,
) -> tuple[dict[str, Record], float]:
    """Apply `work` to each batch, resuming from partial results.

    Every process works on its share of the batches and returns the records of all processes.

    Args:
        batches: the same batches in every process and at every start, independent of progress; users are unique.
        work: batch -> one record per row, with the user under "user".
        output: the result file; `<output>.partial.<process>` are kept next to it until `delete_partials`.
        made_from: manifest; records of other settings, inputs or packages are discarded. Records of another commit are
            kept: most commits do not change results, and each partial file's manifest has its commit.
        processes: the processes of the run.
        name: label of the progress bar.
        is_record: whether a record of a partial file is one that `work` returns; a file ends before another one.

    Returns:
        user -> record, and the seconds of work over all processes and starts.
    """
    done, _ = _read(output, made_from, is_record)
    own = _partial(output, processes.process_index)
    if processes.process_index == 0:
        for path in _partials(output):
            if not _same(next(_lines(path), None), made_from):
                path.unlink()
    processes.wait_for_everyone()
    # Rewritten, to drop a line that a killed run left incomplete.
    mine: list[Mapping[str, object]] = list(_records(own, is_record)) if own.exists() else []
    write_text(own, "".join(map(_line, mine or [made_from])))
    shared = batches[processes.process_index :: processes.num_processes]
    with own.open("a", encoding="utf-8") as file:
        for rows in tqdm(shared, desc=name, unit="batch", mininterval=5, disable=not processes.is_local_main_process):
            if all(row.user in done for row in rows):
                continue
            started = time.perf_counter()
            records = work(rows)
            spent: Record = {"seconds": time.perf_counter() - started, "users": len(rows)}
            file.writelines(map(_line, [*records, spent]))
            file.flush()
            os.fsync(file.fileno())
    processes.wait_for_everyone()
    return _read(output, made_from, is_record)


def delete_partials(output: Path, processes: PartialState) -> None:
    """Delete the partial results of `run_resumable`, after the result file is written."""
    processes.wait_for_everyone()
    if processes.is_main_process:
        for path in _partials(output):
            path.unlink()


def _partial(output: Path, process: int) -> Path:
    output = Path(os.path.realpath(output))  # a link and its target are one output
    output.parent.mkdir(parents=True, exist_ok=True)
    return output.with_name(f"{output.name}.partial.{process}")


def _partials(output: Path) -> list[Path]:
    output = Path(os.path.realpath(output))
    return sorted(output.parent.glob(f"{glob.escape(output.name)}.partial.*"))


def _line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _lines(path: Path) -> Iterator[Record]:
    """Yield the records of a file, up to a line that a killed run left incomplete, or that is no JSON object."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json_value(line) if line.endswith("\n") else None
            except ValueError:
                return
            if not isinstance(record, dict):
                return
            yield record


def _records(path: Path, is_record: Callable[[Record], bool]) -> Iterator[Record]:
    """Yield the manifest of a partial file and its records, up to one that is none."""
    for number, record in enumerate(_lines(path)):
        if number and not (_is_time(record) or isinstance(record.get("user"), str) and is_record(record)):
            return
        yield record


def _is_time(record: Record) -> bool:
    return "user" not in record and is_number(record.get("seconds"), 0)


def earlier_commits(output: Path, made_from: Mapping[str, object]) -> list[str]:
    """Return the other commits at which the partial files of `run_resumable` were begun."""
    begun = {str((next(_lines(path), None) or {}).get("commit")) for path in _partials(output)}
    return sorted(begun - {str(made_from.get("commit"))})


def _same(kept: Record | None, made_from: Mapping[str, object]) -> bool:
    """Return whether a partial file, given its first line, belongs to this test."""

    def identity(made: Mapping[str, object]) -> dict[str, object]:
        return {k: v for k, v in made.items() if k != "commit"}

    return kept is not None and identity(kept) == identity(json.loads(json.dumps(made_from)))


def _read(
    output: Path, made_from: Mapping[str, object], is_record: Callable[[Record], bool]
) -> tuple[dict[str, Record], float]:
    done: dict[str, Record] = {}
    seconds = 0.0
    for path in _partials(output):
        lines = _records(path, is_record)
        if not _same(next(lines, None), made_from):
            continue
        for record in lines:
            if "user" in record:
                done[str(record["user"])] = record
            else:
                seconds += float(record["seconds"])
    return done, seconds
