"""Folds inside the training records, by patient: who may judge a record that others learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["inner_folds_of"]


def inner_folds_of(patients: Iterable[str], folds: int) -> npt.NDArray[np.int64]:
    """Deal patients into inner folds, by nothing but their names.

    A digest deals them, not a draw: whoever knows a patient's name knows the fold, whatever
    manifest lists the record, so two trainings need no word between them.

    Parameters
    ----------
    patients
        Their names, one a record.
    folds
        Number of folds, at least 1.

    Returns
    -------
    numpy.ndarray
        From 1, int64 (records,).

    Raises
    ------
    ValueError
        If there is no fold.

    Examples
    --------
    >>> folds = inner_folds_of(["17", "4", "17"], 3)
    >>> bool(folds[0] == folds[2]) and set(folds.tolist()) <= {1, 2, 3}
    True
    """
    if folds < 1:
        raise ValueError(f"{folds} inner folds: there must be one at least")
    known: dict[str, int] = {}
    dealt = []
    for patient in patients:
        if patient not in known:
            digest = hashlib.sha256(f"inner fold of {patient}".encode()).digest()
            known[patient] = int.from_bytes(digest[:8], "big") % folds + 1
        dealt.append(known[patient])
    return np.array(dealt, dtype=np.int64)
