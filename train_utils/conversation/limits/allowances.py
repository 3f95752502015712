"""What a message takes back: "horror is fine now", "scratch the no-comedy rule", "bring back the westerns"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train_utils.conversation.limits.category_words import CategoryWords
from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.words.annotations import GAP, SPAN, Annotation
from train_utils.conversation.words.lexicon import ALLOWING, INCLUDING, NOUNS, RULE, SAID, TAKING_BACK, any_of
from train_utils.prompts.named_titles import Mention

_STUFF = rf"(?:\s+(?:{any_of(NOUNS)}|stuff|content))?"
_FINE = any_of(
    """
    fine, ok, okay, o.k., alright, all right, acceptable, welcome, allowed, fair game, no problem, not a problem, no
    longer a problem, not an issue, works, would work, also good, good too, good as well
    """
)
_NOW = any_of(
    """
    now, too, again, after all, as well, also, this time, tonight, today, by me, with me, for me, by us, with us, for
    us, then, though, actually, i guess, i suppose, from now on, anyway, either
    """
)
# "horror is fine now", "westerns and war films would be ok too"
_FINE_AFTER = re.compile(
    rf"{_STUFF}(?:\s*(?:,|/|&|\band\b|\bor\b)\s*(?:the\s+)?{SPAN}{_STUFF})*(?:\s*,?\s*(?:that|those|they|it))?"
    rf"\s*(?:'s|'re|\s*\b(?:is|are|was|were|would\s+be|will\s+be|may\s+be|can\s+be|might\s+be))?"
    rf"(?:\s+(?:also|all|totally|perfectly|now|actually|quite|absolutely|just|again|of\s+course)){{0,3}}"
    rf"\s+{_FINE}(?:\s+{_NOW})*{GAP}(?:$|(?<=\W)|\b(?:and|but|if)\b)",
    re.IGNORECASE,
)
_IS = re.compile(r"(?:\b(?:is|are|was|be)|'s)\s+$", re.IGNORECASE)
_BACK_IN = any_of("back in, in again, back on the table, can come back, may come back, back, in")
_BACK = re.compile(rf"{_STUFF}\s+(?:(?:is|are)\s+)?{_BACK_IN}\s*(?:(?:please|now|again)\b)?{GAP}$", re.IGNORECASE)
_KEEP = re.compile(r"\b(?:leave|keep|put|let|have)\s+(?:the\s+|some\s+)?$", re.IGNORECASE)
# "a comedy would be fine" wishes for one.
_ONE = re.compile(r"\b(?:an?|some|any|one|good|nice|which|what|other|\d+)\s+$", re.IGNORECASE)
_THE = r"(?:(?:the|my|that|this|any|all|some|more|about|of|on|for|with)\s+)*"
_DENIED = r"(?:(?<!n't\s)(?<!dont\s)(?<!not\s)(?<!never\s))"
_BEFORE = re.compile(
    rf"(?:(?P<allowing>\b{any_of(ALLOWING)})|(?P<including>\b{_DENIED}{any_of(INCLUDING)}))\s+{_THE}$", re.I
)
_AGAIN = re.compile(
    rf"\b(?:can|could|may|might)\s+(?:\w+\s+)?(?:show|list|recommend|suggest|give|have|include|offer)\s+(?:me\s+"
    rf"|us\s+)?{_THE}$",
    re.IGNORECASE,
)
_AGAIN_AFTER = re.compile(rf"{_STUFF}\s+(?:again|after\s+all|now)\b", re.IGNORECASE)
_AGAINST = rf"(?:no|no\s+more|non|anti|not|without|{RULE}\s+(?:on|about|against|with|for|of|to))"
_TAKING_BACK = rf"\b{any_of(TAKING_BACK)}"
_TAKEN_BACK = re.compile(
    rf"{_TAKING_BACK}\s+(?:{SAID}\s+{_THE}|{_THE}[\"']?{_AGAINST}[\s-]+{_THE}|(?P<rule>{_THE}))$"
    rf"|\bchanged?\s+my\s+mind\s+(?:about|on)\s+{_THE}$"
    rf"|\btake\s+(?:it|that)(?:\s+all)?\s+back\s+(?:about|on|with)\s+{_THE}$",
    re.IGNORECASE,
)
_RULE_AFTER = re.compile(rf"(?:{_STUFF}|[\s-]+only)[\"']?\s*-?{RULE}\b", re.IGNORECASE)
# "the ban on westerns is lifted"
_RULE_BEFORE = re.compile(rf"\b{RULE}\s+(?:on|about|against|for)\s+(?:the\s+)?$", re.IGNORECASE)
_GONE = re.compile(
    rf"{_STUFF}\s+{any_of('can go, is lifted, is off, is gone, is over, no longer, does not, does no longer')}\b", re.I
)
# "everything except horror is fine"
_EXCEPT = re.compile(
    rf"\b{any_of('except, excepting, excluding, besides, apart from, other than, but, without')}\b", re.I
)
_TAKE, _TAKEN = re.compile(r"\btake\s+$", re.IGNORECASE), re.compile(r"\s+back\b", re.IGNORECASE)
_TAKEN_OFF = re.compile(rf"{_STUFF}\s+(?:off|out|away)\s+(?:(?:the\s+list|of\s+it)\s+)?again\b", re.IGNORECASE)
_TAKE_OFF = re.compile(r"\b(?:take|leave|cross|strike|cut)\s+(?:the\s+|that\s+)?$", re.IGNORECASE)
_NEEDED = re.compile(
    r"\b(?:needn't|need\s+not|(?:doesn't|does\s+not|don't|do\s+not)\s+(?:have|need)\s+to|no\s+longer\s+has\s+to)\s+"
    r"(?:really\s+)?be\s+(?:an?\s+|from\s+|about\s+)?$|\bno\s+need\s+for\s+(?:an?\s+|it\s+to\s+be\s+(?:an?\s+)?)?$",
    re.IGNORECASE,
)
_JOINED = re.compile(rf"{GAP}(?:(?:and|or|the)\b{GAP})*", re.IGNORECASE)
_WIDENING = re.compile(r"\b(?:too|also|as\s+well)\b", re.IGNORECASE)
# "80s too", "and the forties as well"
_ADDED = re.compile(rf"\s+(?:too|as\s+well|also){GAP}(?:(?:please|pls|then|if\s+possible)\b{GAP})*$", re.IGNORECASE)
_REACH = 60  # characters around an annotation that say what becomes of it
_SENTENCE = re.compile(r"[.!?;\n]|(?<!thing )\bbut\b")


@dataclass(frozen=True)
class Allowances:
    """Positions of annotations that a message lifts or adds to what was asked for.

    Attributes:
        allowed: those that may be listed again, though nobody asks for them ("horror is fine now").
        included: those that may be listed again, and are asked for where they were not excluded ("include war",
            "westerns are fine too").
        taken_back: those of which nothing that was said holds any longer ("I take back what I said about war").
        widening: ranges that come on top of the one before ("the 80s are fine too").
    """

    allowed: frozenset[int] = frozenset()
    included: frozenset[int] = frozenset()
    taken_back: frozenset[int] = frozenset()
    widening: frozenset[int] = frozenset()

    @property
    def all(self) -> frozenset[int]:
        """All positions."""
        return self.allowed | self.included | self.taken_back | self.widening

    def asked(self, annotations: Sequence[Annotation]) -> list[int]:
        """Return where a message lifts something other than the judgment of a title, which asks for a new list."""
        return [annotations[i].start for i in sorted(self.all) if not isinstance(annotations[i].value, Mention)]


def find_allowances(plain: str, annotations: Sequence[Annotation]) -> Allowances:
    """Return what a message lifts.

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    kinds: dict[str, set[int]] = {"allowed": set(), "included": set(), "taken_back": set(), "widening": set()}
    end, kind = 0, ""
    for position, annotation in enumerate(annotations):
        joined = position and kind and _JOINED.fullmatch(plain, end, annotation.start)
        kind = _kind(plain, annotation) or (kind if joined else "")
        end = annotation.end
        if not kind and isinstance(annotation.value, Range) and _ADDED.match(_around(plain, annotation)[1]):
            kinds["widening"].add(position)
        if kind:
            kinds[kind].add(position)
            before, after = _around(plain, annotation)
            if kind == "allowed" and (_WIDENING.search(before) or _WIDENING.search(after)):
                kinds["widening"].add(position)
    return Allowances(**{name: frozenset(positions) for name, positions in kinds.items()})


