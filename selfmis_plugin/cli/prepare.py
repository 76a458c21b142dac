"""``selfmis prepare``: turn a database of records into a store."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from selfmis_plugin.cli import (
    prepare_export,
    prepare_folds,
    prepare_fraction,
    prepare_join,
    prepare_recordings,
    prepare_view,
    synthetic,
)
from selfmis_plugin.cli.sharing import HERE_OR_THERE, cluster, share
from selfmis_plugin.data.filter_names import FILTER_NAMES, NO_FILTER
from selfmis_plugin.data.leads import STANDARD_LEADS, parse_leads
from selfmis_plugin.data.origin import OriginError, stated
from selfmis_plugin.preparation.databases import known_databases
from selfmis_plugin.preparation.listing import DatabaseError
from selfmis_plugin.utils import arguments

if TYPE_CHECKING:
    from selfmis_plugin.preparation.run import Share, Summary

DATABASES = known_databases()
MERGE = "merge"
#: What else can be prepared: modules with TITLE, add_arguments and run.
OTHERS = {
    "recordings": prepare_recordings,
    "synthetic": synthetic,
    "folds": prepare_folds,
    "fraction": prepare_fraction,
    "join": prepare_join,
    "export": prepare_export,
    "view": prepare_view,
}

#: Exit status after Ctrl-C, by the shell's custom.
INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand per database, and those that are none."""
    commands = parser.add_subparsers(dest="database", required=True, metavar="DATABASE")
    for name, database in DATABASES.items():
        command = commands.add_parser(
            name,
            aliases=[name.replace("-", "_")] if "-" in name else [],
            help=database.title,
            description=database.title,
        )
        command.set_defaults(database=name)
        command.add_argument("root", type=Path, metavar="ROOT", help="folder of the database")
        command.add_argument(
            "--dest",
            "--out",
            type=Path,
            required=True,
            metavar="DIR",
            help="folder of the store to make",
        )
        command.add_argument(
            "--workers",
            type=arguments.workers,
            metavar="N",
            help=f"processes that read records (default: {arguments.default_workers()})",
        )
        command.add_argument(
            "--leads",
            type=arguments.told(parse_leads),
            default=database.leads,
            metavar="NAMES",
            help="leads that a record must have, such as I,II,V5; others may be absent, and are "
            f"then zero and cleared in lead_mask (default: {_all(database.leads)})",
        )
        command.add_argument(
            "--filter",
            choices=FILTER_NAMES,
            default=NO_FILTER,
            help="filter applied to the records: ecgfounder is the one that ECGFounder's weights "
            "were trained on; SelfMIS describes none (default: %(default)s)",
        )
        command.add_argument(
            "--scheduler",
            metavar="tcp://HOST:PORT",
            help="work on the Dask cluster of this scheduler instead of on this machine; its "
            "workers must see ROOT and DIR under the same paths",
        )
        command.add_argument(
            "--part",
            type=share,
            metavar="K/N",
            help="prepare only the K-th of N shares, such as one task of a job array; when all "
            "are finished, selfmis prepare merge makes the store",
        )
        command.add_argument(
            "--restart",
            action="store_true",
            help="throw away what a run that was stopped has left in DIR.parts, instead of going "
            "on from there",
        )
        arguments.add_origin(command)
        _add_overwrite(command)
        prepare_fraction.add_database_options(command, database.draws_splits)
        database.add_arguments(command)
    title = "make the store of shares that were prepared with --part"
    command = commands.add_parser(MERGE, help=title, description=title)
    command.set_defaults(database=MERGE)
    command.add_argument(
        "--dest",
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the store to make",
    )
    _add_overwrite(command)
    for name, module in OTHERS.items():
        command = commands.add_parser(name, help=module.TITLE, description=module.TITLE)
        command.set_defaults(database=name)
        module.add_arguments(command)


def run(args: argparse.Namespace) -> int:
    """Prepare what the arguments say; return the exit status."""
    # Help should not wait for what reads records.
    from selfmis_plugin.data.store import StoreError
    from selfmis_plugin.preparation.run import PreparationError, Share, kept

    try:
        with _terminated_like_interrupted():
            if args.database in OTHERS:
                return OTHERS[args.database].run(args)
            made = _prepare(args)
    except BrokenPipeError:
        raise  # who reads the output has gone: selfmis as a whole deals with it
    except (DatabaseError, OriginError, PreparationError, StoreError, OSError) as error:
        print(f"selfmis prepare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        left = "nothing was written" if args.database in OTHERS else kept(args.dest)
        print(f"selfmis prepare: interrupted; {left}", file=sys.stderr)
        return INTERRUPTED
    print(made)
    if isinstance(made, Share) or args.database == MERGE:
        return 0
    return prepare_fraction.say(args)


def _prepare(args: argparse.Namespace) -> Summary | Share:
    from selfmis_plugin.preparation.run import (
        PreparationError,
        merge,
        prepare_database,
        prepare_share,
    )

    if args.database == MERGE:
        return merge(args.dest, overwrite=args.overwrite)
    if args.scheduler and args.workers:
        raise PreparationError(HERE_OR_THERE)
    draws = args.label_fraction is not None or DATABASES[args.database].draws_splits
    if args.seed is not None and not draws:
        raise PreparationError(
            "--seed says which patients --label-fraction takes: give --label-fraction too"
        )
    processes = args.workers or arguments.default_workers()
    workers = cluster(args.scheduler) if args.scheduler else processes
    listing = DATABASES[args.database].list_records(args.root, args)
    listing = replace(listing, origins=stated(listing.known_origins, args.origin))
    if args.part is None:
        return prepare_database(
            listing,
            args.dest,
            workers=workers,
            required=args.leads,
            overwrite=args.overwrite,
            filter=args.filter,
            restart=args.restart,
            fraction=prepare_fraction.asked(args),
        )
    if args.restart:
        raise PreparationError(
            "--restart would throw away what the other shares have prepared; remove "
            f"{args.dest}.parts yourself before you start them"
        )
    if args.label_fraction is not None:
        raise PreparationError(
            "a share has no training split to take a fraction of: leave out --label-fraction, and "
            "after selfmis prepare merge use selfmis prepare fraction"
        )
    number, shares = args.part
    return prepare_share(
        listing,
        args.dest,
        number,
        shares,
        workers=workers,
        required=args.leads,
        overwrite=args.overwrite,
        filter=args.filter,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``selfmis prepare`` with *argv*, by default the command line's."""
    return run(parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis prepare",
        description="Turn a database of ECG records into a store for training.",
    )
    add_arguments(parser)
    return parser


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Clean up as after Ctrl-C when a batch system ends the job."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _add_overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the store that is at DIR, once the new one is whole; other files in it stay",
    )


def _all(leads: Sequence[str]) -> str:
    return "all twelve" if tuple(leads) == STANDARD_LEADS else ",".join(leads)
