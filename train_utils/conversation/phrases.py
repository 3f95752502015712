"""Patterns that read as English: a phrase of a table, next to an example of what it matches."""

import re
from collections.abc import Mapping

from train_utils.conversation.annotations import MASK, SPAN
from train_utils.conversation.lexicon import NOUNS, any_of

# What words in capitals stand for, in every phrase.
_NAMES = {
    "TITLE": SPAN,
    "MASK": MASK,
    "NOUN": any_of(NOUNS),
    "FEW": rf"(?:{SPAN}|[^.!?;{MASK}]){{0,40}}?",
    "WHO": r"(?:i|we|he|she|they|everyone|everybody|people|(?:my|our|his|her|the|half\s+the|two)\s+\w+)",
    "ME": r"(?:me|us|him|her|them|everyone|everybody|(?:my|our|his|her|their|the)\s+(?:whole\s+|entire\s+)?\w+)",
    "MY": r"(?:my|our|his|her|their|your|the)",
    "NEVER": r"(?:never|not|cannot|\w+n'?t)",
}


def phrase(text: str, **names: str) -> str:
    r"""Return the regular expression of a phrase, such as "made ME (so )?(cry|laugh)".

    A phrase is a regular expression in which a space is any white space, a parenthesis captures nothing, " ... "
    stands for a few words of the clause, and words in capitals are names: TITLE is an annotated span of a masked
    message, NOUN what items are called, WHO, ME and MY are people, NEVER denies.

    Args:
        text: the phrase.
        names: expressions of further names.

    Raises:
        KeyError: a name is unknown.
    """
    grouped = re.sub(r"(?<!\\)\((?!\?)", "(?:", text)
    spaced = grouped.replace(" ... ", r"\bFEW\b").replace(" ", r"\s+")
    return re.sub("[A-Z]{2,}", lambda name: {**_NAMES, **names}[name[0]], spaced)


def any_phrase(examples: Mapping[str, str], **names: str) -> str:
    """Return the regular expression of a table of phrases, of which the first that matches counts.

    Args:
        examples: example of what a phrase matches -> the phrase.
        names: expressions of further names.
    """
    return "|".join(phrase(text, **names) for text in examples.values())
