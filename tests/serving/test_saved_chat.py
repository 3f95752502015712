"""A conversation that was saved goes on where it was, and a file that is none changes nothing."""

import json

import pytest
from tiny import tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.dialogue.dialogue import Dialogue
from train_utils.prompts.messages import ItemPart
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.serving.saved_chat import MAX_FILE, read_chat, resume, save_chat

NAMES = ["Alien", "Blade Runner", "Toy Story", "Heat"]


@pytest.fixture(scope="module")
def recommender():
    model, chat = tiny_chat(NAMES, 3)
    items = [Item(str(i), name, ("Film",), attributes={"year": 1980 + i}) for i, name in enumerate(NAMES)]
    return Recommender(model, Chat(chat.tokenizer, NAMES), make_catalog("films", items))


@pytest.fixture
def talk(recommender):
    talk = Dialogue(recommender, RequestReader(recommender.catalog, recommender.named_titles), max_new_tokens=30)
    talk.profile = (2,)
    heard = talk.hear("I liked Alien and hated Heat. 2 film titles after 1980, please")
    talk.record(heard.user, ["Here: ", ItemPart(1), "\nbye"])
    return talk


def test_a_saved_conversation_is_read_back_whole(talk, recommender, tmp_path):
    save_chat(tmp_path / "a.json", talk, "films")
    saved = read_chat(tmp_path / "a.json")
    other = Dialogue(recommender, max_new_tokens=30)
    resume(saved, other)
    assert saved.domain == "films"
    assert (other.exchanges, other.preferences, other.profile) == (talk.exchanges, talk.preferences, talk.profile)
    assert other.last.items == talk.last.items == (1,)
    save_chat(tmp_path / "b.json", other, "films")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def damaged(record, path, value):
    *parents, last = path
    inner = record
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return record


@pytest.mark.parametrize(
    "path,value",
    [
        (["format"], "other"),
        (["profile"], [1]),
        (["profile"], ["nobody"]),
        (["preferences", "count"], -1),
        (["preferences", "count"], True),
        (["preferences", "liked"], [["0", 7]]),
        (["preferences", "only"], ["Unknown"]),
        (["preferences", "ranges"], [{"attribute": "price", "low": 1.0, "high": None}]),
        (["preferences", "ranges"], [{"attribute": "year", "low": "x", "high": None}]),
        (["exchanges"], [{"user": "x"}]),
        (["exchanges"], [{"user": "x", "answer": [{"item": "99"}]}]),
        (["more"], 1),
    ],
)
def test_a_damaged_file_is_one_line_and_changes_nothing(talk, recommender, tmp_path, path, value):
    save_chat(tmp_path / "a.json", talk, "films")
    (tmp_path / "a.json").write_text(json.dumps(damaged(json.loads((tmp_path / "a.json").read_text()), path, value)))
    before = (list(talk.exchanges), talk.preferences, talk.profile, talk.last)
    with pytest.raises(ValueError) as raised:
        resume(read_chat(tmp_path / "a.json"), talk)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
    assert (talk.exchanges, talk.preferences, talk.profile, talk.last) == before


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{" * 5000, b"\xff", b" " * (MAX_FILE + 1)])
def test_a_file_that_is_no_conversation_is_one_line(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError) as raised:
        read_chat(tmp_path / "x")
    assert "\n" not in str(raised.value)
