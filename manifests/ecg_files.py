"""Prepare any folder of ECG files: ``python manifests/ecg_files.py ROOT --dest DIR``."""

from __future__ import annotations

import sys

from selfmis_plugin.cli.prepare import main

if __name__ == "__main__":
    raise SystemExit(main(["ecg-files", *sys.argv[1:]]))
