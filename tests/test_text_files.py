"""Text files of unknown origin are read alike by every reader of the project."""

import gzip
import json
import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readers.amazon import read_amazon
from readers.movielens import read_movielens
from tiny import tiny_chat

from train_utils.characters import has_text, whole_characters
from train_utils.evaluation.gsm8k import load_questions
from train_utils.evaluation.run_file import read_run
from train_utils.files.json_files import read_json_lines
from train_utils.files.text_files import read_text, sniff_encoding, text_lines
from train_utils.prompts.messages import message
from train_utils.prompts.sharegpt import load_exchanges

ODD = "a\u2028b\u2029c\x85d\x1ce\x0bf"  # what str.splitlines would cut


# Without NUL, because the mark of UTF-16 with a NUL behind it is that of UTF-32.
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")), max_size=5),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.booleans(),
)
def test_lines_are_ended_by_a_line_feed_alone_in_any_encoding(tmp_path_factory, lines, encoding, packed):
    path = tmp_path_factory.mktemp("lines") / "x"
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    path.write_bytes(gzip.compress(data) if packed else data)
    if encoding == "utf-8" and lines and lines[0].startswith("\ufeff"):
        lines[0] = lines[0].removeprefix("\ufeff")
    assert list(text_lines(path)) == lines
    assert read_text(path) == "".join(f"{line}\n" for line in lines)


def test_bytes_that_are_not_utf_8_take_the_fallback_or_are_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"x" * (1 << 20) + "Misérables".encode("latin-1"))
    assert sniff_encoding(path, "latin-1") == "latin-1" and read_text(path, "latin-1").endswith("Misérables")
    with pytest.raises(ValueError, match="x is no UTF-8 text .*save it as UTF-8"):
        read_text(path)
    (tmp_path / "y.gz").write_bytes(gzip.compress(b"a\nb\n")[:-9])
    with pytest.raises(ValueError, match="damaged gzip"):
        list(text_lines(tmp_path / "y.gz"))


def test_json_lines_keep_odd_characters_and_tell_or_count_broken_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"a": "{ODD[:7]}"}}\r\n\n[1]\n', encoding="utf-8-sig", newline="")
    assert [number for number, _ in read_json_lines(path)] == [1, 3]
    assert dict(read_json_lines(path))[1] == {"a": ODD[:7]}
    path.write_bytes(b'{"a": 1}\n{"a": \xff}\n{"a"\n' + b"[" * 100_000 + b"\n2\n")
    with pytest.raises(ValueError, match="line 2, is not JSON"):
        list(read_json_lines(path))
    rejected = Counter()
    assert [value for _, value in read_json_lines(path, rejected)] == [{"a": 1}, 2]
    assert rejected == {"not strict JSON": 3}


def test_half_a_character_is_replaced_and_what_shows_nothing_is_told():
    assert whole_characters("a\ud83db\udc00") == "a\ufffdb\ufffd" and whole_characters("🎬é") == "🎬é"
    assert not any(map(has_text, ["", " \t\n", "\u200b\u200d", "\u3164", "\ufeff", "\x00"]))
    assert all(map(has_text, ["a", " .", "夜", "🎬", "\ue000"]))


# -- readers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_questions_and_run_files_are_read_in_any_encoding(tmp_path, encoding):
    path = tmp_path / "test.jsonl"
    text = f"What{ODD[1:4]} is 1 + 1?"
    path.write_text(
        json.dumps({"question": text, "answer": "#### 2"}, ensure_ascii=False) + "\n", encoding=encoding, newline=""
    )
    (question,) = load_questions(path)
    assert question.text == text and question.gold == 2
    path.write_text("u1,é\nu1,b\x85\n", encoding=encoding, newline="")
    assert read_run(path, ["u1"]).lists == {"u1": ["é", "b"]} or read_run(path, ["u1"]).lists == {"u1": ["é", "b\x85"]}


@pytest.mark.parametrize("header", ["userId,movieId,rating", "user_id,parent_asin,rating", "User ID,Item-ID,Score",
                                    "reviewerID,asin,rating", "uid,productId"])  # fmt: skip
