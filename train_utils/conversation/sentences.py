"""What each sentence of a message does: it asks for items, it asks about one, or it states something."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from train_utils.conversation.annotations import GAP, MASK, SPAN, Annotation
from train_utils.conversation.asking import ASKING_FOR_ITEMS, CHOOSE, INTERROGATIVE
from train_utils.conversation.lexicon import (
    ADVERBS,
    ANY_CATEGORY,
    ASKING,
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
    REFUSALS,
    STATING,
    STATING_ALONE,
    any_of,
    finder,
)
from train_utils.conversation.message_words import Unknown
from train_utils.conversation.numerals import NUMBER
from train_utils.conversation.verdicts import verdict
from train_utils.prompts.named_titles import Mention

_ASKING = finder(ASKING)
# A short sentence with "please" asks, unless for something else.
_PLEASE, _SHORT = finder("please, pls, plz"), 12  # words
_OTHER_BUSINESS = finder("stop, wait, write, translate, speak, answer, explain, repeat, remember, sorry")
# but "that's all I ask"
_NOT_ASKING = re.compile(
    rf"\b{any_of(NOT_ASKING)}"
    r"(?!\w|\s*[.!]*\s*$(?<=to say)|\s+(?:that\s+)?(?:i|we|he|she|they)\b|\s+(?:is\s+)?asked\b)",
    re.IGNORECASE,
)
# "never show me one": what follows asks for nothing.
_REFUSING = re.compile(
    r"\b(?:never|don'?t|do\s+not|stop|no\s+need\s+to|not|had|meaning|ma(?:kes?|de)\s+(?:me|us))\s+(?:ever\s+|again\s+)?$",
    re.IGNORECASE,
)
# "I thought I'd love Casino", "everyone told me to watch it": no request.
_REPORTED = re.compile(
    r"\b(?:wanted|tried|hoped|expected|meant)\s+to\s+(?:like|love|enjoy|watch|see|finish)\b"
    r"|\b(?:think|thought|figured|knew|sure|guess(?:ed)?|believe|say|said)\s+(?:that\s+)?(?:i|we|he|she|they)(?:'?d|\s+would)\s+\w+"
    # "whoever made it should be in jail", "I must be the only one", "it is rather slow", "another that I hold dear"
    r"|\b(?:i|we|he|she|you)\s+(?:must|should|ought\s+to|has\s+to|have\s+to|needs?\s+to)\s+be\b"
    rf"|\bwho(?:m?ever)?\s+[^.!?,;]{{1,60}}\b(?:should|must|ought\s+to|has\s+to|needs?\s+to)\s+be\b"
    rf"|(?:\b(?:is|was|were|are|it|them)|'s|{SPAN})\s+rather\b(?!\s+than\b)|\banother\s+(?:(?:one|favou?rite)\s+)?(?:that\s+)?(?:i|we|of\s+(?:my|our))\b"
    rf"|\b(?:my|our|your|this|that|bucket|wish)\s+list\b|\b(?:off|about|going)\s+to\s+(?:watch|see)\b|\bwanted\s+(?:my|our|his|her)\b"
    r"|\b(?:he|she|(?:my|our)\s+\w+)\s+wants?\s+to\s+(?:pick|choose|decide)\b"
    r"|\b(?:told|made|got|convinced|forced|begged|asked|urged)\s+(?:me|us|him|her|them)\s+(?:to\s+)?(?:watch|see|try|give)\b",
    re.IGNORECASE,
)
_THINGS = any_of(NOUNS + ", stuff, something, anything, more, things")
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
_TELLER = r"(?:i|we|he|she|they|it|that|life|(?:my|our|his|her|their)\s+\w+(?:\s+\w+)?|(?:this|the)\s+\w+)"
_DOING = any_of(
    """
    work, works, worked, wrote, write, writes, play, plays, played, teach, teaches, taught, study, studies, studied,
    live, lives, lived, run, runs, ran, met, went, made, makes, had, spent, lost, won, act, acts, acted, sing, sings,
    sang, sell, sells, sold, bought, collect, collects, collected, direct, directs, directed, drew, edit, edits, named,
    called, took, dragged, brought, showed, shows, lent, moved, visited, married, joined, started, heard
    """
)
_STATEMENT = re.compile(
    rf"{GAP}(?:{any_of(OPENINGS)}\b{GAP}){{0,4}}"
    rf"(?!(?:{SPAN}|{_THINGS})[\s-]+like\b|the\s+likes?\s+of\b|you\s+know\s+what\b)"
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
    rf"|(?P<title>and\s+(?:not\s+)?(?:so\s+much\s+)?(?:the\s+)?{SPAN}{GAP}$|{_TITLES}\s+(?:too|as\s+well|also|likewise|ditto){GAP}$))",
    re.IGNORECASE,
)
_MORE = re.compile(
    rf"(?<!no\s)(?<!not\s)(?<!any\s)(?<!once\s)\b(?!{any_of(NOT_MORE)}\b){any_of(MORE)}\b"
    r"|\bany\s+others\b|^\W*(?:\w+\s+)?(?:got\s+|are\s+there\s+)?any\s+more\s*(?:\W*$|of\b|like\b)|\bnext\s+\d|^\W*(?:and\s+)?even\s+more\W*$",
    re.IGNORECASE,
)
# "another film about musicians", "three others of that kind": after examples of the same message, no further items
ANOTHER = re.compile(
    rf"\banother(?=\s+(?:{SPAN}|{any_of(NOUNS)}\b))|\bothers(?=\s+of\s+(?:that|this|the\s+same)\s+(?:kind|sort|type|style)\b)",
    re.IGNORECASE,
)
# "I should laugh more"
_MORE_OFTEN = re.compile(
    rf"\b(?:should|must|ought\s+to|need\s+to)\s+(?!{CHOOSE}|show|give|have)(?:[^\W\d]+|{SPAN})\s+$", re.IGNORECASE
)
# "fewer dramas, more comedies" asks for other items.
_SHIFTED = re.compile(rf"\b(?:less|fewer)\s+(?:\w+\s+)?{SPAN}", re.IGNORECASE)
_ANY_CATEGORY = re.compile(rf"\b(?:{any_of(ANY_CATEGORY)}|not\s+(?:only|just)(?!\s+{NUMBER}\b))(?!\w)", re.IGNORECASE)
# Questions that are no requests; "how about" and "why not" may be.
_INFORMATION = re.compile(
    rf"\b{any_of(INFORMATION)}(?!\w)|\bwhat(?:'s|\s+is|\s+are)\s+(?:an?\s+)?{SPAN}\s*(?:{any_of(NOUNS)})?\s*\?"
    rf"|^{GAP}(?:(?:and|so|but|by the way)\W+)?(?:who|whom|whose|when|where|why|how)\b"
    r"(?!\s+(?:about|not|next|now)\b|\s+(?:\w+\s+){0,2}(?:go|turn|start|begin)\b)[^?]*\?"
    # "can I watch the films on here or do you only give tips"
    r"|\b(?:can|could|may)\s+(?:i|we|you|one)\s+(?:actually\s+|also\s+|even\s+)?(?:watch|stream|play|rent|buy|see|download|order|get)\s+(?:the|these|those|them|your|it|any|all)\b[^.!?]{0,30}?\s(?:on\s+here|here|in\s+(?:this|the)\s+(?:chat|app)|on\s+this\s+(?:site|page|app)|through\s+you|directly|online)\b"
    r"|\bdo\s+you\s+(?:only|just)\s+(?:give|make|offer|do)\b",
    re.IGNORECASE,
)
_INFORMATION_ON_TITLE = re.compile(
    rf"(?:^|[.!?]\s|\b(?:(?<!and\s)so(?!\s(?:was|is)\b)|and|but|hey|say),?\s){any_of(INFORMATION_ON_TITLE)}\s+(?:the\s+)?[\"']?$",
    re.IGNORECASE,
)
# "Which is better, Alien or Aliens?", "could you tell me whether Titanic is for children?"
_QUERY = re.compile(
    rf"{GAP}(?!(?:neither|nor|so)\b)(?:(?:{any_of(OPENINGS)}|right|k)\b{GAP}){{0,3}}(?:(?:is|was|are|were|does|do|did|has|have|will|would|can|could)\s+"
    rf"(?:{SPAN}|(?:the|that|this|it|he|she|they|people|critics|anyone|everyone|(?:my|our|his|her)\s+\w+)\s|(?=[^?]{{0,60}}\?)(?!(?:you|u|i|we|there)\b))"
    r"|did\s+(?:(?!(?:you|u|i|we)\b)[\w']+\s+){1,4}(?:win|get|direct|play|star|make|write|die|do|sing|say|use|film)\b"
    rf"|(?:can|could|should|will|would|is)\s+(?:an?|my|our|the|kids|children|{NUMBER})\s+(?:[\w-]+\s+){{0,5}}?(?:watch|see|handle|enjoy|understand)\s+(?:the\s+)?{SPAN}"
    r"|which\s+(?:\w+\s+)?(?:is|was|are|came|won|did|does|got|made)\s|how\b(?!\s+about)|why\b(?!\s+not)|when\b|who\b|what\s+(?:do|did|does)\s+(?:\w+\s+){1,3}?(?:see|think|say|find|make|like|call|mean)\b|on\s+a\s+scale"
    r"|(?:(?:can|could|would|please|pls|do|just)\s+)*(?:you\s+)?(?:tell|remind|explain|know|say)\s+(?:(?:to\s+)?(?:me|us)\s+)?(?:whether|if|how|who|why|when|what|which)\b)",
    re.IGNORECASE,
)
_LIKING_QUERY = re.compile(rf"{GAP}(?:\w+\s+)?(?:did|does|do|would|will)\s+(?:[\w']+\s+){{1,3}}like\s", re.IGNORECASE)
# "Air Force One he found ridiculous", "omg, Scream 2 was so good", "Jerry Maguire, loved it": a judgment of a title,
# with its subject or verb anywhere in the sentence; and not "like Alien, which I loved".
_TOLD = re.compile(
    rf"\b(?:i|we|he|she|they|(?:my|our)\s+\w+)(?:'?(?:m|re|s|ve|d|ll))?\s+[a-z']+"
    rf"|{SPAN}{GAP}(?:was|were|is|are|had|did|never|always|{any_of(STATING)})\b|\b(?:that|it|this)(?:'?s|\s+(?:is|was))\b|\b{any_of(STATING_ALONE)}\b",
    re.IGNORECASE,
)
# "Not Fargo, we own it", "a comedy is good, but no cartoons", "it bored me so nothing like that": what is refused is a
# condition of a request.
_REFUSED = re.compile(
    rf"(?:^{GAP}(?:(?:and|but|so|ok|okay|please|just|also|oh)\b{GAP}){{0,2}}"
    rf"|(?:[,;]\s*|\b)(?:but|so|then|hence|just)\s+(?:please\s+)?)"
    rf"(?:no(?!\s+(?:love|time|need)\b)|not|nothing|none|without|anything\s+but)\s+"
    rf"(?:(?!{any_of('i, we, he, she, they, you, it, sure, only, so much, really')}\b)[\w']+\s+){{0,2}}?"
    rf"(?:{SPAN}|{any_of(NOUNS)}\b(?!\s+of\b)|(?:like\s+)?(?:that|this|those|these)\b)"
    rf"|(?:^{GAP}|[,;]\s*|\b(?:so|and|but|please|then)\s+)(?:please\s+)?(?:just\s+)?(?:leave|skip|exclude|omit|drop|avoid|ditch)\s+"
    rf"(?:it|that|that\s+one|those|them|this|these|both|(?:the\s+)?{SPAN})\b|\bplease\s+(?:exclude|skip|omit)\b|\bleave\s+(?:it|that|those|them|{SPAN})\s+out\b",
    re.IGNORECASE,
)
# A title with something else about it: "Amadeus, but shorter", "Alien meets Heat", "Heat please"
_VARIED = re.compile(
    rf"{SPAN},?\s+(?:but\b(?!\s+(?:i|we|he|she|they|it|that|this|my|could|did|was|is|had|never|not|then|just)\w*\b)|meets|crossed|only|with\s+(?:more|less|fewer|a\s+bit)|(?:please|pls|plz|maybe|perhaps|tonight)\b)"
    rf"|\b(?:think|imagine|maybe|perhaps|after|next|along)\s+(?:of\s+)?(?:the\s+)?{SPAN}",
    re.IGNORECASE,
)
_OTHER_WORD = re.compile(
    rf"\b(?!{any_of('and, or, the, a, an, also, then, plus, too, both, ok, hi, hello, hey, movie, film')}\b)[^\W\d]\w*"
)
_JUDGING = re.compile(rf"\b{any_of(GOOD + ',' + BAD)}(?!\w)|(?-i:\bNO\b)|\bwhat\s+an?\b", re.IGNORECASE)
_LIKENED = re.compile(
    rf"\b(?:(?<!\bi\s)(?<!\bwe\s)(?<!people\s)(?<!they\s)(?<!you\s)(?<!who\s)(?<!n't\s)(?<!to\s)like|unlike|similar\s+to|such\s+as|vein\s+of|style\s+of|lines\s+of|[aà]\s+la|akin\s+to|as\s+\w+\s+as|more|kind\s+of|sort\s+of)\s+"
    rf"(?:the\s+)?{SPAN}|{SPAN}\s+(?:vibes?|style|type|kind)\b",
    re.IGNORECASE,
)
# "What do people who like Alien watch?", "what would a Fargo fan enjoy"
_OF_FANS = re.compile(
    rf"{GAP}(?:(?:{any_of(OPENINGS)})\b{GAP}){{0,3}}(?:what|which)\b[^.!?{MASK}]{{0,40}}?(?:\b(?:people|fans?|those|somebody|someone|viewers|users|folks|lovers?)\b"
    rf"[^.!?{MASK}]{{0,30}}{SPAN}|{SPAN}\s+(?:fans?|lovers?))[^.!?{MASK}]{{0,30}}\b(?:watch|enjoy|like|love|see|pick|go\s+for|recommend)\b(?!\s+about\b)",
    re.IGNORECASE,
)
# "Must have: crime"
_HEADINGS = any_of(
    """
    must have, must-have, must haves, must-haves, wanted, required, requirements, wish, wishes, wish list, should have,
    genre, genres, category, categories, mood, decade, era, year, years
    """
)
_HEADING = re.compile(
    rf"{GAP}{_HEADINGS}\s*[:=]|{GAP}(?:(?:ok|okay|right|so|then|fine|well)\b{GAP})*{SPAN}\s*(?:{any_of(NOUNS)}\s+)?it\s+is\b",
    re.IGNORECASE,
)
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
    rf"{GAP}(?:i|we)(?:'m|'re|\s+am|\s+are)?\s+(?:\w+\s+){{0,3}}?{any_of('love, like, enjoy, adore, fan, into')}\b"
    rf"|[^.!?;{MASK}]{{0,60}}{SPAN}[^.!?;{MASK}]{{0,30}}\bbut\s+(?:i|we)\s+(?:\w+\s+){{0,2}}?"
    rf"{any_of('love, like, enjoy, adore')}\b"
    rf"|{GAP}(?:he|she|they|(?:my|our)\s+\w+)\s+(?:\w+ly\s+|all\s+|both\s+)?"
    rf"{any_of('loves, likes, enjoys, adores, love, like, enjoy, adore')}\s+(?:an?\s+(?:good\s+)?)?{SPAN}",
    re.I,
)
_NEAR = 40  # characters before a title that tell whether a sentence asks about it
_TOPIC = re.compile(
    rf"{GAP}(?:(?:and|as\s+for|the|ah|oh|right|yes|yeah|well)\W+)*{SPAN}"
    rf"(?:\s+(?:with|w/?|by)\s+[^\W\d]\w+(?:\s+\w+)?)?\s*[?.!]{GAP}",
    re.IGNORECASE,
)
_NOT_SEEN = r"(?:i|we|haven'?t|have\s+not|not|never|nope)"
_VERDICT = re.compile(
    rf"{GAP}(?:(?:{any_of(OPENINGS)})\b{GAP}){{0,3}}"
    rf"(?:{_NOT_SEEN}|{any_of(LIKES + ',' + STATING_ALONE + ',' + GOOD + ',' + BAD)}"
    rf"|{any_of(REFUSALS)}|what\s+an?|(?:(?!{any_of(ASKING)}\b)[\w']+\s+){{0,4}}?(?:that|it|they|both)(?:'s|\s+(?:was|is|were|are)))\b",
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
        of_fans = bool(_OF_FANS.match(text))
        informs = informs and not of_fans
        inside = [entry.value for entry in found if start <= entry.start < end]
        names = any(isinstance(value, (Mention, Unknown)) for value in inside)
        if names and not informs and not of_fans and _QUERY.match(text):
            informs = not _LIKENED.search(text) or bool(_LIKING_QUERY.match(text))
        titles = [isinstance(value, (Mention, Unknown)) for value in inside]
        counts = bool(count and start <= count.start < end)
        says = bool(inside) or counts or bool(asks_for_more(text) or _ANY_CATEGORY.search(text))
        statement = bool(match := _STATEMENT.match(text))
        if match and match["title"] and not any(titles):
            statement = False  # "and not animated"
        if titles and all(titles) and not counts and not (_LIKENED.search(text) or _VARIED.search(text)):
            # "I take Heat back", "Heat shook me badly"; and not "Heat, Alien"
            statement = statement or bool(_TOLD.search(text) or _JUDGING.search(text) or verdict(plain, start, end))
            statement = statement or len(_OTHER_WORD.findall(text)) > 1
        if statement and _REFUSED.search(text):
            statement = False
        alone = counts and count and _LEAD.search(plain, max(start, count.start - _NEAR), count.start)
        if count and counts and (_AMOUNTS_TO.match(plain, count.end) or alone and asks_for_more(text)):
            statement = False
        if any(start <= at < end for at in lifted) or _ANY_CATEGORY.search(text):
            statement = False  # "horror is fine now"
        if statement and _HEADING.match(text) or statement and _ends_in_request(_without_titles(text, start, found)):
            statement = False
        # The slowest pattern is tried last.
        wants = not statement or "?" in text or bool(INTERROGATIVE.match(text)) or _is_asked(_ASKING, text)
        asks = not informs and not _NOT_ASKING.search(text)
        asks = asks and (
            says and wants or not statement and _is_polite(text) or of_fans or _is_asked(ASKING_FOR_ITEMS, text)
        )
        return cls(start, end, asks, informs, names, not asks and bool(_STATED.match(text)))


def _is_polite(text: str) -> bool:
    """Return whether a sentence is a short request by "please", and not for something else than items."""
    return bool(_PLEASE.search(text)) and len(text.split()) <= _SHORT and not _OTHER_BUSINESS.search(text)


def _is_asked(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a sentence has a pattern's words, and not only after "never" or "don't", or in what it reports."""
    reported: list[tuple[int, int]] | None = None
    for match in pattern.finditer(text):
        if _REFUSING.search(text, max(0, match.start() - _NEAR), match.start()):
            continue
        if reported is None:
            reported = [entry.span() for entry in _REPORTED.finditer(text)]
        if not any(low <= match.start() < high for low, high in reported):
            return True
    return False


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
        if _is_topic(plain, one)
        and not answer.asks
        and (_VERDICT.match(plain, answer.start) or verdict(plain, answer.start, answer.end))
    }
    return [replace(entry, asks=False) if entry in asked else entry for entry in sentences]


def _is_topic(plain: str, sentence: Sentence) -> bool:
    """Return whether a sentence only names the title that the next one judges ("Heat? Seen it.")."""
    return sentence.names and bool(_TOPIC.fullmatch(plain, sentence.start, sentence.end))


def asks_for_more(plain: str, names_titles: bool = False) -> bool:
    """Return whether a message asks for further items of the same kind.

    Args:
        plain: the message, with its annotations masked.
        names_titles: whether it names examples, which "another film" then follows, and no list before.
    """
    plain = ANOTHER.sub(" ", plain) if names_titles else plain
    return not _SHIFTED.search(plain) and any(
        not _MORE_OFTEN.search(plain, max(0, match.start() - _NEAR), match.start()) for match in _MORE.finditer(plain)
    )


def has_asking_words(text: str) -> bool:
    """Return whether a text has words with which a statement asks for something."""
    return _is_asked(_ASKING, text)


def takes_any_category(plain: str) -> bool:
    """Return whether a message takes back a restriction to categories."""
    return bool(_ANY_CATEGORY.search(plain))
