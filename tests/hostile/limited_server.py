"""A small FastAPI application with the limits of `HttpLimits`, as a process: python limited_server.py LIMITS_JSON.

The first line of output is its port. POST /echo answers with the length of the body, /health with "ok", /large
with 64 MiB, and /wait never.
"""

import asyncio
import json
import socket
import sys

import uvicorn
from fastapi import FastAPI, Request, Response

from train_utils.serving.http_limits import BodyLimits, HttpLimits
from train_utils.serving.http_protocol import limited_uvicorn

app = FastAPI()


@app.post("/echo")
async def echo(request: Request) -> dict[str, int]:
    return {"length": len(await request.body())}


@app.get("/health")
async def health() -> str:
    return "ok"


@app.get("/large")
async def large() -> Response:
    return Response(bytes(2**26))


@app.get("/wait")
async def wait() -> None:
    await asyncio.Event().wait()


def serve(limits: HttpLimits, listener: socket.socket) -> None:
    app.add_middleware(BodyLimits, limits=limits)
    uvicorn.Server(uvicorn.Config(app, **limited_uvicorn(limits))).run(sockets=[listener])


def listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=2048)


if __name__ == "__main__":
    listener = listen()
    print(listener.getsockname()[1], flush=True)
    serve(HttpLimits(**json.loads(sys.argv[1])), listener)
