"""Shortlist mode: lists from a server whose grammars llguidance reads, and none whose answer was not checked."""

import math

import numpy as np
import pytest
import torch
from completions_server import LARK, CompletionsServer, running
from tiny import coded_chat, tiny_chat

from train_utils import Recommender
from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding import completions_endpoint
from train_utils.decoding.completions_endpoint import EndpointError
from train_utils.item_codes import save_item_codes
from train_utils.prompts.list_spec import ListSpec, list_messages

TITLES = ["red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song"]
ITEMS = [Item(f"i{n}", title, ("even",) if n % 2 == 0 else ("odd",)) for n, title in enumerate(TITLES)]
CATALOG = make_catalog("tiny", ITEMS, {"u": ["i0", "i1", "i2"]})
SCORES = [0.04, 0.1, 0.25, 0.06, 0.2, 0.05, 0.3]


class FixedTeacher:
    """Gives every history the same probabilities."""

    def top_k(self, histories, k, scores=False):
        lists, values = [], []
        for history in histories:
            left = [n for n in np.argsort(SCORES)[::-1].tolist() if f"i{n}" not in history][:k]
            lists.append([f"i{n}" for n in left])
            values.append([SCORES[n] for n in left])
        return (lists, values) if scores else lists


@pytest.fixture(scope="module", params=["title_t", "token", "token_title", "rq_token_seq"])
def world(request, tmp_path_factory):
    """Return the model and the renderer of an item form, and the folder of the tokenizer and the codes."""
    model, chat = tiny_chat(TITLES) if request.param == "title_t" else coded_chat(TITLES, request.param)
    folder = tmp_path_factory.mktemp(request.param)
    chat.tokenizer.save_pretrained(folder)
    if chat.codes is not None:
        model.config.item_form = request.param
        save_item_codes(chat.codes.__class__(chat.codes.form, tuple(CATALOG.ids(range(7))), chat.codes.codes), folder)
    model.config.save_pretrained(folder)
    return model, chat, folder


@pytest.fixture(scope="module")
def titles(tmp_path_factory):
    model, chat = tiny_chat(TITLES)
    folder = tmp_path_factory.mktemp("titles")
    chat.tokenizer.save_pretrained(folder)
    return model, chat, folder


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(completions_endpoint, "_PAUSE_S", 0.0)


def load(url, folder, **more):
    return Recommender.load(folder, CATALOG, **{"url": url, "mode": "shortlist", "teacher": FixedTeacher()} | more)


def greedy_list(model, chat, history, candidates, k):
    """Return the items and scores of a list by the model alone, one candidate set and one token at a time."""
    ids = chat.render(list_messages(history, ListSpec(k), marked_history=bool(chat.code_ids)), prompt=True).ids
    left, items, scores = set(candidates), [], []
    while len(items) < k and left:
        ids += [*chat.encode(("\n" if items else "") + f"{len(items) + 1}. "), chat.soi]
        written, score = [], 0.0
        while chat.eoi not in written:
            begun = [[*chat.title_ids[item], chat.eoi] for item in left]
            choices = sorted({title[len(written)] for title in begun if title[: len(written)] == written})
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0, -1].double()[choices]
            best = int(logits.argmax())
            score += float(logits.log_softmax(0)[best])
            written.append(choices[best])
            ids = [*ids, choices[best]]
        items.append(next(item for item in left if [*chat.title_ids[item], chat.eoi] == written))
        scores.append(score)
        left.discard(items[-1])
    return items, scores


def test_a_list_is_the_models_own_greedy_choice_among_the_teachers_best(world):
    model, chat, folder = world
    with running(CompletionsServer(model, chat)) as url:
        recommender = load(url, folder, candidates=4)
        for history in (["i0"], ["i6", "i2"], ["red moon two", "i4"]):
            shown = recommender.indices(history)
            candidates = [n for n in np.argsort(SCORES)[::-1].tolist() if n not in shown][:4]
            expected, scores = greedy_list(model, chat, shown, candidates, 3)
            actual = recommender.recommend(history, k=3)
            assert [one.id for one in actual] == [f"i{item}" for item in expected]
            assert [one.score for one in actual] == pytest.approx(scores, abs=1e-4)
            assert [one.rank for one in actual] == [1, 2, 3]


@pytest.mark.parametrize("kind", list(LARK))
def test_every_server_gets_the_grammar_in_its_own_field_and_the_same_list_comes_back(titles, kind):
    model, chat, folder = titles
    server = CompletionsServer(model, chat, kind, reports_ids=kind in ("vllm", "sglang"))
    with running(server) as url:
        lists = load(url + "/v1/", folder, api_key="secret").recommend_batch([["i0"], ["i1"]], k=2)
    with running(CompletionsServer(model, chat)) as url:
        assert lists == load(url, folder).recommend_batch([["i0"], ["i1"]], k=2)
    assert {*server.keys} == {"Bearer secret"} and len(server.bodies) == 2
    for body in server.bodies:
        assert body["temperature"] == 0 and body["model"] == "tiny" and all(type(t) is int for t in body["prompt"])
        assert kind == "llamacpp" or body["skip_special_tokens"] is False


