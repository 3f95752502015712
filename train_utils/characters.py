"""Characters of texts of unknown origin. Standard library only."""

import re
import reprlib
import unicodedata
from html import unescape

# Combining marks on one letter, as in Unicode's stream-safe text (UAX 15). Normalization sorts them, in the square of
# their number.
MAX_MARKS = 30
_AMPERSANDS = re.compile(r"&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,4}26);)+")  # encoded once, or again and again
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_UNSEEN = ("Cc", "Cf", "Cn", "Cs", "Me", "Mn", "Zl", "Zp", "Zs")
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks without a glyph
_VOICED = "\uff9e\uff9f"  # letters that become combining marks in NFKC
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(value: object) -> str:
    """Return a value on one line of about 80 characters at most, for errors."""
    return " ".join(_SHORT.repr(value).splitlines())  # that of an array has several


def whole_characters(text: str) -> str:
    """Return `text` with lone surrogates, which JSON may hold and tokenizers reject, replaced by U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def few_marks(text: str) -> str:
    """Return `text` with at most `MAX_MARKS` combining marks in a row, so that its normalization takes linear time."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character)[0] == "M" or character in _VOICED else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def without_entities(text: str) -> str:
    """Return a text with the characters that its HTML entities stand for, also where they were escaped twice."""
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda entity: unescape(entity[0]), _AMPERSANDS.sub("&", text))


def has_text(text: str) -> bool:
    """Return whether a text has a visible character.

    White space, characters of no width and combining marks without a letter are not visible.
    """
    return any(unicodedata.category(character) not in _UNSEEN and character not in _BLANKS for character in text)
