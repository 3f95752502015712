"""An environment is made again for another package, not for other settings of linters."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def printed(folder: Path, pyproject: str) -> str:
    (folder / "pyproject.toml").write_text(pyproject)
    script = f"set -euo pipefail; source {ROOT}/scripts/package_tables.sh; package_tables"
    environment = {**os.environ, "BASE_PYTHON": sys.executable}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_an_environment_depends_on_what_pip_reads_alone(tmp_path):
    ours = (ROOT / "pyproject.toml").read_text()
    expected = printed(tmp_path, ours)
    assert "transformers" in expected and "train_utils" in expected
    assert printed(tmp_path, ours.replace("line-length = 120", "line-length = 100")) == expected
    assert printed(tmp_path, ours.replace('"numpy>=2.4"', '"numpy>=2.5"')) != expected
    assert printed(tmp_path, ours.replace('include = ["train_utils*"]', 'include = ["train_utils"]')) != expected