def test_rules_limit_the_shortlist_and_a_short_catalog_gives_a_short_list(titles):
    model, chat, folder = titles
    with running(CompletionsServer(model, chat)) as url:
        recommender = load(url, folder)
        even = recommender.recommend(["i0"], k=9, rules={"categories": ["even"]})
        assert sorted(one.id for one in even) == ["i2", "i4", "i6"]
        capped = recommender.recommend([], k=5, rules={"max_per_category": {"odd": 1}})
        assert len(capped) == 5 and sum(one.id in ("i1", "i3", "i5") for one in capped) == 1
        with pytest.raises(ConstraintError, match="admit none"):
            recommender.recommend([], k=5, rules={"deny": CATALOG.ids(range(7))})


def test_without_a_history_the_most_popular_items_are_the_candidates(titles):
    model, chat, folder = titles
    with running(CompletionsServer(model, chat)) as url:
        listed = load(url, folder, candidates=1).recommend([], k=1)
    popularity = CATALOG.popularity
    assert popularity[CATALOG.index[listed[0].id]] == max(popularity)


@pytest.mark.parametrize("reports_ids", [True, False])
@pytest.mark.parametrize("breaks", ["ignores", "hides", "cut", "another tokenizer", "repeats an item"])
def test_an_answer_that_breaks_the_grammar_is_one_line_and_no_list(titles, breaks, reports_ids):
    model, chat, folder = titles
    twice = [token for text in ("1. ", "\n2. ") for token in (*chat.encode(text), *chat.item_ids(2))]
    repeated = twice if breaks == "repeats an item" else ()
    server = CompletionsServer(model, chat, breaks=breaks, reports_ids=reports_ids, repeated=repeated)
    with running(server) as url, pytest.raises(ConstraintError, match="the answer of http") as error:
        load(url, folder).recommend(["i0"], k=2)
    assert "\n" not in str(error.value) and "structured-outputs-config" in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"breaks": "no JSON"}, "no JSON"),
        ({"breaks": "no choices"}, "not like OpenAI's completions API"),
        ({"kind": "openai"}, "is a server 'openai'; give `server`"),
        ({"refuses": [400]}, r"refuses the request \(400\): not now"),
        ({"refuses": [503] * 4}, r"refuses the request \(503\)"),
        ({"refuses": [401]}, r"refuses the request \(401\): not now"),
    ],
)
def test_a_server_that_answers_otherwise_is_one_line(titles, given, message):
    model, chat, folder = titles
    with running(CompletionsServer(model, chat, **given)) as url, pytest.raises(EndpointError, match=message) as error:
        load(url, folder).recommend(["i0"], k=2)
    assert "\n" not in str(error.value)


def test_a_busy_server_is_asked_again(titles):
    model, chat, folder = titles
    with running(CompletionsServer(model, chat, refuses=[503, 429])) as url:
        assert len(load(url, folder).recommend(["i0"], k=2)) == 2


def test_scores_that_the_server_does_not_report_are_not_a_number(titles):
    model, chat, folder = titles
    server = CompletionsServer(model, chat)
    answer = server.answer
    server.answer = lambda *request: strip_scores(answer(*request))
    with running(server) as url:
        assert all(math.isnan(one.score) for one in load(url, folder).recommend(["i0"], k=2))


def strip_scores(answer):
    status, content = answer
    for choice in content.get("choices", []):
        choice["logprobs"] = None
    return status, content


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "localhost:8000"}, "wanted an address such as"),
        ({"url": "http://[::1"}, "wanted an address such as"),
        ({"mode": "free"}, "wanted an address and 'shortlist'"),
        ({"mode": ""}, "wanted an address and 'shortlist'"),
        ({"server": "mine"}, "`server` is 'mine', wanted auto, vllm"),
        ({"candidates": 65}, "`candidates` is 65, wanted 1 to 64"),
        ({"url": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_wrong_arguments_are_one_line(titles, given, message):
    folder = titles[2]
    with pytest.raises(ValueError, match=message) as error:
        load(**{"url": "http://127.0.0.1:8000", "folder": folder} | given).recommend(["i0"], k=2)
    assert "\n" not in str(error.value)


def test_what_needs_the_model_here_says_where_the_model_is(titles):
    recommender = load("http://127.0.0.1:8000", titles[2])
    for needs in (lambda: recommender.engine, lambda: recommender.chat([{"role": "user", "content": "hi"}])):
        with pytest.raises(ValueError, match="the model is at http://127.0.0.1:8000, which only lists"):
            needs()
    with pytest.raises(ValueError, match="a list of 61 items is chosen from 60 candidates"):
        recommender.recommend(["i0"], k=61)


def test_item_codes_that_are_missing_are_missed_before_any_request(world, tmp_path):
    model, chat, _ = world
    chat.tokenizer.save_pretrained(tmp_path)
    model.config.save_pretrained(tmp_path)
    if chat.codes is not None:
        with pytest.raises(ValueError, match="writes items as"):
            load("http://127.0.0.1:8000", tmp_path)
