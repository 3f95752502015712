"""Corrections of the preferences by command: "/without Horror", "/where year>=1990"."""

import re
from collections.abc import Collection

from rapidfuzz import process

from train_utils.catalog import Catalog
from train_utils.conversation.limits.ranges import Range, compared
from train_utils.conversation.preferences import Change
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.plain_text import plain_text

CORRECTIONS = ("only", "without", "like", "dislike", "seen", "where")
_SIMILAR = 60  # of 100, from which on a name is offered for one that is unknown
_WHERE = re.compile(r"\s*([^\W\d][\w ]*?)\s*(>=|<=|==|=|<|>)\s*(-?\d+(?:\.\d+)?)\s*")


def correction(name: str, argument: str, catalog: Catalog, titles: NamedTitles) -> Change:
    """Return the change that a command makes.

    Args:
        name: one of `CORRECTIONS`.
        argument: what follows the command's name.
        catalog: the catalog.
        titles: finder of its titles.

    Raises:
        ValueError: the argument names no category, title or range of the catalog.
    """
    if name == "where":
        return Change(ranges=(_range(argument, catalog),))
    if name in ("only", "without"):
        names = tuple(_known(part, catalog.categories, "category") for part in _parts(argument))
        if name == "only":
            return Change(only=names, any_category=not names)
        if not names:
            raise ValueError("/without needs a category, such as /without " + next(iter(catalog.categories), "NAME"))
        return Change(without=names)
    named = titles_of(name, argument, catalog, titles)
    if name == "seen":
        return Change(known=named)
    return Change(liked=named) if name == "like" else Change(disliked=named)


def titles_of(name: str, argument: str, catalog: Catalog, titles: NamedTitles) -> tuple[tuple[int, ...], ...]:
    """Return the titles that a command names, each as the items that share it.

    Args:
        name: the command.
        argument: titles with commas between; a title may have commas of its own.
        catalog: the catalog.
        titles: finder of its titles.

    Raises:
        ValueError: no title, or one that the catalog lacks.
    """
    plain = plain_text(argument)
    mentions = titles.locate(plain)
    between = zip([0, *(m.end for m in mentions)], [*(m.start for m in mentions), len(plain)], strict=True)
    if mentions and all(not plain[start:end].strip(" ,;") for start, end in between):
        return tuple(mention.items for mention in mentions)
    named = tuple(_title(part, catalog, titles) for part in _parts(argument))
    if not named:
        raise ValueError(f"/{name} needs a title, such as /{name} {catalog.items[0].title}")
    return named


def _parts(argument: str) -> list[str]:
    return [part.strip() for part in argument.split(",") if part.strip()]


def _known(text: str, names: Collection[str], kind: str) -> str:
    """Return the name that a text writes in any case."""
    for name in names:
        if name.lower() == text.lower():
            return name
    near = process.extractOne(text, list(names), score_cutoff=_SIMILAR, processor=str.lower)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(list(names)[:20])}"
    raise ValueError(f"{text[:80]!r} is no {kind} of the catalog; {hint}")


def _title(text: str, catalog: Catalog, titles: NamedTitles) -> tuple[int, ...]:
    plain = plain_text(text)
    for mention in titles.locate(plain):
        if (mention.start, mention.end) == (0, len(plain)):
            return mention.items
    return (catalog.titles.index(_known(text, catalog.titles, "title")),)


def _range(argument: str, catalog: Catalog) -> Range:
    match = _WHERE.fullmatch(argument)
    bounds = catalog.numeric_attributes
    if not match:
        known = ", ".join(bounds) or "none in this catalog"
        raise ValueError(f"/where is {argument[:80]!r}, wanted ATTRIBUTE>=NUMBER, <=, >, < or =; attributes: {known}")
    attribute = _known(match[1], bounds, "attribute with numbers")
    whole = all(isinstance(bound, int) for bound in bounds[attribute])
    return compared(attribute, match[2], float(match[3]), whole)
