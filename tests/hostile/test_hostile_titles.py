"""Hostile titles and texts are cleaned, named and matched in linear time, or refused with a reason."""

import sys
import unicodedata

import pytest
from limits import run_limited
from readers.records import MAX_TITLE
from small_events import plain_rules
from titles import TitleRules, clean_text, title_or_reason, unique_titles

from train_utils import catalog
from train_utils.catalog import Item, make_catalog
from train_utils.characters import MAX_MARKS, few_marks
from train_utils.evaluation.title_matching import TitleReader
from train_utils.prompts.named_titles import NamedTitles

# Each was cleaned in the square of its length or worse.
HOSTILE = {
    "comments": "<!--",
    "nested entities": "&" + "amp;",
    "nested tags": "<SO",
    "functions": "function ",
    "open functions": "function(",
    "variables": "var ",
    "scripts": "<script>",
    "script ends": "<script></script ",
    "styles": "{a:b;",
    "marks": "\u0301\u0316",
    "tibetan marks": "\u0f73",
    "voiced marks": "\u0301" * 30 + "\uff9e",
    "spaces": " \u00a0",
    "bidi": "\u202e\u202d",
    "joiners": "\u200d",
    "controls": "\x00",
    "surrogates": "\ud800",
}


def calls(work) -> int:
    """Return the number of calls, of Python and of C, that the work makes."""
    count = 0

    def note(*_) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_twice_the_text_is_cleaned_with_at_most_twice_the_work(text):
    def work(n: int) -> int:
        return calls(lambda: clean_text("a" + text * n + "I>" * n))

    assert work(4000) <= 2.1 * work(2000) + 50


def test_the_text_between_two_calls_is_read_in_linear_time_too():
    """Inside a regular expression or a normalization no call is counted: quadratic work would take hours here."""
    code = """
import ast, sys
from titles import clean_text, title_or_reason
from small_events import plain_rules
from train_utils.evaluation.title_matching import TitleReader
from train_utils.prompts.named_titles import NamedTitles
titles = ["Heat", "It", "M", *(f"The {n}" for n in range(1000))]
reader, named = TitleReader(titles), NamedTitles(titles)
for text in ast.literal_eval(sys.argv[1]):
    text = "a" + text * (100_000 // len(text))
    clean_text(text)
    title_or_reason(text, plain_rules())
    reader.read_list(text)
    reader.read_list("1. " + text)
    named.find(text[:10_000])
"""
    others = ["\n", "- ", " - ", "** ", "1. ", "the ", "It ", "M ", "It", '"']
    run_limited(code, [*HOSTILE.values(), *others], seconds=30)


def test_what_is_nested_is_cleaned_and_what_is_nested_too_deeply_is_refused():
    assert clean_text("Tom &amp;amp;amp;amp;#38;#x26;amp; Jerry") == "Tom & Jerry"
    assert clean_text("&" + "amp;" * 20_000 + "lt;b&gt;x") == "x"
    assert clean_text("<SO<SO<SOI>I>I>x") == "x"
    nested = "<SO" * 20_000 + "I>" * 20_000
    assert clean_text(nested) == ""
    title, reason = title_or_reason("<a" * 500 + ">" * 500, plain_rules())
    assert title is None and reason == "title of markup in markup"


@pytest.mark.parametrize("text", ["<!-- a", "x <!-- a <!-- b", "x<!--"])
def test_a_comment_without_an_end_ends_with_the_text_as_in_browsers(text):
    assert clean_text(text) == ("x" if text.startswith("x") else "")


def test_no_tokenizer_gets_a_raw_title_of_any_length():
    longest = 0

    def round_trip(text: str) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return text

    title, _ = title_or_reason("word " * 10**6, TitleRules((), round_trip))
    assert title and longest <= MAX_TITLE


def test_marks_above_the_limit_are_left_out_and_those_of_languages_stay():
    stacked = "a" + "\u0301\u0316" * 10**5 + "b"
    assert few_marks(stacked) == stacked[: MAX_MARKS + 1] + "b"
    for text in ("Amélie", "Ame\u0301lie", "हिन्दी", "ประเทศไทย", "\u1112\u1161\u11ab", "בְּרֵאשִׁית"):
        assert few_marks(text) == text and clean_text(text) == unicodedata.normalize("NFC", text)
    title, reason = title_or_reason("\u0301" * 10**6, plain_rules())
    assert title is None and reason == "title empty"


def test_titles_that_are_cut_to_one_form_are_numbered_in_linear_work():
    def work(n: int) -> int:
        count = 0

        def round_trip(text: str) -> str:
            nonlocal count
            count += 1
            return text

        rules = TitleRules((), round_trip, 16, lambda text: len(text.split(" ")))
        titles = {f"{copy}{k}": " ".join(["w"] * 14 + [f"x{k}", "y"]) for k in range(n) for copy in "ab"}
        final = unique_titles(titles, rules)
        assert len(set(final.values())) == 2 * n
        return count

    assert work(200) <= 2.2 * work(100)


def test_a_title_of_a_catalog_is_bounded():
    with pytest.raises(
        ValueError, match=f"has a title of 500000 characters, 'xxx.*wanted at most {catalog.MAX_TITLE}"
    ) as raised:
        make_catalog("c", [Item("1", "x" * 500_000)])
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
    assert make_catalog("c", [Item("1", "x" * catalog.MAX_TITLE)]).titles


def test_a_long_entry_of_a_model_s_list_is_compared_with_no_title():
    reader = TitleReader(["Heat", "Big"])
    text = "1. Heat - " + "a - " * 50_000 + "\n2. " + "x" * 10**6 + "\n3. Big"
    assert [named.item for named in reader.read_list(text)] == [0, None, 1]


def test_the_longest_of_very_many_titles_with_one_beginning_is_named():
    titles = [f"The {'x' * n}{m}" for n in range(30) for m in range(30)]
    named = NamedTitles(titles)
    assert [titles[item] for item in named.find(f"I saw {titles[7]}, {titles[899]} and The xxy")] == [
        titles[7],
        titles[899],
    ]
