"""Write a synthetic cohort: ``python manifests/synthetic.py DEST --records 2000``."""

from __future__ import annotations

import argparse

from selfmis_plugin.cli.synthetic import add_arguments, run


def main() -> int:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(
        description="Write a synthetic cohort in the layout of a public database."
    )
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    raise SystemExit(main())