def test_a_header_in_the_words_of_a_data_set_is_a_header(tmp_path, header):
    path = tmp_path / "run.csv"
    row = "u1,a,2\nu1,b,3\n" if header.count(",") == 2 else "u1,b\nu1,a\n"
    path.write_text(f"{header}\n{row}")
    assert read_run(path, ["u1"]).lists == {"u1": ["b", "a"]}
    path.write_text("userId,movieId,genre\nu1,a,2\n")
    with pytest.raises(ValueError, match="line 1: .*'genre'"):
        read_run(path, ["u1"])


def write_grouplens(folder, encoding):
    genres = "|0" * 18 + "|1"
    rows = [f"{n}|{title} (1995)|01-Jan-1995||x{genres}" for n, title in ((1, "Misérables, Les"), (2, "Amélie"))]
    (folder / "u.item").write_text("\n".join(rows) + "\n", encoding=encoding)
    (folder / "u.data").write_text("7\t1\t5\t881250949\n7\t2\t5\t881250950\n", encoding=encoding)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_movielens_is_read_in_the_encoding_that_it_has(tmp_path, encoding):
    write_grouplens(tmp_path, encoding)
    raw = read_movielens(tmp_path)
    assert {item.id: item.title for item in raw.items} == {"1": "Misérables, Les", "2": "Amélie"}
    assert len(raw.events.time) == 2 and not raw.rejected["u.item"]
    assert raw.encodings["u.item"] == encoding


def test_windows_quotation_marks_are_kept_and_one_broken_line_spoils_no_other(tmp_path):
    write_grouplens(tmp_path, "latin-1")
    path = tmp_path / "u.item"
    windows = path.read_bytes().replace("Misérables".encode("latin-1"), b"Mis\xe9rables\x92 \x93x\x94")
    path.write_bytes(windows)
    raw = read_movielens(tmp_path)
    assert raw.items[0].title == "Misérables’ “x”, Les" and raw.encodings["u.item"] == "cp1252"
    path.write_bytes(windows.replace(b"\x93", b"\x81"))  # no character of cp1252
    assert read_movielens(tmp_path).encodings["u.item"] == "latin-1"
    write_grouplens(tmp_path, "utf-8")
    path.write_bytes(path.read_bytes().replace("Amélie".encode(), b"Am\xc3lie"))
    raw = read_movielens(tmp_path)
    assert [item.title for item in raw.items] == ["Misérables, Les"] and raw.encodings["u.item"] == "utf-8"
    assert raw.rejected["u.item"] == {"not UTF-8 text": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_atomic_files_are_read_in_the_encoding_that_they_have(tmp_path, encoding):
    (tmp_path / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t1\t3\t881250949\n", encoding=encoding
    )
    (tmp_path / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tAmélie\t2001\tComedy\n",
        encoding=encoding,
    )
    raw = read_movielens(tmp_path)
    assert [item.title for item in raw.items] == ["Amélie"] and raw.events.user_ids == ["7"]


def test_amazon_files_may_have_a_mark_odd_characters_and_nested_categories(tmp_path):
    meta = {"asin": "B1", "title": f"Amélie{ODD[1:4]}", "category": [["Movies", "Comedy"], ["Film"]]}
    review = {"reviewerID": "A", "asin": "B1", "unixReviewTime": 5}
    (tmp_path / "X_5.json").write_text(json.dumps(review) + "\n", encoding="utf-8-sig")
    (tmp_path / "meta_X.json").write_text(json.dumps(meta, ensure_ascii=False) + "\n", encoding="utf-8-sig", newline="")
    raw = read_amazon(tmp_path, "X")
    assert raw.items[0].title == meta["title"] and raw.items[0].categories == ("Movies", "Comedy", "Film")
    assert not any(raw.rejected.values())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_amazon_files_of_any_encoding_give_the_same_items(tmp_path, encoding, end):
    rows = [{"asin": "B1", "title": "Amélie", "category": []}, {"asin": "B2", "title": "Misérables"}]
    reviews = [{"reviewerID": "A", "asin": asin, "unixReviewTime": 5} for asin in ("B1", "B2")]
    for name, values in (("X_5", reviews), ("meta_X", rows)):
        text = f"{end}{end}".join(json.dumps(value, ensure_ascii=False) for value in values)  # the last line has no end
        (tmp_path / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(encoding)))
    raw = read_amazon(tmp_path, "X")
    assert [item.title for item in raw.items] == ["Amélie", "Misérables"]
    assert not any(raw.rejected.values()) and raw.encodings["meta_X.json.gz"] in (encoding, "latin-1")


