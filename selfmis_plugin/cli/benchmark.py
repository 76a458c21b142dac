"""``selfmis benchmark``: speed, memory and methods, measured against a reference in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from selfmis_plugin.cli.benchmarks import known_benchmarks
from selfmis_plugin.utils.files import printing_beside

_OWN = "selfmis_plugin."


def main(argv: Sequence[str]) -> int:
    """Run one benchmark; return the exit status."""
    benchmarks = known_benchmarks()
    options = parser().parse_args(argv)
    try:
        with printing_beside(getattr(options, "json", None)):
            return benchmarks[options.benchmark].run(options)
    except (OSError, ValueError) as error:
        # Those of this plugin say what to do; any other is a fault to see whole.
        if isinstance(error, ValueError) and not type(error).__module__.startswith(_OWN):
            raise
        print(f"selfmis benchmark {options.benchmark}: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis benchmark",
        description="Measure on this machine, as ratios against a reference in the same run.",
    )
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name, benchmark in known_benchmarks().items():
        title = benchmark.title
        # argparse fills in what follows a percent sign of help, and not of a description.
        command = commands.add_parser(name, help=title.replace("%", "%%"), description=title)
        benchmark.add_arguments(command)
    return parser
