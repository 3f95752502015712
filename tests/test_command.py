"""How commands end: one line for an error, nothing for a reader that leaves."""

import argparse
import subprocess
import sys
from pathlib import Path

import async_server
import data_preprocess
import data_preprocess_amazon
import pytest
import train
import transform2unirec

from train_utils.command import MOST, number, run_cli
from train_utils.leakage import __main__ as leakage
from train_utils.report import __main__ as report

ROOT = Path(__file__).resolve().parent.parent
PRINTING = "from train_utils.command import run_cli; run_cli(lambda: [print('line', n) for n in range(10**5)] and None)"


def test_a_reader_that_leaves_early_hears_no_complaint():
    line = f'"{sys.executable}" -c "$0" | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line, PRINTING], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("line 0\n0\n", "")


@pytest.mark.parametrize(
    ("body", "status", "errors"),
    [
        ("raise ValueError('two\\nlines')", 2, "error: two lines\n"),
        ("raise OSError(28, 'full', 'x')", 2, "error: full: 'x'"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("return 3", 3, ""),
        ("pass", 0, ""),
    ],
)
def test_a_command_ends_with_a_status_and_at_most_one_line(body, status, errors):
    code = f"def main():\n {body}\nfrom train_utils.command import run_cli\nrun_cli(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status and done.stderr.startswith(errors) and done.stderr.count("\n") <= 1


NAMING = """
import logging
from train_utils.command import LineParser, run_cli
def main():
    parser = LineParser(prog="x")
    parser.add_argument("--topk")
    parser.add_argument("--idx", action=argparse.BooleanOptionalAction)
    parser.parse_args({argv})
    logging.getLogger("train_utils.any").warning("`topk` is %d", 0)
    raise ValueError("`topk` is 0, wanted `users` of `unknown` or `idx=False`, `topk=False` or a b`topk")
run_cli(main)
"""


def test_options_in_a_library_text_are_printed_as_the_flags_of_the_command():
    code = "import argparse" + NAMING.format(argv=[])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines() == [
        "--topk is 0",
        "error: --topk is 0, wanted `users` of `unknown` or --no-idx, `topk=False` or a b`topk",
    ]


def test_without_a_command_a_text_names_fields():
    code = "from train_utils.command import with_flags; print(with_flags('`topk` is 0'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "`topk` is 0\n"


@pytest.mark.parametrize(
    "script",
    [
        "main.py",
        "task_test.py",
        "task_MR_test.py",
        "cli_serve.py",
        "unirec/train.py",
        "unirec/async_server.py",
        "preprocess/data_preprocess.py",
        "preprocess/data_preprocess_amazon.py",
        "preprocess/transform2unirec.py",
        "train_utils/report/__main__.py",
        "train_utils/leakage/__main__.py",
        "scripts/fetch_defaults.py",
        "scripts/quickstart_report.py",
    ],
)
def test_every_command_ends_in_this_way(script):
    assert "    run_cli(" in (ROOT / script).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        (report.main, "TMP", "is a folder"),
        (report.main, "x.json --output=", "the path is empty"),
        (report.main, "x.json --outp x", "--outp"),
        (leakage.main, "--data_path x --probes -1", "2 or more"),
        (leakage.main, "--data_path x --seed 10000000000000000000000", "at most 2147483647"),
        (leakage.main, "--data_path x --backbone y", "no effect without --model_name"),
        (async_server.main, "--dataset x --port -1", "0 or more"),
        (async_server.main, "--dataset x --workers 0", "1 or more"),
        (async_server.main, "--dataset x --port 99999", "at most 65535"),
        (async_server.main, "--dataset x --data_path=", "the path is empty"),
        (train.main, "--dataset x --seed 1.5", "--seed"),
        (train.main, "--dataset x --output_path=", "the path is empty"),
        (data_preprocess_amazon.main, "--users -3", "0 or more"),
        (data_preprocess_amazon.main, "--min_events_per_user 0", "1 or more"),
        (data_preprocess_amazon.main, "--data_path=", "the path is empty"),
        (data_preprocess_amazon.main, "--test_share nan", "more than 0"),
        (data_preprocess.main, "ml-1m x --test_share inf", "at most 1"),
        (data_preprocess.main, "ml-1m x --max_title_tokens 6.5", "no whole number"),
        (transform2unirec.main, "--unirec_data_path=", "the path is empty"),
    ],
)
def test_a_bad_flag_of_any_command_is_one_line(command, line, reason, tmp_path, monkeypatch, capsys):
    arguments = [str(tmp_path) if part == "TMP" else part for part in line.split()]
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as ended:
        run_cli(command if command is report.main else lambda: command(arguments))
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1 and reason in error, error


