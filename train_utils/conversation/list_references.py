"""References to the last list ("the second one", "all but number 3", "the other two"), read as its titles."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from train_utils.conversation.words.lexicon import any_of

_ORDINALS = str.split("first second third fourth fifth sixth seventh eighth ninth tenth")
_AMOUNTS = str.split("one two three four five six seven eight nine ten")
_ONE = r"(?:one|movie|film|title|item|book|game|show|song|suggestion|pick)"
_THING = r"(?:ones?|movies?|films?|titles?|items?|books?|games?|shows?|series|songs?|suggestions?|picks?)"
_OF_THEM = r"(?:\s+of\s+(?:these|those|them|your\s+list|the\s+list))?"
# "the first time" and "the second half" are no places in a list.
_END = (
    r"(?=\s*(?:$|[^\w\s]|(?:and|or|but|was|were|is|are|looks?|sounds?|because|please|again|too|already"
    r"|bored|did|didn't|don't|aren't|weren't|seem|had|have|i|we)\b))"
)
_AMOUNT = rf"(?:{any_of(', '.join(_AMOUNTS[1:]))}|[2-9])"
_PLACE = re.compile(
    rf"\b(?:the\s+)(?P<order>{any_of(', '.join(_ORDINALS))}|last)"
    rf"(?:\s+(?P<amount>{_AMOUNT}))?(?:\s+{_THING})?{_OF_THEM}{_END}"
    rf"|(?:\bthe\s+)?(?:#\s?|\b(?:number|nr\.?|no\.)\s*)(?P<number>\d{{1,3}}|{any_of(', '.join(_AMOUNTS))})\b"
    rf"|\bthe\s+(?P<nth>\d{{1,3}})(?:st|nd|rd|th)\b(?:\s+{_THING})?{_OF_THEM}{_END}",
    re.IGNORECASE,
)
# Bare numbers after a verb that judges, or before one: "seen 1, 2 and 5", "3 looks good", and not "like 5".
# Ten at most: without a bound, a long message of numbers would take quadratic time.
_NUMBERS = r"#?\d{1,2}(?:(?:\s{0,2},\s{0,2}(?:and\s)?|\sand\s|\s{0,2}[&+/]\s{0,2}|\s)#?\d{1,2}){0,9}"
_JUDGED = "seen, saw, watched, know, own, love, loved, liked, enjoyed, hate, hated, dislike, disliked"
_BARE = re.compile(
    rf"\b(?:{any_of(_JUDGED)}|knew|skip|(?:all|everything)\s+(?:but|except))\s+"
    rf"(?:numbers?\s+|nos?\.?\s+)?(?P<after>{_NUMBERS}){_END}"
    rf"|(?:^|[.!?,;]\s*)(?P<before>{_NUMBERS})\s+(?=(?:is|are|was|were|looks?|sounds?|seems?"
    rf"|(?:i|we)(?:'ve|\s+have)?\s+(?:already\s+)?{any_of(_JUDGED)})\b)",
    re.IGNORECASE,
)
_THEM = r"(?:them|these|those)"
# Pronouns for the whole list; of a negation only the pronoun becomes the titles ("none of these").
_ALL = re.compile(
    rf"\b(?P<all>all\s+of\s+{_THEM}|{_THEM}\s+all|every\s+(?:single\s+)?one\s+of\s+{_THEM}|the\s+whole\s+list)\b"
    rf"|\b(?P<counted>all\s+(?P<n>{_AMOUNT})(?:\s+of\s+{_THEM})?){_END}"
    rf"|\b(?P<both>both)(?:\s+of\s+{_THEM})?{_END}"
    rf"|\b(?:none|not\s+(?:a\s+single\s+)?one)\s+of\s+(?P<none>{_THEM})\b"
    rf"|(?:n'?t|\bnot|\bnever)\s+(?:[\w']+\s+){{0,3}}?any\s+of\s+(?P<any>{_THEM})\b"
    rf"|\bneither\s+of\s+(?P<neither>{_THEM})\b",
    re.IGNORECASE,
)
_ALL_BUT = re.compile(
    rf"\b(?:all|every\s*thing|every\s+one)(?:\s+of\s+{_THEM})?,?\s+(?:but|except(?:\s+for)?|besides|apart\s+from"
    rf"|other\s+than)\s+$",
    re.IGNORECASE,
)
_REST = re.compile(
    rf"\b(?:the\s+others|the\s+(?:other|remaining)\s+(?:(?P<amount>{_AMOUNT})(?:\s+{_THING})?|(?P<one>{_ONE})\b"
    rf"|{_THING})"
    rf"|the\s+rest(?:\s+of\s+(?:{_THEM}|the\s+list|your\s+list))?){_END}",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*(?:,|,?\s*\b(?:and|or)\b)\s*", re.IGNORECASE)
_NEAR = 40  # characters before a place that may say "all but"


@dataclass(frozen=True)
class Reference:
    """Words that mean items of a list.

    Attributes:
        start: position of their first character.
        end: position after their last character.
        places: places in the list, from 0.
    """

    start: int
    end: int
    places: tuple[int, ...]


def references(
    text: str, n: int, named: Collection[int] = (), judged: Collection[int] = (), pronouns: bool = True
) -> list[Reference]:
    """Return the references of a message to a list, in its order; those beyond the list are left out.

    Args:
        text: the message.
        n: number of items of the list.
        named: places in the list whose titles the message names.
        judged: places in the list that earlier messages judged.
        pronouns: whether "them" may mean the list.
    """
    found = [Reference(*match.span(), _places(match, n)) for match in _PLACE.finditer(text)]
    found += [
        entry
        for entry in _bare(text)
        if not any(entry.start < other.end and other.start < entry.end for other in found)
    ]
    found.sort(key=lambda entry: entry.start)
    inside = [entry for entry in found if entry.places and min(entry.places) >= 0 and max(entry.places) < n]
    found = [*_without_exceptions(text, inside, n)]
    stated = {place for entry in found for place in entry.places} | {*named}
    others = [Reference(*match.span(), _rest(match, n, stated, judged)) for match in _REST.finditer(text)]
    others += _all(text, n) if pronouns else []
    for entry in others:
        if entry.places and not any(entry.start < other.end and other.start < entry.end for other in found):
            found.append(entry)
    return sorted(found, key=lambda entry: entry.start)


def _places(match: re.Match[str], n: int) -> tuple[int, ...]:
    amount = _number(match["amount"] or "1", _AMOUNTS)
    if (match["order"] or "").lower() == "last":
        return tuple(range(max(0, n - amount), n))
    first = _number(match["order"] or match["number"] or match["nth"], _ORDINALS if match["order"] else _AMOUNTS)
    return tuple(range(first - 1, first - 1 + amount)) if first > 0 else ()


def _bare(text: str) -> Iterator[Reference]:
    """Yield the bare numbers that a verb judges, all those of a verb as one reference."""
    for match in _BARE.finditer(text):
        group = "after" if match["after"] else "before"
        yield Reference(*match.span(group), tuple(int(digits) - 1 for digits in re.findall(r"\d+", match[group])))


def _number(word: str, words: Sequence[str]) -> int:
    return int(word) if word.isdecimal() else words.index(word.lower()) + 1


def _without_exceptions(text: str, found: Sequence[Reference], n: int) -> Iterator[Reference]:
    """Yield the references; "all but the second and the third" is one, of the other places."""
    position = 0
    while position < len(found):
        first = found[position]
        position += 1
        all_but = _ALL_BUT.search(text, max(0, first.start - _NEAR), first.start)
        if not all_but:
            yield first
            continue
        end, left_out = first.end, {*first.places}
        while position < len(found) and _JOINED.fullmatch(text, end, found[position].start):
            end, left_out = found[position].end, left_out | {*found[position].places}
            position += 1
        yield Reference(all_but.start(), end, _others(n, left_out))


def _all(text: str, n: int) -> Iterator[Reference]:
    """Yield the pronouns that mean the whole list; "both" means a list of two."""
    for match in _ALL.finditer(text):
        group = match.lastgroup if match.lastgroup != "n" else "counted"
        assert group is not None
        wanted = _number(match["n"], _AMOUNTS) if match["n"] else 2 if group in ("both", "neither") else n
        if wanted == n:
            start, end = (match.start(), match.end()) if group in ("all", "counted", "both") else match.span(group)
            yield Reference(start, end, tuple(range(n)))


def _rest(match: re.Match[str], n: int, stated: Collection[int], judged: Collection[int]) -> tuple[int, ...]:
    """Return the places of "the other two": those that the message does not name, or that no message did."""
    amount = _number(match["amount"], _AMOUNTS) if match["amount"] else 1 if match["one"] else 0
    for left_out in (stated, {*stated, *judged}):
        others = _others(n, left_out)
        if left_out and amount in (0, len(others)):
            return others
    return ()


def _others(n: int, left_out: Collection[int]) -> tuple[int, ...]:
    return tuple(place for place in range(n) if place not in left_out)


def with_titles(
    text: str,
    titles: Sequence[str],
    named: Collection[int] = (),
    judged: Collection[int] = (),
    pronouns: bool = True,
) -> str:
    """Return a message in which references to the last list are the titles, in quotation marks.

    Args:
        text: the message.
        titles: titles of the list, in its order.
        named: places in the list whose titles the message names.
        judged: places in the list that earlier messages judged.
        pronouns: whether "them" may mean the list, and not titles of the message.
    """
    pieces: list[str] = []
    end = 0
    for entry in references(text, len(titles), named, judged, pronouns):
        pieces += [text[end : entry.start], " and ".join(f'"{titles[place]}"' for place in entry.places)]
        end = entry.end
    return "".join([*pieces, text[end:]])
