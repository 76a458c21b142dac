"""Readers that other processes can import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from selfmis_plugin.data.recording import Recording
from selfmis_plugin.preparation.wfdb.reader import read_recording


def read_slowly(path: Path) -> Recording:
    """Read a record, and take long enough over it to be killed meanwhile."""
    time.sleep(float(os.environ.get("SLOW_READER_SECONDS", "0")))
    return read_recording(path)