@pytest.mark.parametrize(
    ("text", "kind", "bounds", "value"),
    [
        ("3", int, {"least": 0}, 3),
        ("0.1", float, {"above": 0, "most": 1}, 0.1),
        ("-1e3", float, {}, -1000.0),
        (str(MOST), int, {}, MOST),
        ("-3", int, {"least": 0}, None),
        ("1e3", int, {}, None),
        ("nan", float, {}, None),
        ("inf", float, {}, None),
        ("-inf", float, {"most": 1}, None),
        ("1e999", float, {"least": 0}, None),
        (str(MOST + 1), int, {}, None),
        ("9" * 5000, int, {}, None),
        ("", int, {}, None),
        ("0", float, {"above": 0}, None),
    ],
)
def test_a_number_is_whole_or_finite_and_within_its_bounds(text, kind, bounds, value):
    if value is None:
        with pytest.raises(argparse.ArgumentTypeError):
            number(kind, **bounds)(text)
    else:
        assert number(kind, **bounds)(text) == value


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError()",
        "RuntimeError('DefaultCPUAllocator: can not allocate memory')",
        "type('OutOfMemoryError', (RuntimeError,), {})('of a GPU')",
        "RuntimeError('can\\'t start new thread')",
        "ImportError('x.so: failed to map segment from shared object')",
        "type('PanicException', (BaseException,), {})('ThreadPoolBuildError { kind: IOError(WouldBlock) }')",
    ],
)
def test_memory_that_is_not_there_is_one_line(error):
    code = f"def main():\n raise {error}\nfrom train_utils.command import run_cli\nrun_cli(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: out of memory") and done.stderr.count("\n") == 1
    assert "--batch_size" not in done.stderr, "the command has no such flag"


@pytest.mark.parametrize(
    "error", ["KeyError('x')", "type('PanicException', (BaseException,), {})('index out of bounds')"]
)
def test_another_error_is_no_error_of_memory(error):
    code = f"def main():\n raise {error}\nfrom train_utils.command import run_cli\nrun_cli(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_the_remedy_for_memory_is_a_flag_of_the_command():
    code = "from train_utils.command import LineParser, run_cli\ndef main():\n parser = LineParser(prog='x')\n "
    code += "parser.add_argument('--batch_size')\n parser.parse_args([])\n raise MemoryError()\nrun_cli(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "take smaller sizes, such as --batch_size, or another machine" in done.stderr


@pytest.mark.parametrize("package", ["report", "leakage"])
def test_a_package_that_runs_is_called_by_its_name(package):
    done = subprocess.run(
        [sys.executable, "-m", f"train_utils.{package}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"usage: python -m train_utils.{package}")


@pytest.mark.parametrize(
    ("package", "run", "extra"),
    [
        ("matplotlib", "runpy.run_module('train_utils.report', run_name='__main__', alter_sys=True)", "report"),
        ("uvicorn", "runpy.run_path('unirec/async_server.py', run_name='__main__')", "serve"),
    ],
)
def test_a_package_of_an_extra_that_is_missing_is_one_line(package, run, extra):
    code = f"import runpy, sys; sys.modules[{package!r}] = None; sys.path.insert(0, 'unirec'); {run}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"error: package {package} is missing; pip install '.[{extra}]' in the project's folder\n"
