"""Who may ask: the page itself, under a name that is this server's."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOOPBACK", "Guard"]

#: Names of a machine for itself.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests of other pages, and those that another name has led here.

    A page elsewhere can point a name of its own to this machine (DNS rebinding); then its name
    stands in ``Host``. Its own requests have its name in ``Origin``.

    Parameters
    ----------
    app
        What answers the others.
    names
        Names of this server, in lower case.
    addresses
        Whether any address in numbers may stand in ``Host``, which no name server can point
        elsewhere.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], addresses: bool = False) -> None:
        self._app = app
        self._names = frozenset(names)
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._app
        if (refused := self._refusal(Headers(scope=scope))) is not None:
            answer = JSONResponse({"error": refused}, status_code=403)
        await answer(scope, receive, send_guarded)

    def _refusal(self, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self._is_ours(host):
            return "This server is not known by that name: open the address that it printed."
        for origin in headers.getlist("origin"):
            scheme, _, place = origin.lower().partition("://")
            if scheme not in ("http", "https") or place != host:
                return "The request comes from another page."
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.netloc != host or "@" in host:
            return False
        return name in self._names or (self._addresses and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
