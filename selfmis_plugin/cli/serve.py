"""``selfmis serve``: a page on which recordings are dropped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from selfmis_plugin.cli.strip_models import add_strip_model, named_model, strip_model
from selfmis_plugin.utils.extras import how_to_install

#: Packages of the extra, whose lack is told.
_EXTRA = ("anyio", "starlette", "uvicorn")


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C; return the exit status."""
    options = parser().parse_args(argv)
    try:
        return _serve(options)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print(
            f"selfmis serve: the page needs starlette and uvicorn; {how_to_install('serve')}",
            file=sys.stderr,
        )
    except (OSError, ValueError) as error:
        print(f"selfmis serve: {error}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis serve",
        description="A page in the browser on which recordings are dropped, of every format that "
        "selfmis predict reads: strips with windows, beats and quality, probabilities, PDF and "
        "JSON. It is reached from this machine only, unless --host says otherwise; what is dropped "
        "is kept in memory only, until it is answered. For research, not for diagnosis.",
    )
    add_strip_model(parser)
    parser.add_argument(
        "--port",
        type=_port,
        default=8000,
        help="where it listens; 0: a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen at (default: %(default)s, which no other machine reaches); "
        "there is no password, and what is sent is not encrypted",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="with --host: a further name by which the server is reached; repeatable",
    )
    return parser


def _serve(options: argparse.Namespace) -> int:
    from selfmis_plugin.serve.scorer import Scorer
    from selfmis_plugin.serve.server import is_loopback, serve

    # Whoever sees the page need not know where on this machine it lies.
    path = named_model(options)
    name = (options.model or path).resolve().name
    scorer = Scorer(strip_model(path, options), name, options.precision, options.quality)
    if not is_loopback(options.host):
        print(
            "selfmis serve: whoever reaches this address can use the page, without a password; "
            "what is sent is not encrypted",
            file=sys.stderr,
        )

    def ready(address: str) -> None:
        print(f"Open {address} (Ctrl-C ends it)", flush=True)

    try:
        serve(scorer, options.host, options.port, options.name, ready)
    except KeyboardInterrupt:
        print("ended")
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a whole number up to 65535")
    return int(text)
