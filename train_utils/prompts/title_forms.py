"""Forms in which people write a title of the catalog."""

import re
from collections.abc import Iterator

from train_utils.prompts.templates import in_words

_YEAR = re.compile(r" \((?:18|19|20)[0-9]{2}\)$")
ARTICLE_LAST = re.compile(r"^(.+), (the|an?|le|la|les|l'|el|los|las|der|die|das|il|un|une)$", re.IGNORECASE)
_NUMBER = re.compile(r" \([1-9][0-9]?\)$")
_PARENTHESES = re.compile(r"\s*\(([^()]*[^\W\d_][^()]*)\)$")
_SUBTITLE = re.compile(r"(?:\s+or)?\s*:\s+|\s+-\s+")
_ABBREVIATION = re.compile(r"^((?:\w\.){2,}) ")
_PUNCTUATION = re.compile(r"[.,:;!?'\"-]")
# number word -> digits
DIGITS = {in_words(number): str(number) for number in range(2, 13)}
_LONG_WORD = 5  # letters; a shorter word before a subtitle is a title of its own too rarely


def other_forms(title: str) -> Iterator[str]:
    """Yield other forms of a title: without year or subtitle, with its article in front or without it, unpunctuated."""
    short = _YEAR.sub("", title)
    heads = [short, _PARENTHESES.sub("", short), *_PARENTHESES.findall(short)]
    heads += [head for head in (_SUBTITLE.split(short)[0],) if " " in head or len(head) > _LONG_WORD]
    heads += _ABBREVIATION.findall(short)
    heads += [_with_digits(head) for head in heads]
    for head in dict.fromkeys(heads):
        yield head
        if moved := ARTICLE_LAST.match(head):
            yield spoken_title(head)
            if " " in moved[1]:
                yield moved[1]
        bare = " ".join(_PUNCTUATION.sub("", head).split())
        if " " in bare:
            yield bare


def _with_digits(title: str) -> str:
    """Return a title with its number words in digits: "Twelve Monkeys" is also "12 Monkeys"."""
    return " ".join(DIGITS.get(word.lower(), word) for word in title.split(" "))


def unnumbered(title: str) -> str:
    """Return a title without the number that preprocessing appends where several items share it: "Cape Fear (1)"."""
    return _NUMBER.sub("", title)


def spoken_title(title: str) -> str:
    """Return a title as people say it: "Lion King, The" becomes "The Lion King", and "Cape Fear (1)" "Cape Fear"."""
    title = unnumbered(title)
    match = ARTICLE_LAST.fullmatch(title)
    if match is None:
        return title
    return match[2] + ("" if match[2].endswith("'") else " ") + match[1]
