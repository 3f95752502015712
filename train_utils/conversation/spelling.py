"""Typing errors in the words by which requests are read; titles and categories have their own search for them."""

import re

from rapidfuzz import process
from rapidfuzz.distance import OSA

from train_utils.prompts.common_words import COMMON_WORDS

# Frequent words of requests that are one letter from no other English word but their own inflections.
_WORDS = str.split("something anything nothing please recommend suggest should without another similar")
_SHORT = {
    "teh": "the",
    "smth": "something",
    "sth": "something",
    "somethin": "something",
    **dict.fromkeys(["dosent", "dosnt", "doesent", "dosen't"], "doesnt"),
    "sumthin": "something",
    "anythin": "anything",
    **dict.fromkeys(["thre", "threee", "therr", "trhee"], "three"),
    **dict.fromkeys(["fiv", "fife", "fivve", "fvie"], "five"),
    **dict.fromkeys(["fuor", "foru", "foure"], "four"),
    **dict.fromkeys(["svene", "sevn", "sevven"], "seven"),
    **dict.fromkeys(["eigt", "eigth", "eihgt", "eght"], "eight"),
    **dict.fromkeys(["twelv", "twelf"], "twelve"),
    **dict.fromkeys(["copule", "cuple", "coupel"], "couple"),
}
_LEAST = 5  # letters of a word that may be one of them
_WORD = re.compile(r"(?<![\w'])[a-z]+(?![\w'])")


def with_words_repaired(text: str) -> str:
    """Return a message in which a word in lower case that misses such a word by one letter is that word.

    Args:
        text: the message.
    """
    return _WORD.sub(_repaired, text)


def _repaired(match: re.Match[str]) -> str:
    word = _SHORT.get(match[0], match[0])
    if len(word) < _LEAST or word in COMMON_WORDS or word.endswith("d") and word[:-1] in _WORDS:
        return word
    near = process.extractOne(word, _WORDS, scorer=OSA.distance, score_cutoff=1)
    return near[0] if near and near[0][0] == word[0] else word
