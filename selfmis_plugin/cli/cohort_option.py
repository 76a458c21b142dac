"""The key by which a command that makes a synthetic cohort is told of which version."""

from __future__ import annotations

import argparse

from selfmis_plugin.data.origin import COHORT_VERSIONS, LATEST_COHORT

__all__ = ["add_cohort"]


def add_cohort(
    parser: argparse.ArgumentParser, where: str = "", default: int = LATEST_COHORT
) -> None:
    """Add ``--cohort``, None where it is not given.

    Parameters
    ----------
    parser
        Where to add it.
    where
        When it is about something, such as ``"without --train: "``.
    default
        What the command takes then.
    """
    parser.add_argument(
        "--cohort",
        type=int,
        choices=COHORT_VERSIONS,
        help=f"{where}version of the synthetic hearts; 1 makes what was made before there was "
        f"another (default: {default})",
    )
