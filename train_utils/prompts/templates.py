"""Prompt wordings as frozen records, and the function that fills them. No branching on tasks here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train_utils.prompts.messages import ControlPart, ItemPart, Part, TitlePart

SYSTEM = "You are an expert recommender and a helpful assistant."
# Before a message that the model reads, and does not answer.
READING = "Note what this message asks of the catalog, in one line.\n"


@dataclass(frozen=True, slots=True)
class Template:
    """Wording of a request.

    Slots are `{history}`, `{candidates}`, `{title}` and `{item}` (whose parts bring their own space), `{k}`,
    `{category}`, `{soi}` and `{eoi}`. The history precedes the candidates.

    Attributes:
        text: the user's words.
        names_symbols: whether the wording names the control symbols.
    """

    text: str
    names_symbols: bool = False


# Wordings of training and of testing differ on purpose: a test must not reward a memorized sentence.
SEQREC = (
    Template("I have enjoyed these, oldest first:{history}\nWhat {k} titles should come next?"),
    Template("My history so far:{history}\nRecommend {k} more."),
    Template("I liked{history}. Can you suggest {k} others?"),
    Template("Hi! Lately it was{history} for me. Please name {k} that fit."),
    Template("Recently, in order:{history}\nList {k} I may like, each between {soi} and {eoi}.", True),
    Template("After{history} I want {k} new suggestions, every title inside {soi} and {eoi}.", True),
)
SEQREC_TEST = (
    Template("These are what I chose lately, in order:{history}\nPlease recommend {k} titles."),
    Template(
        "These are what I chose lately, in order:{history}\nPlease recommend {k} titles, each in {soi} and {eoi}.",
        True,
    ),
)
COLD_START = (
    Template("Please recommend {k} titles."),
    Template("Please recommend {k} titles, each in {soi} and {eoi}.", True),
)
RANKING = (
    Template("My history:{history}\nPick {k} for me from these:{candidates}"),
    Template("I liked{history}. Choose {k} out of this list, best first:{candidates}"),
    Template("Someone had{history}, oldest first. Which {k} of the following would suit them?{candidates}"),
    Template("After{history} select {k} of these, each between {soi} and {eoi}:{candidates}", True),
    Template("I had{history}.\nTake {k} from the list and put every title inside {soi} and {eoi}.{candidates}", True),
)
ONLY_CATEGORY = (
    Template("Lately I had{history}. Recommend {k}, only {category}."),
    Template("My history:{history}\nI want {k} of the category {category} and nothing else."),
    Template("I enjoyed{history}. What about {category}? Name {k}."),
    Template("After{history} I want {k} of {category} only, each between {soi} and {eoi}.", True),
)
WITHOUT_CATEGORY = (
    Template("My history:{history}\nGive me {k}, but no {category}."),
    Template("I liked{history}. Suggest {k} that are not {category}, please."),
    Template("Lately it was{history}. I am tired of {category}: name {k} without it."),
    Template("After{history} I want {k}, none of {category}, each between {soi} and {eoi}.", True),
)
ITEM_COUNT = (
    Template("Based on{history} I would like exactly {k} suggestions."),
    Template("I had{history}. Make it {k} recommendations, no more and no fewer."),
    Template("Here is what I chose:{history}\nThe list that I need has {k} entries."),
    Template("After{history} write {k} titles, not one more, each between {soi} and {eoi}.", True),
)
RANKING_TEST = (
    Template("These are what I chose lately, in order:{history}\nPlease recommend {k} of the following:{candidates}"),
    Template(
        "These are what I chose lately, in order:{history}\n"
        "Please recommend {k} of the following, each in {soi} and {eoi}:{candidates}",
        True,
    ),
)
ONLY_CATEGORY_TEST = (
    Template("These are what I chose lately, in order:{history}\nPlease recommend {k} titles, all of them {category}."),
    Template(
        "These are what I chose lately, in order:{history}\n"
        "Please recommend {k} titles, all of them {category}, each in {soi} and {eoi}.",
        True,
    ),
)
WITHOUT_CATEGORY_TEST = (
    Template(
        "These are what I chose lately, in order:{history}\nPlease recommend {k} titles, anything but {category}."
    ),
    Template(
        "These are what I chose lately, in order:{history}\n"
        "Please recommend {k} titles, anything but {category}, each in {soi} and {eoi}.",
        True,
    ),
)
# Alignment: from a title to its item, and from an item to its title or its categories.
ITEM_OF_TITLE = (
    Template("Which item of the catalog is{title}?"),
    Template("Find{title} for me."),
)
TITLE_OF_ITEM = (
    Template("What is the title of{item}?"),
    Template("Tell me the name of{item}."),
)
CATEGORIES_OF_ITEM = (
    Template("Which categories does{item} belong to?"),
    Template("What kind of title is{item}?"),
)
# Names one title and asks for it, for the analysis of RecLM-ret's embeddings.
NAME_ITEM = Template("I am looking for{history}. Please recommend it.")

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SLOT = re.compile(r"\{(\w+)\}")


def fill(template: Template, **values: str | int | Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts of a wording with its slots filled.

    Raises:
        ValueError: a slot has no value.
    """
    parts: list[Part] = []
    for i, piece in enumerate(_SLOT.split(template.text)):
        if i % 2 == 0:
            parts.append(piece)
        elif piece in ("soi", "eoi"):
            parts.append(ControlPart(piece))
        elif piece not in values:
            raise ValueError(f"the wording {template.text!r} needs a value for {piece!r}, got {sorted(values)}")
        elif isinstance(value := values[piece], (str, int)):
            parts.append(str(value))
        else:
            parts += value
    return tuple(part for part in parts if part != "")


def in_words(number: int) -> str:
    """Return the English word of a number up to twelve, or the digits of a larger one."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def candidate_parts(items: Sequence[int], marked: bool) -> list[Part]:
    """Return the parts that list candidates, one per line, written as by `history_parts`."""
    parts: list[Part] = []
    for item in items:
        parts += ["\n-", ItemPart(item) if marked else TitlePart(item)]
    return parts


def history_parts(items: Sequence[int], marked: bool) -> list[Part]:
    """Return the parts of a history.

    Args:
        items: item indices, oldest first.
        marked: whether the items are written between control tokens, as in an answer, or as plain titles joined by
            arrows.
    """
    if marked:
        return [ItemPart(item) for item in items]
    parts: list[Part] = []
    for position, item in enumerate(items):
        parts += [" ->"] * (position > 0) + [TitlePart(item)]
    return parts
