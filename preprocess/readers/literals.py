"""Python literals that are plain: their texts by one pattern, or as JSON. `ast.literal_eval` reads the others."""

import ast
import re
from collections.abc import Callable, Sequence

MAX_LITERAL = 1 << 20  # characters of a Python literal; parsing takes up to 100 times the memory
_MAX_NESTED = 40  # brackets of a line; Python refuses deep nesting that JSON may have

_ESCAPE = rb"\\(?:[\\'\"nrtbf]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[1-9a-fA-F]|10)[0-9a-fA-F]{4})"
# Of halves of surrogate pairs JSON makes characters, and Python does not.
_ESCAPE_OF_BOTH = _ESCAPE.replace(b"|u", b"|u(?![dD][89a-fA-F])")


def _string(escape: bytes) -> bytes:
    """Return the pattern of a string with some escapes and without control characters."""
    plain = rb"[^%c\\\x00-\x1f]*+"
    marks = ((mark, plain % mark) for mark in b"'\"")
    return b"|".join(rb"%c%b(?:%b%b)*+%c" % (mark, inner, escape, inner, mark) for mark, inner in marks)


_STRING = re.compile(b"(%b)" % _string(_ESCAPE_OF_BOTH))
# What is between strings, each of which is written as one quotation mark. After a "u" it is a string all the same.
_NUMBER = rb"-?(?:0|[1-9]\d{0,17}+)(?:\.\d{1,40}+)?+"
_BETWEEN = re.compile(rb"(?:[ \n{}\[\],:\"]++|(?<![\w.-])(?:u(?=\")|(?:True|False|None|%b)(?![\w.])))*+" % _NUMBER)
_WORDS = {b'u"': b'"', b"True": b"true", b"False": b"false", b"None": b"null"}
_TO_TRANSLATE = re.compile(rb"\\(?:[\\\"]|(')|x(..)|U00(.{6}))|(\")")


def text_columns(names: Sequence[str]) -> Callable[[bytes], list[list[str]] | None]:
    """Return a reader of lines that are dictionaries of texts, numbers and words, as `repr` writes them.

    Args:
        names: names of the texts that are needed.

    Returns:
        lines -> the values of each name; None where a line is another one, or lacks a name.
    """
    keys, string = [re.escape(name.encode()) for name in names], _string(_ESCAPE)
    needed = b"|".join(rb"%b': u?(%b)" % (key, string) for key in keys)
    value = rb"u?(?:%b)|True|False|None|%b(?![\w.])" % (string, _NUMBER)
    field = rb"u?'(?:%b|(?!(?:%b)')\w++': (?:%b))" % (needed, b"|".join(keys), value)
    line = re.compile(rb"^\{(?:%b(?:, (?=u?')|(?=\}$)))++\}$" % field, re.MULTILINE)

    def columns_of(lines: bytes) -> list[list[str]] | None:
        if len(lines) > MAX_LITERAL and max(map(len, lines.split(b"\n"))) > MAX_LITERAL:
            return None
        found = line.findall(lines)
        if len(found) != lines.count(b"\n") + 1:
            return None
        rows = found if len(names) > 1 else [(text,) for text in found]
        columns = [_texts(column) for column in zip(*rows, strict=True)]
        return None if None in columns else columns  # type: ignore[return-value]

    return columns_of


def _texts(strings: Sequence[bytes]) -> list[str] | None:
    """Return the values of strings of Python; None where one is missing, or not UTF-8."""
    if not all(strings):
        return None
    try:
        texts = [string[1:-1].decode() for string in strings]
        return [ast.literal_eval(strings[at].decode()) if "\\" in text else text for at, text in enumerate(texts)]
    except UnicodeDecodeError:
        return None


def json_of_literals(lines: bytes) -> bytes | None:
    """Return lines of Python literals as lines of JSON with the same values; None where one of them is not plain.

    What is no Python literal may become a text that is no JSON, but never JSON.
    """
    if max(map(len, lines.split(b"\n"))) > MAX_LITERAL:
        return None
    pieces = _STRING.split(lines)
    between = b'"'.join(pieces[::2])
    if between.count(b'"') != len(pieces) // 2 or not _BETWEEN.fullmatch(between) or _is_deep(between):
        return None
    for word, of_json in _WORDS.items():
        between = between.replace(word, of_json)
    strings = _JsonStrings()
    pieces[::2] = between.split(b'"')
    pieces[1::2] = map(strings.__getitem__, pieces[1::2])
    return b"".join(pieces)


def _is_deep(between: bytes) -> bool:
    """Return whether a line may have deeply nested values."""
    return any(line.count(b"[") + line.count(b"{") > _MAX_NESTED for line in between.split(b"\n"))


class _JsonStrings(dict[bytes, bytes]):
    """Python string -> the JSON string with the same value; most of a file are names of its fields."""

    def __missing__(self, string: bytes) -> bytes:
        inner = string[1:-1]
        if b"\\" in inner or b'"' in inner:
            if rb"\\" in inner or rb"\"" in inner or rb"\U" in inner:
                inner = _TO_TRANSLATE.sub(_of_json, inner)
            else:  # every backslash begins an escape, every quotation mark is a character
                inner = inner.replace(rb"\'", b"'").replace(rb"\x", rb"\u00").replace(b'"', rb"\"")
        self[string] = in_json = b'"%b"' % inner
        return in_json


def _of_json(match: re.Match[bytes]) -> bytes:
    """Return an escape of Python, or a quotation mark, in JSON."""
    apostrophe, of_byte, astral, quotation_mark = match.groups()
    if apostrophe:
        return apostrophe
    if of_byte:
        return rb"\u00" + of_byte
    if astral:
        pair = int(astral, 16) - 0x10000
        return rb"\u%04x\u%04x" % (0xD800 + (pair >> 10), 0xDC00 + (pair & 0x3FF))
    return rb"\"" if quotation_mark else match[0]
