"""A reading line is read back as it was written, and forged by no text."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_utils.prompts.messages import ItemPart
from train_utils.prompts.reading_line import (
    MOST_READ,
    ReadingLine,
    is_reading,
    line_grammar,
    line_parts,
    parsed_line,
    read_part,
    reading_prompt,
)

NAMES = st.sampled_from(
    ["Comedy", "Film-Noir", "Children's", 'a "b"; without "c"', "like<3>", "<SOI>", "x\\", "é, ü", ""]
)
BOUNDS = st.one_of(st.none(), st.integers(0, 10**12 - 1).map(float), st.integers(0, 99999).map(lambda n: n / 100))


def few(elements, least=0):
    return st.lists(elements, min_size=least, max_size=4, unique=True).map(tuple)


@st.composite
def lines(draw):
    items = draw(few(st.integers(0, 30)))
    first, second = sorted((draw(st.integers(0, len(items))), draw(st.integers(0, len(items)))))
    only = draw(few(NAMES))
    ranges = [
        (name, *sorted(draw(st.tuples(BOUNDS, BOUNDS)), key=lambda b: (b is None, b))) for name in draw(few(NAMES))
    ]
    return ReadingLine(
        asks=draw(st.booleans()),
        forget=draw(st.booleans()),
        more=draw(st.booleans()),
        count=draw(st.one_of(st.none(), st.integers(1, 100))),
        liked=items[:first],
        disliked=items[first:second],
        known=items[second:],
        only=only,
        together=len(only) > 1 and draw(st.booleans()),
        also=bool(only) and draw(st.booleans()),
        any_category=not only and draw(st.booleans()),
        without=draw(few(NAMES)),
        ranges=tuple(ranges),
    )


@given(lines())
def test_a_line_is_read_back_as_it_was_written(line):
    assert parsed_line(line_parts(line)) == line


def test_a_line_reads_like_a_list_of_clauses():
    line = ReadingLine(
        asks=True, count=5, liked=(3,), only=("Comedy", "Drama"), together=True, ranges=(("year", 1990.0, None),)
    )
    assert line_parts(line) == ("asks; count 5; like", ItemPart(3), '; all "Comedy", "Drama"; "year" 1990..')
    assert line_parts(ReadingLine()) == ("tells",)


@pytest.mark.parametrize("text", ["", "sure", "ask", "asks; count many", 'asks; rather "Comedy"', "tells; tells"])
def test_another_text_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="^the line .*") as refused:
        parsed_line([text * 1000 if text == "sure" else text])
    assert len(str(refused.value)) < 250 and "\n" not in str(refused.value)


def test_an_item_counts_where_it_stands_first_and_bounds_are_put_in_order():
    parts = ("tells; like", ItemPart(1), ItemPart(1), "; known", ItemPart(1), ItemPart(2), '; "year" 1999..1990')
    assert parsed_line(parts) == ReadingLine(liked=(1,), known=(2,), ranges=(("year", 1990.0, 1999.0),))


@given(st.text(alphabet=st.sampled_from("aé夜\U0001f600\ud800<"), max_size=40), st.integers(0, 3))
def test_a_message_is_cut_in_whole_characters(text, factor):
    part = read_part(text * 10**factor)
    assert len(part.encode()) <= MOST_READ and "\ufffd" not in part
    assert is_reading(reading_prompt(text))


def test_names_in_the_grammar_are_literals():
    grammar = line_grammar(['a" | "b', "c\nd"], ["x]"], 7, 8)
    assert (
        all(re.match(r"\w+: ", rule) for rule in grammar.splitlines()) and json.dumps(json.dumps('a" | "b')) in grammar
    )
    assert "names" not in line_grammar([], [], 7, 8)
