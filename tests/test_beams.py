"""The beam search gives the sequences and the scores that `model.generate` gives for each prompt alone."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_chat
from torch import nn
from transformers import GenerationConfig
from transformers.generation import SuppressTokensLogitsProcessor

from train_utils.admission import ConstraintError, Prior, Rules
from train_utils.beams import beam_search
from train_utils.chat import ItemPart, message
from train_utils.cursor import Cursor
from train_utils.engine import Engine, Request
from train_utils.picking import Sampling
from train_utils.processor import CatalogLogitsProcessor
from train_utils.trie import build_tree

TITLES = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]


def make(seed=0, ends=3.0, opens=3.0, titles=TITLES):
    """In float64, so that no two logits are equal but for the order of a sum. `ends` and `opens` are added to the
    logits of the end of a turn and of an item's opening."""
    model, chat = tiny_chat(titles, seed)
    head = model.get_output_embeddings()
    bias = torch.zeros(head.out_features)
    bias[chat.end_of_turn], bias[chat.soi] = ends, opens
    head.bias = nn.Parameter(bias)
    return model.double(), chat, build_tree(chat.title_ids, chat.soi, chat.eoi)


def prompts(chat, n, seed=0):
    """Prompts of different lengths; some go on behind an item of the assistant, or inside one."""
    rng = random.Random(seed)
    asks = ["recommend", "list 3 titles", "the moon?", "1 2 3"]
    begun = [[], [chat.soi], [chat.soi, *chat.title_ids[0], chat.eoi]]
    return [
        chat.render([message("user", rng.choice(asks) + " " * rng.randint(1, 9), ItemPart(rng.randrange(3)))],
                    prompt=True).ids + rng.choice(begun)
        for _ in range(n)
    ]


def generated(model, chat, request, num_beams, num_return, length_penalty):
    """(ids, finish, score) of each beam by `model.generate`."""
    ids = torch.tensor([request.prompt])
    processor = (SuppressTokensLogitsProcessor([chat.soi, chat.eoi]) if request.rules is None
                 else CatalogLogitsProcessor(request.rules, chat.end_of_turn, num_beams))
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), logits_processor=[processor],
        generation_config=GenerationConfig(
            num_beams=num_beams, num_return_sequences=num_return, do_sample=False, early_stopping=False,
            length_penalty=length_penalty, max_new_tokens=request.max_new_tokens, eos_token_id=chat.end_of_turn,
            pad_token_id=chat.end_of_turn, output_scores=True, return_dict_in_generate=True,
        ),
    )
    found = []
    for row, score in zip(out.sequences[:, ids.shape[1]:].tolist(), out.sequences_scores.tolist(), strict=True):
        row = [*row, chat.end_of_turn][:request.max_new_tokens]
        ended = chat.end_of_turn in row
        # A text that is there twice has a score of about -1e9: transformers makes up beams where there are too few.
        if score > -1e5:
            found.append((row[:row.index(chat.end_of_turn)] if ended else row, "end" if ended else "length", score))
    return found


def assert_equal(beams, expected):
    assert [(beam.completion.ids, beam.completion.finish) for beam in beams] == [one[:2] for one in expected]
    assert [beam.score for beam in beams] == pytest.approx([one[2] for one in expected], rel=1e-5, abs=1e-5)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 4), st.data())
def test_beams_equal_those_of_generate(seed, num_beams, data):
    model, chat, tree = make(seed, ends=data.draw(st.sampled_from([0.0, 3.0, 5.0])))
    num_return = data.draw(st.integers(1, num_beams))
    length_penalty = data.draw(st.sampled_from([0.0, 1.0, 2.0]))
    denied = st.sets(st.integers(1, len(TITLES) - 1), max_size=len(TITLES) - 1)
    requests = [
        Request(prompt, Rules(tree, deny=data.draw(denied), distinct=data.draw(st.booleans())),
                max_new_tokens=data.draw(st.integers(1, 25)))
        for prompt in prompts(chat, 3, seed)
    ]
    found = beam_search(model, chat, requests, num_beams, num_return, length_penalty)
    for request, beams in zip(requests, found, strict=True):
        assert_equal(beams, generated(model, chat, request, num_beams, num_return, length_penalty))
        before = Cursor.behind(request.rules, request.prompt, chat.end_of_turn)
        for beam in beams:
            behind = Cursor.behind(request.rules, [*request.prompt, *beam.completion.ids], chat.end_of_turn)
            assert beam.completion.items == list(behind.items[len(before.items):])


