"""Questions about titles that the catalog lacks are answered so, and no model invents facts about them."""

import pytest

from train_utils.conversation.titles.questions import title_in_question


@pytest.mark.parametrize(
    "text, title",
    [
        ("Do you have The Matrix?", "The Matrix"),
        ("hi, do you also have the film Up?", "Up"),
        ('Is "Inception" in your catalog?', "Inception"),
        ("Tell me about the movie Inception.", "Inception"),
        ("Have you heard of Oppenheimer", "Oppenheimer"),
        ("what is the film Tenet", "Tenet"),
        ("does your catalog have 2012?", "2012"),
        ("do you have the matrix?", "the matrix"),
        ("does it have shrek", "shrek"),
        ("got gladiator on here?", "gladiator"),
        ("is inception worth watching?", "inception"),
        ("have you got memento or zodiac?", "memento or zodiac"),
    ],
)
def test_the_title_of_a_question_is_found(text, title):
    assert title_in_question(text) == title


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?",
        "do you have time",
        "do you have anything funny?",
        "do you have time?",
        "do you have subtitles?",
        "is something any good",
        "is it worth watching?",
        "got anything on here?",
        "have you got time?",
        "do you have scary movies?",
        "Is Paris in France?",
        "tell me about the weather",
        "Tell me about yourself",
        "",
    ],
)
def test_other_questions_name_no_title(text):
    assert title_in_question(text) == ""
