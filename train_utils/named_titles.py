"""Titles of a catalogue that stand in a text to the letter."""

from collections.abc import Sequence
from functools import cached_property

_FIRST = 4  # characters by which titles are looked up


class NamedTitles:
    """Finds the items whose titles a text names: whole words, capitals as they are, the longest title at each place.

    A title of one character is too common a word to be one.
    """

    def __init__(self, titles: Sequence[str]):
        self.titles = titles

    @cached_property
    def _by_beginning(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for item in sorted(range(len(self.titles)), key=lambda item: -len(self.titles[item])):
            if len(self.titles[item]) > 1:
                found.setdefault(self.titles[item][:_FIRST], []).append(item)
        return found

    def find(self, text: str) -> list[int]:
        """Item indices in the order of the text, each once; of items that share a title all."""
        found: dict[int, None] = {}
        at = 0
        while at < len(text):
            items = self._at(text, at) if at == 0 or not text[at - 1].isalnum() else []
            found |= dict.fromkeys(items)
            at += len(self.titles[items[0]]) if items else 1
        return list(found)

    def _at(self, text: str, at: int) -> list[int]:
        """The items whose title, the longest that fits, stands at a place of the text."""
        fitting = [item for n in range(2, _FIRST + 1) for item in self._by_beginning.get(text[at:at + n], ())
                   if (n == _FIRST or len(self.titles[item]) == n) and text.startswith(self.titles[item], at)
                   and not text[at + len(self.titles[item]):][:1].isalnum()]
        longest = max((len(self.titles[item]) for item in fitting), default=0)
        return sorted(item for item in fitting if len(self.titles[item]) == longest)
