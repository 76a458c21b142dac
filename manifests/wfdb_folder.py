"""Prepare any folder of WFDB records: ``python manifests/wfdb_folder.py ROOT --dest DIR``."""

from __future__ import annotations

import sys

from selfmis_plugin.cli.prepare import main

if __name__ == "__main__":
    raise SystemExit(main(["wfdb-folder", *sys.argv[1:]]))
