"""What a message says of the titles that it names: liked, disliked, known, or not seen."""

import re
from collections.abc import Sequence
from functools import lru_cache

from train_utils.conversation.titles import judgment_patterns as patterns
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.blame_phrases import ENDURED
from train_utils.conversation.words.clauses import annotated_clauses, clause_at, clauses
from train_utils.conversation.words.message_words import Unknown
from train_utils.conversation.words.negation import FAR, NOT_BAD, negations
from train_utils.conversation.words.verdict_phrases import LITOTES
from train_utils.conversation.words.verdicts import JOINED, segment_at, verdict
from train_utils.prompts.named_titles import Mention


def referred(plain: str, annotations: Sequence[Annotation]) -> dict[int, str]:
    """Return position -> "liked", "disliked", "known" or "unseen" for titles that a later clause judges by a pronoun.

    In "We watched Babe and the kids adored it", the clause after the title has no annotation of its own.

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    judged: dict[int, str] = {}
    before: list[int] = []
    named: list[int] = []
    for start, end, inside in annotated_clauses(plain, annotations):
        if inside:
            before, start = _last_joined(plain, annotations, inside), annotations[inside[-1]].end
            named += inside
        if not before:
            continue
        if numbered := _numbered(plain, start, end, annotations, named):
            judged |= numbered
            continue
        kind = _judgment(plain, start, end, not inside, "" if inside else verdict(plain, start, end))
        if kind in ("liked", "disliked") and not inside and patterns.OTHERS.match(plain, start, end):
            own = clause_at(plain, annotations[before[-1]].start)
            if not patterns.OTHERS.match(plain, *own) and any(
                _says(said, plain, *own) for said in (patterns.LIKING, patterns.DISLIKING, patterns.BAD)
            ):
                continue  # "I loved Heat, my wife hated it"
        if (
            kind == "disliked"
            and _is_refusal(plain, start, end)
            and is_only_known(plain, annotations[before[-1]].start)
        ):
            kind = "known"
        if kind:
            each = patterns.EACH.search(plain, start, end)
            subjects = before if not each else named[-2:] if each["two"] else named
            judged |= dict.fromkeys(sorted({*before, *subjects}), kind)
    return judged


def _numbered(
    plain: str, start: int, end: int, annotations: Sequence[Annotation], named: Sequence[int]
) -> dict[int, str]:
    """Return position -> judgment of titles that a clause calls by their order: "loved the first, hated the second".

    Args:
        plain: the message, with its annotations masked.
        start: position where the clause begins.
        end: position where it ends.
        annotations: the annotations of the message.
        named: positions of those before the clause.
    """
    titles = [i for i in named if isinstance(annotations[i].value, (Mention, Unknown))]
    judged: dict[int, str] = {}
    if len(titles) < 2:
        return judged
    for part in patterns.PART.finditer(plain, start, end):
        match = patterns.ORDINAL.search(plain, *part.span())
        if not match:
            continue
        at = {"first": 0, "former": 0, "second": 1, "third": 2}.get(match["order"].lower(), -1)
        kind = _opinion(plain, *part.span())
        if kind and at < len(titles):
            judged[titles[at]] = kind
    return judged


def _opinion(plain: str, start: int, end: int) -> str:
    """Return "liked" or "disliked" for what a part of a clause says of an item; "" for nothing."""
    expressed = verdict(plain, start, end)
    if expressed == "disliked" or negations(plain, start, end) or _says(patterns.BAD, plain, start, end):
        return "disliked"
    return "liked" if expressed == "liked" or _says(patterns.LIKING, plain, start, end) else ""


def _last_joined(plain: str, annotations: Sequence[Annotation], inside: Sequence[int]) -> list[int]:
    """Return some positions without those of titles that no enumeration joins to the last: "it" means none of them."""
    titles = [i for i in inside if isinstance(annotations[i].value, (Mention, Unknown))]
    first = len(titles) - 1
    while first > 0 and JOINED.fullmatch(plain, annotations[titles[first - 1]].end, annotations[titles[first]].start):
        first -= 1
    return [i for i in inside if i not in titles[: max(first, 0)]]


def _is_refusal(plain: str, start: int, end: int) -> bool:
    """Return whether a part of a clause refuses titles without blame: "so skip it", "it is banned in this house"."""
    blamed = any(_says(said, plain, start, end) for said in (patterns.DISLIKING, patterns.BAD, patterns.BORED, ENDURED))
    return not blamed and _says(patterns.REFUSED, plain, start, end)


def _judgment(plain: str, start: int, end: int, alone: bool, expressed: str) -> str:
    """Return what a part of a clause says of the titles before it; "" for nothing.

    Args:
        plain: the message, with its annotations masked.
        start: position where the part begins.
        end: position where the clause ends.
        alone: whether the part is a whole clause.
        expressed: what its expressions say.
    """
    if _says(LITOTES, plain, start, end):
        return "liked"
    if alone and (judgment := patterns.JUDGMENT.match(plain, start, end)):
        return "disliked" if judgment["bad"] else "liked"
    if alone and patterns.LIKE_IT.search(plain, start, end) and not negations(plain, start, end):
        return "liked"
    if alone and patterns.DISAGREEING.match(plain, start, end):
        return "disliked"
    if expressed in ("liked", "disliked"):
        return expressed
    if patterns.REACTION.match(plain, start, end):
        if patterns.BORED.search(plain, start, end) or patterns.BAD.search(plain, start, end):
            return "disliked"
        if patterns.MOVED.search(plain, start, end) or patterns.LIKING.search(plain, start, end):
            return "disliked" if negations(plain, start, end) else "liked"
    if patterns.NOT_THOSE.search(plain, start, end) and _says(patterns.KNOWING, plain, *clause_at(plain, start)):
        return "known"
    if patterns.NOT_SEEN.match(plain, start, end):
        return "unseen"
    if alone and patterns.SEEN.match(plain, start, end):
        return "known"
    if not patterns.PRONOUN.search(plain, start, end) or patterns.NO_VERDICT.search(plain, start, end):
        return "known" if alone and expressed and patterns.THAT.search(plain, start, end) else ""
    if negations(plain, start, end) or patterns.BAD.search(plain, start, end) and not NOT_BAD.search(plain, start, end):
        return "disliked"
    if patterns.LIKING.search(plain, start, end):
        return "liked"
    return "known" if alone and (expressed or patterns.KNOWING.search(plain, start, end)) else ""


def judgment_before_addition(plain: str, start: int, end: int) -> str:
    """Return the judgment that the sentence before states, where a sentence only adds titles to it; "" for no addition.

    "Seen that. And Titanic."; it is "liked" where the sentence before states none.

    Args:
        plain: the message, with its annotations masked.
        start: where the sentence begins.
        end: where it ends.
    """
    if not patterns.ADDITION.fullmatch(plain, start, end):
        return ""
    before = max(0, start - FAR)
    if (
        _says(patterns.DISLIKING, plain, before, start)
        or _says(patterns.BAD, plain, before, start)
        or _says(ENDURED, plain, before, start)
    ):
        return "disliked"
    return (
        "known"
        if _says(patterns.KNOWING, plain, before, start) and not _says(patterns.LIKING, plain, before, start)
        else "liked"
    )


def judgment_of_last_message(plain: str, end: int) -> str:
    """Return "liked" or "disliked" where a message first judges what the one before named; "" otherwise.

    Args:
        plain: the message.
        end: position of its first annotation.
    """
    spans = [(first, last) for first, last in clauses(plain) if last <= end]
    if end == len(plain) and patterns.LIKE_IT.search(plain):
        return "liked"
    first = patterns.JUDGMENT.match(plain, *spans[0]) if spans else None
    if first and first["bad"]:
        return "disliked"  # "Dreadful. Never again."
    if end == len(plain) and _says(patterns.THAT, plain, 0, end):
        judged = next((match for span in spans if (match := patterns.JUDGMENT.match(plain, *span))), None)
        if judged:
            return "disliked" if judged["bad"] else "liked"
    judging = next((span for span in spans if patterns.ON_LAST.match(plain, *span)), None)
    kind = _judgment(plain, *judging, False, verdict(plain, *judging)) if judging else ""
    return kind if kind != "known" else ""


def expressed_at(plain: str, at: int) -> str:
    """Return what an expression in the clause around a title says of it: "liked", "disliked", "known", or "".

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return verdict(plain, *clause_at(plain, at), at)


