"""Options of the benchmarks that train, and how such a benchmark ends."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from selfmis_plugin.profiling.benchmark import SIZES, BenchmarkError
from selfmis_plugin.utils.arguments import whole, workers

__all__ = [
    "MIN_POSITIVES", "add_training_options", "overrides_of", "refuse_failed",
    "refuse_unknown_places",
]  # fmt: skip

#: Positive records that a figure of its own needs, unless it is said.
MIN_POSITIVES = 20


def add_training_options(parser: argparse.ArgumentParser, where: str, budget: str) -> None:
    """Add ``--seeds``, ``--size``, ``--set``, ``--workers`` and ``--budget``.

    Parameters
    ----------
    parser
        Where to add them.
    where
        What a config key can be set for, with examples.
    budget
        Whose records ``--budget`` counts.
    """
    parser.add_argument("--seeds", type=_seeds, default=(1,), help="number of seeds (default: 1)")
    parser.add_argument(
        "--size", choices=SIZES, default="full", help="which configs (default: full)"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        type=_override,
        action="append",
        default=[],
        metavar="[WHERE:]KEY=VALUE",
        help=f"a config key for every training, or for {where}; repeatable",
    )
    parser.add_argument(
        "--workers", type=workers, default=1, help="trainings at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--budget",
        type=whole(1),
        metavar="ECGS",
        help=f"records that {budget} reads, as whole epochs (default: as its config says)",
    )


def overrides_of(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Return the config keys of ``--set`` by where they are for, ``""`` for every training."""
    found: dict[str, dict[str, object]] = {}
    for where, key, value in options.overrides:
        found.setdefault(where, {})[key] = value
    return found


def refuse_unknown_places(
    overrides: Iterable[str], known: Iterable[str], shown: Iterable[str]
) -> None:
    """Raise BenchmarkError if ``--set`` names what there is not: its key would set nothing.

    Parameters
    ----------
    overrides
        What it names, ``""`` for every training.
    known
        What there is.
    shown
        What of it to list.
    """
    there = {"", *known}
    for name in overrides:
        if name not in there:
            raise BenchmarkError(
                f"--set {name}:...: nothing is called {name!r}; there are {', '.join(shown)}"
            )


def refuse_failed(report: Mapping[str, Any]) -> None:
    """Raise BenchmarkError, once the report is written, if a training has failed."""
    if report["failed"]:
        raise BenchmarkError(
            "\n\n".join(report["failed"].values())
            + "\n\nWhat is done stays done: the same command goes on"
        )


def _seeds(text: str) -> tuple[int, ...]:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seeds, at least 1")
    return tuple(range(1, int(text) + 1))


def _override(text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    where, _, key = name.rpartition(":")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE or WHERE:KEY=VALUE")
    return where, key, value
