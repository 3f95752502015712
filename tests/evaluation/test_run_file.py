"""A ranking of an outside system is read in every form, and a broken line is named."""

import json

import pytest

from train_utils.evaluation.run_file import read_run

USERS = ["u1", "u2", "u3"]
FORMS = {
    "trec": "u1 Q0 b 2 0.5 me\nu1 Q0 a 1 0.9 me\nu2 Q0 c 1 -1e-3 me\nx Q0 a 1 1 me\n",
    "trec-tabs": "u1\tQ0\tb\t2\t0.5\tme\nu1\tQ0\ta\t1\t0.9\tme\nu2\tQ0\tc\t1\t3\tme\nx\tQ0\ta\t1\t1\tme\n",
    "tsv": "u1\ta\nu2\tc\n\nu1\tb\nx\ta\n",
    "tsv-header": "user_id\titem_id\nu1\ta\nu1\tb\nu2\tc\nx\ta\n",
    "tsv-scores": "u1\tb\t1\nu1\ta\t2\nu2\tc\t0\nx\ta\t1",
    "recbole-header": "user_id:token\titem_id:token\tscore:float\nu1\tb\t1\nu1\ta\t2\nu2\tc\t0\nx\ta\t1\n",
    "csv": "u1,a\r\nu1,b\r\nu2,c\r\nx,a\r\n",
    "csv-quoted": '\ufeffuser,item,score\n"u1","b",1\nu1,a,1.5\nu2,c,-1e30\nx,a,0\n',
    "json": '{"user": "u1", "items": ["a", "b"]}\n{"user": "u2", "items": ["c"]}\n{"user": "x", "items": ["a"]}\n',
}


def read(tmp_path, text, users=USERS):
    path = tmp_path / "run"
    path.write_text(text, encoding="utf-8", newline="")
    return read_run(path, users)


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_lists(tmp_path, text):
    run = read(tmp_path, text)
    assert run.lists == {"u1": ["a", "b"], "u2": ["c"], "u3": []}
    assert run.missing == ("u3",)
    assert run.unknown_users == ("x",)


def test_equal_scores_keep_the_rank_and_then_the_order_of_the_file(tmp_path):
    assert read(tmp_path, "u1 Q0 b 2 1 t\nu1 Q0 a 1 1 t\n").lists["u1"] == ["a", "b"]
    assert read(tmp_path, "u1\tb\t1\nu1\ta\t1\n").lists["u1"] == ["b", "a"]


def test_scores_beat_ranks_as_in_trec_eval(tmp_path):
    assert read(tmp_path, "u1 Q0 b 1 0.1 t\nu1 Q0 a 2 0.9 t\n").lists["u1"] == ["a", "b"]


def test_repeats_and_unknown_items_stay(tmp_path):
    assert read(tmp_path, "u1,a\nu1,no such item\nu1,a\n").lists["u1"] == ["a", "no such item", "a"]


def test_ids_may_be_numbers_in_json(tmp_path):
    assert read(tmp_path, json.dumps({"user": 7, "items": [3, "4"]}), ["7"]).lists == {"7": ["3", "4"]}


def test_an_empty_list_of_a_user_is_not_missing(tmp_path):
    run = read(tmp_path, '{"user": "u1", "items": []}', ["u1"])
    assert (run.lists, run.missing) == ({"u1": []}, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u1 Q0 a 1 0.9 t\nu1 Q0 b 2 t\n", "run, line 2: 5 fields, wanted six"),
        ("u1 Q0 a 1 high t\n", "run, line 1: the score is 'high'"),
        ("u1 Q0 a 1 nan t\n", "run, line 1: the score is 'nan'"),
        ("u1,a,1\nu1,b,inf\n", "run, line 2: the score is 'inf', wanted a finite number"),
        ("u1,a,-inf\n", "run, line 1: the score is '-inf', wanted a finite number"),
        ("u1 Q0 a 1 1e999 t\n", "run, line 1: the score is '1e999', wanted a finite number"),
        ('[{"user": "u1", "items": ["a"]}]\n', "run, line 1: a JSON array; wanted JSON lines"),
        ('[\n  {"user": "u1", "items": ["a"]}\n]\n', "run, line 1: a JSON array; wanted JSON lines"),
        ("u1 Q0 a first 1 t\n", "run, line 1: the rank is 'first'"),
        ("u1\ta\t1\nu1\tb\n", "run, line 2: 2 filled fields, wanted 3"),
        ("u1\ta\nu1\t\n", "run, line 2: 1 filled fields, wanted 2"),
        (
            "user\titem\tnote\nu1\ta\t1\n",
            "run, line 1: the column 'note' is of no known kind; wanted user, item, and score",
        ),
        ('u1,"a\nb",2\n', "run, line 1: unexpected end of data"),
        ("u1 a\n", "run, line 1: 'u1 a' is of no known form"),
        ('{"user": "u1", "items": ["a"]}\n{"user": \n', "run, line 2: no JSON object"),
        ('{"user": "u1"}\n', "run, line 1: wanted an object with"),
        ('{"user": "u1", "items": [null]}\n', "run, line 1: an id is None"),
        ('{"user": "u1", "items": []}\n{"user": "u1", "items": []}\n', "run, line 2: a second list for user 'u1'"),
        ("\n \n", "run names no user"),
        ("user,item\n", "run names no user"),
        ("someone,a\n", "has none of the 3 users asked for .as 'u1'., but others .as 'someone'."),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "run").write_bytes(b"u1,a\nu1,\xff\xfe\n")
    with pytest.raises(ValueError, match="run is no UTF-8 text"):
        read_run(tmp_path / "run", USERS)


def test_a_header_says_which_column_is_which_in_any_order(tmp_path):
    path = tmp_path / "run.csv"
    for text in (
        "movieId,rating,userId\n2,.1,1\n3,.9,1\n",
        "rank,item,user\n2,2,1\n1,3,1\n",
        "user,item,score,rank\n1,2,.5,2\n1,3,.5,1\n",
    ):
        path.write_text(text)
        assert read_run(path, ["1"]).lists == {"1": ["3", "2"]}


@pytest.mark.parametrize(
    "text",
    [
        "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n1,3,4.0,1112484676\n",
        "timestamp:float\titem_id:token\tuser_id:token\n1\t3\t1\n2\t2\t1\n",
    ],
)
def test_a_column_of_times_is_passed_over(tmp_path, text):
    assert read(tmp_path, text, ["1"]).lists == {"1": ["3", "2"]}


def test_an_id_may_begin_as_an_array_does(tmp_path):
    assert read(tmp_path, "[u1]\ta\n", ["[u1]"]).lists == {"[u1]": ["a"]}
