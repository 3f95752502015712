"""Patterns of what a sentence does: it asks for items, it asks about one, or it states something."""

import re

from train_utils.conversation.asking import CHOOSE
from train_utils.conversation.words.lexicon import ASKING, DISLIKING, LIKES, NOUNS, any_of, finder
from train_utils.conversation.words.numerals import NUMBER
from train_utils.conversation.words.phrases import Phrases, phrase

_NAMES = {
    "CHOOSE": CHOOSE,
    "NUMBER": NUMBER,
    "SOMEBODY": r"(?:i|we|he|she|they|(?:my|our)\s+\w+)",
    "TELLER": (
        r"(?:i|we|he|she|they|it|that|life|(?:my|our|his|her|their)\s+\w+(?:\s+\w+)?"
        r"|(?:this|that|the|your)\s+(?:last\s+)?\w+)"
    ),
    # Each separator matches in one way only: many titles that "and" joins would take exponential time otherwise.
    "TITLES": phrase(r"TITLE(\s*+(,(\s*+and)?|and|&|or)\s*+(the )?TITLE)*"),
    "SUBJECT": phrase(
        r"(i|we|my \w+( \w+){0,2}|he|she|they|it|that|this|(the )?(\w+ of )?(TITLE|\w++)(\s*(and|,)\s*TITLE)*~)"
    ),
    # "Fargo, on the other hand, bored me", "The Postman, three hours, I was so bored"
    "INSERTED": phrase(r"(\s*,[^,.?!;:MASK]{1,40}(?=,)| (on the other hand|however|though|by contrast|meanwhile)\b)?"),
    "FAN": any_of("fan, fans, lover, lovers, buff, buffs, nut, nuts, person, people, guy, girl, fanatic, addict"),
    "JUDGED": any_of(f"seen, saw, know, knows, watched, own, owns, {LIKES}, {DISLIKING}, couldn't finish"),
    "THINGS": any_of(NOUNS + ", stuff, something, anything, more, things"),
    "DOING": any_of(
        """
        work, works, worked, wrote, write, writes, play, plays, played, teach, teaches, taught, study, studies, studied,
        live, lives, lived, run, runs, ran, met, went, made, makes, had, spent, lost, won, act, acts, acted, sing,
        sings, sang, attended, sell, sells, sold, bought, collect, collects, collected, direct, directs, directed, drew,
        edit, edits, named, called, took, dragged, brought, showed, shows, lent, moved, visited, married, joined,
        started, heard
        """
    ),
    # Words of a sentence that does not end in a request.
    "NO_REQUEST": any_of(
        """
        no, not, never, without, i, we, he, she, they, my, our, of, with, like, than, in, for, to, by, and, or, on, at,
        is, are, was, were, nothing, including, such, as, about, from
        """
    ),
    "HEADINGS": any_of(
        """
        must have, must-have, must haves, must-haves, wanted, required, requirements, wish, wishes, wish list,
        should have, genre, genres, category, categories, mood, decade, era, year, years
        """
    ),
}


def _compiled(text: str, **names: str) -> re.Pattern[str]:
    return re.compile(phrase(text, {**_NAMES, **names}), re.IGNORECASE)


def _table(examples: dict[str, str]) -> Phrases:
    return Phrases(examples, _NAMES)


