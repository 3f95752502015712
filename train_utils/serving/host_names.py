"""Names under which a server of one machine answers, so that no page of another site reads it.

A page can point a name of its own at 127.0.0.1 (DNS rebinding). Its browser then takes the server for the page's own
site, and only the header `Host` shows that it is not.
"""

import ipaddress
from urllib.parse import urlsplit

from train_utils.serving.http_limits import App, HttpLimits, Receive, Refused, Scope, Send


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine by its loopback address or name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class LoopbackNames:
    """ASGI middleware that refuses requests whose `Host` is no loopback name.

    A request without the header passes: browsers always send it.
    """

    def __init__(self, app: App, limits: HttpLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        names = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host" and value]
        if all(map(is_loopback, names)):
            await self._app(scope, receive, send)
            return
        await Refused(
            421,
            "the header Host names no loopback address; open http://127.0.0.1, let a proxy in front send that name, or "
            "set keys by --api_keys",
        ).send(send, self._limits)
