"""Loosely written words are a title where enough speaks for it: the words, what is around them, and popularity."""

import pytest
from test_reader import catalog_of

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.conversation.words.message_words import weight_of_word
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.near_titles import NearTitles

TITLES = [
    "Cobra Verde",
    "Rocky Balboa IV",
    "Quest, The",
    "Fog, The",
    "Speed",
    "Ran",
    "Braindead",
    "Chinatown",
    "Vertigo",
    "Star Trek: The Kestrel Nebula",
    "Microcosmos: Le peuple de l'herbe",
    "Dumb & Dumber",
    "Fathers' Day",
    "Taxi Driver",
    "True Tales: A Harbor Story",
    "Home Alone",
    "Return to Me",
    "Wings of Desire",
    "Steel",
    "Princess Bride, The",
    "Godfather, The",
    "Godfather: Part II, The",
    "Contact",
    "Eraser",
    "Twelve Monkeys",
    "Next to Last",
    "Last",
]  # the last two are held out, so that they are less popular than the others
CATALOG = catalog_of({title: (["Drama", "Comedy"], 1990) for title in TITLES})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def read(text):
    """Return (kind, title) of each title of a message."""
    change = READER.read(text)
    return [(kind, TITLES[items[0]]) for kind in ("liked", "disliked", "known") for items in getattr(change, kind)]


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ("as violent as the new ones or rocky balboa 4, that would be fine", "liked", ["Rocky Balboa IV"]),  # a sequel
        (
            "the kestrel nebula is my favorite trek film, who needs the others",
            "liked",
            ["Star Trek: The Kestrel Nebula"],
        ),
        ("what a night! microcosmos was stunning", "liked", ["Microcosmos: Le peuple de l'herbe"]),
        ("my nephew says chinatown is the best film ever", "liked", ["Chinatown"]),
        ("vertigo my wife didn't like", "disliked", ["Vertigo"]),
        ("the godfather and godfather part 2 we've seen", "known", ["Godfather, The", "Godfather: Part II, The"]),
        ("godfather 1 was so good", "liked", ["Godfather, The"]),
        ("not fathers day either please", "disliked", ["Fathers' Day"]),
        ("i can't stand dumb and dumber", "disliked", ["Dumb & Dumber"]),
        ("the quest and the fog, both great", "liked", ["Quest, The", "Fog, The"]),
        ("chinatown. speed. you see what i mean", "liked", ["Chinatown"]),
        ("princes bride is number one for me", "liked", ["Princess Bride, The"]),
        ("the fog still gives me goosebumps", "liked", ["Fog, The"]),
        ("speed (the bus one) was amazing", "liked", ["Speed"]),
        ("contact with jodie foster was superb", "liked", ["Contact"]),
        ("chinatown 9/10, eraser 2/10", "liked", ["Chinatown"]),
        ("the worst film we watched this year was eraser", "disliked", ["Eraser"]),
        ("vertigo 'n chinatown are great", "liked", ["Vertigo", "Chinatown"]),
        ("chinatown fan here", "liked", ["Chinatown"]),
    ],
)
def test_titles_in_lower_case_are_read_by_what_is_around_them(text, kind, named):
    assert [title for of, title in read(text) if of == kind] == named


@pytest.mark.parametrize(
    "text",
    [
        "the quest for a good film goes on",
        "there is no contact to the outside here",
        "speed is not important, something slow",
        "my neighbor is a taxi driver, what would he like?",
        "fog all day, so what should we watch?",
        "harbor story. two dramas please",  # the end of a title alone
        "we were home alone all week",
        "contact me if you find something",
        "i'd return to me and my thoughts",
        "steel magnolias was on tv",  # the beginning of a name that the catalog lacks
        "father's day is next week, any ideas?",
        "it ran for two hours",
    ],
)
def test_ordinary_words_in_lower_case_are_no_titles(text):
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("we saw speed on sunday, it cracked us up", "liked"),
        ("i saw chinatown and laughed my head off", "liked"),
        ("an uncle lent me vertigo. What a slow and lovely movie!", "liked"),
        ("vertigo was a huge letdown", "disliked"),
        ("speed was too loud for my taste", "disliked"),
        ("vertigo confused me", "disliked"),
        ("chinatown had style but was a mess", "disliked"),
        ("the opposite of speed please", "disliked"),
        ("not speed, our son knows every line of it", "known"),
        ("speed, chinatown, vertigo.. my aunt has them all", "known"),
    ],
)
def test_a_title_is_judged_by_verdicts_around_it(text, kind):
    assert {of for of, _ in read(text)} == {kind}


def test_a_title_that_a_clause_says_was_not_seen_is_not_judged():
    assert read("speed i haven't even seen") == []
    assert read("i'd rather not see chinatown again")


def test_questions_about_a_title_name_no_example():
    change = READER.read("where can i stream chinatown")
    assert not change.liked and not change.asks


@pytest.mark.parametrize(
    ("word", "weight"),
    [("good", 0), ("the", 0), ("cant", 0), ("three", 0), ("speeds", 1), ("paris", 1), ("vertigo", 2)],
)
def test_rare_words_weigh_more_than_everyday_ones(word, weight):
    assert weight_of_word(word) == weight


def test_of_a_famous_and_an_obscure_title_only_the_famous_one_is_read_in_running_text():
    items = [Item(str(i), f"Filler {i}", ("Drama",)) for i in range(30)]
    items += [Item("famous", "Zarathud", ("Drama",)), Item("obscure", "Quorlin", ("Drama",))]
    events = {f"u{n}": ["famous"] + [str(i) for i in range(n)] for n in range(30)}
    catalog = make_catalog("films", items, events)
    reader = RequestReader(catalog, NamedTitles(catalog.titles))
    assert reader.read("a cousin put zarathud near the top").liked
    assert not reader.read("a cousin put quorlin near the top").liked


def test_what_is_before_a_subtitle_is_whole_and_another_part_is_not():
    near = NearTitles(TITLES)
    assert near.is_whole("microcosmos") and near.is_whole("taxidriver")
    assert not near.is_whole("harborstory") and near.items("harborstory")
    assert all(map(near.may_begin, ("quest", "kestrel", "microcosmos")))
