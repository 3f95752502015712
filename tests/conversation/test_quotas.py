"""Numbers of items per category are read where a message numbers every category."""

import pytest
from test_reader import CATALOG, READER

from train_utils.conversation.preferences import Preferences


@pytest.mark.parametrize(
    "text,count,quotas",
    [
        ("two comedies and a drama", 3, (("Comedy", 2), ("Drama", 1))),
        ("give me 2 good comedies, 3 westerns and one drama please", 6, (("Comedy", 2), ("Western", 3), ("Drama", 1))),
        ("one horror film plus two war films", 3, (("Horror", 1), ("War", 2))),
        ("two of each: comedies and dramas", 4, (("Comedy", 2), ("Drama", 2))),
        ("comedies and dramas, one of each", 2, (("Comedy", 1), ("Drama", 1))),
        ("two comedies or dramas", 2, ()),
        ("a comedy and a drama", None, ()),
        ("two romantic comedies and a western", 2, ()),
        ("a comedy or two", None, ()),
        ("two comedies, no drama", 2, ()),
        ("200 comedies and 300 dramas", 100, ()),
    ],
)
def test_numbers_of_categories_are_read(text, count, quotas):
    change = READER.read(text)
    assert (change.count, change.quotas) == (count, quotas)


def test_quotas_hold_for_one_list_and_exclude_items_that_would_count_twice():
    first = Preferences().after(READER.read("two comedies and a mystery"))
    rules = first.rules(CATALOG)
    assert dict(rules.max_per_category) == {"Comedy": 2, "Mystery": 1}
    assert {CATALOG.items[CATALOG.index[item]].title for item in rules.allow} == {"Toy Story"}
    assert first.describe(CATALOG) == "3 items \u00b7 2 Comedy and 1 Mystery"
    assert first.after(READER.read("more")).quotas == ()


def test_more_items_than_a_list_may_have_are_as_many_as_it_may_have():
    for text in ("150 comedies", "give me 300 movies", "10000 movies please"):
        assert READER.read(text).count == 100
    assert READER.read("dramas of 1994").count is READER.read("movies under 120 minutes").count is None
