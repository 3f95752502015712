"""Run files of external systems: a TREC run, a table of user and item, or JSON lines -> one list of ids per user."""

import csv
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from train_utils.characters import shown
from train_utils.files.json_files import json_value
from train_utils.files.text_files import text_lines

# Names of columns in lower case, without underscores and dashes.
USER_NAMES = ("user", "userid", "uid", "reviewerid", "customerid", "qid", "queryid")
ITEM_NAMES = ("item", "itemid", "iid", "movieid", "productid", "bookid", "asin", "parentasin", "docid", "docno")
SCORE_NAMES = ("score", "rating", "prediction", "relevance")
TIME_NAMES = ("timestamp", "time", "datetime", "date")  # accepted for MovieLens' ratings.csv, and ignored
_FORMS = (
    "lines of: user Q0 item rank score tag (TREC); or user and item, with or without a score, between tabs or "
    'commas; or {"user": ..., "items": [...]}'
)


class RankedItem(NamedTuple):
    """Item of a user's list. Items are sorted by descending score, then ascending rank, then line."""

    item: str
    score: float = 0.0
    rank: int = 0


Line = tuple[str, list[RankedItem]]  # a user, and items of the user


@dataclass(frozen=True)
class RunFile:
    """Lists of an external system.

    Attributes:
        lists: ids for every requested user, best first; empty for users that are not in the file.
        missing: requested users that are not in the file.
        unknown_users: users of the file that were not requested.
    """

    lists: dict[str, list[str]]
    missing: tuple[str, ...]
    unknown_users: tuple[str, ...]


def read_run(path: str | Path, users: Collection[str]) -> RunFile:
    """Load the lists of `users`. The first line determines the form of the file.

    TREC runs and tables with scores are sorted by descending score, as trec_eval does. Tables without scores and JSON
    lines keep their order. Ids are not checked: the file may list an item twice, or an item that is not in the catalog.

    Args:
        path: the run file.
        users: ids of the requested users.

    Raises:
        ValueError: the file is empty, of no known form, broken (the error gives the line), or has none of the users.
        OSError: the file cannot be read.
    """
    items_by_user = _read(Path(path))
    if items_by_user.keys().isdisjoint(users):
        raise ValueError(
            f"{path} has none of the {len(users)} users asked for (as {next(iter(users), None)!r}), but "
            f"others (as {shown(next(iter(items_by_user)))}); write the user ids of the dataset"
        )
    # Sorting is stable: equal items keep the order of the file.
    lists = {
        user: [
            entry.item for entry in sorted(items_by_user.get(user, ()), key=lambda entry: (-entry.score, entry.rank))
        ]
        for user in users
    }
    return RunFile(
        lists,
        tuple(user for user in users if user not in items_by_user),
        tuple(user for user in items_by_user if user not in lists),
    )


def _read(path: Path) -> dict[str, list[RankedItem]]:
    """Load every user's items in the order of the file."""
    items_by_user: dict[str, list[RankedItem]] = {}
    parse: Callable[[str], Line] | None = None
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        try:
            if parse is None:
                parse, is_header = _form(line)
                if is_header:
                    continue
            user, entries = parse(line)
            if parse is _json_line and user in items_by_user:
                raise ValueError(f"a second list for user {shown(user)}; write one a user")
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        items_by_user.setdefault(user, []).extend(entries)
    if not items_by_user:
        raise ValueError(f"{path} names no user; wanted {_FORMS}")
    return items_by_user


def _form(line: str) -> tuple[Callable[[str], Line], bool]:
    """Return the parser of a file with this first line, and whether the line is a header."""
    if line.lstrip().startswith("{"):
        return _json_line, False
    if re.match(r"\s*\[\s*([\[{\"]|\]?\s*$)", line):  # an id may start with a bracket too
        raise ValueError(
            'a JSON array; wanted JSON lines: one {"user": ..., "items": [...]} a line, without the array around them'
        )
    words = line.split()
    if len(words) == 6 and words[1].upper() == "Q0":
        return _trec_line, False
    delimiter = "\t" if "\t" in line else ","
    fields = _fields(line, delimiter)
    columns = _columns(fields)
    if len(fields) not in (2, 3) and not columns:
        raise ValueError(f"{line.strip()[:60]!r} is of no known form; wanted {_FORMS}")
    order = columns or ("user", "item", "score")[: len(fields)]
    return partial(_table_line, delimiter=delimiter, order=order), bool(columns)


def _columns(fields: list[str]) -> tuple[str, ...]:
    """Return the kind of each column (user, item, score, rank or time) of a header; empty if `fields` are no header.

    Raises:
        ValueError: a column is of another kind, or two columns are of the same kind.
    """
    # RecBole writes user_id:token.
    names = [re.sub("[-_ ]", "", field.split(":")[0].lower()) for field in fields]
    # The user column identifies a header; the possible names of an item column are too many to list.
    if len(names) < 2 or not any(name in USER_NAMES for name in names):
        return ()
    kinds = {
        **dict.fromkeys(USER_NAMES, "user"),
        **dict.fromkeys(ITEM_NAMES, "item"),
        **dict.fromkeys(SCORE_NAMES, "score"),
        **dict.fromkeys(TIME_NAMES, "time"),
        "rank": "rank",
    }
    columns = tuple(kinds.get(name, "item" if name.endswith("id") else "") for name in names)
    if "item" not in columns:
        return ()
    for field, kind in zip(fields, columns, strict=True):
        if not kind or columns.count(kind) > 1:
            raise ValueError(
                f"the column {shown(field)} is {'a second ' + kind if kind else 'of no known kind'}; wanted "
                f"user, item, and {', '.join(SCORE_NAMES)}, rank or timestamp"
            )
    return columns


def _trec_line(line: str) -> Line:
    words = line.split()
    if len(words) != 6:
        raise ValueError(f"{len(words)} fields, wanted six: user Q0 item rank score tag")
    user, _, item, rank, score, _ = words
    return user, [RankedItem(item, _number(score), _rank(rank))]


def _table_line(line: str, delimiter: str, order: tuple[str, ...]) -> Line:
    fields = _fields(line, delimiter)
    if len(fields) != len(order) or not all(fields):
        raise ValueError(f"{sum(map(bool, fields))} filled fields, wanted {len(order)} as in the first line")
    cell = dict(zip(order, fields, strict=True))
    score = _number(cell["score"]) if "score" in cell else 0.0
    return cell["user"], [RankedItem(cell["item"], score, _rank(cell.get("rank", "0")))]


def _json_line(line: str) -> Line:
    try:
        record = json_value(line)
    except ValueError as error:
        raise ValueError(f"no JSON object ({getattr(error, 'msg', error)}); wanted one a line") from None
    if not isinstance(record, dict) or not {"user", "items"} <= record.keys() or not isinstance(record["items"], list):
        raise ValueError('wanted an object with "user" and a list "items"')
    for value in (record["user"], *record["items"]):
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"an id is {shown(value)}, wanted text or a whole number")
    return str(record["user"]), [RankedItem(str(item)) for item in record["items"]]


def _fields(line: str, delimiter: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line.strip("\r\n")], delimiter=delimiter, strict=True))]


def _rank(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ValueError(f"the rank is {shown(text)}, wanted a whole number of 0 or more")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        # Infinite scores mark items that must not be listed, and have no order among them.
        raise ValueError(f"the score is {shown(text)}, wanted a finite number; leave out what is not to be listed")
    return value
