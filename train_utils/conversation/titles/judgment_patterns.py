"""Patterns of how a message judges the titles that it names, and how it says that they are known or not seen."""

import re

from train_utils.conversation.words.judging_verbs import DISPLEASING_VERBS, LIKING_VERBS, PLEASING_VERBS
from train_utils.conversation.words.lexicon import BORED as BORED_WORDS
from train_utils.conversation.words.lexicon import DISLIKING as DISLIKING_WORDS
from train_utils.conversation.words.lexicon import KNOWING as KNOWING_WORDS
from train_utils.conversation.words.lexicon import MOVED as MOVED_WORDS
from train_utils.conversation.words.lexicon import any_of, finder
from train_utils.conversation.words.phrases import Phrases, phrase

_NAMES = {
    "PERSON": (
        r"(?:i|we|he|she|they|everyone|everybody|(?:all|both|each|most|none)\s+of\s+(?:us|them)|(?:my|our"
        r"|the)\s+\w+)"
    ),
    "TITLES": phrase(r"(the )?TITLE(\s*(,|,?\s*and|&)\s*(the )?TITLE)*+"),
    # "we watched that", but no "that" before what it introduces
    "AFTER_THAT": any_of(
        "yesterday, already, recently, before, last, too, twice, once, a, just, as well, also, again, one"
    ),
    "JUDGES": phrase("(LIKES|LIKING_VERBS|DISLIKING)", {"LIKING_VERBS": any_of(LIKING_VERBS)}),
    "PLEASING": any_of(PLEASING_VERBS),
    "DISPLEASING": any_of(DISPLEASING_VERBS),
}


def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(phrase(text, _NAMES), re.IGNORECASE)


def _table(examples: dict[str, str]) -> Phrases:
    return Phrases(examples, _NAMES)


