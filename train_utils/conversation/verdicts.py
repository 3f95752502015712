"""Expressions that judge a title without a word of praise or blame: "three bucks down the drain", "I can recite it"."""

import re
from functools import lru_cache
from itertools import islice

from train_utils.conversation.annotations import MASK, SPAN
from train_utils.conversation.lexicon import NOUNS, any_of
from train_utils.conversation.negation import IN_A_GOOD_WAY

_ME = r"(?:me|us|him|her|them|everyone|everybody|(?:my|our|his|her|their|the)\s+(?:whole\s+|entire\s+)?\w+)"
_MY = r"(?:my|our|his|her|their|your|the)"
_I = r"(?:i|we|he|she|they|everyone|everybody|people|(?:my|our|his|her|the|half\s+the|two)\s+\w+)"
_NEVER = r"(?:never|not|cannot|\w+n'?t)"
_FEW = rf"(?:{SPAN}|[^.!?;{MASK}]){{0,40}}?"  # characters of a clause, a title as one
_LOST = r"(?:time|money|bucks|dollars|pounds|quid|euros?|hours?|minutes|evening|night|life|afternoon|ticket)"

_TITLE = re.compile(SPAN)
_MOST_EXPRESSIONS = 20  # of one kind that are read in a clause; each looks at all its titles

