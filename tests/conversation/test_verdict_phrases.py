import re

import pytest

from train_utils.conversation.annotations import MASK
from train_utils.conversation.phrases import any_phrase, phrase
from train_utils.conversation.verdict_phrases import (
    CHERISHED,
    DISLIKED,
    ENDURED,
    FAMILIAR,
    KNOWN,
    NAMES,
    POSSESSED,
    THRILLED,
    THRILLING,
    TIME_LOST,
)


def masked(example):
    """The example, with titles in brackets as the reader masks them."""
    return re.sub(r"\[.*?\]", lambda title: MASK * len(title[0]), example)


TABLES = {"disliked": TIME_LOST | DISLIKED, "liked": CHERISHED | THRILLING, "known": KNOWN}
PATTERNS = {"disliked": ENDURED, "liked": THRILLED, "known": FAMILIAR}


@pytest.mark.parametrize(("kind", "example"), [(kind, example) for kind, table in TABLES.items() for example in table])
def test_every_phrase_matches_its_example(kind, example):
    assert re.search(rf"\b(?:{phrase(TABLES[kind][example], **NAMES)})", masked(example), re.IGNORECASE)
    assert PATTERNS[kind].search(masked(example))


@pytest.mark.parametrize("example", ["[Heat] and [Fargo] done.", "got [Heat] on tape", "by heart"])
def test_what_is_known_may_follow_its_titles(example):
    assert FAMILIAR.search(masked(example))


@pytest.mark.parametrize("example", ["we have both", "I own [Heat]", "[Heat] I already have."])
def test_what_is_owned_is_possessed(example):
    assert POSSESSED.search(masked(example))


def test_thinking_is_no_possession():
    assert not POSSESSED.search("I have always thought so")


def test_a_phrase_reads_as_english():
    assert phrase("made ME (so )?cry", ME="(?:me|us)") == r"made\s+(?:me|us)\s+(?:so\s+)?cry"
    assert re.search(phrase(r"LOST ... wasted", LOST="hours"), "hours of my life wasted")
    assert not re.search(phrase(r"LOST ... wasted", LOST="hours"), "hours. Wasted words: wasted")


def test_an_unknown_name_in_a_phrase_is_an_error():
    with pytest.raises(KeyError, match="NOBODY"):
        phrase("NOBODY liked it")


def test_the_first_phrase_of_a_table_that_matches_counts():
    assert (
        re.match(any_phrase({"so bad": "so bad", "so bad it hurts": "so bad it hurts"}), "so bad it hurts")[0]
        == "so bad"
    )
