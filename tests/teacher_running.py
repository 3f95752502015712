"""Teachers of the ring dataset in server processes, for the tests of the HTTP server."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import train
from teacher_world import N_ITEMS, TINY, raw_id, write_ring

SERVER = Path(__file__).resolve().parent.parent / "unirec" / "async_server.py"
ALL = [raw_id(number) for number in range(1, N_ITEMS + 1)]
HISTORIES = [ALL[:1], ALL[3:9], ALL[::-1][:25], ALL[5:8] * 5, ALL[:28]]


def trained(folder: Path, *flags: str) -> Path:
    """Train a teacher for two epochs, so that its probabilities are neither uniform nor certain.

    Returns:
        `folder`, which then holds `data` and `output`.
    """
    write_ring(folder / "data")
    flags = ("--epochs", "2", "--batch_size", "32", *flags)
    assert train.main(["--dataset", "ring", *places(folder), *TINY, *flags]) == 0
    return folder


def places(*folders: Path) -> list[str]:
    data, output = ([str(folder / kind) for folder in folders] for kind in ("data", "output"))
    return ["--data_path", *data, "--output_path", *output]


def start(folders: Sequence[Path], port: int = 0, dataset: str = "ring", *flags: str) -> subprocess.Popen:
    command = [sys.executable, str(SERVER), "--dataset", dataset, "--port", str(port), *places(*folders)]
    return subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def address(process: subprocess.Popen) -> str:
    """Return the URL that a started server prints."""
    return process.stdout.readline().strip().rpartition(" ")[2]


def host_port(url: str) -> tuple[str, int]:
    parts = httpx.URL(url)
    return parts.host, parts.port


@contextmanager
def running(folders: Sequence[Path], dataset: str = "ring", *flags: str) -> Iterator[str]:
    """Yield the URL of a running server; at the end, SIGTERM must end it with status 0 and no traceback."""
    process = start(folders, 0, dataset, *flags)
    try:
        yield address(process)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0 and "Traceback" not in errors, errors
    finally:
        process.kill()


def request_body(histories: list, k: int = 5, **more) -> dict:
    sizes = {"users": ["nobody"] * len(histories), "item_lengths": [len(h) for h in histories]}
    return sizes | {"k": k, "item_lists": histories, "immediately": False} | more


def ask(client: httpx.Client, histories: list, k: int = 5, **more) -> dict:
    response = client.post("/inference", json=request_body(histories, k, **more))
    assert response.status_code == 200, response.text
    return response.json()
