"""Shortlist grammars, read by llguidance itself: they accept the lists of distinct candidates and nothing else."""

import itertools
import random

import llguidance.hf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher
from tiny import coded_chat, tiny_chat

from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.decoding.request import Request
from train_utils.decoding.shortlist import MOST_CANDIDATES, Shortlist, best_candidates
from train_utils.decoding.shortlist_ranker import shortlist_of

# Titles that begin alike, that extend each other, and that look like the text and the grammar around them.
TITLES = ["red", "red moon", "red moon river", "1. red", "\n2. ", "<[3]> item::_", "夜", 'a "night" %if', "the end"]
FORMS = ["title_t", "token", "token_title", "rq_token_seq"]


def chat_of(form, titles=TITLES):
    return tiny_chat(titles)[1] if form == "title_t" else coded_chat(titles, form)[1]


def tokenizer_of(chat):
    return llguidance.hf.from_tokenizer(chat.tokenizer, eos_token=chat.end_of_turn)


def shortlist(chat, items, length, idx=True):
    scores = np.zeros(len(chat.titles))
    scores[list(items)] = np.arange(len(items), 0, -1)
    rules = Constraint(chat.trie, allow=items, prior=Prior(scores))
    found = shortlist_of(chat, Request([0], rules, max_items=length, idx=idx))
    assert found is not None and list(found.items) == list(items)
    return found


def matcher_of(tokenizer, grammar):
    assert llguidance.grammar_from("grammar", grammar) == LLMatcher.grammar_from_lark(grammar)  # as vLLM and SGLang
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(grammar), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def allowed(matcher):
    mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    return set(np.flatnonzero(np.unpackbits(mask, bitorder="little")).tolist())


def language_of(chat, items, length, idx):
    """Return prefix -> tokens that may follow, from every list written out; the end of turn follows whole lists."""
    follow = {}
    for listed in itertools.permutations(items, length):
        ids = []
        for rank, item in enumerate(listed, 1):
            text = ("\n" if rank > 1 else "") + (f"{rank}. " if idx else "")
            ids += [*chat.encode(text), chat.soi, *chat.title_ids[item], chat.eoi]
        for at, token in enumerate([*ids, chat.end_of_turn]):
            follow.setdefault(tuple(ids[:at]), set()).add(token)
    return follow


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("idx", [True, False])
def test_after_every_prefix_the_grammar_allows_exactly_what_continues_a_list_of_distinct_candidates(form, idx):
    chat = chat_of(form)
    items = [1, 0, 5, 2, 7]
    follow = language_of(chat, items, 3, idx)
    start = matcher_of(tokenizer_of(chat), shortlist(chat, items, 3, idx).grammar())
    states, seen = [((), start)], 0
    while states:
        prefix, matcher = states.pop()
        seen += 1
        assert allowed(matcher) == follow[prefix], prefix
        for token in follow[prefix] - {chat.end_of_turn}:
            after = matcher.deep_copy()
            assert after.consume_token(token)
            states.append(((*prefix, token), after))
    assert seen == len(follow)


@given(st.data())
@settings(max_examples=25)
def test_walks_at_random_through_a_full_grammar_write_lists_of_distinct_candidates(data):
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    words = ["red", "moon", "river", "night", "the", "1.", "\n", "夜", "<[7]>"]
    n = data.draw(st.integers(1, MOST_CANDIDATES))
    titles = sorted({"a" + "".join(f" {rng.choice(words)}" for _ in range(rng.randint(1, 4))) for _ in range(n)})
    chat = chat_of(data.draw(st.sampled_from(FORMS[:3])), titles)
    items = rng.sample(range(len(titles)), len(titles))
    length = data.draw(st.integers(1, min(len(items), 10)))
    candidates = shortlist(chat, items, length)
    matcher = matcher_of(tokenizer_of(chat), candidates.grammar())
    written = []
    while not matcher.is_stopped():
        left = {tuple(candidates.titles[items.index(item)]): item for item in items}
        done, begun = complete_items(chat, written)
        left = {title: item for title, item in left.items() if title not in done}
        choices = allowed(matcher)
        if begun is not None:
            rest = [[*title, chat.eoi] for title in left if list(title[: len(begun)]) == begun]
            assert choices == {title[len(begun)] for title in rest}
        token = rng.choice(sorted(choices))
        assert matcher.consume_token(token)
        written.append(token)
    listed = candidates.items_of_tokens([token for token in written if token != chat.end_of_turn])
    assert len({*listed}) == len(listed) == length and {*listed} <= {*items}


def complete_items(chat, ids):
    """Return the titles written so far, and the tokens of the open one; None outside an item."""
    done, begun = set(), None
    for token in ids:
        if token == chat.soi:
            begun = []
        elif token == chat.eoi:
            done.add(tuple(begun))
            begun = None
        elif begun is not None:
            begun.append(token)
    return done, begun


