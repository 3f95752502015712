"""The three files of a catalog: read in every form, and refused in one line that names file, key and value."""

import json
import logging
import pickle
import subprocess
import sys
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
from transform2unirec import main as transform_main

from train_utils.catalog import load_catalog
from train_utils.dataset_folder import UNFINISHED, dataset_paths, part_of, read_dataset
from train_utils.serving.domains import dataset_folders

METAS = {"1": {"title": "Heat"}, "2": {"title": "Big", "title_t": "Big (1)"}, "3": {"title": "Up", "year": 2009}}
CATEGORIES = {"Drama": ["1", "2"], "War": ["3"]}
SEQUENCES = {"u": ["1", "2", "3"], "v": ["3", "1", "2"]}
ROOT = Path(__file__).resolve().parent.parent


def write(
    folder,
    metas=METAS,
    category=CATEGORIES,
    sequential=SEQUENCES,
    names=("metas", "category", "sequential"),
    suffix=".jsonl",
    protocol=None,
):
    folder.mkdir(exist_ok=True, parents=True)
    for name, value in zip(names, (metas, category, sequential), strict=True):
        data = pickle.dumps(value, protocol) if suffix in (".pickle", ".pkl") else json.dumps(value).encode()
        (folder / f"{name}{suffix}").write_bytes(data)
    return folder


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".pickle", ".pkl"])
@pytest.mark.parametrize("stem", ["metas", "meta"])
def test_every_form_of_the_files_is_the_same_dataset_to_every_stage(tmp_path, stem, suffix):
    folder = write(tmp_path / "mine", names=(stem, "category", "sequential"), suffix=suffix)
    catalog = load_catalog(folder)
    assert catalog.titles == ["Heat", "Big (1)", "Up"] and catalog.sequences == {"u": (0, 1, 2), "v": (2, 0, 1)}
    assert {name: sorted(items) for name, items in catalog.categories.items()} == {"Drama": [0, 1], "War": [2]}
    assert {part_of(path) for path in dataset_paths(folder).values()} == {"metas", "category", "sequential"}
    assert dataset_folders(tmp_path) == {"mine": folder}
    out = tmp_path / "unirec"
    assert (
        transform_main(
            [
                "--data_path",
                str(folder),
                "--unirec_data_path",
                str(out),
                "--unirec_config_path",
                str(tmp_path / "x.yaml"),
            ]
        )
        == 0
    )
    assert json.loads((out / "category.jsonl").read_text()) == CATEGORIES
    assert not (folder / "audit.json").exists()


def test_json_is_preferred_and_numbers_are_ids(tmp_path):
    folder = write(
        tmp_path,
        metas={1: {"title": "A"}, np.int64(2): {"title": "B"}},
        category={7: np.array([1, 2])},
        sequential={3: (1, np.int64(2), "1")},
        suffix=".pickle",
    )
    assert load_catalog(folder).sequences == {"3": (0, 1, 0)} and set(load_catalog(folder).categories) == {"7"}
    write(folder)
    assert load_catalog(folder).titles == ["Heat", "Big (1)", "Up"]


def test_pickles_of_ordered_and_default_dicts_are_plain_data(tmp_path):
    categories, sequences = defaultdict(set), OrderedDict(SEQUENCES)
    for item, category in (("1", "Drama"), ("2", "Drama"), ("3", "War")):
        categories[category].add(item)
    for protocol in (0, 2, 4):
        write(tmp_path, metas=OrderedDict(METAS), category=categories, sequential=sequences, suffix=".pickle",
              protocol=protocol)  # fmt: skip
        catalog = load_catalog(tmp_path)
        assert catalog.titles == ["Heat", "Big (1)", "Up"] and catalog.sequences == {"u": (0, 1, 2), "v": (2, 0, 1)}
        assert [item.categories for item in catalog.items] == [("Drama",), ("Drama",), ("War",)]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_null_title_or_description_is_a_missing_one(tmp_path, missing):
    metas = {"1": {"title": "Heat", "title_t": missing, "description": missing}, "2": {"title": "Big"},
             "3": {"title": "Up", "description": ["a", missing, "b"]}}  # fmt: skip
    catalog = load_catalog(write(tmp_path, metas=metas))
    assert catalog.titles == ["Heat", "Big", "Up"]
    assert [item.description for item in catalog.items] == ["", "", "a b"]


