"""Kinds of wordings, each with its own sentences: predicates, emojis, texted words, requests and new starts."""

import pytest
from test_reader import catalog_of

from train_utils.conversation.preferences import Preferences
from train_utils.conversation.reader import RequestReader
from train_utils.conversation.words.spelling import with_words_repaired
from train_utils.prompts.named_titles import NamedTitles

TITLES = [
    "Vertigo (1958)",
    "Speed (1994)",
    "Chinatown (1974)",
    "Fargo (1996)",
    "Titanic (1997)",
    "Twister (1996)",
    "Grease (1978)",
    "Casino (1995)",
    "Seven (Se7en) (1995)",
    "Picnic (1955)",
    "Aliens (1986)",
    "Four Weddings and a Funeral (1994)",
    "Return of the Jedi (1983)",
    "Audrey Rose (1977)",
    "Next to Last (1990)",
    "Last (1991)",
]  # the last two are held out, so that they are less popular than the others
CATALOG = catalog_of({title: (["Comedy", "Western", "Horror", "War", "Mystery"], 1990) for title in TITLES})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def titles(text):
    """Return judgment -> titles, in words, of a conversation whose messages are separated by "||"."""
    preferences = Preferences()
    for message in text.split("||"):
        preferences = preferences.after(READER.read(message.strip()))
    judged = {name: getattr(preferences, name) for name in ("liked", "disliked", "known")}
    return {name: {TITLES[items[0]].split(" (")[0] for items in found} for name, found in judged.items() if found}


@pytest.mark.parametrize(
    "said",
    [
        "gives us the willies",
        "practically finished me off",
        "left my husband stone cold",
        "was pants",
        "is utter drivel and so preachy",
        "can get in the bin",
        "belongs in the bin",
        "really does my head in",
        "is where it all went downhill",
        "wasn't to our taste",
        "did sod all for me",
        "NO",
        "\U0001f44e",
        "\U0001f4a9\U0001f4a9",
        "is style without substance",
        "made zero sense",
        "is insipid",
        "? kill me",
    ],
)
def test_a_predicate_blames_its_title(said):
    for title in ("Titanic", "fargo"):
        change = READER.read(f"{title}{'' if said[0] == '?' else ' '}{said}")
        assert len(change.disliked) == 1 and not change.liked and not change.asks


@pytest.mark.parametrize(
    "said",
    [
        "is unrivalled",
        "has won our hearts",
        "is a film we hold very dear",
        "\U0001f44c",
        "\u2764\ufe0f",
        "> everything",
        "= masterpiece",
        "is my happy place",
        "knocked my socks off",
        "forever",
        "haunts me still",
        "is so silly, I love it",
        "wasn't half bad",
        "was a right laugh",
    ],
)
def test_a_predicate_praises_its_title(said):
    for title in ("Titanic", "fargo"):
        change = READER.read(f"{title} {said}")
        assert len(change.liked) == 1 and not change.disliked and not change.only and not change.asks


@pytest.mark.parametrize(
    "text",
    [
        "we've memorized Titanic, so skip it",
        "Titanic we studied at university, please exclude",
        "I saw Titanic thirty times, leave that out",
        "watched Titanic like 30 times so not that one",
        "Titanic, been there done that",
        "Titanic is done and dusted",
        "got the Titanic dvd",
        "something we haven't seen, so not Titanic",
    ],
)
def test_what_is_worn_out_is_known_and_not_blamed(text):
    assert titles(text) == {"known": {"Titanic"}}


@pytest.mark.parametrize(
    "text,expected",
    [
        ("Fargo is ace, Titanic NO", {"liked": {"Fargo"}, "disliked": {"Titanic"}}),
        ("fargo \U0001f44d titanic \U0001f44e", {"liked": {"Fargo"}, "disliked": {"Titanic"}}),
        ("I find Titanic mawkish and Twister moronic.", {"disliked": {"Titanic", "Twister"}}),
        ("Fargo was smart, Titanic less so", {"liked": {"Fargo"}, "disliked": {"Titanic"}}),
        ("tried titanic, tried twister, tried grease. all drivel", {"disliked": {"Titanic", "Twister", "Grease"}}),
        (
            "I saw Vertigo, I saw Titanic, I saw Twister. Both were dire.",
            {"disliked": {"Titanic", "Twister"}, "known": {"Vertigo"}},
        ),
        ("Titanic did nothing for us. Neither did Twister.", {"disliked": {"Titanic", "Twister"}}),
        ("saw Titanic on the ferry || Dire. Never again.", {"disliked": {"Titanic"}}),
        ("saw Titanic on the ferry || well we adored it", {"liked": {"Titanic"}}),
    ],
)
def test_each_of_several_titles_has_its_own_judgment(text, expected):
    assert titles(text) == expected


