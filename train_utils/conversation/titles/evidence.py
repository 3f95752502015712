"""How much speaks for words of a message being a title: one sum over the words, what is around them, and the match.

Words that are spelled as a title of the catalog are often ordinary ones ("heat", "the game"). Each of the weights below
is for one observation; words are a title from `ENOUGH` on.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

from train_utils.conversation.words.blame_phrases import SICK_FACE
from train_utils.conversation.words.judging_verbs import LIKING_VERBS, OWNING_VERBS
from train_utils.conversation.words.lexicon import BAD, DISLIKING, GOOD, LIKES, NOUNS, any_of
from train_utils.conversation.words.message_words import MOST_WORDS, RARE, MessageWords
from train_utils.conversation.words.title_contexts import DATED, JOINED, KIND, PRAISE, VERB, VERDICT
from train_utils.conversation.words.verdict_phrases import GLAD_FACE
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.mass_nouns import MASS_NOUNS
from train_utils.prompts.near_titles import key_of
from train_utils.prompts.templates import in_words

# ENOUGH makes words a title; less than TOO_LITTLE takes back a title that is written as in the catalog, in lower case.
ENOUGH, TOO_LITTLE = 4.0, 0.5
_MOST_OF_WORDS = 5.0
# Before the title: "similar to", a bullet or arrow; "and" after another title; "no"; "the ... films"; "show me"; a
# clause begins; "in" or "we"; "a", "my".
NAMED, _JOINED, _REFUSED, _SERIES, _OFFERED, _FIRST, _DEPENDENT, _DETERMINED = 2.5, 2.5, 2.0, 1.5, 1.0, 1.0, -2.0, -5.0
# After the title: a year; a verdict, "I saw", or another title; a full stop, where the title is all of its sentence; a
# verb, or the end of a clause; "films".
MOST_AFTER = _DATED = 3.0
_JUDGED, _ALONE, _CLOSED, _FOLLOWED = 2.0, 1.5, 1.0, -2.0
_CAPITAL, _CAPITALS = 2.0, 1.0  # a capital within a sentence; capitals of all words
EXTENDING = 2.0  # the words begin with a title that is written as in the catalog
OF_SERIES = 2.0  # the message names the series of which the words are a title
OTHER_ARTICLE = -2.0  # an article before the words that the title lacks: "the heat"
FURTHER = 0.5  # for each further title that an enumeration joins to another one
BARE = 0.5  # an everyday word without an article that English does not leave without one: "we rented twister"
EXPRESSED = 2.0  # its clause has an expression of liking, dislike or knowledge
DISTINCT = 1.0  # a title in one rare word whose items are not obscure
WHOLE = 0.75  # for each further word of a whole title
_LONG = 9  # characters of a key in which a typing error hardly matters
NUMERIC = -2.0  # a title that is a number in words
SHORTENED = -1.0  # only a part of the title is written
ONE_WORD = -1.5  # only a word of the title is written, and not its first
FAMOUS, _KNOWN, _OBSCURE = 1.0, 0.5, -1.0  # an item of the most popular tenth, quarter, and the less popular half
_DEPENDING = re.compile(
    r"\b(?:in|at|from|about|with|by|of|for|to|on|near|starring|featuring|this|that|these|those|the|i|we|you|they|he|she"
    r"|it|don'?t|i'?m|i am|name is|named|called)\s$",
    re.I,
)
_OPENING = re.compile(
    r"(?:^|[.!?\n]\s?)(?:(?:yo|aye|och|oi|lads|bruh|bro|deadass|ngl|low-?key|honestly|tbh|imo|imho|fr|omg|gosh"
    r"|damn|ugh|ah|aw|also|plus|then|frankly|well|so"
    r"|anyway|anyways|please|pls|guys|hey|yup|yep|yeah|ya|no|yes|hm+|[a-z]{3,}ly),? ){1,3}$",
    re.I,
)
_DETERMINING = re.compile(
    r"\b(?:an?|my|your|our|his|her|their|its|some|any|every|very|so|too|more|less)\s$",
    re.I,
)
_CLAUSE = re.compile(
    r"(?:[,;:(] ?|\s[-/]+ ?|\b(?:says?|said|thinks?|thought|that|because|when|while|if|ok|okay|hmm?|lol|haha|nah|man"
    r"|dude|wow|thanks|cool|yesterday|today|tonight|tonite|recently"
    r"|last (?:night|nite|week|weekend|month|year|time))\s)$",
    re.I,
)
_END = re.compile(
    r"\s*(?:[.,;!?\n)]|$)|\s(?:again|already|too|as well|also|nonstop|halfway"
    r"|on (?:loop|repeat)|over and over|one more time|another time|every \w+|yesterday"
    r"|tonight|today|recently|lately|please|pls|though"
    r"|tho|obvs|obv|ofc|duh|tbh|imo|lol|haha|btw|either|obviously"
    r"|of course|last \w+|for the \w+ time|(?:\w+ )?times|a (?:day|week|month|year|while) (?:later|ago)|rn"
    r"|and (?:had|was|everyone|everybody|(?:both|all) of|(?:its|the|all the|both) (?:sequel|prequel|original"
    r"|first)\w*))\b",
    re.I,
)
# "spellbound she didn't like", "the godfather we've seen", "casino i found far too long"
_SUBJECT = (
    r"(?:i|we|he|she|they|both|all|everyone|everybody|nobody|no one|none of \w+|(?:my|our|his|her"
    r"|the) [\w']+(?: [\w']+)?)"
    r"(?: (?:in|of|at|on) (?:my|our|the|this) \w+)?"
)
_TOPIC_VERBS = f"{LIKES}, {LIKING_VERBS}, {DISLIKING}, {OWNING_VERBS}"
_TOPIC = re.compile(
    r",? (?:(?:already|obviously|of course|actually|which|that|those two|however|though|on the other hand"
    r"|by contrast),? ){0,2}"
    rf"{_SUBJECT}(?:'?ve|'?d|'?ll|'?m| have| has| would| could| can| will)?\s(?:(?!(?:want|need"
    rf"|like)s?\b)[\w']+\s){{0,2}}?"
    rf"(?:(?:seen|saw|watched|know|knew|finished|rewatch(?:ed)?|{any_of(_TOPIC_VERBS)}|fancied|dig|prefer(?:red)?"
    rf"|crie[sd] at|cry at"
    r"|laughed at|laugh at|couldn'?t|(?:haven'?t|hasn'?t|didn'?t|can'?t|don'?t)(?: \w+)? (?:seen|saw|stand|like"
    r"|get|finish))\b"
    r"(?! (?:an?|the|to|some|my)\b)"
    r"|(?:consider|call|find|found|rate|rank|regard|hold|put|place|could watch|can watch|can recite|recite"
    r"|quote)s?(?:ed)?\b)"
    r"|, (?:did not|didn'?t|could not|couldn'?t|never) (?:finish|like|get|enjoy|stand)",
    re.I,
)
# "us marshals trash, the fugitive class", "heat: so good"
_PREDICATE = re.compile(
    rf"\s?(?:{SICK_FACE}|{GLAD_FACE})"
    r"|(?:,? | ?[:=] ?)(?:(?:an?|so|really|very|pretty|just|absolute(?:ly)?|total(?:ly)?|utter(?:ly)?|even|pure"
    r"|sheer|proper"
    rf"|simply|quite|such|way|too|well|not|both|all|each|also) ){{0,3}}(?:{any_of(GOOD + ',' + BAD)}|top|class"
    rf"|flop|better|worse|gold|hell yes)"
    r"(?=\s?[.,;!?\n)]|$|\s(?:and|but|though|imo|tbh|too|as well|also)\b)",
    re.I,
)
# "the shining still gives me nightmares", "speed rocks", "godfather fan here"
_MOVING = re.compile(
    r" (?:(?:both|all|already) )?(?:done|watched|seen|sorted)(?=\s?(?:[.,!?;\n]|$))"
    r"| (?:(?:still|really|always|totally|just|also|both|all|never|sure) ){0,2}"
    r"(?:(?:\w+ed|gives?|gave|makes?|made|cracks|blew|blows|scares"
    r"|bores|left|leaves|kept|keeps|puts?) (?:me|us|him|her|them|my)|rock(?:s|ed)|suck(?:s|ed)|rules|sux|slaps"
    r"|fans?|lover|stinks|gets old|h(?:olds?|eld) up|drag(?:s|ged) on|went down|goes down|flopped|bombed|tanked"
    r"|did (?:nothing|it for|not do)|(?:had|has|got|gets) (?:me|us|him|her|them|my|everyone|everybody|half)"
    r"|\w+ed (?:everyone|everybody|the|half))\b",
    re.I,
)
# "showed her babe and she loved it", "ghost... bawled my eyes out", "shine, hated it"
_RETOLD = re.compile(
    r"(?: (?:though|tho|too|again|also|as well))? and (?:i|we|he|she|they|it|both|everyone|everybody|(?:my|our"
    r"|the) \w+)"
    r" (?:(?:just|really|absolutely|all|both|totally) )?"
    r"(?:loved|hated|liked|enjoyed|adored|cried|laughed|wept|was|were|fell|couldn'?t|didn'?t|wanted)\b"
    rf"|(?: (?:though|tho|too|again|also|as well))?\s?(?:[.,!?;:-]|\.\.\.)+ ?(?:(?:i|we|she|he|they) )?(?:(?:just"
    rf"|really|absolutely|so) )?"
    r"(?:(?:loved|hated|liked|enjoyed|adored|disliked|loathed|love|hate) (?:it|that|them)"
    rf"|(?:{any_of(GOOD + ',' + BAD)}|ugh|yuck|yikes|eww?|nah|meh|yum|bleh|phew)(?=\s?(?:[.,!?;\n]|$))"
    r"|(?:(?:already|yes|yep|both|ve|have),? ){0,2}(?:seen|saw|watched|done|finished)"
    r"(?: (?:it|that|them|both|already|too|twice))*(?=\s?(?:[.,!?;\n]|$))"
    r"|(?:bawled|cried|laughed|wept|sobbed|walked|dozed|fell) (?:my|our|out|so|off|asleep|like|all))\b",
    re.I,
)
# "ransom was clumsy", and not "contact is off"
_QUALITY = re.compile(
    r" (?:is|was|are|were) (?!not\b|going\b)(?:\w+ )?(?!\w+ing\b)(\w+)(?=\s?[.,!?\n]|\s(?:but|and|i)\b|$)", re.I
)
_NO_QUALITY = COMMON_WORDS - {"ok", "okay", "fine", "nice", "cool"} | {"lost", "important", "needed", "late", "gone"}
# "babe (the pig one) was sweet", "contact with jodie foster was smart"
_ASIDE = re.compile(r" \([^()\n]{1,40}\)| (?:with|w/?) (?!my|the|our|a)\w+ \w+(?: and \w+ \w+)?,?")
_RATED = re.compile(
    r",?:?(?: an?)? \d{1,2}(?:\.\d)?(?: ?/ ?(?:5|10)| out of| stars?|(?=[.,!;]|$))"
    r"|,?:? (?:yes|yep|yeah|yay|no|nope|nah|nay|check|tick|done)(?=[.,!;]|$)"
    r"|'?s? (?:twist|ending|soundtrack|score|vibes?|trailer|quotes?|finale|opening|screenplay|remake|sequel)\b",
    re.I,
)  # "gattaca 9/10", "fargo yes", "the usual suspects twist"
_REACH = 60  # characters around words in which an expression is of them
_CLAUSE_END = re.compile(r"[.!?;\n]")
# "we had jaws last week"
_HAD = re.compile(
    r"\b(?:i|we|he|she|they)(?:'ve|ve| have)? (?:already |just |both |all )?(?:did|done|had|screened"
    r"|showed) (?:the |an? )?$",
    re.I,
)
_ONCE = re.compile(r"[^,]{0,30}? (?:already|before|last|yesterday|in|at|for|ago|once|twice|recently)\b", re.I)
_COUNTED = re.compile(any_of(", ".join(map(in_words, range(1, 13)))), re.I)  # "seven was amazing", not "seven is fine"
# "Oh and Heat too."
_STOP = re.compile(r"(?:,? (?:too|as well|also|obviously|of course))?\s*(?:[.!\n]|$)", re.I)
_SENTENCE = re.compile(r"(?:^|[.!?\n]\s?)(?:(?:oh|and|plus|also|or|ok|forgot(?: to mention)?),? ){0,3}$", re.I)
_ADJACENT_NOUN = re.compile(rf" {any_of(NOUNS)}\b", re.I)


def before(msg: MessageWords, position: int, joined: bool) -> float:
    """Return what is before a word, and its capital, count.

    Args:
        msg: the message.
        position: of the word.
        joined: whether a comma or "and" joins it to a title.
    """
    start, contexts = msg.words[position].start, msg.contexts
    first = start in contexts.first
    telling = position if msg.words[position].key or position + 1 == len(msg.words) else position + 1
    rare = msg.weights[telling] > 1 or msg.capital[min(telling + 1, len(msg.words) - 1)]
    capital = _CAPITAL if msg.mixed and msg.capital[position] and not first and rare else 0.0
    near = msg.text[max(0, start - 12) : start]
    if start in contexts.named or start in contexts.listed or near[-1:] in ('"', "'") and start - 1 in contexts.named:
        return capital + NAMED
    if start in contexts.series:
        return capital + _SERIES
    if joined:
        return capital + _JOINED
    if start in contexts.refused:
        return capital + _REFUSED
    if start in contexts.offered:
        return capital + _OFFERED
    if first or _CLAUSE.search(near) or _OPENING.search(msg.text, max(0, start - _REACH), start):
        return capital + _FIRST
    if _DETERMINING.search(near) and msg.words[position].key:  # but "more the jungle book kind of thing"
        return capital + _DETERMINED
    # "amadeus" after "of" is hardly anything else, and "heat" is
    return capital + (_DEPENDENT if _DEPENDING.search(near) and msg.weights[telling] < RARE else 0.0)


def is_bare(msg: MessageWords, position: int, context: float) -> bool:
    """Return whether a word has no article that it should have as a word, where a title may begin.

    "Heat" has none as a word either.

    Args:
        msg: the message.
        position: of the word.
        context: what is before it counts.
    """
    word = msg.text[msg.words[position].start : msg.words[position].end].lower()
    is_plural = word.endswith("s") and not word.endswith("ss")
    return context >= _OFFERED and msg.weights[position] == 1 and not is_plural and word not in MASS_NOUNS


def after(msg: MessageWords, start: int, end: int) -> float:
    """Return what is after the words between two positions, or after an enumeration that they begin, counts."""
    text = msg.text
    aside = _ASIDE.match(text, end)
    last = aside.end() if aside else _enumeration_end(msg, end)
    if DATED.match(text, end):
        return _DATED
    if _COUNTED.fullmatch(text, start, end) and text.startswith(" was ", end) and VERDICT.match(text, end):
        return _DATED - NUMERIC
    if any(find.match(text, last) for find in (PRAISE, VERDICT, _TOPIC, _MOVING, _RETOLD, _RATED, _PREDICATE, KIND)):
        return _JUDGED
    joined = JOINED.match(text, end)
    if joined and joined.end() in msg.exact or last > end and not aside:
        return _JUDGED + FURTHER * max(0, _enumeration(msg, end)[1] - 1)
    quality = _QUALITY.match(text, last)
    if quality and quality[1].lower() not in _NO_QUALITY:
        return _ALONE
    if _STOP.match(text, end) and _SENTENCE.search(text, max(0, start - _REACH), start):
        return _ALONE
    if aside and VERB.match(text, last):
        return _JUDGED  # "the rock with sean connery is"
    if VERB.match(text, end) or _END.match(text, end) or msg.contexts.series.get(start) == end:
        return _CLOSED
    if _ADJACENT_NOUN.match(text, end):
        return _FOLLOWED
    following = msg.at.get(end + 1)
    uncommon = following is not None and text[end] == " " and msg.weights[following] > 1
    return _FOLLOWED if uncommon and not msg.mixed else 0.0


def is_expressed(msg: MessageWords, start: int, end: int) -> bool:
    """Return whether an expression near words, in their sentence, says what the user thinks of them."""
    text = msg.text
    low = max(text.rfind(mark, max(0, start - _REACH), start) for mark in ".!?;\n")
    low = max(low + 1, start - _REACH)
    stop = _CLAUSE_END.search(text, end, end + _REACH)
    high = stop.start() if stop else end + _REACH
    for begin, last in msg.expressions[bisect_left(msg.expressions, (low, 0)) :]:
        if begin >= high:
            break
        if last <= start or end <= begin and last <= high:
            return True
    return bool(_HAD.search(text, low, start) and _ONCE.match(text, end, high))


def _enumeration_end(msg: MessageWords, end: int) -> int:
    """Return the end of the titles that are joined to words which end at a position."""
    return _enumeration(msg, end)[0]


def _enumeration(msg: MessageWords, end: int) -> tuple[int, int]:
    """Return (the end, the number) of the titles that are joined to words which end at a position."""
    number = 0
    for _ in range(MOST_WORDS):
        if end not in msg.joined_ends:
            msg.joined_ends[end] = _joined_end(msg, end)
        if msg.joined_ends[end] == end:
            break
        end, number = msg.joined_ends[end], number + 1
    return end, number


def _joined_end(msg: MessageWords, end: int) -> int:
    """Return the end of the title that is joined to words which end at a position; the position itself for none."""
    joined = JOINED.match(msg.text, end)
    position = msg.at.get(joined.end()) if joined else None
    if position is None:
        return end
    following = msg.words[position : position + MOST_WORDS]
    return next(
        (following[n - 1].end for n in range(len(following), 0, -1) if msg.near.items(key_of(following[:n]))), end
    )


def of_words(msg: MessageWords, position: int, length: int) -> float:
    """Return what the words themselves count, and capitals of all of them."""
    inside = range(position, position + length)
    weight = min(_MOST_OF_WORDS, sum(msg.weights[at] for at in inside))
    return weight + (_CAPITALS if msg.mixed and length > 1 and all(msg.capital[at] for at in inside) else 0.0)


def of_errors(errors: int, length: int) -> float:
    """Return what typing errors count in a key of so many characters: one in a long key hardly matters."""
    return -0.5 * errors if length >= _LONG else -1.0 - errors


class Renown:
    """How popular items are, as what it counts for their titles.

    Args:
        popularity: of each item; () where it is not known.
    """

    def __init__(self, popularity: Sequence[float]):
        self._popularity = popularity

    @cached_property
    def _bounds(self) -> list[float]:
        """Popularity that half, three quarters and nine tenths of the items do not exceed."""
        ranked = sorted(self._popularity)
        return [ranked[len(ranked) * percent // 100] for percent in (50, 75, 90)]

    def of(self, items: tuple[int, ...], words: float) -> float:
        """Return what the popularity of the most popular of the items counts, whose words count so much.

        A famous title in an everyday word is not what most people mean by the word.
        """
        if not self._popularity:
            return 0.0
        most = max(self._popularity[item] for item in items)
        low, high, highest = self._bounds
        if most < low:
            return _OBSCURE
        return FAMOUS if words > 1 and most >= highest > low else _KNOWN if most >= high > low else 0.0