def test_of_two_files_of_one_part_the_first_is_read_and_the_other_named(tmp_path, caplog):
    write(tmp_path)
    with caplog.at_level(logging.WARNING):
        (tmp_path / "meta.pickle").write_bytes(pickle.dumps({int(key): value for key, value in METAS.items()}))
        assert load_catalog(tmp_path).titles == ["Heat", "Big (1)", "Up"] and not caplog.messages
        (tmp_path / "metas.pickle").write_bytes(pickle.dumps({"1": {"title": "Other"}}))
        (tmp_path / "category.json").write_text("no JSON")
        assert load_catalog(tmp_path).titles == ["Heat", "Big (1)", "Up"]
    assert [line.split(", which")[0] for line in caplog.messages] == [
        "metas.jsonl is read, and metas.pickle", "category.jsonl is read, and category.json"]  # fmt: skip


def test_a_folder_has_the_name_by_which_it_is_called(tmp_path):
    write(tmp_path / "v 2.0")
    (tmp_path / "mine").symlink_to("v 2.0")
    assert load_catalog(f"{tmp_path}/mine/").name == "mine"
    assert load_catalog(f"{tmp_path}/mine/../v 2.0/.").name == "v 2.0"


BROKEN = [
    ({"sequential": {"1": ["1"], 1: ["2"]}}, r"sequential.pickle: user '1' is there twice"),
    ({"category": {"1": ["1"], 1: ["2"]}}, r"category.pickle: category '1' is there twice"),
    ({"metas": {"1": {"title": "a"}, 1: {"title": "b"}}}, r"metas.pickle: item '1' is there twice"),
    ({"sequential": {"u": {"1", "2"}}}, r"sequential.pickle: user 'u' holds the set .*, wanted a list of item ids"),
    ({"category": {"Drama": [10**5000]}}, r"category.pickle: category 'Drama' has the id the number of very many"),
    ({"sequential": {" ": ["1"]}}, r"a user has the id the text ' '"),
    (
        {"category": {"Drama": "012"}},
        r"category.jsonl: category 'Drama' holds the text '012', wanted a list of item ids",
    ),
    ({"category": {"Drama": 3}}, r"category 'Drama' holds the number 3"),
    ({"category": {"Drama": None}}, r"category 'Drama' holds the value None"),
    ({"category": {"Film": {"Drama": ["1"]}}}, r"'Film' holds the object .*categories inside categories"),
    (
        {"category": {"Drama": [["1"]]}},
        r"category 'Drama' has the id the list \['1'\], wanted a text or a whole number",
    ),
    ({"category": {"Drama": [True]}}, r"category 'Drama' has the id the value True|has the id the bool True"),
    ({"category": {"Drama": [1.0]}}, r"has the id the number 1.0"),
    ({"category": ["1"]}, r"category.jsonl holds a JSON list"),
    ({"sequential": {"u": "0123"}}, r"sequential.jsonl: user 'u' holds the text '0123', wanted a list of item ids"),
    ({"sequential": {"u": 5}}, r"sequential.jsonl: user 'u' holds the number 5"),
    ({"sequential": {"u": {"1": 2}}}, r"sequential.jsonl: user 'u' holds the object"),
    ({"sequential": {"u": ["1", None]}}, r"user 'u' has the id the value None"),
    ({"sequential": {"u": ["1", ""]}}, r"user 'u' has the id the text ''"),
    ({"sequential": {"u": ["1", "99"]}}, r"sequential.jsonl: user 'u': item '99' is not in the catalog"),
    ({"metas": {"1": "Heat"}}, r"metas.jsonl: item '1' holds the text 'Heat', wanted an object with a 'title'"),
    ({"metas": {"1": {"title": 3}}}, r"metas.jsonl: item '1' has no text under 'title_t' or 'title'"),
    ({"metas": {"1": {"name": "x"}}}, r"metas.jsonl: item '1' has no text"),
    ({"metas": [1]}, r"metas.jsonl holds a JSON list"),
]


