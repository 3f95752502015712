"""A dataset folder from anywhere becomes UniRec's files, which UniRec's own classes read."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import train
import transform2unirec
from unirec_files import read_unirec_data

from train_utils.files.plain_pickle import write_pickle
from train_utils.unirec_folder import stale_reason

METAS = {item: {"title": f"Title {item}", "title_t": f"Title {item}"} for item in "abcde"}
CATEGORIES = {"C": ["a", "b"], "D": ["e"]}
SEQUENCES = {"u": ["a", "b", "c", "d"], "v": ["e", "a", "b"], "w": ["c"]}
# UniRec's classes import `feather` for files of another kind; it is not installed, since its last release is of 2016.
READ_BY_UNIREC = """
import json, sys, types, yaml
sys.modules["feather"] = types.ModuleType("feather")
from unirec.data.dataset.seqrecdataset import SeqRecDataset
from unirec.utils.general import load_user_history
folder, config_path = sys.argv[1:]
config = yaml.safe_load(open(config_path))
name, form = config["user_history_filename"], config["user_history_file_format"]
history, _ = load_user_history(folder, name, config["n_users"], form)
read = {"history": [[] if items is None else items.tolist() for items in history]}
for part, protocol in (("train", None), ("valid", "one_vs_all"), ("test", "one_vs_all")):
    more = {"exp_name": "t", "data_loader_task": part, "use_features": 0, "time_seq": 0, "max_seq_len": 10,
            "data_format": config[f"{part}_file_format"], "eval_protocol": protocol}
    read[part] = SeqRecDataset(config | more, folder, part).dataset.tolist()
print(json.dumps(read))
"""


def write_json_lines(folder: Path) -> None:
    for name, content in (("metas", METAS), ("category", CATEGORIES), ("sequential", SEQUENCES)):
        (folder / f"{name}.jsonl").write_text(json.dumps(content))


def write_published(folder: Path) -> None:
    """Pickles, as the published copy has them, with ids that are numbers where they can be."""
    for name, content in (("meta", METAS), ("category", CATEGORIES), ("sequential", SEQUENCES)):
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(content))


def write_plain(folder: Path) -> None:
    for name, content in (("metas", METAS), ("category", CATEGORIES), ("sequential", SEQUENCES)):
        write_pickle(folder / f"{name}.pkl", content)


def transform(folder: Path, out: Path) -> int:
    return transform2unirec.main(
        ["--data_path", str(folder), "--unirec_data_path", str(out), "--unirec_config_path", str(out / "x.yaml")]
    )


@pytest.mark.parametrize("write", [write_json_lines, write_published, write_plain])
def test_a_folder_of_three_files_from_anywhere_is_transformed(tmp_path, write):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    assert transform(tmp_path / "data", tmp_path / "unirec") == 0
    (tmp_path / "other").mkdir()
    write_json_lines(tmp_path / "other")
    assert transform(tmp_path / "other", tmp_path / "expected") == 0
    for path in (tmp_path / "expected").iterdir():
        # The manifest has the digests of the files, which differ.
        assert path.name == "manifest.json" or (tmp_path / "unirec" / path.name).read_bytes() == path.read_bytes()


def test_unirec_s_own_classes_read_the_files(tmp_path):
    pytest.importorskip("unirec", reason="the UniRec library is optional")
    write_json_lines(tmp_path)
    assert transform(tmp_path, tmp_path / "unirec") == 0
    command = [sys.executable, "-c", READ_BY_UNIREC, str(tmp_path / "unirec"), str(tmp_path / "unirec/x.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "history": [[], [1, 2], [5], [3]],
        "train": [[1, 1], [1, 2], [2, 5], [3, 3]],
        "valid": [[1, 3], [2, 1]],
        "test": [[1, 4], [2, 2]],
    }


def test_a_folder_that_is_no_dataset_is_one_line(tmp_path, capsys):
    assert transform(tmp_path, tmp_path / "unirec") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and not (tmp_path / "unirec").exists()


def test_without_other_paths_the_files_are_named_after_the_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    write_json_lines(tmp_path / "films")
    assert transform2unirec.main(["--data_path", "films/"]) == 0
    assert (tmp_path / "unirec/data/films/train.pkl").exists() and (
        tmp_path / "unirec/config/dataset/films.yaml"
    ).exists()
    assert [path.name for path in (tmp_path / "unirec/data").iterdir()] == ["films"]


def test_files_that_another_process_writes_are_not_written(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    write_json_lines(tmp_path / "data")
    assert transform(tmp_path / "data", tmp_path / "unirec") == 0
    with transform2unirec.writing_unirec(tmp_path / "unirec", tmp_path / "unirec/x.yaml"):
        assert transform(tmp_path / "data", tmp_path / "unirec") == 2
        error = capsys.readouterr().err
        with pytest.raises(ValueError, match="did not finish"):
            read_unirec_data(tmp_path / "unirec")
    assert error.count("\n") == 1 and "is being written by another process" in error and "--unirec_data_path" in error
    assert transform(tmp_path / "data", tmp_path / "unirec") == 0


@pytest.mark.parametrize("name", ["sequential.jsonl", "category.jsonl", "test_users.json"])
def test_training_on_the_files_of_another_dataset_is_one_line_that_says_what_to_run(
    tmp_path, monkeypatch, capsys, name
):
    monkeypatch.setattr(train, "HERE", tmp_path / "unirec")
    monkeypatch.setattr(train, "DATASETS", tmp_path / "dataset")
    dataset, made = tmp_path / "dataset/x", tmp_path / "unirec/data/x"
    dataset.mkdir(parents=True)
    write_json_lines(dataset)
    changed = {
        "sequential.jsonl": SEQUENCES | {"w": ["c", "a", "b"]},
        "category.jsonl": CATEGORIES | {"E": ["c"]},
        "test_users.json": {"last_training_second": 5, "users": ["u"]},
    }
    (tmp_path / "before").mkdir()
    write_json_lines(tmp_path / "before")
    assert transform(tmp_path / "before", made) == 0
    assert not stale_reason(made, dataset) and not stale_reason(made, tmp_path / "nowhere")
    (dataset / "metas.jsonl").write_text(json.dumps(METAS | {"a": {"title": "Another title"}}))
    assert not stale_reason(made, dataset)  # titles have no part in the files
    (dataset / name).write_text(json.dumps(changed[name]))
    assert train.main(["--dataset", "x", "--epochs", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"({name})" in error
    assert f"transform2unirec.py --data_path {dataset} --unirec_data_path {made}" in error
    assert transform(dataset, made) == 0 and not stale_reason(made, dataset)
    (made / "manifest.json").unlink()  # as in the published copy
    (dataset / name).write_text("{}")
    assert not stale_reason(made, dataset)


@pytest.mark.parametrize("content", ["[]", '{"dataset": 5}', "{}"])
def test_a_manifest_of_another_shape_is_no_manifest_of_the_dataset(tmp_path, content):
    write_json_lines(tmp_path)
    assert transform(tmp_path, tmp_path / "unirec") == 0
    (tmp_path / "unirec/manifest.json").write_text(content)
    assert "category.jsonl, sequential.jsonl" in stale_reason(tmp_path / "unirec", tmp_path)
