"""Python literals as JSON, where the translation is plain; `ast.literal_eval` reads the others, line by line."""

import re

MAX_LITERAL = 1 << 20  # characters of a Python literal; parsing takes up to 100 times the memory
_MAX_NESTED = 40  # brackets of a line; Python refuses deep nesting that JSON may have

# Escapes that Python and JSON have alike, or that have a form in JSON. Halves of a surrogate pair are no such escapes:
# Python keeps them apart, and JSON joins them.
_ESCAPE = rb"\\(?:[\\'\"nrtbf]|x[0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|U00(?:0[1-9a-fA-F]|10)[0-9a-fA-F]{4})"
_PLAIN = rb"[^%c\\\x00-\x1f]*+"
_STRING = re.compile(
    b"(%s)"
    % b"|".join(rb"%c%b(?:%b%b)*+%c" % (mark, (plain := _PLAIN % mark), _ESCAPE, plain, mark) for mark in b"'\"")
)
# What is between strings, each of which is written as one quotation mark. After a "u" it is a string all the same.
_NUMBER = rb"-?(?:0|[1-9]\d{0,17}+)(?:\.\d{1,40}+)?+"
_BETWEEN = re.compile(rb"(?:[ \n{}\[\],:\"]++|(?<![\w.-])(?:u(?=\")|(?:True|False|None|%b)(?![\w.])))*+" % _NUMBER)
_WORDS = {b'u"': b'"', b"True": b"true", b"False": b"false", b"None": b"null"}
_TO_TRANSLATE = re.compile(rb"\\(?:[\\\"]|(')|x(..)|U00(.{6}))|(\")")


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
