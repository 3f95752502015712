"""The text of a grammar promises strict JSON, known keys and limits, and says what is wrong with another."""

import pytest

from train_utils.constraint.item_rules import ItemRules
from train_utils.engines.grammar_request import MAX_LENGTH, GrammarRequest, grammar_text, is_grammar, parse_grammar


@pytest.mark.parametrize(
    "request_",
    [
        GrammarRequest("movies"),
        GrammarRequest("a b", max_items=10, min_items=3),
        GrammarRequest("movies", ItemRules(seen=("1", "é"), where={"year": {">=": 1990}}), 5, 5, True, True),
        GrammarRequest("movies", ItemRules(max_per_category={"War": 2}, distinct=False)),
    ],
)
def test_a_request_is_read_as_it_was_written(request_):
    assert parse_grammar(grammar_text(request_)) == request_


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("reclm:", "no JSON object"),
        ('reclm:{"domain": "m"} x', "no JSON object"),
        ('reclm:{"domain": "m", "domain": "n"}', "'domain' is in one object twice"),
        ('reclm:{"domain": "m", "max_items": NaN}', "NaN is no JSON"),
        ("reclm:" + "[" * 100_000, "nested too deeply"),
        ("reclm:[]", r"there is \[\], wanted an object"),
        ("reclm:{}", "domain is None, wanted the name of a catalog"),
        ('reclm:{"domain": ""}', "domain is ''"),
        ('reclm:{"domain": 3}', "domain is 3"),
        ('reclm:{"domain": "m", "k": 3}', "a key is 'k', wanted one of domain, rules, max_items"),
        ('reclm:{"domain": "m", "max_items": true}', "max_items is True"),
        ('reclm:{"domain": "m", "max_items": 1.0}', "max_items is 1.0"),
        ('reclm:{"domain": "m", "max_items": 100000}', "wanted a whole number from 0 to 1000"),
        ('reclm:{"domain": "m", "max_items": 1, "min_items": 2}', "more than max_items"),
        ('reclm:{"domain": "m", "force_items": true}', "without max_items"),
        ('reclm:{"domain": "m", "idx": true}', "idx numbers a list"),
        ('reclm:{"domain": "m", "lists_items": false, "max_items": 2}', "lists_items is false"),
        ('reclm:{"domain": "m", "rules": []}', r"rules: the body is \[\]"),
        ('reclm:{"domain": "m", "rules": {"allow": "x"}}', "rules: allow is 'x'"),
        (' reclm:{"domain": "m"}', "it starts with ' reclm:"),
        ("reclm:" + " " * MAX_LENGTH, "wanted up to 1,000,000"),
    ],
)
def test_another_text_is_refused(text, error):
    assert is_grammar(text)  # it is refused, and never taken for the grammar of another backend
    with pytest.raises(ValueError, match=error) as raised:
        parse_grammar(text)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


def test_other_grammars_are_of_other_backends():
    assert not is_grammar(None) and not is_grammar('root ::= "reclm:"') and not is_grammar("start: /a/")
