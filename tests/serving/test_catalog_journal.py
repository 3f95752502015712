"""A process that is killed at any file operation loses no change that was acknowledged, and makes none by half."""

import builtins
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import threading
from pathlib import Path

import pytest

from train_utils.catalog import Item, make_catalog
from train_utils.serving.catalog_journal import Journal, JournalError
from train_utils.serving.catalog_ledger import KEPT_VERSIONS, Delta, Ledger, UnknownVersion

FORK = multiprocessing.get_context("fork")
BASE = [Item(f"i{n}", f"title {n}", ("base",), attributes={"raw": (n, b"no JSON")}) for n in range(20)]
SPARE_BYTES = 50_000  # so that journals are rewritten often
Oracle = dict[str, tuple[str, float]]  # id -> (title, price) of what may be listed
Change = tuple[str, object]


def base_ledger() -> Ledger:
    return Ledger(make_catalog("films", BASE))


def first_oracle() -> Oracle:
    return {item.id: (item.title, 0.0) for item in BASE}


def held(ledger: Ledger) -> Oracle:
    catalog = ledger.base.changed(*vars(ledger.delta_since_base(ledger.version.number)).values())
    return {
        item.id: (item.title, item.attributes.get("price", 0.0))
        for place, item in enumerate(catalog.items)
        if place not in catalog.retired
    }


def n_differing(first: Oracle, second: Oracle) -> int:
    return len({item_id for item_id, _ in first.items() ^ second.items()})


