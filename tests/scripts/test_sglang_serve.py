"""The script that serves by SGLang promises one line for a wrong argument, and no start without the plugin."""

import json

import pytest
from test_vllm_serve import served, world  # noqa: F401  # a fixture


def by_sglang(world, *arguments, **more):  # noqa: F811
    return served(world, *arguments, script="sglang_serve.sh", **{"SGLANG_PYTHON": str(world / "python")} | more)


@pytest.mark.parametrize(
    ("arguments", "environment", "error"),
    [
        ([], {}, "usage: scripts/sglang_serve.sh"),
        (["../movies", "MODEL"], {}, "usage: scripts/sglang_serve.sh"),
        (["movies,books", "MODEL"], {}, "there is no dataset folder"),
        (["movies", "/no/model"], {}, "is no folder of a merged model"),
        (["movies", "MODEL"], {"SGLANG_PYTHON": ""}, "SGLANG_PYTHON is not set"),
        (["movies", "MODEL"], {}, "the plugin is not in the environment"),
    ],
)
def test_a_wrong_argument_is_one_line(world, arguments, environment, error):  # noqa: F811
    given = [str(world / "model") if argument == "MODEL" else argument for argument in arguments]
    result = by_sglang(world, *given, **environment)
    assert result.returncode == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert error in result.stderr


def test_the_server_gets_the_backend_and_the_catalogs(world):  # noqa: F811
    (world / "python").write_text(
        f'#!/bin/sh\ncase "$*" in *launch_server*) env > {world}/env; echo "$*" > {world}/flags;; esac\nexit 0\n'
    )
    result = by_sglang(world, "movies", str(world / "model"), "18766", "--require_catalog", "--tp", "2")
    assert result.returncode == 0
    environment = dict(line.split("=", 1) for line in (world / "env").read_text().splitlines() if "=" in line)
    assert json.loads(environment["RECLM_CATALOGS"]) == {"movies": str(world / "data" / "movies")}
    assert environment["RECLM_REQUIRE_CATALOG"] == "1"
    flags = (world / "flags").read_text()
    assert "--grammar-backend reclm" in flags and "--port 18766" in flags and "--tp 2" in flags
    assert "--require_catalog" not in flags


def test_an_allow_list_without_the_plugin_is_refused(world):  # noqa: F811
    (world / "python").write_text("#!/bin/sh\nexit 0\n")
    result = by_sglang(world, "movies", str(world / "model"), SGLANG_PLUGINS="other")
    assert result.returncode == 2 and "add reclm" in result.stderr
