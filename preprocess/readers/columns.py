"""Roles of columns, guessed from their names: which one is the user, the item, the time, the title."""

import re
from collections.abc import Mapping, Sequence

from train_utils.characters import shown

ROLES = ("user", "item", "time", "rating", "title", "category", "description")
# Names in data sets and in exports of shops, best first: ids of people before those of visits, names of products before
# a bare name, which may be that of an order, words of categories before their ids, dates before times of the day.
_NAMES = {
    "user": "userid uid user usr userno usernumber userhash memberid member customerid customeruniqueid customerno "
    "customernumber customercode customerkey custid customer clientid client clientcode visitorid "
    "fullvisitorid visitor userpseudoid anonymousid reviewerid reviewer buyerid buyer shopperid consumerid "
    "accountid accountnumber personid profileid contactid subscriberid playerid loyaltyid cardid householdkey "
    "householdid username reviewsusername customeremail useremail emailaddress email customername deviceid "
    "cookieid sessionid session",
    "item": "itemid item iid movieid filmid productid product asin parentasin sku bookid isbn articleid songid "
    "trackid gameid appid businessid newsid videoid animeid recipeid contentid courseid listingid hotelid "
    "poiid placeid artistid albumid showid goodsid goodid offerid variantid skuid prodid productsku itemsku "
    "variantsku lineitemsku productcode itemcode stockcode articlecode stylecode productno productnumber "
    "productkey itemno itemnumber itemkey articleno articlenumber styleid gtin ean upc barcode handle",
    "time": "time timestamp ts date datetime unixreviewtime unixtime unixtimestamp timestampms eventtimestamp "
    "eventdatetime eventts eventdate eventtime reviewdate reviewsdate reviewtime reviewedat ratedat watchedat "
    "playedat clickedat viewedat visitedat purchasedat orderedat addedat orderdate orderdatetime "
    "ordertimestamp orderpurchasetimestamp orderedon purchasedate purchasedatetime purchasetimestamp "
    "invoicedate invoicedatetime transactiondate transactiondatetime transactiontimestamp transactiondt "
    "saledate salesdate tdat viewdate watchdate visitdate visitstarttime createdat createdon createddate "
    "creationdate created dateadded paidat ordertime purchasetime transactiontime",
    "rating": "rating ratings stars score overall userrating reviewrating reviewsrating reviewscore starrating "
    "ratingvalue ratingscore userscore bookrating value",
    "title": "title itemtitle itemname productname producttitle movietitle moviename booktitle bookname trackname "
    "songname songtitle gametitle appname artistname lineitemname prodname articlename goodsname "
    "v2productname productlabel name headline",
    "category": "category categories genre genres tags tag productcategory productcategories productcategoryname "
    "categoryname categorynames categorypath categorycode itemcategory itemcategories v2productcategory "
    "producttype producttypename productgroup productgroupname googleproductcategory maincategory department "
    "departmentname subcategory productsubcategory topic topics class productclass categoryid catid",
    "description": "description desc itemdescription productdescription longdescription shortdescription detaildesc "
    "bodyhtml synopsis summary overview abstract plot body",
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


def with_title(columns: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return role -> column; without a title, the description is the title, as in exports of cash registers.

    Args:
        columns: role -> column.
        given: role -> column, from the user.
    """
    roles = dict(columns)
    if "title" not in {*roles, *given} and "description" in roles and "description" not in given:
        roles["title"] = roles.pop("description")
    return roles


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