@pytest.mark.parametrize(
    "text,plain",
    [
        ("wot shud we watch 2nite", "what should we watch tonight"),
        ("Whatcha got", "What you got"),
        ("sumthing 4 my nan", "something for my nan"),
        ("dunno what 2 rent", "don't know what to rent"),
        ("fargo n casino r both gr8", "fargo n casino are both great"),
        ("do u luv it", "do you love it"),
        ("anymore?", "any more?"),
        ("i luvd u turn", "i loved u turn"),
        ("scream 2 was good", "scream 2 was good"),
    ],
)
def test_texted_words_are_read_as_words(text, plain):
    assert with_words_repaired(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "recommend away",
        "help",
        "recs?",
        "choose again",
        "dealer's choice",
        "Would you suggest something calmer?",
        "what pairs well with popcorn",
        "you can do better",
        "what have we got",
        "what would a Fargo fan enjoy",
        "what do people who like Fargo watch?",
        "nope, next",
        "stuff like Fargo",
        "horror it is",
    ],
)
def test_requests_without_a_usual_verb(text):
    assert READER.read(text).asks


@pytest.mark.parametrize(
    "text",
    [
        "and Fargo, savage film",
        "Fargo too",
        "whoever made Titanic should be ashamed",
        "I must be the only one who can't stand Titanic",
        "Vertigo is another we hold dear",
        "which came first, Fargo or Casino",
        "did Sharon Stone win for Casino",
        "Fargo, what a film!",
        "nice choice",
        "I found Titanic rather pompous",
        "Chinatown! yes, that was lovely",
    ],
)
def test_statements_that_sound_like_requests(text):
    assert not READER.read(text).asks


@pytest.mark.parametrize(
    "text",
    ["bin the lot", "disregard everything I said", "begin again from zero", "erase all of that", "back to the start"],
)
def test_a_new_start(text):
    assert READER.read(f"{text}, westerns please").forget
    assert READER.read(f"{text}, westerns please").only == ("Western",)


@pytest.mark.parametrize("category", ["Animation", "Film-Noir"])
def test_a_category_that_one_title_names_stays_a_category(category):
    titles = ["The Best of Aardman Animation (1996)", "A Film-Noir Evening (1990)", "Heat (1995)", "Last (1991)"]
    catalog = catalog_of({title: (["Animation", "Film-Noir"], 1990) for title in titles})
    reader = RequestReader(catalog, NamedTitles(catalog.titles))
    for text in (f"No {category} please. 4 more.", f"4 more. Please no {category}"):
        assert (reader.read(text).without, reader.read(text).disliked) == ((category,), ())


@pytest.mark.parametrize("text", ["start over", "wipe all that", "start again from zero"])
def test_a_new_start_takes_titles_back(text):
    assert titles(f"I love Fargo, I hated Speed and I have seen Casino || {text}") == {}
    assert titles(f"I love Fargo || {text}, something like Vertigo") == {"liked": {"Vertigo"}}


@pytest.mark.parametrize("text", ["forget all horror", "drop everything with war", "delete what I said about horror"])
def test_only_all_that_was_said_is_a_new_start(text):
    assert not READER.read(text).forget


@pytest.mark.parametrize(
    "text,expected",
    [
        ("bored to death of westerns", "no Western"),
        ("fed up to the back teeth with horror, what else", "no Horror"),
        ("horror \U0001f44e comedies \U0001f44d", "Comedy · no Horror"),
        ("war films depress me", "no War"),
        ("horror can do one", "no Horror"),
        ("a western AND a comedy, both or nothing", "Western and Comedy"),
        ("it must be a western and must be a comedy", "Western and Comedy"),
        ("only murder mysterys", "Mystery"),
        ("comedies, begin again from zero", "Comedy"),
    ],
)
def test_categories(text, expected):
    assert Preferences().after(READER.read(text)).describe(CATALOG) == expected


@pytest.mark.parametrize(
    "text,count",
    [("7", 7), ("seven please", 7), ("max 4", 4), ("my life in 3 films. recs?", None), ("what next 4 us", None)],
)
def test_numbers(text, count):
    assert READER.read(text).count == count
    assert not READER.read(text).liked


def test_a_year_in_a_memory_is_no_wish():
    assert not READER.read("no, I thought it was the seventies").ranges
    assert READER.read("the seventies").ranges


@pytest.mark.parametrize(
    "text,title",
    [
        ("something in the style of four weddings", "Four Weddings and a Funeral"),
        ("loved jedi", "Return of the Jedi"),
        ("Rewatched Vertigo", "Vertigo"),
        ("Aliens is the best", "Aliens"),
    ],
)
def test_titles_in_part(text, title):
    assert title in {name for found in titles(text).values() for name in found}


@pytest.mark.parametrize("text", ["she adores Audrey Hepburn", "Picnic at Hanging Rock haunts me"])
def test_a_word_of_a_longer_name_is_no_title(text):
    assert titles(text) == {}
