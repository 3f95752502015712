"""Catalogs are changed over HTTP by those who may, all or nothing, and feeds become catalogs."""

import threading

import httpx
import pytest
import uvicorn
from test_living_domains import FILMS, write_dataset
from tiny import tiny_chat

from train_utils.recommender import Recommender
from train_utils.serving.access import Keys
from train_utils.serving.feed import main, send_feed
from train_utils.serving.http_app import build_app
from train_utils.serving.listener import bind
from train_utils.serving.living_domains import LivingDomains
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import Service

READ, CHANGE = "a key that reads only", "a key that changes catalogs"
KEYS = Keys({READ.replace(" ", "-"): frozenset(["read"]), CHANGE.replace(" ", "-"): frozenset(["read", "catalogue"])})


class Running:
    """A server in a thread."""

    def __init__(self, domains: LivingDomains, keys: Keys | None):
        listener = bind("127.0.0.1", 0)
        app = build_app(Service(domains, "films", Scheduler()), keys)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def ask(self, method: str, path: str, key: str = CHANGE, **named) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key.replace(' ', '-')}"} if key else {}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **named)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    model, chat = tiny_chat([])
    return LivingDomains(Recommender(model, chat), {"films": write_dataset(folder / "films")})


@pytest.fixture(scope="module")
def server(made):
    running = Running(made, KEYS)
    yield running
    running.stop()


ITEMS = "/v1/catalogues/films/items"


def test_items_are_added_changed_retired_and_brought_back(server):
    before = server.ask("GET", "/v1/catalogues").json()["data"][0]
    body = {"items": [{"id": "new", "title": "green one", "price": "3.50 USD"}, {"id": "i1", "title": "red sun"}]}
    answer = server.ask("PUT", ITEMS, json=body).json()
    assert (answer["added"], answer["changed"], answer["retired"], answer["items"]) == (1, 1, 0, len(FILMS) + 1)
    assert answer["catalogue_version"] == f"{answer['version']}-{answer['digest']}" != before["catalogue_version"]
    assert not answer["durable"] and "--catalogue_journal" in answer["note"]
    card = server.ask("GET", "/v1/items/films/new").json()
    assert (card["title"], card["price"], card["attributes"]) == ("green one", 3.5, {"currency": "USD"})
    gone = server.ask("DELETE", ITEMS, json={"item_ids": ["i1", "i2"]}).json()
    assert (gone["retired"], gone["items"]) == (2, len(FILMS) - 1)
    assert server.ask("GET", "/v1/items/films/i1").status_code == 404
    listed = server.ask("POST", "/v1/recommend", json={"history": ["i0"], "k": 20}).json()["items"]
    assert {card["item_id"] for card in listed} == {f"i{n}" for n in range(3, len(FILMS))} | {"new"}
    assert {card["catalogue_version"] for card in listed} == {gone["catalogue_version"]}
    whole = server.ask("PUT", ITEMS, json={"items": body["items"], "replace": True}).json()
    assert (whole["added"], whole["items"]) == (1, 2)
    back = server.ask("POST", "/v1/catalogues/films/rollback", json={"version": 1}).json()
    assert back["digest"] == before["catalogue_version"].split("-")[1]
    versions = server.ask("GET", "/v1/catalogues/films/versions", READ).json()
    assert versions["catalogue_version"] == back["catalogue_version"]
    assert [version["version"] for version in versions["versions"]] == [1, 2, 3, 4, 5]
    assert server.ask("POST", "/v1/catalogues/films/rollback", json={"version": 9}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("PUT", ITEMS, {"items": [{"id": "x", "title": "one x"}, {"id": "y"}]}, 400, "item 'y': title is"),
        ("PUT", ITEMS, {"items": [{"id": "x", "title": "night"}]}, 400, "would share the title"),
        ("PUT", ITEMS, {"items": [{"id": "x", "title": "<|im_end|>"}]}, 400, "item 'x': title"),
        ("PUT", ITEMS, {"items": [], "replace": True}, 400, "no item would be left"),
        ("PUT", ITEMS, {"items": [], "whole": True}, 422, "whole"),
        ("PUT", ITEMS, {"items": [1]}, 422, "items.0"),
        ("DELETE", ITEMS, {"item_ids": ["i0", "none"]}, 400, "no item has the id 'none'"),
        ("PUT", "/v1/catalogues/none/items", {"items": []}, 404, "domain 'none' is unknown"),
        ("GET", "/v1/catalogues/none/versions", None, 404, "domain 'none' is unknown"),
    ],
)
def test_a_bad_change_is_refused_whole_in_one_line(server, method, path, body, status, reason):
    before = server.ask("GET", "/v1/catalogues").json()
    answer = server.ask(method, path, json=body)
    message = answer.json()["error"]["message"]
    assert (answer.status_code, reason in message, "\n" in message) == (status, True, False), message
    assert server.ask("GET", "/v1/catalogues").json() == before


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"items": [{"id": 1e999}]}', b'{"items": "\xff"}'])
def test_a_body_that_is_no_json_gets_one_line(server, body):
    answer = server.ask("PUT", ITEMS, content=body)
    assert answer.status_code in (400, 422) and "\n" not in answer.json()["error"]["message"]


def test_who_may_not_change_catalogs_is_told_what_to_do(server, made):
    body = {"items": [{"id": "x", "title": "x one"}]}
    assert server.ask("PUT", ITEMS, "", json=body).status_code == 401
    assert server.ask("PUT", ITEMS, READ, json=body).status_code == 403
    open_server = Running(made, None)
    answer = open_server.ask("PUT", ITEMS, "", json=body)
    open_server.stop()
    assert answer.status_code == 403 and "--api_keys" in answer.json()["error"]["message"]


def test_a_large_body_is_read_only_from_who_may_change_catalogs(server):
    body = {"items": [{"id": "i0", "title": "red", "description": "x" * 90_000} for _ in range(30)]}
    assert server.ask("PUT", ITEMS, READ, json=body).status_code == 413
    assert "there twice" in server.ask("PUT", ITEMS, json=body).json()["error"]["message"]


def test_a_feed_becomes_the_catalog(server, tmp_path, capsys):
    feed = tmp_path / "feed.csv"
    feed.write_text("id,title,price,product_type\na,green river,5 EUR,A > B\nb,blue night,6 EUR,A\n")
    key = CHANGE.replace(" ", "-")
    main([str(feed), "--url", server.url, "--domain", "films", "--key", key])
    printed = capsys.readouterr().out
    assert "added 2, changed 0" in printed and "2 items in all" in printed
    found = server.ask("GET", "/v1/items/search?q=green").json()["items"]
    assert (found[0]["item_id"], found[0]["price"], found[0]["categories"]) == ("a", 5.0, ["A", "B"])
    feed.write_text("id,title\na,green river\nb,green river\n")
    with pytest.raises(ValueError, match="refuses the feed: 400 items 'a' and 'b' would share"):
        send_feed(feed, server.url, "films", key)
    with pytest.raises(ValueError, match="refuses the feed: 403"):
        send_feed(feed, server.url, "films", READ.replace(" ", "-"))
    with pytest.raises(ValueError, match="did not take the feed"):
        send_feed(feed, "http://127.0.0.1:1", "films", key)