SICK_FACE, _GLAD_FACE = (
    "[\U0001f44e\U0001f4a9\U0001f92e\U0001f922\U0001f634\U0001f5d1\U0001f971\U0001f612\U0001f644\U0001f4a4\u274c\u2716]",
    "[\u2764\U0001f44d\U0001f44c\U0001f525\U0001f60d\U0001f970\U0001f929\U0001f495-\U0001f49f\U0001f4af\u2b50\U0001f31f\U0001f44f\U0001f64c]",
)
_END_OF = r"(?=\s*(?:[.,;!?)]|$|\b(?:tbh|imo|ngl|lol|mate|and|but|though|to\s+me|for\s+me|if)\b))"
# Nerves, death, punishment and decline; and words that blame only as a predicate ("Waterworld was dead").
_REPELLED = (
    rf"(?:nearly|almost|practically|basically|literally)\s+(?:\w+\s+)?(?:killed|finished|broke|destroyed|ended)\s+{_ME}"
    rf"|(?:does|did|do|doing)\s+{_MY}\s+(?:head|nut|brain)\s+in|(?:get|gets|got|getting)\s+on\s+{_MY}\s+(?:\w+\s+)?(?:nerves|wick|tits|goat)"
    rf"|(?:should|ought\s+to|needs\s+to|deserves?\s+to)\s+(?:all\s+)?(?:be|go|have\s+been|get)\s+(?:in\s+|to\s+)?(?:jail|prison|ashamed|banned|illegal|shot|sacked|fired|arrested|locked|burn(?:ed|t)|binned|buried|forgotten|hell)"
    rf"|belongs?\s+in\s+(?:the|a)\s+(?:bin|trash|rubbish|skip|toilet|gutter|garbage)|can\s+(?:get\s+in\s+the\s+(?:bin|sea)|do\s+one|get\s+(?:lost|stuffed|bent|knotted)|go\s+to\s+hell|sod\s+off|jog\s+on)"
    rf"|(?:where|when)\s+(?:it|things|the\s+\w+|\w+)\s+(?:all\s+)?(?:went\s+(?:wrong|to\s+die|downhill|off\s+the\s+rails|stale)|fell\s+apart|lost\s+it|died)"
    rf"|(?:just|all|pure)\s+noise|style\s+(?:no|and\s+no|over|without)\s+substance|(?:makes?|made)\s+(?:no|zero|little)\s+sense|turn(?:s|ed)\s+{_MY}\s+stomach|grates?\s+on\s+{_ME}"
    rf"|ain'?t\s+it{_END_OF}|(?:nobody|no\s+one|none)\b{_FEW}\b(?:get|sit|got|sat|finish|stand|stood|follow|made\s+it)\b|not\s+(?:really\s+)?{_MY}\s+(?:thing|cup|bag|kind|type|style|taste|jam|scene)\b"
    rf"|(?:went|goes)\s+(?:straight\s+)?downhill|jumped\s+the\s+shark|killed\s+the\s+(?:series|franchise)|ruined\s+(?:{_MY}|it|everything)"
    rf"|never\s+again|(?:is|was|were|are|it'?s)\s+(?:an?\s+)?(?:\w+\s+)?(?:pass|no|thumbs\s+down)\s+(?:from|for)\s+(?:me|us)"
    rf"|(?:is|was|are|were|be|felt|so|total|utter|absolute|just|=)\s+(?:(?:so|just|proper|a\s+bit|absolutely|totally|utterly|well|pure|such|kinda)\s+)*(?:dead|pants|toss|poo|death|gash|pony|rank|arse|flat|thin|forced|empty|daft|stiff|tired|a\s+con|a\s+dog|a\s+pain|a\s+trial|a\s+mistake|a\s+lemon|a\s+bomb){_END_OF}"
)
# Lost time and money, sleep, flight, and nausea.
ENDURED = re.compile(
    rf"{SICK_FACE}|\b(?:{_LOST}\b{_FEW}\b(?:down\s+the\s+drain|wasted|back|(?:see|get)\s+(?:\w+\s+)?(?:again|back))"
    rf"|(?:waste(?:d|s)?|waist)\b{_FEW}\b(?:{_LOST}|on|{SPAN})|down\s+the\s+drain|(?:want(?:s|ed)?|give)\s+(?:{_ME}\s+)?{_MY}\s+{_LOST}\s+back"
    rf"|(?:put|puts|sent|sends|lulled|bored)\s+{_ME}\s+(?:straight\s+|right\s+)?(?:to|in)\s+(?:sleep|tears|death)|bored\s+(?:{_ME}|stiff|to)"
    rf"|(?:fell|fall|falls|falling|was|were|nodded|nodding|dozed|dozing|drifted)\s+(?:fast\s+|sound\s+|half\s+)?(?:asleep|off)\b"
    rf"|(?:snored|snoring|yawn(?:ed|ing|s)?|snooze\w*|snore\w*|yawn\w+)"
    rf"|(?:(?:so|that|as|really|more|utterly|completely|totally)\s+bored|looked\s+at\s+{_MY}\s+watch|check(?:ed|ing)\s+{_MY}\s+(?:watch|phone))"
    rf"|walk(?:ed|s|ing)?\s+out|(?:turned|switched|turn|switch)\s+(?:it\s+|that\s+|{SPAN}\s+)?off|gave\s+up|given\s+up|bailed"
    rf"|{_NEVER}\s+(?:(?:really|quite|even|just|ever)\s+)?(?:(?:follow|get|make\s+it|sit|got|made\s+it)\s+(?:past|through|into|to\s+the\s+end)|finish|see\s+the\s+(?:appeal|point|attraction)"
    rf"|(?:get|got|understand|understood|see|saw)\s+(?:the\s+|all\s+the\s+|what\s+all\s+the\s+)?(?:hype|fuss|appeal|point|attraction|love|praise)|care(?:d)?\s+for|warm(?:ed)?\s+to|take\s+to|took\s+to|click(?:ed)?|grab(?:bed)?\s+{_ME}|do(?:ne)?\s+it\s+for)"
    rf"|(?:left|leaves|leave)\s+{_ME}\s+(?:\w+\s+)?(?:cold|angry|sick|indifferent|unmoved|flat)|(?:made|makes|make)\s+{_ME}\s+(?:\w*sick|cringe|angry|yawn|nauseous|feel\s+sick|ill|roll|mad|furious|sleepy|want\s+to\s+(?:leave|die|scream|run|throw))"
    rf"|(?:aged|holds?\s+up|held\s+up)\s+(?:so\s+|very\s+|really\s+)?(?:terribly|badly|poorly)|drag(?:s|ged)(?!\s+{_ME})|bombed|flopped|tanked|fell\s+flat|stank|stunk"
    rf"|(?:train\s*-?\s*wreck|catastroph\w+|disaster(?!\s+(?:{any_of(NOUNS)}|epics?)\b)|fiasco|ordeal|torture|chore|slog|abomination|turkey|failure|bore-?fest|snooze-?fest|a\s+crime|an\s+insult|if\s+you\s+paid|g[ia]v(?:e|es|ing)\s+{_ME}\s+(?:nightmares|headaches?|a\s+headache|the\s+(?:\w+\s+)?(?:creeps|icks?|willies|horrors|heebie-?jeebies|hump|pip))|put\s+{_ME}\s+off\b"
    rf"|(?:drove|drives)\s+{_ME}\s+(?:up\s+the\s+wall|mad|crazy|nuts)|(?:always|badly|really|just)\s+disappoint(?:s|ed)|unpleasant|not\s+a\s+patch\s+on"
    rf"|(?:not|n'?t)\s+half\s+as|and\s+quit\b|quit\s+(?:it|after|halfway)|half\s?way\s+(?:in|into|through)\b[^.!?;]{{0,30}}?\b(?:quit|stopped|gave|left)\b|"
    rf"(?:not|never)\s+(?:one\s+of\s+)?{_MY}\s+(?:\w+\s+)?fav\w*|appall(?:ed|s)|disgust(?:ed|s)|traumati[sz]ed|thumbs\s+down|offended|repulsed|nearly\s+(?:left|died|cried\s+of\s+boredom)|not\s+pleased?)"
    rf"|(?:even\s+)?worse|regret\w*|(?:ai|is|was|are|were)(?:n'?t|\s+not)\s+(?:for\s+{_ME}|{_MY}\s+(?:\w+\s+)?(?:thing|cup|bag|kind|type|style|taste|jam))"
    rf"|(?:did|does|do)\s+(?:\w+ly\s+)?(?:nothing|zero|zilch|nowt|naff\s+all|sod\s+all|diddly\w*)|{_REPELLED}|{_NEVER}\s+(?:even\s+)?(?:make\s+{_ME}\s+(?:laugh|smile|cry)|(?:laugh|smile|giggle|crack\s+a\s+smile)(?:ed|d)?\s+once)|god\s+knows\s+why"
    rf"|(?:dullest|worst|lamest|slowest|silliest|stupidest|dumbest|weakest)(?=(?:\s+\w+){{1,3}}?\s+(?:of|in|ever|i|we)\b))",
    re.IGNORECASE,
)
# Esteem and lasting affection.
_CHERISHED = (
    rf"(?:hold|holds|held|is|are)\s+(?:it\s+|{SPAN}\s*)?(?:very\s+|so\s+|most\s+)?dear|(?:rate|rates|rated)\s+(?:(?:it|them|{SPAN}|and|both)[\s,]*)+(?:(?:very|so|really|quite|pretty)\s+)?(?:highly|high|a\s+lot)"
    rf"|(?:treasured|cherish(?:ed|es)?|worship(?:s|ped)?|idoli[sz]ed?)|(?:has|have|had|won|stole|stolen|melts?|melted|warms?|warmed)\s+{_MY}\s+(?:\w+\s+)?hearts?"
    rf"|(?<!since\s)forever{_END_OF}|(?:hits?|hit)\s+different(?:ly)?|(?:that'?s|thats|that\s+is|this\s+is)\s+(?:how\s+(?:it'?s|its|it\s+is|you)\s+(?:done|do\s+it)|what\s+i\s+call|(?:a\s+)?(?:proper\s+|real\s+)(?:{any_of(NOUNS)}))"
    rf"|(?:my|our|his|her|their)\s+happy\s+place|tick(?:s|ed)\s+(?:all|every)\s+(?:the\s+|my\s+)?box(?:es)?|big\s+up|hats\s+off\s+to|knock(?:s|ed)\s+(?:{_MY}\s+socks|it\s+out\s+of\s+the\s+park)"
    rf"|(?:can'?t|cannot|hard\s+to|tough\s+to|impossible\s+to)\s+(?:beat|top|fault)|never\s+(?:been\s+)?(?:bettered|topped|equall?ed|surpassed)|haunts?\s+{_ME}|where\s+it'?s\s+at\b"
    rf"|(?:watch|rewatch)\s+(?:it|{SPAN})\s+(?:all\s+day|forever|for\s+ever|any\s?time|every\s+day|a\s+(?:hundred|thousand|million)\s+times\s+more)|(?:lives?|lived)\s+rent\s+free"
)
# Laughter and tears, excitement, and lasting love.
THRILLED = re.compile(
    rf"{_GLAD_FACE}|(?:>+|=)\s*(?:everything|anything|all|the\s+best|masterpiece|perfection)\b|\b(?:{_CHERISHED}|minds?\s+(?:\w+\s+)?blown|(?:blew|blows)\s+(?:{_ME}\s+away|{_MY}\s+minds?)|edge\s+of\s+(?:{_MY})\s+seats?"
    rf"|(?:laugh(?:ed|s|ing)?|cried|wept|giggled|howled|cheered|sobbed|bawled)\s+(?:so|{_MY}|till|until|like|all|from|buckets|throughout|at|over|during|through|about|with)"
    rf"|(?:ca|could|wo|will|would|does|do|did)(?:n'?t|\s+not|nt)\s+(?:stop|shut\s+up|quit)|cannot\s+stop|never\s+(?:stops|shuts\s+up|gets?\s+old|tires?|fails)|(?:both|all)\s+(?:laughed|cried|wept)"
    rf"|cracks?\s+(?:me|us)\s+up|cracked\s+{_ME}\s+up|in\s+stitches|on\s+repeat|holds?\s+up|held\s+up|stay(?:s|ed)\s+with\s+{_ME}|stuck\s+with\s+{_ME}"
    rf"|goose\s?bumps|tears\s+in\s+{_MY}\s+eyes|eyes\s+out|(?:kept|had|keeps|has)\s+{_ME}\s+(?:on\s+the\s+edge|glued|rolling|laughing|crying|hooked|cheering|guessing|in\s+(?:stitches|tears|fits))"
    rf"|(?:roaring|big|huge|great|total|real|massive|smash|complete|absolute)\s+(?:success|hit|winner|triumph)|(?:a|the)\s+(?:success|triumph|revelation|winner|ride|hit\s+with)|all\s+{_MY}\s+life\b|had\s+{_ME}\s+at\b|rewards|does\s+the\s+trick|(?:keep|kept)\s+(?:going|coming)\s+back|in\s+{_MY}\s+top\s+\w+|every\s+year"
    rf"|never\s+disappoints|so\s+bad\s+(?:it'?s|its|they'?re)\s+(?:\w+\s+)?good|obsessed|in\s+awe|went\s+(?:nuts|crazy|wild|bananas|mad)|gets\s+{_ME}\b|(?:went|goes|go)\s+down\s+(?:very\s+|really\s+|so\s+)?(?:well|great|a\s+(?:storm|treat)|a\s+bomb|like)"
    rf"|gold\s+standard|perfection|finest|greatest|at\s+(?:his|her|their|its)\s+(?:best|peak)|chang(?:ed|es)\s+{_MY}\s+li(?:fe|ves)|in\s+{_MY}\s+hearts?|special\s+place"
    rf"|guilty\s+pleasure|comfort\s+(?:movie|film|watch)|go-?to|crush\s+on|my\s+(?:whole|entire)\s+(?:personality|life|childhood)|one\s+of\s+(?:those|my|the|our)\s+(?:\w+\s+){{0,2}}(?:movies|films|favou?rites)|moved\s+{_ME}\s+to\s+tears|broke\s+{_ME}\b|{_NEVER}\s+(?:been\s+)?over|swept\s+(?:{_ME}|off)|love\s+affair\s+with|addicted\s+to|rav(?:es?|ed|ing)\s+about|thumbs\s+up|unsurpassed|unbeatable|unmatched|floored\s+{_ME}"
    rf"|nothing\s+(?:\w+\s+){{0,3}}?(?:beats?|tops?|compares?|comes?|rivals?|touch(?:es)?|match(?:es)?)|beats?\s+(?:everything|anything|all|every|any)"
    rf"|(?:bad|second)\s+word\s+about|{_NEVER}\s+(?:get\s+)?(?:enough\s+of|get\s+tired\s+of|tire\s+of|go\s+wrong|disappoint\w*|be\s+beaten))",
    re.IGNORECASE,
)
# Not "I have always thought", but "I have Heat", "we have both".
_POSSESSED = re.compile(
    rf"\b{_I}(?:'ve|\s+have|\s+has|\s+had|\s+own|\s+owns)\s+(?:(?:already|both|all|also|got|the|an?|old|copy|of|whole|set)\s+){{0,4}}"
    rf"(?:{SPAN}|(?:it|them|that|both|those|this|all)\b)|{_I}\s+(?:already\s+)?(?:have|has)\s*(?=[.,;!?]|$|\s(?:already|too|on|at|in|here|somewhere)\b)",
    re.IGNORECASE,
)
# Possession, knowledge by heart, and what was watched at some time.
FAMILIAR = re.compile(
    rf"\b(?:(?:on|in)\s+{_MY}\s+(?:\w+\s+)?(?:shelf|shelves|collection|library|cupboard|cabinet|bookcase|drawer|dvds|tapes)"
    rf"|(?:recit\w*|quot(?:e|es|ed)|act\s+out|sing\s+along|tell\s+you|know|knows)\b{_FEW}\b(?:by\s+heart|from\s+memory|word\s+(?:for|by)\s+word|line\s+(?:by|for)\s+line|in\s+(?:my|our|his|her|their)\s+sleep|inside\s+out|backwards|every\s+(?:line|word|scene|second))"
    rf"|(?:skip|leave\s+out)\s+{SPAN}\s+this\s+(?:year|time)|for\s+one\s+lifetime|once\s+was\s+enough|by\s+heart|from\s+memory|word\s+for\s+word|line\s+(?:by|for)\s+line|could\s+recite|can\s+recite|can\s+quote|could\s+quote|worn\s+out"
    rf"|(?:been|gone|got|worked\s+{_MY}\s+way|going)\s+(?:through|thru)|(?:ticked|crossed|checked|watched|done)\s+(?:\w+\s+)?off|memori[sz]ed|been\s+there,?\s+done\s+that|done\s+and\s+dusted|(?:been|is|are|'s|s)\s+(?:all\s+)?done{_END_OF}|(?:from\s+)?start\s+to\s+finish|(?:stud(?:y|ied|ying)|analy[sz]ed|dissected)\b{_FEW}\b(?:at|in|for|to\s+death)\b|{SPAN},?\s+{_I}(?:'ve|ve|\s+have)?\s+(?:studied|did|analy[sz]ed)\b|(?<![\w'])had\s+{SPAN}\s+on\b|(?<![\w'])got\s+(?:the\s+)?{SPAN}\s+(?:on\s+)?(?:tape|dvd|vhs|video|disc|blu-?\s?ray)\b|showed\s+(?:me|us|it)"
    rf"|{_I}(?:'ve|\s+have)?\s+(?:already\s+|just\s+)?(?:did|done|had)\s+(?:the\s+)?(?:{SPAN}|that|it|them|those){_FEW}\b(?:already|before|last|yesterday|in|at|for|ago|once|twice|recently)\b"
    rf"|{_I}(?:'ve|ve|\s+have|\s+has|'s)?\s+(?:\w+ly\s+|already\s+)?(?:seen|watched|saw|done|caught)\b)"
    # "Heat and Fargo done."
    rf"|(?<={MASK})\s+(?:(?:both|all|already|been|are|is)\s+){{0,2}}(?:done|watched|seen|sorted|covered)\s*(?=[.,;!?]|$|\b(?:and|too|already|now)\b)",
    re.IGNORECASE,
)
_SO_BAD = re.compile(r"\bso\s+bad\s+(?:it'?s|its|they'?re)\s+(?:\w+\s+)?(?:good|great|fun)", re.IGNORECASE)
# "We cannot sit through it again"
_TOO_OFTEN = re.compile(
    r"\b(?:sit|get|go)\s+through\b[^.!?]{0,20}\b(?:again|another|any\s?more|one\s+more)\b",
    re.IGNORECASE,
)

