"""English verbs that judge an item, by meaning, as lists of phrases with their inflections."""

_IRREGULAR = {
    "be": "is, are, was, were, been, being",
    "bring": "brought",
    "buy": "bought",
    "catch": "caught",
    "choose": "chose, chosen, choosing",
    "do": "does, did, done",
    "drag": "dragged, dragging",
    "fall": "fell, fallen",
    "find": "found",
    "get": "got, getting",
    "give": "gave, given, giving",
    "go": "went, gone",
    "have": "has, had, having",
    "hold": "held",
    "know": "knew, known",
    "lead": "led",
    "leave": "left, leaving",
    "let": "letting",
    "lose": "lost, losing",
    "make": "made, making",
    "put": "putting",
    "shake": "shook, shaken, shaking",
    "see": "saw, seen",
    "send": "sent",
    "show": "showed, shown",
    "sit": "sat, sitting",
    "sleep": "slept",
    "sweep": "swept",
    "take": "took, taken, taking",
    "think": "thought",
    "wear": "wore",
    "win": "won, winning",
}
# Verbs of one syllable that end in a vowel and a consonant double it: "gripped".
_DOUBLING = frozenset(str.split("abhor bug dig drop flop grip nod plod regret slog stun"))


def _forms_of(verb: str) -> list[str]:
    """Return a verb and its inflections."""
    ends_in_y = verb.endswith("y") and verb[-2:-1] not in set("aeou")
    stem = verb + verb[-1] if verb in _DOUBLING else verb[:-1] if verb.endswith("e") else verb
    third = verb[:-1] + "ies" if ends_in_y else verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s")
    if verb in _IRREGULAR:
        others = [form.strip() for form in _IRREGULAR[verb].split(",")]
        regular = [] if verb in ("be", "do", "have") else [third]
        return [verb, *regular, *others, *([] if others[-1].endswith("ing") else [stem + "ing"])]
    past = verb[:-1] + "ied" if ends_in_y else stem + "ed"
    return [verb, third, past, stem + "ing"]


def forms(verbs: str) -> str:
    """Return comma-separated verbs with their inflections; of several words, the first is inflected.

    "give up on" has "gives up on", "gave up on", "giving up on".
    """
    phrases = (phrase.split() for phrase in verbs.split(",") if phrase.strip())
    return ", ".join(" ".join([form, *words]) for verb, *words in phrases for form in dict.fromkeys(_forms_of(verb)))


def _inflected(verbs: str) -> str:
    """Return the inflections of comma-separated verbs, without their infinitives: "impress me" is a request."""
    bases = {" ".join(verb.split()) for verb in verbs.split(",")}
    return ", ".join(form for form in forms(verbs).split(", ") if form not in bases)


def denied(verbs: str, deniers: str) -> str:
    """Return each of comma-separated verbs after each of the words that deny it."""
    return ", ".join(f"{denier.strip()} {verb.strip()}" for denier in deniers.split(",") for verb in verbs.split(","))


# What people do with an item that they like, and the person is the subject: "I treasure Heat".
LIKING_VERBS = forms(
    """
    appreciate, admire, cherish, treasure, worship, relish, savor, savour, revere, idolize, idolise, venerate, applaud,
    salute, fall for, fall in love with, swear by, gush over, gush about, rave about, rave over, swoon over, swoon at,
    live for, vouch for, delight in, lap up, eat up, take pleasure in, go wild for, go crazy for, go mad for, go nuts
    for, vibe with
    """
)
# The same of one that they do not like.
DISLIKING_VERBS = forms(
    """
    hate, dislike, loathe, despise, detest, abhor, resent, regret, suffer through, endure, struggle with, struggle
    through, slog through, plod through, give up on, lose interest in, lose patience with, cringe at, cringe through,
    yawn through, doze through, sleep through, snore through, groan at, groan through, hate on, roll my eyes at, switch
    off, turn off
    """
)
_NOT = """
can't, cannot, can not, couldn't, could not, won't, will not, wouldn't, would not, didn't, did not, don't, do not,
doesn't, does not, never could, could never, can never, can hardly, could hardly, could barely, can barely, hardly could
"""
# What they cannot do, or did not.
_ENDURING = """
stand, bear, stomach, endure, tolerate, abide, stick, suffer, warm to, warm up to, take to, get into, get behind, get on
with, get along with, connect with, relate to, care for, rate, buy into, click with, gel with, vibe with, see the point
of, see the appeal of, make it through, face
"""
NOT_ENDURING = denied(_ENDURING, _NOT)
# What an item does to people who like it, before who they are: "it won me over", "Heat moved us".
PLEASING_VERBS = _inflected(
    """
    please, delight, charm, thrill, move, touch, amuse, captivate, enchant, mesmerize, mesmerise, floor, wow, impress,
    inspire, hook, grip, haunt, shake, dazzle, transport, entertain, fascinate, stun, astonish, astound, amaze, uplift,
    enthrall, hypnotize, hypnotise, electrify, seduce, comfort, soothe, exhilarate, intrigue, engross, absorb,
    overwhelm, bewitch, tickle, gladden
    """
)
DISPLEASING_VERBS = _inflected(
    """
    bore, annoy, irritate, disappoint, frustrate, offend, disgust, exhaust, drain, infuriate, underwhelm, bug, sicken,
    repulse, appall, nauseate, embarrass, enrage, deflate, insult, alienate, torture, torment
    """
)
# What people do with an item before they judge it.
TAKING_VERBS = forms(
    """
    choose, pick, select, rent, borrow, stream, play, screen, put on, buy, order, record, tape, download, go with, go
    for, settle on, opt for, land on, end up with, take out, show, bring, queue up, fire up, catch
    """
)
OWNING_VERBS = "own, owns, owned"
