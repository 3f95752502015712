"""Wishes for facts that the catalog does not have: "by Spielberg", "under 90 minutes", "in French".

They are recognized by general wordings, and only in sentences that ask: what is missed is passed over, while a false
alarm would tell the user that an understood request was not understood.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.conversation.annotations import MASK, SPAN
from train_utils.conversation.lexicon import NO_TITLE, NOUNS, any_of
from train_utils.conversation.numerals import NUMBER

_NOUN = rf"(?:{any_of(NOUNS)}|{any_of('something, anything, nothing, stuff, everything')})"
_NO_NAME = rf"(?!(?:{'|'.join(sorted(NO_TITLE))})\b)"
_NAME = rf"{_NO_NAME}(?-i:[A-Z][a-z]+)"  # a capitalized word
_TIME = any_of("minute, minutes, min, mins, hour, hours, hr, hrs, h")
_BOUND = any_of(
    """
    under, below, over, above, less than, fewer than, more than, shorter than, longer than, at most, at least, max, up
    to, no longer than, not longer than, no more than, not more than, within, around, about, exactly, maximum
    """
)
_LANGUAGE = any_of(
    """
    french, german, spanish, italian, japanese, korean, chinese, mandarin, hindi, russian, swedish, danish, norwegian,
    dutch, polish, portuguese, turkish, arabic, greek, czech, finnish, hungarian, persian, hebrew, thai, vietnamese
    """
)
_COUNTRY = any_of(
    """
    british, american, english, scandinavian, european, asian, african, australian, canadian, indian, irish
    """
)
_MOOD = any_of(
    """
    uplifting, heartwarming, heart-warming, feel-good, feelgood, feel good, sad, melancholic, melancholy, depressing,
    cozy, cosy, relaxing, inspiring, inspirational, thought-provoking, mind-bending, light-hearted, lighthearted,
    cheerful, gloomy, heavy, soothing, cheesy, quirky, edgy, intense, nostalgic, wholesome, bittersweet
    """
)


@dataclass(frozen=True)
class Kind:
    """Kind of facts.

    Attributes:
        names: what such facts are called, in the plural.
        attribute: pattern of the names of attributes that have them.
        wish: pattern of a wish for one of them.
    """

    names: tuple[str, ...]
    attribute: re.Pattern[str]
    wish: re.Pattern[str]


def _kind(names: str, attribute: str, *wishes: str) -> Kind:
    pattern = "|".join(wishes)
    return Kind(tuple(names.split(", ")), re.compile(attribute, re.IGNORECASE), re.compile(pattern, re.IGNORECASE))


_KINDS = (
    _kind(
        "directors, actors",
        r"direct|actor|cast\b|star\b|author|writer|creator|studio",
        r"\b(?:directed|written|filmed)\s+by\b|\bstarring\b",
        rf"(?:\b{_NOUN}|{SPAN})\s+by\s+{_NAME}",
        rf"(?:\b{_NOUN}|{SPAN}|^|\b(?:not|but|and|only)|,)\s*\bwith\s+{_NAME}\s+(?-i:[A-Z][a-z]+)",
        r"\b(?:same|famous|favou?rite|female|male)\s+(?:director|actor|actress|cast|filmmaker|lead)s?\b",
    ),
    _kind(
        "running times",
        r"runtime|running|duration|length|minutes",
        rf"\b{_BOUND}\s+(?:an?\s+|the\s+)?(?:{NUMBER}\s*(?:and\s+a\s+half\s+)?-?)?{_TIME}\b(?!\s+(?:ago|from|drive|away))",
        rf"\b{NUMBER}[\s-](?:minute|hour)\s+(?:long\s+)?{_NOUN}",
        r"\b(?:not|nothing|isn'?t|aren'?t|don'?t\s+want\s+anything)\s+(?:(?:too|so|very|overly|that)\s+)+(?:long|short)\b(?!\s+ago)",
        rf"\b(?:short|shorter|longer)\s+(?:{SPAN}\s*)?(?:film|movie|flick|one)s?\b",
    ),
    _kind(
        "languages, countries",
        r"languag|country|countries|origin|nationality",
        rf"\bin\s+(?:the\s+original\s+)?{_LANGUAGE}\b(?!\s+\w+ese\b)",
        rf"\b(?:{_LANGUAGE}|{_COUNTRY})(?:[\s-]language)?\s+(?:{_NOUN}|cinema|{MASK})",
        rf"\b(?:subtitles|subtitled|dubbed)\b|\bforeign(?:[\s-]language)?\s+(?:{_NOUN}|{MASK})",
    ),
    _kind(
        "places to watch",
        r"stream|platform|provider|channel|service",
        r"\bon\s+(?:netflix|hulu|(?:amazon\s+)?prime|hbo|disney\s?\+|disney\s+plus|apple\s+tv|paramount\s?\+|youtube)",
        r"\b(?:i|we)\s+can\s+stream\b|\bstreaming\s+(?:on|at|now|somewhere)\b|\bto\s+stream\b",
        r"\b(?:playing|showing|running|now)\s+(?:in|at)\s+(?:the\s+)?(?:cinema|theater|theatre|movies)s?\b",
    ),
    _kind(
        "age ratings",
        r"mpaa|certificate|\bage\b|content_?rating|fsk",
        r"\b(?:rated|rating(?:\s+of)?)\s+(?-i:PG|NC|R\b|G\b|TV)|(?-i:\bPG(?:-?13)?\b|\bNC-?17\b|\b[RG][\s-]rated\b|\bFSK\b)",
        r"\bage[\s-]rat(?:ed|ing)s?\b",
        rf"\b(?:suitable|appropriate|safe)\s+for\s+(?:an?\s+|my\s+)?{NUMBER}[\s-]*year",
    ),
    _kind(
        "awards",
        r"award|oscar",
        r"\b(?:oscar|oscars|award|awards)[\s-]+(?:winn\w+|nomin\w+)|\bwon\s+(?:an?\s+|the\s+|some\s+)?(?:\w+\s+)?(?:oscar|award)",
    ),
    _kind(
        "ratings",
        r"rating|score|stars",
        r"\b(?:highly|well|best|top|high|highest)[\s-]rated\b|\bimdb\b|\brated\s+(?:above|over|at\s+least|higher)\b",
        r"\b(?:good|high|better)\s+(?:ratings?|reviews?)\b",
    ),
    _kind(
        "moods",
        r"mood|tone|tags|keywords",
        rf"\b(?:something|anything|nothing|an?|some|more)\s+(?:(?:too|very|really|bit|more|little|quite|so|good|nice)\s+)*{_MOOD}\b",
    ),
)


def kinds_unknown_to(catalog: Catalog) -> list[Kind]:
    """Return the kinds of facts for which no item of the catalog has an attribute."""
    return [kind for kind in _KINDS if not any(map(kind.attribute.search, catalog.attribute_names))]


def find_unknowable(sentences: Sequence[str], kinds: Collection[Kind]) -> tuple[str, ...]:
    """Return the names of the facts that the sentences of a request wish for and the catalog lacks.

    Args:
        sentences: the sentences that ask, in which all that was understood is masked.
        kinds: what `kinds_unknown_to` returned.
    """
    return tuple(name for kind in kinds if any(map(kind.wish.search, sentences)) for name in kind.names)


def unknowable_notice(names: Sequence[str], catalog: Catalog) -> str:
    """Return a line that says which facts the catalog lacks, and which it has.

    Args:
        names: what `find_unknowable` returned.
        catalog: the catalog.
    """
    known = [*(["categories"] if catalog.categories else []), *catalog.numeric_attributes]
    has = f"; it knows {_listed(known, 'and')}" if known else ""
    return f"{catalog.name} knows no {_listed(names, 'or')}: that part of the request is left out{has}"


def _listed(names: Sequence[str], word: str) -> str:
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
