"""Promises of the readers and entry scripts of preprocess/: exact raw formats in, one folder out."""

import gzip
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import data_preprocess
import data_preprocess_amazon
import pytest
import yaml
from byte_tokenizer import byte_tokenizer
from readers.amazon import json_lines, read_amazon
from readers.movielens import GENRES, read_movielens

# ---------------------------------------------------------------- MovieLens

MOVIES = [
    ("1", "Seven (Se7en)", "1995", "Crime Thriller"),
    ("2", "Cité, La", "1995", "Sci-Fi"),
    ("3", "X", "", ""),
]
RATINGS = [("7", "1", "5", "881250949"), ("7", "2", "3", "881250949"), ("8", "3", "1", "881250000")]


def write_atomic_layout(folder: Path) -> None:
    rows = ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *map("\t".join, RATINGS)]
    (folder / "ml-100k.inter").write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = [
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
        *map("\t".join, MOVIES),
    ]
    (folder / "ml-100k.item").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_grouplens_layout(folder: Path) -> None:
    (folder / "u.data").write_text("\n".join(map("\t".join, RATINGS)) + "\n", encoding="latin-1")
    lines = []
    for item_id, title, year, genres in MOVIES:
        flags = ["1" if genre in genres.split() else "0" for genre in GENRES]
        dated = f"{title} ({year})" if year else title
        lines.append("|".join([item_id, dated, f"01-Jan-{year}", "", "http://x", *flags]))
    (folder / "u.item").write_text("\n".join(lines) + "\n", encoding="latin-1")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("write", [write_atomic_layout, write_grouplens_layout])
def test_both_movielens_layouts_give_the_same_folder(tmp_path, tokenizer_folder, write):
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    write(raw)
    argv = [
        *("ml-100k", "ml", "--raw_path", str(raw), "--data_path", str(out), "--tokenizer_path", tokenizer_folder),
        *("--unirec_data_path", str(tmp_path / "unirec"), "--unirec_config_path", str(tmp_path / "ml.yaml")),
    ]
    assert data_preprocess.main(argv) == 0
    metas = json.loads((out / "metas.jsonl").read_text(encoding="utf-8"))
    assert metas == {
        "1": {
            "title": "Seven (Se7en)",
            "title_t": "Seven (Se7en)",
            "description": "",
            "category": ["Crime", "Thriller"],
            "year": 1995,
        },
        "2": {
            "title": "Cité, La",
            "title_t": "Cité, La",
            "description": "",
            "category": ["Sci-Fi"],
            "year": 1995,
        },
        "3": {"title": "X", "title_t": "X", "description": "", "category": []},
    }
    assert pickle.loads((out / "meta.pickle").read_bytes()) == metas
    assert json.loads((out / "sequential.jsonl").read_text()) == {"7": ["1", "2"], "8": ["3"]}
    assert json.loads((out / "category.jsonl").read_text()) == {
        "Crime": ["1"],
        "Thriller": ["1"],
        "Sci-Fi": ["2"],
    }
    assert json.loads((out / "audit.json").read_text())["time_ties"]["users_whose_last_two_events_tie"] == 1


def test_movielens_errors_are_one_line(tmp_path, capsys):
    assert (
        data_preprocess.main(["ml-100k", "ml", "--raw_path", str(tmp_path), "--data_path", str(tmp_path / "out")]) == 2
    )
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    write_atomic_layout(tmp_path)
    argv = ["--raw_path", str(tmp_path), "--tokenizer_path", str(tmp_path), "--data_path", str(tmp_path / "out")]
    assert data_preprocess.main(["ml-100k", "ml", *argv]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: tokenizer ") and "cannot be loaded" in error and error.count("\n") == 1


def test_broken_movielens_lines_are_counted_and_a_wrong_header_is_named(tmp_path):
    write_atomic_layout(tmp_path)
    with (tmp_path / "ml-100k.inter").open("a") as stream:
        stream.write("short\tline\n7\t\t3\t1\n7\t1\t3\tsoon\n7\t1\t3\tnan\n")
    raw = read_movielens(tmp_path)
    assert len(raw.events.time) == 3
    assert raw.rejected["ml-100k.inter"] == {
        "wrong number of columns": 1,
        "id missing or unprintable": 1,
        "time missing or not a number": 2,
    }
    (tmp_path / "ml-100k.inter").write_text("a:token\tb:token\n1\t2\n")
    with pytest.raises(ValueError, match="lacks"):
        read_movielens(tmp_path)


ROOT = Path(__file__).resolve().parents[2]


def test_the_script_splits_in_time_when_it_is_told_to(tmp_path, tokenizer_folder):
    write_atomic_layout(tmp_path)
    ratings = [("7", "3", "4", "881250950"), ("8", "1", "4", "881250001"), ("8", "2", "4", "881260000")]
    with (tmp_path / "ml-100k.inter").open("a") as stream:
        stream.write("".join("\t".join(rating) + "\n" for rating in ratings))
    out = tmp_path / "out"
    environment = {
        "SPLIT": "temporal",
        "PYTHON": sys.executable,
        "TOKENIZER_PATH": tokenizer_folder,
        "RAW_PATH": str(tmp_path),
        "DATA_PATH": str(out),
        "UNIREC_DATA_PATH": str(out / "unirec"),
        "UNIREC_CONFIG_PATH": str(out / "x.yaml"),
    }
    command = ["bash", str(ROOT / "scripts/data_preprocess_movielens.sh"), "--test_share", "0.2"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "test_users.json").read_text()) == {
        "last_training_second": 881250950,
        "users": ["8"],
    }
    assert json.loads((out / "audit.json").read_text())["split"]["test_share"] == 0.2
    assert "1 test events; 1 users without a target after the split are in train only" in done.stdout


