"""``selfmis doctor``: what is installed here, and what to do where a training cannot start."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from selfmis_plugin.cli.diagnosis import Diagnosis, examine


def main(argv: Sequence[str]) -> int:
    """Print what was found; return 1 if no training can start, else 0."""
    parser = argparse.ArgumentParser(
        prog="selfmis doctor",
        description="Say what is installed here, which patches the host needs, what is wrong and "
        "what to do about it. Put its output into a bug report.",
        epilog="Exit status: 0, or 1 if no training can start before something is mended.",
    )
    parser.add_argument("--json", action="store_true", help="all of it, for a program")
    options = parser.parse_args(argv)
    found = examine()
    print(json.dumps(dataclasses.asdict(found), indent=2) if options.json else as_text(found))
    return int(any(problem.stops_training for problem in found.problems))


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
