"""Prepare own recordings: ``python manifests/recordings.py ROOT --dest DIR --single CH20 ...``."""

from __future__ import annotations

import sys

from selfmis_plugin.cli.prepare import main

if __name__ == "__main__":
    raise SystemExit(main(["recordings", *sys.argv[1:]]))
