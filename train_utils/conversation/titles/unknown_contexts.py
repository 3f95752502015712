"""What is before and after titles, whether or not the catalog has them, and how much each speaks for a title."""

import re
from collections.abc import Mapping

from train_utils.conversation.words.phrases import Phrases

_NAMES = {
    "YOU": r"(?:you|u|ya|ye|y'?all|it|this|they)",
    "FAVORITE": r"fav(?:ou?rit)?e?s?",
    "GENRES": r"(?:cartoon|comed(?:y|ie)|drama|thriller|western|musical)s?",
    "LIKENING": (
        r"(?:like|similar (?:to|2)|comparable to|reminiscent of|along the lines of|akin to|resembling|close to"
        r"|in the (?:vein|style|spirit|manner|mold|mould) of|as \w+ as)"
    ),
    "HERE": (
        r"(?:(?:in|on|part of|among) (?:your|the|this|that) (?:list|catalog(?:ue)?|collection|database|selection"
        r"|library|system|site|app|shel(?:f|ves))|(?:on|in) (?:here|there)|available|in stock)"
    ),
}


def _phrases(examples: Mapping[str, str]) -> Phrases:
    return Phrases(examples, _NAMES)


# Hardly anything but a title follows.
LIKENED = _phrases(
    {
        "films like": r"\b(NOUNS|stuff|GENRES) (a (bit|lot) )?(just |exactly |more )?(LIKENING|such as)",
        "oh. then like": r"(^|[.!?\n])\s*((oh|ok|okay|hm+|ah|and|or|then|so|well|yes|no|pls|please),? ){0,3}LIKENING",
    }
)
ALIKE = _phrases(
    {
        "something like": (
            r"\b(something|anything|sm?th(i?n|ing?)?|sumthing?|\d+|more|action|be|mean|just|vibes?|it|one|horror|fun"
            r"|funny|scary) (LIKENING|such as)"
        ),
        "in the vein of": (
            r"\b(similar (to|2)|comparable to|reminiscent of|along the lines of|akin to"
            r"|in the (vein|style|spirit|manner) of)"
        ),
        "a movie called": r"\b(called|titled|entitled)",
        "can't find": r"\b(can'?t|cannot|couldn'?t|didn'?t) find",
        "heard of": r"\b(heard of|(came|come) back from|remake of|sequel to|halfway through|asleep (during|in))",
    }
)
# Questions about a title, and verbs of what people watch.
ASKED = _phrases(
    {
        "do you have": (
            r"\b(do|does|did|don'?t|doesn'?t) (YOU|your \w+|the \w+) (also |even |not |still )?"
            r"(have|got|carry|stock|offer|include|contain)"
        ),
        "you don't have": r"\bYOU (do not|don'?t|doesn'?t|also|really|only|must|should) (have|got|carry|stock|offer)",
        "have you got": r"\b((have|has) (you|it|they)|you|u|y'?all|ya) got",
        "any chance of": r"\bany chance (of|for|you have|YOU got)",
        "who is in": (
            r"\b(who('?s| is|s| was|se)?|what|which) ([\w']+ ){0,2}?"
            r"(in|directed|made|wrote|played in|starred in|year (is|was|did))"
        ),
        "have you seen": r"\b(have|did) (you|u|anyone|anybody) (ever )?(seen|watched|see|watch)|\bdo (you|u) know",
        "what did you think of": (
            r"\bwhat (do|did|would) (you|u) (think|make|say) (of|about)|\bwhen (was|did)|\btell me (more )?about"
        ),
        "my favorites are": r"\bFAVORITE(:| ([\w']+ ){0,3}?(is|are|was|were|=))|\btop (\w+ )?(is|are|was):?|\btop \w+:",
        "[alien] >": r" >",
        "we saw": r"\b(seen|saw|watched|rewatched|rewatching|rewatch|finished|screened)",
        "so was": r"\b(so|neither|nor) (was|were|is|are|did|does)",
        "[heat]. also": r"(^|[.!?,]\s?)(also|plus)",
    }
)
JUDGED = _phrases(
    {
        "a fan of": r"\b(fans? of|obsessed (with|w)|crazy about|mad about)",
        "I'm over": r"(\b(am|are|is|im|theyre|shes|hes)|'(m|re|s)) (so |totally )?over",
        "we loved": r"\b(loved|hated|adored|liked|enjoyed|disliked|detested|loathed|rates?)",
        "like hereditary, get out,": (
            r"\bLIKENING [^.,!?\n]{2,30}, (?!(it|that|which|he|she|my|i|we)\b)[^.,!?\n]{2,30},( and| or)?"
        ),
    }
)
# The same, and other things as often.
WANTED = _phrases(
    {
        "let's watch": (
            r"\b(wanna|want to|gonna|going to|let'?s|to|can (i|we)|could i|should (i|we)|i'?ll) "
            r"(just |maybe |finally )?(watch|see|rewatch|stream|rent|play)"
        ),
        "show me": (
            r"\b((show|find) (me|us)|put on|(look|search)(ing)? for|play|(what|how) about|no more|i'?m thinking)"
        ),
    }
)
RECALLED = _phrases(
    {
        "based on": (
            r"\b(quot(e|es|ing)|watching|between|based on|remind(s|ed)? (me|you|us|one) of|tired of|through"
            r"|compares? (it |them )?to|the likes of|grew up on|raised on|crying over|cr(y|ied) at|laugh(ed)? at)"
        ),
        "the film": r"\bthe (film|movie)",
        "à la": r"\b(a|à) la",
    }
)
NAMED = _phrases(
    {
        "is the new": r"(^|[.!?,\n])\s*(is|are)( the (new|old|original|first))?",
        "not": r"\bnot",
    }
)
LOOSE = _phrases(
    {
        "he loves": r"\b(loves?|hates?|adores?|likes?|got|own|know|knows|knew|into|about|like|over|no)",
        "an action comedy, like": r",\s?(you know )?LIKENING",
    }
)
CLAUSE = _phrases({"she says": r"\b(says?|said|thinks?|thought|and|or|but)"})

