"""Conversations are read record by record; only exchanges that fit whole are used."""

import gzip
import json

import pytest
from tiny import tiny_chat

from train_utils.prompts.messages import message
from train_utils.prompts.sharegpt import load_exchanges, read_records


def talk(*turns):
    return {"conversations": [{"from": "human" if i % 2 == 0 else "gpt", "value": t} for i, t in enumerate(turns)]}


def test_arrays_lines_and_cut_off_files_give_what_they_hold(tmp_path):
    records = [talk("a", "b"), talk("[c]", '{"d"'), talk("e", "f")]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(records))
    assert list(read_records(path)) == records
    path.write_text("\n".join(map(json.dumps, records)))
    assert list(read_records(path)) == records
    path.write_text(json.dumps(records, indent=1)[:-12])
    assert list(read_records(path)) == records[:2]


def test_only_whole_exchanges_that_fit_are_kept(tmp_path):
    chat = tiny_chat(["red"])[1]
    path = tmp_path / "x.json"
    records = [talk("hi", "x" * 500), talk("only a question"), talk("one", " two ", "three"), talk("", "four")]
    path.write_text(json.dumps(records))
    assert load_exchanges(path, chat, 20) == [(message("user", "one"), message("assistant", "two"))]
    with pytest.raises(ValueError, match="raise `max_segment`"):
        load_exchanges(path, chat, 1)
    with pytest.raises(ValueError, match="do not exist"):
        load_exchanges(tmp_path / "none.json", chat, 20)


def chat_of(asker, answerer):
    return {"conversations": [{"from": asker, "value": "a"}, {"from": answerer, "value": "b"}]}


def opened(*turns):
    return {"messages": [{"role": "user" if i % 2 == 0 else "assistant", "content": t} for i, t in enumerate(turns)]}


CHAT = tiny_chat(["red"])[1]


def pairs(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return [tuple(m.parts[0] for m in exchange) for exchange in load_exchanges(path, CHAT, 60)]


ONE, TWO, THREE = talk("a", "b"), talk("c", "d"), talk("e", "f")
GOOD = json.dumps([ONE, TWO])
LINES = "\n".join(map(json.dumps, [ONE, TWO]))


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        GOOD.encode("utf-16-be"),
        GOOD.encode("utf-32"),
        gzip.compress(GOOD.encode(), mtime=0),
        LINES,
        gzip.compress(LINES.encode(), mtime=0),
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", ",\n"),
        LINES.replace("\n", ""),
        json.dumps({"data": [ONE, TWO]}),
        json.dumps({"version": 1, "data": [ONE, TWO]}),
        json.dumps({"tags": ["x", "y"], "data": [ONE, TWO]}),
        json.dumps({"train": [ONE], "test": [TWO]}),
        json.dumps({"data": {"train": [ONE, TWO]}}),
        json.dumps({"1": ONE, "2": TWO}),
        json.dumps([[ONE], [TWO]]),
        json.dumps([ONE]) + json.dumps([TWO]),
        json.dumps([ONE["conversations"], TWO["conversations"]]),
        json.dumps([opened("a", "b"), opened("c", "d")]),
        json.dumps([{"turns": opened("a", "b")["messages"]}, {"conversations": [], **opened("c", "d")}]),
        json.dumps([{"conversations": [None, *ONE["conversations"]]}, TWO]),
        '[{"id": ' + "9" * 5000 + ", " + json.dumps(ONE)[1:] + "," + json.dumps(TWO) + "]",
        json.dumps([ONE, TWO])[:-1] + ",]",
        f"[{json.dumps(ONE)} {json.dumps(TWO)}]",
        json.dumps([ONE, TWO], indent=2),
    ],
)
def test_every_form_of_a_file_of_conversations_is_read(tmp_path, content):
    assert pairs(tmp_path / "x", content) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    "record",
    [
        *(chat_of("human", name) for name in ("gpt", "GPT", "assistant", "bing", "bard", "chatgpt", "model")),
        chat_of("User", "Assistant"),
        opened([{"type": "text", "text": "a"}], ["b"]),
        opened([{"type": "image_url", "image_url": {}}, {"type": "text", "text": "a"}], {"parts": ["b"]}),
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "developer", "content": "s"},
                *opened("a", "b")["messages"],
            ]
        },
        {"conversations": [{"from": "system", "value": "s"}, *ONE["conversations"]]},
        {"conversations": [*ONE["conversations"], {"from": "tool", "value": "t"}, *TWO["conversations"]]},
        {
            "conversations": [
                {"from": None, "role": "user", "value": None, "content": "a"},
                {"role": "assistant", "text": "b"},
            ]
        },
    ],
)
def test_speakers_and_texts_are_read_as_files_name_them(tmp_path, record):
    assert pairs(tmp_path / "x", json.dumps([record])) == [("a", "b")]


