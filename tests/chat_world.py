"""A tiny chat model with catalogs on disk, and its server, for tests of the chat and of its APIs."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from tiny import tiny_chat

from train_utils.decoding.engine import Engine
from train_utils.decoding.request import Request
from train_utils.models.backbone import load_backbone
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat
from train_utils.prompts.templates import SYSTEM
from train_utils.recommender import Recommender
from train_utils.serving.domains import Domains, dataset_folders
from train_utils.serving.http_app import SERVER_LIMITS
from train_utils.serving.http_protocol import limited_uvicorn
from train_utils.serving.listener import bind
from train_utils.serving.scheduler import Scheduler, SchedulerLimits
from train_utils.serving.service import Service

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"10": "red moon", "11": "red", "12": "blue river", "13": "the end", "14": "green night", "15": "a <b>"}


def write_dataset(folder: Path, titles: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    metas = {item: {"title": title, "title_t": title} for item, title in titles.items()}
    for name, value in (("metas", metas), ("category", {"all": list(titles)}), ("sequential", {"u": list(titles)})):
        (folder / f"{name}.jsonl").write_text(json.dumps(value))


def eager_model(titles: list[str], seed: int = 7):
    """A tiny model that writes ASCII without end and often opens an item.

    A row of zeros loses against the best of the other rows; the control token outbids the commonest of them.
    """
    model, chat = tiny_chat(titles, seed, tied=False)
    rows = model.get_output_embeddings().weight
    texts = [chat.decode([token]) for token in range(len(rows))]
    with torch.no_grad():
        rows[[not (text.isascii() and text.isprintable() and text) for text in texts]] = 0
    talks = [[message("system", SYSTEM), message("user", text)] for text in ("Hi", "the moon")]
    requests = [Request(chat.render(talk, prompt=True).ids, max_new_tokens=60) for talk in talks]
    answers = Engine(model, chat).generate(requests)
    commonest = Counter(token for answer in answers for token in answer.ids).most_common(1)[0][0]
    with torch.no_grad():
        rows[chat.soi] = 1.05 * rows[commonest]
    return model, chat.tokenizer


def make_world(root: Path) -> Path:
    """Return a folder with `model`, and `data` that holds a dataset, a second one, a broken one and no dataset."""
    model, tokenizer = eager_model(list(TITLES.values()))
    model.config.max_position_embeddings = 16384
    model.save_pretrained(root / "model")
    tokenizer.save_pretrained(root / "model")
    write_dataset(root / "data" / "tiny", TITLES)
    write_dataset(root / "data" / "books", {"b1": "moon", "b2": "river"})
    write_dataset(root / "data" / "broken", {"1": "same", "2": "same"})
    (root / "data" / "notes").mkdir()
    return root


def command(world: Path, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "cli_serve.py",
        "--model_name",
        str(world / "model"),
        "--data_root",
        str(world / "data"),
        "--gpu",
        "cpu",
        "--dtype",
        "float32",
        "--embedding_model",
        "",
        *arguments,
    ]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


@dataclass(frozen=True)
class Running:
    """A server process.

    Attributes:
        url: its address.
        process: the process.
    """

    url: str
    process: subprocess.Popen[str]


@contextmanager
def serving(world: Path, *arguments: str) -> Iterator[Running]:
    """Run the server of a world, and end it by SIGTERM, unless it has ended."""
    with subprocess.Popen(
        command(world, "--serve", "--port", "0", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening at "), line
            yield Running(line.removeprefix("listening at ").strip(), process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                finally:
                    process.kill()


def make_service(world: Path, limits: SchedulerLimits | None = None, first: str = "tiny") -> Service:
    """Return the service of a world, without a limit of the context but the model's."""
    tokenizer, model = load_backbone(str(world / "model"), torch.device("cpu"), "float32")
    domains = Domains(Recommender(model, Chat(tokenizer)), dataset_folders(world / "data"))
    return Service(domains, first, Scheduler(limits))


def again(service: Service, limits: SchedulerLimits | None = None) -> Service:
    """Return a service of the same model with a scheduler of its own: that of a server ends with it."""
    return Service(service.domains, service.first, Scheduler(limits))


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serve an application in a thread, with the limits of the program, and yield its address."""
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, **limited_uvicorn(SERVER_LIMITS)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
