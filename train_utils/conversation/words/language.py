"""Whether a message is in English; of another language, only titles and digits are read."""

import re

from train_utils.conversation.words import lexicon
from train_utils.prompts.common_words import COMMON_WORDS

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_LATIN = "\u024f"  # the last letter of the Latin scripts
# Words of other languages that no English sentence has, the most frequent ones: of German, French, Spanish, Italian,
# Portuguese, Dutch, the Scandinavian languages, Polish, Czech, Turkish, Finnish and Indonesian.
_FOREIGN = frozenset(
    str.split(
        """
        ich du wir mir mich dir ihr ist sind und oder nicht kein keine keinen ein eine einen einem der das den dem mit
        auf bitte zwei drei wie etwas gib gibt zeig mag habe filme empfiehl soll schauen heute abend
        je tu nous moi une le les des du est et ou pas sans avec pour que qui dans sur comme veux quelque chose donne
        recommande conseille
        el los las del uno una y con sin para por quiero dame algo como peliculas gusta gustan tres
        pelicula recomienda recomiendame
        il lo gli di che non per vorrei mi tre dei delle qualcosa sono piace consigliami consiglia vedere divertenti
        os uma nao com sem eu quero filme filmes recomende gosto
        ik een het niet geen van voor wil en te graag geen geef alsjeblieft grappige
        jag vill ett och inte jeg ikke og til med som rolig
        nie chce mi dla filmy jest chci
        bana bir istiyorum gibi icin filmi korku sevmiyorum
        minulle haluan ja kuin kolme elokuvaa elokuva
        saya yang dan untuk dengan tolong tiga lucu
        """
    )
)
_PHRASES = [phrases for name, phrases in vars(lexicon).items() if name.isupper() and isinstance(phrases, str)]
_ENGLISH = (
    COMMON_WORDS
    | {word.lower() for phrases in _PHRASES for word in _WORD.findall(phrases)}
    | {"or", "me", "the", "of", "by", "tonight", "kid"}
) - _FOREIGN
# A message with no English word of so many is in another language; so is one with few of many.
_NONE_OF, _MANY, _SHARE = 5, 8, 0.2


def is_english(text: str) -> bool:
    """Return whether a message may be in English, as short ones always may.

    Args:
        text: the message, in which titles and categories are masked.
    """
    letters = [character for character in text if character.isalpha()]
    if 2 * sum(character > _LATIN for character in letters) > len(letters):
        return False
    words = [word.lower() for word in _WORD.findall(text)]
    english = sum(word in _ENGLISH for word in words)
    foreign = sum(word in _FOREIGN or not word.isascii() for word in words)
    if foreign > max(english, 1):
        return False
    if foreign and not english and len(words) > 2:
        return False
    return not (len(words) >= _NONE_OF and not english or len(words) >= _MANY and english < _SHARE * len(words))
