"""A server under the grammar promises the engine's answers, with drafts or without, and none that was not checked."""

from dataclasses import replace

import numpy as np
import pytest
from completions_server import CompletionsServer, running
from grammar_server import GrammarServer
from tiny import coded_chat, tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import Constraint, Prior
from train_utils.constraint.item_rules import ItemRules, compile_rules
from train_utils.decoding.completions_endpoint import CompletionsEndpoint, EndpointError
from train_utils.decoding.engine import Engine
from train_utils.decoding.events import Done
from train_utils.decoding.next_item import next_item_shares
from train_utils.decoding.request import Request
from train_utils.engines import remote_engine
from train_utils.engines.remote_engine import REMEDY, RemoteEngine, rules_of
from train_utils.prompts.messages import message

TITLES = ["red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song"]
ITEMS = [Item(f"i{n}", title, ("even",) if n % 2 == 0 else ("odd",)) for n, title in enumerate(TITLES)]
CATALOG = make_catalog("tiny", ITEMS)
RULES = [
    ItemRules(),
    ItemRules(categories=("even",)),
    ItemRules(deny=("i1", "i4"), seen=("i0",)),
    ItemRules(max_per_category={"odd": 1}),
]


def remote(url, chat, domain="tiny"):
    return RemoteEngine(CompletionsEndpoint(url, server="vllm", remedy=REMEDY), CATALOG, chat, domain)


def requests(chat, **more):
    made = []
    for number, rules in enumerate(RULES):
        prompt = chat.render([message("user", f"list {number}")], prompt=True).ids
        request = Request(
            prompt,
            compile_rules(CATALOG, chat.trie, rules),
            answer_at=len(prompt),
            max_new_tokens=60,
            max_items=3,
            force_items=True,
        )
        made += [request, replace(request, idx=True), replace(request, force_items=False, max_new_tokens=25)]
    return [replace(request, **more) for request in made]


@pytest.mark.parametrize("drafts", [0, 5])
@pytest.mark.parametrize("form", ["title_t", "token", "rq_token_seq"])
def test_answers_are_those_of_the_engine(form, drafts):
    model, chat = tiny_chat(TITLES) if form == "title_t" else coded_chat(TITLES, form)
    model.double()
    asked = requests(chat)
    expected = Engine(model, chat).generate(asked)
    server = GrammarServer(model, chat, CATALOG, drafts)
    with running(server) as url:
        actual = remote(url, chat).generate(asked)
    assert [(a.ids, a.items, a.finish) for a in actual] == [(a.ids, a.items, a.finish) for a in expected]
    assert sum(len(a.items) for a in actual) > 20
    scores = [score for a in actual for score in a.scores]
    assert np.allclose(scores, [score for a in expected for score in a.scores], atol=1e-4)


def test_drafts_save_passes():
    model, chat = coded_chat(TITLES, "token")
    passes = []
    for drafts in (0, 8):
        server = GrammarServer(model, chat, CATALOG, drafts)
        with running(server) as url:
            remote(url, chat).generate(requests(chat)[1:2])
        passes.append(server.passes)
    assert passes[1] <= 4 < 12 < passes[0]  # one pass per item of three, and one for the end


def test_a_prior_moves_items_of_one_token_as_in_the_engine():
    model, chat = coded_chat(TITLES, "token")
    model.double()
    prior = Prior(np.array([0.1, 0.4, 0.2, 0.05, 0.05, 0.15, 0.05]), 2.0, "sum")
    asked = [replace(r, rules=compile_rules(CATALOG, chat.trie, ItemRules(), prior)) for r in requests(chat)]
    with running(GrammarServer(model, chat, CATALOG)) as url:
        actual = remote(url, chat).generate(asked)
    assert [a.ids for a in actual] == [a.ids for a in Engine(model, chat).generate(asked)]
    model, chat = tiny_chat(TITLES)
    titles = replace(requests(chat)[0], rules=compile_rules(CATALOG, chat.trie, ItemRules(), prior))
    with pytest.raises(ValueError, match="adds a prior only to items of one token each"):
        remote("http://127.0.0.1:9", chat).generate([titles])