@pytest.mark.parametrize(("files", "message"), BROKEN)
def test_what_has_another_shape_is_one_line_in_the_library_and_in_the_teachers_stage(tmp_path, capsys, files, message):
    write(tmp_path, **files, suffix=".pickle" if "pickle" in message else ".jsonl")
    with pytest.raises(ValueError, match=message) as error:
        load_catalog(tmp_path)
    assert "\n" not in str(error.value)
    assert (
        transform_main(
            [
                "--data_path",
                str(tmp_path),
                "--unirec_data_path",
                str(tmp_path / "u"),
                "--unirec_config_path",
                str(tmp_path / "x.yaml"),
            ]
        )
        == 2
    )
    assert capsys.readouterr().err == f"error: {error.value}\n"
    assert not list(tmp_path.glob("u/*.pkl"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"1": {"title": "A"}, "1": {"title": "B"}}', "the key '1' is in one object twice"),
        ('{"1": {"title": "A"', "is not one JSON object"),
        ("", "is not one JSON object"),
        ('{"1": {"title": "A"}}\n{"2": {"title": "B"}}', "is not one JSON object .after one value there is more"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_json_object_is_told(tmp_path, text, message):
    (write(tmp_path) / "metas.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_dataset(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_with_a_byte_order_mark_are_read(tmp_path, encoding):
    metas = {**METAS, "4": {"title": "Misérables, Les"}}
    (write(tmp_path) / "metas.jsonl").write_text(json.dumps(metas, ensure_ascii=False), encoding=encoding)
    assert load_catalog(tmp_path).titles[3] == "Misérables, Les"
    (tmp_path / "metas.jsonl").write_text(json.dumps(metas, ensure_ascii=False), encoding="latin-1")
    with pytest.raises(ValueError, match="metas.jsonl .*UTF-8"):
        load_catalog(tmp_path)


def test_what_is_left_out_is_counted_and_said(tmp_path, caplog):
    write(tmp_path, category={"Drama": ["1", "98", "99"], "War": ["99", "3", "3"]})
    with caplog.at_level(logging.WARNING):
        catalog = load_catalog(tmp_path)
    assert {name: sorted(items) for name, items in catalog.categories.items()} == {"Drama": [0], "War": [2]}
    assert catalog.items[2].categories == ("War",)
    assert caplog.messages == [
        "category.jsonl: 2 items are not in metas.jsonl and are left out, such as '98' of category 'Drama'"
    ]


def test_a_folder_that_preprocessing_left_half_written_is_refused_by_every_stage(tmp_path, capsys):
    (write(tmp_path) / UNFINISHED).touch()
    with pytest.raises(ValueError, match="did not finish"):
        load_catalog(tmp_path)
    assert transform_main(["--data_path", str(tmp_path), "--unirec_data_path", str(tmp_path / "u")]) == 2
    assert "did not finish" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path):
    (write(tmp_path) / "category.jsonl").unlink()
    with pytest.raises(ValueError, match="has no category.jsonl"):
        load_catalog(tmp_path)
    with pytest.raises(ValueError, match="'nowhere' does not exist"):
        load_catalog("nowhere")


def test_the_published_form_with_a_begin_of_text_token_in_every_title_is_read(tmp_path, caplog):
    metas = {i: {**meta, "title_t": f"<|begin_of_text|>{meta['title']}"} for i, meta in METAS.items()}
    write(tmp_path, metas=metas)
    assert load_catalog(tmp_path).titles == ["Heat", "Big", "Up"]
    assert "all begin with <|begin_of_text|>" in caplog.text
    metas["1"] = {"title": "<3", "title_t": "<3"}
    write(tmp_path, metas=metas)
    assert load_catalog(tmp_path).titles[:2] == ["<3", "<|begin_of_text|>Big"]


def test_half_a_character_in_a_title_is_replaced_and_one_without_a_mark_is_refused(tmp_path):
    (write(tmp_path) / "metas.jsonl").write_text(
        '{"1": {"title": "A\\ud83d"}, "2": {"title": "B"}, "3": {"title": "C"}}'
    )
    assert load_catalog(tmp_path).titles[0] == "A\ufffd"
    for title in ("", " ", "\u200b", "\u2060\u00ad"):
        write(tmp_path, metas={**METAS, "1": {"title": title}})
        with pytest.raises(ValueError, match="item '1' .* empty title"):
            load_catalog(tmp_path)


@pytest.mark.parametrize("umask,rights", [("027", 0o640)])
def test_the_teachers_files_have_the_rights_of_the_umask(tmp_path, umask, rights):
    folder = write(tmp_path / "mine", sequential={f"u{n}": ["1", "2", "3", "1", "2"] for n in range(5)})
    lines = (
        f"umask {umask}; set -e; '{sys.executable}' preprocess/transform2unirec.py --data_path {folder} "
        f"--unirec_data_path {tmp_path / 'data'} --unirec_config_path {tmp_path / 'x.yaml'}; "
        f"'{sys.executable}' unirec/train.py --dataset mine --data_path {tmp_path / 'data'} "
        f"--output_path {tmp_path / 'out'} --epochs 1 --device cpu"
    )
    done = subprocess.run(["bash", "-c", lines], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder]
    assert {"SASRec.pth", "run.json", "done.json", "map.pkl", "x.yaml"} <= {path.name for path in written}
    assert {path.stat().st_mode & 0o777 for path in written} == {rights}
