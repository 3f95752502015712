"""Title matching: unconstrained text -> catalog items.

A model without the constraint may write any title, and a model without control tokens writes its list as plain text.
Titles must match exactly. Near matches are reported separately.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extractOne

NEAR = 3  # maximum edits, as in the published evaluation
_NUMBER = re.compile(r"(?:(?<=\s)|^)[*_]*(\d{1,3})[.)]\s")
# A repetition that goes on over lines, or that can start anywhere in white space, would read a text again and again.
_BULLET = re.compile(r"^[^\S\n]*[-*\u2022][^\S\n]+(\S.*)$", re.MULTILINE)
_MARKED = re.compile(r"^(?:\*\*|__)(.+?)(?:\*\*|__)|^[\"\u201c](.+?)[\"\u201d]")
_REMARK = re.compile(r"\s[-\u2013\u2014]\s")  # no colon, because titles have colons
_ROOM = 200  # characters before and after a title that are no part of it
_AROUND = ' \t\r\n*_`"\u201c\u201d,;'


@dataclass(frozen=True)
class Named:
    """Title as a model wrote it.

    Attributes:
        text: the text of the title.
        item: the item with exactly this title, None for no item.
        near: `item` if there is one, else the item with the nearest title, ignoring case, within `NEAR` edits that
            change fewer than half of the text's characters; None for no item.
        edits: number of edits between the text and the title of `near`; None without `near`.
    """

    text: str
    item: int | None = None
    near: int | None = None
    edits: int | None = None


class TitleReader:
    """Reader that maps written titles to catalog items.

    Args:
        titles: the catalog's titles, in item order; the first item wins for equal titles.
    """

    def __init__(self, titles: Sequence[str]):
        self.by_title: dict[str, int] = {}
        for item, title in enumerate(titles):
            self.by_title.setdefault(title, item)
        self._folded = [title.casefold() for title in titles]
        self._longest = max(map(len, self._folded), default=0) + NEAR

    def read(self, text: str) -> Named:
        """Match one title. Only the first line counts: an unclosed title is followed by other text."""
        text = text.strip().partition("\n")[0].rstrip()
        if (item := self.by_title.get(text)) is not None:
            return Named(text, item, item, 0)
        if len(text) > self._longest:  # case folding shortens no text
            return Named(text)
        # Fewer than half of the characters: three edits turn any short title into any other.
        allowed = max(0, min(NEAR, (len(text) - 1) // 2))
        nearest = extractOne(text.casefold(), self._folded, scorer=Levenshtein.distance, score_cutoff=allowed)
        return Named(text) if nearest is None else Named(text, None, nearest[2], int(nearest[1]))

    def read_list(self, text: str) -> list[Named]:
        """Match the titles of a plain-text list: entries numbered from 1, on one or more lines, else bulleted lines.

        Quotes, emphasis and a remark after a title ("Heat (1995) - a heist") are stripped.
        """
        return [self._read_entry(entry) for entry in _entries(text)]

    def _read_entry(self, entry: str) -> Named:
        # What is longer than a title, what surrounds it and a remark on it names no title.
        readings = [self.read(reading) for reading in _readings(entry[: self._longest + _ROOM])]
        return min(readings, key=lambda named: (named.item is None, NEAR + 1 if named.edits is None else named.edits))


def _entries(text: str) -> Iterator[str]:
    """Yield the text after each number 1, 2, 3, ..., up to the next number or the end of the line."""
    starts: list[re.Match] = []
    for match in _NUMBER.finditer(text):
        if int(match[1]) == len(starts) + 1:
            starts.append(match)
    if not starts:
        yield from (match[1] for match in _BULLET.finditer(text))
        return
    ends = [match.start() for match in starts[1:]] + [len(text)]
    for match, end in zip(starts, ends, strict=True):
        if first := text[match.end() : end].strip().partition("\n")[0].rstrip():
            yield first


def _readings(entry: str) -> list[str]:
    """Return the possible titles of an entry, the whole entry first."""
    readings = [entry.strip(), entry.strip(_AROUND)]
    if marked := _MARKED.match(entry.strip()):
        readings.append((marked[1] or marked[2]).strip(_AROUND))
    readings += [entry[: remark.start()].rstrip().strip(_AROUND) for remark in _REMARK.finditer(entry)]
    return [reading for reading in dict.fromkeys(readings) if reading] or [entry]
