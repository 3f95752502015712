"""Ranges of numbers other than years: "price under $20", "12+ episodes"."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from train_utils.conversation.limits.ranges import Range, compared
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import any_of
from train_utils.conversation.words.numerals import NAMES, number_of

_NUMBER = rf"[$€£]?\s*(\d{{1,12}}(?:\.\d{{1,12}})?(?![\d.]*\d)|{any_of(', '.join(NAMES))}\b)"
# Words for an attribute of the same name, and of each other name that the catalog lacks.
_RATINGS = {"rating": "rating, ratings, rated", "score": "score, scores, scored", "stars": "star, stars"}
# Bounds that leave out the number itself: "under 13 episodes" has at most 12.
_STRICT = re.compile(
    r"(?<!not )(?<!no )\b(?:under|below|over|above|(?:less|fewer|more|higher|lower|better|shorter|longer)\s+than)\b",
    re.I,
)
# Words before a number and after one that make it a bound, and the sign of the bound.
_COMPARE = (
    (
        r"\bunder|\bbelow|less\s+than|fewer\s+than|shorter\s+than|lower\s+than|at\s+most|up\s+to"
        r"|\bmax(?:imum)?(?:\s+of)?"
        r"|no\s+more\s+than|not\s+more\s+than|not\s+over|not\s+above|no\s+longer\s+than|cheaper\s+than|<=?",
        r"(?:(?:or|and)\s+(?:less|fewer|below|under|lower|shorter|cheaper)|max(?:imum)?|at\s+most|tops)\b",
        -1,
    ),
    (
        r"(?<!not\s)(?:\bover|\babove)|(?<!no\s)(?<!not\s)more\s+than|higher\s+than|(?<!no\s)longer\s+than"
        r"|better\s+than"
        r"|at\s+least|\bmin(?:imum)?(?:\s+of)?|no\s+less\s+than|not\s+(?:under|below)|starting\s+(?:at|from)|>=?",
        r"(?:\+|(?:(?:or|and)\s+(?:more|over|above|up|higher|longer|better)|min(?:imum)?|at\s+least)\b)",
        1,
    ),
)


@dataclass(frozen=True)
class NumberPatterns:
    """Patterns of what a message says of an attribute.

    Attributes:
        attribute: name of the attribute.
        named: words for the attribute, or units of it.
        rules: (sign, pattern) of what bounds it. The sign is -1 for an upper bound, 1 for a lower one, and 0 where the
            pattern has both.
    """

    attribute: str
    named: re.Pattern[str]
    rules: Sequence[tuple[int, re.Pattern[str]]]

    def find(self, text: str, whole: bool) -> Iterator[Annotation]:
        """Yield the ranges of a text.

        Args:
            text: the message, in which titles and years are masked.
            whole: whether the attribute has whole numbers only.
        """
        if self.named.search(text):  # first, because it is fast
            for sign, pattern in self.rules:
                for match in pattern.finditer(text):
                    yield Annotation(match.start(), match.end(), self._range(sign, match, whole))

    def _range(self, sign: int, match: re.Match[str], whole: bool) -> Range:
        texts = [group for group in match.groups() if group]
        numbers = [float(text) if text[0].isdigit() else number_of(text) for text in texts]
        if not sign:
            return Range(self.attribute, numbers[0], numbers[-1])
        comparison = ("<" if sign < 0 else ">") + ("" if _STRICT.search(match[0]) else "=")
        return compared(self.attribute, comparison, numbers[0], whole)


@lru_cache(maxsize=1024)  # a catalog that changes keeps most of its attributes
def number_patterns(name: str, names: frozenset[str]) -> NumberPatterns:
    """Return the patterns of an attribute: "price under 5", "rated above 8", "12+ episodes".

    Args:
        name: the attribute.
        names: the catalog's attributes, in lower case.
    """
    plain = re.sub(r"_count$|^num(?:ber_of)?_|^n_|^(?:average|avg|mean)_", "", name.lower())
    forms = [_words(form) for form in dict.fromkeys((name.lower(), plain))]
    if plain in _RATINGS:
        forms += [any_of(words) for other, words in _RATINGS.items() if other == name.lower() or other not in names]
    words = rf"(?:{'|'.join(forms)})"
    is_price = any(word in name.lower() for word in ("price", "cost"))
    unit = (
        rf"\s*(?:{words}|points?\s+{words})"
        + (r"|\s*(?:/\s*10|out\s+of\s+10|points?)\b" if plain in _RATINGS else "")
        + (r"|\s*(?:[$€£]|dollars|bucks|euros?|pounds)" if is_price else "")
    )
    rules = [
        (0, rf"\b{words}\s+(?:of\s+)?(?:between|from)\s+{_NUMBER}\s*(?:and|to|-)\s*{_NUMBER}(?:{unit})?"),
        (0, rf"\b(?:between|from)\s+{_NUMBER}\s*(?:and|to|-)\s*{_NUMBER}(?:{unit})"),
        (0, rf"(?<![\w.]){_NUMBER}\s*(?:to|-)\s*{_NUMBER}(?:{unit})"),
    ]
    for compare, ending, sign in _COMPARE:
        rules += [
            (sign, rf"\b{words}\s+(?:(?:is|of|be|at|are)\s+)?(?:{compare})\s*{_NUMBER}"),
            (sign, rf"\b(?:{compare})\s*(?:an?\s+)?{words}\s+(?:of\s+)?{_NUMBER}"),
            (sign, rf"(?:{compare})\s*{_NUMBER}(?:{unit})(?!\w)"),
            (sign, rf"\b{words}\s+(?:of\s+)?{_NUMBER}\s*{ending}"),
            (sign, rf"(?<![\w.]){_NUMBER}(?:{unit})\s*{ending}"),
            (sign, rf"(?<![\w.]){_NUMBER}\s*{ending}\s*{words}\b"),
        ]
        rules += (
            [(sign, rf"(?:{compare})\s*[$€£]\s*{_NUMBER}"), (sign, rf"[$€£]\s*{_NUMBER}\s*{ending}")]
            if is_price
            else []
        )
    named = re.compile(rf"\b{words}|{unit}", re.IGNORECASE)
    return NumberPatterns(name, named, [(sign, re.compile(pattern, re.IGNORECASE)) for sign, pattern in rules])


def _words(name: str) -> str:
    """Return a pattern of an attribute's name, in singular and plural."""
    return re.escape(name.removesuffix("s")).replace("_", r"[\s_]") + "s?"