def test_files_that_were_put_together_and_broken_lines_are_read_up_to_the_broken_ones(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes('\ufeff{"a": "é"}\n\ufeff{"a": "ü"}\n'.encode() + b'{"a": "\xc3"}\n \x0b\x0c\x1c\n{"a": 2}')
    rejected = Counter()
    assert [value["a"] for _, value in read_json_lines(path, rejected)] == ["é", "ü", 2]
    assert rejected == {"not UTF-8 text": 1}
    with pytest.raises(ValueError, match="x.jsonl, line 3, is not JSON .not UTF-8 text"):
        list(read_json_lines(path))


# -- conversations -----------------------------------------------------------------------------------------------------

CHAT = tiny_chat(["red"])[1]
WANTED = [(message("user", "hi"), message("assistant", "the end"))]
SHAREGPT = [{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "the end"}]}]
OPENAI = [{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "the end"}]}]
FORMS = {
    "array": SHAREGPT,
    "openai": OPENAI,
    "openai, system first": [{"messages": [{"role": "system", "content": "be kind"}, *OPENAI[0]["messages"]]}],
    "openai, parts": [{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]},
                                    {"role": "assistant", "content": "the end"}]}],
    "roles in conversations": [{"conversations": OPENAI[0]["messages"]}],
    "data": {"data": SHAREGPT},
    "data after a version": {"version": 1, "info": {"a": [1]}, "items": OPENAI},
    "one record": OPENAI[0],
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_conversations_are_read_in_every_form(tmp_path, caplog, form, encoding):
    path = tmp_path / "talks.json"
    path.write_text(json.dumps(form, indent=1), encoding=encoding)
    assert load_exchanges(path, CHAT, 20) == WANTED
    path.write_text("\n".join(map(json.dumps, OPENAI + SHAREGPT)), encoding=encoding)
    assert load_exchanges(path, CHAT, 20) == WANTED * 2
    assert not caplog.messages


def test_what_cannot_be_read_of_conversations_is_counted_and_named(tmp_path, caplog):
    path = tmp_path / "talks.json"
    odd = [{"id": 1}, 5, {"messages": [{"role": "tool", "content": "x"}]}, {"conversations": "hi"},
           {"messages": [{"role": "user", "content": "a\ud83d"}, {"role": "assistant", "content": "b"}]}]  # fmt: skip
    path.write_text(json.dumps([*odd, *SHAREGPT])[:-1] + ', {"conversations": [{"from')
    with caplog.at_level(logging.WARNING):
        actual = load_exchanges(path, CHAT, 20)
    assert actual == [(message("user", "a\ufffd"), message("assistant", "b")), *WANTED]
    (line,) = caplog.messages
    for part in ("5 records read", "1 with a value that is no object", "2 with no list of turns", "1 with a first turn",
                 "1 with half a character", "ends inside a record"):  # fmt: skip
        assert part in line


@pytest.mark.parametrize("content", ["", "[]", "{}", "\ufeff", '{"data": []}', '[{"id": 1}]', "no json", "[[[["])
def test_a_file_without_a_conversation_says_what_is_wanted(tmp_path, content):
    path = tmp_path / "talks.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="holds no conversation that can be read.*ShareGPT.*OpenAI") as error:
        load_exchanges(path, CHAT, 20)
    assert "\n" not in str(error.value)
