"""The engine writes what one-token-at-a-time constrained decoding writes, and only items of the catalog."""

import itertools
import random
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from chat_templates import FAMILIES, family_chat
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import scripted, tiny_chat, tiny_model
from transformers import GenerationConfig

from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.trie import build_trie
from train_utils.decoding.engine import Engine, RunningBatch
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Request, SamplingParams
from train_utils.decoding.title_search import prefill_to_item
from train_utils.processor import FastPrefixConstrainedLogitsProcessor, Trie_link
from train_utils.prompts.control_tokens import split_completion
from train_utils.prompts.messages import ItemPart, message

TITLES = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]


def prompts(chat, n, seed=0):
    rng = random.Random(seed)
    asks = ["recommend", "list 3 titles", "the moon?", "a <SOI> red <|im_end|>", "1 2 3"]
    return [
        chat.render(
            [message("user", rng.choice(asks) + " " * rng.randint(1, 9), ItemPart(rng.randrange(3)))], prompt=True
        ).ids
        for _ in range(n)
    ]


def plain(model, chat, request):
    """One token at a time by `model.generate`, constrained by the processor."""
    (completion,) = generate_reference(model, chat, [request])
    return completion


def make(seed=0, bias_soi=0.0, titles=TITLES):
    model, chat = tiny_chat(titles, seed)
    # In float64, so that no two logits of a random model are equal but for the order of a sum.
    model = model.double()
    if bias_soi:
        with torch.no_grad():
            weight = model.get_output_embeddings().weight
            weight[chat.soi] += bias_soi * weight[chat.encode(" ")[0]]
    return model, chat, build_trie(chat.title_ids, chat.soi, chat.eoi)


def drawn_rules(trie, chat, rng, distinct=True):
    """Rules of every kind, mixed."""
    items = range(trie.n_items)
    prior = Prior(
        np.array([rng.choice([0.0, 0.1, 1.0, 5.0]) for _ in items]),
        rng.choice([0.0, 0.7, 3.0]),
        rng.choice(["sum", "max"]),
    )
    return Constraint(
        trie,
        deny=rng.sample(items, rng.randrange(trie.n_items - 3)),
        distinct=distinct,
        caps=rng.choice([[], [(rng.sample(items, 4), 1)], [(rng.sample(items, 3), 2), (rng.sample(items, 2), 1)]]),
        prior=rng.choice([None, prior]),
    )


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.booleans())
def test_engine_equals_plain_constrained_decoding(seed, distinct):
    model, chat, trie = make(seed, bias_soi=0.7)
    rng = random.Random(seed)
    requests = [
        Request(
            prompt,
            drawn_rules(trie, chat, rng, distinct),
            max_new_tokens=60,
            max_items=rng.choice([0, 2]),
            idx=rng.random() < 0.5,
            expected=rng.sample(range(trie.n_items), rng.randrange(trie.n_items)),
        )
        for prompt in prompts(chat, 4, seed)
    ]
    engine = Engine(model, chat)
    actual = engine.generate(requests)
    for request, completion in zip(requests, actual, strict=True):
        expected = plain(model, chat, request)
        assert (completion.ids, completion.items) == (expected.ids, expected.items)
        assert completion.finish == expected.finish
        items, _ = split_completion(completion.ids, chat.soi, chat.eoi)
        closed = items[: len(completion.items)]
        assert all(chat.title_ids.index(item) in np.flatnonzero(request.rules.admitted) for item in closed)
        assert not distinct or len({tuple(item) for item in closed}) == len(closed)
    print(f"items {engine.counters.items}, not in the catalog {engine.counters.off_catalog}")
    assert engine.counters.off_catalog == 0
    # What was learned from one batch changes the speed of the next, and nothing else.
    assert [c.ids for c in engine.generate(requests[::-1])] == [c.ids for c in actual[::-1]]