DEEP = "[" * 100_000 + "]" * 100_000
DEEP_OBJECTS = '{"a":' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            f'[{json.dumps(ONE)}, {{"conversations": [{{"from": x}}]}}, {json.dumps(TWO)}]',
            "1 with a record that is not",
        ),
        (f'{json.dumps(ONE)}\n{{"conversations": [{{"from"\n{json.dumps(TWO)}', "1 with a record that is not JSON"),
        (f"[{json.dumps(ONE)}, {DEEP}, {json.dumps(TWO)}]", "not JSON"),
        (f"{json.dumps(ONE)}\n{DEEP}\n{json.dumps(TWO)}", ""),
        (f"[{json.dumps(ONE)}, {DEEP_OBJECTS}, {json.dumps(TWO)}]", "1 with a record that is not"),
        (json.dumps([ONE, TWO, THREE])[:-12], "ends inside a record"),
        (json.dumps({"data": [ONE, TWO, THREE]})[:-12], "ends inside a record"),
        (gzip.compress(GOOD.encode(), 0, mtime=0)[:-6], "damaged end of the gzip file"),
        (json.dumps([ONE, None, 3, "x", TWO]), "3 with"),
        (json.dumps([ONE, {}, {"conversations": None}, TWO]), "2 with no list of turns"),
        (json.dumps([ONE, talk(3, 4), talk(None, "x"), TWO]), "2 with a first turn without a text"),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_is_read(tmp_path, caplog, content, reason):
    assert pairs(tmp_path / "x", content) == [("a", "b"), ("c", "d")]
    assert reason in caplog.text


def test_half_a_character_is_read_as_one_that_shows_it(tmp_path, caplog):
    text = '[{"conversations":[{"from":"human","value":"a \\ud83d"},{"from":"gpt","value":"b\nc"}]}]'
    assert pairs(tmp_path / "x", text) == [("a \ufffd", "b\nc")] and "1 with half a character" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "",
        " \n",
        "[]",
        "{}",
        "<html>404</html>",
        "version https://git-lfs.github.com/spec/v1",
        '"x"',
        "3",
        DEEP,
        DEEP_OBJECTS,
        json.dumps([{"prompt": "a"}]),
        b"PK\x03\x04\xff\x00" * 9,
        b"\x1f\x8b",
        b"\x1f\x8bnonsense",
        json.dumps([ONE])[:40],
    ],
)
def test_a_file_without_a_conversation_is_one_line_that_says_what_is_wanted(tmp_path, content):
    expected = r"holds no conversation that can be read.*'conversations'.*'messages'"
    with pytest.raises(ValueError, match=expected) as raised:
        pairs(tmp_path / "x", content)
    assert "\n" not in str(raised.value)


def test_conversations_of_unusual_speakers_come_last(tmp_path):
    opening = {"conversations": [{"from": "system", "value": "s"}, *THREE["conversations"]]}
    records = [chat_of("human", "bing"), opening, ONE, TWO]
    assert pairs(tmp_path / "x", json.dumps(records)) == [("a", "b"), ("c", "d"), ("a", "b"), ("e", "f")]
    assert [exchange[0].parts[0] for exchange in load_exchanges(tmp_path / "x", CHAT, 60, limit=2)] == ["a", "c"]
