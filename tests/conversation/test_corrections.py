"""Commands change the preferences, and say what the catalog has where they cannot."""

import pytest
from test_reader import CATALOG

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.corrections import correction
from train_utils.conversation.preferences import Preferences
from train_utils.prompts.named_titles import NamedTitles

TITLES = NamedTitles(CATALOG.titles)


@pytest.mark.parametrize(
    "name,argument,described",
    [
        ("only", "comedy, Drama", "Comedy or Drama"),
        ("without", "horror", "no Horror"),
        ("like", "Toy Story, the lion king", "like Toy Story, The Lion King"),
        ("dislike", "heat", "not like Heat"),
        ("seen", "heat", "known Heat"),
        ("where", "year>=1990", "year from 1990"),
        ("where", "Year = 1994", "year 1994"),
        ("where", "year<1980", "year up to 1979"),
        ("where", "year > 1990", "year from 1991"),
        ("where", "year > 1990.5", "year from 1991"),
    ],
)
def test_a_command_changes_the_preferences(name, argument, described):
    assert Preferences().after(correction(name, argument, CATALOG, TITLES)).describe(CATALOG) == described


def test_only_without_a_name_takes_a_restriction_back():
    restricted = Preferences().after(correction("only", "Comedy", CATALOG, TITLES))
    assert restricted.after(correction("only", "", CATALOG, TITLES)).only == ()


@pytest.mark.parametrize(
    "name,argument,remedy",
    [
        ("only", "Comdey", "did you mean 'Comedy'?"),
        ("without", "", "/without Horror"),
        ("like", "Toy Stroy", "did you mean 'Toy Story'?"),
        ("where", "year", "wanted ATTRIBUTE>=NUMBER, <=, >, < or =; attributes: year"),
        ("where", "price<=3", "there are: year"),
    ],
)
def test_what_the_catalog_lacks_is_told_in_one_line(name, argument, remedy):
    with pytest.raises(ValueError) as raised:
        correction(name, argument, CATALOG, TITLES)
    assert remedy in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "argument,described,condition",
    [
        ("score<7.5", "score below 7.5", {"<": 7.5}),
        ("score > 8", "score above 8", {">": 8}),
        ("score>=8.1", "score from 8.1", {">=": 8.1}),
    ],
)
def test_a_strict_bound_of_decimals_leaves_out_the_number_itself(argument, described, condition):
    catalog = make_catalog("rated", [Item(str(n), f"Title {n}", attributes={"score": 7 + n / 2}) for n in range(5)])
    asked = Preferences().after(correction("where", argument, catalog, NamedTitles(catalog.titles)))
    assert (asked.describe(catalog), asked.rules(catalog).where) == (described, {"score": condition})
