"""Comparisons of years: which messages make one, and with what they compare."""

import pytest

from train_utils.catalog import Catalog, Item
from train_utils.conversation.comparisons import find_comparison, with_compared_years
from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.preferences import Change, Preferences

YEARS = (1950, 1980, 1985, 1990, 1997)
CATALOG = Catalog(
    "films", [Item(str(n), f"Film {n}", attributes={"year": year}) for n, year in enumerate(YEARS)], {}, [], []
)


@pytest.mark.parametrize(
    "text",
    [
        "something newer",
        "like \ue000\ue000\ue000 but newer",
        "do you have anything more recent?",
        "a newer one please",
        "not so old, please",
        "newer than those",
        "Newer films",
        "something that's not as old",
    ],
)
def test_newer_items_are_asked_for(text):
    assert find_comparison(text) == "newer"


@pytest.mark.parametrize("text", ["older please", "an older one", "the same but older", "something less modern"])
def test_older_items_are_asked_for(text):
    assert find_comparison(text) == "older"


def test_a_denied_comparison_admits_equal_years():
    assert find_comparison("nothing older than that") == "not older"
    assert find_comparison("not newer than those please") == "not newer"


@pytest.mark.parametrize(
    "text",
    [
        "a film for my older brother",
        "something for my nan, she is older than me",
        "it doesn't have to be newer",
        "newer or older, I don't mind",
        "we are older now",
        "an old film",
        "the newer my phone the slower it gets",
    ],
)
def test_what_compares_no_items_is_no_comparison(text):
    assert find_comparison(text) == ""


def years_after(change: Change, listed: tuple[int, ...] = ()) -> tuple[Range, ...]:
    return with_compared_years(change, CATALOG, listed).ranges


def test_named_titles_are_compared_with_the_newest_or_oldest_of_them():
    liked = ((1,), (3,))
    assert years_after(Change(compared="newer", liked=liked), (0,)) == (Range("year", 1991, None, relative=True),)
    assert years_after(Change(compared="older", liked=liked)) == (Range("year", None, 1979, relative=True),)


def test_a_list_is_compared_with_the_item_in_its_middle():
    assert years_after(Change(compared="newer"), (0, 1, 4)) == (Range("year", 1981, None, relative=True),)


def test_a_denied_comparison_has_the_years_of_the_titles_themselves():
    liked = ((1,), (3,))
    assert years_after(Change(compared="not older", liked=liked)) == (Range("year", 1980, None),)
    assert years_after(Change(compared="not newer", liked=liked)) == (Range("year", None, 1990),)
    assert years_after(Change(compared="not older"), (0, 1, 4)) == (Range("year", 1980, None, relative=True),)


def test_a_comparison_keeps_the_other_bound_that_was_stated():
    stated = Preferences(ranges={"year": Range("year", 1985, None)})
    older = Change(ranges=(Range("year", None, 1989, relative=True),))
    assert stated.after(older).ranges == {"year": Range("year", 1985, 1989)}
    newer = Change(ranges=(Range("year", 1991, None, relative=True),))
    assert stated.after(newer).ranges == {"year": Range("year", 1991, None, relative=True)}
    oldest = Change(ranges=(Range("year", None, 1980, relative=True),))
    assert stated.after(oldest).ranges == {"year": Range("year", None, 1980, relative=True)}


def test_without_titles_or_a_list_there_is_no_range():
    assert years_after(Change(compared="newer")) == ()
    assert years_after(Change(), (0, 1)) == ()


def test_a_comparison_holds_until_the_user_turns_to_other_categories():
    newer = Preferences(only=("Comedy",), ranges={"year": Range("year", 1981, None, relative=True)})
    kept, turned = newer.after(Change(asks=True)), newer.after(Change(asks=True, only=("Horror",)))
    assert kept.ranges == newer.ranges and turned.ranges == {}
    stated = Preferences(only=("Comedy",), ranges={"year": Range("year", 1981, None)})
    assert stated.after(Change(asks=True, only=("Horror",))).ranges == stated.ranges