JOINED = re.compile(r"\s*(?:,|/|&|,?\s(?:and|or|nor|then))?\s*(?:both\s+|also\s+|the\s+|a\s+)*", re.IGNORECASE)
# "X was a hit and so was Y"
_SAME = re.compile(
    r"[^.!?]{0,20}?\b(?:(?:so|neither|nor|as)\s+(?:was|were|is|are|did|does|do)|same\s+(?:for|with|goes\s+for)|ditto"
    r"|likewise|as\s+well\s+as|along\s+with|plus|and\s+also)\s+(?:the\s+)?",
    re.IGNORECASE,
)


def expressions(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the expressions of liking, dislike or knowledge in a text, by their start.

    Possession is none: "we have heat".
    """
    return sorted(match.span() for pattern in (ENDURED, THRILLED, FAMILIAR) for match in pattern.finditer(text))


def verdict(plain: str, start: int, end: int, at: int | None = None) -> str:
    """Return what an expression between two positions says of a title: "liked", "disliked" or "known"; "" for none.

    Args:
        plain: the message, with its annotations masked.
        start: where the clause begins.
        end: where it ends.
        at: position of the title; None for any.
    """
    for kind, spans in _verdicts(plain, start, end):
        if at is None or any(low <= at < high for low, high in spans):
            return kind
    return ""


@lru_cache(maxsize=64)  # a clause may have a thousand titles, and each asks the same
def _verdicts(plain: str, start: int, end: int) -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    """Return (kind, spans of the titles that it is about) of the first expressions of each kind in a clause."""
    found = []
    for kind, pattern in (("disliked", ENDURED), ("liked", THRILLED), ("known", FAMILIAR), ("known", _POSSESSED)):
        so_bad = kind == "disliked" and _SO_BAD.search(plain, start, end)
        for match in islice(pattern.finditer(plain, start, end), _MOST_EXPRESSIONS):
            good = kind == "disliked" and (IN_A_GOOD_WAY.match(plain, match.end()) or so_bad)
            too_often = kind == "disliked" and not good and _TOO_OFTEN.search(plain, match.start(), end)
            said = "liked" if good else "known" if too_often else kind
            found.append((said, _subjects(plain, start, end, match)))
    return tuple(found)


def _subjects(plain: str, start: int, end: int, match: re.Match[str]) -> tuple[tuple[int, int], ...]:
    """Return the spans of the titles that an expression of a clause is about: all of them, or those of an enumeration.

    It is about the titles that it contains, else about those before it, else about those after it; of several, about
    those that an enumeration joins ("Fargo was great, Heat a waste of time").
    """
    titles = [title.span() for title in _TITLE.finditer(plain, start, end)]
    if len(titles) < 2:
        return ((start, end),)
    subjects = [match.span()]
    earlier = [title for title in titles if title[1] <= match.start()]
    later = titles[len(earlier) :]
    if earlier:
        low, high = earlier.pop()
        while earlier and JOINED.fullmatch(plain, earlier[-1][1], low):
            low = earlier.pop()[0]
        subjects.append((low, high))
        low = match.end()
        later = later if later and _SAME.fullmatch(plain, low, later[0][0]) else []
    if later:
        low, high = later[0]
        for title in later[1:]:
            if not JOINED.fullmatch(plain, high, title[0]):
                break
            high = title[1]
        subjects.append((low, high))
    return tuple(subjects)