# Hardly anything but a title precedes.
LISTED = _phrases(
    {
        "[heat] in your list": r"(,? (is|are) (that|it|they|those))? HERE\b",
        "[heat] any good": r" (any good|worth (it|a watch|watching|seeing))\b",
        "[heat] maybe you do not have": (r",? (maybe |perhaps )?(do )?(you|u) (do )?(not |don'?t )?(have|got|get)\b"),
        "[heat] on video": r" on (tape|dvd|vhs|video|disc|blu-?ray)\b",
        "can't find [heat] anywhere": r" anywhere\b",
        "[heat] is her favourite": (
            r" (is|was|'s|are|were) (still |one of |among |all |both )?(my|the|our|his|her|their|\w+'s) "
            r"([\w-]+ ){0,3}?(fav\w*|best|greatest|worst|funniest)\b"
        ),
    }
)
SUCH = _phrases(
    {"[heat], that type": r", (that|this|those|these) (type|kind|sort)s?\b|,? (you know|etc|and such|stuff like)\b"}
)
SAID = _phrases(
    {
        "[heat] type movie": r"[ -](type|kind|style|like) (of )?(NOUNS|thing|stuff|MASK|beat)\b",
        "[gregory's girl] and all": r" and all\b",
        "[heat] too": r",? (too|as well|either)(?=\s*([.,;!?\n]|$))",
        "[heat] done": r" (not|no|yes|done|nope|yep)(?=\s*([.,;!?\n]|$))",
        "[heat], been there": r",? (been there|seen (it|that)|ticked off|done that)\b",
        "[temple of doom] gives me the ick": (
            r" (gives?|gave|makes?|made|left|leaves|did|does|had|has|got|gets) (me|us|him|her|them|nothing|my)\b"
        ),
    }
)
FAN = _phrases({"[wayne's world] fan": r" fans?\b"})
ENDED = _phrases(
    {
        "[heat].": r"\s*([.,;!?)\n:]|$)",
        "[heat] please": (
            r",? (and|or|but|n|too|also|either|as well|again|already|please|pls|plz|for|with|w|by|from|in|at|last|very"
            r"|yesterday|rn|atm|when|if|so|then|to|because|cuz|cause|which|that|maybe|perhaps|tonight|today|recently"
            r"|would|should|could|can|instead|did|does|was|is|what|i|we|he|she|they|you|my|our|his|her|yet|energy"
            r"|vibes?|feels?|mood|twice|lately|though|tho|since|while)\b"
        ),
    }
)

_BEFORE = (
    (0.5, CLAUSE),
    (0.75, LOOSE),
    (1.0, NAMED),
    (1.25, RECALLED),
    (1.5, WANTED),
    (2.0, JUDGED),
    (2.25, ASKED),
    (3.0, ALIKE),
    (3.5, LIKENED),
)
_AFTER = ((3.0, LISTED), (2.5, SUCH), (2.0, SAID), (1.75, FAN), (1.0, ENDED))
# (pattern of what is before titles, its weight): the later ones count more
OPENINGS = tuple((re.compile(rf"(?:{table.pattern})\s", re.IGNORECASE), weight) for weight, table in _BEFORE)
# (pattern of what is after titles, its weight)
CLOSINGS = tuple((table.compiled(), weight) for weight, table in _AFTER)
