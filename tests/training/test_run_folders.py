"""Folders of runs, adapters and merged models: found from anywhere; writing one loses nothing of the user's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_tokenizer
from trained_models import CPU, backbone_at, logits, trained

from train_utils.files import atomic
from train_utils.files.atomic import replacing_folder
from train_utils.models.adapters import save_adapter
from train_utils.models.merge import newest_adapter, run_merge
from train_utils.models.trained import backbone_of, load_trained
from train_utils.options import parse
from train_utils.param.training import TrainOptions
from train_utils.training.run_folder import claim

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trie(tmp_path, monkeypatch):
    """A tree with a base model and an adapter that names it by a relative path, and the adapted model's logits."""
    root = tmp_path / "tree"
    (root / "snap").mkdir(parents=True)
    monkeypatch.chdir(root)
    model, chat = trained(backbone_at(Path("snap/base/tiny")), "lora")
    save_adapter(model, chat.tokenizer, "snap/run/Epoch03_SFT", {"config": {}})
    monkeypatch.chdir(tmp_path)
    return root, chat, logits(model, chat)


def same(name, chat, expected, backbone="") -> bool:
    model = load_trained(str(name), CPU, "float32", backbone=backbone)[1]
    return torch.allclose(logits(model, chat), expected, atol=1e-3)


def test_an_adapter_finds_its_base_from_any_working_directory_and_behind_a_link(trie, monkeypatch):
    root, chat, expected = trie
    assert same(root / "snap/run/Epoch03_SFT", chat, expected)
    (root.parent / "linked").symlink_to(root / "snap/run")
    assert same("linked/Epoch03_SFT", chat, expected)
    monkeypatch.chdir(root / "snap/run/Epoch03_SFT")
    assert same(".", chat, expected)


def test_a_tree_that_was_moved_is_searched_for_a_base_that_was_named_by_an_absolute_path(trie):
    root, chat, expected = trie
    path = root / "snap/run/Epoch03_SFT/adapter_config.json"
    path.write_text(path.read_text().replace('"snap/base/tiny"', json.dumps(str(root / "snap/base/tiny"))))
    assert backbone_of(path.parent) == str(root / "snap/base/tiny")
    root.rename(root.parent / "moved")
    assert same(root.parent / "moved/snap/run/Epoch03_SFT", chat, expected)


def test_an_empty_folder_of_the_name_is_passed_over_for_the_base_above_it(trie):
    root, chat, expected = trie
    (root / "snap/run/snap/base/tiny").mkdir(parents=True)
    assert same(root / "snap/run/Epoch03_SFT", chat, expected)


def test_a_base_that_is_missing_is_named_with_its_adapter_and_can_be_given(trie):
    root, chat, expected = trie
    adapter = root / "snap/run/Epoch03_SFT"
    (root / "snap/base/tiny").rename(root / "elsewhere")
    with pytest.raises(ValueError, match=r"base model 'snap/base/tiny' of the adapter '.*Epoch03_SFT'.*`backbone`"):
        load_trained(str(adapter), CPU, "float32")
    with pytest.raises(ValueError, match=r"the base model of the adapter '.*Epoch03_SFT': model 'no/such/place'"):
        load_trained(str(adapter), CPU, "float32", backbone="no/such/place")
    assert same(adapter, chat, expected, str(root / "elsewhere"))
    options = parse(
        TrainOptions,
        ["--train_stage", "SFT_Merge", "--output", str(root / "snap/run"), "--backbone", str(root / "elsewhere")],
    )
    assert same(run_merge(options), chat, expected)


def test_a_backbone_that_is_given_its_default_overrides_that_of_the_adapter(trie, monkeypatch):
    root, chat, expected = trie
    (root / "snap/base/tiny").rename(root / TrainOptions.backbone)
    monkeypatch.chdir(root)
    line = ["--train_stage", "SFT_Merge", "--output", "snap/run"]
    with pytest.raises(ValueError, match="of the adapter"):
        run_merge(parse(TrainOptions, line))
    assert same(run_merge(parse(TrainOptions, [*line, "--backbone", TrainOptions.backbone])), chat, expected)


