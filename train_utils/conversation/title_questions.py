"""Questions whether the catalog has a title, and what it is: "Do you have The Matrix?", "tell me about the film Up"."""

import re

_KIND = r"(?:movies?|films?|books?|shows?|series|games?|songs?|albums?|titles?|anime|documentary|sequel)"
_HERE = r"(?:your|the|this)\s+(?:catalog(?:ue)?|list|database|collection|library|data)"
_WRITTEN = r"(?P<title>[\"'A-Z0-9].{0,78}?)"
_QUESTIONS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b[Dd]o(?:es)?\s+(?:you|{_HERE})\s+(?:also\s+)?(?:have|offer|carry|stock)\s+(?:the\s+{_KIND}\s+)?{_WRITTEN}\s*[?.!]*$",
        rf"\b[Hh]ave\s+you\s+(?:got|heard\s+of)\s+(?:the\s+{_KIND}\s+)?{_WRITTEN}\s*[?.!]*$",
        rf"\b[Ii]s\s+{_WRITTEN}\s+(?:also\s+)?(?:in|on|part\s+of)\s+{_HERE}\s*[?.!]*$",
        rf"\b(?:[Tt]ell\s+me\s+(?:more\s+)?about|[Ww]hat\s+(?:is|are)|[Dd]escribe)\s+the\s+{_KIND}\s+{_WRITTEN}\s*[?.!]*$",
    )
)


def title_in_question(text: str) -> str:
    """Return the title that a message asks about, as it is written there; "" where it asks about none.

    Args:
        text: a message in which no title of the catalog was found.
    """
    found = next((match for pattern in _QUESTIONS if (match := pattern.search(text.strip()))), None)
    return found["title"].strip("\"' ") if found else ""
