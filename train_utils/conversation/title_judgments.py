"""What a message says of the titles that it names: liked, disliked, known, or not seen."""

import re
from collections.abc import Sequence
from functools import lru_cache

from train_utils.conversation.annotations import GAP, SPAN, Annotation
from train_utils.conversation.clauses import annotated_clauses, clause_at, clauses
from train_utils.conversation.lexicon import (
    BAD,
    BORED,
    DISLIKING,
    GOOD,
    KNOWING,
    LIKES,
    LIKING,
    MOVED,
    NOUNS,
    PRONOUNS,
    any_of,
    finder,
)
from train_utils.conversation.message_words import Unknown
from train_utils.conversation.negation import FAR, NOT_BAD, negations
from train_utils.conversation.verdict_phrases import ENDURED
from train_utils.conversation.verdicts import JOINED, verdict
from train_utils.prompts.named_titles import Mention

_DISLIKING, _KNOWING = map(finder, (DISLIKING, KNOWING))
# "watched it like 20 times" praises nothing
_LIKING = re.compile(
    rf"\b(?!better\s+than\s+(?:that|those|these|this|it|them)\b|like\s+(?:\d+|an?|ten|twenty|fifty)\s+(?:\w+\s+)?times\b){any_of(LIKING)}(?!\w)",
    re.IGNORECASE,
)
_BAD = re.compile(rf"\b(?!a\s+disaster\s+{any_of(NOUNS)}\b){any_of(BAD)}(?!\w)", re.IGNORECASE)
_MOVED, _BORED = finder(MOVED), finder(BORED)
# "we watched that", but no "that" before what it introduces
_AFTER_THAT = any_of("yesterday, already, recently, before, last, too, twice, once, a, just, as well, also, again, one")
_THAT = re.compile(r"\b(?:that|it|them|those|these|both|all)\b", re.IGNORECASE)
_PRONOUN = re.compile(
    rf"\b(?:{any_of(PRONOUNS)}\b|that(?:'s|\s+(?:is|was|one))\b"
    rf"|{any_of(KNOWING + ',' + LIKES + ',' + DISLIKING)}\s+(?:that|this)"
    rf"(?=\s*(?:[.,;!?]|$|{_AFTER_THAT}\b))"
    rf"|{any_of(LIKES + ',' + DISLIKING)}\s+(?:the\s+(?:whole\s+|damn\s+)?(?:thing|film|movie)"
    r"|every\s+(?:single\s+)?(?:minute|second|moment|bit))\b)",
    re.IGNORECASE,
)
# "he was thrilled and so was I"
_PERSON = r"(?:i|we|he|she|they|everyone|everybody|(?:my|our|the)\s+\w+)"
_REACTION = re.compile(
    rf"(?:{GAP}(?:and\s+)?{_PERSON}\s+|[^.;!?]{{0,40}}?\band\s+(?:{_PERSON}\s+)?)"
    rf"{any_of('was, were, got, left, felt')}\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    rf"{GAP}(?:(?:and|but|so|well)\s+)?(?:everyone|everybody|people|critics|most|many|others|he|she|they"
    rf"|(?:my|our|the|some|other|all)\s+\w+(?:\s+\w+)?)\s+(?:\w+\s+)?{any_of(LIKES + ',' + DISLIKING)}\b",
    re.IGNORECASE,
)
# "I had to watch Heat for class", where "class" is no praise
_OBLIGED = re.compile(
    r"\bhad\s+to\s+(?:\w+\s+and\s+)?(?:watch|see|read)\b[^.!?\n]*\bfor\s+(?:an?\s+|my\s+)?(?:\w+\s+)?"
    r"(?:class|school|college|uni|university|course|work|homework|assignment)\b",
    re.IGNORECASE,
)
# "something I haven't seen, so not Heat"
_WANTS_UNSEEN = re.compile(
    r"\b(?:i|we|he|she|they)\s+(?:haven'?t|hasn'?t|have\s+not|has\s+not|never)\s+(?:seen|watched)\b[^.!?;]{0,30}?\bso\s+not\s+(?:the\s+)?$",
    re.I,
)
_UNSEEN = re.compile(
    r"\b(?<!rather )(?:(?:haven'?t|have not|hasn'?t|(?:'ve\s+|have\s+)?never|not|didn'?t|yet to|meaning to)\s+"
    r"(?:yet\s+|even\s+|actually\s+|ever\s+|managed\s+to\s+|had\s+the\s+chance\s+to\s+)?"
    r"(?:seen?|saw|watch(?:ed)?|caught|catch|tried|(?:got(?:ten)?|get|came|come)\s+a?round\s+to(?:\s+(?:watching|seeing))?)\s+(?:any\s+of\s+|\w+\s+)?|(?:seen|watched)\s+none\s+of\s+)"
    rf"(?:{GAP}{SPAN}{GAP}(?:and|or|nor)?{GAP})*{GAP}$",
    re.I,
)
# "Heat? Haven't seen it."
_NOT_SEEN = re.compile(
    rf"{GAP}(?:(?:but|and|well|no|nope)\b{GAP})?(?:(?:i|we)\s*)?(?:'?ve\s+)?(?:\w+\s+)?(?:haven'?t|have\s+not|never|not|didn'?t|yet\s+to)\s+(?:yet\s+|even\s+|actually\s+)?"
    r"(?:seen?|watch(?:ed)?)\b(?:\s+(?:it|that|them|those|this|both|either))?(?:\s+(?:yet|so\s+far|though|either|before|myself))*"
    rf"{GAP}$",
    re.IGNORECASE,
)
# "Heat? Seen."
_SEEN = re.compile(
    rf"{GAP}(?:(?:yes|yeah|yep|already|have|i|we|i've|we've|both)\b{GAP}){{0,3}}(?:seen|watched|saw)(?:\s+(?:already|too|both|twice|before))?{GAP}$",
    re.IGNORECASE,
)
_WATCHED = re.compile(
    rf"{GAP}(?:last\s+(?:week|month|year|time|night|weekend)|yesterday|earlier|before)\W+(?:i|we)\b"
    rf"|{GAP}(?:(?:and|so|well|yesterday|today|recently)\W+)?(?:i|we)(?:'?ve|\s+have)?\s+(?:just\s+|already\s+|only\s+)?(?:watched|saw|seen)\b"
    rf"|{GAP}you\s+(?:just\s+|only\s+)?(?:gave|showed|listed|recommended|suggested|sent)\b",
    re.I,
)
_JUDGMENT = re.compile(
    rf"{GAP}(?:(?:but|and|yet)\s+)?(?:(?:all|both|each|every\s+(?:single\s+)?one|the\s+lot|they|these|those|it|that)(?:\s+of\s+(?:it|them|those|these))?\s+)?(?:(?:was|is|were|are)\s+)?(?:(?:such|what)\s+)?(?:an?\s+)?(?:(?:really|very|so|pretty|quite|just|absolutely|\w+\s+(?:and|but))\s+){{0,3}}"
    rf"(?:(?P<bad>(?:\w+\s+of\s+)?{any_of(BAD)}|{any_of('hated, disliked, loathed, detested, despised, hate')})"
    rf"|{any_of(GOOD + ', adored, liked, enjoyed, love, adore')})"
    rf"(?:\s+(?:{any_of(NOUNS)}|it|them|both|every\s+(?:single\s+)?\w+(?:\s+of\s+(?:it|them))?|so\s+much|to\s+bits|to\s+death|a\s+lot|though)){{0,2}}{GAP}$",
    re.IGNORECASE,
)
# "a cartoon that isn't one of those", "they don't make them like they used to"
_NO_VERDICT = re.compile(
    r"\b(?:that|which)(?:'s| is| are)?(?:n'?t| not) (?:one of )?(?:those|these|them|it)\b"
    r"|\bdo(?:n'?t| not) make (?:them|'?em|those) like\b",
    re.IGNORECASE,
)
# "I have Heat on tape so not that one"
_NOT_THOSE = re.compile(
    rf"\b(?:so|hence|therefore)\s+(?:please\s+)?(?:not|skip|no\s+need\s+for)\s+(?:those|these|them|that|it|that\s+one|either)"
    rf"(?:\s+(?:please|pls|again|ones))?{GAP}$",
    re.IGNORECASE,
)
_DISAGREEING = re.compile(
    rf"{GAP}(?:(?:i|we|me)\s+(?:really\s+|just\s+|personally\s+)?|(?=(?:did|could)))"
    rf"(?:{any_of('did not, do not, disagree, hated, could not')}|(?:do|did|was|could)n'?t){GAP}$",
    re.IGNORECASE,
)
# How a message begins that judges the titles of the one before it.
_ON_LAST = re.compile(
    rf"{GAP}(?:{any_of('oh, yes, yeah, well, and, wow, no, haha, lol')}\b{GAP})?(?:(?:i|we)\s+(?:\w+\s+){{0,3}}?)?"
    rf"(?:{any_of('it, that one, they, both')}\s+{any_of('was, were, is, are, bored, blew')}"
    rf"|(?:didn'?t\s+|really\s+)*{any_of('love, loved, like, liked, hate, hated, enjoyed, adore, adored')}"
    rf"\s+{any_of('it, them, both')})\b(?!\s+(?:when|if)\b)",
    re.IGNORECASE,
)
_REFUSED = finder(
    """
    skip, exclude, leave, omit, drop, ditch, avoid, not that, not those, not it, no need, ban, banned, out, forbidden,
    off the table, off limits
    """
)
# "I saw Heat, I saw Fargo, both dull"
_EACH = re.compile(
    rf"{GAP}(?:(?:(?:and|but|well|they|i|we|i've|we've)\b|{any_of(LIKES + ',' + DISLIKING)}\b|was|were|are){GAP})*"
    rf"(?:(?P<two>both|neither)|all|each|none|every(?:\s+single)?\s+one|the\s+lot)\b",
    re.I,
)
# "And Titanic.", "Heat too."
_TITLES = rf"(?:the\s+)?{SPAN}(?:\s*(?:,|,?\s*and|&)\s*(?:the\s+)?{SPAN})*+"
_ADDITION = re.compile(
    rf"{GAP}(?:(?:and|plus|also|oh|same\s+(?:for|with|goes\s+for)|ditto|(?:neither|nor|so)\s+(?:did|does|do|was|were|is|are|could|can|would))\b{GAP})+{_TITLES}(?:\s+(?:too|as\s+well|also))?{GAP}"
    rf"|{GAP}{_TITLES}\s+(?:too|as\s+well|also|likewise|ditto){GAP}",
    re.IGNORECASE,
)
# "four films like it", after a question about one
_LIKE_IT = re.compile(
    rf"\b(?:{any_of(NOUNS)}|more|something|anything|smth|stuff|others?)\s+(?:just\s+|similar\s+|comparable\s+|close\s+)?(?:like|to)\s+(?:it|that|those|them)\b(?!\s+(?!(?:please|pls|but|from|or|and|only)\b)\w)"
    rf"|\b(?:that|this)\s+(?:kind|sort|type|style)\s+of\s+(?:thing|stuff|vibe|{any_of(NOUNS)})\b|\bmore\s+of\s+(?:that|those|it)\b|\balong\s+(?:those|these|that)\s+lines?\b",
    re.I,
)


def referred(plain: str, annotations: Sequence[Annotation]) -> dict[int, str]:
    """Return position -> "liked", "disliked", "known" or "unseen" for titles that a later clause judges by a pronoun.

    In "We watched Babe and the kids adored it", the clause after the title has no annotation of its own.

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    judged: dict[int, str] = {}
    before: list[int] = []
    named: list[int] = []
    for start, end, inside in annotated_clauses(plain, annotations):
        if inside:
            before, start = _last_joined(plain, annotations, inside), annotations[inside[-1]].end
            named += inside
        if not before:
            continue
        kind = _judgment(plain, start, end, not inside, "" if inside else verdict(plain, start, end))
        if kind in ("liked", "disliked") and not inside and _OTHERS.match(plain, start, end):
            own = clause_at(plain, annotations[before[-1]].start)
            if not _OTHERS.match(plain, *own) and any(_says(said, plain, *own) for said in (_LIKING, _DISLIKING, _BAD)):
                continue  # "I loved Heat, my wife hated it"
        if (
            kind == "disliked"
            and _is_refusal(plain, start, end)
            and is_only_known(plain, annotations[before[-1]].start)
        ):
            kind = "known"
        if kind:
            each = _EACH.search(plain, start, end)
            subjects = before if not each else named[-2:] if each["two"] else named
            judged |= dict.fromkeys(sorted({*before, *subjects}), kind)
    return judged


def _last_joined(plain: str, annotations: Sequence[Annotation], inside: Sequence[int]) -> list[int]:
    """Return some positions without those of titles that no enumeration joins to the last: "it" means none of them."""
    titles = [i for i in inside if isinstance(annotations[i].value, (Mention, Unknown))]
    first = len(titles) - 1
    while first > 0 and JOINED.fullmatch(plain, annotations[titles[first - 1]].end, annotations[titles[first]].start):
        first -= 1
    return [i for i in inside if i not in titles[: max(first, 0)]]


def _is_refusal(plain: str, start: int, end: int) -> bool:
    """Return whether a part of a clause refuses titles without blame: "so skip it", "it is banned in this house"."""
    blamed = any(_says(said, plain, start, end) for said in (_DISLIKING, _BAD, _BORED, ENDURED))
    return not blamed and _says(_REFUSED, plain, start, end)


def _judgment(plain: str, start: int, end: int, alone: bool, expressed: str) -> str:
    """Return what a part of a clause says of the titles before it; "" for nothing.

    Args:
        plain: the message, with its annotations masked.
        start: position where the part begins.
        end: position where the clause ends.
        alone: whether the part is a whole clause.
        expressed: what its expressions say.
    """
    if alone and (judgment := _JUDGMENT.match(plain, start, end)):
        return "disliked" if judgment["bad"] else "liked"
    if alone and _LIKE_IT.search(plain, start, end) and not negations(plain, start, end):
        return "liked"
    if alone and _DISAGREEING.match(plain, start, end):
        return "disliked"
    if expressed in ("liked", "disliked"):
        return expressed
    if _REACTION.match(plain, start, end):
        if _BORED.search(plain, start, end) or _BAD.search(plain, start, end):
            return "disliked"
        if _MOVED.search(plain, start, end) or _LIKING.search(plain, start, end):
            return "disliked" if negations(plain, start, end) else "liked"
    if _NOT_THOSE.search(plain, start, end) and _says(_KNOWING, plain, *clause_at(plain, start)):
        return "known"
    if _NOT_SEEN.match(plain, start, end):
        return "unseen"
    if alone and _SEEN.match(plain, start, end):
        return "known"
    if not _PRONOUN.search(plain, start, end) or _NO_VERDICT.search(plain, start, end):
        return "known" if alone and expressed and _THAT.search(plain, start, end) else ""
    if negations(plain, start, end) or _BAD.search(plain, start, end) and not NOT_BAD.search(plain, start, end):
        return "disliked"
    if _LIKING.search(plain, start, end):
        return "liked"
    return "known" if alone and (expressed or _KNOWING.search(plain, start, end)) else ""


def judgment_before_addition(plain: str, start: int, end: int) -> str:
    """Return the judgment that the sentence before states, where a sentence only adds titles to it; "" for no addition.

    "Seen that. And Titanic."; it is "liked" where the sentence before states none.

    Args:
        plain: the message, with its annotations masked.
        start: where the sentence begins.
        end: where it ends.
    """
    if not _ADDITION.fullmatch(plain, start, end):
        return ""
    before = max(0, start - FAR)
    if (
        _says(_DISLIKING, plain, before, start)
        or _says(_BAD, plain, before, start)
        or _says(ENDURED, plain, before, start)
    ):
        return "disliked"
    return "known" if _says(_KNOWING, plain, before, start) and not _says(_LIKING, plain, before, start) else "liked"


def judgment_of_last_message(plain: str, end: int) -> str:
    """Return "liked" or "disliked" where a message first judges what the one before named; "" otherwise.

    Args:
        plain: the message.
        end: position of its first annotation.
    """
    spans = [(first, last) for first, last in clauses(plain) if last <= end]
    if end == len(plain) and _LIKE_IT.search(plain):
        return "liked"
    first = _JUDGMENT.match(plain, *spans[0]) if spans else None
    if first and first["bad"]:
        return "disliked"  # "Dreadful. Never again."
    judging = next((span for span in spans if _ON_LAST.match(plain, *span)), None)
    kind = _judgment(plain, *judging, False, verdict(plain, *judging)) if judging else ""
    return kind if kind != "known" else ""


def expressed_at(plain: str, at: int) -> str:
    """Return what an expression in the clause around a title says of it: "liked", "disliked", "known", or "".

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return verdict(plain, *clause_at(plain, at), at)


def is_liked(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user likes it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(_LIKING, plain, *clause_at(plain, at))


def is_watched(plain: str, at: int) -> bool:
    """Return whether the clause around a category tells what the user has watched ("I saw two westerns").

    Args:
        plain: the message, with its annotations masked.
        at: position of the category.
    """
    return bool(_WATCHED.match(plain, *clause_at(plain, at)))


def is_of_others(plain: str, at: int) -> bool:
    """Return whether the clause around a title says what other people think of it ("everyone hated Heat").

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return bool(_OTHERS.match(plain, *clause_at(plain, at)))


def is_judged(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user does not like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(_DISLIKING, plain, *clause_at(plain, at)) or _says(_BAD, plain, *clause_at(plain, at))


def is_only_known(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user knows it, and not that they like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    clause = clause_at(plain, at)
    if _WANTS_UNSEEN.search(plain, max(0, at - FAR), at):
        return True
    if verdict(plain, *clause, at) == "known" and not _says(_LIKING, plain, *clause):
        return True
    return _says(_OBLIGED, plain, *clause) or _says(_KNOWING, plain, *clause) and not _says(_LIKING, plain, *clause)


def is_unseen(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user has not seen it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    start, _ = clause_at(plain, at)
    return bool(_UNSEEN.search(plain, max(start, at - FAR), at))


@lru_cache(maxsize=64)  # a clause may have a thousand titles, and each asks the same
def _says(pattern: re.Pattern[str], plain: str, start: int, end: int) -> bool:
    return bool(pattern.search(plain, start, end))
