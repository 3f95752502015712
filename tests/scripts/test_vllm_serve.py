"""The script that serves by vLLM promises one line for a wrong argument, and no start without the plugin."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path):
    """Return a folder with a dataset, a model, and a Python without the plugin."""
    (tmp_path / "data" / "movies").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    # Isolated, Python sees no entry point of this checkout.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    return tmp_path


def served(world, *arguments, script="vllm_serve.sh", **environment):
    variables = {"PATH": os.environ["PATH"], "DATA_ROOT": str(world / "data"), "VLLM_PYTHON": str(world / "python")}
    command = ["bash", str(ROOT / "scripts" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables | environment, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "usage: scripts/vllm_serve.sh"),
        (["movies"], "usage: scripts/vllm_serve.sh"),
        (["../movies", "MODEL"], "usage: scripts/vllm_serve.sh"),
        (["movies,books", "MODEL"], "there is no dataset folder"),
        (["movies", "/no/model"], "is no folder of a merged model"),
        (["movies", "MODEL", "--jump_forward", "x"], "--jump_forward is 'x', wanted a number of tokens"),
        (["movies", "MODEL"], "the plugin is not in the environment"),
    ],
)
def test_a_wrong_argument_is_one_line(world, arguments, error):
    result = served(world, *[str(world / "model") if given == "MODEL" else given for given in arguments])
    assert result.returncode == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert error in result.stderr


def test_an_allow_list_without_the_plugin_is_refused(world):
    (world / "python").write_text("#!/bin/sh\nexit 0\n")
    result = served(world, "movies", str(world / "model"), VLLM_PLUGINS="other")
    assert result.returncode == 2 and "add reclm" in result.stderr


def test_the_catalogs_reach_the_server_by_the_environment(world):
    # The first command looks for the plugin, the second is the server, the third asks for its health.
    (world / "python").write_text(
        f'#!/bin/sh\ncase "$*" in *api_server*) env > {world}/env; echo "$*" > {world}/flags;; esac\nexit 0\n'
    )
    result = served(
        world, "movies", str(world / "model"), "18765", "--require_catalog", "--jump_forward", "4", "--dtype", "float32"
    )
    assert result.returncode == 0 and "at http://127.0.0.1:18765" in result.stderr
    environment = dict(line.split("=", 1) for line in (world / "env").read_text().splitlines() if "=" in line)
    assert json.loads(environment["RECLM_CATALOGS"]) == {"movies": str(world / "data" / "movies")}
    assert environment["RECLM_REQUIRE_CATALOG"] == "1"
    flags = (world / "flags").read_text()
    assert "GrammarProposer" in flags and '"num_speculative_tokens": 4' in flags and "--dtype float32" in flags


def test_the_check_wants_its_arguments(world):
    result = served(world, script="vllm_check.sh")
    assert result.returncode == 2 and "usage: scripts/vllm_check.sh" in result.stderr