def sample_slowly(model, chat, request):
    """Every token by itself: the whole distribution of the allowed tokens, sorted, and one number of [0, 1)."""
    matcher, ids = Matcher.from_tokens(request.rules, request.prompt, chat.end_of_turn), []
    numbers = (random.Random(f"{request.seed}/{n}").random() for n in itertools.count())
    while len(ids) < request.max_new_tokens:
        logits = model(input_ids=torch.tensor([[*request.prompt, *ids]])).logits[0, -1].double()
        allowed = matcher.allowed()
        if allowed is None:
            allowed = np.setdiff1d(np.arange(len(logits)), matcher.barred())
        kept = logits[torch.from_numpy(allowed)]
        if (prior := matcher.prior()) is not None:
            kept = kept + torch.from_numpy(prior[0])
        shares = (kept / request.sampling.temperature).softmax(0).tolist()
        ranked = sorted(zip(shares, allowed.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))
        ranked = ranked[: request.sampling.top_k or None]
        total = sum(share for share, _ in ranked)
        nucleus, mass = [], 0.0
        for share, token in ranked:
            if mass / total >= request.sampling.top_p:
                break
            nucleus.append((share, token))
            mass += share
        token = nucleus[0][1]
        if not (not matcher.free and len(allowed) == 1):
            aim = next(numbers) * mass
            for share, token in nucleus:  # noqa: B007 - the last one takes what rounding leaves
                aim -= share
                if aim < 0:
                    break
        if token == chat.end_of_turn and matcher.free:
            break
        matcher.accept_token(token)
        ids.append(token)
    return ids


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([(1.0, 0, 1.0), (0.7, 5, 1.0), (1.5, 0, 0.8), (1.0, 40, 0.5)]))
def test_sampling_equals_sampling_every_token_by_itself(seed, how):
    model, chat, trie = make(seed, bias_soi=0.7)
    rng = random.Random(seed)
    requests = [
        Request(
            prompt,
            drawn_rules(trie, chat, rng),
            max_new_tokens=25,
            sampling=SamplingParams(*how),
            seed=seed + i,
            expected=[3, 1, 2],
        )
        for i, prompt in enumerate(prompts(chat, 3, seed))
    ]
    expected = [sample_slowly(model, chat, request) for request in requests]
    assert [c.ids for c in Engine(model, chat).generate(requests)] == expected


def test_sampled_items_have_the_distribution_of_generate():
    model, chat, trie = make(4, bias_soi=0.9)
    prompt = [*prompts(chat, 1)[0], chat.soi]
    rules = Constraint(trie)
    n = 4000
    engine = Engine(model, chat)
    ours = Counter(
        c.items[0]
        for c in engine.generate(
            [Request(prompt, rules, max_items=1, sampling=SamplingParams(1.0), seed=seed) for seed in range(n)]
        )
    )
    torch.manual_seed(0)
    ids = torch.tensor([prompt]).expand(n, -1)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=GenerationConfig(
            do_sample=True, top_k=0, max_new_tokens=40, eos_token_id=chat.eoi, pad_token_id=chat.end_of_turn
        ),
        logits_processor=[CatalogLogitsProcessor(rules, chat.end_of_turn)],
    )
    spelled = {(*ids, chat.eoi): item for item, ids in enumerate(chat.title_ids)}
    theirs = Counter(spelled[tuple(row[: row.index(chat.eoi) + 1])] for row in out[:, len(prompt) :].tolist())
    # Both are samples of n: four standard deviations of the difference of two shares.
    for item in range(trie.n_items):
        share = (ours[item] + theirs[item]) / (2 * n)
        assert abs(ours[item] - theirs[item]) / n <= 4 * (2 * share * (1 - share) / n) ** 0.5 + 1e-9


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.data())
def test_rows_may_join_and_leave_in_any_order(seed, data):
    model, chat, trie = make(seed, bias_soi=0.7)
    rng = random.Random(seed)
    requests = [
        Request(
            prompt, drawn_rules(trie, chat, rng), max_new_tokens=rng.randint(1, 40), best_titles=rng.choice([0, 0, 2])
        )
        for prompt in prompts(chat, 6, seed)
    ]
    engine = Engine(model, chat)
    alone = [engine.generate([request])[0] for request in requests]
    running, waiting, rows, dropped = RunningBatch(engine), list(range(len(requests))), {}, None
    while waiting or running.rows:
        if waiting and (not running.rows or data.draw(st.booleans())):
            new = [waiting.pop(0) for _ in range(data.draw(st.integers(1, len(waiting))))]
            rows |= dict(zip(new, running.add([requests[i] for i in new]), strict=True))
        elif running.rows and dropped is None and data.draw(st.booleans()):
            dropped = data.draw(st.sampled_from(running.rows))
            running.abort(dropped)
        else:
            running.step()
    for i, row in rows.items():
        if row is dropped:
            assert row.out.finish == "stopped" and row.out.ids == alone[i].ids[: len(row.out.ids)]
        else:
            assert (row.out.ids, row.out.items, row.out.finish) == (alone[i].ids, alone[i].items, alone[i].finish)
            assert row.out.scores == pytest.approx(alone[i].scores)