DISLIKING, KNOWING, MOVED, BORED = map(finder, (DISLIKING_WORDS, KNOWING_WORDS, MOVED_WORDS, BORED_WORDS))
# "watched it like 20 times" praises nothing.
LIKING = _compiled(
    r"\b(?!better than (that|those|these|this|it|them)\b|like (\d+|an?|ten|twenty|fifty) (\w+ )?times\b"
    r"|fire\b(?<=with\sfire))LIKING(?!\w)"
)
BAD = _compiled(r"\b(?!a disaster NOUNS\b)BAD(?!\w)")
# What a title is compared with, which blames nothing.
LIKENING = _compiled(
    r"\b(like|similar|than|vibes?|style|as \w+ as|but|less|more|meets|instead|similar|recommend|give me|show me"
    r"|want|something)\b"
)
THAT = _compiled(r"\b(that|it|them|those|these|both|all)\b")
_PRONOUN = _table(
    {
        "the kids adored them": r"\bPRONOUNS\b",
        "that was fun": r"\bthat('s| (is|was|one))\b",
        "we watched that yesterday": r"\b(KNOWING|LIKES|DISLIKING) (that|this)(?=\s*([.,;!?]|$|AFTER_THAT\b))\b",
        "loved the whole thing": (
            r"\bJUDGES (the (whole |damn )?(thing|film|movie)|every (single )?(minute|second|moment|bit))\b"
        ),
    }
)
PRONOUN = _PRONOUN.compiled()
# "the former delighted me, the latter bored me"
ORDINAL = _compiled(
    r"\b(the |my )?(?P<order>first|former|second|third|latter|last)( ones?| film| movie)?('?s)?\b(?! (time|thing"
    r"|half|hour|night|week|year|part|act|scene))"
)
PART = re.compile(r"(?:(?!,|\band\b|\bbut\b|\bwhile\b).)+", re.IGNORECASE)
_REACTION = _table(
    {"he was thrilled and so was I": r"(~(and )?PERSON |[^.;!?]{0,40}?\band (PERSON )?)(was|were|got|left|felt)\b"}
)
REACTION = _REACTION.compiled()
_OTHERS = _table(
    {
        "everyone hated": (
            r"~((and|but|so|well) )?(everyone|everybody|people|critics|most|many|others|he|she|they"
            r"|(my|our|the|some|other|all) \w+( \w+)?) (\w+ )?JUDGES\b"
        )
    }
)
OTHERS = _OTHERS.compiled()
_OBLIGED = _table(
    {
        "had to watch [Heat] for class": (  # where "class" is no praise
            r"\bhad to (\w+ and )?(watch|see|read)\b[^.!?\n]*\bfor (an? |my )?(\w+ )?"
            r"(class|school|college|uni|university|course|work|homework|assignment)\b"
        )
    }
)
OBLIGED = _OBLIGED.compiled()
_WANTS_UNSEEN = _table(
    {
        "something I haven't seen, so not ": (
            r"\b(i|we|he|she|they) (haven'?t|hasn'?t|have not|has not|never) (seen|watched)\b"
            r"[^.!?;]{0,30}?\bso not (the )?$"
        )
    }
)
WANTS_UNSEEN = _WANTS_UNSEEN.compiled()
_UNSEEN = _table(
    {
        "I haven't managed to see [Alien] or ": (
            r"\b(?<!rather\s)((haven'?t|have not|hasn'?t|('ve |have )?never|not|didn'?t|yet to|meaning to) "
            r"(yet |even |actually |ever |managed to |had the chance to )?"
            r"(seen?|saw|watch(ed)?|caught|catch|tried|(got(ten)?|get|came|come) a?round to( (watching|seeing))?) "
            r"(any of |\w+ )?|(seen|watched) none of )"
            r"(~TITLE~(and|or|nor)?~)*~$"
        )
    }
)
UNSEEN = _UNSEEN.compiled()
_NOT_SEEN = _table(
    {
        "but I haven't seen it yet": (
            r"~((but|and|well|no|nope)\b~)?((i|we)\s*)?('?ve )?(\w+ )?"
            r"(haven'?t|have not|never|not|didn'?t|yet to) (yet |even |actually )?(seen?|watch(ed)?)\b"
            r"( (it|that|them|those|this|both|either))?( (yet|so far|though|either|before|myself))*~$"
        )
    }
)
NOT_SEEN = _NOT_SEEN.compiled()
_SEEN = _table(
    {
        "Yes, seen already.": (
            r"~((yes|yeah|yep|already|have|i|we|i've|we've|both)\b~){0,3}(seen|watched|saw)"
            r"( (already|too|both|twice|before|'?em|them|those|these|it|that|all|'?em all|them all|all of (them"
            r"|those|these)))*~$"
        )
    }
)
SEEN = _SEEN.compiled()
_WATCHED = _table(
    {
        "Last week we": r"~(last (week|month|year|time|night|weekend)|yesterday|earlier|before)\W+(i|we)\b",
        "so we just watched": (
            r"~((and|so|well|yesterday|today|recently)\W+)?(i|we)('?ve| have)? (just |already |only )?"
            r"(watched|saw|seen)\b"
        ),
        "you just recommended": r"~you (just |only )?(gave|showed|listed|recommended|suggested|sent)\b",
    }
)
WATCHED = _WATCHED.compiled()
_JUDGMENT = _table(
    {
        "all of them were really bad movies": (
            r"~((but|and|yet) )?"
            r"((all|both|each|every (single )?one|the lot|they|these|those|it|that)( of (it|them|those|these))? )?"
            r"((was|is|were|are) )?((such|what) )?(an? )?"
            r"((really|very|so|pretty|quite|just|absolutely?|totally?|total|utterly?|utter|pure|sheer"
            r"|complete(ly)?|real|proper|simply|truly"
            r"|one|big|such|some|two|three|\d|hours? of|minutes of|years of|load of|pile of|piece of|bit of"
            r"|\w+ (and|but)) ){0,4}"
            r"((?P<bad>(\w+ of )?BAD|ugh|yuck|yikes|eww?|bleh|nope|oof|hated|disliked|loathed|detested|despised|hate)"
            r"|(GOOD|adored|liked|enjoyed|love|adore))"
            r"( (NOUNS|it|them|both|every (single )?\w+( of (it|them))?|so much|to bits|to death|a lot|though)){0,2}~$"
        )
    }
)
JUDGMENT = _JUDGMENT.compiled()
_NO_VERDICT = _table(
    {
        "a cartoon that isn't one of those": (
            r"\b(that|which)('s| is| are)?(n'?t| not) (one of )?(those|these|them|it)\b"
        ),
        "they don't make them like they used to": r"\bdo(n'?t| not) make (them|'?em|those) like\b",
    }
)
NO_VERDICT = _NO_VERDICT.compiled()
_NOT_THOSE = _table(
    {
        "I have it on tape so not that one": (
            r"\b(so|hence|therefore) (please )?(not|skip|no need for) "
            r"(those|these|them|that|it|that one|either)( (please|pls|again|ones))?~$"
        )
    }
)
NOT_THOSE = _NOT_THOSE.compiled()
_DISAGREEING = _table(
    {
        "I really didn't.": (
            r"~((i|we|me) (really |just |personally )?|(?=(did|could)))"
            r"(did not|do not|disagree|hated|could not|(do|did|was|could)n'?t)~$"
        )
    }
)
DISAGREEING = _DISAGREEING.compiled()
# How a message begins that judges the titles of the one before it.
_ON_LAST = _table(
    {
        "oh, we really loved them": (
            r"~((oh|yes|yeah|well|and|wow|no|haha|lol)\b~)?((i|we) (\w+ ){0,3}?)?"
            r"((it|that one|they|both) ((really|just|so|also|honestly) )?(was|were|is|are|bored|blew|PLEASING"
            r"|DISPLEASING|ma(kes?|de)|put|left|gave|kept)"
            r"|(that|this)('s| was| is) (the best|the worst|my|our|one of|such|an? )"
            r"|(didn'?t |really )*(love|JUDGES) (it|them|both))"
            r"\b(?! (when|if)\b)"
        )
    }
)
ON_LAST = _ON_LAST.compiled()
REFUSED = finder(
    """
    skip, exclude, leave, omit, drop, ditch, avoid, not that, not those, not it, no need, ban, banned, out, forbidden,
    off the table, off limits
    """
)
# "I saw Heat, I saw Fargo, both dull"
_EACH = _table(
    {
        "and both": (
            r"~(((and|but|well|they|i|we|i've|we've)\b|JUDGES\b|was|were|are)~)*"
            r"(?<!we\s)((?P<two>both|neither)|all|each|none|every( single)? one|the lot)\b"
        )
    }
)
EACH = _EACH.compiled()
_ADDITION = _table(
    {
        "And [Titanic].": (
            r"~((and|plus|also|oh|same (for|with|goes for)|ditto"
            r"|(neither|nor|so) (did|does|do|was|were|is|are|could|can|would))\b~)+TITLES( (too|as well|also))?~"
        ),
        "[Heat] too.": r"~TITLES (too|as well|also|likewise|ditto)~",
    }
)
ADDITION = _ADDITION.compiled()
# After a question about a title, which these like.
_LIKE_IT = _table(
    {
        "four films like it": (
            r"\b(NOUNS|more|something|anything|smth|stuff|others?) (just |similar |comparable |close )?"
            r"(like|to) (it|that|those|them)\b(?! (?!(please|pls|but|from|or|and|only)\b)\w)"
        ),
        "that sort of thing": r"\b(that|this) (kind|sort|type|style) of (thing|stuff|vibe|NOUNS)\b",
        "more of those": r"\bmore of (that|those|it)\b",
        "along those lines": r"\balong (those|these|that) lines?\b",
    }
)
LIKE_IT = _LIKE_IT.compiled()
