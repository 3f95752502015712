"""How much the words themselves speak for a title that the catalog lacks: rarity, form, capitals, parts of speech."""

import re
from collections.abc import Sequence

from train_utils.conversation.titles.unknown_words import FILM_WORDS, NO_FIRST, NO_LAST, PEOPLE, is_verb
from train_utils.conversation.words.lexicon import NO_TITLE
from train_utils.conversation.words.message_words import CONNECTING, MessageWords
from train_utils.conversation.words.title_contexts import NO_LOWER_TITLE
from train_utils.prompts.mass_nouns import MASS_NOUNS
from train_utils.prompts.near_titles import key_of
from train_utils.prompts.templates import in_words

CLOSED = 1.0  # of what is after a title: the clause ends
SURE = 2.25  # what is before or after words counts this where it is neither somebody's name nor another word
_RARE, _EVERYDAY, _FURTHER, _MOST_FURTHER = 1.5, 0.5, 0.25, 0.5  # the first uncommon word; each further one
_CAPITAL = 1.0  # written as a name, where capitals mean something
_BARE, _BARE_PHRASE = 0.5, 1.25  # a singular that lacks the article that it would have as a word: "temple of doom"
# A plural in one everyday word, or several; a rare one with an article; a word that needs no article; "a ..."; "-ed".
_PLURAL, _PLURAL_PHRASE, _RARE_PLURAL, _MASS, _INDEFINITE, _PARTICIPLE = -2.0, -1.0, -0.5, -3.0, -2.0, -1.5
_LONG, _LENGTHY = 3, -1.0  # more words than this, so that what is around them must be certain
_VERBAL = -2.0  # it begins with a verb
_ADVERB = re.compile(r"\w{3,}ly|.+'s")
# Adjectives, and nouns that need no article.
_VAGUE = re.compile(r"\w{3,}(?:less|ful|ous|[ai]ble|ish|ive|esque|some|ness|ity|ism|ship|hood|ology|graphy|ery|wise)")
_NUMBERS = frozenset((*map(in_words, range(1, 13)), *str.split("fifteen twenty thirty forty fifty hundred thousand")))
_LEAST = 2  # characters of a title


def is_vague(word: str) -> bool:
    """Return whether a word in lower case may begin a clause without an article, and is no title."""
    return bool(_VAGUE.fullmatch(word))


def of_content(msg: MessageWords, lower: Sequence[str], position: int, length: int, closing: float) -> float | None:
    """Return what words themselves count for a title; None where they are none.

    Args:
        msg: the message.
        lower: its words, in lower case.
        position: of the first of them.
        length: number of them.
        closing: what counts that is after them.
    """
    words, article = lower[position : position + length], not msg.words[position].key
    content = words[article:]
    if not content or content[0] in NO_FIRST or content[-1] in NO_TITLE or _is_of_film(content):
        return None
    if words[-1] in NO_LAST and words != ["the", "thing"] or _ADVERB.fullmatch(words[-1]):
        return None
    if (
        all(word.isdecimal() or word in _NUMBERS for word in content)
        or len(content) == 1
        and content[0] in NO_LOWER_TITLE
    ):
        return None
    uncommon = [weight for weight in msg.weights[position : position + length] if weight]
    rare = max(uncommon, default=0.0) > 1
    if content[-1] in PEOPLE and (not rare or len(content) == 1) or not uncommon and length == 1:
        return None
    value = _INDEFINITE if words[0] in ("a", "an") else 0.0
    if uncommon:
        value += (_RARE if rare else _EVERYDAY) + min(_MOST_FURTHER, _FURTHER * (len(uncommon) - 1))
    if _is_name(msg, position, length, closing):
        return value + _CAPITAL + _of_form(msg, content, position, length, is_name=True)
    if not article and is_verb(content[0]):
        value += _VERBAL
    if sum(word not in CONNECTING for word in content) > _LONG:
        value += _LENGTHY
    return value + _of_form(msg, content, position, length, is_name=False)


def _is_of_film(content: Sequence[str]) -> bool:
    """Return whether words have a part of films or somebody of film in them: "hitchcock's vertigo"."""
    return not FILM_WORDS.isdisjoint(word.removesuffix("'s") for word in content)


def _of_form(msg: MessageWords, content: Sequence[str], position: int, length: int, is_name: bool) -> float:
    """Return what the form of words counts, without their article: English leaves only some nouns without one."""
    last, phrase, article = content[-1], len(content) > 1, len(content) < length
    weights = msg.weights[position : position + length]
    value = _PARTICIPLE if content[0].endswith("ed") and not article else 0.0
    if last.endswith("s") and not last.endswith("ss"):
        if weights[-1] > 1:
            return value + (_RARE_PLURAL if article or phrase else 0.0)
        return value if is_name else value + (_PLURAL_PHRASE if phrase else _PLURAL)
    if not phrase and last in MASS_NOUNS or last.endswith("ing") and not article:
        return value + _MASS
    if article or not any(weights):
        return value
    return value + (_BARE_PHRASE if "of" in content[1:-1] and weights[0] and "a" not in content else _BARE)


def _is_name(msg: MessageWords, position: int, length: int, closing: float) -> bool:
    """Return whether words are written as a name, which the first word of a sentence is not."""
    start = msg.words[position].start
    if not (msg.mixed and msg.capital[position] and msg.capital[position + length - 1]):
        return False
    begins = not position or msg.text[start - 2] in ".!?\n"
    return not begins or length > 1 and closing > CLOSED


def is_near(msg: MessageWords, position: int, length: int, opening: float) -> bool:
    """Return whether words may mean a title of the catalog: a part of it, or it misspelled.

    Args:
        msg: the message.
        position: of the first of them.
        length: number of them.
        opening: what counts that is before them.
    """
    near, words = msg.near, msg.words[position : position + length]
    key = key_of(words)
    if len(key) < _LEAST or near.items(key) or near.shortened(key) or near.begun(key):
        return True
    if near.is_part(key) or near.nearest(key):
        return True
    if any(near.is_whole(key_of(words[:n])) for n in range(1, length) if not words[n].key.isdigit()):
        return True  # "Heathers at 2am"
    return len([word for word in words if word.key]) == 1 and opening < SURE and near.has_word(key)