def is_liked(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user likes it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(patterns.LIKING, plain, *clause_at(plain, at))


def is_watched(plain: str, at: int) -> bool:
    """Return whether the clause around a category tells what the user has watched ("I saw two westerns").

    Args:
        plain: the message, with its annotations masked.
        at: position of the category.
    """
    return bool(patterns.WATCHED.match(plain, *clause_at(plain, at)))


def is_of_others(plain: str, at: int) -> bool:
    """Return whether the clause around a title says what other people think of it ("everyone hated Heat").

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return bool(patterns.OTHERS.match(plain, *clause_at(plain, at)))


def is_praised_by_denial(plain: str, at: int) -> bool:
    """Return whether the words around a title praise it by denying something: "nothing beats it".

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(LITOTES, plain, *segment_at(plain, at))


def is_judged(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user does not like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(patterns.DISLIKING, plain, *clause_at(plain, at)) or _says(patterns.BAD, plain, *clause_at(plain, at))


def is_blamed(plain: str, at: int) -> bool:
    """Return whether the words around a title, up to the next titles of its clause, have blame in them and no praise.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    start, end = segment_at(plain, at)
    if not _says(patterns.BAD, plain, start, end) and not _says(patterns.DISLIKING, plain, start, end):
        return False
    return not (
        _says(patterns.LIKING, plain, start, end)
        or _says(patterns.LIKENING, plain, start, end)
        or negations(plain, start, end)
    )


def is_only_known(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user knows it, and not that they like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    clause = clause_at(plain, at)
    if patterns.WANTS_UNSEEN.search(plain, max(0, at - FAR), at):
        return True
    if verdict(plain, *clause, at) == "known" and not _says(patterns.LIKING, plain, *clause):
        return True
    return (
        _says(patterns.OBLIGED, plain, *clause)
        or _says(patterns.KNOWING, plain, *clause)
        and not _says(patterns.LIKING, plain, *clause)
    )


def is_unseen(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user has not seen it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    start, _ = clause_at(plain, at)
    return bool(patterns.UNSEEN.search(plain, max(start, at - FAR), at))


@lru_cache(maxsize=64)  # a clause may have a thousand titles, and each asks the same
def _says(pattern: re.Pattern[str], plain: str, start: int, end: int) -> bool:
    return bool(pattern.search(plain, start, end))