def test_a_whole_model_is_merged_from_any_working_directory(tmp_path, monkeypatch):
    (tmp_path / "tree/snap").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "tree")
    model, chat = trained(backbone_at(Path("snap/base/tiny"), dtype=torch.bfloat16), "full")
    save_adapter(model, chat.tokenizer, "snap/run/Epoch01_SFT", {"config": {"backbone": "snap/base/tiny"}})
    monkeypatch.chdir(tmp_path)
    merged = run_merge(parse(TrainOptions, ["--train_stage", "SFT_Merge", "--output", "tree/snap/run"]))
    assert json.loads((merged / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["Epoch20_SFT", "Epoch99_SFT", "Epoch100_SFT"], "Epoch100_SFT"),
        (["Epoch09_SFT", "Epoch10_SFT"], "Epoch10_SFT"),
        (["Epoch9_SFT", "Epoch10_SFT"], "Epoch10_SFT"),
        (["Epoch03_SFT", "best"], "best"),
    ],
)
def test_the_newest_adapter_has_the_highest_epoch(tmp_path, names, newest):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "Epoch500_SFT").mkdir()  # one that is not finished
    assert newest_adapter(tmp_path).name == newest


def test_an_adapter_that_is_named_has_to_exist(tmp_path):
    with pytest.raises(ValueError, match="`SFT_load` 'no/such' does not exist"):
        run_merge(TrainOptions(SFT_load="no/such", output=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "merged"),
    [("Epoch03_SFT", "SFT_Epoch3"), ("v2-Epoch12_SFT", "SFT_Epoch12"), ("mine", "SFT_best"), ("7", "SFT_Epoch7")],
)
def test_a_merged_folder_is_named_after_its_epoch(trie, monkeypatch, name, merged):
    root, *_ = trie
    (root / "snap/run/Epoch03_SFT").rename(root / "snap/run" / name)
    monkeypatch.chdir(root / "snap/run" / name)
    assert run_merge(TrainOptions(SFT_load=".")) == root / "snap/run" / merged


def test_what_is_no_model_stays_in_a_merged_folder_and_what_is_not_ours_is_refused(trie):
    root, chat, expected = trie
    adapter = root / "snap/run/Epoch03_SFT"

    def merge(output):
        return run_merge(TrainOptions(SFT_load=str(adapter), merge_output=str(output)))

    (root / "out/notes").mkdir(parents=True)
    (root / "out/notes/a.txt").write_text("mine")
    merge(root / "out")
    (root / "out/result.json").write_text("{}")
    (root / "out/model-00009-of-00009.safetensors").write_text("of an older merge")
    assert same(merge(root / "out"), chat, expected)
    assert (root / "out/notes/a.txt").read_text() == "mine" and (root / "out/result.json").exists()
    assert not (root / "out/model-00009-of-00009.safetensors").exists()
    for output, content in (
        (adapter, "adapter"),
        (root / "snap/base/tiny", "backbone"),
        (root / "snap/run", "adapter"),
        (root, "adapter"),
    ):
        with pytest.raises(ValueError, match=f"holds the {content}"):
            merge(output)
    shutil.copytree(root / "snap/base/tiny", root / "theirs")
    with pytest.raises(ValueError, match="which this command did not write"):
        merge(root / "theirs")
    (root / "file").write_text("mine")
    with pytest.raises(ValueError, match="is a file, wanted a folder"):
        merge(root / "file")
    assert (root / "file").read_text() == "mine" and same(adapter, chat, expected)


def test_a_folder_behind_a_link_is_replaced_there_and_the_link_stays(tmp_path):
    (tmp_path / "disk/far").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "disk/far")
    with replacing_folder(tmp_path / "near") as to:
        (to / "x").write_text("new")
    assert (tmp_path / "near").is_symlink() and (tmp_path / "disk/far/x").read_text() == "new"


