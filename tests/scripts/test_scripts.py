"""The shell scripts of the stages: which names of datasets they take, and when the teacher's files are made again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
        output = run(world, f"scripts/{script}", given).stdout
        assert f"data/dataset/{name}/" in output and f"--output snap/{name}/cgen" in output


@pytest.mark.parametrize("given", ["", "..", ".", "a/b", "-x", "--output", "a\nb", "/"])
def test_what_is_no_folders_name_is_one_line_and_status_2(world, given):
    for script, more in (
        ("unirec_train.sh", []),
        ("unirec_serve.sh", ["1"]),
        ("train_RecLM_cgen.sh", []),
        ("study.sh", []),
    ):
        error = run(world, f"scripts/{script}", given, *more, status=2).stderr
        assert error.startswith("error: usage: scripts/") and error.count("\n") == 1
    for given in ("a,", ",a", "a,,b"):
        assert run(world, "scripts/unirec_serve.sh", given, "1", status=2).stderr.startswith("error: usage")


def test_a_study_trains_and_tests_every_combination(world, monkeypatch):
    for name, value in {"FORMS": "token title_t", "EPOCHS": "0.5 12", "SEEDS": "0 3", "HISTORIES": "10 50"}.items():
        monkeypatch.setenv(name, value)
    lines = run(world, "scripts/study.sh", "mine", "--lr", "1e-4").stdout.splitlines()
    stages = [line.split()[1] for line in lines if line.startswith("scripts/stage.py")]
    runs = [f"{form}-e{n}-s{seed}" for seed in "03" for n in (0.5, 12) for form in ("token", "title_t")]
    baselines = [f"test-{name}-h{shown}" for shown in (10, 50) for name in ("sasrec", "popularity")]
    assert stages == baselines + [
        stage for run in runs for stage in (f"train-{run}", f"test-{run}-h10", f"test-{run}-h50")
    ]
    longest = next(line for line in lines if " train-token-e12-s3 " in line)
    assert "snap/mine/study/token-e12-s3/Epoch12_SFT" in longest and longest.endswith("--epoch 12 --seed 3 --lr 1e-4")
    part = next(line for line in lines if " train-token-e0.5-s3 " in line)
    assert "snap/mine/study/token-e0.5-s3/Epoch01_SFT" in part and part.endswith("--epoch 0.5 --seed 3 --lr 1e-4")
    assert lines[-1] == "-m train_utils.report.study snap/mine/study"


@pytest.mark.parametrize("flag", ["--seed", "--item_index=token", "--output"])
def test_a_study_sets_its_own_flags(world, flag):
    error = run(world, "scripts/study.sh", "mine", flag, "7", status=2).stderr
    assert (
        error == f"error: {flag} is set by the study itself; give SEEDS, EPOCHS, FORMS or BACKBONE, or leave it out\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("EPOCHS", "3 x"), ("EPOCHS", "0"), ("EPOCHS", "0.50"), ("SEEDS", "01"), ("HISTORIES", "-1"), ("FORMS", "a/b")],
)
def test_a_study_of_something_else_is_one_line(world, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    error = run(world, "scripts/study.sh", "mine", status=2).stderr
    assert error.startswith("error: ") and name in error and error.count("\n") == 1


@pytest.mark.parametrize("passes", ["0", "1 2", "0.5", "12", "x"])
def test_a_quickstart_of_no_number_of_passes_is_one_line(world, monkeypatch, passes):
    monkeypatch.setenv("EPOCHS", passes)
    error = run(world, "scripts/quickstart.sh", status=2).stderr
    assert error == f"error: EPOCHS is '{passes}', wanted the number of passes of the SFT, 1 to 9\n"


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


@pytest.mark.parametrize("wait", ["abc", "0", "-5", "1e3", "1.5", "inf", "x[$(touch made)]"])
def test_a_wait_for_the_teacher_that_would_not_end_is_refused(world, wait, monkeypatch):
    monkeypatch.setenv("TEACHER_WAIT", wait)
    error = run(world, "scripts/with_teacher.sh", "mine", "2068", "echo", "RAN", status=2).stderr
    assert error == f"error: TEACHER_WAIT is '{wait}', wanted whole seconds from 1 to 999999\n"
    assert not (world / "made").exists()


@pytest.mark.parametrize("port", ["abc", "0", "-1", "65536", "99999999999999999999", ""])
def test_a_port_that_is_none_is_refused_before_the_teacher_starts(world, port):
    done = run(world, "scripts/with_teacher.sh", "mine", port, "echo", "RAN", status=2)
    assert done.stderr == f"error: the port is '{port}', wanted a number from 1 to 65535\n" and not done.stdout
