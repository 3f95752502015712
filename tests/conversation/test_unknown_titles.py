"""Titles that the catalog lacks are named as typed, in any case, where only a title can be meant, and nowhere else."""

import pytest
from test_reader import catalog_of

from train_utils.conversation.reader import RequestReader
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.near_titles import NearTitles

TITLES = [
    "Heat",
    "Fargo",
    "Blade Runner",
    "Ed Wood",
    "Romy and Michele's High School Reunion",
    "Heathers",
    "Game, The",
    "Contact",
    "Hackers",
    "Sneakers",
    "Beverly Hills Cop III",
    "Clueless",
]
CATALOG = catalog_of({title: (["Drama", "Sci-Fi", "Action"], 1980 + i) for i, title in enumerate(TITLES)})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def unknown(text: str) -> list[str]:
    return list(READER.read(text).unknown)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("films like inception", ["inception"]),
        ("films like the thing", ["the thing"]),
        ("oh. then like the fly?", ["the fly"]),
        ("i need something in the spirit of amelie, maybe french", ["amelie"]),
        ("a comedy as dumb as zoolander", ["zoolander"]),
        ("abeg I want action film wey be like rambo 2", ["rambo 2"]),
        ("GIVE ME MOVIES LIKE FOOBAR RETURNS", ["FOOBAR RETURNS"]),
        ("nah i mean like hereditary, the witch, midsommar", ["hereditary", "the witch", "midsommar"]),
    ],
)
def test_what_a_film_is_compared_with_is_a_title(text, names):
    assert unknown(text) == names and READER.read(text).asks


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("u got inception? interstellar?", ["inception", "interstellar"]),
        ("are barbie and oppenheimer in your list?", ["barbie", "oppenheimer"]),
        ("got oppenhiemer or dune on here?", ["oppenhiemer", "dune"]),
        ("is the new dune any good", ["dune"]),
        ("do u have amarcord or la dolce vita by fellini", ["amarcord", "la dolce vita"]),
        ("ooh murder on the orient express, is that on here?", ["murder on the orient express"]),
        ("Barton Fink maybe you do not have?", ["Barton Fink"]),
        ("Coming to America, you get am?", ["Coming to America"]),
        ("who directed Inception?", ["Inception"]),
        ("you dont have zoolander??", ["zoolander"]),
    ],
)
def test_what_a_question_asks_the_catalog_for_is_a_title_and_no_list_is_asked_for(text, names):
    assert unknown(text) == names and not READER.read(text).asks


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("parasite was insane, whats next for me", ["parasite"]),
        ("barbie did nothing for me. neither did clueless", ["barbie"]),
        ("collateral, been there done that", ["collateral"]),
        ("temple of doom gives me the ick", ["temple of doom"]),
        ("she says out of africa is her favourite", ["out of africa"]),
        ("they're over paddington. no musicals please", ["paddington"]),
        ("not a fan of contact, too preachy. not a fan of cocoon either", ["cocoon"]),
        ("not ghostbusters, ive seen that one", ["ghostbusters"]),
        ("aye fargo's a wee gem. gregory's girl and all", ["gregory's girl"]),
        ("Wayne's World fan, 40 and not ashamed of it", ["Wayne's World"]),
        ("obsessed w heat rn. also hereditary. what do i watch", ["hereditary"]),
        ("i want to watch inception", ["inception"]),
        ("show me shrek", ["shrek"]),
    ],
)
def test_what_is_judged_or_wanted_as_only_films_are_is_a_title(text, names):
    assert unknown(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hackers, sneakers, wargames: watched, skip", ["wargames"]),
        ("edward scissorhands, ed wood, beetlejuice, that sort of thing", ["edward scissorhands", "beetlejuice"]),
        ("blade runner, total recall, predator... love all of those", ["total recall", "predator"]),
        ("he rates fargo and zulu very highly", ["zulu"]),
        ("blade runner done, total recall done. others?", ["total recall"]),
        ("memento, gladiator, shrek", ["memento", "gladiator", "shrek"]),
        ("already seen ghostbusters, gremlins and beetlejuice", ["ghostbusters", "gremlins", "beetlejuice"]),
    ],
)
def test_members_of_an_enumeration_of_titles_are_titles(text, names):
    assert unknown(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "school was insane today, need a comedy",
        "traffic was horrible, i just want to relax",
        "i loved the soundtrack of that one",
        "the cinematography was superb",
        "i loved camping and yoga. films about that?",
        "fan of good cinematography here",
        "something like last time",
        "films like the first one",
        "films like the latter",
        "more from that last list",
        "films like the ones you gave me",
        "movies like my dad used to watch",
        "do you have subtitles?",
        "have you got time for a question",
        "is it any good?",
        "got kids, so nothing violent",
        "grandma hates swearing",
        "fargo, snooze, hated it",
        "I fell asleep during Heat, twice, that's how dull it was",
        "heat and popcorn, what a night",
        "fargo and howled with laughter",
        "kumusta, fargo was great",
        "jim carrey gets on my nerves",
        "she adores Audrey Hepburn",
        "my favorite director is Kubrick",
        "the best actor is De Niro",
        "haha",
        "bonjour",
        "reset",
        "spies, gadgets, car chases",
        "mindless fun",
        "thats my kind of thing",
        "love that quiet sort of stuff",
        "what kind of funnel should i use and what pages are needed in this one",
    ],
)
def test_ordinary_words_are_never_called_titles_that_the_catalog_lacks(text):
    assert unknown(text) == []


@pytest.mark.parametrize(
    "text", ["films like romy and michele", "put on heathers at 2am", "like blade runer", "films like hethers"]
)
def test_what_may_mean_a_title_of_the_catalog_is_not_called_missing(text):
    assert unknown(text) == []


def test_a_part_of_a_title_is_its_long_beginning_or_end():
    near = NearTitles(TITLES)
    assert near.is_part("romyandmichele") and near.is_part("schoolreunion")
    assert not near.is_part("highschool") and not near.is_part("heather")
    assert near.has_word("reunion") and not near.has_word("inception")


@pytest.mark.parametrize("text", ["inception, ", "heat, shrek and ", "films like inception ", "u got dune? ", "a-b "])
def test_a_long_message_of_titles_that_the_catalog_lacks_is_read(text):
    assert len(READER.read(text * 1000).unknown) <= 2000


def test_a_rejection_covers_titles_that_an_enumeration_joins_to_one_that_the_catalog_lacks():
    change = READER.read("I couldn't stand The Blair Witch Project or Heat, still want a horror film")
    assert [CATALOG.items[items[0]].title for items in change.disliked] == ["Heat"] and not change.liked
