"""``selfmis prepare view``: a store's records with some of their leads, at a lower rate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfmis_plugin.utils import arguments

TITLE = "a small store of some of a store's leads, at a lower rate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``selfmis prepare view``."""
    parser.add_argument("data", type=Path, metavar="STORE", help="folder of a store")
    arguments.add_dest(parser, "folder of the view to make: a store of the same records")
    parser.add_argument(
        "--leads",
        type=arguments.names,
        metavar="NAMES",
        help="leads to keep, such as I (default: all)",
    )
    parser.add_argument(
        "--sample-rate",
        "--rate",
        type=arguments.positive,
        metavar="HZ",
        help="decimate to so many Hz, as encoders do (default: the store's)",
    )
    parser.add_argument(
        "--embeddings",
        action="store_true",
        help="also copy the embeddings that are kept in STORE/embeddings; without it they are read "
        "there",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the store that is at DIR")


def run(args: argparse.Namespace) -> int:
    """Make the view; return the exit status."""
    from selfmis_plugin.data.store import StoreError
    from selfmis_plugin.preparation.view import write_view

    try:
        made = write_view(
            args.data, args.dest, args.leads, args.sample_rate, args.embeddings, args.overwrite
        )
    except (StoreError, OSError) as error:
        print(f"selfmis prepare view: {error}", file=sys.stderr)
        return 1
    print(f"{made}\n  train with task.data={args.dest}")
    return 0
