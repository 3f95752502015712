"""Titles that share words, years or a whole title with others are read as the ones that a message names."""

import itertools

import pytest
from test_reader import catalog_of

from train_utils.conversation.reader import RequestReader
from train_utils.prompts.named_titles import NamedTitles

FILMS = {
    "Batman": 1989,
    "Batman & Robin": 1997,
    "Batman Forever": 1995,
    "Ghost": 1990,
    "Ghost and Mrs. Muir, The": 1947,
    "Mrs. Doubtfire": 1993,
    "2001: A Space Odyssey": 1968,
    "Godfather, The": 1972,
    "Godfather: Part II, The": 1974,
    "Star Trek: First Contact": 1996,
    "Star Trek III: The Search for Spock": 1984,
    "Richard III": 1995,
    "Friday": 1995,
    "M": 1931,
    "Cape Fear": 1991,
    "Cape Fear (1)": 1962,
    "Good, The Bad and The Ugly, The": 1966,
    "Don't Be a Menace to South Central While Drinking Your Juice in the Hood": 1996,
    "Fargo": 1996,
}
TITLES = list(FILMS)
CATALOG = catalog_of({title: (["Drama", "Comedy"], year) for title, year in FILMS.items()})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))
SPOKEN = {
    "Ghost and Mrs. Muir, The": "The Ghost and Mrs. Muir",
    "Godfather, The": "The Godfather",
    "Godfather: Part II, The": "The Godfather: Part II",
    "Good, The Bad and The Ugly, The": "The Good, The Bad and The Ugly",
    "Cape Fear (1)": "",
}


def titles(kind):
    return [TITLES[items[0]] for items in kind]


@pytest.mark.parametrize("wording", ["I loved {}. 3 more", "I have already seen {}. Another 2?", "{} were boring"])
def test_any_two_titles_that_and_joins_are_both_read(wording):
    names = {title: SPOKEN.get(title, title) for title in TITLES}
    for one, other in itertools.permutations([title for title in TITLES if names[title]], 2):
        change = READER.read(wording.format(f"{names[one]} and {names[other]}"))
        read = titles([*change.liked, *change.disliked, *change.known])
        assert (sorted(read), change.ranges) == (sorted([one, other]), ()), (one, other)


@pytest.mark.parametrize(
    "text,years",
    [
        ("5 more, made between 1996 and 2001.", (1996, 2001)),
        ("five from 1996 to 2001 please", (1996, 2001)),
        ("5 films, 1996-2001", (1996, 2001)),
    ],
)
def test_the_last_year_of_a_range_is_no_title(text, years):
    change = READER.read(text)
    assert [(entry.low, entry.high) for entry in change.ranges] == [years]
    assert change.liked == ()


def test_the_first_year_of_a_range_is_not_the_year_of_the_title_before_it():
    change = READER.read("5 more like Fargo, 1996 to 2001")
    assert titles(change.liked) == ["Fargo"]
    assert [(entry.low, entry.high) for entry in change.ranges] == [(1996, 2001)]


def test_a_number_is_a_title_where_no_range_ends_with_it():
    assert titles(READER.read("I loved Fargo and 2001. 3 more").liked) == ["Fargo", "2001: A Space Odyssey"]


@pytest.mark.parametrize(
    "text,named",
    [
        ("loved star trek iii: the search for spock", ["Star Trek III: The Search for Spock"]),
        ("I really liked richard iii and fargo", ["Richard III", "Fargo"]),
        ("loved the godfather and part II", ["Godfather, The", "Godfather: Part II, The"]),
        ("my favorites are the good, the bad and the ugly and fargo", ["Good, The Bad and The Ugly, The", "Fargo"]),
        (
            "loved fargo, don't be a menace to south central while drinking your juice in the hood",
            ["Fargo", TITLES[-2]],
        ),
        ("I loved Fargo and Friday, what next?", ["Fargo", "Friday"]),
    ],
)
def test_titles_are_read_in_lower_case_and_as_days(text, named):
    change = READER.read(text)
    assert titles(change.liked) == named
    assert change.disliked == ()


@pytest.mark.parametrize(
    "text,items",
    [
        ("I loved Cape Fear. 3 more", ["Cape Fear", "Cape Fear (1)"]),
        ("I loved Cape Fear (1962). 3 more", ["Cape Fear (1)"]),
        ("I loved Cape Fear from 1991. 3 more", ["Cape Fear"]),
        ("I loved the 1962 Cape Fear. 3 more", ["Cape Fear (1)"]),
        ("3 more like cape fear 1991", ["Cape Fear"]),
    ],
)
def test_the_year_next_to_a_title_says_which_of_several_items_is_meant(text, items):
    change = READER.read(text)
    assert [TITLES[item] for item in change.liked[0]] == items
    assert change.ranges == ()


def test_a_year_that_no_item_of_a_title_has_chooses_none():
    assert [TITLES[item] for item in READER.read("I loved Cape Fear (1950). 3 more").liked[0]] == [
        "Cape Fear",
        "Cape Fear (1)",
    ]
