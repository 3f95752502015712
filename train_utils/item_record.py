"""Items as JSON records, in the field names of the OpenAI and Google product feeds, and back."""

import json
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from train_utils.catalog import Item
from train_utils.characters import has_text, shown, whole_characters
from train_utils.dataset_folder import MAX_ID
from train_utils.feed_fields import PRICES, names_of_list, names_of_text, price_of

# Enough for every feed; an item's text is held in memory for as long as it is served.
MAX_TITLE = 500  # characters; feeds have up to 150, and the context of the model must hold the longest title
MAX_DESCRIPTION = 100_000  # characters
MAX_CATEGORIES = 1_000
MAX_FIELDS = 200  # attributes of an item
MAX_VALUE = 10_000  # characters of an attribute
MAX_VALUES = 1_000  # elements of an attribute that is a list

_ID = ("item_id", "id")
_TITLE = ("title_t", "title")
_CATEGORIES = ("categories", "category", "product_category", "product_type", "google_product_category")
_CURRENCY = "currency"
_JOINERS = "\u200c\u200d"  # of scripts and emoji; other characters without a form are taken out of titles

Plain = str | int | float | bool


def item_of(record: object) -> Item:
    """Return the item of a record.

    The id is `item_id` or `id`, the title `title_t` or `title`. Categories are the list `categories`, or another field
    of them: a text with semicolons, bars, ">" or commas between them, or a list whose texts may have levels with ">"
    between them. Attributes are the object `attributes` and every other field. A price such as "79.99 USD" or
    {"amount": 79.99, "currency": "USD"} becomes a number, and the attribute `currency`. Null and empty fields are left
    out.

    Raises:
        ValueError: a field is missing, of another type, or too long; the text names the item and the field.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"an item is {_shown(record)}, wanted an object with item_id and title")
    fields = {str(name): value for name, value in record.items() if value not in (None, "")}
    raw_id = _taken(fields, _ID)
    item_id = str(raw_id) if isinstance(raw_id, (str, int)) and not isinstance(raw_id, bool) else ""
    if not item_id.strip() or len(item_id) > MAX_ID or not item_id.isprintable():
        raise ValueError(
            f"item_id is {_shown(raw_id)}, wanted a text of at most {MAX_ID} printable characters; correct the item"
        )
    try:
        return _item(whole_characters(item_id), fields)
    except ValueError as error:
        raise ValueError(f"item {_shown(item_id)}: {error}") from None


def record_of(item: Item) -> dict[str, object]:
    """Return the record of an item; `item_of` returns the item again."""
    record: dict[str, object] = {"item_id": item.id, "title": item.title}
    if item.categories:
        record["categories"] = list(item.categories)
    if item.description:
        record["description"] = item.description
    if item.attributes:
        record["attributes"] = dict(item.attributes)
    return record


def _item(item_id: str, fields: dict[str, object]) -> Item:
    title = _one_line(_text("title", _taken(fields, _TITLE), MAX_TITLE))
    if not has_text(title):
        raise ValueError(f"title is {_shown(title)}, wanted a text with visible characters")
    named_categories = [(name, fields.pop(name)) for name in _CATEGORIES if name in fields]
    # Not the first field alone: it may hold a number of a taxonomy, and the next one names.
    listed = (_categories(value, isinstance(value, list) and name == "categories") for name, value in named_categories)
    categories = next(filter(None, listed), ())
    description = _text("description", fields.pop("description", ""), MAX_DESCRIPTION)
    nested = fields.pop("attributes", {})
    if not isinstance(nested, Mapping):
        raise ValueError(f"attributes is {_shown(nested)}, wanted an object: name -> text, number, true or false")
    named = {**fields, **{str(name): value for name, value in nested.items() if value is not None}}
    if len(named) > MAX_FIELDS:
        raise ValueError(f"it has {len(named)} attributes, wanted {MAX_FIELDS} or fewer; leave some out")
    for name in PRICES:
        if isinstance(named.get(name), bool):
            raise ValueError(f"{name} is {_shown(named[name])}, wanted a number, or a text such as '79.99 USD'")
    prices = {name: price for name in PRICES if (price := price_of(named.get(name))) is not None}
    named.update((name, number) for name, (number, _) in prices.items())
    attributes: dict[str, object] = {name: _value(name, value) for name, value in named.items()}
    if currency := next((currency for _, currency in prices.values() if currency), ""):
        attributes.setdefault(_CURRENCY, currency)
    return Item(item_id, title, categories, description, MappingProxyType(attributes))


def _taken(fields: dict[str, object], names: tuple[str, ...]) -> object:
    """Return the field of the first name that is there; all of them are taken out."""
    values = [fields.pop(name) for name in names if name in fields]
    return values[0] if values else ""


def _one_line(text: str) -> str:
    """Return a text with single spaces and without control characters."""
    text = " ".join(text.split())
    kept = (c for c in text if unicodedata.category(c) not in ("Cc", "Cf") or c in _JOINERS)
    return " ".join("".join(kept).split())


def _categories(value: object, are_names: bool) -> tuple[str, ...]:
    """Return the categories of a field; in a list of names, as `record_of` writes it, ">" is part of a name."""
    if isinstance(value, int) or isinstance(value, str) and value.isdigit():
        return ()  # a number of Google's taxonomy, which no one would type
    listed: object = names_of_text(value) if isinstance(value, str) else value
    if isinstance(value, list) and not are_names:
        listed = names_of_list(value)
    if not isinstance(listed, list) or len(listed) > MAX_CATEGORIES:
        raise ValueError(f"categories is {_shown(value)}, wanted a text, or a list of at most {MAX_CATEGORIES} texts")
    names = [_text("a category", name, MAX_ID).strip() for name in listed]
    return tuple(dict.fromkeys(name for name in names if name))


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is {_shown(value)}, wanted a text of at most {most} characters")
    return whole_characters(value)


def _value(name: str, value: object) -> object:
    if len(name) > MAX_ID or not name.isprintable():
        raise ValueError(f"an attribute is named {_shown(name)}, wanted at most {MAX_ID} printable characters")
    if isinstance(value, list) and len(value) <= MAX_VALUES:
        return [_plain(name, element) for element in value]
    return _plain(name, value)


def _plain(name: str, value: object) -> Plain:
    if isinstance(value, str) and len(value) <= MAX_VALUE:
        return whole_characters(value)
    if isinstance(value, (bool, int, float)) and abs(value) < 1e18:  # NaN and infinity are no numbers to compare
        return value
    raise ValueError(
        f"{name[:80]} is {_shown(value)}, wanted a text of at most {MAX_VALUE} characters, a finite number, "
        f"true, false, or a list of at most {MAX_VALUES} of them"
    )


def _shown(value: object) -> str:
    """Return a value on one line of at most 80 characters."""
    text = shown(value)
    return text if len(text) <= 80 else text[:77] + "..."


def canonical(record: Mapping[str, object]) -> str:
    """Return a record as JSON text, the same for equal records; what is no JSON is written as Python writes it."""
    return json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=repr)
