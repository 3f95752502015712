"""The container files name what exists: files of the repository, flags of the programs, paths of the server."""

from pathlib import Path

import pytest
import yaml

from train_utils.param.chat import ChatOptions

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scripts" / "container"


@pytest.fixture(scope="module")
def services() -> dict:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_the_image_copies_files_of_the_repository():
    lines = (FOLDER / "Containerfile").read_text(encoding="utf-8").splitlines()
    copied = [path for line in lines if line.startswith("COPY ") for path in line.split()[1:-1]]
    assert copied and not [path for path in copied if not (ROOT / path).exists()]


def test_the_chat_is_started_with_flags_that_it_has(services):
    flags = [word.removeprefix("--") for word in services["chat"]["command"] if word.startswith("--")]
    entry = next(line for line in (FOLDER / "Containerfile").read_text().splitlines() if line.startswith("ENTRYPOINT"))
    flags += [word.removeprefix("--") for word in yaml.safe_load(entry.removeprefix("ENTRYPOINT ")) if "--" in word]
    assert {"model_name", "serve", "host"} <= {*flags} <= {*ChatOptions.__dataclass_fields__}


def test_nothing_is_reached_from_outside_the_machine_and_nothing_runs_as_root(services):
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published and all(port.startswith("127.0.0.1:") for port in published)
    assert "USER 10001" in (FOLDER / "Containerfile").read_text(encoding="utf-8").splitlines()


def test_prometheus_scrapes_the_services(services):
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    hosts = {target.split(":")[0] for job in jobs for each in job["static_configs"] for target in each["targets"]}
    assert hosts == {"chat", "teacher"} <= {*services}
