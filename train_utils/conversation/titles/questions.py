"""Questions whether the catalog has a title, and what it is: "Do you have The Matrix?", "tell me about the film Up"."""

import re

from train_utils.conversation.words.lexicon import NO_TITLE, NOUNS, finder
from train_utils.prompts.common_words import COMMON_WORDS

_KIND = r"(?:movies?|films?|books?|shows?|series|games?|songs?|albums?|titles?|anime|documentary|sequel)"
_HERE = r"(?:your|the|this)\s+(?:catalog(?:ue)?|list|database|collection|library|data)"
_WRITTEN = r"(?P<title>[\"'A-Z0-9].{0,78}?)"
_QUESTIONS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b[Dd]o(?:es)?\s+(?:you|{_HERE})\s+(?:also\s+)?(?:have|offer|carry"
        rf"|stock)\s+(?:the\s+{_KIND}\s+)?{_WRITTEN}\s*[?.!]*$",
        rf"\b[Hh]ave\s+you\s+(?:got|heard\s+of)\s+(?:the\s+{_KIND}\s+)?{_WRITTEN}\s*[?.!]*$",
        rf"\b[Ii]s\s+{_WRITTEN}\s+(?:also\s+)?(?:in|on|part\s+of)\s+{_HERE}\s*[?.!]*$",
        rf"\b(?:[Tt]ell\s+me\s+(?:more\s+)?about|[Ww]hat\s+(?:is|are)"
        rf"|[Dd]escribe)\s+the\s+{_KIND}\s+{_WRITTEN}\s*[?.!]*$",
    )
)

_CATEGORIES = re.compile(
    r"\b(?:what|which)\s+(?:(?:other|kinds?\s+of|sorts?\s+of)\s+)?(?:categories|genres|(?:kinds|types|sorts)\s+of\s+"
    rf"{_KIND})\s+(?:do\s+(?:you|{_HERE})\s+have|are\s+there|can\s+(?:i|you)|have\s+you\s+got|does\s+{_HERE}\s+have)\b",
    re.IGNORECASE,
)
_LOWER = r"((?:the )?([a-z][\w']{3,})(?: [\w']+){0,5}?)"
_ON_HERE = r"(?: (?:on|in) (?:here|there))"
_IN_LOWER_CASE = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\bdo (?:you|u|ya) (?:also )?have {_LOWER}{_ON_HERE}?\s?\?+$",
        rf"\b(?:do(?:es)? (?:you|it|this) have|have you got|got|any chance of) {_LOWER}{_ON_HERE}\s?\?*$",
        rf"^(?:does it have|have you got) {_LOWER}\s?\?*$",
        rf"^is {_LOWER} (?:any good|worth (?:it|a watch|watching|seeing)|available|on here|on there)\s?\?*$",
    )
)
_NOUNS = finder(NOUNS)


def asks_for_categories(text: str) -> bool:
    """Return whether a message asks which categories the catalog has."""
    return bool(_CATEGORIES.search(text))


def title_in_question(text: str) -> str:
    """Return the title that a message asks about, as it is written there; "" where it asks about none.

    Args:
        text: a message in which no title of the catalog was found.
    """
    found = next((match for pattern in _QUESTIONS if (match := pattern.search(text.strip()))), None)
    return found["title"].strip("\"' ") if found else _in_lower_case(text.strip())


def _in_lower_case(text: str) -> str:
    """Return a title in lower case; "do you have subtitles?" and "do you have time?" have none."""
    found = next((match for pattern in _IN_LOWER_CASE if (match := pattern.search(text))), None)
    if not found or found[2] in COMMON_WORDS | NO_TITLE or _NOUNS.search(found[1]):
        return ""
    return "" if found[1].endswith(found[2]) and found[2].endswith("s") else found[1]
