"""What was excluded is lifted by a later message, and what only sounds like that changes nothing."""

import pytest
from test_reader import CATALOG, READER

from train_utils.conversation.preferences import Preferences


def state(*messages):
    preferences = Preferences()
    for text in messages:
        preferences = preferences.after(READER.read(text))
    return preferences.describe(CATALOG)


@pytest.mark.parametrize(
    "text",
    [
        "horror is fine now",
        "okay, horror's fine after all",
        "I don't mind horror after all",
        "scratch the no-horror rule",
        "forget what I said about horror",
        "I take back what I said about horror",
        "lift the ban on horror",
        "drop the horror ban",
        "the ban on horror can go",
        "ok you can include horror",
        "bring back the horror films",
        "you may show horror again",
        "don't leave out horror",
        "horror is fine too",
        "put horror back in",
    ],
)
def test_an_exclusion_is_lifted_and_nothing_else_changes(text):
    assert state("a drama without war and horror", text) == "Drama \u00b7 no War"


@pytest.mark.parametrize(
    "text",
    [
        "any year is fine",
        "forget about the year",
        "the year doesn't matter anymore",
        "forget what I said about the year",
        "drop the year limit",
        "drop the 80s requirement",
        "it doesn't have to be from the 80s",
    ],
)
def test_a_range_is_lifted(text):
    assert state("a drama from the 80s", text) == "Drama"


@pytest.mark.parametrize(
    "first,then,expected",
    [
        ("comedies", "I take back what I said about comedies", ""),
        ("comedies", "it doesn't have to be a comedy", ""),
        ("comedies", "westerns are fine too", "Comedy or Western"),
        ("comedies", "a western would be fine", "Western"),
        ("comedies", "include some westerns", "Comedy or Western"),
        ("comedies", "everything except war is fine", "Comedy \u00b7 no War"),
        ("no comedies", "ok, romance is allowed, make it a romantic comedy", "Romance and Comedy"),
        ("a drama from the 70s", "the 80s are fine too", "Drama \u00b7 year 1970 to 1989"),
        ("a drama from 1990 on", "1985 would be ok too", "Drama \u00b7 year from 1985"),
        ("I hated Heat", "I take back what I said about Heat", ""),
        ("no horror", "drop the horror", "no Horror"),
        ("no horror", "westerns are fine", "no Horror"),
    ],
)
def test_only_what_is_named_is_lifted(first, then, expected):
    assert state(first, then) == expected


def test_what_is_lifted_asks_for_a_list():
    assert all(READER.read(text).asks for text in ("horror is fine now", "any year is fine", "drop the horror ban"))
