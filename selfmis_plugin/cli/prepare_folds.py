"""``selfmis prepare folds``: manifests of a store's own folds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfmis_plugin.utils.arguments import add_dest, whole_numbers

TITLE = "manifests of a store's own folds, such as all but one to train on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``selfmis prepare folds``."""
    parser.add_argument("data", type=Path, metavar="STORE", help="a store, or manifests of one")
    parser.add_argument(
        "--valid",
        type=whole_numbers,
        required=True,
        metavar="FOLDS",
        help="folds to choose checkpoints on, such as 10; all that is not named is trained on",
    )
    parser.add_argument(
        "--test",
        type=whole_numbers,
        default=(),
        metavar="FOLDS",
        help="folds to test on (default: none, for a model whose recipe was judged elsewhere)",
    )
    add_dest(parser, "folder of manifests to make")


def run(args: argparse.Namespace) -> int:
    """Write the manifests; return the exit status."""
    from selfmis_plugin.data.fold_manifests import write_folds
    from selfmis_plugin.data.store import StoreError

    try:
        counts = write_folds(args.data, args.dest, args.valid, args.test)
    except (StoreError, OSError) as error:
        print(f"selfmis prepare folds: {error}", file=sys.stderr)
        return 1
    for split, count in counts.items():
        print(f"{split}: {count:,} records")
    print(f"{args.dest}: train with task.data={args.dest}")
    return 0
