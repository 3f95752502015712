"""Page and APIs over a model at a vLLM server promise its greedy lists, and errors that name no address."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from chat_world import TITLES, listening, make_world
from completions_server import running
from grammar_server import GrammarServer

from cli_serve import check_served
from train_utils.catalog import load_catalog
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.param.chat import ChatOptions
from train_utils.recommender import Recommender
from train_utils.serving.access import Keys
from train_utils.serving.domains import dataset_folders
from train_utils.serving.http_app import build_app
from train_utils.serving.living_domains import LivingDomains
from train_utils.serving.remote_scheduler import RemoteScheduler
from train_utils.serving.service import Service

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return the model with its catalog, its server, and a client of the server in front of it."""
    root = make_world(tmp_path_factory.mktemp("world"))
    own = Recommender.load(root / "model", root / "data" / "tiny", dtype="float32")
    own.model.double()
    server = GrammarServer(own.model, own.renderer, load_catalog(root / "data" / "tiny"))
    with running(server) as address:
        domains = LivingDomains(ServedRecommender.at(address, root / "model"), dataset_folders(root / "data"))
        service = Service(domains, "tiny", RemoteScheduler())
        app = build_app(service, Keys({KEY: frozenset(("read", "feedback", "catalogue"))}), max_new_tokens=40)
        headers = {"Authorization": f"Bearer {KEY}"}
        with listening(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False, headers=headers) as client:
            yield own, server, client


def completion(client, text, **more):
    body = {"messages": [{"role": "user", "content": text}], "reclm": {"domain": "tiny"}, **more}
    return client.post("/v1/chat/completions", json=body)


def test_lists_are_the_models_own_and_many_are_asked_at_once(world):
    own, _, client = world
    histories = [["10"], ["12", "13"], []] * 4
    expected = own.engine.generate(own.list_requests(histories, 3, [{"deny": ["15"]}] * len(histories)))

    def listed(history):
        answer = client.post("/v1/recommend", json={"history": history, "k": 3, "rules": {"deny": ["15"]}})
        return [item["item_id"] for item in answer.json()["items"]]

    with ThreadPoolExecutor(len(histories)) as callers:
        assert list(callers.map(listed, histories)) == [own.catalog.ids(answer.items) for answer in expected]


def test_a_streamed_conversation_has_the_items_of_a_whole_one(world):
    _, _, client = world
    whole = completion(client, "2 titles, not red moon").json()["choices"][0]["message"]
    assert len(whole["items"]) == 2 and "10" not in [item["item_id"] for item in whole["items"]]
    lines = [line[6:] for line in completion(client, "2 titles, not red moon", stream=True).text.splitlines() if line]
    deltas = [chunk["choices"][0]["delta"] for chunk in map(json.loads, lines[:-1]) if chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == whole["content"]
    streamed = [item["item_id"] for delta in deltas for item in delta.get("items", ())]
    assert streamed == [item["item_id"] for item in whole["items"]]


def test_reasons_and_items_need_no_server(world):
    _, server, client = world
    asked = len(server.bodies)
    assert client.post("/v1/why", json={"history": ["10"], "item_ids": ["12"]}).status_code == 200
    assert client.get("/v1/items/tiny/10").json()["title"] == TITLES["10"]
    assert len(server.bodies) == asked


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("POST", "/v1/recommend", {"reclm": {"explore": 1.0}}, "draws no lists"),
        ("PUT", "/v1/catalogues/tiny/items", {"items": []}, "catalogs of its own"),
        ("DELETE", "/v1/catalogues/tiny/items", {"item_ids": ["10"]}, "catalogs of its own"),
    ],
)
def test_what_only_a_model_in_the_process_can_do_is_refused(world, method, path, body, reason):
    answer = world[2].request(method, path, json=body)
    assert answer.status_code == 400 and reason in answer.json()["error"]["message"]


def test_a_conversation_without_a_catalog_is_refused(world):
    assert completion(world[2], "Hi", reclm={"domain": "none"}).status_code == 404


def test_a_catalog_that_the_server_lacks_is_not_found(world):
    assert world[2].post("/v1/recommend", json={"domain": "books"}).status_code == 404


def test_a_failing_server_is_an_error_without_its_address(world):
    _, server, client = world
    server.breaks = "failure"
    try:
        lines = completion(client, "2 titles", stream=True).text.splitlines()
        errors = [json.loads(line[6:])["error"] for line in lines if '"error"' in line]
        server.breaks = "aborts"
        answer = client.post("/v1/recommend", json={"history": ["10"]})
    finally:
        server.breaks = ""
    assert answer.status_code == 502
    for error in (*errors, answer.json()["error"]):
        assert error["type"] == "model_unavailable" and "127.0.0.1" not in error["message"]
    assert len(errors) == 1
    assert client.post("/v1/recommend", json={"history": ["10"]}).status_code == 200


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"explore": 1.0, "serve": True}, "`explore` needs the model in this process"),
        ({"catalogue_journal": "x", "serve": True}, "`catalogue_journal` needs the model in this process"),
        ({"dtype": "float32"}, "`dtype` needs the model in this process"),
        ({"decoding": "best"}, "take rank or greedy"),
        ({"reader": "model"}, "take rules"),
    ],
)
def test_options_that_need_the_model_are_refused_with_a_server(options, reason):
    with pytest.raises(ValueError, match=reason):
        check_served(ChatOptions(model_name="x", url="http://127.0.0.1:9", **options))