def test_a_heavy_prior_gives_its_own_ranking_and_no_weight_the_model_alone():
    model, chat, trie = make(6)
    scores = np.random.default_rng(0).permutation(len(TITLES)) + 1.0
    request = Request(prompts(chat, 1)[0], Constraint(trie), max_items=len(TITLES), force_items=True)
    (alone,) = Engine(model, chat).generate([request])
    (same,) = Engine(model, chat).generate([replace(request, rules=Constraint(trie, prior=Prior(scores, 0.0)))])
    assert same == alone
    ranking = np.argsort(-scores).tolist()
    for reduce, best_titles in (("max", 0), ("sum", 1), ("sum", len(TITLES))):
        rules = Constraint(trie, prior=Prior(scores, 1e6, reduce))
        (actual,) = Engine(model, chat).generate([replace(request, rules=rules, best_titles=best_titles)])
        assert actual.items == ranking and actual.items != alone.items


@torch.inference_mode()
def test_scores_are_the_log_probabilities_of_the_items_among_the_admissible_ones():
    model, chat, trie = make(8)
    prompt = prompts(chat, 1)[0]
    (actual,) = Engine(model, chat).generate([Request(prompt, Constraint(trie), max_items=3, force_items=True)])
    ids, matcher, expected = list(prompt), Matcher(Constraint(trie)), []
    for token in actual.ids:
        allowed = matcher.allowed()
        if token == chat.soi:
            expected.append(0.0)
        elif allowed is not None:
            kept = model(input_ids=torch.tensor([ids])).logits[0, -1][torch.from_numpy(allowed)].log_softmax(0)
            expected[-1] += float(kept[allowed.tolist().index(token)])
        matcher.accept_token(token)
        ids.append(token)
    assert actual.scores == pytest.approx(expected)


def test_an_answer_that_the_prompt_began_is_gone_on_with():
    model, chat, trie = make(9, bias_soi=0.7)
    rules = Constraint(trie)
    begun = [chat.encode("so: "), chat.item_ids(3), [chat.soi, *chat.title_ids[1][:1]]]
    for n in range(1, 4):
        prompt = [*prompts(chat, 1)[0], *itertools.chain.from_iterable(begun[:n])]
        request = Request(prompt, rules, max_new_tokens=40)
        (actual,) = Engine(model, chat).generate([request])
        expected = plain(model, chat, request)
        assert (actual.ids, actual.items) == (expected.ids, expected.items)
        assert n < 2 or 3 not in actual.items


def test_a_broken_span_in_the_open_turn_raises_and_one_before_it_does_not_matter():
    model, chat, trie = make()
    broken = [chat.soi, *chat.encode("nowhere")]
    user, rules = prompts(chat, 1)[0], Constraint(trie)
    with pytest.raises(ConstraintError):
        Engine(model, chat).generate([Request([*user, *broken], rules)])
    request = Request([*broken, *user], rules, max_new_tokens=20)
    assert Engine(model, chat).generate([request])[0].ids == plain(model, chat, request).ids


def test_an_error_of_one_row_leaves_the_others_of_its_batch_alone():
    model, chat, trie = make(3)
    good = [Request(prompt, Constraint(trie), max_new_tokens=25) for prompt in prompts(chat, 3)]
    broken = replace(good[0], prompt=[*good[0].prompt, chat.soi, *chat.encode("nowhere")])
    alone = [Engine(model, chat).generate([request])[0].ids for request in good]
    actual = Engine(model, chat).generate([good[0], broken, good[1], broken, good[2]])
    assert [one.ids for one in actual if one.finish != "error"] == alone
    assert [one.finish == "error" and isinstance(one.error, ConstraintError) for one in actual] == [
        False,
        True,
        False,
        True,
        False,
    ]
    running = RunningBatch(Engine(model, chat))
    rows = running.add([good[0]])
    assert [row.finished for row in running.add([broken, good[1]])] == [True, False]
    while running.rows:
        running.step()
    assert rows[0].out.ids == alone[0]
    with pytest.raises(ConstraintError):
        list(Engine(model, chat).stream(broken))


