"""JSON values of a text, one by one, in bounded memory and linear time; broken ones are skipped."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator

from train_utils.files.text_files import MAX_LINE

BROKEN_VALUE = object()  # stands where an invalid value starts

_SEPARATORS = re.compile("[\\]},: \n\r\t\ufeff]*")
_SEPARATORS_AND_LIST = re.compile("[\\]},: \n\r\t\ufeff]*\\[?[\\]},: \n\r\t\ufeff]*")
_NESTED = re.compile(r'(?:[\[{]\s*(?:"[^"\\]*"\s*:\s*)?)*')  # opening brackets of nested objects and lists
MAX_VALUE = MAX_LINE  # characters; a longer value is left out, but the objects in it are read
_PART = 1 << 17  # characters in memory, where no value needs more
# Characters that may be read in vain, as an object in a broken value may be broken too: so many, and so many times
# those of the text. A failure costs some time whatever its length.
_WASTE, _WASTE_RATIO, _LEAST_WASTE = 64 << 20, 8, 1 << 12
CUT_OFF = "the file ends inside a record"
BROKEN = "a record that is not JSON, left out"
LONG = f"a value of more than {MAX_VALUE >> 20} million characters, read piece by piece"
GIVEN_UP = "too much of it is broken, the rest is left out"


def json_values(
    chunks: Iterator[str], unreadable: Counter[str], is_whole: Callable[[object], bool]
) -> Iterator[object]:
    """Yield the JSON values of a text one by one, and `BROKEN_VALUE` where an invalid one starts.

    Values may be separated by white space, commas, or nothing. Only the outermost list is opened: inner lists are
    values.

    Args:
        chunks: the text.
        unreadable: counts the values that are broken or too long, by reason.
        is_whole: value after a broken one -> whether it is no part of the broken one.
    """
    decoder = json.JSONDecoder(strict=False, parse_int=_whole_number)
    text = _Text(chunks)
    begun = broken = False
    while text.skip(_SEPARATORS if begun and not broken else _SEPARATORS_AND_LIST):
        begun = True
        try:
            value, end = decoder.raw_decode(text.part, text.at)
        except json.JSONDecodeError as error:
            at_end = error.msg.startswith("Unterminated string") or error.pos >= len(text.part) - 16
            if at_end and text.double():
                continue
            reason = BROKEN if not at_end else LONG if text.is_full else CUT_OFF
            end, read = text.at + 1, (len(text.part) if at_end else error.pos) - text.at
        except RecursionError:
            nested = _NESTED.match(text.part, text.at)
            assert nested is not None  # it matches every text
            reason, end, read = BROKEN, nested.end(), len(text.part) - text.at
        else:
            broken = broken and not is_whole(value)
            text.move(end)
            yield value
            continue
        if not broken:
            unreadable[reason] += 1
            yield BROKEN_VALUE
        broken = True
        if not text.may_waste(read):
            unreadable[GIVEN_UP] += 1
            return
        start = text.part.find("{", end)
        text.move(len(text.part) if start < 0 else start)


class _Text:
    """Text of which a part is in memory, and a position in it.

    Args:
        chunks: the text.

    Attributes:
        part: the part in memory; longer than `_PART` characters only while a value needs it.
        at: position in the part.
    """

    def __init__(self, chunks: Iterator[str]):
        self.part, self.at = "", 0
        self._chunks = chunks
        self._returned: list[str] = []  # what is left of a long part, in parts, the first one last
        self._characters = self._wasted = 0

    @property
    def is_full(self) -> bool:
        """Whether the rest of the part is as long as a value may be."""
        return len(self.part) - self.at >= MAX_VALUE

    def move(self, at: int) -> None:
        """Move to a position of the part, and shorten a long part."""
        self.at = at
        if len(self.part) > 4 * _PART:
            rest = [self.part[start : start + _PART] for start in range(at, len(self.part), _PART)]
            self._returned += reversed(rest)
            self.part, self.at = "", 0

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """Move after a match of the pattern, which may be empty; return False at the end of the text."""
        while True:
            match = pattern.match(self.part, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.part):
                return True
            if (following := self._next()) is None:
                return False
            self.part, self.at = following, 0

    def double(self) -> bool:
        """Read on until the rest of the part is twice as long; return False if it is full or the text ends."""
        if self.is_full:
            return False
        parts = [self.part[self.at :]]
        length = before = len(parts[0])
        while length < min(2 * before, MAX_VALUE) and (following := self._next()) is not None:
            parts.append(following)
            length += len(following)
        self.part, self.at = "".join(parts), 0
        return length > before

    def may_waste(self, read: int) -> bool:
        """Count characters that were read in vain; return whether reading may continue."""
        self._wasted += max(read, _LEAST_WASTE)
        return self._wasted <= _WASTE + _WASTE_RATIO * self._characters

    def _next(self) -> str | None:
        if self._returned:
            return self._returned.pop()
        chunk = next(self._chunks, None)
        self._characters += len(chunk or "")
        return chunk


def _whole_number(digits: str) -> int | str:
    """Return a number; digits that Python would refuse to convert stay text."""
    return int(digits) if len(digits) < 4000 else digits
