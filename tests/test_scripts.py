"""The shell scripts of the stages: which names of datasets they take, and when the teacher's files are made again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = ("train", "valid", "test", "user_history", "map")


@pytest.fixture
def world(tmp_path) -> Path:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


def run(world: Path, *command: str, status: int = 0) -> subprocess.CompletedProcess:
    """A script whose Python writes its arguments instead of running them."""
    done = subprocess.run(["bash", *command], cwd=world, env=os.environ | {"PYTHON": "echo"}, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


def made(world: Path, name: str) -> None:
    """The files of a dataset, and the teacher's after them."""
    for path in (f"data/dataset/{name}/metas.jsonl", *(f"unirec/data/{name}/{stem}.pkl" for stem in FILES),
                 f"unirec/data/{name}/category.jsonl"):  # fmt: skip
        (world / path).parent.mkdir(parents=True, exist_ok=True)
        (world / path).touch()
    os.utime(world / f"data/dataset/{name}/metas.jsonl", (1, 1))


@pytest.mark.parametrize("given", ["mine", "mine/", "my films", "ml-1m.v2", "_x", "Фильмы", "7"])
def test_a_folders_name_is_the_name_of_a_dataset_for_every_script(world, given):
    made(world, name := given.removesuffix("/"))
    assert run(world, "scripts/unirec_train.sh", given, "--epochs", "1").stdout.endswith(f"{name} --epochs 1\n")
    assert f"--dataset {name},b --port 1 " in run(world, "scripts/unirec_serve.sh", f"{given},b", "1").stdout
    for script in ("train_RecLM_cgen.sh", "run_SFT_merge.sh"):
        told = run(world, f"scripts/{script}", given).stdout
        assert f"data/dataset/{name}/" in told and f"--output snap/{name}/cgen " in f"{told} "


@pytest.mark.parametrize("given", ["", "..", ".", "a/b", "-x", "--output", "a\nb", "/"])
def test_what_is_no_folders_name_is_one_line_and_status_2(world, given):
    for script, more in (("unirec_train.sh", []), ("unirec_serve.sh", ["1"]), ("train_RecLM_cgen.sh", [])):
        error = run(world, f"scripts/{script}", given, *more, status=2).stderr
        assert error.startswith("error: usage: scripts/") and error.count("\n") == 1
    for given in ("a,", ",a", "a,,b"):
        assert run(world, "scripts/unirec_serve.sh", given, "1", status=2).stderr.startswith("error: usage")


@pytest.mark.parametrize("change", ["metas.jsonl", "category.pickle", "test_users.json"])
def test_the_teachers_files_are_made_again_where_the_dataset_has_changed(world, change):
    made(world, "mine")
    assert "transform2unirec" not in run(world, "scripts/unirec_train.sh", "mine").stdout
    (world / "data/dataset/mine" / change).touch()
    os.utime(world / "unirec/data/mine/map.pkl", (2, 2))
    done = run(world, "scripts/unirec_train.sh", "mine")
    assert "transform2unirec.py --data_path data/dataset/mine/" in done.stdout
    assert done.stderr == f"note: data/dataset/mine/{change} is newer than unirec/data/mine, which is made again\n"


def test_the_teachers_files_of_a_killed_stage_are_made_again_and_ones_without_a_dataset_are_taken(world):
    made(world, "mine")
    (world / "unirec/data/mine/category.jsonl").unlink()
    assert "transform2unirec" in run(world, "scripts/unirec_train.sh", "mine").stdout
    made(world, "mine")
    shutil.rmtree(world / "data")
    assert "transform2unirec" not in run(world, "scripts/unirec_train.sh", "mine").stdout
