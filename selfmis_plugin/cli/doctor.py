"""``selfmis doctor``: what is installed here, and what to do where a training cannot start."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.utils.files import write_json

if TYPE_CHECKING:
    from selfmis_plugin.cli.diagnosis import Diagnosis


def main(argv: Sequence[str]) -> int:
    """Print what was found; return 1 if no training can start, else 0."""
    options = parser().parse_args(argv)
    from selfmis_plugin.cli.diagnosis import examine

    found = examine()
    try:
        if options.json is not None:
            write_json(options.json, dataclasses.asdict(found))
        if options.json is None or str(options.json) != "-":
            print(as_text(found))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"selfmis doctor: {error}", file=sys.stderr)
        return 1
    return int(any(problem.stops_training for problem in found.problems))


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis doctor",
        description="Say what is installed here, which patches the host needs, what is wrong and "
        "what to do about it. Put its output into a bug report.",
        epilog="Exit status: 0, or 1 if no training can start before something is mended.",
    )
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=Path("-"),
        metavar="FILE",
        help="all of it, for a program; without a FILE, or with -, to the standard output",
    )
    return parser


def as_text(found: Diagnosis) -> str:
    """Return the findings as lines."""
    lines = [f"{name:16} {value}" for name, value in found.facts.items()]
    if found.contract:
        there = found.contract["entries"] - len(found.contract["mismatches"])
        lines.append(f"{'relied on':16} {there} of {found.contract['entries']} names there")
    if found.patches:
        lines += ["", "Patches of the host:"]
    for patch in found.patches:
        lines.append(f"  {patch['name']}: {patch['state']}")
        if patch["state"] != "not needed":
            lines += [f"    why: {patch['reason']}", f"    for: {patch['version']}"]
    lines += ["", "Problems:" if found.problems else "No problems found."]
    for number, problem in enumerate(found.problems, 1):
        lines += [f"  {number}. {problem.what}.", f"     What to do: {problem.advice}"]
    return "\n".join(lines)
