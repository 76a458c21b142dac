"""What a benchmark is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

#: Encoders that benchmarks measure: ECGFounder's, and that of the configs for a CPU.
SIZES = ("full", "small")


class BenchmarkError(ValueError):
    """A benchmark cannot be run as asked; the message says what to do."""


@dataclass(frozen=True)
class Benchmark:
    """A subcommand of ``selfmis benchmark``.

    Attributes
    ----------
    name
        Name of the subcommand.
    title
        One line of help.
    add_arguments
        Adds the benchmark's options to a parser.
    run
        Measures, prints a table and returns the exit status. Raises BenchmarkError.
    """

    name: str
    title: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
