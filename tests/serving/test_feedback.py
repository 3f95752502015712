"""What the service recommends is logged with its exact probability, and users' feedback on it is kept."""

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tiny import coded_chat, tiny_chat

from train_utils.evaluation.logged_lists import greedy_policy, read_lists
from train_utils.evaluation.off_policy import report
from train_utils.impression_files import read_records
from train_utils.recommender import Recommender
from train_utils.serving.access import Keys
from train_utils.serving.domains import Domains, dataset_folders
from train_utils.serving.exchange import ChatRequest, Listed, NotFound, RequestError, Understood
from train_utils.serving.http_app import build_app
from train_utils.serving.impressions import open_impressions
from train_utils.serving.lists import ListRequest
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import Service
from train_utils.serving.variants import Variant, Variants
from train_utils.teacher.protocol import TeacherError

TITLES = ["red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song"]
SECRETS = ("ann@example.org", "sixty characters of a text that only the user knows")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    ids = [str(n) for n in range(len(TITLES))]
    metas = {n: {"title": title, "title_t": title} for n, title in zip(ids, TITLES, strict=True)}
    category = {"even": ids[::2], "odd": ids[1::2]}
    (root / "tiny").mkdir()
    for name, value in (("metas", metas), ("category", category), ("sequential", {"u": ids})):
        (root / "tiny" / f"{name}.jsonl").write_text(json.dumps(value))
    return dataset_folders(root)


@pytest.fixture(scope="module", params=["titles", "token"])
def domains(request, folders) -> Domains:
    """Domains of a model that spells titles, and of one with a token per item."""
    model, chat = tiny_chat(TITLES) if request.param == "titles" else coded_chat(TITLES)
    return Domains(Recommender(model.double(), chat), folders)


@pytest.fixture
def scheduler():
    made = Scheduler()
    yield made
    made.drain()


@pytest.fixture
def opened(tmp_path):
    with open_impressions(tmp_path / "log", with_history=False, most_bytes=1 << 30) as log:
        yield log


@pytest.fixture
def service(domains, scheduler, opened) -> Service:
    return Service(domains, "tiny", scheduler, impressions=opened)


def records(service: Service, log) -> list[dict]:
    """The records so far; the log is closed."""
    log.close()
    service.impressions = None
    return list(read_records([log._folder], Counter()))


def test_a_list_is_logged_as_it_was_answered(service, opened):
    answer = service.recommend_list(ListRequest(history=["0", "the end"], k=3, rules={"deny": ["1"]}, user=SECRETS[0]))
    (record,) = records(service, opened)
    assert [item["item_id"] for item in record["items"]] == [card["item_id"] for card in answer.items]
    assert [item["score"] for item in record["items"]] == [card["score"] for card in answer.items]
    assert [item["position"] for item in record["items"]] == [card["rank"] for card in answer.items] == [1, 2, 3]
    assert record["log_probability"] == 0 and record["explore"] == 0 and record["greedy"] is None
    assert record["recommendation_id"] == answer.recommendation_id == answer.items[0]["recommendation_id"]
    assert record["kind"] == "list" and record["admissible"] == 4 and record["history_length"] == 2
    assert record["user"] == opened.pseudonym(SECRETS[0])


def test_a_drawn_list_is_logged_with_its_exact_probability(service, opened):
    everything = service.recommend_list(ListRequest(history=["0"], k=6))
    scores = {str(card["item_id"]): float(card["score"]) for card in everything.items}
    asked = ListRequest(history=["0"], k=6, explore=1.5, seed=11)
    drawn = service.recommend_list(asked)
    assert service.recommend_list(asked).items[0]["item_id"] == drawn.items[0]["item_id"], "a seed repeats its draw"
    record = records(service, opened)[1]
    left, expected = dict(scores), []
    for item in record["items"]:
        whole = sum(math.exp(score / 1.5) for score in left.values())
        expected.append(left.pop(item["item_id"]) / 1.5 - math.log(whole))
    assert [item["log_probability"] for item in record["items"]] == pytest.approx(expected, abs=1e-4)
    assert record["log_probability"] == pytest.approx(sum(expected), abs=1e-4)
    assert record["greedy"] == list(scores) and record["candidates"] == 6 and record["seed"] == 11


