"""Messages as visitors type them: each family of wordings has several, with typing errors, slang and remarks."""

import pytest
from test_reader import CATALOG, READER, read

from train_utils.conversation.preferences import Preferences


def after(text):
    """Return the preferences after messages that are separated by "||"."""
    preferences = Preferences()
    for message in text.split("||"):
        preferences = preferences.after(READER.read(message.strip()))
    return preferences


@pytest.mark.parametrize(
    "text,count",
    [
        ("surprise me with two", 2),
        ("impress me with four", 4),
        ("gimme four, not just one", 4),
        ("not five, three", 3),
        ("I said 4 not 3", 4),
        ("6?", 6),
        ("can I have 6?", 6),
        ("can you do 8?", 8),
        ("is 7 possible?", 7),
        ("one or two", 2),
        ("ok six then", 6),
        ("two will be plenty, something romantic", 2),
        ("five is ideal", 5),
        ("animated movies please, 3", 3),
        ("comedies, 3", 3),
        ("fiv comedies please", 5),
        ("thre movies plz", 3),
        ("a copule of westerns", 2),
        ("4 pcs of action", 4),
        ("a trilogy of dramas", 3),
        ("six (6) comedies", 6),
        ("2 of the best war films", 2),
        ("either of the two is good", None),
        ("the three of us want a western", None),
        ("Heat is one of those films I can watch over and over", None),
        ("one more thing, no horror", None),
        ("my kids are 5, 7 and 9, what can we watch?", None),
        ("a comedy", None),  # several to choose from
    ],
)
def test_the_number_of_items_is_read_as_it_is_typed(text, count):
    assert READER.read(text).count == count


@pytest.mark.parametrize(
    "text,only,without",
    [
        ("horror? hard pass", (), ("Horror",)),
        ("Comedies? Forget it. Dramas? Yes please", ("Drama",), ("Comedy",)),
        ("horror? never. comedy? always", ("Comedy",), ("Horror",)),
        ("if it's a musical I'm out", (), ("Musical",)),
        ("if it's animated, count me out", (), ("Animation",)),
        ("if it has subtitles im out. also if its a drama.", (), ("Drama",)),
        ("Would you kindly refrain from suggesting animated films or dramas?", (), ("Animation", "Drama")),
        ("count out the westerns", (), ("Western",)),
        ("Get those musicals away from me", (), ("Musical",)),
        ("zero romance", (), ("Romance",)),
        ("enough drama", (), ("Drama",)),
        ("god forbid a musical", (), ("Musical",)),
        ("westerns have never been my thing", (), ("Western",)),
        ("don't include animation", (), ("Animation",)),
        ("please stop giving me dramas, I said action!", ("Action",), ("Drama",)),
        ("I can't take any more crime, something good", (), ("Crime",)),
        ("Not a comedy, a drama!", ("Drama",), ("Comedy",)),
        ("I don't want a comedy, a drama or a western", (), ("Comedy", "Drama", "Western")),
        ("no I mean comedy", ("Comedy",), ()),
        ("just romance, western or not", ("Romance",), ()),
        ("action, whether it's a comedy or not", ("Action",), ()),
        ("war films except vietnam ones", ("War",), ()),
        ("a film that is not scary enough for kids", ("Children's",), ("Horror",)),
        ("we watched a comedy yesterday and now want a western", ("Western",), ()),
        ("last week I asked for westerns, today I want sci-fi", ("Sci-Fi",), ()),
    ],
)
def test_what_is_wanted_and_what_is_rejected(text, only, without):
    change = READER.read(text)
    assert (change.only, change.without) == (only, without)


def test_a_rejected_kind_of_a_category_leaves_the_category():
    assert after("comedies || but no slapstick").only == ("Comedy",)
    assert after("no zombies").without == ("Horror",)
    assert after("comedies || no comedies at all").without == ("Comedy",)


def test_alternatives_at_the_beginning_of_a_message_replace_those_of_the_last_one():
    assert after("comedies || war or horror").only == ("War", "Horror")


@pytest.mark.parametrize(
    "text",
    """
    there will be a war over who gets the remote tonight, haha | life's a drama | this chat is a comedy show lol
    my brother works in horror makeup | I am a crime reporter 
    I wrote my thesis on westerns | love Heat | haha heat, no, hated it | Heat sucks | big Heat fan here
    Heat gave me actual nausea | both Heat and Alien were great | haven't seen Casablanca yet
    I've been meaning to watch Casablanca | that was funny
    """.replace("\n", "|").split("|")[1:-1],
)
def test_chit_chat_asks_for_nothing_and_restricts_nothing(text):
    change = READER.read(text.strip())
    assert not change.asks and not change.only


