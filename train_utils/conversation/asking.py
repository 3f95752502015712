"""Patterns of what asks for items without naming a title, a category, a range or a number."""

import re

from train_utils.conversation.words.lexicon import any_of
from train_utils.conversation.words.phrases import Phrases, phrase

CHOOSE = any_of(
    """
    watch, see, put on, rent, stream, pick, choose, take, try, view, start with, go with, go for, screen, enjoy, play,
    borrow, get, buy, read, catch, recommend, suggest, propose, advise, show
    """
)
_NAMES = {
    "CHOOSE": CHOOSE,
    "PERSON": r"(?:i|we|you|he|she|they|one|(?:my|our|the)\s+\w+)",
    "MODAL": r"(?:should|shall|would|could|can|will|might|do|does)",
    "AND": r"(?:\s*+(?:,|&|/|,?\s*+(?:and|or)\b)\s*+)",
    "ITEMS": any_of(
        """
        movies, films, flicks, pictures, titles, items, products, books, novels, games, shows, series, songs, albums,
        ones, recommendations, suggestions, picks, options, ideas, tips, examples, alternatives, classics, gems
        """
    ),
    "NO_WISH": any_of(
        """
        thanks, thank, problem, worries, idea, way, need, doubt, one, rush, matter, clue, offense, else, really,
        preference, more, to, beats, wrong, chance, for
        """
    ),
    "OFFERED": any_of(
        """
        i'd take, i'll take, i'd watch, gimme, give, show, find, get, bring, pick, suggest, got, have you, do you have,
        is there, are there, need, want, would like, i'd like, we'd like, looking for, look for, mood for, fancy, know,
        i'm after, we're after, i'm now after, we're now after
        """
    ),
    "AFTER_NOUN": any_of(
        """
        like, with, of, from, about, for, that, rated, under, over, below, above, made, released, in, directed,
        starring, by, on
        """
    ),
    "DEMANDED": any_of(
        """
        more, again, different, different ones, next, ideas, idea, tips, thoughts, proposals, next one, next ones, and
        then, now, then, surprise, what, what now, then what, go, shoot, over to you, help, help me, help us,
        help needed, recs, reccs, reccos, rec, similar, similar ones, similar stuff, others, another, go on then,
        go for it, suggestion, options, send help, i need help, i need your help, whatever, roll again, shuffle,
        spin again, try me, bring it, any good, what's hot, what's in store, let's have it, let's have them,
        let's have 'em, best you've got, best you got, give me your best, show me your best, looking for inspiration,
        looking for ideas, can't choose, cannot choose, dealer's choice, lay it on me, hook me up, inspiration, inspo,
        takers, suggest, recommend, propose, advise, advice, your advice, your move, hook a girl up, hook a brother up,
        spill, feed me, guide me, fire at will, hit me up
        """
    ),
}
# A sentence that is nothing else; and not "not one", "good choice!", "what a bad movie."
_NOUN_PHRASE = Phrases(
    {
        "older movies": (
            r"(?!not one\b|(GOOD|nice) (one|choice|pick|shout|idea|suggestion|recommendation|call)\s*([!.,]|$)"
            r"|(what )?(an? )?(GOOD|BAD) NOUNS\s*[!.])"
            r"((just|only|and|ok) )?((an?|one|the|some|any) )?((?!STATING\b)[^\W\d][\w-]* ){0,3}?NOUNS"
            r"(~(please|pls|thanks)?~$|\s*,| AFTER_NOUN\b| without\b)"
        )
    },
    _NAMES,
)
_CHOICE = Phrases(
    {
        "which would you choose": (
            r"(what|which)\b( [\w'-]+){0,3}? (should|shall|could|can|do|does|would|might) PERSON (\w+ ){0,2}?CHOOSE\b"
        ),
        "what would suit": r"what (would|could|might|will) (\w+ )?(suit|fit|work|please|match)",
        "what's in it for us": (r"what('?s| is| have you( got)?| do you have) (there |in it )?for (me|us)\b(?! to\b)"),
        "what comes closest": r"what( \w+){0,4}? comes (\w+ )?(close|closest|near|nearest|next)",
        "shall we see something": r"(shall|should|can) we CHOOSE (something|anything|a)\b",
        "wanna watch something": r"(wanna|fancy) (watch(ing)?|see(ing)?) (something|anything|a)\b",
        "what do you think we should": r"what do you think (i|we) (should|could|would|might)\b",
        "what to watch": r"what to CHOOSE\b",
        "where do I start": r"where (do|does|should|can|could|would|might) PERSON (go|start|begin)\b",
        "what's good for my dad": r"what('?s| is) (\w+ ){0,2}for (me|us|some\w+|an?|my|our)\b",
        "find me similar": r"(find|show|give|suggest) ((me|us) )?similar\b",
        "which films have the same feel": (
            r"(what|which) ((else|other|one|ones|film|films|movie|movies) )?"
            r"(has|have|feels?|captures?|matches|shares?) ((a|the|that|this) )?(same|similar|comparable|like)\b"
        ),
        "i meant [Heat]": r"i meant(?= (the )?TITLE(?! (was|is|were|are)\b))",
        "what goes well with popcorn": (
            r"what( \w+)? (goes|works|fits|pairs|suits|matches|compares|tops|beats|follows) "
            r"(\w+ )?(with|for|to|after|it|that|this|them)"
        ),
        "could you please name": (
            r"(might|could|can|would|will|may) (you|i) ((please|kindly|perhaps|possibly|maybe|also) )?"
            r"(offer|suggest|recommend|propose|find|pick|point|dig|throw|name|trouble you|bother you)"
        ),
        "suggest away": r"(suggest|recommend|advise|fire|ask|propose) away",
        "pick for us": r"(pick|choose|guess|suggest|recommend) (again|another|others|for (me|us))",
        "try harder": r"(try|do|must|can|could) (to )?(harder|do (much |a lot )?better)",
        "what's on the menu": r"what('?s| is) (on (the menu|offer|tap)|cooking|the pick)",
        "what else have you got": (
            r"what( else)? (you|we|they|have (you|we|they)|do (you|we)) (got|have|offer|suggest|recommend|reckon)"
        ),
        "wants to see a good movie": (
            r"(wants?|would like|d like|d love|would love|needs?) to CHOOSE (\w+ ){0,2}?(an?|some) (\w+ ){0,2}?NOUNS"
        ),
        "i'd watch some films": r"(i|we)('d|'ll| would| will) (\w+ )?CHOOSE (an?|some) (\w+ ){0,2}?NOUNS",
        "movies we could watch": r"NOUNS (that )?(i|we) (could|can|should|might) (\w+ )?CHOOSE\b",
        "what is next": (
            r"(what|which)( \w+)?('?s| (is|are|comes|should|could|would|might|will))( [\w'-]+){0,2}? "
            r"(next|worth|on tonight|similar|left|good|decent)\b(?! for\b)"
        ),
        "find my mother something": (
            r"OFFERED( (me|us|him|her|them|my \w+))? (something|anything|stuff|things|whatever|a few|some)\b"
        ),
    },
    _NAMES,
)
# Any other question for items; and not "what can you do?"
_QUESTION = Phrases(
    {
        "what shall it be": (
            r"(what|which)\b(?! (an?|genres?|categor\w+|kinds?|types?|languages?"
            r"|MODAL (you|u|i|we) (do|say|mean|think|know|like|cook|eat|wear|call))\b)( (?!PERSON\b)[\w'-]+){0,4}? "
            r"(MODAL [\w']+ [\w']+|(is|are) (there|next|left|worth|good|similar)\b)"
        ),
        "which animal movies win": (
            r"(what|which) ((?!(genres?|categor\w+|is|are|was|were|does|did|PERSON)\b)[\w'-]+ ){0,3}?"
            r"ITEMS (?!(did|have|had|was|were)\b)\w+"
        ),
        "you have films": r"\b(u|you|ya) (have|got|know) ([\w'-]+ ){0,3}?ITEMS\b",
        "newest movies u got": r"\bITEMS (do )?(u|you|ya) (have|got|know)\b",
    },
    _NAMES,
)
_EXAMPLES = Phrases(
    {
        "trash like that pls": (
            r"(?!(i|we|he|she|they|you|looks?|sounds?|not?|nothing)\b)([\w'-]+ ){1,3}?"
            r"(like|similar to) (that|this|those|these)\s*(please|pls|plz)?~$"
        ),
        "[Alien], [Heat], that sort of thing": (
            r"TITLE(AND(the )?TITLE)*+\s*+(,|-|\.\.\.)?\s*((or|and) )?"
            r"(that|this) (sort|kind|type|style) of (thing|stuff|vibe|NOUNS)( (please|pls))?~$"
        ),
        "ok then like [Babe]": r"((ok|okay|then|so|well|maybe|more|just|rather|anyway)\b~){0,4}like (the )?TITLE",
        "something similar to that": (
            r"((ok|okay|then|so|and|maybe|just) )*(something )?similar to (that|those|this|these|it|them)\b"
        ),
        "for my sister, she adored [Babe]": r"for (my|our|a|an) [\w'-]+( \w+)?( who\b|, (who|she|he|they)('s|\b))",
    },
    _NAMES,
)
# What a sentence that only adds to a request begins with.
_ADDED = Phrases(
    {
        "for the kids": (
            r"(for|with|without|not with) "
            r"(the|my|our|a|an|us|me|this|tonight|some|more|less|lots|no|kids|two|both)\b"
        ),
        "with happy ends": (
            r"with (?!NO_WISH\b|(love|pleasure|respect|regards|regard|all|best|kind|him|her|you|it|them|that)\b)"
            r"[\w'.-]+ [\w'.-]+~$"
        ),
        "without blood please": (
            r"without (?!NO_WISH\b|further\b|any\b|saying\b)[\w'.-]+( [\w'.-]+)? (tho|though|please|pls|this time)\b"
        ),
        "directed by a woman": r"directed by\b|starring\b|rated\b",
        "not too long": r"not (too|so(?! much)|overly)\b",
        "no blood": r"(no|nothing) (?!NO_WISH\b)\w+",
    },
    _NAMES,
)
_ADDITION = phrase(
    r"((and|or|but|maybe|now|ok|so|then|just|please|preferably) ){0,2}(ADDED)"
    r"((?!(i|we|he|she|they|you|it|is|was|are|were|pleasure)\b)[\s,]*[\w'-]+){0,8}~$",
    {"ADDED": _ADDED.pattern},
)
# Nothing but a demand.
_DEMAND = Phrases(
    {
        "any ideas": (
            r"((and|ok|okay|so|well|even|any|now|your|some|got|nope|no|nah)[^\wMASK]+){0,3}"
            r"DEMANDED( (one|ones|please|pls))?"
        ),
        "a bit older please": (
            r"((something|but|and|or|ok|okay|so|no|now|well|maybe|a (bit|little)|much|same)[^\wMASK]+){0,4}"
            r"(older|newer|\w{3,}ier|(short|long|light|dark|slow|fast)er|(more|less) \w+)"
            r"( than (that|this|it|those|these|them))?( (one|ones|please|pls))?"
        ),
    },
    _NAMES,
)
_WITHIN = Phrases(
    {
        "looking for a good movie": r"ASKING_BEFORE_NOUN ([\w'-]+ ){0,3}?NOUNS",
        "so nothing like that": r"(so|then|hence) (please )?(not|nothing) (like )?(that|this|those|these)",
    }
)
ASKING_FOR_ITEMS = re.compile(
    phrase(
        r"\b(ASKING_FOR_ITEMS|WITHIN|CHOICE|QUESTION)\b"
        r"|^~(ADDITION|EXAMPLES)|(^|:)~(DEMAND)(~$| (for|about|on)\b)"
        r"|,\s*(something|anything) [\w-]+~$|^~(NOUNS\s*\?|(something|anything)\b|NOUN_PHRASE)|(->|=>)\s*\?",
        {
            "WITHIN": _WITHIN.pattern,
            "CHOICE": _CHOICE.pattern,
            "QUESTION": _QUESTION.pattern,
            "ADDITION": _ADDITION,
            "EXAMPLES": _EXAMPLES.pattern,
            "DEMAND": _DEMAND.pattern,
            "NOUN_PHRASE": _NOUN_PHRASE.pattern,
        },
    ),
    re.IGNORECASE,
)
# A question without its mark: "what is there from the 90s then"
INTERROGATIVE = re.compile(
    phrase(r"~((OPENINGS|right|k)\b~){0,3}((what|which)('s|s| is| are)?(?! an?\b)|any|got|do (you|u))\b"),
    re.IGNORECASE,
)
