"""Texts of users in one spelling of quotation marks, dashes and spaces, and where their words begin."""

import re
import unicodedata

from train_utils.characters import few_marks
from train_utils.prompts.control_tokens import EOI, SOI

_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u00b4`\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)
_SPACES = re.compile(r"[^\S\n]+")
_BEGINNING = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9 ]")
_KATAKANA = ("\u30a0", "\u30ff")
# Scripts without spaces between words, or with particles attached to words (Hangul).
_UNSPACED = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uac00", "\ud7af"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)


def plain_text(text: str) -> str:
    """Return a user's text with uniform quotation marks, dashes, spaces and line breaks, in NFKC.

    Control tokens become line breaks, which no title contains.
    """
    lines = "\n".join(text.splitlines()).replace(SOI, "\n").replace(EOI, "\n")
    return "\n".join(plain_line(line) for line in lines.split("\n"))


def plain_line(text: str) -> str:
    """Return the text with uniform quotation marks, dashes and spaces, in NFKC, without zero-width characters."""
    if text.isascii():  # nearly always; the forms below are those of other characters
        return _SPACES.sub(" ", text.translate(_ALIKE))
    text = unicodedata.normalize("NFKC", few_marks(text).translate(_ALIKE)).translate(_ALIKE)
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return _SPACES.sub(" ", text)


def lower_case(text: str) -> str:
    """Return the text in lower case with its length unchanged, so that positions stay valid."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def word_beginnings(line: str) -> list[int]:
    """Return the positions of a line at which a word or another character that is no space begins."""
    if line.isascii():
        return [match.start() for match in _BEGINNING.finditer(line)]
    return [at for at, c in enumerate(line) if c != " " and not (at and is_one_word(line[at - 1], c))]


def is_one_word(left: str, right: str) -> bool:
    """Return whether two adjacent characters belong to one word."""
    if not (left.isalnum() and right.isalnum()):
        return False
    if left.isascii() and right.isascii():  # nearly always
        return True
    if all(_KATAKANA[0] <= character <= _KATAKANA[1] for character in (left, right)):
        return True
    return not any(low <= character <= high for character in (left, right) for low, high in _UNSPACED)
