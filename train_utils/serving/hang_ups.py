"""Clients that leave before their answer is complete."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import Request


@asynccontextmanager
async def stopped_when_gone(http: Request, stop: threading.Event) -> AsyncIterator[None]:
    """Set `stop` as soon as the client leaves, and where the block fails.

    A thread that waits for the next text cannot be cancelled, and the model may write for minutes what shows no text.
    """

    async def watch() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass
        stop.set()

    watcher = asyncio.ensure_future(watch())
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
