"""What became of the recordings of a folder of predictions, counted from what lies there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["Counted", "counted"]


@dataclass(frozen=True)
class Counted:
    """Windows and files of a folder of predictions.

    Attributes
    ----------
    scored, refused
        Windows that have probabilities, and that were too bad.
    unread
        Files that could not be read.
    """

    scored: int
    refused: int
    unread: int

    def __str__(self) -> str:
        files = "file" if self.unread == 1 else "files"
        text = f"{self.scored:,} windows scored, {self.refused:,} not scored"
        text += f", {self.unread:,} {files} not read"
        return f"{text} (why: column refused)" if self.refused or self.unread else text


def counted(folder: Path) -> Counted:
    """Count what :func:`~selfmis_plugin.predict.in_parts.predict_in_parts` has written so far.

    Parameters
    ----------
    folder
        The folder, of all shares together.

    Raises
    ------
    OSError, ValueError
        If a file of it cannot be read.
    """
    scored = refused = unread = 0
    for path in sorted(folder.glob("[0-9]*.parquet")):
        rows = pq.read_table(path, columns=["start", "refused"])
        # The one row of a file that cannot be read is of no window, and so has no start.
        is_refused, is_window = pc.is_valid(rows["refused"]), pc.is_valid(rows["start"])
        windows = pc.sum(is_window).as_py() or 0
        unread += len(rows) - windows
        bad = pc.sum(pc.and_(is_refused, is_window)).as_py() or 0
        refused += bad
        scored += windows - bad
    return Counted(scored, refused, unread)