def test_a_prior_of_more_items_than_a_server_takes_keeps_the_order_of_the_best_and_holds_the_others_equal(monkeypatch):
    model, chat = coded_chat(TITLES, "token")
    monkeypatch.setattr(remote_engine, "MOST_BIASES", 3)
    prior = Prior(np.array([0.01, 0.4, 0.2, 0.04, 0.05, 0.2, 0.1]), 2.0)
    allowed = ItemRules(deny=("i1", "i6"))
    request = replace(requests(chat)[0], rules=compile_rules(CATALOG, chat.trie, allowed, prior))
    server = GrammarServer(model, chat, CATALOG)
    with running(server) as url:
        remote(url, chat).generate([request])
    expected = {2: 2 * np.log(4), 5: 2 * np.log(4), 4: 0}  # 0.2 / 0.05, the last of the best three
    biases = {str(chat.one_token_codes[item]): bias for item, bias in expected.items()}
    assert server.bodies[0]["logit_bias"] == pytest.approx(biases, abs=1e-3)


@pytest.mark.parametrize(
    ("form", "breaks", "takes", "ranks"),
    [
        ("token", "", True, True),
        ("token", "no biases", False, True),
        ("token", "few logprobs", True, False),
        ("title_t", "", False, False),
    ],
)
def test_the_check_finds_out_whether_a_server_takes_priors_and_ranks(form, breaks, takes, ranks):
    model, chat = tiny_chat(TITLES) if form == "title_t" else coded_chat(TITLES, form)
    with running(GrammarServer(model, chat, CATALOG, breaks=breaks)) as url:
        engine = remote(url, chat)
        engine.check()
    assert engine.takes_priors is takes and engine.ranks is ranks


@pytest.mark.parametrize("prior", [None, Prior(np.array([0.1, 0.4, 0.2, 0.05, 0.05, 0.15, 0.05]), 2.0, "sum")])
def test_a_ranked_list_is_that_of_the_engine_in_one_pass(prior):
    model, chat = coded_chat(TITLES, "token")
    model.double()
    asked = [
        replace(request, rules=compile_rules(CATALOG, chat.trie, rules, prior), best_titles=3)
        for request, rules in zip(requests(chat)[1::3], RULES, strict=True)
    ]
    expected = Engine(model, chat).rank(asked)
    server = GrammarServer(model, chat, CATALOG)
    with running(server) as url:
        actual = remote(url, chat).generate(asked)
        passes = server.passes
        streamed = [written(remote(url, chat).stream(request)) for request in asked]
    assert [(a.ids, a.items, a.finish) for a in actual] == [(a.ids, a.items, a.finish) for a in expected]
    assert [a.scores for a in actual] == [pytest.approx(a.scores, abs=1e-4) for a in expected]
    assert passes == len(asked)
    assert streamed == [written(Engine(model, chat).stream(request)) for request in asked]


def test_what_follows_a_bare_history_is_what_the_model_expects():
    model, chat = coded_chat(TITLES, "token")
    model.double()
    histories = [[0], [1, 2, 3], [6, 5]]
    with running(GrammarServer(model, chat, CATALOG)) as url:
        actual = remote(url, chat).next_item_shares(histories)
    assert np.allclose(actual, next_item_shares(Engine(model, chat), histories), atol=1e-6)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_streamed_answer_has_the_events_of_the_engine(number):
    model, chat = tiny_chat(TITLES)
    model.double()
    request = requests(chat)[number]
    with running(GrammarServer(model, chat, CATALOG)) as url:
        actual = written(remote(url, chat).stream(request))
    assert actual == written(Engine(model, chat).stream(request))


def written(events):
    """Return the text of an answer with its items, and how it ended."""
    parts = [
        event.text if hasattr(event, "text") else event.item if hasattr(event, "item") else event for event in events
    ]
    return "".join(map(str, parts[:-1])), parts[-1]


def test_an_answer_outside_the_catalog_is_an_error():
    model, chat = tiny_chat(TITLES)
    with running(GrammarServer(model, chat, CATALOG, breaks="ignores")) as url:
        forced = remote(url, chat).generate(requests(chat, max_new_tokens=80))
    assert all(answer.error is not None or not answer.items for answer in forced)


