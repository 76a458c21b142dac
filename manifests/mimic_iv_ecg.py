"""Prepare MIMIC-IV-ECG: ``python manifests/mimic_iv_ecg.py ROOT --dest DIR``."""

from __future__ import annotations

import sys

from selfmis_plugin.cli.prepare import main

if __name__ == "__main__":
    raise SystemExit(main(["mimic-iv-ecg", *sys.argv[1:]]))
