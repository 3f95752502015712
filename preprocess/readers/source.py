"""Where a dump is, and how its columns are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Raw data of a run.

    Attributes:
        folder: folder of the files.
        category: name of an Amazon category; "" for the only one of the folder.
        events: file of events, where the format takes any file.
        items: file of items, where the format takes any file.
        columns: role ("user", "item", "time", "rating", "title", "category", "description") -> name of its column, as
            far as they are given.
        date_order: order of the day and the month of dates such as 03/01/2024, "day-first" or "month-first"; "" for
            that of the column.
    """

    folder: Path
    category: str = ""
    events: Path | None = None
    items: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    date_order: str = ""


def first_file(folder: Path, names: Sequence[str], home: str) -> Path:
    """Return the first file of these names that a folder holds, gzip or plain.

    Raises:
        FileNotFoundError: it holds none.
    """
    for name in names:
        for suffix in (".gz", ""):
            if (path := folder / f"{name}{suffix}").is_file():
                return path
    raise FileNotFoundError(f"{folder / names[0]}.gz is not there; download it from {home} to that folder")
