"""The log survives kills, rotates, stays within its folder's limit, and holds no name of a user."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from train_utils.constraint.item_rules import ItemRules
from train_utils.impression_files import numbered_files, read_records
from train_utils.serving import impressions
from train_utils.serving.impressions import (
    Impression,
    ImpressionLog,
    KnownLists,
    Placed,
    open_impressions,
    rules_digest,
)
from train_utils.serving.variants import Variants

ROOT = Path(__file__).resolve().parents[2]
PLENTY = 1 << 30


def impression(name: str, **changes: object) -> Impression:
    fields: dict[str, object] = {
        "recommendation_id": name, "kind": "list", "domain": "d", "catalogue_version": "c", "model": "m",
        "variant": None, "user": "p", "items": [Placed(item_id="i1", score=-1.5), Placed(item_id="é\n", score=-2.0)],
        "admissible": 3, "rules": "r", "history": ["h1", "h2"], "decoding": "rank",
    }  # fmt: skip
    return Impression(**fields | changes)


def records(folder: Path) -> list[dict]:
    return list(read_records([folder], Counter()))


def opened(folder: Path, **changes: object):
    return open_impressions(folder, **{"with_history": False, "most_bytes": PLENTY} | changes)


def test_a_record_has_positions_and_probabilities_and_no_history_unless_asked_for(tmp_path):
    drawn = [Placed(item_id="a", score=-1.0, log_probability=-0.5), Placed(item_id="b", score=-2.0, log_probability=-1)]
    with opened(tmp_path / "log") as log:
        log.add(impression("r1", items=drawn, explore=2.0, seed=4, candidates=9, greedy=["a", "c"]))
        log.add_feedback("r1", "b", "click", 2.5)
    made, feedback = records(tmp_path / "log")
    assert made["items"] == [
        {"item_id": "a", "position": 1, "score": -1.0, "log_probability": -0.5},
        {"item_id": "b", "position": 2, "score": -2.0, "log_probability": -1},
    ]
    assert made["log_probability"] == -1.5 and made["history_length"] == 2 and "history" not in made
    assert {"explore": 2.0, "seed": 4, "candidates": 9, "greedy": ["a", "c"]}.items() <= made.items()
    assert {"record": "feedback", "item_id": "b", "event": "click", "value": 2.5}.items() <= feedback.items()
    with opened(tmp_path / "log", with_history=True) as log:
        log.add(impression("r2"))
    assert records(tmp_path / "log")[-1]["history"] == ["h1", "h2"]


def test_only_the_owner_may_read_the_folder_and_its_files(tmp_path):
    with opened(tmp_path / "log") as log:
        log.add(impression("r1"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "log").iterdir()}
    assert modes == {"salt": 0o600, "impressions-000001.jsonl": 0o600}
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700


def test_pseudonyms_are_the_same_after_a_restart_and_others_in_another_folder(tmp_path):
    names = ["ann", "Ann", "é", "\ud800", "u" * 10_000]
    with opened(tmp_path / "a") as log:
        first = [log.pseudonym(name) for name in names]
    with opened(tmp_path / "a") as log:
        assert [log.pseudonym(name) for name in names] == first and log.pseudonym("") is None
    with opened(tmp_path / "b") as log:
        assert not {log.pseudonym(name) for name in names} & {*first}
    assert len({*first}) == len(names) and all(len(one) == 32 and "ann" not in one for one in first)


def test_files_rotate_by_size_and_are_read_in_order(tmp_path):
    (tmp_path / "log").mkdir()
    log = ImpressionLog(tmp_path / "log", b"s", with_history=False, most_bytes=PLENTY, file_bytes=2000)
    for number in range(300):
        log.add(impression(f"r{number}"))
    log.close()
    files = numbered_files(tmp_path / "log")
    assert len(files) > 1 and [*files] == [*range(1, len(files) + 1)]
    assert [record["recommendation_id"] for record in records(tmp_path / "log")] == [f"r{n}" for n in range(300)]
    assert log.written == 300 and log.dropped == 0


def test_a_folder_that_is_full_loses_records_and_counts_them(tmp_path, caplog):
    with opened(tmp_path / "log", most_bytes=2000) as log:
        for number in range(100):
            log.add(impression(f"r{number}"))
    assert log.written + log.dropped == 100 and log.dropped > 0
    assert sum(path.stat().st_size for path in numbered_files(tmp_path / "log").values()) <= 2000
    assert len(caplog.records) == 1 and "raise `impressions_mib`" in caplog.text
    with opened(tmp_path / "log", most_bytes=500) as log:
        log.add(impression("more"))
    assert log.dropped == 1, "what is there already counts"


def test_a_disk_that_fails_loses_records_and_the_log_goes_on(tmp_path, monkeypatch):
    def broken(file: int) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path / "log") as log:
        with monkeypatch.context() as full:
            full.setattr(impressions.os, "fdatasync", broken)
            log.add(impression("lost"))
            while not log.dropped:
                pass
        log.add(impression("kept", items=[Placed(item_id="i", score=float("-inf"))]))
    assert log.dropped == 1 and log.written == 1
    last = records(tmp_path / "log")[-1]
    assert last["recommendation_id"] == "kept" and last["items"][0]["score"] is None


def test_a_full_disk_leaves_no_file_and_no_part_of_a_record_for_each_failure(tmp_path, monkeypatch):
    write = os.write

    def full(file: int, content: memoryview) -> int:
        if len(content) < 100:
            raise OSError(28, "No space left on device")
        return write(file, content[: len(content) - 50])  # the rest no longer fits

    with opened(tmp_path / "log") as log:
        log.add(impression("before"))
        while not log.written:
            pass
        with monkeypatch.context() as disk:
            disk.setattr(impressions.os, "write", full)
            for number in range(1, 6):
                log.add(impression(f"lost{number}"))
                while log.dropped < number:
                    pass
        log.add(impression("after"))
    assert log.dropped == 5 and [*numbered_files(tmp_path / "log")] == [1]
    assert [record["recommendation_id"] for record in records(tmp_path / "log")] == ["before", "after"]


def written(log: ImpressionLog, name: str) -> None:
    """Add a record, and wait until it is written or lost."""
    before = log.written + log.dropped
    log.add(impression(name))
    while log.written + log.dropped == before:
        pass


def names_in(file: Path) -> list[str]:
    return [json.loads(line)["recommendation_id"] for line in file.read_text().splitlines()]


@pytest.mark.parametrize("rotate", [Path.unlink, lambda file: file.rename(file.with_name("archived"))])
def test_a_file_that_is_taken_away_while_it_is_written_is_followed_by_the_next_one(tmp_path, rotate):
    with opened(tmp_path / "log") as log:
        written(log, "before")
        rotate(tmp_path / "log" / "impressions-000001.jsonl")
        written(log, "after")
    assert [*numbered_files(tmp_path / "log")] == [2] and log.dropped == 0
    assert names_in(tmp_path / "log" / "impressions-000002.jsonl") == ["after"]


def test_a_file_that_is_copied_and_emptied_is_continued_without_zeros(tmp_path, monkeypatch):
    def broken(file: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "log" / "impressions-000001.jsonl"
    with opened(tmp_path / "log") as log:
        written(log, "before")
        os.truncate(file, 0)
        with monkeypatch.context() as full:
            full.setattr(os, "fdatasync", broken)
            written(log, "lost")
        assert file.read_bytes() == b""
        written(log, "after")
    assert names_in(file) == ["after"]


def test_a_folder_that_is_deleted_loses_what_follows_also_where_another_server_makes_it_again(tmp_path, caplog):
    folder = tmp_path / "log"
    with opened(folder) as log:
        written(log, "before")
        shutil.rmtree(folder)
        with opened(folder) as other:
            written(log, "lost")
            assert (log.written, log.dropped) == (1, 1) and "are lost" in caplog.text
            written(other, "kept")
    assert [record["recommendation_id"] for record in records(folder)] == ["kept"]


def test_the_first_of_two_servers_that_ends_leaves_the_lock_of_the_other(tmp_path):
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(opened(tmp_path / "log"))
        shutil.rmtree(tmp_path / "log")
        second.enter_context(opened(tmp_path / "log"))
        first.close()
        with pytest.raises(ValueError, match="another process"), opened(tmp_path / "log"):
            pass


def test_files_that_are_deleted_make_room_in_a_full_folder(tmp_path):
    with opened(tmp_path / "log", most_bytes=600) as log:
        while not log.dropped:
            written(log, "r")
        for file in numbered_files(tmp_path / "log").values():
            file.unlink()
        before = log.written
        written(log, "after")
    assert log.written == before + 1


def test_a_limit_of_the_system_on_files_begins_the_next_one(tmp_path):
    def limited() -> None:
        with opened(tmp_path / "log") as log:
            written(log, "r1")
            size = (tmp_path / "log" / "impressions-000001.jsonl").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
            written(log, "lost")
            written(log, "r2")

    child = multiprocessing.get_context("fork").Process(target=limited)
    child.start()
    child.join()
    assert [record["recommendation_id"] for record in records(tmp_path / "log")] == ["r1", "r2"]


def test_lists_of_all_files_are_known_after_restarts(tmp_path, monkeypatch):
    for start in range(3):
        with opened(tmp_path / "log") as log:
            log.add(impression(f"r{start}"))
            log.add(impression(f"s{start}"))
    with opened(tmp_path / "log") as log:
        assert all(log.known.items(f"{name}{start}") == ("i1", "é\n") for name in "rs" for start in range(3))
    monkeypatch.setattr(impressions, "_KNOWN_LISTS", 3)
    with opened(tmp_path / "log") as log:
        assert [name for name in ("r0", "s0", "r1", "s1", "r2", "s2") if log.known.items(name)] == ["s1", "r2", "s2"]


def test_a_link_under_the_name_of_the_next_file_is_left_alone(tmp_path):
    with opened(tmp_path / "log") as log:
        aside = tmp_path / "aside"
        (tmp_path / "log" / "impressions-000001.jsonl").symlink_to(aside)
        log.add(impression("r1"))
    assert log.dropped == 0 and log.written == 1 and not aside.exists()
    assert (tmp_path / "log" / "impressions-000002.jsonl").read_text().count("r1") == 1


def test_a_full_queue_drops_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(impressions, "_QUEUED", 3)
    with opened(tmp_path / "log") as log:
        go_on, held = threading.Event(), threading.Event()
        append = log._files.append
        monkeypatch.setattr(log._files, "append", lambda lines: (held.set(), go_on.wait(), append(lines)))
        log.add(impression("r"))
        held.wait()
        for _ in range(5):
            log.add(impression("r"))
        assert log.dropped == 2
        go_on.set()
    assert log.written == 4


def test_a_second_process_may_not_write_into_the_folder(tmp_path):
    with (
        opened(tmp_path / "log"),
        pytest.raises(ValueError, match="being written by another process.*`impressions`"),
        opened(tmp_path / "log"),
    ):
        pass


def test_a_broken_salt_and_a_path_that_is_a_file_are_refused(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "salt").write_text("zz")
    with pytest.raises(ValueError, match="salt is no salt of 64 hexadecimal digits"), opened(tmp_path / "log"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`impressions` .* cannot be made"), opened(tmp_path / "file"):
        pass


KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = ["tests/serving"]
from test_impressions import PLENTY, impression
from train_utils.serving.impressions import ImpressionLog
log = ImpressionLog(Path(sys.argv[1]), b"s", with_history=False, most_bytes=PLENTY, file_bytes=20_000)
write, left = os.write, [int(sys.argv[2])]
def half(file, content):  # the last write before the end gets half of its bytes onto the disk
    left[0] -= 1
    if left[0] == 0:
        write(file, content[: len(content) // 2])
        os.kill(os.getpid(), 9)
    return write(file, content)
os.write = half
number = 0
while True:
    log.add(impression(f"r{number}"))
    number += 1
"""


