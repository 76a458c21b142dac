"""Draw patients by a hash of their names: nested label fractions, and splits without folds.

A hash and not a random generator: what becomes of a patient then depends on the seed and on the
patient alone, not on the order of a list or on who else is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def patient_position(patient_id: str, seed: int, purpose: str) -> float:
    """Return where a patient falls in [0, 1).

    Parameters
    ----------
    patient_id
        Name of the patient.
    seed
        Another seed gives another, independent position.
    purpose
        What is drawn, such as ``"split"``: positions for different purposes are independent.
    """
    text = f"{purpose}\0{seed}\0{patient_id}".encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    # 53 bits, which a float holds exactly, so that 1.0 cannot come out.
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def draw_split(patient_id: str, valid: float, test: float, seed: int) -> str:
    """Return the split of a patient, drawn with the given probabilities.

    Parameters
    ----------
    patient_id
        Name of the patient; all records of a patient come to the same split.
    valid, test
        Shares of validation and test, together less than 1.
    seed
        Seed of the split.
    """
    position = patient_position(patient_id, seed, "split")
    if position < test:
        return "test"
    return "valid" if position < test + valid else "train"


def label_fraction(patient_ids: Sequence[str], fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose a fraction of records, with all records of a patient or none.

    Patients are taken in an order that the seed gives, up to the number of records that is
    nearest to the fraction. So a smaller fraction of the same seed lies inside a larger one.

    Parameters
    ----------
    patient_ids
        The patient of each record.
    fraction
        Share of the records, above 0 and at most 1. At least one patient is taken.
    seed
        Seed of the order.

    Returns
    -------
    numpy.ndarray
        True for each record that is chosen, (records,).

    Raises
    ------
    ValueError
        If the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a label fraction is above 0 and at most 1, not {fraction:g}")
    names, record_patient, sizes = np.unique(
        np.asarray(patient_ids, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    if not len(names):
        return np.zeros(0, dtype=np.bool_)
    positions = [patient_position(str(name), seed, "label fraction") for name in names]
    order = np.argsort(positions, kind="stable")
    # Records when the first one, two, ... patients are taken.
    reached = np.cumsum(sizes[order])
    nearest = int(np.argmin(np.abs(reached - fraction * len(record_patient))))
    taken = np.zeros(len(names), dtype=np.bool_)
    taken[order[: nearest + 1]] = True
    return taken[record_patient]
