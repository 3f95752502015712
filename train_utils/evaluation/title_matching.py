"""Lists that nothing constrained, as text -> catalog items.

A model without the constraint may write any title, and one that does not know control symbols writes its list as plain
text. Titles count to the letter; what lies near a title is told apart, never mixed in.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extractOne

NEAR = 3  # edits that the published evaluation allows
_NUMBER = re.compile(r"(?:(?<=\s)|^)[*_]*(\d{1,3})[.)]\s")
_BULLET = re.compile(r"^\s*[-*\u2022]\s+(\S.*)$", re.MULTILINE)
_MARKED = re.compile(r"^(?:\*\*|__)(.+?)(?:\*\*|__)|^[\"\u201c](.+?)[\"\u201d]")
_REMARK = re.compile(r"\s+[-\u2013\u2014]\s+")  # no colon: titles have them
_AROUND = ' \t\r\n*_`"\u201c\u201d,;'


@dataclass(frozen=True)
class Named:
    """A title as a model wrote it.

    Attributes:
        text: what was written. item: the item whose title it is to the letter, None for no item.
        near: the item with the nearest title within `NEAR` edits that change fewer than half of the text's letters,
            capital letters aside; `item` where there is one.
        edits: how many edits away `near` is; None where nothing is near.
    """

    text: str
    item: int | None = None
    near: int | None = None
    edits: int | None = None


class TitleReader:
    """Finds the item that a written title means. titles: of the catalog, in item order; of equal ones the first."""

    def __init__(self, titles: Sequence[str]):
        self.by_title: dict[str, int] = {}
        for item, title in enumerate(titles):
            self.by_title.setdefault(title, item)
        self._folded = [title.casefold() for title in titles]

    def read(self, text: str) -> Named:
        """One title that stands alone; what stands behind its line, of one that was never closed, is no part of it."""
        text = text.strip().partition("\n")[0].rstrip()
        if (item := self.by_title.get(text)) is not None:
            return Named(text, item, item, 0)
        # Fewer than half of the letters: three edits make any short title of any other.
        allowed = max(0, min(NEAR, (len(text) - 1) // 2))
        found = extractOne(text.casefold(), self._folded, scorer=Levenshtein.distance, score_cutoff=allowed)
        return Named(text) if found is None else Named(text, None, found[2], int(found[1]))

    def read_list(self, text: str) -> list[Named]:
        """The titles of a list in plain text: numbered from 1, in lines or in one, else lines behind a dash or a star.

        Quotes and emphasis around a title, and a remark behind it ("Heat (1995) - a heist"), are no part of it.
        """
        return [self._read_entry(entry) for entry in _entries(text)]

    def _read_entry(self, entry: str) -> Named:
        readings = [self.read(reading) for reading in _readings(entry)]
        return min(readings, key=lambda one: (one.item is None, NEAR + 1 if one.edits is None else one.edits))


def _entries(text: str) -> Iterator[str]:
    """What stands behind each number, 1, 2, 3, ..., up to the next one or the end of its line."""
    starts: list[re.Match] = []
    for found in _NUMBER.finditer(text):
        if int(found[1]) == len(starts) + 1:
            starts.append(found)
    if not starts:
        yield from (found[1] for found in _BULLET.finditer(text))
        return
    ends = [found.start() for found in starts[1:]] + [len(text)]
    for found, end in zip(starts, ends, strict=True):
        if first := text[found.end() : end].strip().partition("\n")[0].rstrip():
            yield first


def _readings(entry: str) -> list[str]:
    """The entry as a title in every way that it may be meant, the whole of it first."""
    found = [entry.strip(), entry.strip(_AROUND)]
    if marked := _MARKED.match(entry.strip()):
        found.append((marked[1] or marked[2]).strip(_AROUND))
    found += [entry[: remark.start()].strip(_AROUND) for remark in _REMARK.finditer(entry)]
    return [reading for reading in dict.fromkeys(found) if reading] or [entry]
