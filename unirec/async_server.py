"""Serve teachers over HTTP: `python unirec/async_server.py --dataset movies --port 2068`.

POST /inference and /ranking (fields in server_wire.py or at /docs); GET /health, /health/live, /health/ready,
/metrics.
"""

import argparse
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Waiting threads must sleep, not spin: on cores shared with the trainer that asks, spinning starves both.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# One thread answers most histories a second: blocks are small, and clients need cores too. Set it for huge catalogs.
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    import uvicorn
    from fastapi import FastAPI
    from server_app import ServerLimits, build_app
    from server_metrics import MULTIPROCESS_FOLDER, forget_dead_workers
    from teacher_model import TeacherModel, find_checkpoint, load_teacher
    from uvicorn.supervisors import Multiprocess

    from train_utils.serving.http_protocol import limited_uvicorn
    from train_utils.serving.listener import address_of, bind
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"error: package {error.name} is missing; pip install '.[serve]' in the project's folder")

from train_utils.command import LineParser, number, path_of, print_error, run_cli  # noqa: E402

# Dataset -> checkpoint to serve. None, or not named here: the newest finished run in unirec/output/NAME.
model_path: dict[str, str | None] = {"ml-100k": None, "movies": None, "toys": None, "steam": None}

HERE = Path(__file__).resolve().parent
DRAIN_S = 30
WORKER_START_S = 120  # on busy cores a worker imports torch for longer than uvicorn's 5 s, and would be killed for it
_ARGUMENTS = "UNIREC_SERVER_ARGUMENTS"  # how worker processes learn the command line


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = LineParser(description="Serve teachers over HTTP.")
    parser.add_argument(
        "--dataset", required=True,
        help="a name such as ml-100k; several: movies,toys; all: every name of model_path with a checkpoint",
    )  # fmt: skip
    parser.add_argument("--port", type=number(least=0, most=65535), default=2068)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1: this machine only)")
    parser.add_argument("--workers", type=number(least=1), default=1, help="processes, each with a copy of the models")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--data_path", type=path_of, nargs="+",
        help="folder of the UniRec files, one a dataset in the order of --dataset (unirec/data/NAME)",
    )  # fmt: skip
    parser.add_argument(
        "--output_path", type=path_of, nargs="+",
        help="folder of the runs, one a dataset in the order of --dataset (unirec/output/NAME)",
    )  # fmt: skip
    return parser.parse_args(argv)


def named_datasets(text: str) -> list[str]:
    """Return the names in the value of --dataset, in order; `all` are those of model_path that have a checkpoint."""
    if text == "all":
        return _with_checkpoint()
    names = text.split(",")
    for name in names:
        if not re.fullmatch(r"[^/,.\x00-\x1f-][^/,\x00-\x1f]*", name):
            raise ValueError(f"--dataset must be a name, names with commas between, or all; got {text!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"--dataset names a dataset twice: {text!r}")
    return names


def _with_checkpoint() -> list[str]:
    """Names of model_path whose checkpoint is there."""
    names = []
    for name in model_path:
        try:
            find_checkpoint(name, model_path, HERE / "output" / name)
        except ValueError:
            continue
        names.append(name)
    if not names:
        raise ValueError(
            f"no checkpoint of any of {', '.join(model_path)}; train one with scripts/unirec_train.sh NAME"
        )
    return names


def load_teachers(args: argparse.Namespace) -> dict[str, TeacherModel]:
    """Dataset -> teacher; ValueError or OSError when one cannot be loaded."""
    names = named_datasets(args.dataset)
    folders = {}
    for flag, given in (("data", args.data_path), ("output", args.output_path)):
        folders[flag] = given or [HERE / flag / name for name in names]
        if len(folders[flag]) != len(names):
            raise ValueError(
                f"--{flag}_path must name one folder for each of {', '.join(names)}, got {len(folders[flag])}"
            )
    return {
        name: load_teacher(find_checkpoint(name, model_path, output), data, args.device)
        for name, data, output in zip(names, folders["data"], folders["output"], strict=True)
    }


def worker_app() -> FastAPI:
    """Return the application of one of several worker processes."""
    forget_dead_workers(Path(os.environ[MULTIPROCESS_FOLDER]))
    return build_app(load_teachers(parse_args(json.loads(os.environ[_ARGUMENTS]))))


def serve(argv: Sequence[str]) -> None:
    args = parse_args(argv)
    teachers = load_teachers(args)
    listener = bind(args.host, args.port)
    settings = limited_uvicorn(ServerLimits().http) | {
        "proxy_headers": False,  # nothing here asks who the client is
        "timeout_graceful_shutdown": DRAIN_S,
        "timeout_worker_healthcheck": WORKER_START_S,
    }
    if args.workers == 1:
        server = uvicorn.Server(uvicorn.Config(build_app(teachers), **settings))
        # uvicorn drains on a signal and then raises it again: caught here, the process ends with status 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
        _announce(teachers, args.host, listener)
        server.run(sockets=[listener])
        return
    with tempfile.TemporaryDirectory(prefix="teacher-metrics-") as folder:
        os.environ |= {_ARGUMENTS: json.dumps(list(argv)), MULTIPROCESS_FOLDER: folder}
        config = uvicorn.Config("async_server:worker_app", factory=True, workers=args.workers, **settings)
        supervisor = Multiprocess(config, sockets=[listener])
        _announce(teachers, args.host, listener)
        supervisor.run()


def _announce(teachers: dict[str, TeacherModel], host: str, listener: socket.socket) -> None:
    what = ", ".join(f"{name} ({teacher.path})" for name, teacher in teachers.items())
    print(f"teacher of {what} at {address_of(host, listener.getsockname()[1])}", flush=True)


def main(argv: Sequence[str]) -> int:
    try:
        serve(argv)
    except (ValueError, OSError) as error:
        return print_error(error)
    return 0


if __name__ == "__main__":
    run_cli(lambda: main(sys.argv[1:]))
