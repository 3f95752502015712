"""How commands end: one line for an error, nothing for a reader that leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRINTING = "from train_utils.command import run_cli; run_cli(lambda: [print('line', n) for n in range(10**5)] and None)"


def test_a_reader_that_leaves_early_hears_no_complaint():
    line = f'"{sys.executable}" -c "$0" | head -n 1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line, PRINTING], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("line 0\n0\n", "")


@pytest.mark.parametrize(("body", "status", "errors"), [
    ("raise ValueError('two\\nlines')", 2, "error: two lines\n"), ("raise OSError(28, 'full', 'x')", 2, "error: "),
    ("raise KeyboardInterrupt", 130, "interrupted\n"), ("return 3", 3, ""), ("pass", 0, ""),
])
def test_a_command_ends_with_a_status_and_at_most_one_line(body, status, errors):
    code = f"def main():\n {body}\nfrom train_utils.command import run_cli\nrun_cli(main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status and done.stderr.startswith(errors) and done.stderr.count("\n") <= 1


@pytest.mark.parametrize("script", ["main.py", "task_test.py", "task_MR_test.py", "cli_serve.py", "unirec/train.py",
                                    "unirec/async_server.py", "preprocess/data_preprocess_movielens.py",
                                    "preprocess/data_preprocess_amazon.py", "preprocess/transform2unirec.py",
                                    "train_utils/report.py", "train_utils/leakage.py", "scripts/fetch_defaults.py",
                                    "scripts/quickstart_report.py"])
def test_every_command_ends_in_this_way(script):
    assert "    run_cli(" in (ROOT / script).read_text(encoding="utf-8")
