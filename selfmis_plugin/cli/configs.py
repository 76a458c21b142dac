"""``selfmis configs``: what can be trained, with a line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from selfmis_plugin.training.known_configs import known_configs, title_of, unknown_config


def main(argv: Sequence[str]) -> int:
    """List configs, or show one; return the exit status."""
    options = parser().parse_args(argv)
    known = known_configs()
    if options.name is None:
        width = max(map(len, known)) + 2
        for name, file in known.items():
            print(f"{name:{width}}{title_of(file)}")
        return 0
    if options.name not in known:
        print(f"selfmis configs: {unknown_config(options.name, list(known))}", file=sys.stderr)
        return 2
    print(f"# {known[options.name]}\n{known[options.name].read_text(encoding='utf-8')}", end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis configs",
        description="List the configs of selfmis train with a line each; with a name, show it. To "
        "change more than a few keys, copy its file and train with --config-dir FOLDER.",
    )
    parser.add_argument("name", nargs="?", metavar="CONFIG", help="show this one")
    return parser
