"""What a message states: titles by judgment, categories wanted and rejected, ranges. An annotation states one thing."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from train_utils.conversation.limits.allowances import Allowances, find_allowances
from train_utils.conversation.limits.category_limits import CategoryLimit
from train_utils.conversation.limits.category_words import CategoryWords
from train_utils.conversation.limits.polarity import left_open, rejected
from train_utils.conversation.limits.ranges import Gap, Range
from train_utils.conversation.sentences import Sentence, sentences_of
from train_utils.conversation.titles.judgments import (
    expressed_at,
    is_blamed,
    is_judged,
    is_liked,
    is_of_others,
    is_only_known,
    is_praised_by_denial,
    is_unseen,
    is_watched,
    judgment_before_addition,
    referred,
)
from train_utils.conversation.words.annotations import Annotation, masked
from train_utils.conversation.words.message_words import Unknown
from train_utils.prompts.named_titles import Mention

_NOT_ONLY = re.compile(r"\bnot\s+(?:only|just|necessarily)\s+(?:an?\s+)?$", re.IGNORECASE)
_ONLY_NOT = re.compile(r",? (?:but|though|just|only) (?:not|nothing) (?:too |so |really )?(?:an? )?", re.IGNORECASE)
# "I thought it was the seventies"
_PAST = re.compile(
    r"\b(?:it|that|this|he|she|they|i|we|there)\s+(?:\w+ly\s+|only\s+|just\s+)?(?:(?:was"
    r"|were)(?!\s+born\b(?!\s+in\s+the\b))|came|moved|left|started|did|had|went)\b[^,;:!?]{0,60}$",
    re.I,
)
_ASIDE = re.compile(r"\([^()]*$")
# "nothing older than Alien" says when films are from, not that Alien is bad.
_DATED_BY = re.compile(r"\b(?:older|newer|earlier|later|more\s+recent)\s+than\s+(?:the\s+)?$", re.IGNORECASE)
_NEAR = 40  # characters before an annotation that say what it is


@dataclass(frozen=True)
class AnnotatedMessage:
    """A message, its annotations, and what its words say of them.

    Attributes:
        plain: the message, with its annotations masked.
        found: the annotations, in the order of the text; the next fields have positions in them.
        lifted: those that are taken back.
        negative: those that a negation covers.
        referred: those that a later clause judges -> its judgment.
        opened: those that are left open ("I don't mind horror").
        sentences: the sentences of the message.
    """

    plain: str
    found: Sequence[Annotation]
    lifted: Allowances
    negative: Collection[int]
    referred: Mapping[int, str]
    opened: Collection[int]
    sentences: Sequence[Sentence]

    @classmethod
    def of(cls, text: str, found: Sequence[Annotation], count: Annotation | None) -> "AnnotatedMessage":
        """Return a message with what its words say of its annotations.

        Args:
            text: the message.
            found: its annotations, in the order of the text.
            count: the number of items that it asks for; None for none.
        """
        plain = masked(text, found)
        lifted = find_allowances(plain, found)
        return cls(
            plain=plain,
            found=found,
            lifted=lifted,
            negative=rejected(plain, found) - lifted.all,
            referred=referred(plain, found),
            opened=left_open(plain, found) | lifted.allowed,
            sentences=sentences_of(plain, found, count, lifted.asked(found)),
        )

    @property
    def asks(self) -> bool:
        """Whether the message asks for recommendations."""
        return any(sentence.asks for sentence in self.sentences)

    def sentence_at(self, start: int) -> Sentence:
        """Return the sentence of an annotation that starts at a position."""
        return next(sentence for sentence in self.sentences if start < sentence.end)


@dataclass
class Statements:
    """What the annotations of a message state, in the order of the text.

    Attributes:
        titles: "liked", "disliked" or "known" -> titles, each as the items that share it.
        wanted: categories asked for.
        favorites: categories that the user likes, in sentences that ask for nothing.
        rejections: category -> where it is last rejected.
        limits: category -> number of its items that a list may have.
        ranges: ranges asked for, or taken back.
        excluded: ranges excluded.
        widening: ranges that come on top of earlier ones.
        withdrawn: titles whose judgment is taken back.
        unknown: titles that the catalog does not have.
        about: titles that the message asks about.
    """

    titles: dict[str, list[tuple[int, ...]]] = field(default_factory=lambda: {"liked": [], "disliked": [], "known": []})
    wanted: list[Annotation] = field(default_factory=list)
    favorites: list[Annotation] = field(default_factory=list)
    rejections: dict[str, Annotation] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    ranges: list[Range] = field(default_factory=list)
    excluded: list[Range] = field(default_factory=list)
    widening: list[Range] = field(default_factory=list)
    withdrawn: list[tuple[int, ...]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    about: list[tuple[int, ...]] = field(default_factory=list)


def statements_of(message: AnnotatedMessage) -> Statements:
    """Return what the annotations of a message state."""
    stated = Statements()
    last_kind = ""
    for position, annotation in enumerate(message.found):
        informs = message.sentence_at(annotation.start).informs
        match annotation.value:
            case Mention():
                last_kind = _add_title(stated, message, position, last_kind)
            case Unknown(text=name):
                stated.unknown.append(name)
            case _ if informs:
                continue  # a question about the catalog states nothing else
            case CategoryLimit(category, most):
                stated.limits[category] = most
            case Range() as entry:
                _add_range(stated, message, position, entry)
            case CategoryWords() as words:
                _add_category(stated, message, position, words)
    return stated


def _add_title(stated: Statements, message: AnnotatedMessage, position: int, last_kind: str) -> str:
    """Add what is stated of a title, and return its judgment.

    Args:
        stated: the statements so far.
        message: the message.
        position: of the title among its annotations.
        last_kind: the judgment of the title before it; "" for none. It is returned where this one has none.
    """
    annotation, plain = message.found[position], message.plain
    assert isinstance(annotation.value, Mention)
    items, later = annotation.value.items, message.referred.get(position, "")
    sentence = message.sentence_at(annotation.start)
    if sentence.informs and later != "liked":
        stated.about.append(items)
    elif position in message.lifted.taken_back and not later:
        stated.withdrawn.append(items)
    elif later != "unseen" and not is_unseen(plain, annotation.start):
        kind = _kind_of_title(plain, annotation.start, position in message.negative, later)
        if added := judgment_before_addition(plain, sentence.start, sentence.end):
            kind = kind if kind != "liked" else last_kind or added
        stated.titles[kind].append(items)
        return kind
    return last_kind


def _add_range(stated: Statements, message: AnnotatedMessage, position: int, entry: Range) -> None:
    sentence = message.sentence_at(message.found[position].start)
    if isinstance(entry, Gap):
        bounds = Range(entry.attribute, entry.low, entry.high)
        (stated.ranges if position in message.negative else stated.excluded).append(bounds)
    elif position in message.lifted.taken_back:
        stated.ranges.append(Range(entry.attribute, None, None))
    elif position in message.lifted.widening:
        stated.widening.append(entry)
    elif position in message.negative:
        if entry.low is not None and entry.high is not None:
            stated.excluded.append(entry)  # "nothing from the eighties"
    elif (
        sentence.asks
        or (
            not sentence.names  # and not "I loved the first Batman from 1989"
            and not _PAST.search(message.plain, sentence.start, message.found[position].start)
            # and not "A child of the eighties here. Nothing from the nineties."
            and not any(isinstance(other.value, Range) for other in message.found[position + 1 :])
        )
    ):
        stated.ranges.append(entry)


def _add_category(stated: Statements, message: AnnotatedMessage, position: int, words: CategoryWords) -> None:
    annotation = message.found[position]
    sentence = message.sentence_at(annotation.start)
    if position in message.lifted.taken_back | message.lifted.included:
        return
    if _is_aside(message, position):
        return
    if position in message.negative or message.referred.get(position) == "disliked":
        if words.category not in stated.rejections or not words.of_kind:
            stated.rejections[words.category] = annotation
    elif is_watched(message.plain, annotation.start) or position in message.opened:
        return
    elif sentence.asks and not _NOT_ONLY.search(message.plain, max(0, annotation.start - _NEAR), annotation.start):
        stated.wanted.append(annotation)
    elif sentence.likes:
        stated.favorites.append(annotation)


def _is_aside(message: AnnotatedMessage, position: int) -> bool:
    """Return whether a category is rejected that is also wanted, so that only a kind of it is meant.

    "A drama, but not a war drama", "scary, but not gory", "war films except Vietnam ones",
    "a drama that my wife (who hates dramas) likes".
    """
    text, found, negative = message.plain, message.found, message.negative
    category, at = category_of(found[position]), found[position].start
    if position not in negative:
        return False
    wanted = [
        entry
        for i, entry in enumerate(found[:position])
        if i not in negative and isinstance(entry.value, CategoryWords) and entry.value.category == category
    ]
    gap = text[found[position - 1].end : at] if position else ""
    if wanted and is_of_kind(found[position]):
        return True
    compound = position - 1 in negative and not gap.strip(" -")
    kind_of = bool(_ONLY_NOT.fullmatch(gap)) and found[position - 1] in wanted
    return bool(wanted) and bool(compound or kind_of or _ASIDE.search(text, max(0, at - _NEAR), at))


def _kind_of_title(plain: str, at: int, negative: bool, later: str) -> str:
    """Return "liked", "disliked" or "known" for a title; `later` is what a later clause says of it, "" for nothing."""
    if later in ("liked", "disliked") and is_of_others(plain, at):
        return later
    if later == "known" and not (is_judged(plain, at) if negative else is_liked(plain, at)):
        return "known"
    if is_praised_by_denial(plain, at):
        return "liked"
    if negative and _DATED_BY.search(plain, max(0, at - _NEAR), at):
        return "known"
    expressed = expressed_at(plain, at)
    if later == "liked" and (negative or expressed == "disliked"):
        return "liked"  # "Flubber is so dumb, I love it"
    if negative and is_judged(plain, at) or expressed == "disliked" and later != "liked":
        return "disliked"
    if expressed == "liked" and later in ("", "liked"):
        return "liked"
    if later in ("", "known") and is_only_known(plain, at):
        return "known"
    return "disliked" if negative or later == "disliked" or not later and is_blamed(plain, at) else "liked"


def category_of(annotation: Annotation) -> str:
    """Return the category of an annotation that has one."""
    assert isinstance(annotation.value, CategoryWords)
    return annotation.value.category


def is_of_kind(annotation: Annotation) -> bool:
    """Return whether an annotation names only a kind of a category."""
    return isinstance(annotation.value, CategoryWords) and annotation.value.of_kind
