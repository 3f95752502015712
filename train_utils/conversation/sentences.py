"""What each sentence of a message does: it asks for items, it asks about one, or it states something."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from train_utils.conversation.annotations import GAP, MASK, SPAN, Annotation
from train_utils.conversation.lexicon import (
    ADVERBS,
    ANY_CATEGORY,
    ASKING,
    ASKING_BEFORE_NOUN,
    ASKING_FOR_ITEMS,
    BAD,
    DISLIKING,
    GOOD,
    INFORMATION,
    INFORMATION_ON_TITLE,
    LIKES,
    MORE,
    NOT_ASKING,
    NOT_MORE,
    NOUNS,
    OPENINGS,
    PRONOUNS,
    STATING,
    STATING_ALONE,
    any_of,
    finder,
)
from train_utils.conversation.message_words import Unknown
from train_utils.conversation.numerals import NUMBER
from train_utils.prompts.named_titles import Mention

_ASKING = finder(ASKING)
_AFTER_NOUN = any_of(
    """
    like, with, of, from, about, for, that, rated, under, over, below, above, made, released, in, directed, starring,
    by, on
    """
)
# A sentence that is nothing else: "a movie please", "older movies", "films rated above 8".
_NOUN_PHRASE = (
    rf"(?!(?:what\s+)?(?:an?\s+)?{any_of(GOOD + ',' + BAD)}\s+{any_of(NOUNS)}\s*[!.])"
    rf"(?:(?:just|only|and|ok)\s+)?(?:(?:an?|one|the|some|any)\s+)?"
    rf"(?:(?!{any_of(STATING)}\b)[^\W\d][\w-]*\s+){{0,3}}?{any_of(NOUNS)}"
    rf"(?:{GAP}(?:please|pls|thanks)?{GAP}$|\s*,"
    rf"|\s+{_AFTER_NOUN}\b"
    r"|\s+without\b)"
)
_PERSON = r"(?:i|we|you|he|she|they|one|(?:my|our|the)\s+\w+)"
_CHOOSE = any_of(
    """
    watch, see, put on, rent, stream, pick, choose, take, try, view, start with, go with, go for, screen, enjoy, play,
    borrow, get, buy, read, catch, recommend, suggest, propose, advise, show
    """
)
# "What do I put on?", "which would you choose", "what should be next"
_CHOICE = (
    rf"(?:what|which)\b(?:\s+[\w'-]+){{0,3}}?\s+(?:should|shall|could|can|do|does|would|might)\s+{_PERSON}\s+"
    rf"(?:\w+\s+){{0,2}}?{_CHOOSE}\b"
    rf"|what\s+(?:would|could|might|will)\s+(?:\w+\s+)?(?:suit|fit|work|please|match)"
    r"|what(?:'?s|\s+is|\s+have\s+you(?:\s+got)?|\s+do\s+you\s+have)\s+(?:there\s+|in\s+it\s+)?for\s+(?:me|us)\b(?!\s+to\b)"
    rf"|what(?:\s+\w+){{0,4}}?\s+comes\s+(?:\w+\s+)?(?:close|closest|near|nearest|next)"
    rf"|{any_of('want, wants, would like, d like, d love, would love, need, needs')}\s+to\s+{_CHOOSE}\s+"
    r"(?:\w+\s+){0,2}?(?:an?|some)\s+"
    rf"(?:\w+\s+){{0,2}}?{any_of(NOUNS)}"
    rf"|(?:i|we)(?:'d|'ll|\s+would|\s+will)\s+(?:\w+\s+)?{_CHOOSE}\s+(?:an?|some)\s+(?:\w+\s+){{0,2}}?{any_of(NOUNS)}"
    rf"|{any_of(NOUNS)}\s+(?:that\s+)?(?:i|we)\s+(?:could|can|should|might)\s+(?:\w+\s+)?{_CHOOSE}\b"
    rf"|(?:what|which)(?:\s+\w+)?(?:'?s|\s+(?:is|are|comes|should|could|would|might|will))(?:\s+[\w'-]+){{0,2}}?\s+"
    rf"(?:next|worth|on\s+tonight|similar|left|good|decent)\b(?!\s+for\b)"
)
_INDEFINITELY = any_of(
    """
    give, show, find, get, bring, pick, suggest, got, have you, do you have, is there, are there, need, want, would
    like, i'd like, we'd like, looking for, look for, mood for, fancy, know, i'm after, we're after
    """
)
# "we'd like something decent", "got anything along those lines"
_INDEFINITE = rf"{_INDEFINITELY}(?:\s+(?:me|us|him|her|them|my\s+\w+))?\s+(?:something|anything|stuff|a\s+few|some)\b"
_NO_WISH = any_of(
    """
    thanks, thank, problem, worries, idea, way, need, doubt, one, rush, matter, clue, offense, else, really, preference,
    more, to, beats, wrong, chance, for
    """
)
# A whole sentence that only adds to a request: "for the kids this time", "with a happy end"
_ADDITION = (
    rf"(?:(?:and|or|but|maybe|now|ok|so|then|just|please|preferably)\s+){{0,2}}"
    rf"(?:(?:for|with|without|not\s+with)\s+(?:the|my|our|a|an|us|me|this|tonight|some|more|less|lots|no|kids|two|both)\b"
    rf"|with\s+(?!{_NO_WISH}\b|(?:love|pleasure|respect|regards|regard|all|best|kind|him|her|you|it|them|that)\b)[\w'.-]+\s+[\w'.-]+{GAP}$"
    rf"|directed\s+by\b|starring\b|rated\b|not\s+(?:too|so|overly)\b|(?:no|nothing)\s+(?!{_NO_WISH}\b)\w+)"
    rf"(?:(?!{any_of('i, we, he, she, they, you, it, is, was, are, were, pleasure')}\b)[\s,]*[\w'-]+){{0,8}}{GAP}$"
)
_DEMANDED = any_of(
    """
    more, again, different, different ones, next, ideas, idea, tips, thoughts, proposals, next one, next ones, and then,
    now, then, surprise, what, what now, then what
    """
)
# Nothing but a demand: "next?", "ideas?", "more please"
_DEMAND = (
    rf"(?:(?:and|ok|okay|so|well|even|any|now|your|some|got)[^\w{MASK}]+){{0,3}}"
    rf"{_DEMANDED}"
    rf"(?:\s+(?:one|ones|please|pls))?"
    rf"|(?:(?:something|but|a\s+(?:bit|little)|much|same)\s+){{0,3}}(?:older|newer|\w{{3,}}ier|(?:short|long|light|dark|slow|fast)er|(?:more|less)\s+\w+)"
    rf"(?:\s+(?:one|ones|please|pls))?"
)
# A short sentence with "please" asks, unless for something else.
_PLEASE, _SHORT = finder("please, pls, plz"), 12  # words
_OTHER_BUSINESS = finder("stop, wait, write, translate, speak, answer, explain, repeat, remember, sorry")
_ASKING_FOR_ITEMS = re.compile(
    rf"\b(?:{any_of(ASKING_FOR_ITEMS)}|{any_of(ASKING_BEFORE_NOUN)}\s+(?:[\w'-]+\s+){{0,3}}?{any_of(NOUNS)}"
    rf"|{_CHOICE}|{_INDEFINITE})\b"
    rf"|^{GAP}{_ADDITION}|(?:^|:){GAP}(?:{_DEMAND})(?:{GAP}$|\s+(?:for|about|on)\b)"
    rf"|,\s*(?:something|anything)\s+[\w-]+{GAP}$|^{GAP}(?:{any_of(NOUNS)}\s*\?|(?:something|anything)\b|{_NOUN_PHRASE})|(?:->|=>)\s*\?",
    re.IGNORECASE,
)
_NOT_ASKING = finder(NOT_ASKING)
# "never show me one": what follows asks for nothing.
_REFUSING = re.compile(
    r"\b(?:never|don'?t|do\s+not|stop|no\s+need\s+to|not|had|meaning|ma(?:kes?|de)\s+(?:me|us))\s+(?:ever\s+|again\s+)?$",
    re.IGNORECASE,
)
_SUBJECT = (
    rf"(?:i|we|my\s+\w+(?:\s+\w+){{0,2}}|he|she|they|it|that|this"
    rf"|(?:the\s+)?(?:\w+\s+of\s+)?(?:{SPAN}|\w++)(?:\s*(?:and|,)\s*{SPAN})*{GAP})"
)
_FAN = any_of("fan, fans, lover, lovers, buff, buffs, nut, nuts, person, people, guy, girl, fanatic, addict")
_JUDGED = any_of(f"seen, saw, know, knows, watched, own, owns, {LIKES}, {DISLIKING}, couldn't finish")
# Each separator matches in one way only: many titles that "and" joins would take exponential time otherwise.
_TITLES = rf"{SPAN}(?:\s*+(?:,(?:\s*+and)?|and|&|or)\s*+(?:the\s+)?{SPAN})*"
# "Fargo, on the other hand, bored me", "The Postman, three hours, I was so bored"
_INSERTED = (
    r"(?:\s*,[^,.?!;:\ue000]{1,40}(?=,)|\s+(?:on\s+the\s+other\s+hand|however|though|by\s+contrast|meanwhile)\b)?"
)
_SOMEBODY = r"(?:i|we|he|she|they|(?:my|our)\s+\w+)"
# "My brother works in horror makeup", "this chat is a comedy show"
_TELLER = r"(?:i|we|he|she|they|it|that|life|(?:my|our|his|her|their|this|the)\s+\w+)"
_DOING = any_of(
    """
    work, works, worked, wrote, write, writes, play, plays, played, teach, teaches, taught, study, studies, studied,
    live, lives, lived, run, runs, ran, met, went, made, makes, had, spent, lost, won, act, acts, acted, sing, sings,
    sang, sell, sells, sold, bought, collect, collects, collected, direct, directs, directed, drew, edit, edits, named,
    called, visited, married, joined, started, heard
    """
)
_STATEMENT = re.compile(
    rf"{GAP}(?:{any_of(OPENINGS)}\b{GAP}){{0,4}}(?!(?:{SPAN}|{any_of(NOUNS)})[\s-]+like\b|the\s+likes?\s+of\b|you\s+know\s+what\b)"
    rf"(?:{_SUBJECT}\s*(?:{any_of(ADVERBS)}\s+){{0,4}}{any_of(STATING)}\b"
    rf"|(?:i|we|my\s+\w+)(?:'?m|'?re|'?s|\s+am|\s+are|\s+is)\s+(?:an?\s+)?(?:\w+\s+){{0,2}}{SPAN}\s+{_FAN}\b"
    rf"|{any_of(STATING_ALONE)}\b"
    rf"|{_TELLER}\s+(?:\w+ly\s+|just\s+|also\s+)?{_DOING}\b|{_TELLER}(?:'m|'s|'re|\s+am|\s+is|\s+are|\s+was|\s+were)\s+(?:an?|the|such|like)\b"
    rf"|what\s+an?\s+(?:\w+\s+)?{SPAN}\b|{_TELLER}\s+wants?\s+to\s+(?:be|become)\b"
    rf"|{_TITLES}{_INSERTED}{GAP}{_SOMEBODY}"
    rf"(?:(?:'?ve|'?s|\s+have|\s+has)\b|\s+(?:{any_of(ADVERBS)}\s+){{0,2}}{_JUDGED}\b)"
    rf"|{_TITLES}{_INSERTED},?\s+(?:{any_of(STATING)}|{any_of(PRONOUNS)}\s+(?:was|were|is|are))\b"
    rf"|there(?:'s|'ll|\s+is|\s+are|\s+was|\s+were|\s+will|\s+has|\s+have|\s+had)\b"
    rf"|(?:love|adore|hate)\s+(?!to\b|an?\b|some\b)|it'?s\s+{SPAN}\s+(?:that|which|i)\b"
    rf"|{_TITLES}{GAP}(?:{any_of('no, nope, nah, yes, yeah, well, ok, oh')}\b{GAP}){{1,2}}{any_of(STATING_ALONE)}\b"
    rf"|(?:(?:a|one|an?\s+\w+)\s+)?{any_of('big, huge, massive, great, true, real')}\s+{SPAN}\s+{_FAN}\b"
    rf"|{_TITLES}{GAP}(?:what\s+(?:an?\s+)?(?:\w+\s+of\s+)?)?(?:(?:all|both|each)\s+)?"
    rf"(?:(?:so|very|really|just|pretty)\s+)?{any_of(GOOD + ',' + BAD)}{GAP}$"
    rf"|(?P<title>and\s+(?:not\s+)?(?:so\s+much\s+)?(?:the\s+)?{SPAN}{GAP}$))",
    re.IGNORECASE,
)
_MORE = re.compile(
    rf"(?<!no\s)(?<!not\s)(?<!any\s)(?<!once\s)\b(?!{any_of(NOT_MORE)}\b){any_of(MORE)}\b"
    r"|\bany\s+others\b|^\W*(?:\w+\s+)?(?:got\s+|are\s+there\s+)?any\s+more\s*(?:\W*$|of\b|like\b)|\bnext\s+\d|^\W*(?:and\s+)?even\s+more\W*$",
    re.IGNORECASE,
)
# "I should laugh more"
_MORE_OFTEN = re.compile(
    rf"\b(?:should|must|ought\s+to|need\s+to)\s+(?!{_CHOOSE}|show|give|have)(?:[^\W\d]+|{SPAN})\s+$", re.IGNORECASE
)
# "fewer dramas, more comedies" asks for other items.
_SHIFTED = re.compile(rf"\b(?:less|fewer)\s+(?:\w+\s+)?{SPAN}", re.IGNORECASE)
_ANY_CATEGORY = re.compile(rf"\b(?:{any_of(ANY_CATEGORY)}|not\s+(?:only|just)(?!\s+{NUMBER}\b))(?!\w)", re.IGNORECASE)
# Questions that are no requests; "how about" and "why not" may be.
_INFORMATION = re.compile(
    rf"\b{any_of(INFORMATION)}(?!\w)|\bwhat(?:'s|\s+is|\s+are)\s+(?:an?\s+)?{SPAN}\s*(?:{any_of(NOUNS)})?\s*\?"
    rf"|^{GAP}(?:(?:and|so|but|by the way)\W+)?(?:who|whom|whose|when|where|why|how)\b"
    r"(?!\s+(?:about|not|next|now)\b|\s+(?:\w+\s+){0,2}(?:go|turn)\b)[^?]*\?",
    re.IGNORECASE,
)
_INFORMATION_ON_TITLE = re.compile(
    rf"(?:^|[.!?]\s|\b(?:(?<!and\s)so(?!\s(?:was|is)\b)|and|but|hey|say),?\s){any_of(INFORMATION_ON_TITLE)}\s+(?:the\s+)?[\"']?$",
    re.IGNORECASE,
)
_TOLD = re.compile(rf"{GAP}(?:{any_of(OPENINGS)}\b{GAP}){{0,4}}(?:i|we|he|she|they|my\s+\w+)\b", re.IGNORECASE)
# "Must have: crime"
_HEADINGS = any_of(
    """
    must have, must-have, must haves, must-haves, wanted, required, requirements, wish, wishes, wish list, should have,
    genre, genres, category, categories, mood, decade, era, year, years
    """
)
_HEADING = re.compile(rf"{GAP}{_HEADINGS}\s*[:=]", re.IGNORECASE)
_AMOUNTS_TO = re.compile(r"\s*(?:is|are|will|would|should)\b", re.IGNORECASE)  # "a handful is plenty"
# "seen it, 3 more"
# A sentence may end in a request without a verb: "The party is off, two films then", "I'm sad, comedy time".
_NO_REQUEST = any_of(
    """
    no, not, never, without, i, we, he, she, they, my, our, of, with, like, than, in, for, to, by, and, or, on, at, is,
    are, was, were, nothing, including, such, as, about, from
    """
)
_THEN = r"(?:\s*,?\s*(?:then|please|pls|now|instead|time|night|evening|marathon|tonight|next|this\s+time))"
_BARE_END = re.compile(
    rf"(?P<before>^.*?)[,;:-]\s+(?P<lead>(?:(?:so|now|then|ok|okay|please|hence)\W+)+)?"
    rf"(?:(?!{_NO_REQUEST}\b|{any_of(STATING)}\b)[\w'-]+\s+){{0,3}}?"
    rf"(?:{SPAN}(?:\s+(?:{SPAN}|{any_of(NOUNS)}))*|{NUMBER}\s+(?:(?!{_NO_REQUEST}\b)[\w'-]+\s+){{0,2}}?{any_of(NOUNS)})"
    rf"(?P<then>{_THEN})*{GAP}$",
    re.IGNORECASE,
)
_THING = re.compile(rf"{MASK}|\b{any_of(NOUNS)}\b", re.IGNORECASE)
_LEAD = re.compile(rf"[,;:-]\s*(?:{any_of('and, so, now, then, but, ok, okay, please')}\s+)?$", re.IGNORECASE)
_STATED = re.compile(
    rf"{GAP}(?:i|we)(?:'m|'re|\s+am|\s+are)?\s+(?:\w+\s+){{0,3}}?{any_of('love, like, enjoy, adore, fan, into')}\b",
    re.I,
)
_NEAR = 40  # characters before a title that tell whether a sentence asks about it
_TOPIC = re.compile(rf"{GAP}(?:(?:and|as\s+for|the|ah|oh|right|yes|yeah|well)\W+)*{SPAN}\s*[?.!]{GAP}", re.IGNORECASE)
_NOT_SEEN = r"(?:i|we|haven'?t|have\s+not|not|never|nope)"
_VERDICT = re.compile(
    rf"{GAP}(?:(?:{_NOT_SEEN})\b|{any_of(LIKES + ',' + STATING_ALONE + ',' + GOOD + ',' + BAD)}\b)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n")


@dataclass(frozen=True)
class Sentence:
    """Sentence of a message.

    Attributes:
        start: position of its first character.
        end: position after its last character.
        asks: whether it asks for recommendations.
        informs: whether it asks about a title or the catalog instead.
        names: whether it names a title.
        likes: whether it only says that the user likes something.
    """

    start: int
    end: int
    asks: bool
    informs: bool
    names: bool
    likes: bool

    @classmethod
    def of(
        cls,
        plain: str,
        start: int,
        end: int,
        found: Sequence[Annotation],
        count: Annotation | None,
        lifted: Collection[int],
    ) -> "Sentence":
        text = plain[start:end]
        informs = bool(_INFORMATION.search(text)) or any(
            _INFORMATION_ON_TITLE.search(plain, max(start, entry.start - _NEAR), entry.start)
            for entry in found
            if start <= entry.start < end and isinstance(entry.value, (Mention, Unknown))
        )
        inside = [entry.value for entry in found if start <= entry.start < end]
        titles = [isinstance(value, (Mention, Unknown)) for value in inside]
        counts = bool(count and start <= count.start < end)
        says = bool(inside) or counts or bool(asks_for_more(text) or _ANY_CATEGORY.search(text))
        statement = bool(match := _STATEMENT.match(text))
        if match and match["title"] and not any(titles):
            statement = False  # "and not animated"
        if titles and all(titles) and not counts and _TOLD.match(text):
            statement = True  # "I take Heat back"
        alone = counts and count and _LEAD.search(plain, max(start, count.start - _NEAR), count.start)
        if count and counts and (_AMOUNTS_TO.match(plain, count.end) or alone and asks_for_more(text)):
            statement = False
        if any(start <= at < end for at in lifted) or _ANY_CATEGORY.search(text):
            statement = False  # "horror is fine now"
        if statement and _HEADING.match(text) or statement and _ends_in_request(_without_titles(text, start, found)):
            statement = False
        wants = _is_asked(_ASKING, text) or "?" in text or not statement
        asks = not informs and not _NOT_ASKING.search(text)
        polite = bool(_PLEASE.search(text)) and len(text.split()) <= _SHORT and not _OTHER_BUSINESS.search(text)
        asks = asks and (_is_asked(_ASKING_FOR_ITEMS, text) or polite and not statement or says and wants)
        names = any(titles)
        return cls(start, end, asks, informs, names, not asks and bool(_STATED.match(text)))


def _is_asked(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a sentence has a pattern's words, and not only after "never" or "don't"."""
    return any(
        not _REFUSING.search(text, max(0, match.start() - _NEAR), match.start()) for match in pattern.finditer(text)
    )


