"""Feeds of every form give the same records, and hostile ones a line."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_utils import feed_files
from train_utils.feed_files import read_feed
from train_utils.item_record import item_of, record_of

RECORDS = [
    {"id": "a1", "title": "Red shoes, size 3", "price": "79.99 USD", "product_type": "Apparel > Shoes"},
    {"id": "b2", "title": "Blé noir", "price": "5", "availability": "in_stock", "link": "https://example.org/b2"},
]
NAMES = ["id", "title", "price", "product_type", "availability", "link"]


def table(delimiter: str) -> str:
    rows = [[f'"{record.get(name, "")}"' for name in NAMES] for record in RECORDS]
    return "\r\n".join(delimiter.join(row) for row in [NAMES, *rows])


def elements(record: dict, prefix: str = "g:") -> str:
    fields = "".join(f"<{prefix}{name}>{value.replace('>', '&gt;')}</{prefix}{name}>" for name, value in record.items())
    return fields + f"<{prefix}shipping><{prefix}price>3 USD</{prefix}price></{prefix}shipping>"


RSS = (
    '<?xml version="1.0"?>\n<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>shop</title>'
    + "".join(f"<item>{elements(record)}</item>" for record in RECORDS)
    + "</channel></rss>"
)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>shop</title>'
    + f"<entry>{elements(RECORDS[0])}</entry>"
    + f"<entry>{elements({**RECORDS[1], 'link': ''})}<link href='https://example.org/b2'/></entry></feed>"
)
FORMS = {
    "csv": table(","),
    "tsv": table("\t"),
    "json": json.dumps(RECORDS, indent=1),
    "json object": json.dumps({"products": RECORDS}),
    "json lines": "\n".join(map(json.dumps, RECORDS)),
    "rss": RSS,
    "atom": ATOM,
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_feeds_are_told_apart_by_content(form, packed, tmp_path):
    data = FORMS[form].encode()
    (tmp_path / "feed").write_bytes(gzip.compress(data) if packed else data)
    assert read_feed(tmp_path / "feed") == RECORDS


LAUGHS = (
    '<!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {name} "{("&" + before + ";") * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><rss><item><title>&i;</title></item></rss>"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (LAUGHS, "document type"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><rss/>', "document type"),
        ("<rss>" * 200, "nested deeper"),
        ("<rss><item></rss>", "line 1 is no XML"),
        ("<rss></rss>", "holds no item"),
        ("[1]", "item 1 is 1, wanted an object"),
        ("[" * 100_000, "no JSON"),
        ('{"id": 1}\n{"id": ', "line 2 is no JSON"),
        ("title\nred", "the first line is 'title'"),
        ("id,id\n1,2", "the first line is"),
        ("id,title\n1,2,3", "line 2 has 3 fields"),
        ('id,title\n1,"' + "x" * 200_000, "line 2: field larger"),
    ],
)
def test_what_is_no_feed_is_refused_in_one_line(text, reason, tmp_path):
    (tmp_path / "feed").write_text(text)
    with pytest.raises(ValueError, match=reason) as error:
        read_feed(tmp_path / "feed")
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)


def test_a_feed_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(feed_files, "MAX_FEED", 1000)
    (tmp_path / "feed").write_bytes(gzip.compress(b"id,title\n" + b"1,a\n" * 1000))
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        read_feed(tmp_path / "feed")


def test_a_record_of_a_feed_becomes_an_item_with_its_price_as_a_number():
    item = item_of(RECORDS[0])
    assert (item.id, item.title, item.categories) == ("a1", "Red shoes, size 3", ("Apparel", "Shoes"))
    assert item.attributes == {"price": 79.99, "currency": "USD"}
    assert item_of({"item_id": 7, "title": " two\n words\u200b ", "categories": "a, b; a"}).categories == ("a", "b")
    assert item_of({"item_id": 7, "title": " two\n words\u200b "}).title == "two words"
    for record in RECORDS:
        assert item_of(record_of(item_of(record))) == item_of(record)


def test_numbers_of_a_feed_are_numbers_in_every_form(tmp_path):
    records = [
        {"id": "0012", "title": "1984", "gtin": "5012345678900", "mpn": "12", "year": 1999, "stars": 4.5,
         "zip": "00123", "fit": "42", "item_group_id": "7"},
        {"id": "13", "title": "Blé", "gtin": "5012345678917", "mpn": "13", "year": -40, "zip": "12345", "fit": "L"},
    ]  # fmt: skip
    names = list(records[0])
    rows = "\n".join(",".join(str(record.get(name, "")) for name in names) for record in records)
    elements = "".join(
        "<item>" + "".join(f"<g:{name}>{value}</g:{name}>" for name, value in record.items()) + "</item>"
        for record in records
    )
    forms = {
        "csv": f"{','.join(names)}\n{rows}",
        "xml": f"<rss xmlns:g='http://base.google.com/ns/1.0'>{elements}</rss>",
        "json": json.dumps(records),
    }
    for form, text in forms.items():
        (tmp_path / form).write_text(text)
        assert read_feed(tmp_path / form) == records, form


def test_a_number_of_a_taxonomy_hides_no_names_of_categories(tmp_path):
    (item,) = items_of(tmp_path, "id,title,product_category,product_type\n1,Vase,2271,Home > Vases\n")
    assert item.categories == ("Home", "Vases")
    assert item_of({"id": "1", "title": "Vase", "categories": [], "product_type": "Home"}).categories == ("Home",)


def items_of(folder, text: str) -> list:
    (folder / "feed").write_text(text)
    return [item_of(record) for record in read_feed(folder / "feed")]


@pytest.mark.parametrize(
    ("in_text", "in_lists", "names"),
    [
        ("Apparel > Shoes", ["Apparel > Shoes"], ("Apparel", "Shoes")),
        ("Home &amp; Garden &gt; Vases", ["Home &amp; Garden > Vases"], ("Home & Garden", "Vases")),
        ("Food, Beverages > Tea", ["Food, Beverages > Tea"], ("Food, Beverages", "Tea")),
        ("Shoes|Sale", ["Shoes", "Sale"], ("Shoes", "Sale")),
        ("Apparel > Shoes; Sale", ["Apparel > Shoes", {"id": 7, "name": "Sale"}], ("Apparel", "Shoes", "Sale")),
    ],
)
@pytest.mark.parametrize("field", ["product_type", "categories"])
def test_categories_are_the_same_from_every_form(tmp_path, field, in_text, in_lists, names):
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace(">", "&gt;")

    texts = [one["name"] if isinstance(one, dict) else one for one in in_lists]
    head = "<rss><channel><item><id>1</id><title>t</title>"
    forms = [
        f'id,title,{field}\n1,t,"{in_text}"\n',
        f"id\ttitle\t{field}\n1\tt\t{in_text}\n",
        json.dumps([{"id": "1", "title": "t", field: in_text}]),
        json.dumps({"id": "1", "title": "t", field: in_lists}) + "\n",
        f"{head}<{field}>{escaped(in_text)}</{field}></item></channel></rss>",
        head + "".join(f"<g:{field}>{escaped(text)}</g:{field}>" for text in texts) + "</item></channel></rss>",
    ]
    assert [items_of(tmp_path, form)[0].categories for form in forms] == [names] * len(forms)


@pytest.mark.parametrize(
    ("written", "number", "currency"),
    [
        ("1,299.00 USD", 1299, "USD"), ("USD 1,299", 1299, "USD"), ("1,29,900.50 INR", 129_900.5, "INR"),
        ("$1,299.00", 1299, None), ("US$12.5", 12.5, "USD"), ("1.299,00 €", 1299, "EUR"), ("€ 12,99", 12.99, "EUR"),
        ("1 299,00 sek", 1299, "SEK"), ("1'299.00 CHF", 1299, "CHF"), ("1.299.000 IDR", 1_299_000, "IDR"),
        ("1.299 KWD", 1.299, "KWD"), ("0,999 KWD", None, None), ("from 5 USD", None, None), ("5-7 USD", None, None),
        ("1,2,3 USD", None, None), ("12,34.5", None, None),
        ({"amount": 1299, "currency": "usd"}, 1299, "USD"), ({"value": "1,299.00", "currencyCode": "USD"}, 1299, "USD"),
        ({"price": "12.5", "priceCurrency": "EUR"}, 12.5, "EUR"), ({"amount": 5}, 5, None),
        ({"amountMicros": "1299000000", "currencyCode": "USD"}, 1299, "USD"),
    ],
)  # fmt: skip
def test_prices_of_shops_are_numbers(tmp_path, written, number, currency):
    record = {"id": "1", "title": "t", "price": written}
    item = items_of(tmp_path, json.dumps([record]))[0]
    expected = {"price": written if number is None else number} | ({"currency": currency} if currency else {})
    assert item.attributes == expected and item_of(json.loads(json.dumps(record_of(item)))) == item
    if isinstance(written, str):
        assert items_of(tmp_path, f'id\ttitle\tprice\n1\tt\t"{written}"\n') == [item]


def test_nested_fields_that_no_table_has_are_left_out_of_a_feed_and_refused_in_a_request(tmp_path):
    shipping = [{"country": "US", "price": {"value": "5", "currency": "USD"}}]
    record = {"id": "1", "title": "t", "shipping": shipping, "dimensions": {"height": 3}, "tags": ["a", "b"]}
    assert items_of(tmp_path, json.dumps([record]))[0].attributes == {"tags": ["a", "b"]}
    with pytest.raises(ValueError, match="shipping is"):
        item_of(record)


plain = st.text(max_size=6) | st.integers(-5, 5) | st.booleans() | st.floats(-3, 3)


@given(
    st.fixed_dictionaries(
        {"id": st.integers() | st.text("ab", min_size=1), "title": st.text(min_size=1)},
        optional={
            "categories": st.text(" a,;|>1") | st.lists(st.text(max_size=3), max_size=3),
            "price": st.sampled_from(["5 EUR", "USD 5.5", "5,5", "free", " 7 ", "$1,299.00"]) | plain,
            "sale_price": st.fixed_dictionaries({"amount": plain}, optional={"currency": st.text(max_size=4)}),
            "product_type": st.lists(st.sampled_from(["A > B", "C", ">", "&gt;", "D &amp;gt; E"])),
            "attributes": st.dictionaries(st.sampled_from(["a", "price", "id", "title"]), plain, max_size=2),
            "tags": st.lists(plain, max_size=2),
        },
    )
)
def test_an_item_is_the_same_after_it_was_a_line_of_the_journal(record):
    try:
        item = item_of(record)
    except ValueError:
        return
    assert item_of(json.loads(json.dumps(record_of(item)))) == item


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"id": "a", "title": "t", "price": True}, "price is True, wanted a number"),
        (3, "an item is 3"),
        ({"title": "x"}, "item_id is ''"),
        ({"id": "a\nb", "title": "x"}, "item_id is"),
        ({"id": "a", "title": "\u200b"}, "item 'a': title is"),
        ({"id": "a", "title": 5}, "item 'a': title is 5"),
        ({"id": "a", "title": "x" * 20_000}, "item 'a': title is"),
        ({"id": "a", "title": "x", "price": float("nan")}, "item 'a': price is nan"),
        ({"id": "a", "title": "x", "price": {"cost": 1}}, "item 'a': price is"),
        ({"id": "a", "title": "x", "price": {"amount": "free"}}, "item 'a': price is"),
        ({"id": "a", "title": "x", "price": {"amount": 1, "currency": 5}}, "item 'a': price is"),
        ({"id": "a", "title": "x", "attributes": [1]}, "item 'a': attributes is"),
        ({"id": "a", "title": "x", "tags": ["y"] * 2000}, "item 'a': tags is"),
        ({"id": "a", "title": "x", "categories": [1]}, "item 'a': a category is 1"),
        ({"id": "a", "title": "x", **{f"f{n}": 1 for n in range(300)}}, "item 'a': it has 300 attributes"),
    ],
)
def test_a_broken_item_is_named_in_one_line(record, reason):
    with pytest.raises(ValueError, match=reason) as error:
        item_of(record)
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)
