"""Names under which a server of one machine answers, so that no page of another site reads it.

A page can point a name of its own at 127.0.0.1 (DNS rebinding). Its browser then takes the server for the page's own
site, and only the header `Host` shows that it is not.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from train_utils.serving.http_limits import App, HttpLimits, Receive, Refused, Scope, Send


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine by its loopback address or name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or _address(name).is_loopback
    except (OSError, ValueError):
        return False


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that the system reads in a text; ValueError or OSError for none.

    Such as 127.1, which is short for 127.0.0.1, and ::ffff:127.0.0.1, which is the same in IPv6.
    """
    if ":" not in name and name.isascii() and not any(map(str.isspace, name)):  # text after a space is not read
        return ipaddress.IPv4Address(socket.inet_aton(name))
    address = ipaddress.ip_address(name)
    return getattr(address, "ipv4_mapped", None) or address


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
