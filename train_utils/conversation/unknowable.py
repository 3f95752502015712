"""Wishes for facts that the catalog does not have: "by Spielberg", "under 90 minutes", "in French".

They are recognized by general wordings, and only in sentences that ask: what is missed is passed over, while a false
alarm would tell the user that an understood request was not understood.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.conversation.titles.unknown_words import FIRST_NAMES
from train_utils.conversation.words.lexicon import NO_TITLE, NOUNS, any_of
from train_utils.conversation.words.numerals import NUMBER
from train_utils.conversation.words.phrases import Phrases

# What does not follow a first name ("with grace and style").
_NO_SURNAME = "and, or, but, in, on, at, of, to, for, with, as, is, was, the, a, an, please, too, if, that, who"
# What may follow "films by" and makes none.
_NO_MAKER = """
    the, this, that, these, those, some, your, their, which, what, genre*, year*, decade*, date, rating*, score,
    popularity, title*, name, category, mood, theme, order, length, country, language, age, number, vote*, taste,
    then, tonight, tomorrow, today, noon, midnight, dinner, lunch, bedtime, night, morning, evening, weekend,
    monday, tuesday, wednesday, thursday,
    friday, saturday, sunday, itself, himself, herself, myself, yourself, themselves, ourselves, chance, accident,
    mistake, heart, default, request, users, people, others, anyone, anybody, someone, somebody, everyone, email, mail,
    means, hand, side
