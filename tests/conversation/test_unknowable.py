"""Wishes for facts that the catalog lacks are named, and nothing else is."""

import pytest
from test_reader import CATALOG, READER

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.conversation.unknowable import unknowable_notice
from train_utils.prompts.named_titles import NamedTitles


@pytest.mark.parametrize(
    "text,names",
    [
        ("something by Spielberg", ("directors", "actors")),
        ("three comedies with Tom Hanks", ("directors", "actors")),
        ("films directed by kubrick", ("directors", "actors")),
        ("something with tom hanks", ("directors", "actors")),
        ("a film with robert de niro in it", ("directors", "actors")),
        ("anything by kubrick", ("directors", "actors")),
        ("movies by pixar please", ("directors", "actors")),
        ("five films under 90 minutes", ("running times",)),
        ("a western shorter than two hours", ("running times",)),
        ("a drama, nothing too long", ("running times",)),
        ("a comedy on Netflix", ("places to watch",)),
        ("something in French", ("languages", "countries")),
        ("any Japanese horror films?", ("languages", "countries")),
        ("films rated PG-13", ("age ratings",)),
        ("an R-rated comedy", ("age ratings",)),
        ("oscar winners please", ("awards",)),
        ("a highly rated drama", ("ratings",)),
        ("something uplifting", ("moods",)),
        ("three comedies under $20", ("prices",)),
        ("a cheap drama for less than ten dollars", ("prices",)),
    ],
)
def test_a_wish_that_the_catalog_cannot_know_is_named(text, names):
    assert READER.read(text).unknowable == names


@pytest.mark.parametrize(
    "text",
    [
        "I have two hours tonight, what should I watch?",
        "I watched Heat with Tom Smith. A comedy please",
        "I love Tom Hanks",
        "what can I watch with Mom and Dad?",
        "a film with grace and style",
        "something with jack in the title",
        "films by genre please",
        "a comedy by tonight",
        "films by the decade",
        "a comedy by night",
        "three films to watch with paul",
        "a comedy by Friday please",
        "Heat with Al Pacino was great, three like it",
        "Who directed Heat?",
        "for a long flight: three dramas",
        "a comedy with some romance",
        "Is there anything like Heat?",
        "a comedy with cheap thrills",
        "I paid $20 for Heat. A drama please",
    ],
)
def test_other_words_raise_no_false_alarm(text):
    assert READER.read(text).unknowable == ()


def test_a_catalog_that_has_such_facts_is_not_said_to_lack_them():
    items = [Item(str(n), f"Title {n} X", attributes={"director": "X", "runtime": 90 + n}) for n in range(4)]
    catalog = make_catalog("films", items)
    reader = RequestReader(catalog, NamedTitles(catalog.titles))
    assert reader.read("something by Spielberg under 90 minutes, in French").unknowable == ("languages", "countries")


def test_the_notice_says_what_the_catalog_has():
    assert unknowable_notice(("directors", "actors", "running times"), CATALOG) == (
        "films knows no directors, actors or running times: that part of the request is left out; "
        "it knows categories and year"
    )


def test_a_price_that_few_items_have_is_said_to_be_left_out():
    def reader(priced):
        items = [Item(str(n), f"Title {n} X", attributes={"price": n} if n < priced else {}) for n in range(1, 5)]
        catalog = make_catalog("shop", items)
        return RequestReader(catalog, NamedTitles(catalog.titles))

    assert reader(priced=2).read("two items under $3").unknowable == ("prices",)
    whole = reader(priced=5).read("two items under $3")
    assert whole.unknowable == () and whole.ranges
