"""The page and what it asks for, as an ASGI application."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Awaitable, Callable, Collection
from importlib.resources import files

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from selfmis_plugin.serve.guard import Guard
from selfmis_plugin.serve.scorer import Scorer
from selfmis_plugin.serve.upload import (
    CONTENT_TYPE,
    MOST_BYTES,
    Upload,
    UploadError,
    read_upload,
    too_large,
)

__all__ = ["application"]

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/drawing.js": ("drawing.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

#: Uploads that are held at once, and of those, which are computed; others wait.
_HELD, _COMPUTED = 8, 2
#: Seconds within which an upload arrives.
_ARRIVES = 120.0
#: Bytes of the line before the files.
_LINE = 64 * 2**10


def application(scorer: Scorer, names: Collection[str], addresses: bool = False) -> Starlette:
    """Return the application.

    Parameters
    ----------
    scorer
        What answers for uploads.
    names, addresses
        Which names the server has; see :class:`~selfmis_plugin.serve.guard.Guard`.
    """
    held = anyio.Semaphore(_HELD)
    computed = anyio.CapacityLimiter(_COMPUTED)

    async def facts(request: Request) -> Response:
        return JSONResponse(scorer.facts())

    def answering(compute: Callable[[Upload], bytes], kind: str) -> Callable[..., Awaitable]:
        async def answer(request: Request) -> Response:
            try:
                async with held:
                    upload = read_upload(await _body(request), scorer.quality)
                    work = functools.partial(compute, upload)
                    return Response(await run_sync(work, limiter=computed), media_type=kind)
            except _Refused as refused:
                return _error(refused.status, str(refused))
            except UploadError as error:
                return _error(400, str(error))
            except TimeoutError:
                return _error(408, "the upload took too long: send fewer files at once")
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception as error:  # the server goes on
                # Not what it says, which may have the name of a file.
                print(f"selfmis serve: a request failed: {type(error).__name__}", file=sys.stderr)
                return _error(500, f"this went wrong here ({type(error).__name__})")

        return answer

    def scored(upload: Upload) -> bytes:
        return json.dumps(scorer.score(upload), allow_nan=False).encode()

    return Starlette(
        routes=[
            *(Route(path, _static(*found)) for path, found in _PAGE.items()),
            Route("/model", facts),
            Route("/predict", answering(scored, "application/json"), methods=["POST"]),
            Route("/pdf", answering(scorer.document, "application/pdf"), methods=["POST"]),
        ],
        middleware=[Middleware(Guard, names=names, addresses=addresses)],
    )


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status)


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = (files("selfmis_plugin.serve") / "page" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


async def _body(request: Request) -> bytearray:
    """What was sent, as soon as it is whole."""
    if request.headers.get("content-type") != CONTENT_TYPE:
        raise _Refused(415, f"an upload is {CONTENT_TYPE}")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MOST_BYTES + _LINE:
        raise _Refused(413, too_large())
    body = bytearray()
    with anyio.fail_after(_ARRIVES):
        async for part in request.stream():
            if len(body) + len(part) > MOST_BYTES + _LINE:
                raise _Refused(413, too_large())
            body += part
    return body
