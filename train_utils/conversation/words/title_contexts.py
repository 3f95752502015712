"""Positions of a message at which the words around them make a title probable."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.judging_verbs import DISPLEASING_VERBS, PLEASING_VERBS
from train_utils.conversation.words.lexicon import BAD, GOOD, NOUNS, OFFERING, any_of
from train_utils.conversation.words.phrases import Phrases, phrase
from train_utils.prompts.near_titles import Word

_QUOTED = re.compile(r'"([^"\n]{2,80})"' r"|(?<!\w)'([^\s'](?:[^'\n]|'(?=\w)){1,80})'(?!\w)")
# Words that precede titles, and other things as well.
_OFFERED = re.compile(
    rf"\b{any_of(OFFERING)}\s(?:the\s|another\s)?",
    re.I,
)
_NAMES = {
    "PLEASING": any_of(PLEASING_VERBS),
    "DISPLEASING": any_of(DISPLEASING_VERBS),
    "PERSON": r"(?:me|us|him|her|them|everyone|mum|mom|dad|gran|grandma|grandpa|(?:my|our|his|her|the)\s[\w']+)",
}
# What comes before a title.
_FRAMED = Phrases(
    {
        "the last movie I saw was": r"(last|best|worst|first|greatest) NOUNS\b[^.,!?\n]{0,25} (is|was)",
        "fav of all time is": r"fav(ou?rit)?e?s?( (\w+ ){0,3}?(is|are|was)|(?=:))",
        "I've got The Godfather on tape": (
            r"(got|have|has|had|both|all)(?= [^.!?\n]{2,80} on (tape|dvd|vhs|video|disc|blu-?ray)\b)"
        ),
        "showed my brother": (
            r"(show(s|ed|n|ing)?|lent|took|taking|dragged|brought|introduced|treated|got) PERSON"
            r"( (to|in|into|on|see|watch|for|at)){0,2}"
        ),
        "cried my eyes out at": (
            r"(eyes|heads?|faces?|hearts?|socks|sides|tears|cr(y|ied|ying)|bawl(ed|ing)|wept|weep|sob(bed|bing)"
            r"|laugh(ed|s|ing)?|giggl(ed|ing)|goosebumps)( (out|off|hurt|so hard|a lot|so much)){0,2} "
            r"(at|over|during|through|throughout|about|from|with|watching)"
        ),
        "every minute of": (
            r"(minute|second|bit|frame|scenes?|twist|vibes?|mood|feel|feeling|atmosphere|league|energy|soundtrack|score"
            r"|humou?r|tone|look) (of|in|from|as)"
        ),
        "I was charmed by": (
            r"(i|we|he|she|they|and|(my|our|the) \w+) (('m|'re|'s|m|re)|am|is|are|was|were|got|felt) "
            r"((\w+ly|so|really|just|both|all|also|still|quite|pretty|very|not|never|been) ){0,2}"
            r"((?!(bored|scared|moved|amused|reduced|driven) to\b)\w{2,}ed|won|\w+bound|smitten|taken|struck|torn"
            r"|gaga|nuts|mad|wild|crazy|bonkers|hot|big|high|keen|sold|hung|gone"
            r"|soft|partial|sweet|stuck|drawn|swept) (away |over |up |off |in )?(by|with|at|on|to|about|over)"
        ),
        "that pig movie": (
            r"(the|that|this|a|an) (?!(only|first|last|best|worst|other|next|same|one)\b)([\w'-]+ ){1,2}(movie"
            r"|film|flick|picture|one|comedy|drama|thriller|western|musical|cartoon),?"
            r"|(GOOD|BAD) (movie|film|flick|picture),?(?! (ever|of|i|we|that|is|was|for|with|to|and|or|but|in|on)\b)"
        ),
        "it was heat that I": r"(it|that)('s| is| was) (?=([^\W\d]\w*\s){1,4}(that|which|i|we)\b)",
        "thinking about": (
            r"(think(ing)?|thought|dream(ing|t|ed)?|rav(e|ed|ing)|talk(s|ed|ing)?|hear(d|ing)?|gush(ed|ing)?"
            r"|obsess(ed|ing)?|rant(ed|ing)?) (about|of|over|on)"
        ),
        "obsessed with": (
            r"(obsessed|besotted|infatuated|enamou?red|smitten|in love|PLEASING|DISPLEASING) (away )?(with|by|at)"
        ),
        "nothing but love for": (
            r"(love|respect|admiration|time|patience|thanks|praise|affection|contempt|hatred|passion|regard|sympathy"
            r"|enthusiasm|nostalgia|reverence) (for|to|towards?)"
        ),
        "hats off to": r"(hats? (is |are )?off|thanks|kudos|respect|props|hail|cheers|salute|ode|allergic|immune) to",
        "a refund after": (
            r"(refund|money|sleep|dozed|slept|snored|nightmares?|headache) (after|for|from|to|through|during)"
        ),
        "in the manner of": (
            r"(manner|mould|mold|tradition|footsteps|flavou?r|class|kind|type|sort|calib(er|re)|level|spirit|key"
            r"|line) of"
        ),
        "have just seen": r"(have|has|had|'ve|did) (already |just )?(see|saw|watch)",
        "the funniest thing we saw this year was": (
            r"(only|other|last|best|worst|first|greatest|\w{3,}est) ([^\W\d]+ ){1,3}?([^.,!?\n]{0,25} )?(is|was)"
        ),
        "asleep during": r"(asleep|bored|nightmares) (during|through|throughout|watching|from)",
        "halfway through": r"during|throughout|half(\s?way)? through",
        "the hype around": (
            r"(hours?|minutes|half|copy|tape|dvd|end(ing)?|fan|rest|all|much|appeal|point|hype|fuss) "
            r"(of|around|about|over)"
        ),
        "who directed": r"who (all )?(directed|wrote|filmed|(starr(ed|ing)|stars|plays?|played|acts?|acted) in)",
        "what genre is": r"(what|which) (genre|year|kind of NOUNS) (is|was)",
        "still not over": r"still not over",
        "a crush on": r"(crush|money( back)?) (on|for)",
        "the same story as": r"(story|stories|movies?|films?|comedy|drama|thriller|western|romance),? as",
        "I tried": r"((?<![\w'])|(?<=\bi\s)|(?<=\bwe\s)|(?<=ve\s)|(?<=already\s))tried",
        "we really rate": r"(i|we|he|she|they|everyone) (\w+ly )?rates?",
        "neither did": r"(neither|nor|so|as) (did|does|do|was|were|is|are)",
        "I mean": r"i mean|(i )?meant",
        "walked out of": r"walk(ed|ing)? out of|(switched|turned) off|g[ai]ven? up on",
        "get into": r"get (past|over|into|through|behind)",
        "could quote": r"quot(e|es|ing)|recit(e|es|ing)",
        "my comfort film is": (
            r"(my|our|his|her|their) ([\w-]+ ){1,4}?"
            r"(NOUNS|pleasure|choice|watch|tradition|ritual|thing|pick|staple|go-?to|obsession)( of all time| ever)? "
            r"(is|was|has to be|would be|must be)"
        ),
    },
    _NAMES,
)
_NAMED = re.compile(
    phrase(
        r"(?<!would\s)(?<!'d\s)(?<!feel\s)(?<!looks\s)(?<!actors\s)(?<!directors\s)"
        r"\b(?=\w)(FRAMED|(?!based on (an? )?(true|real)\b)NAMING):? ((the|a|an) (movie|film|classic|original"
        r"|first) )?",
        {"FRAMED": _FRAMED.pattern},
    ),
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:^|\n) ?(?:[-+*\u2022>]|\d{1,2}[.)]) ?|(?:->|=>|>) ?")
# "by Emma and by Clueless", "Vertigo nor Psycho"
JOINED = re.compile(
    r" ?(?:[,;/+&>|]|->|=>|,? (?:and|or|nor|then|n|'n')(?: (?:by|to|at|of|with|from|over|about"
    r"|for)(?=\s))?)\s(?:then )?",
    re.I,
)
_START = re.compile(r"(?:^|[.!?]\s+|\n|\b(?:but|and|so|well|oh|because|ah|right|yes|yeah) )", re.I)
# A sentence that only adds titles: "Avatar and Interstellar too.", "And Tootsie."
_ALSO = re.compile(
    r"(?:^|[.!?\n])\s*(?:([A-Z][^.!?,\n]{1,80}),? (?:too|as well|also)"
    r"|(?:And|Or|Plus|Also|Maybe|and|or|plus|also|maybe) (?:also )?([A-Z][^.!?,\n]{1,80}))(?=[.!?\n]|$)"
)
# After a title at the beginning of a sentence.
VERB = re.compile(
    r" ?(?:->|=>|>|\?|$|\n|:)|,? (?:was|is|were|are|bored|blew|ruined|ma(?:kes?|de)|ha[sd]|did|didn'?t|does|gave|gives"
    r"|left|leaves|puts?|scare[sd]|rock(?:s|ed)|suck(?:s|ed)|sux|stinks|rules|kept|keeps|got|gets|changed|haunt(?:s|ed)"
    r"|moved|wasn'?t|isn'?t|never|always|still|totally)\b"
    r"|\. (?:i )?(?:lov|lik|hat|ador|enjoy)\w+ it\b",
    re.I,
)
# After a title in lower case, or one that is a number: "akira is my favorite film", "2001 is the best"
_BEST = r" (?:is|was|'s|are|were) (?:still |one of |among |all |both )?(?:my|the|our)\s(?:\w+\s){0,3}?(?:fav\w*|best|"
_BEST += r"greatest|worst|funniest|number one)\b"
_RANKED = r"(?:,? | (?:is|was) (?:also )?)(?:my|our) (?:number (?:one|two|three)|second|third|all.?time|fav\w*"
_RANKED += r"|top (?:pick|choice|film|movie))\b"
PRAISE = re.compile(
    rf"{_BEST}|{_RANKED}| (?:is|was) not only my| (?:is|was|'s) (?:my (?:whole|entire) |(?:just |exactly |still )?"
    r"(?:one of (?:those|the|my)|the (?:kind|sort|type) of|what i))"
    r"| (?:is|was) (?:still )?(?:number|no\.?|#) ?(?:one|1)\b",
    re.I,
)
# "scream was awesome", "the rock was just class"
VERDICT = re.compile(
    rf"(?:'s| (?:is|was|are|were|would be|ai)(?:n'?t)?) (?:(?:[\w']+ ){{0,3}}?{any_of(GOOD + ',' + BAD)}"
    r"|(?:not )?(?:for (?:me|us|him|her|them|my|everyone)"
    rf"|(?:my|our|his|her) (?:[\w-]+ ){{0,2}}?(?:{any_of(NOUNS)}|thing|taste|style|cup))"
    r"|(?:a (?:bit|little|tad)|kinda|kind of|sort of|rather|somewhat|way|slightly|surprisingly"
    r"|absolutely|totally|truly) \w+"
    r"|(?:\w+ )?(?:so|really|very|pretty|too|super|quite|such an?) (?!much\b)\w+)\b",
    re.I,
)
# "no fargo", "not father's day again please": a title that a request refuses
_TITLE_WORDS = r"([^\W\d_][\w']*(?: [\w']+){0,5}?)"
REFUSED = re.compile(
    rf"(?:^|[.!?,;\n]\s*|\b(?:but|and|or|please|just) )(?:no more|not another|no|not|never|anything but) {_TITLE_WORDS}"
    rf"(?: or {_TITLE_WORDS})?(?=\s*(?:[.,;!?\n]|$|(?:please|pls|plz|again|though|or|this time|tonight|either"
    r"|(?:we|i|he|she|they|everyone|everybody|because|cause|cuz|seen|had|saw)(?='|ve\b|s\b|\b))\b))",
    re.I,
)
# Titles in lower case that the catalog may lack: "something like inception but older", "seven samurai is my favorite".
_LIKENED = re.compile(
    r"(?:(?:^|[.!?]\s+)|\b(?:something|anything|stuff|movies?|films?|more)\s+)"
    r"(?:like|similar to|in the (?:vein|style|spirit) of|along the lines of|as \w+ as)\s+"
    r"((?:the )?[^\W\d_][\w']*(?: [\w']+){0,3}?)(?=\s*(?:[.,;!?\n]|$|\s(?:but|and|or|please|pls|only|just|from)\b"
    r"|\s(?:with|starring) (?!the\b|a\b)\w+ \w+\s*(?:[.,;!?\n]|$)))",
    re.I,
)
# "loved memento and gladiator", "i've seen double indemnity and the maltese falcon"
_WATCHED = r"\b(?:(?:couldn'?t|can'?t|cannot) stand|loved|liked|enjoyed|adored|hated"
_WATCHED += r"|disliked|seen|saw|watched|rewatched|obsessed with)\s"
_SEEN = tuple(
    re.compile(
        _WATCHED + joined + r"((?:the )?[^\W\d_][\w']*(?: [\w']+){0,3}?)"
        r"(?=\s*(?:[.,;!?\n]|$|\s(?:but|and|or|so|too|last|again|yesterday|recently|already|tonight)\b))",
        re.I,
    )
    for joined in ("", r"[^.,;!?\n]{2,40}?\s(?:and|or)\s")
)
_FILM = r"\s*(?:movie|film|flick|picture|series|show|anime)\b"
_THINGS = any_of(NOUNS + ", thing, vibe, stuff")
# "gladiator kind of thing", "inception-like", "avatar type movie"
_KINDRED = re.compile(
    rf"(?:^|[.!?]\s+|\b(?:an?|some|any|another|more|something)\s+)((?:the )?[^\W\d_][\w']*(?: [\w']+){{0,2}}?)"
    rf"(?=(?: (?:type|kind|sort|style) of {_THINGS}|[ -](?:type|style) {any_of(NOUNS)}|[ -]like {any_of(NOUNS)})\b)",
    re.I,
)
_EXCLAIMED = r"(?:(?:omg|wow|well|oh|ok|honestly|tbh|ngl|man|dude|yeah|yes|so),? ){0,2}+"
_PRAISED = re.compile(
    rf"(?:^|[.!?]\s+){_EXCLAIMED}" + r"((?:the )?[^\W\d_]+(?: [\w']+){0,3}?)(?=" + _BEST + _FILM + ")", re.I
)
KIND = re.compile(
    rf"(?: (?:type|kind|sort|style) of {_THINGS}|[ -](?:style|type|like) {any_of(NOUNS)})\b",
    re.I,
)
# "inception (2010) was great"
DATED = re.compile(r" \((?:18|19|20)[0-9]{2}\)")
_DATED = tuple(
    re.compile(rf"{before}((?:the )?[^\W\d_][\w']*(?: [\w']+){{0,4}}?)(?={DATED.pattern})", re.I)
    for before in (r"(?:^|[.!?,;:\n]\s*)", _WATCHED, r"\b(?:like|similar to|and|or)\s")
)
# "is american beauty in your list", "kramer vs kramer maybe?", "fight club was awesome, anything like that?"
_ASKED_FOR = re.compile(
    r"(?:^|[.!?]\s+)(?:(?:hm+|ok|and|so|oh),? )?(?:is|have you got|do you have|got) "
    r"((?:the )?[^\W\d_][\w']*(?: [\w']+){1,3}?)"
    r"(?= (?:in|on) (?:your|the|this|that) (?:list|catalog(?:ue)?|collection|database|selection|library|system)\b)",
    re.I,
)
_OFFERED_BY_USER = re.compile(
    r"(?:^|[.!?]\s+)((?:the )?[^\W\d_]+ [\w']+(?: [\w']+){0,2}?)"
    rf"(?= (?:maybe|perhaps) ?\?| (?:was|is) (?:so |really |just |very )?{any_of(GOOD)}"
    r"[,.!]+ [^.!?\n]{0,30}\b(?:like|similar to) (?:that|it)\b)",
    re.I,
)
_IN_LOWER_CASE = (_LIKENED, _PRAISED, _KINDRED, _ASKED_FOR, _OFFERED_BY_USER, *_DATED)
# "fargo, fight club, the matrix... love all of those", "favs: fargo, fight club"
_PIECE = r"[^\W\d_][\w']*(?: [\w']+){0,4}"
_ENUMERATION = rf"({_PIECE}(?:, {_PIECE})+)"
_ENUMERATIONS = (
    re.compile(
        rf"(?:^|[.!?:\n]\s*){_ENUMERATION}(?=\s?(?:\.+|[!;-]|, )\s?(?:i |we )?(?:really |just )?"
        r"(?:love|like|adore|enjoy)d? (?:all|them|those|these|both|every)\b)",
        re.I,
    ),
    re.compile(
        rf"(?:^|[.!?:\n]\s*){_ENUMERATION}"
        r"(?=,? (?:(?:and|or) )?(?:(?:that|this) (?:sort|kind|type) of|stuff like|things? like|etc))",
        re.I,
    ),
    re.compile(rf"\b(?:fav(?:ou?rit)?e?s?|loved|liked|watched|seen|saw): {_ENUMERATION}(?=\s*(?:[.;!?\n-]|$))", re.I),
)
# "alien, fargo, heat. that's my top 3"
_TOP = re.compile(
    rf"(?:^|[.!?:\n]\s*){_ENUMERATION}"
    r"(?=\s?(?:[.;!-]+|,)?\s?(?:(?:that'?s|these are|those are|they'?re|are|is)) (?:all )?(?:my|our) "
    r"(?:all.time )?(?:top|fav|best|number))",
    re.I,
)
# "i love titanic, gladiator, braveheart and troy": with at least two of the catalog
_LOVED_PIECES = re.compile(
    rf"\b(?:love|like|adore|loved|liked|enjoyed|hated|seen|watched|knows?|fan of|into) {_ENUMERATION}"
    r"(?=\s*(?:[.;!?\n]|$))",
    re.I,
)
_SEPARATED = re.compile(r", (?:and |or )?| (?:and|or) ")
# Words that people love in a film, or see elsewhere, and that are no titles.
NO_LOWER_TITLE = frozenset(
    str.split(
        """
        ending endings acting music soundtrack soundtracks score plot plots story stories cast casting character
        characters effects script scripts atmosphere dialogue dialogues scenery twist twists costume costumes pacing
        cinematography stuff content trailer trailers poster scene scenes humor humour pizza football television tv
        school work holiday holidays grandma grandpa gran granny nan mum mom dad dinner lunch beer wine summer winter
        first second third latter former last original sequel sequels prequel prequels remake remakes rest others
        acted action animation directing direction editing photography tension suspense violence romance
        """
    )
)
# "the Star Wars movies", "all the Alien films": the series is called by its first film
_SERIES = re.compile(
    r"\b(?:(?:all|every|those|these)(?:\sof)?(?:\sthe)?|the|whole|original|old)\s((?:[^\W\d_][\w':-]*\s){1,3}?)"
    r"(?:movies|films|flicks|series|saga|trilogy|franchise|ones)\b",
    re.I,
)
CHAIN = re.compile(r" ?(?:>|->|=>) ?")

_SAME_WORK = re.compile(r": | - ")  # between a series and a title of it


@dataclass(frozen=True)
class TitleContexts:
    """Where the titles of a message may begin.

    Attributes:
        quoted: position after an opening quotation mark -> position of the closing one.
        named: after words such as "similar to".
        offered: after words such as "show me", which precede titles and other things.
        listed: after a bullet, a number or an arrow.
        first: beginnings of sentences.
        also: beginnings of sentences that only add a title.
        lower: start -> end of what must be a title in lower case by the words around it.
        seen: start -> end of what is probably one, after words such as "watched".
        enumerated: start -> (its end, start and end of the enumeration, the least number of titles in it that the
            catalog has) for each piece of an enumeration of titles.
        series: start -> end of words that may name a series ("the Alien films").
        refused: words after "no" that end a clause.
    """

    quoted: Mapping[int, int]
    named: Collection[int]
    offered: Collection[int]
    listed: Collection[int]
    first: Collection[int]
    also: Collection[int]
    lower: Mapping[int, int]
    seen: Mapping[int, int]
    enumerated: Mapping[int, tuple[int, int, int, int]]
    series: Mapping[int, int]
    refused: Collection[int]

    @classmethod
    def of(cls, text: str) -> "TitleContexts":
        """Return those of a message."""

        def ends(pattern: re.Pattern[str]) -> set[int]:
            return {match.end() for match in pattern.finditer(text)}

        return cls(
            quoted=dict(_inner_spans(text)),
            named=ends(_NAMED),
            offered=ends(_OFFERED),
            listed=ends(_LISTED),
            first=ends(_START),
            also={match.start(match.lastindex or 0) for match in _ALSO.finditer(text)},
            lower={match.start(1): match.end(1) for find in _IN_LOWER_CASE for match in find.finditer(text)},
            seen={match.start(1): match.end(1) for find in _SEEN for match in find.finditer(text)},
            enumerated=dict(_pieces(text)),
            series={match.start(1): match.end(1) - 1 for match in _SERIES.finditer(text)},
            refused={match.start(n) for match in REFUSED.finditer(text) for n in (1, 2) if match[n]},
        )


def _inner_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each text between quotation marks."""
    for match in _QUOTED.finditer(text):
        group = 1 if match[1] else 2
        yield match.span(group)


