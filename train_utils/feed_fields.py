"""Fields whose form depends on the shop and the file: categories and prices of product feeds. Standard library only."""

import re
from collections.abc import Iterable, Mapping
from itertools import chain

from train_utils.characters import without_entities

PRICES = ("price", "sale_price")  # fields that are prices
_MOST = 60  # characters of a price
# Thousands are separated by commas, spaces or apostrophes and decimals by a point, or by points and a comma. A single
# point separates decimals, as Google and OpenAI want it, and a comma before three digits thousands.
_THOUSANDS = r"[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}|\d{1,3}(?:[ '\u2019\u00a0\u202f]\d{3})+"
_POINT = re.compile(rf"(\d{{1,15}}|{_THOUSANDS})(\.\d{{1,6}})?")
_COMMA = re.compile(r"(\d{1,15}|\d{1,3}(?:[. '\u2019\u00a0\u202f]\d{3})+),(\d{1,2})|(\d{1,3}(?:\.\d{3}){2,})")
_CURRENCY = r"[A-Za-z]{3}|(?:US|CA?|AU?|NZ|HK|S)?\$|[€£₹₩¥]"
_PRICE = re.compile(rf"({_CURRENCY})?\s*(\d(?:.*\d)?)\s*({_CURRENCY})?")
_CODES = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD",
    "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "$": "", "¥": "",
}  # fmt: skip
_AMOUNTS = ("amount", "value", "price")  # names in objects of shops, and of schema.org
_MICROS = ("amount_micros", "amountMicros")
_CURRENCIES = ("currency", "currency_code", "currencyCode", "priceCurrency")


def names_of_text(text: str) -> list[str]:
    """Return the categories of a text with semicolons, bars, ">" or commas between them.

    Names of a taxonomy have commas in them: "Food, Beverages & Tobacco > Food Items". HTML entities are read first,
    since they end with semicolons.
    """
    text = without_entities(text)
    return _stripped(re.split("[;|>]" if ">" in text else "[;|,]", text))


def names_of_list(values: Iterable[object]) -> list[object]:
    """Return the categories of a list: the levels of "Apparel > Shoes" are two of them.

    Objects with a `name`, as shops export them, count as their name; other values stay as they are.
    """
    named = (value.get("name", value) if isinstance(value, Mapping) else value for value in values)
    return list(chain.from_iterable(levels(value) if isinstance(value, str) else [value] for value in named))


def levels(name: str) -> list[str]:
    """Return the levels of a category such as "Apparel > Shoes"."""
    return _stripped(without_entities(name).split(">")) if ">" in name or "&" in name else [name]


def _stripped(names: Iterable[str]) -> list[str]:
    return [stripped for name in names if (stripped := name.strip())]


def price_of(value: object) -> tuple[float, str] | None:
    """Return the number and the currency, "" for none, of a price; None for what is no price.

    Args:
        value: a text such as "79.99 USD", "$1,299.00" or "1.299,00 €", or an object with an amount and a currency.
    """
    if isinstance(value, str):
        return _price_of_text(value.strip()) if len(value) <= _MOST else None
    if not isinstance(value, Mapping):
        return None
    currency = next((value[name] for name in _CURRENCIES if name in value), "")
    amount = next((value[name] for name in _AMOUNTS if name in value), None)
    micros = next((value[name] for name in _MICROS if name in value), None)
    number = _number_of(amount) if micros is None else _number_of(micros)
    if number is None or not isinstance(currency, str) or len(currency) > 3:
        return None
    return number if micros is None else number / 10**6, currency.upper()


def _price_of_text(text: str) -> tuple[float, str] | None:
    match = _PRICE.fullmatch(text)
    number = _number_of(match[2]) if match else None
    if match is None or number is None:
        return None
    currency = match[1] or match[3] or ""
    return number, _CODES.get(currency.upper(), currency.upper())


def _number_of(value: object) -> float | None:
    """Return a number of 0 or more, or the number of its text; None for another value."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e18 else None
    if not isinstance(value, str) or len(value) > _MOST:
        return None
    if match := _POINT.fullmatch(value):
        return float(re.sub(r"\D", "", match[1]) + (match[2] or ""))
    if match := _COMMA.fullmatch(value):
        return float(f"{re.sub(r'[^0-9]', '', match[1] or match[3])}.{match[2] or 0}")
    return None
