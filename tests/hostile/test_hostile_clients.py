"""Clients of the chat server that leave, lie, or ask at length take nothing from the others."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from chat_world import again, listening, make_service, make_world
from tiny import scripted

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.item_rules import ItemRules, compile_rules
from train_utils.constraint.trie import build_trie
from train_utils.conversation.why import asked_about
from train_utils.models.backbone import load_backbone
from train_utils.prompts.messages import ItemPart
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.serving.access import Keys
from train_utils.serving.domains import NO_DOMAIN, Domains, dataset_folders
from train_utils.serving.exchange import Listed
from train_utils.serving.host_names import is_loopback
from train_utils.serving.http_app import build_app
from train_utils.serving.listed_titles import listed_parts
from train_utils.serving.scheduler import Scheduler, SchedulerLimits
from train_utils.serving.service import ChatRequest, Service

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
POLLS = 10_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def service(world):
    made = make_service(world)
    yield made
    made.scheduler.drain()


def said(text: str, **more) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}


def until(condition) -> None:
    """Wait for something that another thread does."""
    turn = threading.Event()
    assert any(condition() or turn.wait(0.01) for _ in range(POLLS))


# -- clients that leave ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_client_that_leaves_frees_its_place_also_while_the_answer_shows_no_text(world, path):
    tokenizer, model = load_backbone(str(world / "model"), torch.device("cpu"), "float32")
    scripted(model, dict.fromkeys(range(16_000), tokenizer.bos_token_id))  # a special token, which is never shown
    service = Service(
        Domains(Recommender(model, Chat(tokenizer)), {}), NO_DOMAIN, Scheduler(SchedulerLimits(deadline_s=1e4))
    )
    body = said("Hi", input="Hi", stream=True, max_tokens=15_000, max_output_tokens=15_000)
    with listening(build_app(service)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(path, json=body, timeout=httpx.Timeout(60, read=0.3))
        until(lambda: service.scheduler.passes > 0 and service.scheduler.running == 0)
    assert service.scheduler.passes < 14_000, "the answer ended by itself"


def test_requests_whose_clients_left_do_not_fill_the_queue(service):
    busy = again(service, SchedulerLimits(rows=1, waiting=1))
    stop, left = threading.Event(), threading.Event()
    request = ChatRequest(messages=[("user", "Hi")], domain=NO_DOMAIN, max_new_tokens=15_000)
    threads = []
    for one in (stop, left):
        events = busy.chat(request, one)
        threads.append(threading.Thread(target=list, args=[events]))
        threads[-1].start()
        until(lambda: busy.scheduler.running == 1 and busy.scheduler.waiting == len(threads) - 1)
    left.set()
    until(lambda: busy.scheduler.waiting == 0)
    assert busy.scheduler.running == 1
    stop.set()
    for thread in threads:
        thread.join()
    busy.scheduler.drain()


def test_heavy_calls_take_turns_and_light_ones_pass_them():
    scheduler, turns = Scheduler(SchedulerLimits(weight=10)), []
    go_on, begun = threading.Event(), threading.Event()
    holding = threading.Thread(target=scheduler.call, args=[lambda: (begun.set(), go_on.wait())])
    holding.start()
    begun.wait()
    threads = []
    for name, weight in (("a", 6), ("b", 4), ("c", 7), ("d", 20), ("e", 0)):
        arguments = ("list", lambda names: turns.append(names) or names, name, weight)
        threads.append(threading.Thread(target=scheduler.call_together, args=arguments))
        threads[-1].start()
        until(lambda: scheduler.waiting == len(threads))
    go_on.set()
    for thread in (holding, *threads):
        thread.join()
    scheduler.drain()
    assert turns == [["a", "b", "e"], ["c"], ["d"]]


# -- conversations that clients invent -------------------------------------------------------------------------------


def test_long_lines_of_an_earlier_answer_are_read_in_linear_time():
    line = "1. a" + " " * 200_000 + "b"  # of quadratic patterns this takes minutes, in which no other thread runs
    assert listed_parts(f"{line}\n2. red \t\r\n", {"red": 3}) == [f"{line}\n", "2. ", ItemPart(3), " \t\r\n"]


@pytest.mark.parametrize("filler", ["\n", " ", " \n", "\ufdfa", "why ", "all but the first, "])
def test_a_long_question_why_is_read_in_linear_time(filler):
    assert asked_about("why" + filler * (99_000 // len(filler)) + "x", range(100), NamedTitles(["red"])) is not None


@pytest.mark.parametrize("spoken", [["{}"], ["Here you are:", "{}"], ["{}", "Enjoy!"]], ids=["one", "before", "after"])
@pytest.mark.parametrize("first", [False, True], ids=["answer", "greeting"])
def test_what_was_listed_in_any_message_of_the_assistant_is_not_listed_again(service, spoken, first):
    listed = "1. red moon\n2. blue river"
    messages = [] if first else [("user", "2 titles")]
    messages += [("assistant", text.format(listed)) for text in spoken]
    events = list(service.chat(ChatRequest(messages=[*messages, ("user", "recommend 6 titles")])))
    titles = [event.card["title"] for event in events if isinstance(event, Listed)]
    assert titles and not {"red moon", "blue river"} & {*titles}


def test_a_category_that_is_named_ten_thousand_times_takes_the_memory_of_one():
    items = [Item(str(i), f"title {i}", ("a",)) for i in range(5_000)]
    catalog = make_catalog("many", items)
    trie = build_trie([[i // 100, i % 100] for i in range(5_000)], 200, 201)
    for name in ("categories", "all_categories"):
        rules = ItemRules(**{name: ("a",) * 20_000})
        tracemalloc.start()
        assert compile_rules(catalog, trie, rules).admitted.all()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 << 20


# -- catalogs --------------------------------------------------------------------------------------------------------


def test_a_catalog_that_loads_or_fails_keeps_nobody_from_the_others(world, service):
    begun, go_on, tried = threading.Event(), threading.Event(), []

    def teacher_of(name: str) -> None:
        tried.append(name)
        if name == "books":
            begun.set()
            go_on.wait()
            raise ValueError("no teacher")

    domains = Domains(service.domains.recommender, dataset_folders(world / "data"), teacher_of=teacher_of)
    domains.load("tiny")
    with ThreadPoolExecutor(1) as caller:
        books = caller.submit(domains.load, "books")
        begun.wait()
        assert domains.load("tiny").name == "tiny", "while the other one loads"
        go_on.set()
        for again in (books.result, lambda: domains.load("books")):
            with pytest.raises(ValueError, match="no teacher"):
                again()
    assert tried == ["tiny", "books"], "what failed is not read again for each request"


# -- heads -----------------------------------------------------------------------------------------------------------

NAMES = {
    "127.0.0.1": True, "localhost": True, "LOCALHOST:80": True, "[::1]:7861": True, "chat.localhost": True,
    "127.9.9.9:1": True, "shop.example": False, "localhost.shop.example": False, "127.0.0.1@shop.example": False,
    "192.168.0.1": False, "[::1": False, "127.0.0.1.shop.example:7861": False, "notlocalhost": False, "": False,
    "127.1": True, "[::ffff:127.0.0.1]:7861": True, "[::ffff:192.168.0.1]": False, "127.0.0.1 shop.example": False,
    "1.1": False, "0.0.0.0": False,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_loopback_name_is_told_from_others(name):
    assert is_loopback(name) == NAMES[name]


@pytest.mark.parametrize("path", ["/", "/v1/models", "/metrics", "/nowhere"])
def test_a_page_whose_name_points_at_this_machine_gets_no_answer(service, path):
    rebound = {"Host": "shop.example:7861"}
    with listening(build_app(again(service), host="127.0.0.1")) as url:
        answer = httpx.get(url + path, headers=rebound, trust_env=False)
        assert answer.status_code == 421 and "Host" in answer.json()["error"]["message"]
        assert answer.headers["content-security-policy"] and answer.headers["x-request-id"]
        assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 200
    key = "reader-" + "r" * 20
    keys = Keys({key: frozenset({"read"})})
    for options in ({"host": "127.0.0.1", "keys": keys}, {"host": "0.0.0.0"}):
        with listening(build_app(again(service), **options)) as url:
            headers = rebound | {"Authorization": f"Bearer {key}"}
            assert httpx.get(f"{url}/v1/models", headers=headers, trust_env=False).status_code == 200


def test_a_wrong_method_is_told_from_a_path_that_is_not_there(service):
    with listening(build_app(again(service))) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for method, path, allowed in (("GET", CHAT, "POST"), ("HEAD", CHAT, "POST"), ("PUT", "/v1/models", "GET")):
            answer = client.request(method, path)
            assert answer.status_code == 405 and answer.headers["Allow"] == allowed
        assert client.head("/health/live").status_code == client.head("/health/ready").status_code == 200
        assert client.get("/").headers["content-type"].startswith("text/html") and client.head("/").status_code == 200
        for path in ("/v1/models/", "//shop.example/v1/models/", "/..%2fservice.py", "/%00"):
            assert client.get(path).status_code == 404


def test_keys_of_a_body_cannot_break_the_line_of_its_error(service):
    with listening(build_app(again(service))) as url:
        answer = httpx.post(f"{url}/v1/recommend", json={"a\nb\u202e\x1b[2J": 1}, trust_env=False)
    assert answer.status_code == 422 and answer.json()["error"]["message"].isprintable()