@settings(max_examples=40)
@given(st.integers(0, 9999))
def test_a_turn_that_lists_all_there_is_goes_on_as_text_or_ends_exhausted(seed):
    """The prompt's own turn holds the items already: nothing is left to be opened, and nothing raises."""
    rng = random.Random(seed)
    model, chat, trie = make(seed % 4, bias_soi=rng.choice([0.0, 0.8]))
    admitted = rng.sample(range(len(TITLES)), rng.randint(1, 3))
    turn = [token for item in admitted for token in (*chat.item_ids(item), *chat.encode(rng.choice(["\n", " ", "a"])))]
    prompt = [*prompts(chat, 1, seed)[0], *turn]
    rules = Constraint(trie, allow=admitted, prior=rng.choice([None, Prior(np.ones(len(TITLES)))]))
    how = rng.choice(
        [
            {},
            {"force_items": True, "max_items": 3},
            {"min_items": 2},
            {"idx": True},
            {"best_titles": 2},
            {"expected": (1, 2, 3)},
        ]
    )
    request = Request(prompt, rules, max_new_tokens=12, **how)
    (actual,) = Engine(model, chat).generate([request])
    assert not actual.items and chat.soi not in actual.ids
    if "force_items" in how:
        assert (actual.ids, actual.finish) == ([], "exhausted")
    elif "min_items" not in how and "best_titles" not in how:
        assert actual.ids == plain(model, chat, request).ids
    # Beside others, and where it comes late.
    other = Request(prompts(chat, 1, seed)[0], Constraint(trie), max_new_tokens=12)
    assert [one.ids for one in Engine(model, chat).generate([other, request])] == [
        Engine(model, chat).generate([other])[0].ids,
        actual.ids,
    ]
    running = RunningBatch(Engine(model, chat))
    running.add([other])
    (late,) = running.add([request])
    while running.rows:
        running.step()
    assert late.out.ids == actual.ids


def test_a_model_that_ends_its_turn_where_nothing_is_left_ends_exhausted():
    model, chat, trie = make(1)
    prompt = [*prompts(chat, 1)[0], *chat.item_ids(0)]
    scripted(model, {len(prompt): chat.end_of_turn})
    for least, finish in ((0, "end"), (1, "exhausted")):
        (actual,) = Engine(model, chat).generate([Request(prompt, Constraint(trie, allow=[0]), min_items=least)])
        assert (actual.ids, actual.finish) == ([], finish)


def test_a_search_for_titles_finds_none_where_the_prompt_has_listed_them_all():
    model, chat, trie = make(1)
    listed = [*prompts(chat, 1)[0], *chat.item_ids(0)]
    opening = prefill_to_item(model, chat, [listed, prompts(chat, 1)[0]])
    first, second = opening.most_probable([Constraint(trie, allow=[0])] * 2, 3)
    assert first == [] and [one.item for one in second] == [0]


@pytest.mark.parametrize("name", FAMILIES)
def test_without_a_word_on_where_the_answer_begins_the_template_tells(name):
    chat = family_chat(name, "bytes", tuple(TITLES))
    model = tiny_model(len(chat.tokenizer)).double()
    prompt = chat.render([message("user", *map(ItemPart, range(len(TITLES))), " again")], prompt=True).ids
    for how in ({}, {"force_items": True, "max_items": 3}):
        given, default = (
            Request(prompt, Constraint(chat.trie), answer_at=at, max_new_tokens=30, **how) for at in (len(prompt), None)
        )
        (one,), (other,) = (Engine(model, chat).generate([request]) for request in (given, default))
        assert (one.ids, one.items) == (other.ids, other.items)
        if not how:
            assert generate_reference(model, chat, [default])[0].ids == one.ids


def test_a_title_that_is_spelled_otherwise_than_the_catalog_does_is_counted_and_raises():
    model, chat, trie = make(3)
    engine = Engine(model, chat)
    chat.title_ids[0], chat.title_ids[1] = chat.title_ids[1], chat.title_ids[0]
    with pytest.raises(ConstraintError, match="not how the catalog spells it"):
        engine.generate([Request(prompts(chat, 1)[0], Constraint(trie, allow=[0]), max_items=1, force_items=True)])
    assert engine.counters.off_catalog == 1


