"""Promises of the catalog without users: what the file does not tell is left out, and the popularity is named."""

import json

import data_preprocess_anime
import pytest
from byte_tokenizer import byte_tokenizer
from readers.anime import read_anime

from train_utils.catalog import load_catalog

HEADER = "anime_id,Name,Score,Genres,Type,Episodes,Members"
ROWS = """\
1,Cowboy Bebop,8.78,"Action, Space",TV,26,1251960
5,"Say ""Hi"" &amp; go",Unknown,Unknown,Unknown,Unknown,90
6,Cowboy Bebop,7.1,Space,Movie,1,40
7,Adults only,6.5,"Hentai, Space",OVA,2,99
8,Odd numbers,nan,Drama,TV,-3,many
"""
BROKEN = """\
9,too few columns
10,"never closed,1,Drama,TV,1,1
1,Repeated,1,Drama,TV,1,1
,No id,1,Drama,TV,1,1
11,,1,Drama,TV,1,1
"""


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


def preprocess(tmp_path, tokenizer_folder, text, *more):
    (tmp_path / "raw").mkdir(exist_ok=True)
    (tmp_path / "raw/anime.csv").write_text(text, encoding="utf-8")
    argv = ["--raw_path", str(tmp_path / "raw"), "--data_path", str(tmp_path / "anime")]
    return data_preprocess_anime.main([*argv, "--tokenizer_path", tokenizer_folder, *more])


def test_a_row_becomes_an_item_without_what_the_row_does_not_tell(tmp_path, tokenizer_folder):
    assert preprocess(tmp_path, tokenizer_folder, f"{HEADER}\n{ROWS}") == 0
    metas = json.loads((tmp_path / "anime/metas.jsonl").read_text(encoding="utf-8"))
    assert metas["mal-1"] == {
        "title": "Cowboy Bebop", "title_t": "Cowboy Bebop", "description": "", "category": ["Action", "Space"],
        "type": "TV", "score": 8.78, "episodes": 26, "members": 1251960,
    }  # fmt: skip
    assert metas["mal-5"] == {
        "title": 'Say "Hi" & go', "title_t": 'Say "Hi" & go', "description": "", "category": [], "members": 90
    }  # fmt: skip
    assert metas["mal-6"]["title_t"] == "Cowboy Bebop (1)"
    assert metas["mal-8"].keys() == {"title", "title_t", "description", "category", "type"}
    assert list(metas) == ["mal-1", "mal-5", "mal-6", "mal-8"]
    assert json.loads((tmp_path / "anime/category.jsonl").read_text()) == {
        "Action": ["mal-1"], "Space": ["mal-1", "mal-6"], "Drama": ["mal-8"]
    }  # fmt: skip
    catalog = load_catalog(tmp_path / "anime")
    assert catalog.popularity == (1251960, 90, 40, 0) and not catalog.sequences


def test_what_is_left_out_is_counted(tmp_path, tokenizer_folder, capsys):
    assert preprocess(tmp_path, tokenizer_folder, f"{HEADER}\n{ROWS}{BROKEN}", "--without_genres", "Drama, Action") == 0
    audit = json.loads((tmp_path / "anime/audit.json").read_text())
    assert audit["items"] == {
        "read": 10,
        "kept": 3,
        "dropped": {
            "wrong number of columns": 1,
            "broken quotes": 1,
            "repeated item id": 1,
            "id missing or unprintable": 1,
            "of a category that is left out (Drama, Action)": 3,
        },
    }
    assert audit["unknown"] == {"category": 1, "score": 1, "type": 1, "episodes": 1}
    assert "items: 3 of 10 kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("a,b\n1,2\n", (), "lacks"),
        ("", (), "lacks"),
        (f"{HEADER}\n1,short\n", (), "no usable line"),
        (f"{HEADER}\n1,X,1,Drama,TV,1,1\n", ("--without_genres", "Drama"), "no item is left"),
    ],
)
def test_a_file_of_no_use_is_one_line(tmp_path, tokenizer_folder, capsys, text, more, message):
    assert preprocess(tmp_path, tokenizer_folder, text, *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_missing_file_names_the_command_that_brings_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="--with_anime"):
        read_anime(tmp_path)
