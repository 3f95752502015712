"""Simulated users are scored by hand, and a killed run goes on where it was."""

import json

import pytest
from tiny import tiny_chat

from train_utils.catalog import Item, load_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.evaluation.conversation import of_dialogues
from train_utils.evaluation.dialogues import (
    CHAT,
    FREE,
    dialogue_table,
    is_dialogue,
    read_dialogues,
    run_dialogues,
    simulated,
)
from train_utils.evaluation.simulated_users import Answer, SimulatedUser, Stated, TurnRecord, converse, summary
from train_utils.param.conversations import ConversationOptions
from train_utils.prompts.messages import ItemPart
from train_utils.recommender import Recommender

NAMES = ["Alien", "Blade Runner", "Toy Story", "Heat", "Casino", "Fargo", "Seven Samurai", "Brazil"]


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "films"
    data.mkdir()
    metas = {str(i): {"title": name, "title_t": name, "year": 1980 + i} for i, name in enumerate(NAMES)}
    kinds = {"Dark": ["0", "1", "3", "4"], "Bright": ["2", "5", "6", "7"]}
    users = {f"u{n}": [str((n + i) % 8) for i in range(6)] for n in range(5)}
    for name, value in (("metas", metas), ("category", kinds), ("sequential", users)):
        (data / f"{name}.jsonl").write_text(json.dumps(value))
    return data


def test_what_a_user_stated_decides_which_items_are_right():
    item = Item("1", "Alien", ("Horror",), attributes={"year": 1979})
    assert Stated().admits(item) and Stated(only="Horror", years=(1979, 1980)).admits(item)
    assert not Stated(only="Comedy").admits(item) and not Stated(without="Horror").admits(item)
    assert not Stated(years=(1980, 1990)).admits(item) and not Stated(years=(1970, 1990)).admits(Item("2", "x"))


def test_turns_are_counted_by_hand(folder):
    catalog = load_catalog(folder)
    user = SimulatedUser(catalog, (0, 1, 2), 7, "a")
    answers = [Answer((ItemPart(3), "\n", ItemPart(3), "as in Heat")), Answer(tuple(map(ItemPart, (3, 0, 7))))]
    talk = iter(answers)
    (turns,) = converse([user], lambda messages: {0: next(talk)}, lambda text: text.count("Heat"))
    assert [turn.turn for turn in turns] == [1, 2] and [turn.hit for turn in turns] == [False, True]
    assert [turn.repeats for turn in turns] == [1, 1] and [turn.named_back for turn in turns] == [0, 1]
    assert [turn.outside for turn in turns] == [1, 0] and not turns[0].exact
    measured = summary([turns, [TurnRecord(1, True, True, True, 0, 0, 0, 0)]])
    assert measured["hit_turns"] == [0.5, 1.0, 1.0, 1.0, 1.0] and measured["exact_count"] == pytest.approx(
        (turns[1].exact + 1) / 3
    )


def test_a_run_that_was_killed_goes_on_with_the_users_that_are_left(folder, tmp_path, monkeypatch):
    catalog = load_catalog(folder)
    model, chat = tiny_chat(NAMES, 3, tied=False)
    recommender = Recommender(model, chat, catalog)
    reader = RequestReader(catalog, recommender.named_titles)
    monkeypatch.setattr("train_utils.evaluation.dialogues.BATCH", 2)

    def options(name):
        (tmp_path / "model").mkdir(exist_ok=True)
        return ConversationOptions(
            data_path=str(folder),
            model_name=str(tmp_path / "model"),
            gpu="cpu",
            free_users=1,
            output=str(tmp_path / name),
        )

    whole = run_dialogues(options("whole.json"), recommender, reader)
    assert whole[CHAT]["users"] == 5 and whole[FREE]["users"] == 1 and whole[CHAT]["adherence"] == 1.0
    calls = []

    def killed(users, chat, named):
        calls.append(len(users))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return converse(users, chat, named)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("train_utils.evaluation.dialogues.converse", killed)
        run_dialogues(options("killed.json"), recommender, reader)
    assert run_dialogues(options("killed.json"), recommender, reader) == whole
    assert read_dialogues(tmp_path / "killed.json") == whole and not list(tmp_path.glob("*.partial*"))
    line = of_dialogues(whole)
    assert line["hit_turns"] == whole[CHAT]["hit_turns"] and line["hit_turns_before"] == whole[FREE]["hit_turns"]
    assert len(dialogue_table(whole).splitlines()) == 2 + len(whole)


def test_a_result_of_another_command_is_not_replaced(folder, tmp_path):
    catalog = load_catalog(folder)
    model, chat = tiny_chat(NAMES, 3, tied=False)
    (tmp_path / "mine.json").write_text("[]")
    options = ConversationOptions(
        data_path=str(folder), model_name=str(tmp_path), gpu="cpu", output=str(tmp_path / "mine.json")
    )
    recommender = Recommender(model, chat, catalog)
    with pytest.raises(ValueError, match="which another command wrote"):
        run_dialogues(options, recommender, RequestReader(catalog, recommender.named_titles))
    assert (tmp_path / "mine.json").read_text() == "[]"


def test_users_are_the_first_of_one_order(folder):
    catalog = load_catalog(folder)
    assert simulated(catalog, "test", 2, 0) == simulated(catalog, "test", 0, 0)[:2]


@pytest.mark.parametrize("record", [{}, {"systems": []}, {"systems": {"a": [{}]}}, {"systems": {"a": [[1]]}}])
def test_a_partial_file_of_another_kind_is_told_apart(record):
    assert not is_dialogue(record)