"""
_NAMES = {
    "ITEM": rf"(?:{any_of(NOUNS)}|{any_of('something, anything, nothing, stuff, everything')})",
    # A capitalized word.
    "NAME": rf"(?!(?:{'|'.join(sorted(NO_TITLE))})\b)(?-i:[A-Z][a-z]+)",
    "SURNAME": "(?-i:[A-Z][a-z]+)",
    # In any case: "tom hanks", "robert de niro".
    "PERSON": rf"{any_of(', '.join(FIRST_NAMES))}\s+(?!{any_of(_NO_SURNAME)}\b)[a-z][\w'-]+",
    # A word after "by" that is no order, time or other thing: "kubrick", "pixar".
    "MAKER": rf"(?!{any_of(_NO_MAKER)}\b)[a-z][a-z'-]{{3,}}",
    "NUMBER": NUMBER,
    "TIME": any_of("minute, minutes, min, mins, hour, hours, hr, hrs, h"),
    "BOUND": any_of(
        """
        under, below, over, above, less than, fewer than, more than, shorter than, longer than, at most, at least, max,
        up to, no longer than, not longer than, no more than, not more than, within, around, about, exactly, maximum
        """
    ),
    "LANGUAGE": any_of(
        """
        french, german, spanish, italian, japanese, korean, chinese, mandarin, hindi, russian, swedish, danish,
        norwegian, dutch, polish, portuguese, turkish, arabic, greek, czech, finnish, hungarian, persian, hebrew, thai,
        vietnamese
        """
    ),
    "COUNTRY": any_of(
        """
        british, american, english, scandinavian, european, asian, african, australian, canadian, indian, irish
        """
    ),
    "MOOD": any_of(
        """
        uplifting, heartwarming, heart-warming, feel-good, feelgood, feel good, sad, melancholic, melancholy,
        depressing, cozy, cosy, relaxing, inspiring, inspirational, thought-provoking, mind-bending, light-hearted,
        lighthearted, cheerful, gloomy, heavy, soothing, cheesy, quirky, edgy, intense, nostalgic, wholesome,
        bittersweet
        """
    ),
    # Letters that are a rating in capitals only.
    "CERTIFICATE": r"(?-i:PG|NC|R\b|G\b|TV)",
    "CERTIFIED": r"(?-i:\bPG(?:-?13)?\b|\bNC-?17\b|\b[RG][\s-]rated\b|\bFSK\b)",
}


@dataclass(frozen=True)
class Kind:
    """Kind of facts.

    Attributes:
        names: what such facts are called, in the plural.
        attribute: pattern of the names of attributes that have them.
        wishes: what asks for one of them.
        wish: the pattern of these.
        numeric: whether such wishes are read where the attribute is a number.
    """

    names: tuple[str, ...]
    attribute: re.Pattern[str]
    wishes: Phrases
    wish: re.Pattern[str]
    numeric: bool = False


def _kind(names: str, attribute: str, examples: dict[str, str], *, numeric: bool = False) -> Kind:
    wishes = Phrases(examples, _NAMES)
    return Kind(
        tuple(names.split(", ")), re.compile(attribute, re.IGNORECASE), wishes, wishes.compiled(), numeric=numeric
    )


KINDS = (
    _kind(
        "directors, actors",
        r"direct|actor|cast\b|star\b|author|writer|creator|studio",
        {
            "directed by": r"\b(directed|written|filmed) by\b|\bstarring\b",
            "films by Spielberg": r"(\bITEM|TITLE) by (NAME|MAKER)",
            "a [comedy] with Jim Carrey": (r"(\bITEM|TITLE|^|\b(not|but|and|only)|,)\s*\bwith (NAME SURNAME|PERSON)"),
            "the same director": (
                r"\b(same|famous|favou?rite|female|male) (director|actor|actress|cast|filmmaker|lead)s?\b"
            ),
        },
    ),
    _kind(
        "running times",
        r"runtime|running|duration|length|minutes",
        {
            "under two hours": r"\bBOUND (an? |the )?(NUMBER\s*(and a half )?-?)?TIME\b(?! (ago|from|drive|away))",
            "a 90-minute film": r"\bNUMBER[\s-](minute|hour) (long )?ITEM",
            "not too long": (
                r"\b(not|nothing|isn'?t|aren'?t|don'?t want anything) ((too|so|very|overly|that) )+"
                r"(long|short)\b(?! ago)"
            ),
            "a shorter movie": r"\b(short|shorter|longer) (TITLE\s*)?(film|movie|flick|one)s?\b",
        },
        numeric=True,
    ),
    _kind(
        "prices",
        r"price|\bcost",
        {
            "under $ 20": r"\bBOUND [$€£]\s?\d",
            "less than 20 bucks": r"\bBOUND NUMBER\s?([$€£]|(dollars?|bucks|euros?|pounds|quid)\b)",
            "cheap": r"\b(cheap|cheaper|cheapest|affordable|inexpensive|low-priced|budget-friendly)\b(?! thrills?\b)",
        },
        numeric=True,
    ),
    _kind(
        "languages, countries",
        r"languag|country|countries|origin|nationality",
        {
            "in French": r"\bin (the original )?LANGUAGE\b(?! \w+ese\b)",
            "British cinema": r"\b(LANGUAGE|COUNTRY)([\s-]language)? (ITEM|cinema|MASK)",
            "with subtitles": r"\b(subtitles|subtitled|dubbed)\b",
            "foreign films": r"\bforeign([\s-]language)? (ITEM|MASK)",
        },
    ),
    _kind(
        "places to watch",
        r"stream|platform|provider|channel|service",
        {
            "on Netflix": (
                r"\bon (netflix|hulu|(amazon )?prime|hbo|disney\s?\+|disney plus|apple tv|paramount\s?\+|youtube)"
            ),
            "to stream": r"\b(i|we) can stream\b|\bstreaming (on|at|now|somewhere)\b|\bto stream\b",
            "playing in theaters": (
                r"\b(playing|showing|running|now) (in|at) (the )?(cinema|theater|theatre|movies)s?\b"
            ),
        },
    ),
    _kind(
        "age ratings",
        r"mpaa|certificate|\bage\b|content_?rating|fsk",
        {
            "rated PG": r"\b(rated|rating( of)?) CERTIFICATE",
            "PG-13": r"CERTIFIED",
            "age rating": r"\bage[\s-]rat(ed|ing)s?\b",
            "suitable for an 8-year-old": r"\b(suitable|appropriate|safe) for (an? |my )?NUMBER[\s-]*year",
        },
    ),
    _kind(
        "awards",
        r"award|oscar",
        {
            "Oscar winning": r"\b(oscar|oscars|award|awards)[\s-]+(winn\w+|nomin\w+)",
            "that won an award": r"\bwon (an? |the |some )?(\w+ )?(oscar|award)",
        },
    ),
    _kind(
        "ratings",
        r"rating|score|stars",
        {
            "highly rated": r"\b(highly|well|best|top|high|highest)[\s-]rated\b",
            "on IMDb": r"\bimdb\b",
            "rated above": r"\brated (above|over|at least|higher)\b",
            "good reviews": r"\b(good|high|better) (ratings?|reviews?)\b",
        },
        numeric=True,
    ),
    _kind(
        "moods",
        r"mood|tone|tags|keywords",
        {
            "something really uplifting": (
                r"\b(something|anything|nothing|an?|some|more) "
                r"((too|very|really|bit|more|little|quite|so|good|nice) )*MOOD\b"
            )
        },
    ),
)


def kinds_unknown_to(catalog: Catalog) -> list[Kind]:
    """Return the kinds of facts for which no item of the catalog has an attribute that requests can be tested on."""
    named, numbers = catalog.attribute_names, catalog.numeric_attributes
    return [kind for kind in KINDS if not any(map(kind.attribute.search, numbers if kind.numeric else named))]


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