def _pieces(text: str) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Yield each piece of an enumeration of titles as `TitleContexts.enumerated` has them."""
    for pattern, least in [(_LOVED_PIECES, 2), (_TOP, 0), *((pattern, 1) for pattern in _ENUMERATIONS)]:
        for match in pattern.finditer(text):
            start, last = match.span(1)
            for gap in [*_SEPARATED.finditer(text, start, last), None]:
                yield start, (gap.start() if gap else last, *match.span(1), least)
                start = gap.end() if gap else last


def covered_words(words: Sequence[Word], annotations: Sequence[Annotation]) -> list[bool]:
    """Return whether each word belongs to an annotation; both are in the order of the text."""
    covered, position = [], 0
    for word in words:
        while position < len(annotations) and annotations[position].end <= word.start:
            position += 1
        covered.append(position < len(annotations) and annotations[position].start < word.end)
    return covered


def with_series(text: str, exact: Sequence[Annotation]) -> list[Annotation]:
    """Return the titles, each with the series that is named before it ("Star Wars: Return of the Jedi")."""
    titles: list[Annotation] = []
    for title in exact:
        start = title.start
        if titles and _SAME_WORK.fullmatch(text, titles[-1].end, start):
            start = titles.pop().start
        titles.append(Annotation(start, title.end, title.value))
    return titles
