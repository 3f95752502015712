"""What people say of a title without a word of praise or blame, and which of several titles it is about."""

import pytest
from test_reader import catalog_of, judgments

from train_utils.conversation.reader import RequestReader
from train_utils.conversation.words.verdicts import verdict
from train_utils.prompts.named_titles import NamedTitles

TITLES = [
    "Vertigo",
    "Speed",
    "Chinatown",
    "Heat",
    "Kids",
    "Amadeus",
    "Princess Bride, The",
    "Star Trek: Generations",
    "Contact",
    "Usual Suspects, The",
    "Evita",
    "Rock, The",
    "Grease",
    "Casino",
    "Seven (Se7en)",
    "Next to Last",
    "Last",
]  # the last two are held out, so that they are less popular than the others
CATALOG = catalog_of({title: (["Comedy", "Western", "Sci-Fi"], 1990) for title in TITLES})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def read(text):
    return judgments(READER, TITLES, text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("my cousin won't stop humming the songs of Evita", "liked"),
        ("Chinatown went down a treat at our film club", "liked"),
        ("Vertigo was a roaring success with the neighbors", "liked"),
        ("nothing will ever top Chinatown", "liked"),
        ("I have always felt that Chinatown is the finest film of its year", "liked"),
        ("Amadeus is my guilty pleasure", "liked"),
        ("still not over Vertigo, what a film", "liked"),
        ("we rented Speed, 4 dollars down the drain", "disliked"),
        ("Casino put the whole family to sleep", "disliked"),
        ("Evita had us yawning", "disliked"),
        ("Grease I never warmed to", "disliked"),
        ("couldn't get past the first half hour of Casino", "disliked"),
        ("I don't get the hype around Speed", "disliked"),
        ("Evita was a train wreck", "disliked"),
        ("Speed was every bit as bad", "disliked"),
        ("Grease I could recite in my sleep", "known"),
        ("Amadeus is in our collection", "known"),
        ("we did Casino last summer", "known"),
        ("I've been through Vertigo already", "known"),
        ("not Vertigo please, we had that at school", "known"),
        ("my kids cannot sit through Grease again", "known"),
    ],
)
def test_expressions_judge_a_title(text, kind):
    assert set(read(text).values()) == {kind}


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        (
            "Chinatown was a hit with us, while Evita was a catastrophe",
            {"Chinatown": "liked", "Evita": "disliked"},
        ),
        ("Chinatown was superb, Speed a disaster", {"Chinatown": "liked", "Speed": "disliked"}),
        ("Casino and Evita both bored us to tears", {"Casino": "disliked", "Evita": "disliked"}),
        ("Evita was torture and so was Grease", {"Evita": "disliked", "Grease": "disliked"}),
        ("Vertigo I have at home, as well as Casino", {"Vertigo": "known", "Casino": "known"}),
        ("I walked out of Casino and Evita", {"Casino": "disliked", "Evita": "disliked"}),
    ],
)
def test_an_expression_is_about_the_titles_that_it_is_joined_to(text, judged):
    assert read(text) == judged


def test_an_expression_is_not_about_the_title_of_another_statement():
    titles = ["\ue000" * 4, "\ue000" * 6, "\ue000" * 5]
    text = f"{titles[0]} and {titles[1]} were a disaster, {titles[2]} we liked"
    starts = [text.index(titles[0]), text.index(titles[1]), text.rindex(titles[2])]
    assert [verdict(text, 0, len(text), at) for at in starts] == ["disliked", "disliked", ""]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("showed my sister casino and she loved it", "Casino"),
        ("dragged my brother to speed, big mistake", "Speed"),
        ("cried my eyes out at vertigo", "Vertigo"),
        ("grease, obviously, we have watched", "Grease"),
        ("heat still holds up", "Heat"),
        ("casino wasn't for me", "Casino"),
        ("speed dragged on forever", "Speed"),
        ("bruh speed was trash", "Speed"),
        ("we had casino last week", "Casino"),
        ("the only western i could stomach was heat", "Heat"),
        ("our christmas tradition is grease", "Grease"),
        ("hated every minute of casino", "Casino"),
        ("the rock with sean connery is the kind of thing i mean", "Rock, The"),
        ("movies with the mood of amadeus", "Amadeus"),
        ("that twist in the usual suspects, oh my", "Usual Suspects, The"),
    ],
)
def test_titles_in_lower_case_are_read_from_what_is_said_of_them(text, title):
    assert title in read(text)


@pytest.mark.parametrize(
    "text",
    [
        "we lost contact and i gave up",
        "i fell asleep in the heat",
        "the speed of it made me sick",
        "my kids laughed so hard yesterday",
        "my husband fell asleep at the casino",
        "grease stains everywhere, what a mess",
        "i have seen a rock like that",
        "i gave up smoking in seven days",
    ],
)
def test_ordinary_words_near_such_expressions_are_no_titles(text):
    assert read(text) == {}


def test_how_a_title_was_is_no_wish_for_a_category():
    assert READER.read("Chinatown was hilarious, what else is like it").only == ()
    assert READER.read("something hilarious").only == ("Comedy",)


def test_what_people_will_do_is_no_wish_for_a_category():
    assert READER.read("a western, my friends will laugh but fine").only == ("Western",)
    assert READER.read("a film that makes us laugh").only == ("Comedy",)


def test_a_subtitle_is_read_where_the_message_names_its_series():
    assert read("star trek again, we have done generations") == {"Star Trek: Generations": "known"}
    assert read("we have done generations of homework") == {}


@pytest.mark.parametrize("text", ["the vertigo movies are great", "all the vertigo films, loved them"])
def test_a_series_is_called_by_its_film(text):
    assert read(text) == {"Vertigo": "liked"}


def test_what_disturbs_in_a_good_way_is_liked():
    assert read("Heat creeped me out in the best way") == {"Heat": "liked"}


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        ("Vertigo? I've seen that. And Casino.", {"Vertigo": "known", "Casino": "known"}),
        ("I hated Speed. Evita too.", {"Speed": "disliked", "Evita": "disliked"}),
        ("I loved Speed. Plus Evita.", {"Speed": "liked", "Evita": "liked"}),
    ],
)
def test_a_sentence_that_only_adds_titles_judges_them_as_the_one_before(text, judged):
    assert read(text) == judged