@pytest.mark.parametrize("writes", [1, 12])
def test_after_a_kill_while_writing_every_whole_record_is_there_and_the_next_process_goes_on(tmp_path, writes):
    folder = tmp_path / "log"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", KILLED, str(folder), str(writes)]
    killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    rejected: Counter[str] = Counter()
    names = [record["recommendation_id"] for record in read_records([folder], rejected)]
    assert names == [f"r{n}" for n in range(len(names))] and rejected.total() <= 1
    with opened(folder) as log:
        if names:
            assert log.known.items(names[-1]) is not None
        log.add(impression("next"))
    assert [record["recommendation_id"] for record in records(folder)] == [*names, "next"]


def test_zeros_and_foreign_lines_of_a_damaged_file_are_left_out(tmp_path):
    with opened(tmp_path / "log") as log:
        log.add(impression("r1"))
    (path,) = numbered_files(tmp_path / "log").values()
    path.write_bytes(path.read_bytes() + b'[1]\n{"record": "other"}\n' + b"\0" * 4096)
    rejected: Counter[str] = Counter()
    assert [one["recommendation_id"] for one in read_records([tmp_path / "log"], rejected)] == ["r1"]
    assert rejected.total() == 3


def test_the_newest_lists_are_known_and_older_ones_forgotten():
    known = KnownLists(2)
    for name in "abc":
        known.add(name, ["1"])
    known.add("b", ["2"])
    assert known.items("a") is None and known.items("b") == ("1", "2") and known.items("c") == ("1",)


