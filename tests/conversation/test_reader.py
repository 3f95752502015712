"""A message is read as a careful reader would: numbers, titles, categories, ranges, and what is rejected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.preferences import Preferences
from train_utils.conversation.reader import READ, RequestReader
from train_utils.prompts.named_titles import NamedTitles

FILMS = {
    "Alien": (["Horror", "Sci-Fi"], 1979),
    "Blade Runner": (["Sci-Fi"], 1982),
    "Toy Story": (["Animation", "Children's", "Comedy"], 1995),
    "Lion King, The": (["Animation", "Children's", "Musical"], 1994),
    "Heat": (["Action", "Crime"], 1995),
    "Twelve Monkeys": (["Sci-Fi"], 1995),
    "Terminator 2: Judgment Day": (["Action", "Sci-Fi"], 1991),
    "Seven (Se7en)": (["Crime"], 1995),
    "Emma": (["Drama", "Romance"], 1996),
    "Love Affair": (["Romance"], 1994),
    "Casablanca": (["Drama", "Romance", "War"], 1942),
    "One Fine Day": (["Drama", "Romance"], 1998),
    "Unforgiven": (["Western"], 1992),
    "Mystery Train": (["Comedy", "Mystery"], 1989),
}
# What an encoder of sentences would find near a category, by the first word of the phrase.
MEANINGS = {"funny": "Comedy", "scary": "Horror", "romantic": "Romance", "cartoon": "Animation", "kids": "Children's"}


def catalog_of(films=FILMS):
    items = [
        Item(str(i), title, tuple(categories), attributes={"year": year})
        for i, (title, (categories, year)) in enumerate(films.items())
    ]
    return make_catalog("films", items, {"u": [item.id for item in items]})


def judgments(reader, titles, text):
    """Return {title: what a message says of it}."""
    change = reader.read(text)
    kinds = ("liked", "disliked", "known")
    return {titles[items[0]]: kind for kind in kinds for items in getattr(change, kind)}


CATALOG = catalog_of()


def encode(texts):
    """A direction of its own for each category, which words with its meaning share; no direction for other words."""
    names = list(CATALOG.categories)
    vectors = np.zeros((len(texts), len(names)))
    for row, text in zip(vectors, texts, strict=True):
        words = text.rsplit(" ", 1)[0]
        name = MEANINGS.get(words, words)
        if name in names:
            row[names.index(name)] = 1.0
    return vectors


READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles), encode)


def read(text):
    change = READER.read(text)
    filled = {name: value for name, value in vars(change).items() if value}
    for kind in ("liked", "disliked", "known", "about"):
        if kind in filled:
            filled[kind] = [CATALOG.items[items[0]].title for items in filled[kind]]
    if "ranges" in filled:
        filled["ranges"] = [(entry.attribute, entry.low, entry.high) for entry in filled["ranges"]]
    return filled


@pytest.mark.parametrize(
    "text,filled",
    [
        ("something funny from the nineties", {"only": ("Comedy",), "ranges": [("year", 1990, 1999)]}),
        ("comedies with year > 1985 and year <= 1990", {"only": ("Comedy",), "ranges": [("year", 1986, 1990)]}),
        ("3 more, but no horror", {"count": 3, "more": True, "without": ("Horror",)}),
        ("5 similar movies to Alien and Blade Runner", {"count": 5, "liked": ["Alien", "Blade Runner"]}),
        ("I enjoyed Toy Story -> Heat -> Alien, what next?", {"liked": ["Toy Story", "Heat", "Alien"]}),
        ("forget that, something for children", {"forget": True, "only": ("Children's",)}),
        ("actually no westerns", {"without": ("Western",)}),
        ("a couple of romantic comedies", {"count": 2, "only": ("Romance", "Comedy"), "together": True}),
        ("a comedy or a drama", {"only": ("Comedy", "Drama")}),
        (
            "Give me ten dramas, no war, horror or musicals",
            {"count": 10, "only": ("Drama",), "without": ("War", "Horror", "Musical")},
        ),
        ("anything but musicals or war movies please", {"without": ("Musical", "War")}),
        ("nothing but comedies", {"only": ("Comedy",)}),
        ("not only comedies", {"any_category": True}),
        ("any genre is fine", {"any_category": True}),
        ("an action movie that isn't a comedy", {"only": ("Action",), "without": ("Comedy",)}),
        ("my 3 kids want 2 cartoon films, nothing scary", {"count": 2, "only": ("Animation",), "without": ("Horror",)}),
        ("make it 7", {"count": 7}),
        ("another one please", {"count": 1, "more": True}),
        ("two of those in sci fi", {"count": 2, "only": ("Sci-Fi",)}),
        ("scifi please", {"only": ("Sci-Fi",)}),
    ],
)
def test_a_request_is_read(text, filled):
    assert read(text) == {"asks": True, **filled}


@pytest.mark.parametrize(
    "text,filled",
    [
        ("I have already seen Heat and hated Alien", {"known": ["Heat"], "disliked": ["Alien"]}),
        ("We watched Toy Story and the kids adored it.", {"liked": ["Toy Story"]}),
        ("Alien was terrible.", {"disliked": ["Alien"]}),
        ("loved the lion king", {"liked": ["Lion King, The"]}),
        ("i like emma and heat", {"liked": ["Emma", "Heat"]}),
        ("I saw it in the heat of the day", {}),
        ("I'm Emma.", {}),
        ("one fine day we met", {}),
        ("loved 12 monkeys", {"liked": ["Twelve Monkeys"]}),
        ("I liked Terminator 2 and Se7en.", {"liked": ["Terminator 2: Judgment Day", "Seven (Se7en)"]}),
        ("Love Affair is great.", {"liked": ["Love Affair"]}),
        ("What is 12 times 7?", {}),
        ("Tom has 5 apples and buys 3 more. How many apples does he have?", {}),
        ("Who directed Heat?", {"about": ["Heat"]}),
        ("who directed heat", {"about": ["Heat"]}),
        ("what genre is heat?", {"about": ["Heat"]}),
        ("What kind of movie is Heat?", {"about": ["Heat"]}),
        ("Write a poem about the sea.", {}),
        ("thanks!", {}),
    ],
)
def test_talk_asks_for_nothing(text, filled):
    assert read(text) == filled


@pytest.mark.parametrize(
    "text,low,high",
    [
        ("films from 1994", 1994, 1994),
        ("films of the 80s", 1980, 1989),
        ("films of the 1940's", 1940, 1949),
        ("films from the seventies or eighties", 1970, 1989),
        ("films between 1960 and 1975", 1960, 1975),
        ("films between 1975 and 1960", 1960, 1975),
        ("films from 1994 or 1980", 1980, 1994),
        ("films from the 90s and the 80s", 1980, 1999),
        ("5 films after 1990 and before 1995", 1991, 1994),
        ("5 films before 1995 and after 1990", 1991, 1994),
        ("no black and white films or anything before 1960", 1960, None),
        ("films from 1990-1995", 1990, 1995),
        ("scary films of 1996, 1997 or 1998", 1996, 1998),
        ("films before 1980", None, 1979),
        ("films until 1980", None, 1980),
        ("films from 1980 at the latest", None, 1980),
        ("films after 1990", 1991, None),
        ("films since 1990", 1990, None),
        ("films from 1990 on", 1990, None),
        ("films from 1985 or newer", 1985, None),
        ("nothing before 1980 please", 1980, None),
        ("nothing after 1980 please", None, 1980),
        ("films of the last ten years", 1989, 1998),
        ("films from '96", 1996, 1996),
        ("films between 85 and 95", 1985, 1995),
        ("films from the fourties", 1940, 1949),
        ("films of the nineteen fifties", 1950, 1959),
        ("films from 1980+", 1980, None),
        ("films, max 1985", None, 1985),
        ("No subtitles, no black and white, nothing older than 1980", 1980, None),
    ],
)
def test_years_are_read(text, low, high):
    assert read(text)["ranges"] == [("year", low, high)]


@pytest.mark.parametrize(
    "text",
    [
        "I was born in 1975, what should I watch?",
        "give me films, nothing from the eighties",
        "a film that costs 1990 dollars?",
    ],
)
def test_other_numbers_are_no_years(text):
    assert "ranges" not in read(text)


@pytest.mark.parametrize("number", ["2 hours", "my 3 kids", "4 stars", "30 minutes", "2 people"])
def test_other_numbers_are_no_counts(number):
    assert "count" not in read(f"I have {number}, recommend something")


def test_prices_are_read_where_the_catalog_has_them():
    items = [Item(str(i), f"Lamp {i} X", ("Lamps",), attributes={"price": 5.0 * i}) for i in range(1, 9)]
    catalog = make_catalog("shop", items, {"u": ["1", "2", "3"]})
    reader = RequestReader(catalog, NamedTitles(catalog.titles))
    for text, low, high in (("lamps under $20", None, 20), ("2 lamps, price at least 10.5", 10.5, None)):
        (entry,) = reader.read(text).ranges
        assert (entry.attribute, entry.low, entry.high) == ("price", low, high)


def test_what_was_named_is_not_listed_after_a_new_start():
    preferences = Preferences()
    for text in ("3 comedies, no horror. I liked Heat", "start over"):
        preferences = preferences.listing([3]).after(READER.read(text))
    rules = preferences.rules(CATALOG)
    assert preferences.describe(CATALOG) == "" and not rules.categories and not rules.without_categories
    assert set(rules.deny) == {CATALOG.items[3].id, CATALOG.items[CATALOG.titles.index("Heat")].id}


def test_the_newest_statement_wins_and_the_rules_follow():
    preferences = Preferences()
    for text in ("5 comedies, no horror", "liked Heat, hated Emma", "rather horror from the 90s", "I hated Heat"):
        preferences = preferences.after(READER.read(text))
    rules = preferences.listing([3]).rules(CATALOG)
    assert rules.categories == ("Horror",) and rules.without_categories == ()
    assert rules.where == {"year": {">=": 1990, "<=": 1999}}
    assert set(rules.deny) == {CATALOG.items[i].id for i in (3, 4, 8)}
    assert preferences.liked == ()
    assert preferences.describe(CATALOG) == "Horror · year 1990 to 1999 · not like Emma, Heat"


PIECES = [
    *"abc <>/0129'\"\n\t.,;!?-$",
    "Alien",
    "horror",
    "no ",
    "but ",
    "1990",
    "\ue000",
    "<SOI>",
    "a couple of ",
    "90s ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_is_read_and_gives_rules_of_the_catalog(text):
    preferences = Preferences().after(READER.read(text))
    rules = preferences.rules(CATALOG)
    assert {*rules.categories, *rules.without_categories} <= set(CATALOG.categories)
    assert preferences.count is None or 1 <= preferences.count <= 100


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**5,
        "no " * 10**5,
        "Alien, " * 10**5,
        "1990 " * 10**5,
        "\ue000" * 10**5,
        "a couple of " * 10**4,
        "\n " * 10**5,
        "the " * 10**5,
        "so " * 10**5,
        "best " * 10**5,
    ],
)
def test_a_long_message_is_read_up_to_a_limit(text):
    assert READER.read(text) == READER.read(text[:READ])


@pytest.mark.parametrize(
    "text",
    [
        "4 more but no horror and nothing older than 1985",
        "no horror or anything older than 1985",
        "no horror and not older than 1985",
        "without horror and without anything before 1985",
        "not horror or anything before 1985",
    ],
)
def test_a_year_after_an_excluded_category_leaves_it_excluded(text):
    change = read(text)
    assert change["without"] == ("Horror",) and change["ranges"] == [("year", 1985, None)]
