"""Damaged feeds, and damaged journals of a catalog's changes."""

import json
from pathlib import Path

from damage import Reader

from train_utils.catalog import Item, make_catalog
from train_utils.feed_files import read_feed
from train_utils.item_record import item_of
from train_utils.serving.catalog_journal import Journal
from train_utils.serving.catalog_ledger import Ledger

RECORDS = [
    {"id": f"p{n}", "title": f"Title {n}", "price": f"{n}.50 EUR", "product_type": "A > B, C", "url": "https://a.org"}
    for n in range(9)
]
JSON_WORDS = (b"null", b"NaN", b"1e999", b'"\\ud800"', b"[[[[[[[[", b'"id":', b"\n", b"{}")
XML_WORDS = (b"<item>", b"</item>", b"<!DOCTYPE a>", b"&#0;", b"&lt;", b"<![CDATA[", b"]]>", b'xmlns:g="x"', b"<?a?>")
TABLE_WORDS = (b'"', b"\t", b"\r", b"\n", b",,,,", b"id", b"\0", b"\xff\xfe")


def write_xml(folder: Path) -> None:
    items = "".join(f"<item><g:id>{one['id']}</g:id><title>{one['title']}</title></item>" for one in RECORDS)
    (folder / "feed").write_text(f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{items}</channel></rss>')


def write_table(folder: Path) -> None:
    rows = [[*RECORDS[0]], *([*record.values()] for record in RECORDS)]
    (folder / "feed").write_text("\n".join("\t".join(row) for row in rows))


def read_items(folder: Path) -> None:
    for record in read_feed(folder / "feed"):
        item_of(record)


def ledger() -> Ledger:
    return Ledger(make_catalog("films", [Item(f"i{n}", f"title {n}") for n in range(9)]))


def write_journal(folder: Path) -> None:
    made = ledger()
    journal = Journal(folder / "films.journal", made)
    for n in range(4):
        delta = made.put(RECORDS[n : n + 2]) if n % 2 == 0 else made.retire([f"i{n}"])
        journal.append(made, delta, made.after(delta).digest)
        made.apply(delta)
    journal.close()


def read_journal(folder: Path) -> None:
    Journal(folder / "films.journal", ledger()).close()


READERS = [
    Reader("feed xml", write_xml, read_items, XML_WORDS),
    Reader("feed table", write_table, read_items, TABLE_WORDS),
    Reader("feed json", lambda folder: (folder / "feed").write_text(json.dumps(RECORDS)), read_items, JSON_WORDS),
    Reader("catalog journal", write_journal, read_journal, JSON_WORDS),
]
