"""Places in the last list are read as its titles, and words that only look like places are left alone."""

import pytest

from train_utils.conversation.list_references import with_titles

TITLES = ["Alien", "Heat", "Toy Story"]


@pytest.mark.parametrize(
    "text,expected",
    [
        ("I loved the second one", 'I loved "Heat"'),
        ("more like the first, please", 'more like "Alien", please'),
        ("I have seen the first and the third one", 'I have seen "Alien" and "Toy Story"'),
        ("the last one was bad", '"Toy Story" was bad'),
        ("I know the first two", 'I know "Alien" and "Heat"'),
        ("not the last two films", 'not "Heat" and "Toy Story"'),
        ("number 2 is great", '"Heat" is great'),
        ("Number two!", '"Heat"!'),
        ("#3 please", '"Toy Story" please'),
        ("the 3rd one", '"Toy Story"'),
        ("I have seen all of them", 'I have seen "Alien" and "Heat" and "Toy Story"'),
        ("what about the second of these?", 'what about "Heat"?'),
        ("for the first time", "for the first time"),
        ("the second half of the century", "the second half of the century"),
        ("wait a second", "wait a second"),
        ("the ninth one", "the ninth one"),
        ("#0 and number 9", "#0 and number 9"),
        ("the last ten years", "the last ten years"),
        ("give me 2 of the best", "give me 2 of the best"),
        ("the last movie with a dog", "the last movie with a dog"),
    ],
)
def test_references_to_the_list_become_its_titles(text, expected):
    assert with_titles(text, TITLES) == expected


def test_without_a_list_a_message_stays_as_it_is():
    assert with_titles("I loved the second one, and all of them", []) == "I loved the second one, and all of them"
