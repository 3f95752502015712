"""A recommender at a server promises lists, conversations and evaluations like one in the process, decoded greedily."""

import json
from dataclasses import replace

import pytest
from completions_server import CompletionsServer, running
from grammar_server import GrammarServer
from tiny import tiny_chat

from train_utils import Conversation
from train_utils.catalog import load_catalog
from train_utils.decoding.engine import Engine
from train_utils.decoding.events import Done
from train_utils.dialogue.answers import Notice
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.run import run_test
from train_utils.evaluation.specs import DecodingSpec, ModelPlan
from train_utils.param.chat import ChatOptions
from train_utils.param.evaluation import EvalOptions
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommendation, Recommender
from train_utils.serving.chat_session import ChatSession
from train_utils.serving.domains import Domains

TITLES = ["red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song"]
IDS = [f"i{n}" for n in range(len(TITLES))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a model with its renderer, the folder of its tokenizer, and a dataset folder."""
    model, chat = tiny_chat(TITLES)
    folder = tmp_path_factory.mktemp("model")
    chat.tokenizer.save_pretrained(folder)
    model.config.save_pretrained(folder)
    dataset = tmp_path_factory.mktemp("data") / "movies"
    dataset.mkdir()
    (dataset / "metas.jsonl").write_text(json.dumps({i: {"title_t": t} for i, t in zip(IDS, TITLES, strict=True)}))
    (dataset / "category.jsonl").write_text(json.dumps({"even": IDS[::2], "odd": IDS[1::2]}))
    sequences = {f"u{n}": [IDS[(n + step) % len(IDS)] for step in range(4)] for n in range(5)}
    (dataset / "sequential.jsonl").write_text(json.dumps(sequences))
    return model, chat, folder, dataset


@pytest.fixture(scope="module")
def url(world):
    model, chat, _, dataset = world
    with running(GrammarServer(model, chat, load_catalog(dataset), drafts=4)) as address:
        yield address


def served(world, url):
    recommender = ServedRecommender.at(url, world[2])
    recommender.endpoint.model = "tiny"
    return recommender


def test_lists_are_those_that_the_engine_spells(world, url):
    model, chat, _, dataset = world
    actual = served(world, url).with_catalog(dataset)
    own = Recommender(model, Chat(chat.tokenizer, TITLES), load_catalog(dataset))
    histories, rules = [["i0", "blue river"], []], {"categories": ["even"]}
    requests = own.list_requests(histories, 3, [rules, rules])
    expected = Engine(model, own.renderer).generate([replace(request, force_items=True) for request in requests])
    lists = actual.recommend_batch(histories, 3, rules)
    assert [[item.id for item in items] for items in lists] == [own.catalog.ids(made.items) for made in expected]
    assert all(IDS.index(item.id) % 2 == 0 for items in lists for item in items)
    assert "i0" not in [item.id for item in lists[0]]


def test_the_chat_lists_items_of_the_catalog(world, url):
    domains = Domains(served(world, url), {"movies": world[3]})
    session = ChatSession(domains, ChatOptions(model_name="x", max_new_tokens=60, teacher="none"), "movies")
    events = list(session.reply("3 movies, no odd"))
    items = [event.id for event in events if isinstance(event, Recommendation)]
    assert len(items) == len(set(items)) == 3 and all(IDS.index(item) % 2 == 0 for item in items)


@pytest.mark.parametrize(("breaks", "begun"), [("dies", True), ("aborts", True), ("none there", False)])
def test_a_server_that_fails_in_an_answer_ends_it_with_a_line_and_the_chat_continues(world, breaks, begun):
    model, chat, _, dataset = world
    server = GrammarServer(model, chat, load_catalog(dataset))
    with running(server) as address:
        session = ChatSession(
            Domains(served(world, address), {"movies": dataset}),
            ChatOptions(model_name="x", max_new_tokens=60, teacher="none"),
            "movies",
        )
        server.breaks, server.refuses = breaks, [] if begun else [500]
        *events, last = session.reply("3 movies")
        assert isinstance(last, Notice) and ("broke the answer off" if begun else "(500)") in last.text
        assert (Done("error") in events) is begun
        server.breaks = ""
        assert [event for event in session.reply("3 movies") if isinstance(event, Recommendation)]


def test_an_evaluation_equals_that_of_the_own_engine(world, url, tmp_path):
    model, _, folder, dataset = world
    model.save_pretrained(folder)
    common = {
        "data_path": str(dataset),
        "model_name": str(folder),
        "use_CBS": True,
        "force_items": True,
        "idx": True,
        "topk": 3,
        "dtype": "float32",
        "gpu": "cpu",
        "hide_seen": "visible",
        "max_history": 2,
    }
    _, expected = run_test(EvalOptions(**common, output=str(tmp_path / "own.json")))
    _, actual = run_test(EvalOptions(**common, output=str(tmp_path / "served.json"), engine="vllm", url=url))
    assert [user["items"] for user in actual["users"]] == [user["items"] for user in expected["users"]]
    assert actual["metrics"]["ood@10"]["mean"] == actual["metrics"]["repeat@10"]["mean"] == 0


def test_an_evaluation_of_shortlists_lists_what_shortlist_mode_lists(world, tmp_path):
    model, chat, folder, dataset = world
    model.save_pretrained(folder)
    with running(CompletionsServer(model, chat)) as address:
        options = {
            "data_path": str(dataset),
            "model_name": str(folder),
            "engine": "shortlist",
            "url": address,
            "prior": "popularity",
            "use_CBS": True,
            "force_items": True,
            "idx": True,
            "topk": 3,
            "max_history": 2,
            "marked_history": False,
            "output": str(tmp_path / "shortlists.json"),
        }
        _, result = run_test(EvalOptions(**options))
        mode = Recommender.load(folder, dataset, url=address, mode="shortlist")
        histories = [[IDS[item] for item in case.shown] for case in cases(dataset)]
        expected = mode.recommend_batch(histories, 3, max_history=2)
        with pytest.raises(ValueError, match="only lists"):
            Conversation(mode)
    assert [user["items"] for user in result["users"]] == [[item.id for item in items] for items in expected]


def cases(dataset):
    """Return the evaluation cases that show two items."""
    plan = ModelPlan.from_options(EvalOptions(data_path=str(dataset), model_name="x", max_history=2))
    return eval_cases(load_catalog(dataset), plan.task, plan.split)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"engine": "shortlist", "url": "http://127.0.0.1:9"}, "needs `decoding` greedy, `use_CBS` and `force_items`"),
        ({"engine": "vllm"}, "give `url`"),
        ({"url": "http://127.0.0.1:9"}, "give `url`"),
        ({"engine": "vllm", "url": "http://127.0.0.1:9", "decoding": "best"}, "needs `decoding` greedy or rank"),
        ({"engine": "vllm", "url": "http://127.0.0.1:9", "use_CBS": False}, "and `use_CBS`"),
    ],
)
def test_options_that_a_server_cannot_keep_are_refused(options, error):
    with pytest.raises(ValueError, match=error):
        DecodingSpec.from_options(EvalOptions(**{"data_path": "x", "model_name": "x", "use_CBS": True} | options))


def test_a_shortlist_needs_a_prior():
    options = {"engine": "shortlist", "url": "http://127.0.0.1:9", "use_CBS": True, "force_items": True}
    with pytest.raises(ValueError, match="give `prior` teacher or popularity"):
        ModelPlan.from_options(EvalOptions(data_path="x", model_name="x", **options))


def test_what_needs_the_weights_names_the_server(world, url):
    with pytest.raises(ValueError, match=f"the model is at {url}"):
        _ = served(world, url).model