@pytest.mark.parametrize(("breaks", "reason"), [("aborts", "broke the answer off"), ("stops inside", "inside item 1")])
def test_an_answer_that_the_server_ends_early_is_an_error(breaks, reason):
    model, chat = tiny_chat(TITLES)
    server = GrammarServer(model, chat, CATALOG, breaks=breaks)
    with running(server) as url, pytest.raises(ValueError, match=reason):
        for answer in remote(url, chat).generate(requests(chat)[:1]):
            raise answer.error or AssertionError("taken for complete")


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        ("dies", "broke the answer off"),
        ("aborts", "broke the answer off"),
        ("failure", "breaks .* off: the engine failed"),
    ],
)
def test_a_stream_that_ends_early_is_an_error_after_its_items(breaks, reason):
    model, chat = tiny_chat(TITLES)
    events = []
    with running(GrammarServer(model, chat, CATALOG, breaks=breaks)) as url, pytest.raises(EndpointError, match=reason):
        events.extend(remote(url, chat).stream(requests(chat)[0]))
    assert not any(isinstance(event, Done) for event in events)


@pytest.mark.parametrize("form", ["title_t", "token", "rq_token_seq"])
def test_a_server_of_this_catalog_and_model_passes_the_check(form):
    model, chat = tiny_chat(TITLES) if form == "title_t" else coded_chat(TITLES, form)
    with running(GrammarServer(model, chat, CATALOG)) as url:
        remote(url, chat).check()


@pytest.mark.parametrize(
    ("kind", "breaks", "reason"),
    [
        (CompletionsServer, "", "refuses the request .* the plugin and this catalog"),
        (GrammarServer, "another tokenizer", "serves another tokenizer"),
        (GrammarServer, "ignores", "applies no grammar"),
    ],
)
def test_a_server_without_the_plugin_or_of_another_model_is_refused_at_the_start(kind, breaks, reason):
    model, chat = tiny_chat(TITLES)
    server = GrammarServer(model, chat, CATALOG, breaks=breaks) if kind is GrammarServer else kind(model, chat)
    with running(server) as url, pytest.raises(EndpointError, match=reason):
        remote(url, chat).check()


def test_an_answer_without_rules_has_no_item():
    model, chat = tiny_chat(TITLES)
    model.double()
    asked = [replace(r, rules=None, max_items=0, force_items=False, idx=False) for r in requests(chat)[:2]]
    expected = Engine(model, chat).generate(asked)
    with running(GrammarServer(model, chat, CATALOG, drafts=3)) as url:
        actual = remote(url, chat).generate(asked)
    assert [(a.ids, a.finish) for a in actual] == [(a.ids, a.finish) for a in expected]
    assert not any({chat.soi, chat.eoi} & set(a.ids) for a in actual)


def test_a_refused_request_names_the_reason_and_the_remedy():
    model, chat = tiny_chat(TITLES)
    with (
        running(GrammarServer(model, chat, CATALOG)) as url,
        pytest.raises(EndpointError, match=r"domain is 'other', wanted one of 'tiny'.*vllm_serve"),
    ):
        remote(url, chat, "other").generate(requests(chat)[:1])


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"constrained": False}, "decodes under its catalog"),
        ({"best_titles": 3}, "ranks items of one token each"),
    ],
)
def test_what_a_server_cannot_decode_is_refused(more, error):
    _, chat = tiny_chat(TITLES)
    with pytest.raises(ValueError, match=error):
        remote("http://127.0.0.1:9", chat).generate(requests(chat, **more)[:1])


def test_rules_of_a_constraint_admit_what_it_admits():
    _, chat = tiny_chat(TITLES)
    for rules in RULES:
        constraint = compile_rules(CATALOG, chat.trie, rules)
        again = compile_rules(CATALOG, chat.trie, rules_of(constraint, CATALOG))
        assert (again.admitted == constraint.admitted).all() and again.distinct == constraint.distinct
        assert [(g.tolist(), n) for g, n in again.conditions[2]] == [
            (g.tolist(), n) for g, n in constraint.conditions[2]
        ]
    with pytest.raises(ValueError, match="no category"):
        rules_of(Constraint(chat.trie, caps=[([0, 1], 1)]), CATALOG)