def test_drawn_lists_differ_and_keep_the_rules(service):
    asked = ListRequest(k=3, explore=5.0, rules={"max_per_category": 2, "without_categories": []})
    lists = [[str(card["item_id"]) for card in service.recommend_list(asked).items] for _ in range(12)]
    assert len(set(map(tuple, lists))) > 3
    assert all(len({*items}) == 3 and len({int(item) % 2 for item in items}) == 2 for items in lists)


def test_what_the_log_says_of_the_greedy_policy_is_its_value(service, opened, tmp_path):
    """Users click on item 2 wherever it stands: the greedy list's clicks are known."""
    greedy = service.recommend_list(ListRequest(k=2))
    wanted = str(greedy.items[1]["item_id"])
    for seed in range(100):
        answer = service.recommend_list(ListRequest(k=2, explore=1.0, seed=seed, user=f"user {seed}"))
        if wanted in [card["item_id"] for card in answer.items]:
            service.feedback(answer.recommendation_id, wanted, "click")
    opened.close()
    lists = read_lists([tmp_path / "log"], Counter())
    drawn = [one for one in lists if one.is_drawn]
    result = report(drawn, greedy_policy(drawn), ["click"], bootstrap=200)
    click = result["events"]["click"]
    assert len(drawn) == 100 and click["logged"]["ci"][1] < 1
    assert all(click[name]["ci"][0] - 1e-9 <= 1 <= click[name]["ci"][1] + 1e-9 for name in ("ips", "snips", "dr"))
    service.impressions = None


def chat(service: Service, **changes: object) -> list:
    text = f"{SECRETS[1]}. Recommend 2 songs"
    return list(service.chat(ChatRequest(messages=[("user", text)], max_new_tokens=40, user=SECRETS[0], **changes)))


def test_the_lists_of_a_chat_are_logged_and_texts_and_names_are_not(service, opened):
    events = chat(service, history=["0"], rules={"deny": ["1"]})
    cards = [event.card for event in events if isinstance(event, Listed)]
    (said,) = [event for event in events if isinstance(event, Understood)]
    service.feedback(said.recommendation_id, str(cards[0]["item_id"]), "like")
    made, feedback = records(service, opened)
    assert made["kind"] == "chat" and [item["item_id"] for item in made["items"]] == [card["item_id"] for card in cards]
    assert len(cards) == 2 and made["history_length"] == 1 and made["admissible"] == 5 and made["decoding"] == "rank"
    assert feedback["recommendation_id"] == made["recommendation_id"] == cards[0]["recommendation_id"]
    text = "".join(path.read_text() for path in opened._folder.iterdir())
    assert not any(part in text for secret in SECRETS for part in secret.split()[:3] if len(part) > 5)


def test_an_answer_that_is_left_is_logged_as_far_as_it_was_shown(service, opened):
    events = service.chat(ChatRequest(messages=[("user", "Recommend 5 songs")], max_new_tokens=60))
    card = next(event.card for event in events if isinstance(event, Listed))
    service.feedback(str(card["recommendation_id"]), str(card["item_id"]), "click")  # before the answer's end
    events.close()
    feedback, made = records(service, opened)
    assert [item["item_id"] for item in made["items"]] == [card["item_id"]] and feedback["event"] == "click"


def test_feedback_on_what_was_not_recommended_is_refused(service):
    answer = service.recommend_list(ListRequest(history=["0"], k=2))
    item = str(answer.items[0]["item_id"])
    for arguments, kind, error in [
        (("nothing", item, "click"), NotFound, "recommendation_id 'nothing' is unknown"),
        ((answer.recommendation_id, "0", "click"), NotFound, "does not hold the item '0'"),
        ((answer.recommendation_id, item, "sale"), RequestError, "event is 'sale', wanted one of impression"),
        ((answer.recommendation_id, item, "click", math.nan), RequestError, "value is nan"),
    ]:
        with pytest.raises(kind, match=error):
            service.feedback(*arguments)


def test_feedback_on_lists_before_a_restart_is_taken(domains, scheduler, tmp_path):
    for number in range(2):
        with open_impressions(tmp_path / "log", with_history=False, most_bytes=1 << 30) as log:
            service = Service(domains, "tiny", scheduler, impressions=log)
            if number == 0:
                answer = service.recommend_list(ListRequest(k=2))
            else:
                service.feedback(answer.recommendation_id, str(answer.items[1]["item_id"]), "purchase", 9.5)
    assert [record["record"] for record in read_records([tmp_path / "log"], Counter())] == ["list", "feedback"]