def test_the_oracle_refuses_what_generate_does_not_do():
    model, chat, trie = make()
    for wrong in ({"force_items": True}, {"best_titles": 1}, {"sampling": SamplingParams(1.0)}, {"rules": None}):
        with pytest.raises(ValueError, match="oracle"):
            generate_reference(model, chat, [replace(Request([5], Constraint(trie)), **wrong)])


@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor])
@pytest.mark.parametrize("position", [np.int64, np.uint8, torch.tensor])
def test_prompts_and_places_may_be_arrays(kind, position):
    model, chat, trie = make(2)
    prompt = [*prompts(chat, 1)[0], *chat.item_ids(0)]
    at = len(prompt) - len(chat.item_ids(0))
    requests = Request(prompt, Constraint(trie), answer_at=at, max_new_tokens=12)
    same = Request(kind(prompt), Constraint(trie), answer_at=position(at), max_new_tokens=12)
    for answer in (Engine(model, chat).generate, partial(generate_reference, model, chat)):
        assert answer([requests]) == answer([same])


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": []},
        {"max_new_tokens": 0},
        {"max_items": -1},
        {"best_titles": -1},
        {"answer_at": 2},
        {"answer_at": -1},
        {"min_items": 3, "max_items": 2},
    ],
)
def test_wrong_requests_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Request(**({"prompt": [5]} | wrong))


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.1}])
def test_wrong_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)


def test_forced_lists_hold_the_wanted_number_of_distinct_items_and_nothing_else():
    model, chat, trie = make(3)
    rules = Constraint(trie, deny=[0])
    engine = Engine(model, chat)
    for idx in (False, True):
        requests = [Request(p, rules, max_items=4, force_items=True, idx=idx) for p in prompts(chat, 5)]
        for completion in engine.generate(requests):
            assert completion.finish == "items" and len(set(completion.items)) == 4
            text = chat.tokenizer.decode(completion.ids)
            assert text.startswith("1. <SOI>" if idx else "<SOI>") and text.count("\n") == 3


def test_a_catalog_smaller_than_the_list_gives_what_there_is():
    model, chat, trie = make(5, titles=["red", "a"])
    (completion,) = Engine(model, chat).generate(
        [Request(prompts(chat, 1)[0], Constraint(trie), max_items=9, force_items=True)]
    )
    assert sorted(completion.items) == [0, 1] and completion.finish == "exhausted"


def test_an_answer_that_would_end_too_early_lists_as_many_items_as_are_asked_for():
    model, chat, trie = make()
    # A model that would end its turn wherever it may.
    model.lm_head.register_forward_hook(
        lambda module, given, logits: (
            logits + 1e6 * torch.eye(len(chat.tokenizer), dtype=logits.dtype)[chat.end_of_turn]
        )
    )
    request = Request(prompts(chat, 1)[0], Constraint(trie), min_items=4, idx=True)
    for max_items, finish in ((0, "end"), (4, "items")):
        (actual,) = Engine(model, chat).generate([replace(request, max_items=max_items)])
        assert (actual.finish, len(set(actual.items))) == (finish, 4)
        assert chat.tokenizer.decode(actual.ids).count("\n") == 3
    (actual,) = Engine(model, chat).generate([replace(request, rules=Constraint(trie, allow=[1, 2]))])
    assert (actual.finish, len(actual.items)) == ("exhausted", 2)
    (actual,) = Engine(model, chat).generate([replace(request, min_items=0)])
    assert (actual.finish, actual.ids) == ("end", [])


def test_forced_tokens_and_drafts_save_passes():
    model, chat, trie = make(3)
    engine = Engine(model, chat)
    (completion,) = engine.generate([Request(prompts(chat, 1)[0], Constraint(trie), max_items=9, force_items=True)])
    assert engine.counters.passes < len(completion.ids) / 2


