"""Limits of categories and excluded years are read, hold until they are lifted, and are rules of the list."""

import pytest
from test_reader import CATALOG, READER, read

from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.preferences import Preferences


def after(*messages):
    asked = Preferences()
    for message in messages:
        asked = asked.after(READER.read(message))
    return asked


@pytest.mark.parametrize(
    "text,count,limits",
    [
        ("5 films, at most two dramas", 5, {"Drama": 2}),
        ("six movies with no more than 2 comedies please", 6, {"Comedy": 2}),
        ("recommend 8 movies, 3 dramas at most", 8, {"Drama": 3}),
        ("recommend eight movies, dramas at most 3", 8, {"Drama": 3}),
        ("7 movies. Max 2 of them westerns", 7, {"Western": 2}),
        ("5 films, up to 2 of which can be dramas, and at most one western", 5, {"Drama": 2, "Western": 1}),
        ("10 films, fewer than three of them horror", 10, {"Horror": 2}),
        ("a few films, but not more than one horror", None, {"Horror": 1}),
        ("ok but max one western please", None, {"Western": 1}),
        ("fewer than three of them dramas", None, {"Drama": 2}),
    ],
)
def test_a_limit_in_a_list_of_others_is_no_request_for_the_category(text, count, limits):
    change = READER.read(text)
    assert (change.asks, change.count, dict(change.limits), change.only) == (True, count, limits, ())


@pytest.mark.parametrize("text", ["give me at most two comedies", "comedies, at most 2", "no more than two comedies"])
def test_a_limit_alone_is_the_number_of_items(text):
    assert read(text) == {"asks": True, "count": 2, "only": ("Comedy",)}


def test_limits_hold_in_later_lists_until_the_category_is_asked_for_or_rejected():
    asked = after("5 films, at most two dramas", "3 more")
    assert dict(asked.rules(CATALOG).max_per_category) == {"Drama": 2}
    assert asked.describe(CATALOG) == "3 items \u00b7 at most 2 Drama"
    for message in ("now only dramas", "no dramas", "dramas are fine now", "forget all that"):
        assert not asked.after(READER.read(message)).limits, message
    assert not asked.lifted("without").limits


def test_a_limit_ends_the_request_for_the_category_alone():
    asked = after("romantic comedies", "4 films, at most one comedy")
    assert (asked.only, dict(asked.limits)) == ((), {"Comedy": 1})
    assert after("comedies or westerns", "4 films, at most one comedy").only == ("Western",)


def test_a_limit_holds_with_numbers_of_other_categories():
    asked = after("2 comedies and 3 westerns", "but at most one western")
    assert dict(asked.rules(CATALOG).max_per_category) == {"Western": 1}
    asked = after("but at most one drama", "2 comedies and 3 westerns")
    assert dict(asked.rules(CATALOG).max_per_category) == {"Comedy": 2, "Western": 3, "Drama": 1}


@pytest.mark.parametrize(
    "text,low,high",
    [
        ("a comedy, not from the nineties", 1990, 1999),
        ("anything but no 80s movies", 1980, 1989),
        ("nothing from 1995 please", 1995, 1995),
        ("no movies from the 70s or 80s", 1970, 1989),
        ("dramas from before 1950 or after 1996", 1950, 1996),
        ("after the nineties or older than 1980 please", 1980, 1999),
    ],
)
def test_years_can_be_excluded(text, low, high):
    asked = after(text)
    assert asked.excluded == (Range("year", low, high),)
    assert not asked.ranges
    assert asked.rules(CATALOG).where == {"year": {"outside": [[low, high]]}}


@pytest.mark.parametrize(
    "text,wanted,excluded",
    [
        ("not from 1996 and not from 1977", None, [(1996, 1996), (1977, 1977)]),
        ("a film from the nineties, but not from 1996 or from 1998", (1990, 1999), [(1996, 1996), (1998, 1998)]),
        ("not the eighties, the nineties please", (1990, 1999), [(1980, 1989)]),
        ("something from the eighties, not 1985, and not from 1987 please", (1980, 1989), [(1985, 1985), (1987, 1987)]),
    ],
)
def test_each_year_of_a_message_is_asked_for_or_excluded(text, wanted, excluded):
    asked = after(text)
    assert asked.ranges == ({"year": Range("year", *wanted)} if wanted else {})
    assert asked.excluded == tuple(Range("year", *bounds) for bounds in excluded)


def test_a_denied_pair_of_bounds_is_what_lies_between():
    for text in ("nothing before 1950 or after 1996", "no films from after 1996 or before 1950"):
        asked = after(text)
        assert asked.ranges == {"year": Range("year", 1950, 1996)} and not asked.excluded


def test_excluded_years_add_up_and_hold_until_they_are_asked_for():
    asked = after("no movies from the 70s", "from the nineties", "but not 1995")
    assert asked.describe(CATALOG) == "year 1990 to 1999 \u00b7 year not 1970 to 1979 \u00b7 year not 1995"
    assert asked.rules(CATALOG).where == {"year": {">=": 1990, "<=": 1999, "outside": [[1970, 1979], [1995, 1995]]}}
    assert after("not from the nineties", "a film from 1995").excluded == ()
    assert after("not from the nineties", "any year is fine").excluded == ()
    assert after("from the nineties", "not from the nineties").ranges == {}
    assert asked.lifted("where").excluded == ()


def test_what_is_also_of_another_category_is_of_both():
    both = {"asks": True, "only": ("Comedy", "Romance"), "together": True}
    assert read("comedies that are also romances") == both
    assert read("movies that are comedies and also romances") == both
