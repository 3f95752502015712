"""Words as people text them, and typing errors in the words by which requests are read.

Titles and categories have their own search for typing errors.
"""

import re

from rapidfuzz import process
from rapidfuzz.distance import OSA

from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.everyday_words import EVERYDAY_WORDS

# Frequent words of requests that are one letter from no other English word but their own inflections.
_WORDS = str.split(
    """
    something anything nothing please recommend suggest should without another similar brilliant fantastic excellent
    awesome hilarious overrated disappointing
    """
)
# Word -> how it is texted, dictated or misspelled. None of these is a usual word of its own.
_SHORT = {
    short: word
    for word, shorts in {
        "the": "teh",
        "something": "smth sth smt somethin sumthin sumthing sumfin sumfink summat sumat somethink somefing smthing",
        "anything": "anythin anythink anyfing anyfin nething owt",
        "nothing": "nuthin nuthing nothin nuffin nowt",
        "doesnt": "dosent dosnt doesent dosen't",
        "three": "thre threee therr trhee",
        "five": "fiv fife fivve fvie",
        "four": "fuor foru foure",
        "seven": "svene sevn sevven",
        "eight": "eigt eigth eihgt eght",
        "twelve": "twelv twelf",
        "couple": "copule cuple coupel",
        "what": "wat wot wht wut whit wha",
        "should": "shud shuld shld shoud shoulda",
        "could": "cud cld coud culd",
        "would": "wud wld woud",
        "was": "woz wos wuz",
        "love": "luv lurve wuv",
        "loved": "luvd luved luvved",
        "loves": "luvs",
        "good": "gud gd guud",
        "give": "giv",
        "have": "hav",
        "people": "ppl",
        "your": "ur yer",
        "christmas": "xmas xmass",
        "because": "cos cuz coz bcos bcoz bcuz",
        "some": "sum",
        "more": "moar mor moer",
        "with": "wiv wif",
        "that": "dat",
        "about": "bout abt",
        "through": "thru",
        "though": "tho",
        "please": "plz plse pleez",
        "week": "wk",
        "don't know": "dunno",
        "what you": "whatcha wotcha whatchu watcha",
        "i don't know": "idk",
    }.items()
    for short in shorts.split()
}
_WITH_DIGITS = {
    "b4": "before",
    **dict.fromkeys(["gr8", "gr8t"], "great"),
    "h8": "hate",
    "h8d": "hated",
    "m8": "mate",
    **dict.fromkeys(["2nite", "2night", "2nyt"], "tonight"),
    "2day": "today",
    **dict.fromkeys(["2moro", "2morrow"], "tomorrow"),
    **dict.fromkeys(["4ever", "4eva"], "forever"),
    "any1": "anyone",
    **dict.fromkeys(["some1", "sum1"], "someone"),
    "every1": "everyone",
}
_YOU = r"(?:u|ya|ye|yous|you all|y'all)"
# Words of one character, and others that are words of requests only next to such: "4 me", "what 2 watch", "r both".
_IN_CONTEXT = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"(?<![\w'&/-])4(?= (?:me|us|him|her|them|my|our|his|their|the|da|an?|date|kids|tonight|tomorrow)\b)",
            "for",
        ),
        (
            r"(?<![\w'&/-])2(?= (?:watch|c|see|be|go|choose|pick|rent|have|find|laugh|cry|say|get|put|do|try)\b)",
            "to",
        ),
        (r"(\A|[.!?,;] )n (?=\w)", r"\1and "),
        (r"(?<=\w) n all\b", " too"),
        (r"(?<=[a-z] )w/?(?= [a-z]{2})", "with"),
        (r"\b(to|wanna) c\b", r"\1 see"),
        (r"\b(for|and|with|all|in) da\b", r"\1 the"),
        (
            r"(?<=\w )r(?= (?:both|all|my|so|the|too|really|just|always|great|good|fab|class|ace|amazing|brill|boring"
            r"|bad|rubbish|crap|awful|terrible|like|there)\b)",
            "are",
        ),
        (
            r"\b(do|does|did|have|has|can|could|would|will|should|might|if|any of|what|are|thank|do all of) "
            rf"{_YOU}(?![\w'-])(?! turn\b)",
            r"\1 you",
        ),
        (
            rf"(?<![\w'-]){_YOU}(?= (?:got|have|know|think|recommend|suggest|like|guys|say|pick|choose|gotta|rate"
            r"|reckon|can|could|should)\b)",
            "you",
        ),
        (
            r"\A(\W*(?:(?:got|have you got|and|is there|are there|do you have|ok) )?)anymore"
            r"(?=\s*(?:[?!.]|$|of\b|like\b|please\b|films?\b|movies?\b))",
            r"\1any more",
        ),
    )
)
_LEAST = 5  # letters of a word that may be one of them
_WORD = re.compile(r"(?<![\w'])[a-z]+(?![\w'])|(?:\A|(?<=[.!?] ))[A-Z][a-z]+(?![\w'])")
_DRAWN_OUT = re.compile(r"(?<![\w'])(?=\w*([a-z])\1\1)[A-Za-z]+(?![\w'])|\b[Yy]ess\b")
_REPEATED = re.compile(r"([a-z])\1{2,}|(?<=[Yy]e)ss\b")
# What is written with the same letter several times: "Rocky III", "RRR", "www".
_NOT_DRAWN_OUT = re.compile(r"[ivx]+|(\w)\1+", re.IGNORECASE)
_DIGIT_WORD = re.compile(r"(?<![\w'])(?=[a-z]*\d)[a-z\d]{2,7}(?![\w'])")


def with_words_repaired(text: str) -> str:
    """Return a message in which a word in lower case that is texted, or misses a word by one letter, is that word.

    Args:
        text: the message.
    """
    text = _DRAWN_OUT.sub(_shortened, text)
    text = _WORD.sub(_repaired, _DIGIT_WORD.sub(lambda match: _WITH_DIGITS.get(match[0], match[0]), text))
    for pattern, replacement in _IN_CONTEXT:
        text = pattern.sub(replacement, text)
    return text


def _shortened(match: re.Match[str]) -> str:
    """Return a word that is drawn out in its usual spelling: "sooo", "goooood"."""
    if _NOT_DRAWN_OUT.fullmatch(match[0]):
        return match[0]
    double = _REPEATED.sub(lambda run: 2 * run[0][0], match[0])
    single = _REPEATED.sub(lambda run: run[0][0], match[0])
    return double if double.lower() in COMMON_WORDS or double.lower() in EVERYDAY_WORDS else single


def _repaired(match: re.Match[str]) -> str:
    word = _SHORT.get(match[0], match[0])
    if word[0].isupper():  # the first of a sentence
        return _SHORT[word.lower()].capitalize() if word.lower() in _SHORT else word
    if len(word) < _LEAST or word in COMMON_WORDS or word.endswith("d") and word[:-1] in _WORDS:
        return word
    near = process.extractOne(word, _WORDS, scorer=OSA.distance, score_cutoff=1)
    return near[0] if near and near[0][0] == word[0] else word
