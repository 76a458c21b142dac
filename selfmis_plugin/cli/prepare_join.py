"""``selfmis prepare join``: one store of several."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TITLE = "one store of several with the same leads, rate, length and filter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``selfmis prepare join``."""
    parser.add_argument(
        "data",
        type=Path,
        nargs="+",
        metavar="STORE",
        help="stores, or manifests of them, at least two; of those whose names would collide, the "
        "first one's stay",
    )
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the store to make",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the store that is at DIR, once the new one is whole; other files in it stay",
    )


def run(args: argparse.Namespace) -> int:
    """Join the stores; return the exit status."""
    from selfmis_plugin.data.store import StoreError
    from selfmis_plugin.preparation.joining import join_stores

    try:
        joined = join_stores(args.data, args.dest, overwrite=args.overwrite)
    except (StoreError, OSError) as error:
        print(f"selfmis prepare join: {error}", file=sys.stderr)
        return 1
    print(joined)
    return 0