def test_a_share_that_leaves_nobody_to_test_is_one_line(tmp_path, tokenizer_folder, capsys):
    write_atomic_layout(tmp_path)
    argv = ["--raw_path", str(tmp_path), "--tokenizer_path", tokenizer_folder, "--data_path", str(tmp_path / "out")]
    assert data_preprocess.main(["ml-100k", "ml", *argv, "--split", "temporal"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: test_share 0.1 puts the split at second 881250949, and no user has two events")


# ---------------------------------------------------------------- Amazon 2018


def review(user: str, item: str, day: int, **more) -> dict:
    return {"reviewerID": user, "asin": item, "overall": 5.0, "unixReviewTime": day * 86400, **more}


REVIEWS = [
    review("U1", "A", 3, reviewText="fine", vote="1,234", style={"Format:": " DVD"}),
    review("U1", "B", 1),
    review("U1", "C", 1),
    review("U1", "C", 1),
    review("U1", "D", 2),
    review("U2", "A", 1),
    review("U2", "B", 2),
    review("U2", "E", 3),
    review("U2", "NOMETA", 3),
    {"reviewerID": "U3", "unixReviewTime": 1},
    {"reviewerID": "U3", "asin": "A", "unixReviewTime": None},
    {"reviewerID": "U\u0000", "asin": "A", "unixReviewTime": 1},
]
META = [
    {
        "asin": "A",
        "title": "Tom &amp; Jerry",
        "category": ["Movies &amp; TV", "Kids"],
        "description": ["One &lt;b&gt;cat&lt;/b&gt;,", "", "one mouse."],
        "brand": "Hanna\n Barbera",
        "price": "$1,234.50",
        "rank": ["x"],
        "also_buy": [],
    },
    {"asin": "B", "title": "Tom & Jerry", "category": ["Movies & TV"], "description": "", "price": ".a-box{"},
    {"asin": "A", "title": "Second row of A", "category": ["Movies & TV"]},
    {
        "asin": "C",
        "title": "<SOI>Alien\n\t<i>Director&#39;s Cut</i><EOI>",
        "category": ["Movies & TV"],
        "rank": "1",
    },
    {"asin": "D", "title": "var aPageStart = (new Date()).getTime();", "category": ["Movies & TV"]},
    {"asin": "E", "title": "No category", "category": []},
    {"asin": "F", "title": "Never reviewed", "category": ["Movies & TV"]},
    {"asin": "", "title": "No id"},
]


def write_amazon(folder: Path, packed: bool = True) -> None:
    junk = [
        b"{'asin': 'A', 'title': __import__('os').abort()}",
        b"[1, 2]",
        b"",
        b'{"asin": "A", "ti',
        b"\xff\xfe{}",
    ]
    for name, records in (("Toy_Movies_5.json", REVIEWS), ("meta_Toy_Movies.json", META)):
        data = b"\n".join([*(json.dumps(record).encode() for record in records), *junk]) + b"\n"
        (folder / f"{name}.gz").write_bytes(gzip.compress(data) if packed else data)


def amazon_argv(folder: Path, tokenizer_folder: str) -> list[str]:
    return [
        *("--tokenizer_path", tokenizer_folder),
        *("--dataset_full_name", "Toy_Movies"),
        *("--dataset_name", "toy"),
        *("--data_path", str(folder)),
        *("--unirec_data_path", str(folder / "unirec")),
        *("--unirec_config_path", str(folder / "toy.yaml")),
    ]


def test_amazon_end_to_end_with_every_known_oddity(tmp_path, tokenizer_folder, capsys):
    write_amazon(tmp_path)
    assert data_preprocess_amazon.main([*amazon_argv(tmp_path, tokenizer_folder), "--min_events_per_user", "2"]) == 0
    assert json.loads((tmp_path / "sequential.jsonl").read_text()) == {
        "U1": ["B", "C", "A"],
        "U2": ["A", "B"],
    }
    metas = json.loads((tmp_path / "metas.jsonl").read_text())
    assert metas == {
        "A": {
            "title": "Tom & Jerry",
            "title_t": "Tom & Jerry",
            "description": "One cat , one mouse.",
            "category": ["Movies & TV", "Kids"],
            "brand": "Hanna Barbera",
            "price": 1234.5,
        },
        "B": {
            "title": "Tom & Jerry",
            "title_t": "Tom & Jerry (1)",
            "description": "",
            "category": ["Movies & TV"],
        },
        "C": {
            "title": "Alien Director's Cut",
            "title_t": "Alien Director's Cut",
            "description": "",
            "category": ["Movies & TV"],
        },
    }
    audit = json.loads((tmp_path / "audit.json").read_text())
    assert audit["events"] == {
        "read": 16,
        "kept": 5,
        "dropped": {
            "id missing or unprintable": 2,
            "time missing or not a number": 1,
            "not strict JSON": 3,
            "not a JSON object": 1,
            "item not usable": 3,
            "same user and item again": 1,
        },
    }
    assert audit["items"]["dropped"] == {
        "repeated item id": 1,
        "no event in the dump": 1,
        "id missing or unprintable": 1,
        "not strict JSON": 3,
        "not a JSON object": 1,
        "title is scraped page code": 1,
        "no category": 1,
    }
    assert audit["title_clashes"] == {"titles": 1, "items_suffixed": 1}
    assert yaml.safe_load((tmp_path / "toy.yaml").read_text())["n_items"] == 4
    assert "1 users with fewer than 3 events are in train only" in capsys.readouterr().out


def test_amazon_s_dump_and_a_temporal_data_set_lie_in_different_folders(tmp_path, tokenizer_folder):
    write_amazon(tmp_path)
    argv = [*amazon_argv(tmp_path / "out", tokenizer_folder), "--raw_path", str(tmp_path)]
    temporal = ["--min_events_per_user", "2", "--split", "temporal", "--test_share", "0.25"]
    assert data_preprocess_amazon.main([*argv, *temporal]) == 0
    assert json.loads((tmp_path / "out/test_users.json").read_text())["users"] == ["U1"]
    assert json.loads((tmp_path / "out/sequential.jsonl").read_text())["U2"] == ["A", "B"]


def test_amazon_reads_plain_files_whatever_their_name(tmp_path):
    write_amazon(tmp_path, packed=False)
    assert [item.id for item in read_amazon(tmp_path, "Toy_Movies").items] == ["A", "B", "C", "D", "E"]


def test_the_published_recipe_is_the_default():
    arguments = data_preprocess_amazon.parse_arguments([])
    assert (arguments.min_events_per_user, arguments.max_events_per_user, arguments.keep) == (17, 17, "first")
    assert (arguments.users, arguments.seed, arguments.need_category) == (10_000, 0, True)
    assert str(arguments.unirec_config_path) == "unirec/config/dataset/movies.yaml"


def test_damaged_or_foreign_amazon_files_are_one_line(tmp_path, tokenizer_folder, capsys):
    argv = amazon_argv(tmp_path, tokenizer_folder)
    write_amazon(tmp_path)
    whole = (tmp_path / "Toy_Movies_5.json.gz").read_bytes()
    literals = gzip.compress(b"{'asin': 'A', 'reviewerID': 'U'}\n")
    cases = {whole[: len(whole) // 2]: "damaged gzip", literals: "no usable line", b"": "no usable line"}
    for content, message in cases.items():
        (tmp_path / "Toy_Movies_5.json.gz").write_bytes(content)
        assert data_preprocess_amazon.main(argv) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ") and message in error
    (tmp_path / "Toy_Movies_5.json.gz").unlink()
    assert data_preprocess_amazon.main(argv) == 2
    assert "Toy_Movies_5.json.gz is not there" in capsys.readouterr().err


def test_json_lines_survive_deep_nesting(tmp_path):
    (tmp_path / "x").write_bytes(b"[" * 200_000 + b'\n{"a": 1}\n')
    rejected = Counter()
    assert list(json_lines(tmp_path / "x", rejected)) == [{"a": 1}]
    assert rejected == {"not strict JSON": 1}