@pytest.mark.parametrize(
    "text",
    """
    where do we go from here? | again | a hidden gem | date night, something nice | blockbusters | what can replace it
    """.replace("\n", "|").split("|")[1:-1],
)
def test_short_requests_ask(text):
    assert read(text.strip())["asks"]


@pytest.mark.parametrize(
    "text,low,high",
    [
        ("nothing newer than 1985, nothing older than 1975", 1975, 1985),
        ("after 1990 but before 1995", 1991, 1994),
        ("later than 1990 and earlier than 1996", 1991, 1995),
        ("no movies after 1980 please and none before 1960", 1960, 1980),
        ("min 1980, max 1990", 1980, 1990),
        ("films up to and including 1939", None, 1939),
        ("1990 or above", 1990, None),
        ("not the ones from before 1960", 1960, None),
        ("I was born in 1975 and I'd like a film from that very year", 1975, 1975),
        ("movies from the year I was born: 1980", 1980, 1980),
        ("ok 67 or 68", 1967, 1968),
        ("the 80ies", 1980, 1989),
        ("movies from the seventys", 1970, 1979),
        ("movies of the ninetees", 1990, 1999),
        ("3 films with no violence from 1990 to 1995 that aren't dramas", 1990, 1995),
    ],
)
def test_years_are_read_in_all_spellings(text, low, high):
    assert read(text)["ranges"] == [("year", low, high)]


@pytest.mark.parametrize("text", ["i was 12 in 1985", "my brother was only 5 in 1990", "Alien, the 1979 one"])
def test_years_of_lives_and_titles_are_no_ranges(text):
    assert "ranges" not in read(text)


@pytest.mark.parametrize(
    "text,kind",
    [
        ("You know Heat? That kind of thing.", "liked"),
        ("have you seen Heat? something like that please", "liked"),
        ("I loved Heat, my wife hated it", "liked"),
        ("not as dark as Heat but similar", "liked"),
        ("Casablanca made me want to leave", "disliked"),
        ("the only film I've ever walked out on is Casablanca", "disliked"),
        ("Casablanca was on TV yesterday, boring", "disliked"),
        ("casablanca gave me actual nausea, hated every min", "disliked"),
        ("Heat? what a waste of two hours", "disliked"),
        ("Heat could have been better", "disliked"),
        ("Heat? seen. Next!", "known"),
        ("Heat (seen it), Emma (loved it), Alien (hated it)", "known"),
    ],
)
def test_what_is_said_of_a_title_is_read(text, kind):
    change = READER.read(text)
    assert CATALOG.items[getattr(change, kind)[0][0]].title in ("Heat", "Casablanca")


def test_a_message_may_judge_the_last_titles_and_name_others():
    state = after("I hated Heat || wait no i mixed them up, that one was great. it's Blade Runner that i hate")
    titles = [CATALOG.items[items[0]].title for items in (*state.liked, *state.disliked)]
    assert titles == ["Heat", "Blade Runner"] and len(state.liked) == 1


@pytest.mark.parametrize("text", ["I never saw Casablanca", "I've been meaning to watch Casablanca"])
def test_titles_that_were_not_seen_are_not_judged(text):
    assert read(text) == {}


@pytest.mark.parametrize(
    "text,unknown",
    [
        ("Films like Up or Coco, anyone?", ("Up", "Coco")),
        ("Blade Runner Returns was superb.", ("Blade Runner Returns",)),
        ("Toy Story 2 was even better than the first if you ask me", ("Toy Story 2",)),
        ("smth like avatar", ("avatar",)),
        ("gladiator kind of thing would be nice", ("gladiator",)),
        ("any Harry Potter like movies?", ("Harry Potter",)),
        ("The Matrix, Fight Club, Memento", ("The Matrix", "Fight Club", "Memento")),
        ("The Dark Knight was great", ("The Dark Knight",)),
        ("And Tootsie.", ("Tootsie",)),
        ("films with Michael Heat Keaton", ()),
        ("Tom Hanks, Meg Ryan and Brad Pitt are my favorite actors", ()),
        ("do you like movies based on a true story?", ()),
    ],
)
def test_titles_that_the_catalog_lacks_are_named(text, unknown):
    assert READER.read(text).unknown == unknown
