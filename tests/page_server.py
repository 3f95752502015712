"""A real server of a tiny model, for tests of the chat page."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import uvicorn
from tiny import tiny_chat

from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.serving.access import Keys
from train_utils.serving.domains import Domains, dataset_folders
from train_utils.serving.http_app import SERVER_LIMITS, build_app
from train_utils.serving.http_protocol import limited_uvicorn
from train_utils.serving.listener import bind
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import Service

HOSTILE = '<img src=x onerror="document.title=1">'
FILMS = {
    "red moon": "Comedy", "blue river": "Comedy", "green night": "Comedy", "the end": "Comedy",
    "river return": "Drama", "moon item": "Drama", "night list": "Drama", HOSTILE: "Horror",
}  # fmt: skip
BOOKS = {"moon": "Novel", "river": "Novel", "green": "Essay"}
KEY = "0123456789abcdef"


class Gate:
    """Forward hook that holds the model after a number of passes, so that an answer stays under way."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._opened = threading.Event()

    def close_after(self, passes: int) -> None:
        self._opened.clear()
        self._left = passes

    def open(self) -> None:
        self._left = None
        self._opened.set()

    def __call__(self, *_: object) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self._opened.wait()


@dataclass
class World:
    """A running server, one that needs a key, and the gate of their model."""

    url: str
    url_with_keys: str
    gate: Gate


def write_dataset(folder: Path, titles: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    ids = {title: f"{folder.name[0]}{position}" for position, title in enumerate(titles)}
    metas = {
        ids[title]: {"title": title, "title_t": title, "year": 1990 + position, "description": ""}
        for position, title in enumerate(titles)
    }
    categories = {name: [ids[title] for title in titles if titles[title] == name] for name in set(titles.values())}
    for name, value in (("metas", metas), ("category", categories), ("sequential", {"u": list(metas)})):
        (folder / f"{name}.jsonl").write_text(json.dumps(value))


@contextmanager
def running_world(data: Path) -> Iterator[World]:
    """Run the servers on datasets that are written into a folder."""
    write_dataset(data / "films", FILMS)
    write_dataset(data / "books", BOOKS)
    model, chat = tiny_chat([*FILMS, *BOOKS], seed=7, tied=False)
    with torch.no_grad():  # free text never ends before its limit
        model.get_output_embeddings().weight[chat.tokenizer.eos_token_id] = 0
    gate = Gate()
    model.register_forward_hook(gate)
    domains = Domains(Recommender(model, Chat(chat.tokenizer)), dataset_folders(data))
    service = Service(domains, "films", Scheduler())
    servers = [
        uvicorn.Server(uvicorn.Config(build_app(service, keys, max_new_tokens=150), **limited_uvicorn(SERVER_LIMITS)))
        for keys in (None, Keys({KEY: frozenset(("read",))}))
    ]
    listeners = [bind("127.0.0.1", 0) for _ in servers]
    threads = [
        threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        for server, listener in zip(servers, listeners, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield World(*(f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners), gate)
    finally:
        gate.open()
        for server, thread in zip(servers, threads, strict=True):
            server.should_exit = True
            thread.join()