def random_change(number: int, states: dict[int, Oracle], seed: int) -> tuple[Change, Oracle, int]:
    """Return a change, the oracle after it, and the number of its items."""
    rng = random.Random(f"{seed}/{number}")
    before = states[max(states)]
    kind = rng.choice(("put", "price", "swap", "retire", "replace", "rollback"))
    ids = rng.sample([f"i{n}" for n in range(300)], rng.choice((1, 2, 60)))
    if kind == "swap" and len(before) > 1:
        first, second = rng.sample(sorted(before), 2)
        new = {first: (before[second][0], float(number)), second: (before[first][0], float(number))}
        return ("put", new), before | new, 2
    if kind == "retire" and (known := [i for i in ids if i in before]) and len(known) < len(before):
        return ("retire", known), {i: entry for i, entry in before.items() if i not in known}, len(known)
    if kind == "rollback":
        version = rng.choice(sorted(states)[-KEPT_VERSIONS // 2 :])
        if states[version] != before:
            return ("rollback", version), states[version], n_differing(states[version], before)
    if kind == "price" and (known := [i for i in ids if i in before]):
        new = {i: (before[i][0], float(number)) for i in known}
        return ("put", new), before | new, len(new)
    new = {i: (f"{i} at {number}", float(number)) for i in ids}
    after = new if kind == "replace" else before | new
    return ("replace" if kind == "replace" else "put", new), after, n_differing(after, before)


def plan(ledger: Ledger, change: Change) -> Delta:
    kind, what = change
    if kind == "retire":
        return ledger.retire(what)
    if kind == "rollback":
        return ledger.rollback(what)
    records = [{"item_id": i, "title": title, "price": price} for i, (title, price) in what.items()]
    return ledger.put(records, whole=kind == "replace")


def make(ledger: Ledger, journal: Journal, change: Change) -> None:
    delta = plan(ledger, change)
    journal.append(ledger, delta, ledger.after(delta).digest)
    ledger.apply(delta)
    journal.compact(ledger)


def die_at(operation: int, thread: str = "") -> None:
    """Kill this process right before a file operation, counted from 1; in the middle of it where it writes.

    Args:
        operation: its number.
        thread: name of the thread whose operations are counted; "" for those of all.
    """
    left = [operation]

    def counted(name: str, owner: object = os):
        real = getattr(owner, name)

        def run(*arguments, **named):
            left[0] -= thread in ("", threading.current_thread().name)
            if left[0] == 0:
                if name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            # The system keeps what a killed process has written, so that the test need not wait for the disk.
            return None if name == "fsync" else real(*arguments, **named)

        setattr(owner, name, run)

    for name in ("write", "fsync", "ftruncate", "replace", "rename", "open", "chmod", "unlink"):
        counted(name)
    counted("open", builtins)


def work(path: Path, states: dict[int, Oracle], seed: int, changes: int, operation: int, acknowledged) -> None:
    """Make changes, acknowledge each, and die at a file operation."""
    die_at(operation)
    ledger = base_ledger()
    journal = Journal(path, ledger, SPARE_BYTES)
    for _ in range(changes):
        number = ledger.version.number
        change, after, _ = random_change(number, states, seed)
        make(ledger, journal, change)
        states[number + 1] = after
        acknowledged.send(number + 1)
    journal.close()


def recovered(path: Path) -> Ledger:
    ledger = base_ledger()
    Journal(path, ledger, SPARE_BYTES).close()
    return ledger


def test_ten_thousand_changes_with_kills_in_between_equal_a_dictionary(tmp_path):
    path, rng = tmp_path / "films.journal", random.Random(0)
    states, changed, kills = {1: first_oracle()}, 0, 0
    while changed < 10_000:
        reading, writing = FORK.Pipe(duplex=False)
        child = FORK.Process(target=work, args=(path, dict(states), 0, 200, rng.randint(1, 50), writing))
        child.start()
        writing.close()
        acknowledged = max(states)
        try:
            while True:
                acknowledged = reading.recv()
        except EOFError:
            child.join()
        kills += child.exitcode == -signal.SIGKILL
        ledger = recovered(path)
        newest = ledger.version.number
        assert newest - acknowledged in (0, 1), "what was acknowledged, or the change that was being written"
        for number in range(max(states), newest):
            _, states[number + 1], n_items = random_change(number, states, 0)
            changed += n_items
        assert held(ledger) == states[newest]
    assert kills > 10
    assert not [entry for entry in tmp_path.iterdir() if entry.suffix == ".tmp"], "temporary files were tidied away"


def prices(number: int) -> Change:
    """Return a change of many items."""
    return ("put", {f"i{n}": (f"title {n}", float(number)) for n in range(20)})


def compact_and_die(path: Path, operation: int, acknowledged) -> None:
    """Make changes until the journal is rewritten and some more; die at a file operation of the rewriting."""
    die_at(operation, "journal")
    ledger = base_ledger()
    journal = Journal(path, ledger, 3000)
    for number in range(1, 40):
        delta = plan(ledger, prices(number))
        journal.append(ledger, delta, ledger.after(delta).digest)
        ledger.apply(delta)
        acknowledged.send(number)
        begun = journal.compact(ledger)
        if begun and number % 2:
            journal.finish_compacting()
    journal.close()


def test_a_process_that_is_killed_while_it_rewrites_its_journal_loses_no_change(tmp_path):
    exits = set()
    for operation in range(1, 30):
        reading, writing = FORK.Pipe(duplex=False)
        path = tmp_path / str(operation) / "films.journal"
        child = FORK.Process(target=compact_and_die, args=(path, operation, writing))
        child.start()
        writing.close()
        acknowledged = 0
        try:
            while True:
                acknowledged = reading.recv()
        except EOFError:
            child.join()
        exits.add(child.exitcode)
        ledger = recovered(path)
        assert ledger.version.number - 1 - acknowledged in (0, 1)
        assert held(ledger) == first_oracle() | dict(prices(ledger.version.number - 1)[1])
        assert not list(path.parent.glob("*.tmp"))
    assert exits == {-signal.SIGKILL}


def copied(path: Path, folder: Path) -> Ledger:
    """Return the catalog of a journal that a process has open."""
    copy = folder / "copy.journal"
    copy.write_bytes(path.read_bytes())
    return recovered(copy)


def test_changes_that_are_appended_while_the_journal_is_rewritten_are_in_the_new_one(tmp_path, monkeypatch):
    path, ledger, go_on = tmp_path / "films.journal", base_ledger(), threading.Event()
    journal = Journal(path, ledger, 3000)
    written = Journal._write_compact

    def slow(*arguments) -> None:
        written(*arguments)
        go_on.wait()

    monkeypatch.setattr(Journal, "_write_compact", slow)
    number = 1
    while path.stat().st_size <= 3100:
        make(ledger, journal, prices(number))
        number += 1
    before = path.stat().st_ino
    for later in range(number, number + 5):
        make(ledger, journal, prices(later))
        assert held(copied(path, tmp_path)) == held(ledger), "the old file has what was acknowledged"
    assert path.stat().st_ino == before
    go_on.set()
    journal.finish_compacting()
    assert path.stat().st_ino != before
    make(ledger, journal, ("put", {"new": ("new", 1.0)}))
    journal.close()
    assert held(recovered(path)) == held(ledger)
    assert recovered(path).version == ledger.version


def test_a_journal_whose_place_cannot_be_made_durable_still_gets_all_changes(tmp_path, monkeypatch, caplog):
    path, ledger = tmp_path / "films.journal", base_ledger()
    journal = Journal(path, ledger, 3000)
    real = os.replace

    def replace_and_fail(*arguments) -> None:
        real(*arguments)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", replace_and_fail)
    for number in range(1, 20):
        make(ledger, journal, prices(number))
        journal.finish_compacting()
    journal.close()
    assert "cannot be rewritten" in caplog.text
    assert held(recovered(path)) == held(ledger)


@pytest.fixture
def written(tmp_path) -> tuple[Path, list[Oracle]]:
    """Journal of eight changes, and what may be listed after each."""
    ledger, states = base_ledger(), {1: first_oracle()}
    journal = Journal(tmp_path / "films.journal", ledger)
    for number in range(1, 9):
        change, states[number + 1], _ = random_change(number, states, 1)
        make(ledger, journal, change)
    journal.close()
    return journal.path, [states[number] for number in sorted(states)]


def test_a_half_last_line_is_dropped_at_whatever_byte_it_ends(written, caplog):
    path, states = written
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole), 5):
        path.write_bytes(whole[:end])
        assert held(recovered(path)) == states[-2]
        assert path.read_bytes() == whole[:last]
    assert "half written" in caplog.text and "\n" not in caplog.messages[0]
    path.write_bytes(whole)
    assert held(recovered(path)) == states[-1]


