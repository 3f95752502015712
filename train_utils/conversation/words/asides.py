"""Words that only comment on a sentence, which are taken out of a message: "Heat, if you ask me, was dull"."""

import re

from train_utils.conversation.words.lexicon import any_of

_MARKERS = any_of(
    """
    btw, by the way, tbh, to be honest, to be fair, to be frank, to be sure, imo, imho, in my opinion, in my humble
    opinion, in my honest opinion, in my book, in my view, in my eyes, in our opinion, in our view, fwiw, for what it's
    worth, afaik, as far as i'm concerned, as far as i am concerned, as far as i can tell, if you ask me, if i'm honest,
    if i am honest, if i'm being honest, if i may say so, if i say so myself, if you must know, if truth be told, truth
    be told, truth to tell, to tell the truth, to my mind, to my taste, to my eyes, believe it or not, mind you, i must
    say, i must admit, i must confess, i have to say, i have to admit, i gotta say, i will say, i'll admit, i admit, i
    confess, i dare say, let's be honest, let's face it, ngl, not gonna lie, not going to lie, no lie, no cap, lol,
    lmao, rn, lmfao, rofl, haha, hahaha, hehe, on the other hand, on the one hand, on the contrary, by contrast, in
    contrast, in comparison, in fairness, in all honesty, in all fairness, quite frankly, frankly, honestly, admittedly,
    needless to say, as it happens, funnily enough, oddly enough, strangely enough, surprisingly enough, i swear, trust
    me, believe me, i tell you, i'm telling you, i'm afraid, i am afraid, i fear, sad to say, sadly, sorry to say, no
    joke, no kidding, no offense, no offence, with all due respect, all things considered, at the end of the day, when
    all is said and done, for the record, it must be said, it has to be said
    """
)
_ASIDE = re.compile(
    rf"(?<=[\w\"')])(?P<open>\s?,|\s?\(|\s[-\u2013]+)?\s{_MARKERS}(?!\w|\s(?:that|to|of|if|when|about|for)\b)"
    r"(?P<close>\s?,|\s?\)|\s[-\u2013]+(?=\s))?",
    re.IGNORECASE,
)
# "Titanic is for me boring"
_FOR_ME = re.compile(
    r"(?<=\b(?:is|as))\s(?:for|to) (?:me|us)\s(?=\w)|(?<=\b(?:was|are))\s(?:for|to) (?:me|us)\s(?=\w)", re.IGNORECASE
)


def without_asides(text: str) -> str:
    """Return a message without what only comments on a sentence."""
    return _FOR_ME.sub(" ", _ASIDE.sub(_comma, text))


def _comma(aside: re.Match[str]) -> str:
    """Return the comma that remains of an aside with one on one side, within a sentence."""
    following = aside.string[aside.end() : aside.end() + 1]
    return "," if (aside["open"] is None) != (aside["close"] is None) and following not in ("", *".!?\n") else ""