def test_a_variant_is_in_force_unless_the_request_says_otherwise(domains, scheduler, opened):
    with pytest.raises(ValueError, match="`variants` needs `impressions`"):
        Service(domains, "tiny", scheduler, variants=Variants({"a": Variant(share=1)}))
    only = Variants({"bold": Variant(share=1, explore=2.0, max_history=1, decoding="greedy")})
    service = Service(domains, "tiny", scheduler, impressions=opened, variants=only, explore=0.5)
    assert service.recommend_list(ListRequest(history=["0", "3"], user="ann")).variant == "bold"
    service.recommend_list(ListRequest(history=["0", "3"], explore=0.0, max_history=2))
    assert [event.variant for event in chat(service) if isinstance(event, Understood)] == ["bold"]
    first, second, third = records(service, opened)
    assert (first["explore"], first["max_history"], first["variant"]) == (2.0, 1, "bold") and first["log_probability"]
    assert (second["explore"], second["max_history"], second["user"]) == (0.0, 2, None)
    assert (third["decoding"], third["variant"]) == ("greedy", "bold")


class LikesTheLast:
    """Teacher that expects the last item of the catalog."""

    def top_k(self, histories, k, scores=False):
        lists = [[str(len(TITLES) - 1), "1"] for _ in histories]
        return (lists, [[0.999, 0.001]] * len(lists)) if scores else lists


def test_the_weight_of_a_variant_is_that_of_the_teacher_s_scores(folders, scheduler, opened):
    model, chat = tiny_chat(TITLES)
    taught = Domains(Recommender(model, chat), folders, teacher_of=lambda name: LikesTheLast())
    tops = {}
    for weight in (0.0, 50.0):
        variants = Variants({"only": Variant(share=1, prior_weight=weight)})
        service = Service(taught, "tiny", scheduler, impressions=opened, variants=variants)
        tops[weight] = [card["item_id"] for card in service.recommend_list(ListRequest(history=["0"], k=5)).items]
    alone = Recommender(model, chat).with_catalog(folders["tiny"]).recommend(["0"], 5)
    assert tops[0.0] == [one.id for one in alone] and tops[50.0][:2] == ["6", "1"]
    assert [record["prior_weight"] for record in records(service, opened)] == [0.0, 50.0]


def test_a_model_that_retrieves_its_items_draws_no_lists(domains, scheduler, monkeypatch):
    service = Service(domains, "tiny", scheduler, explore=1.0)
    monkeypatch.setattr(domains.load("tiny").recommender, "retriever", object())
    with pytest.raises(RequestError, match="explore is 1, and RecLM-ret draws no lists; send explore 0"):
        service.recommend_list(ListRequest(k=2))


def test_without_a_log_lists_are_made_and_feedback_finds_none(domains, scheduler):
    service = Service(domains, "tiny", scheduler, explore=1.0)
    answer = service.recommend_list(ListRequest(k=2, user="ann"))
    with pytest.raises(NotFound, match="start it with --impressions"):
        service.feedback(answer.recommendation_id, str(answer.items[0]["item_id"]), "click")


def test_servers_with_one_salt_take_each_others_feedback_and_no_others(domains, scheduler, tmp_path):
    def opened_in(name):
        return open_impressions(tmp_path / name, with_history=False, most_bytes=1 << 30)

    with opened_in("one"):
        pass
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "salt", tmp_path / "two" / "salt")
    with opened_in("one") as one, opened_in("two") as two, opened_in("other") as other:
        first, second, stranger = (
            Service(domains, "tiny", scheduler, impressions=log, explore=1.0) for log in (one, two, other)
        )
        made = first.recommend_list(ListRequest(k=2, user="ann"))
        item, name = str(made.items[0]["item_id"]), made.recommendation_id
        second.feedback(name, item, "click")
        second.feedback(name, "of no list", "click")
        for wrong in (name[:-1] + ("0" if name[-1] != "0" else "1"), name[:32], "x" + name, "\ud800", ""):
            with pytest.raises(NotFound, match="unknown"):
                second.feedback(wrong, item, "click")
        with pytest.raises(NotFound, match="unknown"):
            stranger.feedback(name, item, "click")
        with pytest.raises(NotFound, match="does not hold"):
            first.feedback(name, "of no list", "click")
    (logged,) = read_lists([tmp_path / "one", tmp_path / "two"], Counter())
    assert logged.rewards["click"] == tuple(float(one == item) for one in logged.items)


class LostTeacher:
    """A teacher that does not answer."""

    def top_k(self, histories, k, scores=False):
        raise TeacherError("teacher at http://10.0.0.9:8000 does not answer")

    def close(self):
        pass