def test_equal_rules_have_equal_digests():
    rules = ItemRules(categories=("a",), where={"year": {">=": 1990, "<": 2000}})
    same = ItemRules(categories=("a",), where={"year": {"<": 2000, ">=": 1990}})
    assert rules_digest(rules) == rules_digest(same) != rules_digest(ItemRules()) and len(rules_digest(rules)) == 12


# -- variants ----------------------------------------------------------------------------------------------------------


def variants(path: Path, content: object) -> Variants:
    path.write_text(json.dumps(content))
    return Variants.read(path)


def test_users_are_divided_by_the_shares_and_always_alike(tmp_path):
    divided = variants(tmp_path / "v.json", {"control": {"share": 0.75}, "new": {"share": 0.25, "explore": 1}})
    users = [f"user{n}" for n in range(4000)]
    names = [divided.assign(user).name for user in users]
    assert 0.72 < names.count("control") / 4000 < 0.78
    assert [Variants.read(tmp_path / "v.json").assign(user).name for user in users] == names
    assert divided.assign(None).name == "control" and divided.assign(None).user is None
    other = variants(tmp_path / "w.json", {"control": {"share": 0.75}, "newer": {"share": 0.25}})
    both = sum(a == "new" and other.assign(user).name == "newer" for a, user in zip(names, users, strict=True))
    assert 0.04 < both / 4000 < 0.085, "another test divides the users anew"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({}, "shares of 0 variants sum to 0, wanted 1"),
        ({"a": {"share": 0.5}}, "sum to 0.5, wanted 1"),
        ({"a": {"share": 1, "speed": 3}}, "a: 'speed' is unknown, wanted one of share, prior_weight"),
        ({"a": {"share": "1"}}, "a.share: wanted a valid number"),
        ({"a": {"share": 1, "decoding": "fast"}}, "a.decoding: wanted 'rank', 'best' or 'greedy'"),
        ({"a": {"share": 1, "explore": -1}}, "a.explore: wanted greater"),
        ([], "the file: wanted a valid dictionary"),
        ({"a": {}}, "a.share: it is missing"),
    ],
)
def test_a_file_of_another_form_is_refused_in_one_line(tmp_path, content, error):
    with pytest.raises(ValueError, match=error) as raised:
        variants(tmp_path / "v.json", content)
    assert "\n" not in str(raised.value)