@pytest.mark.parametrize("reduce", ["sum", "max"])
def test_a_prior_enters_the_scores_as_in_generate(reduce):
    model, chat, tree = make(5)
    rules = Rules(tree, prior=Prior(np.arange(len(TITLES)), 0.7, reduce))
    requests = [Request(prompt, rules, max_new_tokens=20) for prompt in prompts(chat, 4, 5)]
    for request, beams in zip(requests, beam_search(model, chat, requests, 3, 3), strict=True):
        assert_equal(beams, generated(model, chat, request, 3, 3, 1.0))


def test_requests_with_and_without_a_catalogue_share_a_batch():
    model, chat, tree = make(8)
    first, second, third = (p[:p.index(chat.soi)] for p in prompts(chat, 3, 8))
    requests = [Request(first, max_new_tokens=15), Request(second, Rules(tree), max_new_tokens=15),
                Request(third, max_new_tokens=9)]
    found = beam_search(model, chat, requests, 3, 2)
    for request, beams in zip(requests, found, strict=True):
        assert_equal(beams, generated(model, chat, request, 3, 2, 1.0))
    for beam in found[0] + found[2]:
        assert not {chat.soi, chat.eoi} & set(beam.completion.ids) and beam.completion.items == []


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_a_batch_gives_what_each_request_gives_alone(seed):
    model, chat, tree = make(seed)
    requests = [Request(p, Rules(tree), max_new_tokens=5 + 5 * i) for i, p in enumerate(prompts(chat, 5, seed))]
    together = beam_search(model, chat, requests, 3, 3)
    for request, beams in zip(requests, together, strict=True):
        (alone,) = beam_search(model, chat, [request], 3, 3)
        assert_equal(beams, [(b.completion.ids, b.completion.finish, b.score) for b in alone])


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_one_beam_is_greedy_decoding(seed):
    model, chat, tree = make(seed)
    requests = [Request(p, Rules(tree), max_new_tokens=25) for p in prompts(chat, 4, seed)]
    greedy = Engine(model, chat).generate(requests)
    found = [beam.completion for (beam,) in beam_search(model, chat, requests, 1)]
    assert [(c.ids, c.items, c.finish) for c in found] == [(c.ids, c.items, c.finish) for c in greedy]


def test_a_prompt_is_read_once_and_a_step_takes_one_pass():
    model, chat, tree = make(1, ends=-9.0)
    batch, read, limit, num_beams = prompts(chat, 4, 1), [], 12, 4
    with_hook = model.register_forward_pre_hook(lambda _, args, kwargs: read.append(kwargs["input_ids"].numel()),
                                                with_kwargs=True)
    beam_search(model, chat, [Request(p, Rules(tree), max_new_tokens=limit) for p in batch], num_beams)
    with_hook.remove()
    # The beginning that all prompts share is a pass of its own.
    assert len(read) == 1 + limit
    assert sum(read[:2]) < sum(map(len, batch)) and max(read[2:]) <= len(batch) * num_beams


def test_fewer_texts_than_wanted_are_no_made_up_beams():
    model, chat, tree = make(2, titles=["red", "a"])
    (prompt,) = prompts(chat, 1)
    inside = [*prompt[:prompt.index(chat.end_of_turn) + 1], chat.soi]
    (beams,) = beam_search(model, chat, [Request(inside, Rules(tree), max_new_tokens=1)], 4, 4)
    assert len({tuple(beam.completion.ids) for beam in beams}) == len(beams) <= 2


@pytest.mark.parametrize("wrong,message_", [
    ({"sampling": Sampling(0.5)}, "temperature is 0.5"), ({"force_items": True}, "force_items is True"),
    ({"best_titles": 2}, "best_titles is 2"), ({"max_items": 3}, "max_items is 3"),
    ({"constrained": False}, "constrained is False"),
])
def test_requests_for_something_else_are_refused(wrong, message_):
    model, chat, tree = make(titles=["red"])
    with pytest.raises(ValueError, match=message_):
        beam_search(model, chat, [Request([5], Rules(tree), **wrong)], 2)


def test_wrong_numbers_are_refused():
    model, chat, _ = make(titles=["red"])
    with pytest.raises(ValueError, match="num_beams is 0"):
        beam_search(model, chat, [Request([5])], 0)
    for num_return in (0, 3):
        with pytest.raises(ValueError, match=f"num_return is {num_return}"):
            beam_search(model, chat, [Request([5])], 2, num_return)
    assert beam_search(model, chat, [], 2) == []


def test_a_prompt_off_the_tree_raises():
    model, chat, tree = make(titles=["red"])
    with pytest.raises(ConstraintError):
        beam_search(model, chat, [Request([chat.soi, 5, 5], Rules(tree))], 2)
