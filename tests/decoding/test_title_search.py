"""The search gives the titles that scoring every title of the catalog would give, in the same order."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_lists import write_slowly
from tiny import closed_by_caps, tiny_chat

from train_utils.constraint.constraint import Constraint, Prior
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.trie import build_trie
from train_utils.decoding.engine import Engine
from train_utils.decoding.request import Request
from train_utils.decoding.title_search import prefill_to_item
from train_utils.prompts.messages import message, separator

titles_strategy = st.lists(st.text("ab é夜red moon2", min_size=1, max_size=9), min_size=1, max_size=14)


@torch.inference_mode()
def score_every_title(model, chat, trie, prompt, rules, idx):
    """(log-probability, item) of each admissible title, best first: one plain forward pass a title."""
    return score_titles_after(model, chat, trie, [*prompt, *chat.encode(separator(1, idx)), chat.soi], rules)


def score_titles_after(model, chat, trie, opening, rules, listed=()):
    scored = []
    for leaf in range(trie.n_leaves):
        items = [i for i in trie.items_of_leaf(leaf) if rules.admitted[i] and i not in closed_by_caps(rules, listed)]
        if not items or items[0] in listed:
            continue
        title = chat.title_ids[items[0]]
        logits = model(input_ids=torch.tensor([opening + title])).logits[0, len(opening) - 1 :]
        matcher, total = Matcher(rules, listed), 0.0
        matcher.accept_token(chat.soi)
        for token, row in zip([*title, chat.eoi], logits, strict=True):
            allowed, prior = matcher.allowed().tolist(), matcher.prior()
            total += float(row[allowed].log_softmax(0)[allowed.index(token)])
            total += 0.0 if prior is None else float(prior[0][allowed.index(token)])
            matcher.accept_token(token)
        scored.append((total, items[0]))
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))


@settings(max_examples=60)
@given(titles_strategy, st.integers(0, 9999), st.data())
def test_the_search_equals_scoring_every_title(titles, seed, data):
    model, chat = tiny_chat([title.strip() or "a" for title in titles], seed)
    model = model.double()
    trie = build_trie(chat.title_ids, chat.soi, chat.eoi)
    prompts = data.draw(st.lists(st.lists(st.integers(2, 300), min_size=1, max_size=6), min_size=1, max_size=3))
    denied = [data.draw(st.sets(st.integers(0, len(titles) - 1), max_size=len(titles) - 1)) for _ in prompts]
    k, idx = data.draw(st.integers(1, 15)), data.draw(st.booleans())
    scores = np.array([data.draw(st.sampled_from([0.0, 1e-3, 1.0, 2.0])) for _ in titles])
    prior = data.draw(st.sampled_from([None, Prior(scores, 0.5, "sum"), Prior(scores, 3.0, "sum"), Prior(scores, 2.0)]))
    rules = [Constraint(trie, deny=deny, prior=prior) for deny in denied]
    actual = prefill_to_item(model, chat, prompts, idx).most_probable(rules, k)
    for prompt, rule, ranked in zip(prompts, rules, actual, strict=True):
        expected = score_every_title(model, chat, trie, prompt, rule, idx)
        assert len(ranked) == min(k, len(expected))
        torch.testing.assert_close([r.log_probability for r in ranked], [p for p, _ in expected[:k]])
        scores = dict((item, p) for p, item in expected)
        for position, one in enumerate(ranked):
            # The same title, or one that is equally likely.
            assert one.item == expected[position][1] or scores[one.item] == pytest.approx(
                expected[position][0], abs=1e-9
            )
        assert len({r.item for r in ranked}) == len(ranked)


@settings(max_examples=40)
@given(
    st.integers(0, 9999),
    st.sets(st.integers(0, 6), max_size=5),
    st.sampled_from([1, 2, 9]),
    st.sampled_from([[], [([0, 1, 2], 1)], [([0, 3, 4], 2), ([1, 3], 1)]]),
)
def test_titles_found_by_search_in_a_conversation_equal_scoring_every_title(seed, deny, best_titles, caps):
    titles = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a"]
    model, chat = tiny_chat(titles, seed)
    model = model.double()
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        weight[chat.soi] += 0.7 * weight[chat.encode(" ")[0]]
    trie = build_trie(chat.title_ids, chat.soi, chat.eoi)
    rng = random.Random(seed)
    requests = [
        Request(
            chat.render([message("user", "list " + "3" * rng.randint(0, 5))], prompt=True).ids,
            Constraint(trie, deny=deny, caps=caps),
            max_new_tokens=40,
            best_titles=best_titles,
            idx=rng.random() < 0.5,
        )
        for _ in range(3)
    ]
    actual = Engine(model, chat).generate(requests)
    score_items = partial(score_titles_after, model, chat, trie)
    assert [c.ids for c in actual] == [write_slowly(model, chat, request, score_items)[0] for request in requests]


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_list_that_was_ranked_at_once_passes_over_what_a_cap_has_closed(seed, distinct):
    titles = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a"]
    model, chat = tiny_chat(titles, seed)
    model, group = model.double(), {0, 1, 2, 3}
    rules = Constraint(chat.trie, caps=[(sorted(group), 1)], distinct=distinct)
    (ranked,) = prefill_to_item(model, chat, [[5, 6]]).most_probable([rules], len(titles))
    kept = [one.item for one in ranked]
    first = next(item for item in kept if item in group)
    kept = [item for item in kept if item == first or item not in group]
    (actual,) = Engine(model, chat).generate(
        [Request([5, 6], rules, answer_at=2, max_items=len(kept), force_items=True, best_titles=len(titles))]
    )
    assert actual.items == kept and actual.finish == "items"
    for k in (1, 2, len(kept), len(titles)):
        (listed,) = Engine(model, chat).rank([Request([5, 6], rules, answer_at=2, max_items=k)])
        assert listed.items == kept[:k] and listed.ids == actual.ids[: len(listed.ids)]


@pytest.mark.parametrize("seed", range(5))
def test_a_ranked_title_whose_first_item_a_cap_has_closed_is_listed_once_for_the_other_item(seed):
    titles = ["red", "moon", "red", "the end", "moon", "夜"]
    model, chat = tiny_chat(titles, seed)
    model, twin = model.double(), {0: 2, 1: 4}
    (ranked,) = prefill_to_item(model, chat, [[5, 6]]).most_probable([Constraint(chat.trie, distinct=False)], 4)
    order = [one.item for one in ranked]
    closed = next(item for item in order[1:] if item in twin)
    rules = Constraint(chat.trie, caps=[([order[0], closed], 1)], distinct=False)
    (actual,) = Engine(model, chat).generate(
        [Request([5, 6], rules, answer_at=2, max_items=4, force_items=True, best_titles=4)]
    )
    assert actual.items == [twin[item] if item == closed else item for item in order]
    (listed,) = Engine(model, chat).rank([Request([5, 6], rules, answer_at=2, max_items=4)])
    assert (listed.items, listed.ids, listed.finish) == (actual.items, actual.ids, actual.finish)


def test_the_probabilities_of_the_whole_catalog_sum_to_one():
    model, chat = tiny_chat(["red", "red moon", "red moon 2", "the end", "é", "夜", "a"], 3)
    trie = build_trie(chat.title_ids, chat.soi, chat.eoi)
    (ranked,) = prefill_to_item(model.double(), chat, [[5, 6]]).most_probable([Constraint(trie)], 100)
    assert len(ranked) == 7
    assert torch.tensor([r.log_probability for r in ranked]).exp().sum().item() == pytest.approx(1)


def test_a_request_does_not_depend_on_the_others():
    model, chat = tiny_chat(["red", "red moon", "red moon 2", "the end", "é", "夜", "a"], 4)
    model = model.double()
    trie = build_trie(chat.title_ids, chat.soi, chat.eoi)
    prompts = [[5, 6], [5, 6, 7, 8, 9, 10], [5]]
    rules = [Constraint(trie), Constraint(trie, deny=[0, 1]), Constraint(trie, allow=[2])]
    together = prefill_to_item(model, chat, prompts).most_probable(rules, 3)
    alone = [prefill_to_item(model, chat, [p]).most_probable([r], 3)[0] for p, r in zip(prompts, rules, strict=True)]
    assert [[r.item for r in row] for row in together] == [[r.item for r in row] for row in alone]
    assert [len(row) for row in together] == [3, 3, 1]


def test_wrong_calls_are_refused():
    model, chat = tiny_chat(["red"])
    trie = build_trie(chat.title_ids, chat.soi, chat.eoi)
    with pytest.raises(ValueError, match="k is 0"):
        prefill_to_item(model, chat, [[5]]).most_probable([Constraint(trie)], 0)
