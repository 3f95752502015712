"""Rankings of an outside system: a TREC run, a table of user and item, or JSON lines -> a list of ids a user."""

import csv
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from train_utils.text_files import json_value, text_lines

# Names of columns, without their case, underscores and dashes.
USER_NAMES = ("user", "userid", "uid", "reviewerid", "customerid", "qid", "queryid")
ITEM_NAMES = ("item", "itemid", "iid", "movieid", "productid", "bookid", "asin", "parentasin", "docid", "docno")
SCORE_NAMES = ("score", "rating", "prediction", "relevance")
TIME_NAMES = ("timestamp", "time", "datetime", "date")  # MovieLens' own ratings.csv has one; a list does not need it
_FORMS = (
    "lines of: user Q0 item rank score tag (TREC); or user and item, with or without a score, between tabs or "
    'commas; or {"user": ..., "items": [...]}'
)


class RankedItem(NamedTuple):
    """One item of a user. The higher score comes first; of equal ones the smaller rank, then the earlier line."""

    item: str
    score: float = 0.0
    rank: int = 0


Line = tuple[str, list[RankedItem]]  # a user, and items of that user


@dataclass(frozen=True)
class RunFile:
    """What an outside system ranked.

    Attributes:
        lists: ids for every user that was asked for, best first; empty for one that the file lacks.
        missing: users that the file lacks. unknown_users: users of the file that nobody asked for.
    """

    lists: dict[str, list[str]]
    missing: tuple[str, ...]
    unknown_users: tuple[str, ...]


def read_run(path: str | Path, users: Collection[str]) -> RunFile:
    """Reads the lists of `users`; the first line tells the form of the file.

    TREC runs and tables with scores are put in descending order of score, as trec_eval does; a table without scores
    and JSON lines keep their order. Ids are taken as they stand: the file may name an item twice, or one that a
    catalog lacks.

    Raises:
        ValueError: a file that is empty, of no known form, broken (the line is named), or without any of the users.
        OSError: it cannot be read.
    """
    found = _read(Path(path))
    if found.keys().isdisjoint(users):
        raise ValueError(
            f"{path} has none of the {len(users)} users asked for (as {next(iter(users), None)!r}), but "
            f"others (as {next(iter(found))!r}); write the user ids of the dataset"
        )
    # Sorting is stable: what is equal stays in the order of the file.
    lists = {
        user: [place.item for place in sorted(found.get(user, ()), key=lambda place: (-place.score, place.rank))]
        for user in users
    }
    return RunFile(
        lists, tuple(user for user in users if user not in found), tuple(user for user in found if user not in lists)
    )


def _read(path: Path) -> dict[str, list[RankedItem]]:
    """Every user's items in the order of the file."""
    found: dict[str, list[RankedItem]] = {}
    parse: Callable[[str], Line] | None = None
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        try:
            if parse is None:
                parse, is_header = _form(line)
                if is_header:
                    continue
            user, places = parse(line)
            if parse is _json_line and user in found:
                raise ValueError(f"a second list for user {user!r}; write one a user")
        except (ValueError, csv.Error, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        found.setdefault(user, []).extend(places)
    if not found:
        raise ValueError(f"{path} names no user; wanted {_FORMS}")
    return found


def _form(line: str) -> tuple[Callable[[str], Line], bool]:
    """The parser of a file with this first line, and whether the line is a header."""
    if line.lstrip().startswith("{"):
        return _json_line, False
    if re.match(r"\s*\[\s*([\[{\"]|\]?\s*$)", line):  # an id may begin with a bracket too
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
    """What each column holds (user, item, score, rank or time) by a header's names, in any order; empty for no header.

    Raises ValueError for a header with a column of another kind, or two of one kind.
    """
    # RecBole writes user_id:token.
    names = [re.sub("[-_ ]", "", field.split(":")[0].lower()) for field in fields]
    # Only a header names a user's column; names of items are too many to list.
    if len(names) < 2 or not any(name in USER_NAMES for name in names):
        return ()
    kinds = {
        **dict.fromkeys(USER_NAMES, "user"),
        **dict.fromkeys(ITEM_NAMES, "item"),
        **dict.fromkeys(SCORE_NAMES, "score"),
        **dict.fromkeys(TIME_NAMES, "time"),
        "rank": "rank",
    }
    found = tuple(kinds.get(name, "item" if name.endswith("id") else "") for name in names)
    if "item" not in found:
        return ()
    for field, kind in zip(fields, found, strict=True):
        if not kind or found.count(kind) > 1:
            raise ValueError(
                f"the column {field!r} is {'a second ' + kind if kind else 'of no known kind'}; wanted "
                f"user, item, and {', '.join(SCORE_NAMES)}, rank or timestamp"
            )
    return found


def _trec_line(line: str) -> Line:
    words = line.split()
    if len(words) != 6:
        raise ValueError(f"{len(words)} fields, wanted six: user Q0 item rank score tag")
    user, _, item, rank, score, _ = words
    if not rank.isdecimal():
        raise ValueError(f"the rank is {rank!r}, wanted a whole number of 0 or more")
    return user, [RankedItem(item, _number(score), int(rank))]


def _table_line(line: str, delimiter: str, order: tuple[str, ...]) -> Line:
    fields = _fields(line, delimiter)
    if len(fields) != len(order) or not all(fields):
        raise ValueError(f"{sum(map(bool, fields))} filled fields, wanted {len(order)} as in the first line")
    cell = dict(zip(order, fields, strict=True))
    rank = cell.get("rank", "0")
    if not rank.isdecimal():
        raise ValueError(f"the rank is {rank!r}, wanted a whole number of 0 or more")
    return cell["user"], [RankedItem(cell["item"], _number(cell["score"]) if "score" in cell else 0.0, int(rank))]


def _json_line(line: str) -> Line:
    try:
        record = json_value(line)
    except ValueError as error:
        raise ValueError(f"no JSON object ({getattr(error, 'msg', error)}); wanted one a line") from None
    if not isinstance(record, dict) or not {"user", "items"} <= record.keys() or not isinstance(record["items"], list):
        raise ValueError('wanted an object with "user" and a list "items"')
    for value in (record["user"], *record["items"]):
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"an id is {value!r}, wanted text or a whole number")
    return str(record["user"]), [RankedItem(str(item)) for item in record["items"]]


def _fields(line: str, delimiter: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line.strip("\r\n")], delimiter=delimiter, strict=True))]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        # An infinite one marks what is not to be listed, and several of them have no order.
        raise ValueError(f"the score is {text!r}, wanted a finite number; leave out what is not to be listed")
    return value
