"""What commands take whose work is shared out: processes, shares of a job array, a cluster."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from selfmis_plugin.utils import arguments
from selfmis_plugin.utils.extras import how_to_install

if TYPE_CHECKING:
    from selfmis_plugin.utils.parallel import Workers

__all__ = [
    "HERE_OR_THERE", "add_parts", "cluster", "refuse_needless", "share", "without_dask", "workers",
]  # fmt: skip

#: What is said to who asks for both.
HERE_OR_THERE = (
    "--workers is of processes on this machine, and --scheduler hands the work to the workers of a "
    "cluster: leave one of them out"
)


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Declare ``--workers``, ``--scheduler``, ``--part`` and ``--restart`` of a command that writes
    a folder of parts."""
    parser.add_argument(
        "--workers",
        type=arguments.workers,
        metavar="N",
        help="into a folder: processes that compute, each with the model (default: 1)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="into a folder: work on the Dask cluster of this scheduler instead of on this "
        "machine; its workers must see all files under the same paths",
    )
    parser.add_argument(
        "--part",
        type=share,
        metavar="K/N",
        help="into a folder: only the K-th of N shares, such as one task of a job array",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="into a folder: throw away what is there of another model, other records or options",
    )


def refuse_needless(
    parser: argparse.ArgumentParser, options: argparse.Namespace, in_parts: bool, folder: str
) -> None:
    """End the command where an option of a folder of parts would be ignored.

    Parameters
    ----------
    parser
        Whose options they are; it says what is wrong.
    options
        What was typed.
    in_parts
        Whether a folder of parts is written.
    folder
        How one is asked for.
    """
    shared = options.workers or options.scheduler or options.part or options.restart
    if shared and not in_parts:
        parser.error(f"--workers, --scheduler, --part and --restart are for {folder}")
    if options.workers and options.scheduler:
        parser.error(HERE_OR_THERE)


def share(text: str) -> tuple[int, int]:
    """Read ``K/N``."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    number, shares = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= shares:
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N, such as 2/8")
    return number, shares


def workers(options: argparse.Namespace) -> Workers:
    """Return the workers that ``--scheduler`` or ``--workers`` asks for.

    Raises
    ------
    PreparationError
        If there is no Dask.
    """
    from selfmis_plugin.utils.parallel import Processes

    return cluster(options.scheduler) if options.scheduler else Processes(options.workers or 1)


def cluster(address: str) -> Workers:
    """Return the workers of the Dask cluster of a scheduler.

    Raises
    ------
    PreparationError
        If there is no Dask.
    """
    from selfmis_plugin.preparation.parts import PreparationError

    try:
        # Dask is an optional extra: nobody without a cluster should need it.
        from selfmis_plugin.preparation.cluster import DaskWorkers
    except ModuleNotFoundError as error:
        raise PreparationError(without_dask(error)) from error
    return DaskWorkers(address)


def without_dask(error: ModuleNotFoundError) -> str:
    """Return what to say where there is no Dask."""
    return (
        f"--scheduler needs {error.name}, which is not installed; {how_to_install('cluster')}, "
        "here and on every worker"
    )