def test_stream_gives_the_text_and_the_items_of_generate():
    model, chat, trie = make(11, bias_soi=0.8)
    rules = Constraint(trie)
    for prompt in prompts(chat, 6):
        request = Request(prompt, rules, max_new_tokens=80)
        (whole,) = Engine(model, chat).generate([request])
        events = list(Engine(model, chat).stream(request))
        items = [e for e in events if isinstance(e, ItemEvent)]
        assert [e.item for e in items] == whole.items
        assert [e.rank for e in items] == list(range(1, len(items) + 1))
        _, texts = split_completion(whole.ids, chat.soi, chat.eoi)
        spoken = "".join(e.text for e in events if isinstance(e, TextDelta))
        assert spoken == "".join(chat.decode(t) for t in texts)
        assert events[-1] == Done(whole.finish)


def test_an_unconstrained_rival_is_streamed_as_text():
    model, chat, trie = make(11, bias_soi=0.9)
    (prompt, *_) = prompts(chat, 1)
    with torch.no_grad():
        model.get_output_embeddings().weight[chat.eoi] = 2 * model.get_output_embeddings().weight[chat.soi]
    request = Request(prompt, Constraint(trie), constrained=False, max_new_tokens=60)
    assert chat.eoi in Engine(model, chat).generate([request])[0].ids
    events = list(Engine(model, chat).stream(request))
    assert not any(isinstance(event, ItemEvent) for event in events) and isinstance(events[-1], Done)


def test_without_a_catalog_no_item_can_be_opened():
    model, chat, _ = make(2, bias_soi=0.9)
    for completion in Engine(model, chat).generate([Request(p, max_new_tokens=40) for p in prompts(chat, 5)]):
        assert chat.soi not in completion.ids and chat.eoi not in completion.ids


def test_rules_that_admit_nothing_raise_before_decoding():
    _, chat, trie = make()
    with pytest.raises(ConstraintError, match="admit none"):
        Constraint(trie, deny=range(len(TITLES)))


@pytest.mark.parametrize("num_beams,sample", [(1, False), (3, False), (1, True)])
def test_the_published_pair_of_names_constrains_generate(num_beams, sample):
    model, chat, trie = make(7, bias_soi=0.7)
    link = Trie_link([[0, *ids] for ids in chat.title_ids], chat.tokenizer)
    processor = FastPrefixConstrainedLogitsProcessor(link.constrain_search_list, num_beams)
    slow = FastPrefixConstrainedLogitsProcessor(lambda b, ids: link.constrain_search_list(b, ids), num_beams)
    batch = prompts(chat, 3)
    width = max(map(len, batch))
    ids = torch.tensor([[chat.end_of_turn] * (width - len(p)) + p for p in batch])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in batch])
    for used in (processor, processor, slow):
        torch.manual_seed(0)
        out = model.generate(
            ids,
            attention_mask=mask,
            logits_processor=[used],
            generation_config=GenerationConfig(
                num_beams=num_beams, do_sample=sample, max_new_tokens=40, eos_token_id=chat.end_of_turn, pad_token_id=1
            ),
        )
        for row in out[:, width:].tolist():
            items, _ = split_completion(row, chat.soi, chat.eoi)
            # The last item may be cut by the length limit.
            for item in items[:-1]:
                assert item in chat.title_ids


def test_a_row_off_the_tree_raises_instead_of_going_free():
    _, chat, trie = make()
    processor = CatalogLogitsProcessor(Constraint(trie), chat.end_of_turn)
    with pytest.raises(ConstraintError):
        processor(torch.tensor([[chat.end_of_turn, chat.soi, 5, 5]]), torch.zeros(1, 400))


def test_a_reproducible_batch_is_read_in_the_same_passes_whatever_was_decoded_before():
    """In bf16 passes of other shapes round otherwise: an interrupted test would not go on to the same file."""
    model, chat = tiny_chat(TITLES)
    prompt = chat.render([message("user", "titles")], prompt=True).ids
    requests = [
        Request([*prompt, token], Constraint(chat.trie), max_items=6, force_items=True) for token in range(20, 28)
    ]

    def read_by(engine):
        before = (engine.counters.drafted, engine.counters.accepted)
        engine.generate(requests[:2], reproducible=True)
        return engine.counters.drafted - before[0], engine.counters.accepted - before[1]

    engine = Engine(model, chat)
    first = read_by(engine)
    engine.generate(requests)
    assert read_by(engine) == first and first[1] > 0
