"""Predicates by meaning: who does what with a title, or what the title does to them, and in which order."""

import pytest
from test_reader import catalog_of, judgments

from train_utils.conversation.reader import RequestReader
from train_utils.conversation.words.asides import without_asides
from train_utils.conversation.words.judging_verbs import forms
from train_utils.prompts.named_titles import NamedTitles

TITLES = ["Vertigo", "Speed", "Chinatown", "Heat", "Amadeus", "Contact", "Evita", "Babe", "Casino", "Volcano", "Friday"]
TITLES += ["Home Alone", "Home Alone 3", "Jaws", "Jaws 2", "Zulu Dawn", "Zulu"]  # the last two are held out
CATALOG = catalog_of({title: (["Comedy", "Western", "Children's"], 1990) for title in TITLES})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def read(text):
    return judgments(READER, TITLES, text)


@pytest.mark.parametrize(
    ("text", "judgments"),
    [
        ("Evita my mother could not endure", {"Evita": "disliked"}),
        ("Heat nobody in the room cared for", {"Heat": "disliked"}),
        ("Casino I found far too long", {"Casino": "disliked"}),
        ("Babe we both fancied, Volcano we both switched off", {"Babe": "liked", "Volcano": "disliked"}),
        ("Chinatown brilliant, Volcano rubbish", {"Chinatown": "liked", "Volcano": "disliked"}),
        ("Amadeus top, Evita flop", {"Amadeus": "liked", "Evita": "disliked"}),
        ("he was charmed by Babe and by Amadeus", {"Babe": "liked", "Amadeus": "liked"}),
        ("I saw Contact. It pleased me enormously", {"Contact": "liked"}),
        ("I saw Contact. It never moved me", {"Contact": "disliked"}),
        ("we tried Volcano. Utter garbage", {"Volcano": "disliked"}),
        ("Babe and Evita: the former delighted me, the latter bored me", {"Babe": "liked", "Evita": "disliked"}),
        ("I saw Heat and Casino. Loved the first, hated the second", {"Heat": "liked", "Casino": "disliked"}),
        ("Evita, if you ask me, was unbearable", {"Evita": "disliked"}),
        ("Volcano is for me boring", {"Volcano": "disliked"}),
        ("Volcano made my ears bleed", {"Volcano": "disliked"}),
        ("Evita had me begging for the interval", {"Evita": "disliked"}),
        ("Heat rubbed me up the wrong way", {"Heat": "disliked"}),
        ("nothing has topped Amadeus", {"Amadeus": "liked"}),
        ("I judge people who don't like Amadeus", {"Amadeus": "liked"}),
        ("Heat and Casino. Seen em. Next", {"Heat": "known", "Casino": "known"}),
        ("Last year we did Jaws and Vertigo", {"Jaws": "known", "Vertigo": "known"}),
        ("Babe was on tv yesterday, so not that", {"Babe": "known"}),
        ("my kids outgrew Babe", {"Babe": "known"}),
    ],
)
def test_predicates_are_read_by_meaning(text, judgments):
    assert read(text) == judgments


def test_a_day_is_no_title_where_it_says_when():
    assert read("I need three comedies before Friday") == {}
    assert read("I loved Friday") == {"Friday": "liked"}


def test_parts_of_a_series_are_read_by_their_numbers():
    assert read("I love home alone 1 and 3") == {"Home Alone": "liked", "Home Alone 3": "liked"}
    assert read("I loved jaws 7, awful poster though") == {}


def test_children_who_act_are_no_category():
    assert READER.read("Kids went mad for Babe. Ideas?").only == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a brace of westerns please", 2),
        ("which 3 should I pack?", 3),
        ("let it be five this time", 5),
    ],
)
def test_numbers_of_items_in_other_words(text, count):
    assert READER.read(text).count == count


def test_two_things_that_titles_are_are_no_number_of_items():
    assert READER.read("Heat and Casino are two masterpieces. What next?").count is None


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("cut anything before 1970", (1970, None)),
        ("drop everything newer than 1985", (None, 1985)),
        ("Born in 1968, surprise me with films from my birth year", (1968, 1968)),
    ],
)
def test_years_that_are_cut_off(text, bounds):
    assert [(entry.low, entry.high) for entry in READER.read(text).ranges] == [bounds]


def test_a_decade_in_which_somebody_grew_up_dates_no_film():
    assert READER.read("I'm a 90s kid, any comedies?").ranges == ()


def test_asides_leave_the_sentence():
    assert without_asides("Heat, if you ask me, was dull") == "Heat was dull"
    assert without_asides("Heat btw = dull, lol") == "Heat = dull"


def test_verbs_have_their_inflections():
    worry = ["worry", "worries", "worried", "worrying"]
    assert forms("give up on") == "give up on, gives up on, gave up on, given up on, giving up on"
    assert forms("worry, love, grip").split(", ") == (
        [*worry, "love", "loves", "loved", "loving", "grip", "grips", "gripped", "gripping"]
    )
