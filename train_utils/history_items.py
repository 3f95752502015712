"""Entries of a history, as ids or titles that people write, as items of the catalog."""

from collections.abc import Sequence

from rapidfuzz import fuzz, process

from train_utils.catalog import Catalog
from train_utils.characters import shown
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.title_forms import unnumbered

_COMPARED = 200  # characters of an unknown title that are compared, in a time that grows with their square
_NEAR = 50  # unknown titles are compared with that many of the most like
_SIMILAR = 70  # of 100, from which on a title is offered for one that is unknown


def only_ids(history: Sequence[str], catalog: Catalog) -> bool:
    """Return whether a history is one of ids: each entry is an id, and at least one is no title."""
    return all(isinstance(entry, str) and entry in catalog.index for entry in history) and any(
        entry not in catalog.title_index for entry in history
    )


def item_of_entry(entry: str, catalog: Catalog) -> int | None:
    """Return the index of the item whose id or title an entry of a history is; None where it is neither.

    Raises:
        ValueError: the entry is no text, or the id of one item and the title of another.
    """
    if not isinstance(entry, str):
        remedy = f"ids are texts, write {str(entry)!r}" if str(entry) in catalog.index else "give an id or a title"
        raise ValueError(f"the history holds {entry!r}, wanted a text; {remedy}")
    by_id, by_title = catalog.index.get(entry), catalog.title_index.get(entry)
    if by_id is not None and by_title is not None and catalog.items[by_id].title != entry:
        raise ValueError(
            f"{entry!r} is the id of {catalog.items[by_id].title!r} and the title of item "
            f"{catalog.items[by_title].id!r}; give the title of the one or the id of the other"
        )
    return by_title if by_id is None else by_id


def item_of_written_title(entry: str, catalog: Catalog, named_titles: NamedTitles) -> int:
    """Return the index of the item whose title an entry writes in another way.

    Args:
        entry: a title in any case, "The Lion King" for "Lion King, The", without its year.
        catalog: the items.
        named_titles: search of the catalog's titles.

    Raises:
        ValueError: the entry is no title of the catalog, or may be several different ones.
    """
    alike = named_titles.with_title(entry[:_COMPARED])
    if len(alike) == 1:
        return alike[0]
    shared = {unnumbered(catalog.items[item].title) for item in alike}
    if len(shared) == 1:  # "Cape Fear" and "Cape Fear (1)": the one without a number, as for the title itself
        return catalog.title_index.get(shared.pop(), alike[0])
    if alike:
        titles = ", ".join(repr(catalog.items[item].title) for item in alike[:5])
        raise ValueError(f"{shown(entry)} may be {titles}; give the whole title or the id")
    hint = f"; did you mean {title!r}?" if (title := _title_like(entry[:_COMPARED], catalog)) else ""
    raise ValueError(f"{shown(entry)} is no item id or title of the catalog {catalog.name!r}{hint}")


def _title_like(text: str, catalog: Catalog) -> str:
    """Return the title that is most like a text; "" where none is.

    Parts of titles count. Of titles that are equally like it, the nearest as a whole is taken, "Godfather, The" for
    "Godfather" and no sequel; a title that is a few letters of the text is not.
    """
    near = process.extract(text, list(catalog.listed_titles), score_cutoff=_SIMILAR, limit=_NEAR)
    of_its_length = ((title, likeness) for title, likeness, _ in near if 2 * len(title) >= len(text))
    return max(of_its_length, key=lambda found: (found[1], fuzz.ratio(text, found[0])), default=("", 0))[0]
