"""Prepare the Challenge 2021: ``python manifests/physionet2021.py ROOT --dest DIR``."""

from __future__ import annotations

import sys

from selfmis_plugin.cli.prepare import main

if __name__ == "__main__":
    raise SystemExit(main(["physionet2021", *sys.argv[1:]]))
