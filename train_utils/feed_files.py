"""Product feeds as records: CSV, TSV, JSON, JSON lines and XML (RSS, Atom), recognized by content; gzip as well."""

import csv
import io
import re
import xml.sax
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.handler import ContentHandler, LexicalHandler, property_lexical_handler
from xml.sax.xmlreader import AttributesImpl

from train_utils.characters import shown
from train_utils.feed_fields import names_of_list
from train_utils.files.json_files import json_value
from train_utils.files.text_files import read_text

Record = dict[str, object]

MAX_FEED = 256 << 20  # bytes of text; a server takes a quarter of it in a request
MAX_RECORDS = 1_000_000
MAX_COLUMNS = 1_000
MAX_DEPTH = 100  # nested elements of XML
_ITEMS = ("item", "entry")  # of RSS and of Atom
_NAMES = "categories"
# Fields that may be objects, or lists of them; see `train_utils.item_record`.
_OBJECTS = ("attributes", "price", "sale_price", _NAMES, "category", "product_category", "product_type")
# Fields whose digits are no amount: codes, names, and categories, which may be numbers of a taxonomy.
_TEXTS = (
    "id", "item_id", "title", "title_t", "description", "gtin", "mpn", "ean", "upc", "isbn", "sku", "barcode", "brand",
    "model", "color", "size", "google_product_category", *_OBJECTS,
)  # fmt: skip
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?", re.ASCII)
_LISTS = ("items", "products", "data")  # keys of an object that holds the records


def read_feed(path: str | Path) -> list[Record]:
    """Return the records of a feed. Empty fields are left out; names have no prefix such as `g:`.

    Fields of CSV, TSV and XML have no types: those that are numbers in all items become numbers, as in JSON.

    Raises:
        ValueError: the file is no feed, is damaged, or is too large; the text says where.
        OSError: the file cannot be read.
    """
    text = read_text(path, "cp1252", MAX_FEED).lstrip("\ufeff \t\r\n")
    if not text:
        raise ValueError(f"{path} is empty; wanted CSV, TSV, JSON, JSON lines or XML")
    read = {"<": _xml, "[": _json, "{": _json}.get(text[0], _table)
    records: list[Record] = []
    try:
        for record in read(text):
            fields = {str(name): value for name, value in record.items() if value not in (None, "", [])}
            if isinstance(names := fields.get(_NAMES), list):  # not those of an item that was read before
                fields[_NAMES] = names_of_list(names)
            records.append(fields)
            if len(records) > MAX_RECORDS:
                raise ValueError(f"it holds more than {MAX_RECORDS} items")
    except ValueError as error:
        raise ValueError(f"{path}: {error}; correct the feed") from None
    if not records:
        raise ValueError(f"{path} holds no item; wanted a feed with one or more")
    if read is not _json:
        _make_numbers(records)
    return records


def _make_numbers(records: list[Record]) -> None:
    """Make numbers of the texts of fields that are numbers in every record that has them, but for codes and names."""
    texts = {name for record in records for name in record if name not in _TEXTS and not name.endswith("_id")}
    for record in records:
        texts -= {name for name in texts & record.keys() if not _is_number(record[name])}
    for record in records:
        record.update((name, _number_of(str(record[name]))) for name in texts & record.keys())


