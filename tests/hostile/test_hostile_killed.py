"""What a killed process leaves is deleted by the next run of the same stage; what a live one writes never is."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import stage
from fetch_defaults import scratch_folder
from fuzz_own_files import MADE_FROM, USERS, Alone, resume

from train_utils.constraint.trie import build_trie
from train_utils.constraint.trie_cache import save_trie
from train_utils.evaluation.partial_results import delete_partials
from train_utils.evaluation.result_reader import is_user_record
from train_utils.files.atomic import exclusively, replacing, replacing_folder, write_json, write_text

FORK = multiprocessing.get_context("fork")


def killed(work: Callable[[], object], at: str, folder: Path) -> None:
    """Run `work` in a process that dies by SIGKILL right before a file operation (an audit event) below a folder."""

    def auditor(event: str, arguments: tuple) -> None:
        if event == at and any(str(folder) in str(argument) for argument in arguments):
            os.kill(os.getpid(), signal.SIGKILL)

    def run() -> None:
        sys.addaudithook(auditor)
        work()

    process = FORK.Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def make_folder(folder: Path) -> None:
    with replacing_folder(folder) as to:
        (to / "a").write_text("new")
        write_text(to / "b", "new")


def scratch(folder: Path) -> None:
    with scratch_folder(folder) as made:
        (made / "a").write_text("x")
        os.replace(made / "a", folder.with_name("b"))


WRITERS = {
    "a file": (lambda folder: write_json(folder / "x.json", [1]), "os.rename"),
    "a file, halfway": (lambda folder: write_json(folder / "x.json", [1]), "os.chmod"),
    "a folder": (lambda folder: make_folder(folder / "run"), "os.rename"),
    "a trie cache": (lambda folder: save_trie(build_trie([[5, 6]], 0, 1), folder, "key"), "os.rename"),
    "a stage record": (lambda folder: stage._write_json(folder / "a.json", {}), "os.rename"),
    "a scratch folder": (lambda folder: scratch(folder / "scratch"), "os.rename"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_next_writer_deletes_what_a_killed_one_left(tmp_path, name):
    write, at = WRITERS[name]
    write(tmp_path)
    expected = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for _ in range(3):
        killed(lambda: write(tmp_path), at, tmp_path)
    left = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} - set(expected)
    assert left, "the kill left something"
    write(tmp_path)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == expected


def test_other_hidden_files_of_the_folder_stay(tmp_path):
    names = [".x.json.backup_1", ".x.json.swp", ".x.jsonl.abcdefgh.tmp", ".y.json.abcdefgh.tmp", "x.json.abcdefgh.tmp"]
    for name in names:
        (tmp_path / name).touch()
    write_json(tmp_path / "x.json", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", *names}


@pytest.mark.parametrize("writing", [replacing, replacing_folder], ids=["file", "folder"])
def test_what_a_live_process_writes_stays_until_it_is_dead(tmp_path, writing):
    begun, go_on = FORK.Event(), FORK.Event()

    def write_slowly() -> None:
        with writing(tmp_path / "x") as temporary:
            begun.set()
            go_on.wait()
            (temporary / "a" if temporary.is_dir() else temporary).write_text("slow")

    def temporary_names() -> list[str]:
        return [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]

    first = FORK.Process(target=write_slowly)
    first.start()
    begun.wait()
    (name,) = temporary_names()
    with writing(tmp_path / "x") as temporary:  # at the same time, in this process
        (temporary / "a" if temporary.is_dir() else temporary).write_text("quick")
    assert temporary_names() == [name], "the one of the live process"
    go_on.set()
    first.join()
    assert first.exitcode == 0 and temporary_names() == []
    text = tmp_path / "x" / "a" if (tmp_path / "x").is_dir() else tmp_path / "x"
    assert text.read_text() == "slow"

    begun.clear(), go_on.clear()
    second = FORK.Process(target=write_slowly)
    second.start()
    begun.wait()
    second.kill()
    second.join()
    assert len(temporary_names()) == 1
    with writing(tmp_path / "x"):
        assert len(temporary_names()) == 1, "the own one"
    assert temporary_names() == []


def test_a_scratch_folder_of_a_live_process_is_not_cleared(tmp_path):
    begun, go_on = FORK.Event(), FORK.Event()

    def hold() -> None:
        with scratch_folder(tmp_path / "scratch") as folder:
            (folder / "half").touch()
            begun.set()
            go_on.wait()

    process = FORK.Process(target=hold)
    process.start()
    begun.wait()
    with pytest.raises(ValueError, match="another process"), scratch_folder(tmp_path / "scratch"):
        pass
    assert (tmp_path / "scratch" / "half").exists()
    process.kill()
    process.join()
    with scratch_folder(tmp_path / "scratch") as folder:
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_test_leaves_nothing_once_it_has_been_run_again(tmp_path):
    def test() -> None:
        with exclusively(tmp_path / "r.json"):
            records, _ = resume(tmp_path)
            write_json(tmp_path / "r.json", list(records))
            delete_partials(tmp_path / "r.json", Alone())

    for at in ("os.rename", "os.chmod", "os.remove"):
        killed(test, at, tmp_path)
    assert len(list(tmp_path.iterdir())) > 1
    test()
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_partial_results_of_a_link_are_those_of_its_target(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "r.json").symlink_to(tmp_path / "r.json")
    resume(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["r.json"]
    assert (tmp_path / "r.json.partial.0").exists()


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[1]", b"1", b"\0" * 99, b"[" * 99_999, b'{"user": "u9"}', b'{"user": 3}', b'{"seconds": 1e999}', b"\xff"],
)
def test_partial_results_end_before_a_line_that_is_no_record(tmp_path, line):
    resume(tmp_path)
    path = tmp_path / "r.json.partial.0"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:3], line, *lines[3:]]) + b"\n")
    records, seconds = resume(tmp_path)
    assert records.keys() == {user["user"] for user in USERS} and all(map(is_user_record, records.values()))
    assert np.isfinite(seconds) and MADE_FROM["commit"] in path.read_text()
