"""The stage runner: skips what is up to date, continues after a kill, never records a half-made output."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stage

SCRIPT = Path(stage.__file__)
APPEND = "import sys; open(sys.argv[1], 'a').write('x')"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("one")
    return tmp_path


def run_stage(*, code=APPEND, argument="out.txt", inputs=("in.txt",), values=(), outputs=("out.txt",)):
    """Run the stage `demo` in this process; returns its exit status."""
    argv = ["demo", "--state", "state"]
    for option, given in (("--input", inputs), ("--value", values), ("--output", outputs)):
        argv += [option, *given] if given else []
    return stage.main([*argv, "--", sys.executable, "-c", code, argument])


def runs(path="out.txt"):
    """How often the command has run: it appends one letter each time."""
    return len(Path(path).read_text())


def test_second_run_is_skipped_and_says_so(folder, capfd):
    assert run_stage() == 0
    assert run_stage() == 0
    assert runs() == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1].startswith("[demo] up to date (took ")
    assert len(lines) == 3  # the command, done, up to date


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("in.txt").write_text("two"),  # same size
        lambda: Path("out.txt").write_text("y"),  # same size as the output was
        lambda: Path("state/demo.json").unlink(),
        lambda: Path("state/demo.json").write_text('{"name": "de'),
    ],
    ids=["input", "output", "no record", "broken record"],
)
def test_a_change_runs_it_again(folder, change):
    run_stage()
    change()
    run_stage()
    assert runs() == 2


def test_a_missing_output_runs_it_again(folder):
    run_stage()
    Path("out.txt").unlink()
    assert run_stage() == 0
    assert runs() == 1


def test_values_and_command_are_part_of_the_fingerprint(folder):
    run_stage(values=["a=1", "b=2"])
    run_stage(values=["b=2", "a=1"])  # the order does not matter
    assert runs() == 1
    run_stage(values=["a=2", "b=2"])
    assert runs() == 2
    run_stage(values=["a=2", "b=2"], code=APPEND + " ")
    assert runs() == 3


def test_folders_count_recursively_but_not_pycache(folder):
    deep = folder / "src" / "a"
    (deep / "__pycache__").mkdir(parents=True)
    (deep / "x.py").write_text("1")
    run_stage(inputs=["src"])
    (deep / "__pycache__" / "x.pyc").write_text("1")
    run_stage(inputs=["src"])
    assert runs() == 1
    (deep / "y.py").write_text("1")
    run_stage(inputs=["src"])
    assert runs() == 2


def test_globs_match_files(folder):
    run_stage(inputs=["*.tx?", "**/in.txt"], outputs=["log"], argument="log")
    run_stage(inputs=["in.txt"], outputs=["log"], argument="log")
    assert runs("log") == 1


def test_output_folder_is_compared_by_names_and_sizes(folder):
    code = "import pathlib; p = pathlib.Path('made/x'); p.mkdir(parents=True, exist_ok=True); "
    code += "(p / 'f').write_text('abc'); open('count', 'a').write('x')"
    for _ in range(2):
        assert run_stage(code=code, outputs=["made"]) == 0
    assert runs("count") == 1
    Path("made/x/f").write_text("ab")
    run_stage(code=code, outputs=["made"])
    assert runs("count") == 2


def test_digests_of_big_files_are_remembered(folder):
    big = folder / "big.bin"
    big.write_bytes(b"0" * stage._CACHED_BYTES)
    with stage.digest_cache(folder / "cache") as digest:
        first = digest(big)
    Path("cache").write_text(Path("cache").read_text().replace(first, "remembered"))
    with stage.digest_cache(folder / "cache") as digest:
        assert digest(big) == "remembered"
    os.utime(big, ns=(0, 0))
    with stage.digest_cache(folder / "cache") as digest:
        assert digest(big) == first


def test_failure_passes_the_status_on_and_leaves_no_record(folder, capfd):
    run_stage()
    assert run_stage(code="raise SystemExit(7)") == 7
    assert capfd.readouterr().err == ("error: stage demo failed (status 7); run the same command again to continue\n")
    assert not Path("state/demo.json").exists()


def test_success_without_the_output_is_an_error(folder, capfd):
    assert run_stage(code="pass") == 2
    assert capfd.readouterr().err.startswith("error: stage demo ended well but left no out.txt")
    assert not Path("state/demo.json").exists()


def test_missing_input_is_one_line(folder, capfd):
    assert run_stage(inputs=["in.txt", "nowhere/*.txt"]) == 2
    assert capfd.readouterr().err.splitlines() == [
        "error: input nowhere/*.txt does not exist: correct it, or run the stage that makes it"
    ]


def test_unknown_command_is_one_line(folder, capfd):
    assert stage.main(["demo", "--state", "state", "--", "no-such-program"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["demo", "--state", "s"],
        ["../demo", "--state", "s", "--", "true"],
        ["demo", "--state", "s", "--value", "x", "--", "true"],
    ],
)
def test_wrong_calls_end_with_status_two(folder, argv):
    with pytest.raises(SystemExit) as caught:
        stage.main(argv)
    assert caught.value.code == 2


def test_the_command_may_hold_options_and_separators(folder):
    parsed = stage.parse(["demo", "--state", "s", "--", "prog", "--state", "x", "--", "y"])
    assert parsed.command == ("prog", "--state", "x", "--", "y")


def test_read_seconds_lists_finished_stages_in_order(folder):
    for name in ("second", "first"):
        stage.main([name, "--state", "state", "--", "true"])
    stage.main(["bad", "--state", "state", "--", "false"])
    seconds = stage.read_seconds("state")
    assert list(seconds) == ["second", "first"]
    assert all(value >= 0 for value in seconds.values())
    assert stage.read_seconds("nowhere") == {}


# A child that says when it is ready, then waits on a grandchild that would never end.
WAITS = "sh -c 'echo ready; exec tail -f /dev/null' & wait"


@pytest.fixture
def waiting(folder):
    """A running stage.py whose command has started; its standard output ends when the whole tree is gone."""
    argv = [sys.executable, str(SCRIPT), "demo", "--state", "state", "--", "bash", "-c", WAITS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "ready" in (process.stdout.readline(), process.stdout.readline())[1]
        yield process
        process.kill()


def test_sigterm_reaches_the_whole_group(waiting):
    waiting.send_signal(signal.SIGTERM)
    _, errors = waiting.communicate(timeout=30)  # returns only when the grandchild has closed the pipe
    assert waiting.returncode == 128 + signal.SIGTERM
    assert errors.startswith("error: stage demo failed (status 143)")
    assert not Path("state/demo.json").exists()


def test_kill_takes_the_group_along(waiting):
    waiting.kill()
    waiting.communicate(timeout=30)
    assert waiting.returncode == -signal.SIGKILL
    assert not Path("state/demo.json").exists()


def test_a_command_that_ends_well_after_a_signal_is_not_recorded(folder):
    code = "trap 'exit 0' INT; echo ready; while :; do read -r _ < fifo; done"
    os.mkfifo("fifo")
    argv = [sys.executable, str(SCRIPT), "demo", "--state", "state", "--", "bash", "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert "ready" in (process.stdout.readline(), process.stdout.readline())[1]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert not Path("state/demo.json").exists()


# -- code ----------------------------------------------------------------------------------------------------------


def test_code_is_what_a_file_can_import_of_the_project(folder):
    Path("lib/sub").mkdir(parents=True)
    for name, text in {
        "run.py": "import json\nfrom lib import one\ndef f():\n    import lib.sub.three as t\n",
        "lib/__init__.py": "",
        "lib/one.py": "from .two import x\nimport numpy\n",
        "lib/two.py": "import beside\n",
        "lib/beside.py": "",
        "lib/sub/__init__.py": "from lib import four\n",
        "lib/sub/three.py": "",
        "lib/four.py": "",
        "lib/other.py": "",
    }.items():
        Path(name).write_text(text)
    actual = {path.as_posix() for path in stage.code_files([Path("run.py")])}
    assert actual == {
        "run.py",
        "lib/__init__.py",
        "lib/one.py",
        "lib/two.py",
        "lib/beside.py",
        "lib/sub/__init__.py",
        "lib/sub/three.py",
        "lib/four.py",
    }
    argv = ["demo", "--state", "state", "--code", "run.py", "--output", "out", "--", "bash", "-c", "echo x >> out"]
    for change, runs in ((None, 1), (None, 1), ("lib/four.py", 2), ("lib/other.py", 2), ("lib/two.py", 3)):
        if change:
            Path(change).write_text(Path(change).read_text() + "# changed\n")
        assert stage.main(argv) == 0 and Path("out").read_text().count("x") == runs


def test_code_is_also_what_is_imported_by_dots_by_a_text_or_read_beside(folder):
    for name, text in {
        "run.py": "import lib.deep.one\nimport importlib\nimportlib.import_module('lib.named')\nopen('table.json')\n",
        "table.json": "{}",
        "lib/__init__.py": "from . import listed\n",
        "lib/listed.py": "",
        "lib/named.py": "",
        "lib/deep/one.py": "from .. import up\nfrom ..side.two import x\nfrom . import near\nPAGE = 'page.jinja'\n",
        "lib/up.py": "",
        "lib/side/__init__.py": "",
        "lib/side/two.py": "import kit.tool\n",
        "lib/deep/near.py": "",
        "lib/side/kit/__init__.py": "",
        "lib/side/kit/tool.py": "",
        "lib/deep/page.jinja": "x",
        "lib/deep/other.txt": "x",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    actual = {path.as_posix() for path in stage.code_files([Path("run.py")])}
    every = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert actual == every - {"in.txt", "lib/deep/other.txt"}


def test_a_stage_depends_on_the_scripts_that_its_command_calls_and_on_those_that_they_call(folder):
    Path("sub").mkdir()
    for name, text in {"a.sh": "# see c.sh\nbash sub/b.sh\n", "sub/b.sh": "source ./a.sh\n", "c.sh": ""}.items():
        Path(name).write_text(text)
    argv = ["demo", "--state", "state", "--output", "out", "--", "bash", "-c", "echo x >> out", "a.sh"]
    for change, runs in ((None, 1), (None, 1), ("sub/b.sh", 2), ("c.sh", 2), ("a.sh", 3)):
        if change:
            Path(change).write_text(Path(change).read_text() + "# changed\n")
        assert stage.main(argv) == 0 and Path("out").read_text().count("x") == runs


def test_code_that_is_no_python_is_one_line(folder, capfd):
    Path("broken.py").write_text("def (:\n")
    assert stage.main(["demo", "--state", "state", "--code", "broken.py", "--", "true"]) == 2
    assert capfd.readouterr().err.startswith("error: broken.py is not Python (")


ROOT = SCRIPT.parent.parent


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        (
            "sft",
            (
                "train_utils/catalog.py",
                "train_utils/param/training.py",
                "train_utils/training/checkpoint.py",
                "train_utils/teacher/http_client.py",
                "train_utils/prompts/chat_template.py",
                "unirec/server_app.py",
                "train_utils/command.py",
                "requirements.lock",
                "scripts/with_teacher.sh",
                "scripts/unirec_serve.sh",
                "scripts/train_RecLM_cgen.sh",
                "scripts/recipe.sh",
                "scripts/dataset_name.sh",
            ),
        ),
        ("test_sasrec", ("scripts/with_teacher.sh", "scripts/unirec_serve.sh", "unirec/server_app.py")),
        (
            "merge",
            (
                "train_utils/catalog.py",
                "train_utils/param/training.py",
                "train_utils/prompts/renderer.py",
                "scripts/run_SFT_merge.sh",
                "requirements-unirec.txt",
            ),
        ),
        (
            "test_cgen",
            (
                "train_utils/catalog.py",
                "train_utils/decoding/engine.py",
                "train_utils/evaluation/metrics.py",
                "train_utils/prompts/list_spec.py",
            ),
        ),
        (
            "chat",
            ("train_utils/catalog.py", "train_utils/models/backbone.py", "train_utils/decoding/ragged_attention.py"),
        ),
        (
            "preprocess",
            ("preprocess/titles.py", "train_utils/dataset_folder.py", "scripts/data_preprocess_movielens.sh"),
        ),
        (
            "teacher",
            (
                "unirec/sasrec_training.py",
                "unirec/unirec_files.py",
                "train_utils/dataset_folder.py",
                "scripts/unirec_train.sh",
                "unirec/config/base.yaml",
            ),
        ),
    ],
)
def test_a_stage_of_the_quickstart_depends_on_what_it_imports(monkeypatch, name, modules):
    """The lines of quickstart.sh itself, its stages echoed instead of run."""
    script = (ROOT / "scripts/quickstart.sh").read_text()
    script = script.replace('"$PYTHON" scripts/stage.py', "printf '%s\\n' STAGE").replace("bash scripts/env.sh", ":")
    script = script.partition("exec ")[0].replace('cd "$(dirname "$0")/.."', f"cd {ROOT}")
    output = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    stages = {lines[0]: lines for lines in (part.strip("\n").split("\n") for part in output.split("STAGE\n")[1:])}
    monkeypatch.chdir(ROOT)
    files = {path for path in stage.parse(stages[name]).inputs}
    assert set(modules) <= files
    assert not [path for path in files if path.startswith(("train_utils/report/page", "train_utils/report/__main__"))]
