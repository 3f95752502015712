import importlib
import pkgutil
import re

import pytest

from train_utils import conversation
from train_utils.conversation.limits.year_ranges import RULES
from train_utils.conversation.unknowable import KINDS
from train_utils.conversation.words.annotations import MASK
from train_utils.conversation.words.phrases import Phrases, phrase
from train_utils.conversation.words.verdict_phrases import POSSESSED


def tables():
    """Every table of the package, with its name."""
    for module in pkgutil.walk_packages(conversation.__path__, f"{conversation.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Phrases):
                yield f"{module.name.removeprefix(f'{conversation.__name__}.')}.{name}", value
    yield from ((f"year_ranges.RULES[{number}]", rule.phrases) for number, rule in enumerate(RULES))
    yield from ((f"unknowable.KINDS[{kind.names[0]}]", kind.wishes) for kind in KINDS)


def masked(example):
    """The example, with what it has in brackets as the reader masks it."""
    return re.sub(r"\[.*?\]", lambda title: MASK * len(title[0]), example)


@pytest.mark.parametrize(
    ("table", "example"),
    [pytest.param(table, example, id=f"{name}: {example}") for name, table in tables() for example in table.examples],
)
def test_every_phrase_matches_its_example(table, example):
    assert re.search(phrase(table.examples[example], table.names), masked(example), re.IGNORECASE)


def test_a_phrase_reads_as_english():
    assert phrase("made ME (so )?cry", {"ME": "(?:me|us)"}) == r"made\s+(?:me|us)\s+(?:so\s+)?cry"
    assert re.search(phrase("hours ... wasted"), "hours of my life wasted")
    assert not re.search(phrase("hours ... wasted"), "hours. A talent wasted")


def test_lists_of_the_lexicon_are_names():
    assert re.fullmatch(phrase("any NOUNS"), "any  flicks")


def test_an_unknown_name_in_a_phrase_is_an_error():
    with pytest.raises(KeyError, match="NOBODY"):
        phrase("NOBODY liked it")


def test_an_optional_space_in_a_phrase_is_an_error():
    """It would read as one or more spaces, as few as possible."""
    with pytest.raises(ValueError, match="repeats a space"):
        phrase("half ?way")
    assert re.fullmatch(phrase(r"half\s?way"), "halfway")


def test_the_first_phrase_of_a_table_that_matches_counts():
    table = Phrases({"so bad": "so bad", "so bad it hurts": "so bad it hurts"})
    assert re.match(table.pattern, "so bad it hurts")[0] == "so bad"


def test_thinking_is_no_possession():
    assert not POSSESSED.search("I have always thought so")
