"""``selfmis prepare``: turn a database of WFDB records into a store."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from selfmis_plugin.cli import prepare_export, prepare_fraction, prepare_recordings, synthetic
from selfmis_plugin.data.databases import known_databases
from selfmis_plugin.data.filters import FILTERS
from selfmis_plugin.data.leads import STANDARD_LEADS, parse_leads
from selfmis_plugin.data.listing import DatabaseError
from selfmis_plugin.data.preparation import PreparationError, prepare_database
from selfmis_plugin.data.preprocessing import NO_FILTER
from selfmis_plugin.data.store import StoreError

DATABASES = known_databases()
#: What else can be prepared: modules with TITLE, add_arguments and run.
OTHERS = {
    "recordings": prepare_recordings,
    "synthetic": synthetic,
    "fraction": prepare_fraction,
    "export": prepare_export,
}

#: Exit status after Ctrl-C, by the shell's custom.
INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand per database."""
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
            "--dest", type=Path, required=True, metavar="DIR", help="folder of the store to make"
        )
        command.add_argument(
            "--workers",
            type=_workers,
            default=_usable_cores(),
            metavar="N",
            help="processes that read records (default: %(default)s)",
        )
        command.add_argument(
            "--leads",
            type=_leads,
            default=STANDARD_LEADS,
            metavar="NAMES",
            help="leads that a record must have, such as I,II,V5; others may be absent, and are "
            "then zero and cleared in lead_mask (default: all twelve)",
        )
        command.add_argument(
            "--filter",
            choices=tuple(FILTERS),
            default=NO_FILTER,
            help="filter applied to the records: ecgfounder is the one that ECGFounder's weights "
            "were trained on; SelfMIS describes none (default: %(default)s)",
        )
        command.add_argument(
            "--overwrite", action="store_true", help="replace the store that is at DIR"
        )
        prepare_fraction.add_database_options(command)
        database.add_arguments(command)
    for name, module in OTHERS.items():
        command = commands.add_parser(name, help=module.TITLE, description=module.TITLE)
        command.set_defaults(database=name)
        module.add_arguments(command)


def run(args: argparse.Namespace) -> int:
    """Prepare what the arguments say; return the exit status."""
    try:
        with _terminated_like_interrupted():
            if args.database in OTHERS:
                return OTHERS[args.database].run(args)
            listing = DATABASES[args.database].list_records(args.root, args)
            summary = prepare_database(
                listing,
                args.dest,
                workers=args.workers,
                required=args.leads,
                overwrite=args.overwrite,
                filter=args.filter,
            )
    except (DatabaseError, PreparationError, StoreError, OSError) as error:
        print(f"selfmis prepare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"selfmis prepare: interrupted; no store made at {args.dest}", file=sys.stderr)
        return INTERRUPTED
    print(summary)
    return prepare_fraction.apply_to_prepared(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``selfmis prepare`` with *argv*, by default the command line's."""
    parser = argparse.ArgumentParser(
        prog="selfmis prepare",
        description="Turn a database of ECG records into a store for training.",
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))


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


def _workers(text: str) -> int:
    workers = int(text) if text.isdecimal() else 0
    if workers < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, at least 1")
    return workers


def _leads(text: str) -> tuple[str, ...]:
    try:
        return parse_leads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)
