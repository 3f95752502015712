"""A tree grammar promises what the rules allow, token by token, whatever an engine takes back or drafts."""

import numpy as np
import pytest
from grammar_oracle import allowed_by, grammar_of, run

from train_utils.constraint.constraint import Constraint, Prior
from train_utils.constraint.trie import build_trie
from train_utils.engines.tree_grammar import ReplyForm, TextRows, TreeGrammar

SOI, EOI, STOP, VOCABULARY = 100, 101, 102, 103
TITLES = [[1, 2, 3], [1, 2, 4], [5]]


def grammar(form=ReplyForm(), **rules):  # noqa: B008
    trie = build_trie(TITLES, SOI, EOI)
    return TreeGrammar(Constraint(trie, **rules), TextRows(trie, VOCABULARY, [STOP]), form)


def test_equals_the_slow_oracle_over_random_steps_with_rollbacks_and_drafts():
    assert run(10_000) == []


def test_a_wide_branch_equals_the_slow_oracle():
    world = {
        "titles": [[i] for i in range(600)],
        "soi": 700,
        "eoi": 701,
        "item_tokens": [],
        "vocabulary": 705,
        "stops": [702],
        "form": ReplyForm(),
        "rules": {"deny": set(range(0, 600, 7)), "allow": None, "distinct": True, "caps": []},
    }
    reply = grammar_of(world)
    for token in (700, 1, 701, 700, 64, 701, 700):
        assert reply.accept_token(token)
    assert allowed_by(reply, 705) == set(range(600)) - set(range(0, 600, 7)) - {1, 64}


def test_forced_tokens_are_returned_up_to_the_next_choice_and_across_a_list():
    reply = grammar(ReplyForm(2, separators=((50,), (51, 52))))
    assert reply.jump_forward() == [50, SOI]
    assert all(map(reply.accept_token, [50, SOI, 1]))
    assert reply.jump_forward() == [2]
    assert all(map(reply.accept_token, [2, 4]))
    assert reply.jump_forward() == [EOI, 51, 52, SOI]
    assert all(map(reply.accept_token, [EOI, 51, 52, SOI, 1]))
    assert reply.jump_forward() == [2, 3, EOI, STOP]
    assert reply.items == (1,)


def test_nothing_follows_the_end_of_a_reply():
    reply = grammar()
    assert reply.accept_token(STOP) and reply.is_terminated()
    assert allowed_by(reply, VOCABULARY) == set()
    assert not reply.accept_token(1) and reply.validate_tokens([1]) == []
    reply.rollback(1)
    assert not reply.is_terminated() and reply.accept_token(1)


def test_a_copy_is_independent():
    reply = grammar()
    assert reply.accept_token(SOI)
    other = reply.copy()
    assert other.accept_token(5) and other.n_tokens == 2 and reply.n_tokens == 1
    assert reply.in_item and reply.accept_token(1)


def test_a_row_may_be_signed_and_must_hold_the_vocabulary():
    row = np.zeros(4, dtype=np.int32)
    grammar().fill_bitmask(row)
    assert row[0] == -1
    with pytest.raises(ValueError, match="3 words, wanted 4 for 103 tokens"):
        grammar().fill_bitmask(np.zeros(3, dtype=np.int32))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda trie: TextRows(trie, VOCABULARY, []), "a token that ends a reply"),
        (lambda trie: TextRows(trie, VOCABULARY, [200]), "not all within the vocabulary"),
        (lambda trie: TextRows(trie, VOCABULARY, [STOP, 2]), "stop token 2 is part of an item"),
        (lambda trie: TextRows(trie, VOCABULARY, [EOI]), "stop token 101 is part of an item"),
        (lambda trie: TextRows(trie, 90, [80]), "outside the vocabulary of 90"),
        (lambda trie: ReplyForm(max_items=-1), "`max_items` is -1"),
        (lambda trie: ReplyForm(max_items=1, min_items=2), "`min_items` is 2, more than"),
        (lambda trie: ReplyForm(max_items=2, separators=((1,),)), "1 entries for a list of 2"),
        (lambda trie: ReplyForm(max_items=2, lists_items=False), "a reply without items has no `max_items`"),
        (lambda trie: ReplyForm(1, separators=((1,),), opens_item=True), "begins with one of them"),
        (lambda trie: grammar(prior=Prior(np.ones(3))), "cannot apply a prior"),
        (lambda trie: grammar().rollback(1), "rollback of 1 tokens, and 0 were accepted"),
    ],
)
def test_refuses_what_it_cannot_keep(make, error):
    with pytest.raises(ValueError, match=error):
        make(build_trie(TITLES, SOI, EOI))