def _is_number(value: object) -> bool:
    """Return whether a value is the text of a number as JSON writes it, of at most 15 digits before the point."""
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _number_of(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _table(text: str) -> Iterator[Record]:
    """Yield the rows of CSV or TSV, by the names of the first row."""
    head = text.partition("\n")[0]
    delimiter = max("\t,;|", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = ["_".join(name.lower().split()) for name in next(rows)]
        if len(names) < 2 or len(names) > MAX_COLUMNS or len({*names}) < len(names):
            raise ValueError(f"the first line is {shown(head)}, wanted 2 to {MAX_COLUMNS} different names of columns")
        for row in rows:
            if len(row) > len(names):
                raise ValueError(f"line {rows.line_num} has {len(row)} fields, and the first one {len(names)} names")
            yield dict(zip(map(_local, names), row, strict=False))
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None


def _json(text: str) -> Iterator[Record]:
    """Yield the records of a JSON list, of an object with a list, or of JSON lines."""
    whole = _whole_json(text)
    if isinstance(whole, Mapping):
        whole = next((whole[name] for name in _LISTS if isinstance(whole.get(name), list)), [whole])
    if isinstance(whole, list):
        for number, record in enumerate(whole, 1):
            yield _object(record, f"item {number}")
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                record = json_value(line)
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON ({error})") from None
            yield _object(record, f"line {number}")


def _whole_json(text: str) -> object:
    """Return the JSON value of a text; None for JSON lines."""
    try:
        return json_value(text)
    except ValueError as error:
        first = text.partition("\n")[0].strip()
        if first.startswith("{") and first.endswith("}"):
            return None
        raise ValueError(f"it is no JSON ({error})") from None


def _object(record: object, where: str) -> Record:
    """Return a record of JSON without nested fields that no other form has."""
    if not isinstance(record, Mapping):
        raise ValueError(f"{where} is {shown(record)}, wanted an object")
    fields = {_local(str(name)): value for name, value in record.items()}
    return {name: value for name, value in fields.items() if name in _OBJECTS or not _is_nested(value)}


def _is_nested(value: object) -> bool:
    """Return whether a value has fields of its own, which no table has, and which are left out of XML."""
    return any(isinstance(entry, Mapping) for entry in (value if isinstance(value, list) else [value]))


def _local(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2]


# -- XML ---------------------------------------------------------------------------------------------------------------
class _Elements(ContentHandler, LexicalHandler):
    """Collector of the elements right below each item. No document type is read, so no entity can be defined.

    Attributes:
        records: the items so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Record] = []
        self._open: list[str] = []
        self._item: Record | None = None
        self._depth = 0  # of the open item
        self._text: list[str] = []

    def startDTD(self, name: str, public_id: str | None, system_id: str | None) -> None:
        """Refuse a document type."""
        raise ValueError("it has a document type (<!DOCTYPE), which is not read; take it out")

    def startElement(self, name: str, attrs: "AttributesImpl[str]") -> None:
        """Begin an element."""
        self._open.append(_local(name))
        if len(self._open) > MAX_DEPTH:
            raise ValueError(f"its elements are nested deeper than {MAX_DEPTH}")
        if self._item is None and self._open[-1] in _ITEMS:
            if len(self.records) >= MAX_RECORDS:
                raise ValueError(f"it holds more than {MAX_RECORDS} items")
            self._item, self._depth = {}, len(self._open)
        elif self._item is not None and len(self._open) == self._depth + 1:
            href = attrs.get("href")
            self._text = [href] if href else []

    def characters(self, content: str) -> None:
        """Take text."""
        if self._item is not None and len(self._open) == self._depth + 1:
            self._text.append(content)

    def endElement(self, name: str) -> None:
        """End an element."""
        depth = len(self._open)
        closed = self._open.pop()
        if self._item is None:
            return
        if depth == self._depth:
            self.records.append(self._item)
            self._item = None
        elif depth == self._depth + 1:
            _add(self._item, closed, "".join(self._text).strip())


def _add(record: Record, name: str, text: str) -> None:
    """Add a field; a name that is there already becomes a list."""
    if not text:
        return
    held = record.get(name)
    if held is None:
        record[name] = text
    elif isinstance(held, list):
        held.append(text)
    else:
        record[name] = [held, text]


def _xml(text: str) -> Iterator[Record]:
    """Yield the items of RSS or Atom."""
    elements = _Elements()
    parser = xml.sax.make_parser()
    parser.setContentHandler(elements)
    parser.setProperty(property_lexical_handler, elements)
    try:
        parser.parse(io.StringIO(text))
    except xml.sax.SAXParseException as error:
        raise ValueError(f"line {error.getLineNumber()} is no XML ({error.getMessage()})") from None
    yield from elements.records
