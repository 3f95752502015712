"""Patterns of what asks for items without naming a title, a category, a range or a number."""

import re

from train_utils.conversation import lexicon
from train_utils.conversation.annotations import GAP, MASK, SPAN
from train_utils.conversation.lexicon import ASKING_BEFORE_NOUN, BAD, GOOD, NOUNS, OPENINGS, STATING, any_of

_AFTER_NOUN = any_of(
    """
    like, with, of, from, about, for, that, rated, under, over, below, above, made, released, in, directed, starring,
    by, on
    """
)
# A sentence that is nothing else: "a movie please", "older movies", "films rated above 8".
_NOUN_PHRASE = (
    rf"(?!not\s+one\b|(?:{any_of(GOOD)}|nice)\s+(?:one|choice|pick|shout|idea|suggestion|recommendation|call)\s*(?:[!.,]|$)"
    rf"|(?:what\s+)?(?:an?\s+)?{any_of(GOOD + ',' + BAD)}\s+{any_of(NOUNS)}\s*[!.])"
    rf"(?:(?:just|only|and|ok)\s+)?(?:(?:an?|one|the|some|any)\s+)?"
    rf"(?:(?!{any_of(STATING)}\b)[^\W\d][\w-]*\s+){{0,3}}?{any_of(NOUNS)}"
    rf"(?:{GAP}(?:please|pls|thanks)?{GAP}$|\s*,"
    rf"|\s+{_AFTER_NOUN}\b"
    r"|\s+without\b)"
)
_PERSON = r"(?:i|we|you|he|she|they|one|(?:my|our|the)\s+\w+)"
CHOOSE = any_of(
    """
    watch, see, put on, rent, stream, pick, choose, take, try, view, start with, go with, go for, screen, enjoy, play,
    borrow, get, buy, read, catch, recommend, suggest, propose, advise, show
    """
)
# "What do I put on?", "which would you choose", "what should be next"
_CHOICE = (
    rf"(?:what|which)\b(?:\s+[\w'-]+){{0,3}}?\s+(?:should|shall|could|can|do|does|would|might)\s+{_PERSON}\s+"
    rf"(?:\w+\s+){{0,2}}?{CHOOSE}\b"
    rf"|what\s+(?:would|could|might|will)\s+(?:\w+\s+)?(?:suit|fit|work|please|match)"
    r"|what(?:'?s|\s+is|\s+have\s+you(?:\s+got)?|\s+do\s+you\s+have)\s+(?:there\s+|in\s+it\s+)?for\s+(?:me|us)\b(?!\s+to\b)"
    rf"|what(?:\s+\w+){{0,4}}?\s+comes\s+(?:\w+\s+)?(?:close|closest|near|nearest|next)"
    rf"|(?:shall|should|can)\s+we\s+{CHOOSE}\s+(?:something|anything|a)\b|(?:wanna|fancy)\s+(?:watch(?:ing)?|see(?:ing)?)\s+(?:something|anything|a)\b|what\s+do\s+you\s+think\s+(?:i|we)\s+(?:should|could|would|might)\b"
    rf"|what\s+to\s+{CHOOSE}\b|where\s+(?:do|does|should|can|could|would|might)\s+{_PERSON}\s+(?:go|start|begin)\b|what(?:'?s|\s+is)\s+(?:\w+\s+){{0,2}}for\s+(?:me|us|some\w+|an?|my|our)\b"
    r"|(?:find|show|give|suggest)\s+(?:(?:me|us)\s+)?similar\b"
    r"|(?:what|which)\s+(?:(?:else|other|one|ones|film|films|movie|movies)\s+)?(?:has|have|feels?|captures?|matches|shares?)\s+(?:(?:a|the|that|this)\s+)?(?:same|similar|comparable|like)\b"
    rf"|i\s+meant(?=\s+(?:the\s+)?{SPAN}(?!\s+(?:was|is|were|are)\b))"
    r"|what(?:\s+\w+)?\s+(?:goes|works|fits|pairs|suits|matches|compares|tops|beats|follows)\s+(?:\w+\s+)?(?:with|for|to|after|it|that|this|them)"
    r"|(?:might|could|can|would|will|may)\s+(?:you|i)\s+(?:(?:please|kindly|perhaps|possibly|maybe|also)\s+)?(?:offer|suggest|recommend|propose|find|pick|point|dig|throw|name|trouble\s+you|bother\s+you)"
    r"|(?:suggest|recommend|advise|fire|ask|propose)\s+away|(?:pick|choose|guess|suggest|recommend)\s+(?:again|another|others|for\s+(?:me|us))"
    r"|(?:try|do|must|can|could)\s+(?:to\s+)?(?:harder|do\s+(?:much\s+|a\s+lot\s+)?better)|what(?:'?s|\s+is)\s+(?:on\s+(?:the\s+menu|offer|tap)|cooking|the\s+pick)"
    r"|what(?:\s+else)?\s+(?:you|we|they|have\s+(?:you|we|they)|do\s+(?:you|we))\s+(?:got|have|offer|suggest|recommend|reckon)"
    rf"|{any_of('want, wants, would like, d like, d love, would love, need, needs')}\s+to\s+{CHOOSE}\s+"
    r"(?:\w+\s+){0,2}?(?:an?|some)\s+"
    rf"(?:\w+\s+){{0,2}}?{any_of(NOUNS)}"
    rf"|(?:i|we)(?:'d|'ll|\s+would|\s+will)\s+(?:\w+\s+)?{CHOOSE}\s+(?:an?|some)\s+(?:\w+\s+){{0,2}}?{any_of(NOUNS)}"
    rf"|{any_of(NOUNS)}\s+(?:that\s+)?(?:i|we)\s+(?:could|can|should|might)\s+(?:\w+\s+)?{CHOOSE}\b"
    rf"|(?:what|which)(?:\s+\w+)?(?:'?s|\s+(?:is|are|comes|should|could|would|might|will))(?:\s+[\w'-]+){{0,2}}?\s+"
    rf"(?:next|worth|on\s+tonight|similar|left|good|decent)\b(?!\s+for\b)"
)
_INDEFINITELY = any_of(
    """
    i'd take, i'll take, i'd watch, gimme,
    give, show, find, get, bring, pick, suggest, got, have you, do you have, is there, are there, need, want, would
    like, i'd like, we'd like, looking for, look for, mood for, fancy, know, i'm after, we're after
    """
)
# "we'd like something decent", "got anything along those lines"
_INDEFINITE = (
    rf"{_INDEFINITELY}(?:\s+(?:me|us|him|her|them|my\s+\w+))?\s+"
    r"(?:something|anything|stuff|things|whatever|a\s+few|some)\b"
)
_NO_WISH = any_of(
    """
    thanks, thank, problem, worries, idea, way, need, doubt, one, rush, matter, clue, offense, else, really, preference,
    more, to, beats, wrong, chance, for
    """
)
# "trash like that pls"
_OF_THAT_KIND = (
    r"(?!(?:i|we|he|she|they|you|looks?|sounds?|not?|nothing)\b)(?:[\w'-]+\s+){1,3}?"
    rf"(?:like|similar\s+to)\s+(?:that|this|those|these)\s*(?:please|pls|plz)?{GAP}$"
)
_AND = r"(?:\s*+(?:,|&|/|,?\s*+(?:and|or)\b)\s*+)"
# Titles, and what makes them examples: "Alien, Heat, that sort of thing", "ok then like Babe", "similar to that"; or
# whom it is for: "for my sister, she adored Babe"
_EXAMPLES = (
    rf"{SPAN}(?:{_AND}(?:the\s+)?{SPAN})*+\s*+(?:,|-|\.\.\.)?\s*(?:(?:or|and)\s+)?(?:that|this)\s+(?:sort|kind|type|style)\s+of\s+(?:thing|stuff|vibe|{any_of(NOUNS)})"
    rf"(?:\s+(?:please|pls))?{GAP}$"
    rf"|(?:(?:ok|okay|then|so|well|maybe|more|just|rather|anyway)\b{GAP}){{0,4}}like\s+(?:the\s+)?{SPAN}"
    r"|(?:(?:ok|okay|then|so|and|maybe|just)\s+)*(?:something\s+)?similar\s+to\s+(?:that|those|this|these|it|them)\b"
    r"|for\s+(?:my|our|a|an)\s+[\w'-]+(?:\s+\w+)?(?:\s+who\b|,\s+(?:who|she|he|they)(?:'s|\b))"
)
# A whole sentence that only adds to a request: "for the kids this time", "with a happy end"
_ADDITION = (
    rf"(?:(?:and|or|but|maybe|now|ok|so|then|just|please|preferably)\s+){{0,2}}"
    rf"(?:(?:for|with|without|not\s+with)\s+(?:the|my|our|a|an|us|me|this|tonight|some|more|less|lots|no|kids|two|both)\b"
    rf"|with\s+(?!{_NO_WISH}\b|(?:love|pleasure|respect|regards|regard|all|best|kind|him|her|you|it|them|that)\b)[\w'.-]+\s+[\w'.-]+{GAP}$"
    rf"|without\s+(?!{_NO_WISH}\b|further\b|any\b|saying\b)[\w'.-]+(?:\s+[\w'.-]+)?\s+(?:tho|though|please|pls|this\s+time)\b"
    rf"|directed\s+by\b|starring\b|rated\b|not\s+(?:too|so(?!\s+much)|overly)\b|(?:no|nothing)\s+(?!{_NO_WISH}\b)\w+)"
    rf"(?:(?!{any_of('i, we, he, she, they, you, it, is, was, are, were, pleasure')}\b)[\s,]*[\w'-]+){{0,8}}{GAP}$"
)
_DEMANDED = any_of(
    """
    more, again, different, different ones, next, ideas, idea, tips, thoughts, proposals, next one, next ones, and
    then, now, then, surprise, what, what now, then what, go, shoot, over to you, help, help me, help us, help needed,
    recs, reccs, reccos, rec, similar, similar ones, similar stuff, others, another, go on then, go for it, suggestion,
    options, send help, i need help, i need your help, whatever, roll again, shuffle, spin again, try me, bring it, any
    good, what's hot, what's in store, let's have it, let's have them, let's have 'em, best you've got, best you got,
    give me your best, show me your best, looking for inspiration, looking for ideas, can't choose, cannot choose,
    dealer's choice, lay it on me, hook me up, inspiration, inspo, takers
    """
)
# Nothing but a demand: "next?", "ideas?", "more please"
_DEMAND = (
    rf"(?:(?:and|ok|okay|so|well|even|any|now|your|some|got|nope|no|nah)[^\w{MASK}]+){{0,3}}"
    rf"{_DEMANDED}"
    rf"(?:\s+(?:one|ones|please|pls))?"
    rf"|(?:(?:something|but|a\s+(?:bit|little)|much|same)\s+){{0,3}}(?:older|newer|\w{{3,}}ier|(?:short|long|light|dark|slow|fast)er|(?:more|less)\s+\w+)"
    rf"(?:\s+(?:one|ones|please|pls))?"
)
# Any other question for items: "so what shall it be", "what movie would grab him", "what animal movie is next",
# "you have films with the same poetry inside?", "newest movies u got?"; and not "what can you do?"
_ITEMS = any_of(
    """
    movies, films, flicks, pictures, titles, items, products, books, novels, games, shows, series, songs, albums, ones,
    recommendations, suggestions, picks, options, ideas, tips, examples, alternatives, classics, gems
    """
)
_BARE_MODAL = r"(?:should|shall|would|could|can|will|might|do|does)"
_QUESTION = (
    rf"(?:what|which)\b(?!\s+(?:an?|genres?|categor\w+|kinds?|types?|languages?|{_BARE_MODAL}\s+(?:you|u|i|we)\s+(?:do|say|mean|think|know|like|cook|eat|wear|call))\b)"
    rf"(?:\s+(?!{_PERSON}\b)[\w'-]+){{0,4}}?\s+(?:{_BARE_MODAL}\s+[\w']+\s+[\w']+|(?:is|are)\s+(?:there|next|left|worth|good|similar)\b)"
    rf"|(?:what|which)\s+(?:(?!(?:genres?|categor\w+|is|are|was|were|does|did|{_PERSON})\b)[\w'-]+\s+){{0,3}}?{_ITEMS}\s+(?!(?:did|have|had|was|were)\b)\w+"
    rf"|\b(?:u|you|ya)\s+(?:have|got|know)\s+(?:[\w'-]+\s+){{0,3}}?{_ITEMS}\b"
    rf"|\b{_ITEMS}\s+(?:do\s+)?(?:u|you|ya)\s+(?:have|got|know)\b"
)
ASKING_FOR_ITEMS = re.compile(
    rf"\b(?:{any_of(lexicon.ASKING_FOR_ITEMS)}|{any_of(ASKING_BEFORE_NOUN)}\s+(?:[\w'-]+\s+){{0,3}}?{any_of(NOUNS)}"
    rf"|(?:so|then|hence)\s+(?:please\s+)?(?:not|nothing)\s+(?:like\s+)?(?:that|this|those|these)|{_CHOICE}|{_INDEFINITE}|{_QUESTION})\b"
    rf"|^{GAP}(?:{_ADDITION}|{_OF_THAT_KIND}|{_EXAMPLES})|(?:^|:){GAP}(?:{_DEMAND})(?:{GAP}$|\s+(?:for|about|on)\b)"
    rf"|,\s*(?:something|anything)\s+[\w-]+{GAP}$|^{GAP}(?:{any_of(NOUNS)}\s*\?|(?:something|anything)\b|{_NOUN_PHRASE})|(?:->|=>)\s*\?",
    re.IGNORECASE,
)
# A question without its mark: "what is there from the 90s then"
INTERROGATIVE = re.compile(
    rf"{GAP}(?:(?:{any_of(OPENINGS)}|right|k)\b{GAP}){{0,3}}(?:(?:what|which)(?:'s|s|\s+is|\s+are)?(?!\s+an?\b)|any|got|do\s+(?:you|u))\b",
    re.IGNORECASE,
)
