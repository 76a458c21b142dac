"""The server: an address, a process, and nothing written."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection

import uvicorn

from selfmis_plugin.serve.app import application
from selfmis_plugin.serve.guard import LOOPBACK
from selfmis_plugin.serve.scorer import Scorer

__all__ = ["is_loopback", "serve"]

#: Connections; more are told to come again.
_CONNECTIONS = 200
#: Seconds that requests have when the server is ended.
_ENDING = 10


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def serve(
    scorer: Scorer,
    host: str,
    port: int,
    names: Collection[str] = (),
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page until the process is told to end.

    Parameters
    ----------
    scorer
        What answers for uploads.
    host, port
        The address to listen at; port 0 is any that is free.
    names
        Further names under which it is reached.
    ready
        Called with the page's address as soon as it answers there.

    Raises
    ------
    OSError
        If the address cannot be had.
    """
    listening = _listen(host, port)
    bound, port = listening.getsockname()[:2]
    known = {*LOOPBACK, host.lower(), bound, *(name.lower() for name in names)}
    alone = is_loopback(bound)
    if not alone:
        known.add(socket.gethostname().lower())
    app = application(scorer, known, addresses=not alone)
    config = uvicorn.Config(
        app,
        access_log=False,
        # Its messages of errors have texts of requests.
        log_level="critical",
        http="h11",
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_ENDING,
    )
    shown = "127.0.0.1" if bound in ("0.0.0.0", "::") else host
    ready(f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/")
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(socket.SOMAXCONN)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise OSError(
            f"{host}, port {port}: cannot be listened at ({error.strerror}): give another --port, "
            "or 0 for one that is free"
        ) from error
    return listening