def _kind(plain: str, annotation: Annotation) -> str:
    """Return "allowed", "included" or "taken_back" for an annotation that the message lifts; "" for others."""
    before, after = _around(plain, annotation)
    category = isinstance(annotation.value, CategoryWords)
    if (match := _TAKEN_BACK.search(before)) and (match["rule"] is None or _RULE_AFTER.match(after)):
        return "taken_back"
    if isinstance(annotation.value, Mention):
        return "taken_back" if _TAKE.search(before) and _TAKEN.match(after) else ""
    if _TAKE_OFF.search(before) and _TAKEN_OFF.match(after):
        return "taken_back"
    if _NEEDED.search(before) or _RULE_BEFORE.search(before) and _GONE.match(after):
        return "taken_back"
    if _BACK.match(after) and (_KEEP.search(before) or "back" in after or "again" in after):
        return "included"
    if _AGAIN.search(before) and _AGAIN_AFTER.match(after):
        return "included"
    if _FINE_AFTER.match(after) and not (_ONE.search(before) or _EXCEPT.search(before)):
        return "included" if category and _WIDENING.search(after) else "allowed"
    if match := _BEFORE.search(before):
        return "allowed" if match["allowing"] else "included"
    return ""


def is_idiom(plain: str, title: Annotation) -> bool:
    """Return whether a title in lower case is a usual expression for "allowed" ("the rest is fair game")."""
    words = plain[title.start : title.end]
    before = max(0, title.start - _REACH)
    return words.islower() and bool(re.fullmatch(_FINE, words) and _IS.search(plain, before, title.start))


def _around(plain: str, annotation: Annotation) -> tuple[str, str]:
    """Return the text of the sentence before an annotation, and after it."""
    before = _SENTENCE.split(plain[max(0, annotation.start - _REACH) : annotation.start])[-1]
    after = _SENTENCE.split(plain[annotation.end : annotation.end + _REACH])[0]
    return before, after
