"""Code in a process of its own, with limits of memory and of processor time, which do not depend on the load."""

import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_limited(code: str, *arguments: object, memory: int = 1 << 30, seconds: int = 30) -> str:
    """Run Python code and return what it prints.

    Args:
        code: the code; the folders of the stages are on its path.
        arguments: its `sys.argv[1:]`.
        memory: bytes of data that the process may have.
        seconds: processor time; far more than linear work takes, far less than quadratic work.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    path = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "preprocess", ROOT / "tests"))
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout
