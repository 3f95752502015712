"""The teacher's files: what has another shape is refused in one line that names file, key and value."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from sasrec_model import save_torch
from teacher_model import load_teacher
from teacher_world import TINY, write_ring
from train import main
from unirec_files import read_unirec_data


def with_ids(change):
    """A change of map.pkl: other item ids."""
    return lambda maps: maps | {"item2id": change(maps["item2id"])}


BROKEN = [
    ("map.pkl", lambda maps: maps | {"item2id": "012"}, "item2id is '012', wanted a dictionary"),
    ("map.pkl", lambda maps: maps | {"user2id": 5}, "user2id is 5, wanted a dictionary"),
    ("map.pkl", with_ids(lambda ids: ids | {"m101": "1"}), "item2id gives 'm101' the value '1', wanted an int"),
    ("map.pkl", with_ids(lambda ids: ids | {"m101": None}), "item2id gives 'm101' the value None"),
    ("map.pkl", with_ids(lambda ids: ids | {"m101": True}), "item2id gives 'm101' the value True"),
    ("map.pkl", with_ids(lambda ids: ids | {"m101": 1.0}), "item2id gives 'm101' the value 1.0"),
    ("map.pkl", with_ids(lambda ids: ids | {None: 31}), "item2id has the raw id None"),
    ("map.pkl", with_ids(lambda ids: ids | {"7": 31, 7: 32}), "item2id has the raw id '7' twice"),
    ("map.pkl", with_ids(lambda ids: ids | {"m101": 2}), "item ints must be 0..n-1"),
    ("map.pkl", lambda maps: maps | {"user2id": {"[PAD]": 0, "u1": 1}}, "user ints .* must be 1..1, .* got 1..40"),
    ("train.pkl", lambda table: table.assign(user_id=table["user_id"] - 1), "user ints .* got 0..40"),
    ("train.pkl", lambda table: table.assign(item_id="0123"), "must be integers"),
    ("train.pkl", lambda table: pd.concat([table, table], axis=1), "columns user_id and item_id, each once"),
    ("test.pkl", lambda table: "0123", "must be a DataFrame"),
    ("user_history.pkl", lambda table: 5, "columns user_id and item_seq"),
    ("user_history.pkl", lambda table: table.assign(item_seq="0123"), "item_seq of user 1 is '0123', wanted an array"),
    ("user_history.pkl", lambda table: table.assign(item_seq=5), "item_seq of user 1 is 5"),
    ("user_history.pkl", lambda table: table.assign(item_seq=[np.array([1.5])] * len(table)), "wanted an array of"),
    ("user_history.pkl", lambda table: table.assign(item_seq=[np.array([1, 99])] * len(table)), "has the items 1..99"),
]


@pytest.mark.parametrize(("name", "change", "message"), BROKEN)
def test_what_has_another_shape_in_the_teachers_files_is_one_line_of_training(tmp_path, capsys, name, change, message):
    folder = write_ring(tmp_path / "data")
    pd.to_pickle(change(pd.read_pickle(folder / name)), folder / name)
    with pytest.raises(ValueError, match=message) as error:
        read_unirec_data(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    assert main(["--dataset", "ring", "--data_path", str(folder), "--output_path", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"error: {error.value}\n"


def test_the_server_says_which_items_of_the_categories_it_leaves_out_and_refuses_other_ids(tmp_path, caplog):
    folder = write_ring(tmp_path / "data")
    arguments = ["--dataset", "ring", "--data_path", str(folder), "--output_path", str(tmp_path / "out")]
    assert main([*arguments, "--epochs", "1", *TINY]) == 0
    (path,) = tmp_path.glob("out/*/SASRec.pth")
    (folder / "category.jsonl").write_text('{"even": ["m102", "m999", "m998"]}')
    with caplog.at_level(logging.WARNING):
        teacher = load_teacher(path, folder, "cpu")
    assert teacher.catalog.members["even"].tolist() == [2]
    assert "2 items are not in map.pkl and are left out, such as 'm999' of category 'even'" in caplog.text
    content = torch.load(path, weights_only=True)
    content["raw_ids"][1:3] = reversed(content["raw_ids"][1:3])
    save_torch(path, content)
    with pytest.raises(ValueError, match="was trained on other item ids"):
        load_teacher(path, folder, "cpu")
