"""Log of a run: one JSON line per record, and the same numbers for TensorBoard."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from train_utils.files.json_files import json_value


class RunLog:
    """Writer of `log.jsonl` and the folder `tensorboard` of a run.

    Records contain no time, so that the log of an interrupted and resumed run equals that of an uninterrupted one.

    Args:
        run: folder of the run.
        first: first step of this session; records of this step and later ones are deleted and written again.
        tensorboard: whether to write a TensorBoard log too.
    """

    def __init__(self, run: Path, first: int, tensorboard: bool):
        self.path, self.times = run / "log.jsonl", run / "times.jsonl"
        self._board = None
        run.mkdir(parents=True, exist_ok=True)
        _cut(self.path, first)
        _cut(self.times, first)
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError:
                raise ValueError(
                    "package tensorboard is missing; pip install '.[train]' in the project's folder, or give "
                    "`tensorboard=False`"
                ) from None

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=first)

    def write(self, step: int, numbers: Mapping[str, float], speed: float | None = None) -> None:
        """Append a record.

        Args:
            step: step of the record.
            numbers: numbers by name.
            speed: samples per second, for TensorBoard only.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")
        if self._board is not None:
            for name, value in {**numbers, **({"samples_per_s": speed} if speed else {})}.items():
                self._board.add_scalar(name, value, step)

    def write_time(self, step: int, seconds: float) -> None:
        """Append the time of a step to `times.jsonl`; apart from the log, which is equal for equal runs."""
        with self.times.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "seconds": round(seconds, 4)}) + "\n")

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def _cut(path: Path, first: int) -> None:
    """Truncate the file before the first line of step `first` or later, or the first that is no record."""
    if not path.exists():
        return
    kept = 0
    with path.open("rb") as file:
        for line in file:
            try:
                record = json_value(line.decode())
            except ValueError:
                break
            step = record.get("step") if isinstance(record, dict) else None
            if not isinstance(step, int) or step >= first:
                break
            kept += len(line)
    os.truncate(path, kept)