def test_a_lost_teacher_is_no_fault_of_the_request_and_its_address_is_for_the_log(domains, folders, scheduler, caplog):
    lost = Domains(domains.recommender, folders, teacher_of=lambda name: LostTeacher())
    client = TestClient(build_app(Service(lost, "tiny", scheduler)))
    failed = client.post("/v1/recommend", json={"history": ["0"]})
    assert failed.status_code == 502 and failed.json()["error"]["type"] == "teacher_unavailable"
    said = [{"role": "user", "content": "Recommend 2 songs"}]
    body = {"messages": said, "max_tokens": 40, "reclm": {"history": ["0"]}}
    chat = client.post("/v1/chat/completions", json=body)
    assert "the teacher is left out: it does not answer as wanted" in chat.json()["choices"][0]["message"]["content"]
    again = client.post("/v1/chat/completions", json=body)
    assert "teacher" not in again.json()["choices"][0]["message"]["content"], "an outage is said once"
    assert client.post("/v1/recommend", json={"history": ["0"]}).status_code == 502
    assert "10.0.0.9" not in failed.text + chat.text and caplog.text.count("10.0.0.9") == 1
    assert client.post("/v1/recommend", json={}).status_code == 200, "without a history it is not asked"


# -- HTTP --------------------------------------------------------------------------------------------------------------


def test_lists_chats_and_feedback_over_http(service, opened):
    client = TestClient(build_app(service))
    body = {"history": ["0"], "k": 2, "user": SECRETS[0], "reclm": {"explore": 1.0, "seed": 3}}
    made = client.post("/v1/recommend", json=body).json()
    feedback = {"recommendation_id": made["recommendation_id"], "item_id": made["items"][0]["item_id"]}
    full = feedback | {"event": "purchase", "value": 3, "at": "2026-01-02T03:04:05Z"}
    assert client.post("/v1/feedback", json=full).status_code == 204
    for wrong, status in [
        ({"event": "click", "item_id": "0"}, 404),
        ({"event": "click", "recommendation_id": "x"}, 404),
        ({"event": "sale"}, 422),
        ({"event": "click", "more": 1}, 422),
        ({"event": "click", "at": "2026-01-02T03:04:05"}, 422),
    ]:
        assert client.post("/v1/feedback", json=feedback | wrong).status_code == status
    for wrong in ({"explore": -1}, {"explore": 101}):
        assert client.post("/v1/recommend", json=body | {"reclm": wrong}).status_code == 400
    for wrong in ({"explore": "x"}, {"seed": -1}, {"colour": 1}):
        assert client.post("/v1/recommend", json=body | {"reclm": wrong}).status_code == 422
    messages = [{"role": "user", "content": "Recommend 2 songs"}]
    chat = client.post("/v1/chat/completions", json={"messages": messages, "user": SECRETS[0], "max_tokens": 40}).json()
    assert chat["reclm"]["recommendation_id"] == chat["choices"][0]["message"]["items"][0]["recommendation_id"]
    answer = client.post("/v1/responses", json={"input": "Recommend 2 songs", "user": "b"}).json()
    assert "recommendation_id" in answer["reclm"] and "variant" not in answer["reclm"]
    metrics = client.get("/metrics").text
    assert 'reclm_feedback_total{event="purchase"} 1.0' in metrics and "reclm_impressions_dropped 0.0" in metrics
    kept = records(service, opened)
    assert [one["record"] for one in kept] == ["list", "feedback", "list", "list"]
    assert kept[1]["at"] == "2026-01-02T03:04:05+00:00" and kept[1]["value"] == 3
    assert kept[0]["user"] == kept[2]["user"] != kept[3]["user"]


def test_feedback_needs_its_right_where_there_are_keys(service):
    reader, giver = "reader-key-0123456", "giver-key-01234567"
    keys = Keys({reader: frozenset({"read"}), giver: frozenset({"feedback"})})
    client = TestClient(build_app(service, keys))
    answer = service.recommend_list(ListRequest(k=1))
    body = {"recommendation_id": answer.recommendation_id, "item_id": answer.items[0]["item_id"], "event": "hide"}
    given = {name: {"Authorization": f"Bearer {name}"} for name in (reader, giver, "unknown-key-012345")}
    assert [client.post("/v1/feedback", json=body, headers=one).status_code for one in given.values()] == [
        403,
        204,
        401,
    ]
