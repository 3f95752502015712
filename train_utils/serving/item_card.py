"""Items as JSON objects, in the field names of the OpenAI and Google product feeds where the catalog has them."""

import math
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from train_utils.catalog import Item
from train_utils.recommender import Recommendation

# field of a card -> names of attributes that hold it, the first found wins
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "url": ("url", "link"),
    "image_url": ("image_url", "image_link", "image", "cover"),
    "price": ("price",),
    "availability": ("availability",),
    "brand": ("brand",),
}
_LINKS = ("url", "image_url")
_SHOWN = 2000  # characters of a text


def item_path(domain: str, item_id: str) -> str:
    """Return the path under which the server describes an item."""
    return f"/v1/items/{quote(domain, safe='')}/{quote(item_id, safe='')}"


def item_card(item: Item, domain: str) -> dict[str, object]:
    """Return an item as a JSON object: its id, title, domain, and what the catalog says about it.

    Links that are no web addresses are left out: catalogs are data, and a page would follow them.
    """
    card: dict[str, object] = {"item_id": item.id, "title": item.title, "domain": domain}
    for field, names in _FIELDS.items():
        value = next((item.attributes[name] for name in names if item.attributes.get(name) not in (None, "")), None)
        if _is_plain(value) and (field not in _LINKS or _is_link(value)):
            card[field] = value[:_SHOWN] if isinstance(value, str) else value
    card.setdefault("url", item_path(domain, item.id))
    if item.categories:
        card["product_category"] = ", ".join(item.categories)
        card["categories"] = list(item.categories)
    used = {name for names in _FIELDS.values() for name in names}
    attributes = {
        name: value[:_SHOWN] if isinstance(value, str) else value
        for name, value in item.attributes.items()
        if name not in used and _is_plain(value)
    }
    if attributes:
        card["attributes"] = attributes
    if item.description:
        card["description"] = item.description[:_SHOWN]
    return card


def recommended_card(found: Recommendation, item: Item, domain: str) -> dict[str, object]:
    """Return a recommended item as a JSON object, with its rank and its log-probability among the admissible items."""
    return {**item_card(item, domain), "rank": found.rank, "score": round(found.score, 6)}


def _is_plain(value: object) -> bool:
    """Return whether a value is a text, a number that JSON has, or a truth value."""
    return isinstance(value, (str, int)) or isinstance(value, float) and math.isfinite(value)


def _is_link(value: object) -> bool:
    try:
        parts = urlsplit(str(value))
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
