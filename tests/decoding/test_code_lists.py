"""With item codes the engine equals plain constrained decoding, and lists rank by the plain probabilities."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import coded_chat

from train_utils.constraint.constraint import Constraint, Prior
from train_utils.decoding.engine import Engine
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Request
from train_utils.prompts.messages import ItemPart, message

TITLES = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]
FORMS = ("token", "token_title", "rq_token_seq")


def made(form, seed):
    model, chat = coded_chat(TITLES, form, seed)
    model = model.double()
    with torch.no_grad():  # opens items often
        weight = model.get_output_embeddings().weight
        weight[chat.soi] += 3 * weight[chat.encode(" ")[0]]
    return model, chat


def drawn_constraint(chat, rng):
    prior = Prior(np.array([rng.choice([0.0, 0.1, 1.0, 5.0]) for _ in TITLES]), rng.choice([0.7, 3.0]), "sum")
    deny = rng.sample(range(len(TITLES)), rng.randrange(5))
    return Constraint(chat.trie, deny=deny, caps=rng.choice([[], [([0, 1, 2, 3], 1)]]), prior=rng.choice([None, prior]))


def request(chat, rng, **how):
    items = [ItemPart(rng.randrange(len(TITLES))) for _ in range(rng.randrange(4))]
    prompt = chat.render([message("user", "liked", *items, " recommend")], prompt=True).ids
    return Request(prompt, drawn_constraint(chat, rng), answer_at=len(prompt), max_new_tokens=60, **how)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_the_engine_equals_plain_constrained_decoding(form, seed):
    rng = random.Random(seed)
    model, chat = made(form, seed % 3)
    requests = [request(chat, rng, max_items=rng.choice([0, 3])) for _ in range(3)]
    for own, plain in zip(
        Engine(model, chat).generate(requests), generate_reference(model, chat, requests), strict=True
    ):
        assert (own.ids, own.items, own.finish) == (plain.ids, plain.items, plain.finish)
        assert len(set(own.items)) == len(own.items)


def plain_scores(model, chat, prompt, closed):
    """Return float64 [items]: the log-probability of each code, token by token among those that lead to open items."""
    scores = np.full(len(TITLES), -np.inf)
    open_codes = {i: ids for i, ids in enumerate(chat.code_ids) if i != closed}
    for item, code in open_codes.items():
        scores[item] = 0
        for n, token in enumerate(code):
            following = sorted({ids[n] for ids in open_codes.values() if ids[:n] == code[:n]})
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, chat.soi, *code[:n]]])).logits[0, -1]
            scores[item] += logits[following].log_softmax(0)[following.index(token)]
    return scores


@pytest.mark.parametrize("form", FORMS)
def test_a_ranking_is_the_order_of_the_plain_probabilities(form):
    model, chat = made(form, 0)
    rng = random.Random(1)
    prompt = chat.render([message("user", "liked", ItemPart(3), " recommend")], prompt=True).ids
    prior = Prior(np.array([rng.random() for _ in TITLES]), 2.0, "sum")
    for bias in (None, prior):
        rules = Constraint(chat.trie, deny=[3], prior=bias)
        (ranked,) = Engine(model, chat).rank(
            [Request(prompt, rules, answer_at=len(prompt), max_items=10, force_items=True)]
        )
        scores = plain_scores(model, chat, prompt, closed=3)
        if bias is not None:
            shares = bias.scores.copy()
            shares[3] = 0
            with np.errstate(divide="ignore"):
                scores = scores + 2.0 * np.log(shares / shares.sum())
        assert ranked.items == np.argsort(-scores, kind="stable")[: len(ranked.items)].tolist()
        assert len(ranked.items) == 9
        assert np.allclose(ranked.scores, scores[ranked.items], atol=1e-6)


def test_a_title_behind_a_code_costs_no_pass_of_its_own():
    passes = {}
    for form in FORMS:
        model, chat = made(form, 0)
        engine = Engine(model, chat)
        prompt = chat.render([message("user", "recommend")], prompt=True).ids
        engine.generate([Request(prompt, Constraint(chat.trie), answer_at=len(prompt), max_items=5, force_items=True)])
        passes[form] = engine.counters.passes
    assert passes["token"] == passes["token_title"] <= passes["rq_token_seq"]
