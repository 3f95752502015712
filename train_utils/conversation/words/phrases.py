"""Patterns that read as English: a phrase of a table, next to an example of what it matches."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from train_utils.conversation.words import lexicon
from train_utils.conversation.words.annotations import GAP, MASK, SPAN

# What words in capitals stand for in every phrase, besides the lists of the lexicon.
_NAMES = {
    "TITLE": SPAN,  # any annotated span
    "MASK": MASK,
    "FEW": rf"(?:{SPAN}|[^.!?;{MASK}]){{0,40}}?",
    "WHO": r"(?:i|we|he|she|they|everyone|everybody|people|(?:my|our|his|her|the|half\s+the|two)\s+\w+)",
    "ME": r"(?:me|us|him|her|them|everyone|everybody|(?:my|our|his|her|their|the)\s+(?:whole\s+|entire\s+)?\w+)",
    "MY": r"(?:my|our|his|her|their|your|the)",
    "NEVER": r"(?:never|not|cannot|\w+n'?t)",
}


@cache
def _words(name: str) -> str:
    return _NAMES.get(name) or lexicon.any_of(vars(lexicon)[name])


def phrase(text: str, names: Mapping[str, str] | None = None) -> str:
    r"""Return the regular expression of a phrase, such as "made ME (so )?(cry|laugh)".

    A phrase is a regular expression in which a space is any white space, a parenthesis captures nothing, " ... "
    stands for a few words of the clause, "~" for what is neither a word nor annotated, and words in capitals are
    names: TITLE is an annotated span of a masked message, WHO, ME and MY are people, NEVER denies, and lists of the
    lexicon such as NOUNS stand for one of them.

    Args:
        text: the phrase.
        names: expressions of further names.

    Raises:
        KeyError: a name is unknown.
        ValueError: a space is repeated, which would repeat all white space.
    """
    if repeated := re.search(r" [?*+{]", text):
        raise ValueError(f"phrase {text!r} repeats a space ({repeated[0]!r}), wanted \\s there")
    names = names or {}
    grouped = re.sub(r"(?<!\\)\((?!\?)", "(?:", text)
    spaced = grouped.replace(" ... ", r"\bFEW\b").replace(" ", r"\s+").replace("~", GAP)
    return re.sub("[A-Z]{2,}(?:_[A-Z]+)*", lambda name: names.get(name[0]) or _words(name[0]), spaced)


@dataclass(frozen=True)
class Phrases:
    """Table of phrases, of which the first that matches counts. A test matches each with its example.

    Attributes:
        examples: example -> the phrase that matches it. What an example has in brackets is masked.
        names: expressions of names in these phrases.
    """

    examples: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def pattern(self) -> str:
        """Regular expression of the table."""
        return "|".join(phrase(text, self.names) for text in self.examples.values())

    def compiled(self) -> re.Pattern[str]:
        """Return the compiled pattern of the table, for any case."""
        return re.compile(self.pattern, re.IGNORECASE)