@pytest.mark.parametrize("form", FORMS)
def test_every_list_of_distinct_candidates_is_accepted_and_read_back(form):
    chat, rng = chat_of(form), random.Random(0)
    tokenizer = tokenizer_of(chat)
    for _ in range(20):
        items = rng.sample(range(len(TITLES)), rng.randint(1, len(TITLES)))
        candidates = shortlist(chat, items, rng.randint(1, len(items)))
        listed = rng.sample(items, candidates.length)
        ids = candidates.tokens_of(listed)
        matcher = matcher_of(tokenizer, candidates.grammar())
        assert matcher.consume_tokens(ids) and matcher.is_accepting()
        assert candidates.items_of_tokens(ids) == listed and len(ids) <= candidates.most_tokens


@pytest.mark.parametrize("form", FORMS)
def test_a_list_with_any_other_token_is_refused_by_the_grammar_and_by_the_check(form):
    chat = chat_of(form)
    candidates = shortlist(chat, [1, 0, 5, 2], 3)
    tokenizer = tokenizer_of(chat)
    ids = candidates.tokens_of([0, 5, 1])
    vocabulary = len(chat.tokenizer)
    rng = random.Random(1)
    checked = 0
    while checked < 60:
        at = rng.randrange(len(ids))
        other = rng.choice([ids[:at], [*ids[:at], rng.randrange(vocabulary), *ids[at + 1 :]], [*ids, ids[at]]])
        matcher = matcher_of(tokenizer, candidates.grammar())
        accepted = matcher.try_consume_tokens(other) == len(other) and matcher.is_accepting()
        try:
            listed = candidates.items_of_tokens(other)
        except ConstraintError:
            listed = None
        assert accepted == (listed is not None)
        if listed is not None:
            assert len({*listed}) == 3 and candidates.tokens_of(listed) == other
        checked += 1


def test_the_text_of_a_list_is_read_as_its_tokens_are():
    chat = chat_of("title_t", ["red", "red moon", "夜 river", "the end"])
    candidates = shortlist(chat, [1, 0, 2, 3], 2)
    decode = lambda ids: chat.tokenizer.decode(ids, skip_special_tokens=False)  # noqa: E731
    for listed in itertools.permutations(range(4), 2):
        assert candidates.items_of_text(decode(candidates.tokens_of(listed)), decode) == list(listed)
    whole = decode(candidates.tokens_of([0, 1]))
    broken = [
        "", "1. red\n2. red moon", whole + " and more", whole.replace("<EOI>", ""), whole.replace("red moon", "red"),
        whole.replace("red moon", "blue"), "Sure! " + whole, whole.replace("2. ", "3. "),
        whole + "\n3. <SOI> the end<EOI>",
        "1. <EOI> red<SOI>\n2. <EOI> red moon<SOI>",
    ]  # fmt: skip
    for text in broken:
        with pytest.raises(ConstraintError):
            candidates.items_of_text(text, decode)


def test_candidates_are_the_best_admissible_items_and_every_choice_of_them_keeps_the_caps():
    chat = chat_of("token")
    scores = np.array([5, 9, 1, 0, 8, 7, 0, 2, 3], dtype=float)
    trie = chat.trie
    assert best_candidates(Constraint(trie), scores, 4) == [1, 4, 5, 0]
    assert best_candidates(Constraint(trie, deny=[4, 0]), scores, 4) == [1, 5, 8, 7]
    assert best_candidates(Constraint(trie, caps=[([1, 4, 5], 2), ([0, 8], 1)]), scores, 9) == [1, 4, 0, 7, 2]
    assert best_candidates(Constraint(trie, distinct=False), scores, 3) == [1, 4, 5]
    # Items without a score fill a list that would be too short, and no more than that.
    assert best_candidates(Constraint(trie), scores, 9, least=8) == [1, 4, 5, 0, 8, 7, 2, 3]


def test_a_shortlist_that_no_grammar_can_hold_is_refused_in_one_line():
    titles = tuple((token,) for token in range(65))
    with pytest.raises(ValueError, match="65 candidates, wanted at most 64"):
        Shortlist(tuple(range(65)), titles, ((1,),), 90, 91)
    with pytest.raises(ValueError, match="same title"):
        Shortlist((1, 2), ((5,), (5,)), ((1,),), 90, 91)
    with pytest.raises(ValueError, match="3 items cannot be chosen from 2 candidates"):
        Shortlist((1, 2), ((5,), (6,)), ((1,),) * 3, 90, 91)
    with pytest.raises(ValueError, match="needs scores"):
        shortlist_of(chat_of("token"), Request([0], Constraint(chat_of("token").trie), max_items=2))
