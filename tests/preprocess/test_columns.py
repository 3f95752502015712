"""Promises of guessed columns: the headers of data sets and of shops' exports have the roles that they mean."""

import pytest
from readers.columns import guess_columns, with_title
from readers.registry import FORMATS
from readers.source import Source

HEADERS = {
    "orders": (
        "order_id,customer,customer_id,created_at,order_date,product,product_id,product_name,product_category,price",
        {"user": "customer_id", "item": "product_id", "time": "order_date", "title": "product_name",
         "category": "product_category"},
    ),
    "a cash register": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        {"user": "CustomerID", "item": "StockCode", "time": "InvoiceDate", "title": "Description"},
    ),
    "a spreadsheet": (
        "Row ID,Order ID,Order Date,Ship Date,Customer ID,Customer Name,Segment,Product ID,Category,Sub-Category,"
        "Product Name,Sales",
        {"user": "Customer ID", "item": "Product ID", "time": "Order Date", "title": "Product Name",
         "category": "Category"},
    ),
    "a log of views and purchases": (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session",
        {"user": "user_id", "item": "product_id", "time": "event_time", "category": "category_code"},
    ),
    "orders of a shop system": (
        "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Vendor",
        {"user": "Email", "item": "Lineitem sku", "time": "Created at", "title": "Lineitem name"},
    ),
    "a marketplace": (
        "order_id,customer_unique_id,order_status,order_purchase_timestamp,order_item_id,product_id,seller_id,"
        "review_score,product_category_name",
        {"user": "customer_unique_id", "item": "product_id", "time": "order_purchase_timestamp",
         "rating": "review_score", "category": "product_category_name"},
    ),
    "fashion": ("t_dat,customer_id,article_id,price,sales_channel_id",
                {"user": "customer_id", "item": "article_id", "time": "t_dat"}),
    "articles of fashion": (
        "article_id,product_code,prod_name,product_type_no,product_type_name,detail_desc",
        {"item": "article_id", "title": "prod_name", "category": "product_type_name", "description": "detail_desc"},
    ),
    "web analytics": ("event_timestamp,user_pseudo_id,item_id,item_name,item_category",
                      {"user": "user_pseudo_id", "item": "item_id", "time": "event_timestamp", "title": "item_name",
                       "category": "item_category"}),
    "visits": ("timestamp,visitorid,event,itemid,transactionid",
               {"user": "visitorid", "item": "itemid", "time": "timestamp"}),
    "sessions of users": ("sessionId,userId,itemId,timeframe,eventdate",
                          {"user": "userId", "item": "itemId", "time": "eventdate"}),
    "reviews": ("Id,ProductId,UserId,ProfileName,Score,Time,Summary,Text",
                {"user": "UserId", "item": "ProductId", "time": "Time", "rating": "Score", "description": "Summary"}),
    "books": ("User-ID,ISBN,Book-Rating", {"user": "User-ID", "item": "ISBN", "rating": "Book-Rating"}),
    "RecBole": ("user_id:token,item_id:token,rating:float,timestamp:float",
                {"user": "user_id:token", "item": "item_id:token", "rating": "rating:float",
                 "time": "timestamp:float"}),
}  # fmt: skip


@pytest.mark.parametrize("export", HEADERS)
def test_columns_of_widely_used_exports_are_guessed(export):
    header, roles = HEADERS[export]
    names = header.split(",")
    guessed = guess_columns(names, {}, only_id="user" not in roles)
    assert (with_title(guessed, {}) if export == "a cash register" else guessed) == roles
    again = guess_columns([name.upper().replace("_", " ") for name in names], {}, only_id="user" not in roles)
    assert again.keys() == guessed.keys()


def test_a_description_is_the_title_where_nothing_else_is(tmp_path, capsys):
    rows = "536365,{item},HEART T-LIGHT {item},6,12/{day}/2010 8:26,2.55,{user},UK\n"
    text = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    text += "".join(rows.format(item=n, day=12 + n, user=17850 + n % 2) for n in range(4))
    (tmp_path / "retail.csv").write_text(text.replace("HEART", "CAFÉ"), encoding="cp1252")
    raw = FORMATS["own"].read(Source(tmp_path))
    assert "time = InvoiceDate, title = Description" in capsys.readouterr().err
    assert [item.title for item in raw.items] == [f"CAFÉ T-LIGHT {n}" for n in range(4)]
    assert raw.encodings == {"retail.csv": "latin-1"}
    assert raw.events.user_ids == ["17850", "17851"] and raw.events.time_unit == "dates, month-first"
    assert with_title({"item": "a", "description": "b"}, {"description": "b"}) == {"item": "a", "description": "b"}
    assert with_title({"title": "a", "description": "b"}, {}) == {"title": "a", "description": "b"}


def test_prices_of_own_items_are_numbers_as_those_of_feeds(tmp_path):
    (tmp_path / "orders.csv").write_text("customer_id,sku\na,1\na,2\na,3\n")
    prices = {"1": '"$1,299.00"', "2": '"5,50 EUR"', "3": "7"}
    rows = "".join(f"{item},T{item},{price}\n" for item, price in prices.items())
    (tmp_path / "products.csv").write_text(f"sku,product_name,price\n{rows}")
    raw = FORMATS["own"].read(Source(tmp_path))
    assert [item.attributes["price"] for item in raw.items] == [1299, 5.5, 7]