def test_the_temporary_folder_of_another_writer_is_left_alone(tmp_path):
    with replacing_folder(tmp_path / "run.v2") as other:
        (other / "x").write_text("x")
        with replacing_folder(tmp_path / "run"):
            pass
        assert (other / "x").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.v2"]


KILLED = """
import os, signal, sys
from train_utils.files import atomic
if {plainly}: atomic._exchange = lambda one, other: False
left = [{operations}]
def auditor(event, arguments):
    if event.startswith(("os.", "shutil.", "ctypes.call")):
        left[0] -= 1
        if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)
with atomic.replacing_folder("f") as to:
    (to / "x").write_text("new")
    sys.addaudithook(auditor)
"""


@pytest.mark.parametrize("plainly", [False, True], ids=["one step", "two renames"])
def test_a_replacement_that_is_killed_anywhere_leaves_the_old_folder_or_the_new_one(tmp_path, plainly):
    for operations in range(1, 40):
        shutil.rmtree(tmp_path, ignore_errors=True)
        (tmp_path / "f").mkdir(parents=True)
        (tmp_path / "f/x").write_text("old")
        code = KILLED.format(plainly=plainly, operations=operations)
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
        atomic._tidy(tmp_path / "f")
        assert (tmp_path / "f/x").read_text() in ("old", "new")
        assert [path.name for path in tmp_path.iterdir()] == ["f"]
        if done.returncode == 0:
            break
    assert done.returncode == 0 and operations > 3


def claimed(run: Path, overwrite: bool = False, **config) -> None:
    claim(run, {"config": {"max_token_length": 100, "early_stop": 2, "lr": 1.0} | config, "inputs": {}}, overwrite)


def test_a_run_that_goes_on_may_loosen_its_limits_and_nothing_else(tmp_path):
    claimed(tmp_path / "run")
    (tmp_path / "run/checkpoints/step-1").mkdir(parents=True)
    for loosened in (
        {"max_token_length": 200},
        {"max_token_length": 200, "early_stop": 3},
        {"max_token_length": 200, "early_stop": 0},
        {"max_token_length": 200, "early_stop": 0, "save_seconds": 3, "gpu": "cpu"},
    ):
        claimed(tmp_path / "run", **loosened)
    for other in (
        {"max_token_length": 199},
        {"max_token_length": 200, "early_stop": 9},
        {"max_token_length": 300, "early_stop": 0, "lr": 2.0},
    ):
        with pytest.raises(ValueError, match="holds a run with other"):
            claimed(tmp_path / "run", **{"early_stop": 0} | other)
    (tmp_path / "run/Epoch03_SFT").mkdir()
    (tmp_path / "run/Epoch03_SFT/manifest.json").write_text("{}")
    claimed(tmp_path / "run", max_token_length=200, early_stop=0)
    with pytest.raises(ValueError, match="holds a finished run with other max_token_length"):
        claimed(tmp_path / "run", max_token_length=300, early_stop=0)


def test_overwriting_a_run_deletes_what_a_run_writes_and_nothing_of_the_users(tmp_path):
    claimed(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    claimed(tmp_path, lr=2.0)  # it never began: nothing is lost, and nothing of the user's
    for name in ("checkpoints/step-1", "Epoch03_SFT", "mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_text("x")
    with pytest.raises(ValueError, match="holds a run with other lr"):
        claimed(tmp_path, lr=3.0)
    claimed(tmp_path, overwrite=True, lr=3.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "mine", "notes.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", ['{"model_type": "llama"}', "[]", "{", '{"config": 3, "inputs": {}}'])
def test_a_folder_of_a_model_is_no_run_and_stays(tmp_path, content, overwrite):
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(content)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match="give another `output`"):
        claimed(tmp_path, overwrite=overwrite)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
