"""RecLM-ret retrieves what comparing every item, with the whole prefix read again, would retrieve."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_lists import write_slowly
from tiny import closed_by_caps, tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import PRIOR_FLOOR, Constraint, ConstraintError, Prior
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.engine import Engine
from train_utils.decoding.events import ItemEvent
from train_utils.decoding.request import Request
from train_utils.decoding.retriever import Retriever
from train_utils.models.item_vectors import item_text, item_vectors
from train_utils.models.retrieval_head import Retrieval, load_retrieval, save_retrieval
from train_utils.prompts.messages import ItemPart, message
from train_utils.training.loss import catalog_loss

TITLES = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]
BEGIN_ALIKE = ["red moon 1", "red moon 2", "red moon 3"]


def catalog_of(titles):
    return make_catalog("c", [Item(f"i{n}", title) for n, title in enumerate(titles)])


def make(titles, seed=0, bias_soi=0.7):
    """A random model that likes to open items, in float64: no two logits are equal but for the order of a sum."""
    model, chat = tiny_chat(titles, seed)
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        weight[chat.soi] += bias_soi * weight[chat.encode(" ")[0]]
    torch.manual_seed(seed)
    return model.double(), chat, Retrieval(32, torch.randn(len(titles), 5)).eval().requires_grad_(False)


@torch.inference_mode()
def score_every_item(model, retrieval, ids, rules, listed):
    """(log-probability, item), best first, for an item that opens after `ids`; one pass of the whole prefix."""
    state = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]
    query = retrieval.projection(state.float())
    left = [i for i in range(rules.trie.n_items) if rules.admits(i) and i not in closed_by_caps(rules, listed)]
    if rules.distinct:
        left = [i for i in left if i not in listed]
    scores = {i: float(query @ retrieval.items[i]) for i in left}
    if rules.prior is not None:
        total = sum(float(rules.prior.scores[i]) for i in left)
        for i in left if total else ():
            scores[i] += rules.prior.weight * float(np.log(max(rules.prior.scores[i] / total, PRIOR_FLOOR)))
    values = torch.tensor(list(scores.values())).log_softmax(0).tolist()
    return sorted(zip(values, scores, strict=True), key=lambda pair: (-pair[0], pair[1]))


def drawn_rules(trie, rng, distinct):
    items = range(trie.n_items)
    prior = Prior(np.array([rng.choice([0.0, 0.1, 1.0, 5.0]) for _ in items]), rng.choice([0.7, 3.0]))
    caps = [(rng.sample(items, 2), 1)] if trie.n_items > 2 else []
    return (
        Constraint(
            trie,
            deny=rng.sample(items, rng.randrange(trie.n_items)),
            distinct=distinct,
            allow=rng.choice([None, None, list(items)]),
            caps=rng.choice([[], caps]),
            prior=rng.choice([None, prior]),
        )
        if trie.n_items > 4
        else Constraint(trie, distinct=distinct)
    )


@settings(max_examples=60)
@given(
    st.integers(0, 9999),
    st.sampled_from([TITLES, TITLES[:1], BEGIN_ALIKE]),
    st.sampled_from([0, 1, 3]),
    st.booleans(),
    st.booleans(),
)
def test_decoding_equals_comparing_every_item_behind_the_whole_prefix(seed, titles, best, force, distinct):
    model, chat, retrieval = make(titles, seed)
    rng = random.Random(seed)
    requests = []
    while len(requests) < 3:
        prompt = chat.render([message("user", "list " + "3" * rng.randint(0, 5), ItemPart(0))], prompt=True).ids
        try:
            rules = drawn_rules(chat.trie, rng, distinct)
        except ConstraintError:
            continue
        requests.append(
            Request(
                prompt,
                rules,
                max_new_tokens=40,
                max_items=rng.choice([2, 4]) if force else 0,
                force_items=force,
                best_titles=best,
                idx=rng.random() < 0.5,
            )
        )
    engine = Engine(model, chat, Retriever(retrieval))
    actual = engine.generate(requests)

    def score_items(prefix, rules, listed):  # the query is the state before `<SOI>`
        return score_every_item(model, retrieval, prefix[:-1], rules, listed)

    for request, completion in zip(requests, actual, strict=True):
        ids, items, scores = write_slowly(model, chat, request, score_items)
        assert completion.ids == ids
        # An item whose tokens the length limit cut off is not emitted.
        assert completion.items == items[: len(completion.items)] and len(items) - len(completion.items) <= 1
        np.testing.assert_allclose(completion.scores, scores[: len(completion.scores)], atol=1e-4)
        assert not distinct or len(set(completion.items)) == len(completion.items)
        assert all(request.rules.admits(item) for item in completion.items)
    assert engine.counters.off_catalog == 0
    # What was learned from one batch changes the speed of the next, and nothing else.
    assert [c.ids for c in engine.generate(requests[::-1])] == [c.ids for c in actual[::-1]]


def test_an_item_that_the_prompt_has_opened_is_retrieved_by_the_state_before_it():
    model, chat, retrieval = make(TITLES, 3)
    prompt = chat.render([message("user", "list")], prompt=True).ids
    requests = [
        Request([*prompt, chat.soi], Constraint(chat.trie), max_items=1),
        Request(prompt, Constraint(chat.trie)),
    ]
    (alone,) = Engine(model, chat, Retriever(retrieval)).generate(requests[:1])
    together = Engine(model, chat, Retriever(retrieval)).generate(requests)[0]
    ((_, best), *_) = score_every_item(model, retrieval, prompt, Constraint(chat.trie), [])
    assert alone.items == together.items == [best]


def test_a_list_costs_about_one_pass_an_item():
    model, chat, retrieval = make(TITLES, 1)
    prompt = chat.render([message("user", "list")], prompt=True).ids
    engine = Engine(model, chat, Retriever(retrieval))
    engine.generate([Request(prompt, Constraint(chat.trie), max_items=8, force_items=True)])
    assert engine.counters.items == 8 and engine.counters.passes == 8


def test_a_stream_tells_the_items_and_unconstrained_requests_are_left_alone():
    model, chat, retrieval = make(TITLES, 2)
    engine = Engine(model, chat, Retriever(retrieval))
    prompt = chat.render([message("user", "list")], prompt=True).ids
    request = Request(prompt, Constraint(chat.trie), max_items=3, force_items=True)
    (whole,) = engine.generate([request])
    events = [event for event in engine.stream(request) if isinstance(event, ItemEvent)]
    assert [event.item for event in events] == whole.items and [event.score for event in events] == whole.scores
    free = Request(prompt, constrained=False, max_new_tokens=20)
    assert engine.generate([free])[0].ids == Engine(model, chat).generate([free])[0].ids


def test_items_that_share_a_title_are_retrieved_as_the_first_admitted_one():
    model, chat, retrieval = make(["red", "red", "moon", "red"], 0)
    prompt = chat.render([message("user", "list")], prompt=True).ids
    rules = Constraint(chat.trie, deny=[0])
    (actual,) = Engine(model, chat, Retriever(retrieval)).generate(
        [Request(prompt, rules, max_items=4, force_items=True)]
    )
    assert sorted(actual.items) == [1, 2] and actual.finish == "exhausted"


# -- search ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["all", "deny", "few", "prior"])
def test_an_index_finds_what_comparing_all_items_finds(kind):
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    titles = [f"{n}" for n in range(4000)]
    _, chat = tiny_chat(titles)
    retrieval = Retrieval(8, rng.normal(size=(4000, 16))).eval()
    rules = {
        "all": Constraint(chat.trie),
        "deny": Constraint(chat.trie, deny=range(0, 4000, 2)),
        "few": Constraint(chat.trie, allow=range(5, 4000, 90)),
        "prior": Constraint(chat.trie, prior=Prior(rng.random(4000), 2.0)),
    }[kind]
    states = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) * 30
    matchers, k = [Matcher(rules, [5])] * 40, [3] * 40
    exact = Retriever(retrieval).nearest(states, matchers, k)
    actual = Retriever(retrieval, index_from=1).nearest(states, matchers, k)
    assert [[item for item, _ in row] for row in actual] == [[item for item, _ in row] for row in exact]
    assert 5 not in {item for row in actual for item, _ in row}


def test_probabilities_of_all_items_sum_to_one_and_exhausted_rules_are_refused():
    _, chat, retrieval = make(TITLES)
    (ranked,) = Retriever(retrieval).nearest(torch.randn(1, 32), [Matcher(Constraint(chat.trie))], [99])
    assert len(ranked) == len(TITLES) and sum(np.exp(p) for _, p in ranked) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConstraintError, match="no admissible item"):
        Retriever(retrieval).nearest(torch.randn(1, 32), [Matcher(Constraint(chat.trie, allow=[1]), [1])], [1])


# -- loss --------------------------------------------------------------------------------------------------------------


def test_the_loss_of_a_choice_is_the_cross_entropy_over_the_catalog():
    queries, items = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    # Scores are (1, 0, 1) and (0, 2, 2).
    actual = catalog_loss(
        queries @ items.T, torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]), torch.tensor([1.0, 0.25, 0.75])
    )
    by_hand = [np.log(2 * np.e + 1) - 1, np.log(1 + 2 * np.exp(2)) - 2]
    np.testing.assert_allclose(actual.numpy(), by_hand, rtol=1e-6)


# -- files -------------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded_and_only_for_its_catalog(tmp_path):
    _, _, retrieval = make(TITLES)
    save_retrieval(retrieval.state_dict(), catalog_of(TITLES), tmp_path)
    actual = load_retrieval(tmp_path, catalog_of(TITLES))
    states = torch.randn(3, 32)
    assert torch.equal(actual.queries(states), retrieval.queries(states)) and torch.equal(actual.items, retrieval.items)
    with pytest.raises(ValueError, match="another catalog"):
        load_retrieval(tmp_path, catalog_of(TITLES[:-1]))
    (tmp_path / "retrieval" / "projection.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(ValueError, match="damaged"):
        load_retrieval(tmp_path, catalog_of(TITLES))


def counting_encoder(calls):
    def encode(texts):
        calls.append(len(texts))
        return np.array([[len(text), 1.0 + text.count("e")] for text in texts])

    return encode


def test_vectors_are_made_once_and_refuse_another_catalog_model_or_file(tmp_path):
    path, calls = tmp_path / "v.npy", []

    def vectors(catalog=None, model="m", **more):
        return item_vectors(catalog or catalog_of(TITLES), path, model, encoder=counting_encoder(calls), **more)

    first = vectors()
    assert first.dtype == np.float32 and np.allclose(np.linalg.norm(first, axis=1), 1)
    assert np.array_equal(vectors(), first) and calls == [len(TITLES)]
    changed = make_catalog("c", [replace(item, description="new") for item in catalog_of(TITLES).items])
    for other, complaint in (
        (dict(catalog=changed), "texts_sha256"),
        (dict(model="n"), "other model"),
        (dict(catalog=catalog_of(TITLES[1:])), "items"),
    ):
        with pytest.raises(ValueError, match=complaint) as raised:
            vectors(**other)
        assert "\n" not in str(raised.value) and "`overwrite`" in str(raised.value)
    assert np.array_equal(vectors(), first)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(ValueError, match="not the file that v.json describes"):
        vectors()
    path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match="no v.json next to it"):
        vectors()
    assert not np.array_equal(vectors(changed, overwrite=True), first) and len(calls) == 2
    assert np.array_equal(vectors(changed), np.load(path))


def test_the_text_of_an_item_has_a_line_for_everything_known():
    item = Item("1", "Heat", ("Crime", "Drama"), "A chase.", {"year": 1995, "tags": ["x"], "studio": "", "new": True})
    assert item_text(item) == "Heat\ncategory: Crime, Drama\nyear: 1995\nA chase."
    assert item_text(Item("1", "Heat")) == "Heat"


def test_an_encoder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="fetch_defaults"):
        item_vectors(catalog_of(TITLES), tmp_path / "v.npy", str(tmp_path / "none"))
