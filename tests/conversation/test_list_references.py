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
        ("I know all but the second", 'I know "Alien" and "Toy Story"'),
        ("all of them except the first and the third bored me", '"Heat" bored me'),
        ("I've seen everything but number 3", 'I\'ve seen "Alien" and "Heat"'),
        ("none of these", 'none of "Alien" and "Heat" and "Toy Story"'),
        ("I haven't seen any of those", 'I haven\'t seen any of "Alien" and "Heat" and "Toy Story"'),
        ("I know all three", 'I know "Alien" and "Heat" and "Toy Story"'),
        ("the second was fine, the other two bored me", '"Heat" was fine, "Alien" and "Toy Story" bored me'),
        ("I liked the first, not the rest", 'I liked "Alien", not "Heat" and "Toy Story"'),
        ("the second was fine, the other five bored me", '"Heat" was fine, the other five bored me'),
        ("I know all two", "I know all two"),
        ("both were bad", "both were bad"),
        ("neither of them", "neither of them"),
        ("the others", "the others"),
        ("something both funny and sad", "something both funny and sad"),
        ("for the first time", "for the first time"),
        ("the second half of the century", "the second half of the century"),
        ("wait a second", "wait a second"),
        ("the ninth one", "the ninth one"),
        ("#0 and number 9", "#0 and number 9"),
        ("the last ten years", "the last ten years"),
        ("give me 2 of the best", "give me 2 of the best"),
        ("the last movie with a dog", "the last movie with a dog"),
        ("seen 1 and 3", 'seen "Alien" and "Toy Story"'),
        ("I've seen 1, 2 and 3 already", 'I\'ve seen "Alien" and "Heat" and "Toy Story" already'),
        ("loved 2, hated 3", 'loved "Heat", hated "Toy Story"'),
        ("1 3 i know", '"Alien" and "Toy Story" i know'),
        ("2 looks good", '"Heat" looks good'),
        ("I know all but 2", 'I know "Alien" and "Toy Story"'),
        ("give me like 2", "give me like 2"),
        ("I loved 2 of those", "I loved 2 of those"),
        ("seen 1 and 9", "seen 1 and 9"),
        ("seen 0", "seen 0"),
        ("I saw 3 movies yesterday", "I saw 3 movies yesterday"),
        ("not 2 but 3 comedies", "not 2 but 3 comedies"),
    ],
)
def test_references_to_the_list_become_its_titles(text, expected):
    assert with_titles(text, TITLES) == expected


def test_without_a_list_a_message_stays_as_it_is():
    assert with_titles("I loved the second one, and all of them", []) == "I loved the second one, and all of them"


@pytest.mark.parametrize(
    "text,expected",
    [
        ("both were bad", '"Alien" and "Heat" were bad'),
        ("I've seen both", 'I\'ve seen "Alien" and "Heat"'),
        ("neither of them, thanks", 'neither of "Alien" and "Heat", thanks'),
        ("a film that is both funny and sad", "a film that is both funny and sad"),
    ],
)
def test_both_and_neither_mean_a_list_of_two(text, expected):
    assert with_titles(text, TITLES[:2]) == expected


def test_the_others_are_those_that_neither_the_message_nor_an_earlier_one_named():
    assert with_titles("the other two are good", TITLES, judged={1}) == '"Alien" and "Toy Story" are good'
    assert (
        with_titles("Heat is good, I know the others", TITLES, named={1})
        == 'Heat is good, I know "Alien" and "Toy Story"'
    )
    assert with_titles("the other one is good", TITLES, named={0}, judged={1}) == '"Toy Story" is good'


def test_a_pronoun_after_titles_means_the_titles():
    assert (
        with_titles("Psycho, Fargo: I know all of them", TITLES, pronouns=False) == "Psycho, Fargo: I know all of them"
    )


def test_a_long_message_of_bare_numbers_is_left_alone():
    text = "1," * 50_000
    assert with_titles(text, TITLES) == text