def _without_titles(text: str, start: int, found: Sequence[Annotation]) -> str:
    """Return a sentence in which the titles are no annotations."""
    characters = list(text)
    for entry in found:
        if isinstance(entry.value, (Mention, Unknown)) and start <= entry.start < start + len(text):
            characters[entry.start - start : entry.end - start] = '"' * (entry.end - entry.start)
    return "".join(characters)


def _ends_in_request(text: str) -> bool:
    """Return whether a sentence ends in a request without a verb; "I own comedies, dramas" only enumerates."""
    match = _BARE_END.match(text)
    return bool(match and (match["lead"] or match["then"] or not _THING.search(match["before"])))


def sentences_of(
    plain: str, found: Sequence[Annotation], count: Annotation | None, lifted: Collection[int] = ()
) -> list[Sentence]:
    """Return the sentences of a message.

    Args:
        plain: the message, with its annotations masked.
        found: its annotations.
        count: the number of items that it names.
        lifted: positions of what it takes back.
    """
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(plain)), len(plain)]
    sentences = [
        Sentence.of(plain, start, end, found, count, lifted)
        for start, end in zip(cuts, cuts[1:], strict=False)
        if end > start
    ]
    answers = zip(sentences, sentences[1:], strict=False)
    asked = {
        one
        for one, answer in answers
        if _is_topic(plain, one) and not answer.asks and _VERDICT.match(plain, answer.start)
    }
    return [replace(entry, asks=False) if entry in asked else entry for entry in sentences]


def _is_topic(plain: str, sentence: Sentence) -> bool:
    """Return whether a sentence only names the title that the next one judges ("Heat? Seen it.")."""
    return sentence.names and bool(_TOPIC.fullmatch(plain, sentence.start, sentence.end))


def asks_for_more(plain: str) -> bool:
    """Return whether a message asks for further items of the same kind."""
    return not _SHIFTED.search(plain) and any(
        not _MORE_OFTEN.search(plain, max(0, match.start() - _NEAR), match.start()) for match in _MORE.finditer(plain)
    )


def has_asking_words(text: str) -> bool:
    """Return whether a text has words with which a statement asks for something."""
    return _is_asked(_ASKING, text)


def takes_any_category(plain: str) -> bool:
    """Return whether a message takes back a restriction to categories."""
    return bool(_ANY_CATEGORY.search(plain))
