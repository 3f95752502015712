"""Promises of the translation of Python literals: what it takes has the value that `ast.literal_eval` gives."""

import ast
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from readers.literals import MAX_LITERAL, json_of_literals, text_columns

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["it's", 'say "no"', "both ' and \"", "back\\slash", "line\nend", "\u2713", "é\x00\x07", "\U0001f600", "u'x': u'y'"]
)
ATOMS = (
    TEXTS | st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
)
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
RECORDS = st.dictionaries(TEXTS, VALUES, max_size=5)


def of_python_2(value: object) -> str:
    """Return the `repr` of Python 2, in which the dumps were written: ASCII, and a "u" before texts."""
    if isinstance(value, str):
        return f"u{ascii(value)}"
    if isinstance(value, list):
        return f"[{', '.join(map(of_python_2, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{of_python_2(key)}: {of_python_2(entry)}" for key, entry in value.items()) + "}"
    return repr(value)


@given(st.lists(RECORDS, min_size=1, max_size=4), st.sampled_from([repr, ascii, of_python_2]))
def test_what_python_writes_is_translated_to_json_of_the_same_value(records, write):
    lines = [write(record) for record in records]
    in_json = json_of_literals("\n".join(lines).encode())
    is_plain = all(json_of_literals(line.encode()) is not None for line in lines)
    assert (in_json is not None) == is_plain
    if in_json is not None:
        assert [json.loads(line) for line in in_json.split(b"\n")] == records
        assert msgspec.json.Decoder().decode_lines(in_json) == records
    else:  # such as numbers with exponents, and control characters that `repr` writes as they are
        assert any("e+" in line or "e-" in line or not line.isprintable() for line in lines)


SOUP = st.text(st.sampled_from("u'\"\\{}[]():, \n0123456789.-+eExXabdDnrtTUNlose_/#j\t\x00é\u2028"), max_size=24)
PIECES = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", "'a'", 'u"b"', ": ", ", ", "1", "-", "0", ".5", "True", "None", "false", "'", '"', "\\",
         "\\'", "\\x41", "\\x4", "\\u00e9", "\\ud83d", "\\U0001f600", "\\U00110000", "\\/", "\\\n", "\\0",
         "\\N{DEGREE SIGN}", "ur'x'", "b'x'", "1_0", "01", "1e5", "1j", "()", "{'a': 1}", "#",
         "\\\\", "\\a", "\\b", "-0", "9" * 20]
    ),
    max_size=9,
).map("".join)  # fmt: skip


IN_TEXT = PIECES.map(lambda text: "{'a': '" + text + "'}")
IN_RECORD = PIECES.map(lambda text: "{u'a': " + text + "}")


@given(SOUP | PIECES | IN_TEXT | IN_RECORD)
@example('{"a": "\\ud83d\\ude00"}')
@example("{'a': '\\/'}")
@example("{'a': 1}{'b': 2}")
@example("{'a': '\\\\x41'}")
def test_what_is_translated_to_json_is_a_literal_of_the_same_value(line):
    in_json = json_of_literals(line.encode())
    try:
        value = msgspec.json.decode(in_json) if in_json is not None else None
    except msgspec.DecodeError:
        return
    if in_json is not None:
        assert value == ast.literal_eval(line.strip())
        assert type(value) is type(ast.literal_eval(line.strip()))


@given(st.lists(RECORDS.map(lambda record: record | {"a": "x", "b": "it's"}) | RECORDS, min_size=1, max_size=3))
@example([{"\u00c0": "", "a": "x", "b": "it's"}])
def test_the_texts_that_are_needed_are_those_of_the_records(records):
    lines = [of_python_2(record) for record in records]
    columns = text_columns(["a", "b"])("\n".join(lines).encode())
    if columns is not None:
        assert columns == [[record["a"] for record in records], [record["b"] for record in records]]
    else:
        assert any(
            not {"a", "b"} <= record.keys() or "e" in of_python_2([*record.values()])
            or any(not (key.isascii() and key.isidentifier()) or not isinstance(record[key], str) for key in record)
            for record in records
        )  # fmt: skip


@given(SOUP | PIECES | IN_TEXT | IN_RECORD | IN_TEXT.map(lambda text: text[:-1] + ", u'a': 'x'}"))
@example("{'a': 'b', 'a': 'c'}")
@example("{'a': '\\ud83d\\ude00'}")
@example("{'b': 'u\\', ', 'a': 'x'}")
@example("{}")
def test_what_is_read_by_one_pattern_is_what_literal_eval_reads(line):
    if (columns := text_columns(["a"])(line.encode())) is not None:
        assert columns == [[ast.literal_eval(part)["a"] for part in line.split("\n")]]


@pytest.mark.parametrize("line", ["[" * 50 + "]" * 50, "'" + "x" * MAX_LITERAL + "'", "{'a': '\ud83d'}", "9" * 5000])
def test_what_python_refuses_or_reads_otherwise_is_not_translated(line):
    assert json_of_literals(line.encode("utf-8", "surrogatepass")) is None or "\ud83d" in line
