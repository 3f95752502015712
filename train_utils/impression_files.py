"""Files of an impression log: what was recommended and what users did with it, as JSON lines. See docs/feedback.md."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from train_utils.files.json_files import read_json_lines

EVENTS = ("impression", "click", "like", "dislike", "purchase", "hide")
LIST, FEEDBACK = "list", "feedback"  # values of `record`
_NAME = re.compile(r"impressions-(\d{6,})\.jsonl")


def file_name(number: int) -> str:
    """Return the name of a file of a log by its number, from 1."""
    return f"impressions-{number:06d}.jsonl"


def file_number(name: str) -> int | None:
    """Return the number of a file of a log; None for another name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def numbered_files(folder: str | Path) -> dict[int, Path]:
    """Return the files of a log by their numbers, oldest first."""
    numbers = ((file_number(path.name), path) for path in Path(folder).iterdir())
    return dict(sorted((number, path) for number, path in numbers if number is not None))


def read_records(paths: Iterable[str | Path], rejected: Counter[str]) -> Iterator[dict[str, object]]:
    """Yield the records of logs, oldest first.

    The last line of a file may be half written where its process was killed: lines that are no record are counted and
    left out.

    Args:
        paths: folders of logs, or files of them.
        rejected: counts what is left out, by reason.

    Raises:
        ValueError: a path does not exist, or a folder holds no file of a log.
        OSError: a path cannot be read.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f"{path} does not exist; give the folder of cli_serve.py --impressions")
        files = list(numbered_files(path).values()) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"{path} holds no impressions-*.jsonl; give the folder of cli_serve.py --impressions")
        for file in files:
            for _, value in read_json_lines(file, rejected):
                if isinstance(value, dict) and value.get("record") in (LIST, FEEDBACK):
                    yield value
                else:
                    rejected["no record of a list or of feedback"] += 1
