"""Roles of columns, guessed from their names: which one is the user, the item, the time, the title."""

import re
from collections.abc import Mapping, Sequence

from train_utils.text_files import shown

ROLES = ("user", "item", "time", "rating", "title", "category", "description")
_NAMES = {
    "user": "user userid uid usr userno member memberid customer customerid client clientid visitor visitorid reviewer "
    "reviewerid username sessionid session buyer buyerid accountid personid",
    "item": "item itemid iid movieid filmid productid product asin parentasin sku bookid isbn articleid songid trackid "
    "gameid appid businessid newsid videoid animeid recipeid contentid courseid listingid hotelid poiid placeid",
    "time": "time timestamp ts date datetime unixreviewtime unixtime eventtime createdat reviewtime ratedat watchedat "
    "purchasedat playedat clickedat visitedat orderdate",
    "rating": "rating ratings stars score overall value userrating",
    "title": "title itemtitle name itemname productname producttitle movietitle moviename booktitle bookname headline "
    "trackname songname songtitle gametitle appname",
    "category": "category categories genre genres tags tag producttype googleproductcategory class topic topics "
    "maincategory",
    "description": "description desc itemdescription synopsis summary overview abstract plot body",
}
_SYNONYMS = {role: names.split() for role, names in _NAMES.items()}


def plain(name: str) -> str:
    """Return a column's name in lower case, without a type such as RecBole's `:token`, and letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower())


def guess_columns(names: Sequence[str], given: Mapping[str, str], only_id: bool = False) -> dict[str, str]:
    """Return role -> column.

    Args:
        names: names of the columns.
        given: role -> column, from the user; it is taken where the file has the column, and the column may be in
            another file.
        only_id: whether a column `id` is the item, as in a file of items.
    """
    columns = {role: name for role, name in given.items() if name in names}
    free = {plain(name): name for name in reversed(names) if name not in columns.values()}
    for role, synonyms in _SYNONYMS.items():
        more = ["id"] if role == "item" and only_id else []
        match = next((free[synonym] for synonym in (*synonyms, *more) if synonym in free), None)
        if role not in columns and match is not None:
            columns[role] = match
    return {role: columns[role] for role in ROLES if role in columns}


def need_columns(columns: Mapping[str, str], roles: Sequence[str], names: Sequence[str], path: object) -> None:
    """Check that roles have a column.

    Raises:
        ValueError: one has none.
    """
    for role in roles:
        if role not in columns:
            raise ValueError(
                f"{path}: no column is known to be the {role}; name it by --{role}, one of {shown(list(names))}"
            )


def said(path: object, columns: Mapping[str, str]) -> str:
    """Return a line that says which column has which role."""
    return f"{path}: " + ", ".join(f"{role} = {name}" for role, name in columns.items())
