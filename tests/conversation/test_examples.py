"""Titles that a message names as examples, in lists and as answers; what is added to earlier ranges and categories."""

import pytest
from test_reader import READER, read

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.preferences import Preferences
from train_utils.conversation.reader import RequestReader
from train_utils.prompts.named_titles import NamedTitles

FILMS = {
    "E.T. the Extra-Terrestrial": ("Sci-Fi", 1982),
    "Seven (Se7en)": ("Crime", 1995),
    "Matilda": ("Children's", 1996),
    "Fargo": ("Crime", 1996),
    "Tombstone": ("Western", 1993),
    "Third Man, The": ("Mystery", 1949),
    "Contact": ("Sci-Fi", 1997),
    "Twister": ("Action", 1996),
    "Before Sunrise": ("Romance", 1995),
    "Jungle Book, The": ("Animation", 1994),
}
ITEMS = [
    Item(str(i), title, (name,), attributes={"year": year}) for i, (title, (name, year)) in enumerate(FILMS.items())
]
FEW = make_catalog("few", ITEMS, {"u": [item.id for item in ITEMS]})
FEW_READER = RequestReader(FEW, NamedTitles(FEW.titles))


def named(text):
    change = FEW_READER.read(text)
    return {
        kind: [FEW.items[items[0]].title for items in getattr(change, kind)]
        for kind in ("liked", "disliked", "known")
        if getattr(change, kind)
    }


@pytest.mark.parametrize(
    "text,titles",
    [
        ("fargo done. tombstone done. what next?", ["Fargo", "Tombstone"]),
        ("she knows matilda and fargo by heart", ["Matilda", "Fargo"]),
        ("fargo? seen it. the third man? seen it. dazzle me", ["Fargo", "Third Man, The"]),
        ("a good western for dad, hes seen tombstone and fargo", ["Tombstone", "Fargo"]),
        ("tombstone watched, fargo watched, something new please", ["Tombstone", "Fargo"]),
    ],
)
def test_a_list_of_seen_titles_is_known(text, titles):
    assert named(text) == {"known": titles}


@pytest.mark.parametrize(
    "text,titles",
    [
        ("and before that tombstone, which nobody liked", {"disliked": ["Tombstone"]}),
        ("fargo, which none of us enjoyed", {"disliked": ["Fargo"]}),
        ("disaster movies like twister", {"liked": ["Twister"]}),
        ("wow fargo is the best movie EVER made", {"liked": ["Fargo"]}),
        ("seven was amazing. fargo was meh", {"liked": ["Seven (Se7en)"], "disliked": ["Fargo"]}),
        ("i would like a love story, as before sunrise", {"liked": ["Before Sunrise"]}),
        ("more the jungle book kind of thing", {"liked": ["Jungle Book, The"]}),
        ("i loved et and fargo", {"liked": ["E.T. the Extra-Terrestrial", "Fargo"]}),
    ],
)
def test_what_is_said_of_a_title_decides(text, titles):
    assert named(text) == titles


@pytest.mark.parametrize("text", ["a film for my son, 7.", "a film for my nephew, aged 7.", "give me seven"])
def test_a_number_of_years_or_items_is_no_title(text):
    assert named(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "liked: Alien. disliked: Heat. go",
        "Alien, Heat, that sort of thing",
        "ok then like Casablanca",
        "for my aunt, she adored Casablanca",
        "Casablanca was lovely. which one has the same mood",
        "I have never seen a musical, where do i start",
        "show me the list",
        "Alien dragged. i meant Casablanca",
        "without tom hanks though",
    ],
)
def test_examples_and_short_demands_ask(text):
    assert READER.read(text).asks


@pytest.mark.parametrize(
    "text", ["can i stream the films on here", "do you only give tips", "For my birthday he gave me Alien"]
)
def test_what_asks_for_no_items(text):
    assert not READER.read(text).asks


@pytest.mark.parametrize("text", ["I loved Alien, another horror please", "I adored Heat. Three others of that kind?"])
def test_another_after_an_example_is_no_further_item(text):
    filled = read(text)
    assert "more" not in filled and filled.get("count") != 1


@pytest.mark.parametrize(
    "text", ["I have seen Heat. Any others?", "Heat I know, another please", "you have other ideas?"]
)
def test_others_than_known_titles_are_more(text):
    assert READER.read(text).more


@pytest.mark.parametrize(
    "text,count", [("comedies, five if possible", 5), ("comedies. 4. no horror", 4), ("1. Heat. 2. Emma.", None)]
)
def test_a_number_between_wishes_counts_items(text, count):
    assert READER.read(text).count == count


def after(*messages):
    preferences = Preferences()
    for text in messages:
        preferences = preferences.after(READER.read(text))
    return preferences


@pytest.mark.parametrize("text", ["80s too", "and the eighties as well", "and the 80s also please"])
def test_a_decade_that_is_added_widens_the_range(text):
    assert after("a comedy from the 70s", text).ranges["year"] == Range("year", 1970, 1989)


def test_a_category_that_is_added_and_taken_off_again():
    assert after("a western", "and comedies").only == ("Western", "Comedy")
    assert after("a western", "and comedies", "take the comedies off again").only == ("Western",)


def test_whom_it_is_for_narrows_the_earlier_wish():
    preferences = after("a cartoon", "for kids aged 4 that is")
    assert preferences.together and set(preferences.only) == {"Animation", "Children's"}


@pytest.mark.parametrize(
    "text", ["what is good for my aunt? she likes a western", "Alien bored me but i do like a western. ideas?"]
)
def test_the_taste_of_somebody_is_the_wish_of_a_message_that_asks(text):
    assert read(text)["only"] == ("Western",)