def test_a_broken_line_is_refused_in_one_line_with_its_number(written):
    path, _ = written
    whole = path.read_bytes()
    for n, line in enumerate(whole.splitlines(keepends=True), 1):
        at = whole.index(line) + len(line) // 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=f"films.journal line {n}: it is broken") as error:
            recovered(path)
        assert "\n" not in str(error.value)
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    with pytest.raises(ValueError, match="line 4: its version is 5, wanted 4"):
        recovered(path)


def test_a_journal_of_another_dataset_is_refused(written):
    path, _ = written
    other = Ledger(make_catalog("films", [*BASE, Item("new", "new")]))
    with pytest.raises(ValueError, match="line 1: it is of another dataset"):
        Journal(path, other)


def test_a_journal_serves_one_process(written):
    path, _ = written
    journal = Journal(path, base_ledger())
    with pytest.raises(ValueError, match="another process; a journal serves one process"):
        Journal(path, base_ledger())
    journal.close()


def test_a_change_that_cannot_be_written_is_not_made(written):
    path, states = written

    def fail() -> None:
        ledger = base_ledger()
        journal = Journal(path, ledger)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, resource.RLIM_INFINITY))
        with pytest.raises(JournalError, match="the change was not made"):
            make(ledger, journal, ("put", {"i1": ("another title", 1.0)}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert held(ledger) == states[-1]
        make(ledger, journal, ("put", {"i1": ("another title", 1.0)}))

    child = FORK.Process(target=fail)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert held(recovered(path)) == states[-1] | {"i1": ("another title", 1.0)}


@pytest.mark.parametrize(
    ("take_away", "problem"),
    [
        (Path.unlink, "moved or deleted"),
        (lambda path: path.rename(path.with_name("aside")), "moved or deleted"),
        (lambda path: os.replace(shutil.copy(path, path.with_name("copy")), path), "moved or deleted"),
        (lambda path: os.truncate(path, 10), "another program wrote"),
    ],
)  # fmt: skip
def test_a_change_that_the_next_start_would_not_read_is_not_made(written, take_away, problem):
    path, states = written
    ledger = base_ledger()
    journal = Journal(path, ledger)
    take_away(path)
    with pytest.raises(JournalError, match=f"{problem}.*the change was not made"):
        make(ledger, journal, ("put", {"i1": ("another title", 1.0)}))
    assert held(ledger) == states[-1]
    journal.close()


def test_a_journal_that_was_moved_away_is_not_put_back_by_rewriting_it(written, caplog):
    path, _ = written
    ledger = base_ledger()
    journal = Journal(path, ledger, spare_bytes=-(1 << 30))
    path.rename(path.with_name("aside"))
    assert journal.compact(ledger)
    journal.finish_compacting()
    assert not path.exists() and "cannot be rewritten" in caplog.text
    journal.close()


def test_a_journal_stays_short_and_keeps_the_newest_versions(tmp_path):
    path, ledger = tmp_path / "films.journal", base_ledger()
    journal = Journal(path, ledger, SPARE_BYTES)
    for number in range(400):
        make(ledger, journal, ("put", {"i1": (f"title at {number}", 1.0), "new": ("new", float(number))}))
        journal.finish_compacting()
    journal.close()
    assert path.stat().st_size < 150_000
    again = recovered(path)
    assert again.version == ledger.version
    assert [version.name for version in again.versions][-KEPT_VERSIONS:] == [v.name for v in ledger.versions]
    for number in (ledger.versions[0].number, ledger.version.number - 7):
        delta = again.rollback(number)
        assert delta == ledger.rollback(number)
        assert delta.put[1].title == f"title at {number - 2}"
    with pytest.raises(UnknownVersion, match="version 3 is not kept"):
        again.rollback(3)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([{"id": "i1", "title": "title 2"}], "items 'i2' and 'i1' would share the title 'title 2'"),
        ([{"id": "x", "title": "same"}, {"id": "y", "title": "same"}], "items 'x' and 'y' would share"),
        ([{"id": "x", "title": "a"}, {"id": "x", "title": "b"}], "item 'x' is there twice"),
        ([{"id": "x", "title": "a"}, {"id": "y"}], "item 'y': title is ''"),
    ],
)
def test_one_bad_item_refuses_the_change(records, reason):
    ledger = base_ledger()
    with pytest.raises(ValueError, match=reason):
        ledger.put(records)
    assert held(ledger) == first_oracle()


def test_a_catalog_keeps_an_item():
    with pytest.raises(ValueError, match="no item would be left"):
        base_ledger().retire([item.id for item in BASE])
    with pytest.raises(ValueError, match="no item has the id 'x'"):
        base_ledger().retire(["x"])


def test_the_title_of_a_retired_item_may_be_given_to_another_and_equal_contents_have_one_digest():
    ledger = base_ledger()
    first = ledger.version
    ledger.apply(ledger.retire(["i1"]))
    ledger.apply(ledger.put([{"id": "new", "title": "title 1"}]))
    with pytest.raises(ValueError, match="would share the title 'title 1'"):
        ledger.put([{"id": "i1", "title": "title 1"}])
    ledger.apply(ledger.rollback(1))
    assert (ledger.version.number, ledger.version.digest) == (4, first.digest)
    assert held(ledger) == first_oracle()
    assert json.loads(json.dumps(ledger.record(ledger.rollback(3))))["retired"] == ["i1"]