ASKING_WORDS = finder(ASKING)
# A short sentence with "please" asks, unless for something else.
PLEASE = finder("please, pls, plz")
OTHER_BUSINESS = finder("stop, wait, write, translate, speak, answer, explain, repeat, remember, sorry")
# but "that's all I ask"
NOT_ASKING = _compiled(r"\bNOT_ASKING(?!\w|\s*[.!]*\s*$(?<=to\ssay)| (that )?(i|we|he|she|they)\b| (is )?asked\b)")
# "never show me one": what follows asks for nothing.
REFUSING = _compiled(r"\b(never|don'?t|do not|stop|no need to|not|had|meaning|ma(kes?|de) (me|us)) (ever |again )?$")
# Words that ask for something in other sentences.
_REPORTED = _table(
    {
        "I tried to like it": r"\b(wanted|tried|hoped|expected|meant) to (like|love|enjoy|watch|see|finish)\b",
        "I thought I'd love it": (
            r"\b(think|thought|figured|knew|sure|guess(ed)?|believe|say|said) (that )?"
            r"(i|we|he|she|they)('?d| would) \w+"
        ),
        "I must be the only one": r"\b(i|we|he|she|you) (must|should|ought to|has to|have to|needs? to) be\b",
        "whoever made it should be in jail": (
            r"\bwho(m?ever)? [^.!?,;]{1,60}\b(should|must|ought to|has to|needs? to) be\b"
        ),
        "it is rather slow": r"(\b(is|was|were|are|it|them)|'s|TITLE) rather\b(?! than\b)",
        "another that I hold dear": (
            r"\banother ((one|favou?rite) )?(that )?(i|we|i'?m|we'?re|i'?ve|we'?ve|of (my|our))\b"
        ),
        "the one film I'd take": (r"\b(one|film|movie|thing|those|ones) (that )?(i|we)('?d| would|'?ll| will) \w+"),
        "I wanted to scream": r"\b(wanted|wished|longed) to (die|scream|leave|run|cry|hide|go|escape|puke)\b",
        "my favorite has to be [Heat]": (
            r"\b(fav\w*|best|worst|greatest|pick|choice|number one|top \w+)( [\w']+){0,4} (has|have|must|got"
            r"|would have|gotta) (to )?be\b"
        ),
        "what I really loved was": (
            r"\bwhat (really |just |truly |most )?(i|we|he|she|(my|our) \w+|bored|annoyed|charmed|moved"
            r"|got) [^.!?;]{0,30}\b(was|is)\b"
        ),
        "I can recommend [Heat]": r"\b(i|we) ((can|could|must|would) )?((only|highly|really) )?recommend (the )?TITLE",
        "that last suggestion was": (
            r"\b(that|this|(that|this|your|the) last) (suggestion|recommendation|pick|tip|idea|choice|list)s?\b"
        ),
        "on my bucket list": r"\b(my|our|your|this|that|bucket|wish) list\b",
        "we are off to see it": r"\b(off|about|going) to (watch|see)\b",
        "I wanted my money back": r"\bwanted (my|our|his|her)\b",
        "my wife wants to choose": r"\b(he|she|(my|our) \w+) wants? to (pick|choose|decide)\b",
        "everyone told me to watch it": (
            r"\b(told|made|got|convinced|forced|begged|asked|urged) (me|us|him|her|them) (to )?(watch|see|try|give)\b"
        ),
    }
)
REPORTED = _REPORTED.compiled()
_STATED_THINGS = _table(
    {
        "My brother liked": r"(?!NUMBER\b)SUBJECT\s*(ADVERBS ){0,4}STATING\b",
        "I'm a huge [horror] fan": (r"(i|we|my \w+)('?m|'?re|'?s| am| are| is) (an? )?(\w+ ){0,2}TITLE FAN\b"),
        "loved": r"STATING_ALONE\b",
        "My brother works": r"TELLER (\w+ly |just |also )?DOING\b",
        "this chat is a comedy show": r"TELLER('m|'s|'re| am| is| are| was| were) (an?|the|such|like)\b",
        "my son wants to be a director": r"TELLER wants? to (be|become)\b",
        "[Heat] and [Fargo] I have": (r"TITLES(INSERTED)~SOMEBODY(('?ve|'?s| have| has)\b| (ADVERBS ){0,2}JUDGED\b)"),
        "[Fargo], on the other hand, bored": r"TITLES(INSERTED),? (STATING|PRONOUNS (was|were|is|are))\b",
        "there was": r"there('s|'ll| is| are| was| were| will| has| have| had)\b",
        "love the nineties": r"(love|adore|hate) (?!to\b|an?\b|some\b)",
        "it's [horror] that": r"it'?s TITLE (that|which|i)\b",
        "[Heat]? no, loved it": r"TITLES~((no|nope|nah|yes|yeah|well|ok|oh)\b~){1,2}STATING_ALONE\b",
        "huge [horror] fan": r"((a|one|an? \w+) )?(big|huge|massive|great|true|real) TITLE FAN\b",
        "[Heat]: what a great": (
            r"TITLES~(what (an? )?(\w+ of )?)?((all|both|each) )?((so|very|really|just|pretty) )?(GOOD|BAD)~$"
        ),
        "[Heat] too": r"(?P<title>and (not )?(so much )?(the )?TITLE~$|TITLES (too|as well|also|likewise|ditto)~$)",
    }
)
STATEMENT = _compiled(
    r"~(OPENINGS\b~){0,4}(?!(TITLE|THINGS)[\s-]+like\b|the likes? of\b|you know what\b"
    r"|(TITLE(,? (and|or) TITLE)?|THINGS),? (made|shot|set|filmed|released|produced) (in )?TITLE)"
    r"(STATED)",
    STATED=_STATED_THINGS.pattern,
)
_MORE = _table(
    {
        "three more": r"(?<!no\s)(?<!not\s)(?<!any\s)(?<!once\s)\b(?!NOT_MORE\b)MORE\b",
        "any others": r"\bany others\b",
        "are there any more?": r"^\W*(\w+ )?(got |are there )?any more\s*(\W*$|of\b|like\b)",
        "next 5": r"\bnext (\d|NUMBER(~$| (NOUNS|please|pls)\b))",
        "and even more!": r"^\W*(and )?even more\W*$",
    }
)
MORE = _MORE.compiled()
_ANOTHER = _table(
    {
        "another film about musicians": r"\banother(?= (TITLE|NOUNS\b))",
        "three others of that kind": r"\bothers(?= of (that|this|the same) (kind|sort|type|style)\b)",
    }
)
ANOTHER = _ANOTHER.compiled()  # after examples of the same message, no further items
# "I should laugh more"
MORE_OFTEN = _compiled(r"\b(should|must|ought to|need to) (?!CHOOSE|show|give|have)([^\W\d]+|TITLE) $")
# "fewer dramas, more comedies" asks for other items.
SHIFTED = _compiled(r"\b(less|fewer) (\w+ )?TITLE")
ANY_CATEGORY = _compiled(r"\b(ANY_CATEGORY|not (only|just)(?! NUMBER\b))(?!\w)")
# Questions that are no requests; "how about" and "why not" may be.
_INFORMATION = _table(
    {
        "what does it cost": r"\bINFORMATION(?!\w)",
        "what is [film noir]?": r"\bwhat('s| is| are) (an? )?TITLE\s*(NOUNS)?\s*\?",
        "who made these?": (
            r"^~((and|so|but|by the way)\W+)?(who|whom|whose|when|where|why|how)\b"
            r"(?! (about|not|next|now)\b| (\w+ ){0,2}(go|turn|start|begin)\b)[^?]*\?"
        ),
        "can I watch the films on here": (
            r"\b(can|could|may) (i|we|you|one) (actually |also |even )?"
            r"(watch|stream|play|rent|buy|see|download|order|get) (the|these|those|them|your|it|any|all)\b[^.!?]{0,30}?"
            r"\s(on here|here|in (this|the) (chat|app)|on this (site|page|app)|through you|directly|online)\b"
        ),
        "do you only give tips": r"\bdo you (only|just) (give|make|offer|do)\b",
    }
)
INFORMATION = _INFORMATION.compiled()
# "so who directed Alien?"
INFORMATION_ON_TITLE = _compiled(
    r"(^|[.!?]\s|\b((?<!and\s)so(?!\s(was|is)\b)|and|but|hey|say),?\s)INFORMATION_ON_TITLE "
    r"((the|a|this|that) )?((movie|film|classic|picture|one) )?((called|named) )?[\"']?$"
)
# Whether the catalog has a title.
_AVAILABLE = _table(
    {
        "u got [Inception]?": (
            r"\b(you|u|ya|ye|y'?all) ((do not|don'?t|really|also) )?(have|got) TITLE(,? (or|and) TITLE)*\s*(\?|$)"
        ),
        "got [Up] or [Dune] on here": r"\b(got|have) TITLE(,? (or|and) TITLE)* (on|in) (here|there)\b",
        "[Dune], is that on here?": (
            r"TITLE,? (is (that|it)|are (they|those|these)) (on|in) (here|there|(your|the|this) list)\b"
        ),
        "[Dune] maybe you do not have?": (
            r"TITLE,? (maybe |perhaps )?(do )?(you|u) (do )?(not |don'?t )?(have|get)( am| it| that)?\s*(\?|$)"
        ),
    }
)
AVAILABLE = _AVAILABLE.compiled()
_ASKED_OF_TITLE = _table(
    {
        "is [Titanic] sad?": (
            r"(is|was|are|were|does|do|did|has|have|will|would|can|could) "
            r"(TITLE|(the|that|this|it|he|she|they|people|critics|anyone|everyone|(my|our|his|her) \w+)\s"
            r"|(?=[^?]{0,60}\?)(?!(you|u|i|we|there)\b))"
        ),
        "did that film win": (
            r"did ((?!(you|u|i|we)\b)[\w']+ ){1,4}(win|get|direct|play|star|make|write|die|do|sing|say|use|film)\b"
        ),
        "can my kids watch [Alien]": (
            r"(can|could|should|will|would|is) (an?|my|our|the|kids|children|NUMBER) ([\w-]+ ){0,5}?"
            r"(watch|see|handle|enjoy|understand) (the )?TITLE"
        ),
        "which is better": r"which (\w+ )?(is|was|are|came|won|did|does|got|made)\s",
        "how long": r"how\b(?! about)|why\b(?! not)|when\b|who\b",
        "what did critics say": r"what (do|did|does) (\w+ ){1,3}?(see|think|say|find|make|like|call|mean)\b",
        "on a scale of 10": r"on a scale",
        "could you tell me whether": (
            r"((can|could|would|please|pls|do|just) )*(you )?(tell|remind|explain|know|say) ((to )?(me|us) )?"
            r"(whether|if|how|who|why|when|what|which)\b"
        ),
    }
)
QUERY = _compiled(
    r"~(?!(neither|nor|so)\b)((OPENINGS|right|k)\b~){0,3}(ASKED_OF_TITLE)", ASKED_OF_TITLE=_ASKED_OF_TITLE.pattern
)
LIKING_QUERY = _compiled(r"~(\w+ )?(did|does|do|would|will) ([\w']+ ){1,3}like\s")
# A judgment of a title, with its subject or verb anywhere in the sentence.
_TOLD = _table(
    {
        "[Air Force One] he found": r"\b(i|we|he|she|they|(my|our) \w+)('?(m|re|s|ve|d|ll))? [a-z']+",
        "[Scream 2] was": r"TITLE~(was|were|is|are|had|did|never|always|STATING)\b",
        "[Heat], that was": r"\b(that|it|this)('?s| (is|was))\b",
        "[Jerry Maguire], loved it": r"\bSTATING_ALONE\b",
    }
)
TOLD = _TOLD.compiled()
# What is refused is a condition of a request.
_REFUSED = _table(
    {
        "a comedy is good, but no [cartoons]": (
            r"(^~((and|but|so|ok|okay|please|just|also|oh)\b~){0,2}"
            r"|([,;]\s*|\b)(but|so|then|hence|just) (please )?)"
            r"(no(?! (love|time|need)\b)|not|nothing|none|without|anything but) "
            r"((?!(i|we|he|she|they|you|it|sure|only|so much|really)\b)[\w']+ ){0,2}?"
            r"(TITLE|NOUNS\b(?! of\b)|(like )?(that|this|those|these)\b)"
        ),
        "it bored me so please skip it": (
            r"(^~|[,;]\s*|\b(so|and|but|please|then) )(please )?(just )?(leave|skip|exclude|omit|drop|avoid|ditch) "
            r"(it|that|that one|those|them|this|these|both)\b"
        ),
        "please exclude": r"\bplease (exclude|skip|omit)\b",
        "except [Clerks], seen it": (
            r"^~((and|but|just|only|oh|also)\b~){0,2}(except|excluding|minus|apart from|besides|barring|bar"
            r"|save for|skip|exclude|omit|leave out"
            r"|leave off|cut|cut out|drop|remove|ditch|no more|not another) ((for|the|all|any|anything|everything"
            r"|those|these) ){0,2}(TITLE|films?|movies?|before|after|older|newer)"
        ),
        "[Heat]: watched, skip": (
            r"[,:;]\s*(so )?(please )?(skip|exclude|omit|drop|pass|next)( (it|them|those|both|these|all))?\s*$"
        ),
        "[Heat] is off the menu": r"TITLE\s*(NOUNS )?(is|are) (off|out)\b",
        "leave [Fargo] out": r"\bleave (it|that|those|them|TITLE) out\b",
    }
)
REFUSED = _REFUSED.compiled()
# A title with something else about it.
_VARIED = _table(
    {
        "[Alien] meets [Heat]": (
            r"TITLE,? (but\b(?! (i|we|he|she|they|it|that|this|my|could|did|was|is|had|never|not|then|just)\w*\b)"
            r"|meets|crossed|only|with (more|less|fewer|a bit)|(please|pls|plz|maybe|perhaps|tonight)\b)"
        ),
        "think of [Alien]": r"\b(think|imagine|maybe|perhaps|after|next|along) (of )?(the )?TITLE",
    }
)
VARIED = _VARIED.compiled()
OTHER_WORD = re.compile(
    rf"\b(?!{any_of('and, or, the, a, an, also, then, plus, too, both, ok, hi, hello, hey, movie, film')}\b)[^\W\d]\w*"
)
JUDGING = _compiled(r"\b(GOOD|BAD)(?!\w)|(?-i:\b[N][O]\b)|\bwhat an?\b")
# And not "like Alien, which I loved".
_LIKENED = _table(
    {
        "something like [Alien]": (
            r"\b((?<!\bi\s)(?<!\bwe\s)(?<!people\s)(?<!they\s)(?<!you\s)(?<!who\s)(?<!n't\s)(?<!to\s)like|unlike"
            r"|similar to|close to|such as|vein of|style of|lines of|[aà] la|akin to|as \w+ as|more|kind of|sort of) "
            r"(the )?TITLE"
        ),
        "[Fargo] vibes": r"TITLE (vibes?|style|type|kind)\b",
    }
)
LIKENED = _LIKENED.compiled()
_OF_FANS = _table(
    {
        "what do people who like [Alien] watch?": (
            r"~((OPENINGS)\b~){0,3}(what|which)\b[^.!?MASK]{0,40}?"
            r"(\b(people|fans?|those|somebody|someone|viewers|users|folks|lovers?)\b[^.!?MASK]{0,30}TITLE"
            r"|TITLE (fans?|lovers?))"
            r"[^.!?MASK]{0,30}\b(watch|enjoy|like|love|see|pick|go for|recommend)\b(?! about\b)"
        )
    }
)
OF_FANS = _OF_FANS.compiled()
_HEADING = _table(
    {
        "Must have: crime": r"~HEADINGS\s*[:=]",
        "ok, [horror] it is": r"~((ok|okay|right|so|then|fine|well)\b~)*TITLE\s*(NOUNS )?it is\b",
    }
)
HEADING = _HEADING.compiled()
AMOUNTS_TO = _compiled(r"\s*(is|are|will|would|should)\b")  # "a handful is plenty"
# A sentence may end in a request without a verb.
_BARE_END = _table(
    {
        "The party is off, two films then": (
            r"(?P<before>^.*?)[,;:-] (?P<lead>((so|now|then|ok|okay|please|hence)\W+)+)?"
            r"((?!NO_REQUEST\b|STATING\b)[\w'-]+ ){0,3}?"
            r"(TITLE( (TITLE|NOUNS))*|NUMBER ((?!NO_REQUEST\b)[\w'-]+ ){0,2}?NOUNS)"
            r"(?P<then>(\s*,?\s*(then|please|pls|now|instead|time|night|evening|marathon|tonight|next|this time)))*~$"
        )
    }
)
BARE_END = _BARE_END.compiled()
THING = _compiled(r"MASK|\bNOUNS\b")
LEAD = _compiled(r"[,;:-]\s*((and|so|now|then|but|ok|okay|please) )?$")  # "seen it, 3 more"
_STATED = _table(
    {
        "we really love": r"~(i|we)('m|'re| am| are)? (\w+ ){0,3}?(love|like|enjoy|adore|fan|into)\b",
        "[Horror] is not for her but I love": (
            r"[^.!?;MASK]{0,60}TITLE[^.!?;MASK]{0,30}\bbut (i|we) (\w+ ){0,2}?(love|like|enjoy|adore)\b"
        ),
        "my sister loves a good [comedy]": (
            r"~(he|she|they|(my|our) \w+) (\w+ly |all |both )?(loves?|likes?|enjoys?|adores?) (an? (good )?)?TITLE"
        ),
    }
)
STATED = _STATED.compiled()
# "Heat? Seen it."
TOPIC = _compiled(r"~((and|as for|the|ah|oh|right|yes|yeah|well)\W+)*TITLE( (with|w/?|by) [^\W\d]\w+( \w+)?)?\s*[?.!]~")
EXCLAIMED = _compiled(r"~(yes|yeah|yep|wow|omg|oh|ah|ooh|no|man|dude|god|damn|my god|oh my god|yes yes)~")
_VERDICT = _table(
    {
        "Never seen": (
            r"~((OPENINGS)\b~){0,3}"
            r"(((the|my|our) )?(best|worst|greatest|funniest|saddest)|yes|wow|omg|i|we|haven'?t|have not|not"
            r"|never|nope|LIKES|STATING_ALONE|GOOD|BAD|REFUSALS|what an?"
            r"|((?!ASKING\b)[\w']+ ){0,4}?(that|it|they|both)('s| (was|is|were|are)))\b"
        )
    }
)
VERDICT = _VERDICT.compiled()
SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n")
