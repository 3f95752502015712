"""The exporter writes what the library sends, and reads an answer as the library does."""

import io
import json

import httpx
import pytest
from completions_server import CompletionsServer, running
from tiny import coded_chat

from train_utils import Recommender
from train_utils.command import run_cli
from train_utils.engines.export import main
from train_utils.item_codes import ItemCodes, save_item_codes

TITLES = ["red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song"]
IDS = [f"i{n}" for n in range(7)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the model, its renderer, its folder and the dataset folder."""
    model, chat = coded_chat(TITLES, "token")
    at, data = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("tiny")
    chat.tokenizer.save_pretrained(at)
    model.config.item_form = "token"
    model.config.save_pretrained(at)
    save_item_codes(ItemCodes("token", tuple(IDS), chat.codes.codes), at)
    metas = {i: {"title": title, "title_t": title} for i, title in zip(IDS, TITLES, strict=True)}
    (data / "metas.jsonl").write_text(json.dumps(metas))
    (data / "category.jsonl").write_text(json.dumps({"even": IDS[::2]}))
    (data / "sequential.jsonl").write_text(json.dumps({f"u{n}": ["i0", *IDS[n : n + 4]] for n in range(1, 4)}))
    return model, chat, at, data


def run(folders, capsys, *flags):
    main(["--model_name", str(folders[2]), "--data_path", str(folders[3]), *flags])
    return capsys.readouterr().out


def test_the_request_is_the_one_that_the_library_sends_and_its_answer_is_read_alike(folders, capsys, monkeypatch):
    model, chat, at, data = folders
    flags = (
        "--history",
        '["i1", "the end"]',
        "--rules",
        '{"categories": ["even"]}',
        "--topk",
        "2",
        "--candidates",
        "3",
    )
    body = json.loads(run(folders, capsys, *flags))
    server = CompletionsServer(model, chat)
    with running(server) as url:
        answer = httpx.post(f"{url}/v1/completions", json=body).json()
        recommender = Recommender.load(at, data, url=url, mode="shortlist", candidates=3)
        listed = recommender.recommend(["i1", "i3"], k=2, rules={"categories": ["even"]})
    assert server.bodies[1] == {"model": "tiny", **body}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(answer)))
    assert run(folders, capsys, *flags, "--answer", "-").splitlines() == [
        f"{one.rank} {one.id} {one.title}" for one in listed
    ]


def test_many_users_are_one_line_each_and_the_grammar_comes_alone_on_request(folders, capsys, tmp_path):
    users = tmp_path / "users.jsonl"
    users.write_text('{"history": ["i1"]}\n{"history": [], "rules": {"deny": ["i0"]}}\n')
    lines = run(folders, capsys, "--users", str(users), "--server", "sglang").splitlines()
    assert [sorted(json.loads(line)) for line in lines] == [
        ["ebnf", "logprobs", "max_tokens", "prompt", "return_token_ids", "skip_special_tokens", "temperature"]
    ] * 2
    grammar = run(folders, capsys, "--history", '["i1"]', "--form", "grammar")
    assert grammar == json.loads(lines[0])["ebnf"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--history", "Alien"], "--history is 'Alien', wanted JSON"),
        (["--history", '{"a": 1}'], "--history is {'a': 1}, wanted a list of item ids or titles"),
        (["--history", '"i1"'], "wanted a list of item ids or titles"),
        (["--topk", "9", "--candidates", "3"], "a list of 9 items is chosen from 3 candidates"),
        (["--history", '["red mooon"]'], "did you mean 'red moon'"),
        (["--rules", '{"colour": 1}'], "rules: a key is 'colour'"),
        (["--answer", "nowhere.json"], "nowhere.json"),
        (["--topk", "65"], "--topk is 65"),
        (["--users", "nowhere.jsonl"], "--users"),
    ],
)
def test_a_wrong_flag_is_one_line(folders, capsys, monkeypatch, flags, message):
    with pytest.raises(SystemExit) as ended:
        run_cli(lambda: run(folders, capsys, *flags))
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if not line.startswith("note:")]
    assert ended.value.code == 2 and len(lines) == 1 and message in lines[0]


def test_an_answer_without_the_grammar_is_one_line(folders, capsys, tmp_path):
    answer = tmp_path / "answer.json"
    for choice, message in (
        ({"text": "1. <SOI>Alien<EOI>", "finish_reason": "stop"}, "none of the candidates"),
        ({"text": "Sure!", "finish_reason": "stop"}, "0 items"),
        ({"message": {"content": "1."}}, "not like OpenAI's completions API"),
    ):
        answer.write_text(json.dumps({"choices": [choice]}))
        with pytest.raises(SystemExit) as ended:
            run_cli(lambda: run(folders, capsys, "--topk", "1", "--answer", str(answer)))
        assert ended.value.code == 2 and message in capsys.readouterr().err
