"""All catalogs are loaded at the start: no request waits for one, and the server says which are ready."""

import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from chat_world import ROOT, command, environment, make_service
from fastapi.testclient import TestClient

from train_utils.serving.domains import Domain, Domains, LoadedDomains
from train_utils.serving.http_app import build_app
from train_utils.serving.listener import listen, reserve
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import Service


class Gated(Domains):
    """Domains that load when the test says so.

    Attributes:
        gates: name -> event for which its loading waits.
        tried: names in the order in which they were loaded.
    """

    def __init__(self, domains: Domains):
        super().__init__(domains.recommender, domains.folders)
        self.gates = {name: threading.Event() for name in domains.folders}
        self.tried: list[str] = []

    def _load(self, name: str) -> Domain:
        if name in self.gates:
            self.tried.append(name)
            assert self.gates[name].wait(60)
        return super()._load(name)

    def wait_for(self, *names: str) -> None:
        """Let domains load, and wait for them."""
        for name in names:
            self.gates[name].set()
        with self._settled:
            assert self._settled.wait_for(lambda: not self._waiting & {*names}, 60)


@pytest.fixture(scope="module")
def loaded(world) -> Iterator[Service]:
    made = make_service(world)
    yield made
    made.scheduler.drain()


@pytest.fixture
def domains(loaded) -> Iterator[Gated]:
    made = Gated(loaded.domains)
    made.gates["tiny"].set()
    made.load("tiny")
    made.load_in_background()
    yield made
    made.wait_for("books", "broken")


@pytest.fixture
def client(domains) -> Iterator[TestClient]:
    with TestClient(build_app(Service(domains, "tiny", Scheduler()))) as client:
        yield client


LIST = "/v1/recommend"


def test_while_a_catalog_is_loaded_the_others_are_served_and_it_is_503_with_retry_after(client, domains):
    assert client.post(LIST, json={"k": 1}).status_code == 200
    for method, path, body in [
        ("POST", LIST, {"domain": "books"}),
        (
            "POST",
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "hi"}], "reclm": {"domain": "books"}},
        ),
        ("GET", "/v1/items/books/b1", None),
        ("GET", "/v1/items/search?q=moon&domain=books", None),
    ]:
        answer = client.request(method, path, json=body)
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 1
        assert answer.json()["error"]["type"] == "loading" and "'books' is being loaded" in answer.text
    catalogs = client.get("/v1/catalogues").json()
    assert [one["domain"] for one in catalogs["data"]] == ["tiny"] and catalogs["loading"] == ["books", "broken"]
    domains.wait_for("books")
    assert client.post(LIST, json={"domain": "books", "k": 1}).json()["items"]


def test_the_server_is_ready_once_every_catalog_is_loaded_or_failed(client, domains):
    before = client.get("/health/ready")
    assert before.status_code == 503 and before.headers["retry-after"]
    assert before.json() | {"model": ""} == {
        "status": "loading", "model": "", "domains": ["tiny"], "loading": ["books", "broken"], "failed": [],
    }  # fmt: skip
    assert client.get("/health/live").status_code == 200
    domains.wait_for("books", "broken")
    after = client.get("/health/ready")
    assert after.status_code == 200 and after.json()["status"] == "ready"
    assert domains.state() == LoadedDomains(["books", "tiny"], [], ["broken"])
    failed = client.post(LIST, json={"domain": "broken"})
    assert failed.status_code == 404 and "cannot be loaded" in failed.text


def test_a_catalog_that_failed_is_tried_again_later_and_the_server_stays_ready(client, domains, monkeypatch):
    domains.wait_for("books", "broken")
    monkeypatch.setattr("train_utils.serving.domains._AGAIN_S", 0)
    domains.gates["broken"].clear()
    assert client.post(LIST, json={"domain": "broken"}).status_code == 503
    assert client.post(LIST, json={"domain": "broken"}).status_code == 503
    assert client.get("/health/ready").status_code == 200
    domains.wait_for("broken")
    assert domains.tried == ["tiny", "books", "broken", "broken"], "two requests try once"


def test_any_error_of_a_catalog_leaves_the_others(loaded):
    domains = Gated(loaded.domains)
    domains.folders = {name: domains.folders[name] for name in ("books", "tiny")}
    domains.gates["books"] = None  # which raises no ValueError
    domains.gates["tiny"].set()
    domains.load_in_background()
    domains.wait_for("tiny")
    assert domains.state() == LoadedDomains(["tiny"], [], ["books"])


def test_without_the_background_a_catalog_is_loaded_when_it_is_first_asked_for(loaded):
    assert loaded.domains.state().loading == []
    assert loaded.domain("books").catalog.name == "books"


def test_a_port_that_is_taken_is_refused_before_the_model_is_loaded(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        flags = ["--serve", "--port", str(other.getsockname()[1]), "--model_name", "no/such/model"]
        done = subprocess.run(
            command(world, *flags), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 2 and done.stderr.startswith("error: cannot listen on 127.0.0.1:")
    assert done.stderr.count("\n") == 1 and "choose another host or port" in done.stderr


def test_clients_are_refused_until_the_server_listens():
    with reserve("127.0.0.1", 0) as reserved:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(reserved.getsockname())
        listen(reserved, *reserved.getsockname())
        with socket.create_connection(reserved.getsockname()):
            pass
