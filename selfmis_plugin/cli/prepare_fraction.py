"""``selfmis prepare fraction``, and the options that do the same while a database is prepared."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.data.split_names import ALL_TRAINING
from selfmis_plugin.utils import arguments

if TYPE_CHECKING:
    from selfmis_plugin.data.fraction_manifests import LabelFraction

TITLE = "manifests that list a fraction of a store's training records"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``selfmis prepare fraction``."""
    parser.add_argument("data", type=Path, metavar="STORE", help="a store, or manifests of one")
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of manifests to make",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace such a folder that is at DIR"
    )
    _add_options(parser, required=True)


def add_database_options(parser: argparse.ArgumentParser, draws_splits: bool) -> None:
    """Add ``--label-fraction`` and ``--seed`` to a database's command; whose seed also draws
    splits, says so."""
    _add_options(parser, required=False, draws_splits=draws_splits)


def run(args: argparse.Namespace) -> int:
    """Write the manifests; return the exit status."""
    from selfmis_plugin.data.fraction_manifests import write_fraction
    from selfmis_plugin.data.store import StoreError

    try:
        chosen = write_fraction(
            args.data, args.dest, args.label_fraction, args.seed, args.overwrite
        )
    except (StoreError, OSError) as error:
        print(f"selfmis prepare fraction: {error}", file=sys.stderr)
        return 1
    print(f"{chosen}\n{args.dest}: train with task.data={args.dest}")
    return 0


def asked(args: argparse.Namespace) -> LabelFraction | None:
    """Return the fraction that a database's command asks for."""
    from selfmis_plugin.data.fraction_manifests import LabelFraction

    if args.label_fraction is None:
        return None
    return LabelFraction(args.label_fraction, args.seed or 0)


def say(args: argparse.Namespace) -> int:
    """Say which fraction a store lists that a database's command has made.

    Returns the exit status.
    """
    if args.label_fraction is None:
        return 0
    from selfmis_plugin.data.fraction_manifests import choose_fraction
    from selfmis_plugin.data.store import StoreError

    try:
        print(choose_fraction(args.dest, args.label_fraction, args.seed or 0))
    except (StoreError, OSError) as error:
        print(f"selfmis prepare: the store is made, but not the fraction: {error}", file=sys.stderr)
        return 1
    return 0


def _add_options(
    parser: argparse.ArgumentParser, required: bool, draws_splits: bool = False
) -> None:
    parser.add_argument(
        "--label-fraction",
        type=arguments.share,
        required=required,
        metavar="F",
        help="share of the training records that train.tsv lists, such as 0.25; patients are "
        "taken whole, smaller shares lie inside larger ones of the same seed, and validation and "
        "test stay as they are"
        + ("" if required else f". All records are in the store and in {ALL_TRAINING}.tsv"),
    )
    drawn = "a fraction and the splits take" if draws_splits else "a fraction takes"
    parser.add_argument(
        "--seed",
        type=arguments.whole(0),
        default=0 if required else None,
        metavar="S",
        help=f"which patients {drawn} (default: 0)",
    )
