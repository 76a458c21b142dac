"""Prepare ECG-ID: ``python manifests/ecgid.py ROOT --dest DIR``."""

from __future__ import annotations

import sys

from selfmis_plugin.cli.prepare import main

if __name__ == "__main__":
    raise SystemExit(main(["ecgid", *sys.argv[1:]]))
