"""Annotations that only look like a wish: years that date a title, and words for a category that are a remark."""

import re
from collections.abc import Sequence

from train_utils.conversation.limits.category_words import CategoryWords
from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import NOUNS, any_of
from train_utils.conversation.words.message_words import Unknown
from train_utils.prompts.named_titles import Mention

_NEAR = 40  # characters before an annotation that say what it is
_OWNERS = any_of("my, our, his, her, their, the, have, has, two, three, four")
_STUFF = re.compile(rf"'?s?'?\s+(?:{any_of(NOUNS)}|stuff|content|cartoons?)\b", re.IGNORECASE)
_AUDIENCE = re.compile(
    rf"\bfor\s+(?:(?:{_OWNERS}|\d{{1,2}}|little|small|young)\s+)*$", re.IGNORECASE
)  # "a film for my 3 kids" is a children's film
_NEAR_COMPANY = 100  # characters before "kids" in which that is looked for: the pattern takes cubic time
# "something to watch with my kids"
_COMPANY = re.compile(
    rf"\b(?:{any_of(NOUNS)}|something|anything|what)\b[^.!?]*\b(?:watch|see"
    rf"|enjoy)\b[^.!?]*\bwith\s+(?:(?:{_OWNERS}|whole|little|small|young)\s+)*$",
    re.IGNORECASE,
)
_OBJECT = re.compile(r"\s+(?:me|us|him|her|them|the\s+(?:hell|heck|shit|crap|life)\s+out)\b", re.IGNORECASE)
# "Batman, the 1989 one"
_DATING, _VERSION = (
    re.compile(r"\s*[,(-]?\s*(?:i\s+mean\s+)?(?:the\s+)?", re.I),
    re.compile(r"\s+(?:one|version|film|movie)\b", re.I),
)
# "lol that was funny", "I love movies"
_REMARK = re.compile(
    r"(?:^|[.!?,]\s*|\b(?:lol|haha|ok|oh|well|wow)\s+)(?:that|it|this)(?:\s+was|'s|\s+is)\s+(?:so\s+|really\s+"
    r"|very\s+)?(?:an?\s+(?=\S+\s+name\b))?$"
    r"|\bat\s+(?:his|her|their|its)\s+(?:very\s+)?$|\bchef'?s\s+$",
    re.I,
)
# "my friends will laugh"
_WILL = re.compile(
    r"\b(?:(?:i|we|he|she|they|people|everyone|\w+s)\s+(?:will|would|'ll|could|might|can)|never|always)\s+$", re.I
)
_LAUGHING = re.compile(r"(?:laugh|giggle|chuckle|sing|kiss)s?", re.I)
_WAS = re.compile(
    r"\s?(?:(?:made|makes|(?:did|does)(?:n'?t| not) make)\s(?:me|us|him|her|them|everyone|my \w+)"
    r"|(?:is|was|are|were)(?:n'?t|\snot)?)(?:\s(?:so|such|an?|just|really|very|too|pretty|and|also|quite"
    r"|still)){0,3}\s",
    re.I,
)
_LOVING = re.compile(r"\b(?:i|we|you|they|who|to|really|just|also|all|both|absolutely)\s+$", re.I)
# "comedy gold", "the exam was a total horror"
_PRAISED = re.compile(r"\s+(?:gold|genius|masterclass|perfection)\b", re.IGNORECASE)
_CALAMITY = re.compile(
    r"\b(?:was|is|were|been)\s+an?\s+(?:total|complete|absolute|utter|real|right|proper|pure)\s+$", re.IGNORECASE
)
# "Kids went mad for Babe"
_ACTING = re.compile(
    r"\s+(?:(?:all|both|just|really|also|absolutely|always|never|still)\s+)?(?:went|love[ds]?|like[ds]?|adored?"
    r"|enjoy(?:ed|s)?|hate[ds]?"
    r"|want(?:ed|s)?|needs?|have|had|has|were|watch(?:ed)?|saw|seen|know|knew|laughed|cried|asked|ask|keep|kept"
    r"|got|get|said|say|think"
    r"|thought|demand(?:ed)?|insist(?:ed)?|begged|beg|chose|picked|fell|found|would|will|can)\b",
    re.IGNORECASE,
)
_INTERJECTION = re.compile(r"\s*,?\s*(?:eh|huh|hey|these\s+days|nowadays|lol)\b", re.IGNORECASE)  # "kids, eh"
_PERSONS = re.compile(rf"(?:\b{_OWNERS}|\d)\s+(?:(?:little|small|young)\s+)*$", re.IGNORECASE)


def is_year_of(value: object, number: object) -> bool:
    """Return whether a number only repeats a year ("it was 68, so 68 please")."""
    return isinstance(value, Range) and isinstance(number, int) and value.low == value.high == 1900 + number


def is_of_title(text: str, annotation: Annotation, found: Sequence[Annotation]) -> bool:
    """Return whether a year only dates the title before it: "Fargo (1996)", "Batman, the 1989 one"."""
    if not isinstance(annotation.value, Range):
        return False
    return any(
        isinstance(entry.value, (Mention, Unknown))
        and (
            text[entry.end : annotation.start].strip() == "("
            or _DATING.fullmatch(text, entry.end, annotation.start)
            and _VERSION.match(text, annotation.end)
        )
        for entry in found
        if annotation.start - 12 <= entry.end <= annotation.start
    )


def is_verdict(text: str, annotation: Annotation, title: Annotation) -> bool:
    """Return whether words for a category say how the title before them was: "Tin Cup was hilarious"."""
    return (
        isinstance(annotation.value, CategoryWords)
        and isinstance(title.value, (Mention, Unknown))
        and bool(_WAS.fullmatch(text, title.end, annotation.start))
        and not _STUFF.match(text, annotation.end)
    )


def is_no_category(text: str, annotation: Annotation) -> bool:
    """Return whether words only look like a category: people who watch, a verb ("it scared me"), or a remark."""
    words, before = annotation.value, max(0, annotation.start - _NEAR)
    if not isinstance(words, CategoryWords):
        return False
    if _REMARK.search(text, before, annotation.start) or (
        text[annotation.start : annotation.end].lower().startswith("love ")
        and _LOVING.search(text, before, annotation.start)
    ):
        return True
    if _LAUGHING.fullmatch(text, annotation.start, annotation.end) and _WILL.search(text, before, annotation.start):
        return True
    if _PRAISED.match(text, annotation.end) or _CALAMITY.search(text, before, annotation.start):
        return True
    is_verb = words.by_meaning and bool(_OBJECT.match(text, annotation.end))
    return is_verb or _is_about_people(text, annotation)


def _is_about_people(text: str, annotation: Annotation) -> bool:
    """Return whether words for a category mean the people who watch ("my kids are 5 and 7")."""
    words = annotation.value
    return (
        isinstance(words, CategoryWords)
        and text[annotation.start : annotation.end].lower().split()[0] in ("kids", "children", "child", "kid", "family")
        and not _STUFF.match(text, annotation.end)
        and not _AUDIENCE.search(text, max(0, annotation.start - _NEAR), annotation.start)
        and not _COMPANY.search(text, max(0, annotation.start - _NEAR_COMPANY), annotation.start)
        and bool(
            _PERSONS.search(text, max(0, annotation.start - _NEAR), annotation.start)
            or text[annotation.end : annotation.end + 4] == " of "
            or _INTERJECTION.match(text, annotation.end)
            or _ACTING.match(text, annotation.end)
        )
    )
