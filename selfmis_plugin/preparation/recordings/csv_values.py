"""Cells of a text file as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.csv_names import Column

if TYPE_CHECKING:
    import pandas as pd

#: What stands where a sample is missing.
_MISSING = {"", "nan", "null", "none", "na", "n/a", "#n/a", "inf", "-inf", "+inf", "infinity"}


def numbers(
    path: Path,
    column: Column,
    cells: npt.NDArray[np.float64] | pd.Series,
    decimal: str,
    row: int,
    strict: bool = False,
) -> npt.NDArray[np.float64]:
    """Return a column's cells as numbers, NaN where they hold none.

    Parameters
    ----------
    path, column
        File and column, for messages.
    cells
        What a reader made of them.
    decimal
        Decimal mark of the cells.
    row
        Number of rows before these.
    strict
        Whether words are refused too, and not missing samples, such as "lead off".

    Raises
    ------
    RecordError
        If a cell with a digit is no number: it would be lost.
    """
    if isinstance(cells, np.ndarray):
        return cells
    # Most files are read without it.
    import pandas as pd

    if pd.api.types.is_numeric_dtype(cells):
        return np.asarray(cells, dtype=np.float64)
    texts = cells.astype("str").str.strip().str.strip("\"'")
    given = texts
    if decimal == ",":
        # A point would be a mark of thousands.
        texts = texts.str.replace(".", "?", regex=False).str.replace(",", ".", regex=False)
    values = np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)
    lost = np.isnan(values) & np.asarray(cells.notna())
    lost &= ~np.asarray(given.str.casefold().isin(_MISSING) | ~given.str.contains(r"\w"))
    if not strict:
        lost &= np.asarray(given.str.contains("[0-9]"))
    if lost.any():
        first = int(np.flatnonzero(lost)[0])
        where = "" if strict else f"of {column.name} "
        raise RecordError(
            "bad table",
            f"{path.name}: value {row + first + 1} {where}is {given.iloc[first][:40]!r}, which is "
            "no number",
        )
    return values
