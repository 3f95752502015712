"""The tiny model's folder, its service, and its server in a thread, of each test file its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_world import listening, make_service, make_world

from train_utils.serving.http_app import build_app
from train_utils.serving.service import Service


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Folder of a model and its catalogs; a file that needs more catalogs overrides it."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def service(world) -> Iterator[Service]:
    made = make_service(world)
    yield made
    made.scheduler.drain()


@pytest.fixture(scope="module")
def url(service) -> Iterator[str]:
    """Address of the server."""
    with listening(build_app(service, max_new_tokens=40)) as url:
        yield url
