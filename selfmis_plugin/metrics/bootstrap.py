"""Draws of patients, and what they say about a figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENCE",
    "DrawnPatients",
    "Estimate",
    "draw_patients",
    "draw_patients_apart",
    "drawn_patients",
    "draws_apart",
    "estimate",
]

#: Of all intervals.
CONFIDENCE = 0.95
#: Values of draws that are in memory at once, where all of them need not be.
_AT_ONCE = 1 << 22
#: The same where all labels share them: some 270 MB.
_SHARED_AT_ONCE = 1 << 26
#: Of each draw, so many square roots of the number of patients are known in their order.
_LAST = 12


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes
    ----------
    value
        The figure on the data as they are; None where it is undefined.
    low, high
        95 % interval; None where there is none.
    """

    value: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON can hold it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def draw_patients(
    patient: npt.NDArray[np.int64], draws: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Draw as many patients as there are, with replacement; a patient's records go together.

    Parameters
    ----------
    patient
        Number of each record's patient, from 0 without gaps, (records,).
    draws
        Number of draws.
    rng
        Where the draws come from.

    Returns
    -------
    numpy.ndarray
        How often each record is in each draw, float32 (draws, records).
    """
    patients = int(patient.max()) + 1 if len(patient) else 0
    return _counts(patients, draws, rng)[:, patient].astype(np.float32)


def draw_patients_apart(
    patient: npt.NDArray[np.int64],
    target: npt.NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """Draw patients who have a label, and those who have not, each as many as there are.

    Every draw then has both, however rare the label. A patient with a positive record is drawn
    with all records, the negative ones too.

    Parameters and result are those of :func:`draw_patients`; *target* is bool, (records,).
    """
    weights = list(draws_apart(patient, target, draws, rng))
    return np.concatenate([np.zeros((0, len(patient)), dtype=np.float32), *weights])


def draws_apart(
    patient: npt.NDArray[np.int64],
    target: npt.NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the draws of :func:`draw_patients_apart` in their order, as many at once as take little
    memory: float32 (some draws, records)."""
    patients = int(patient.max()) + 1 if len(patient) else 0
    has = np.zeros(patients, dtype=bool)
    has[patient[target]] = True
    # No patient comes 65,536 times in a draw in which each is expected once.
    counts = np.empty((draws, patients), dtype=np.uint16)
    for group in (np.flatnonzero(has), np.flatnonzero(~has)):
        for some in _blocks(draws, len(group)):
            counts[some, group] = _counts(len(group), some.stop - some.start, rng)
    for some in _blocks(draws, len(patient)):
        yield counts[some][:, patient].astype(np.float32)


@dataclass(frozen=True)
class DrawnPatients:
    """Some draws of as many patients as there are, from which every label takes its own.

    Attributes
    ----------
    counts
        How often each patient is in each draw, float32 (patients, draws). Whole numbers: their sums
        are exact below 2**24.
    last
        The patients that were drawn last, in their order, int64 (draws, some).
    """

    counts: npt.NDArray[np.float32]
    last: npt.NDArray[np.int64]

    @contextmanager
    def apart(
        self, has: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Give draws in which those who have a label, and those who have not, are as many as they
        are; for as long as the block lasts, in which :attr:`counts` are they.

        Those who have it are drawn anew. Of the others a draw has a few too many or too few, as
        chance had it: the last ones are taken back, or some more drawn, so that they are a draw of
        their own whatever the label. It takes time in proportion to those who have the label.

        Parameters
        ----------
        has
            bool, (patients,).
        rng
            Where the further draws come from.
        """
        counts = self.counts
        patients, draws = counts.shape
        own = np.flatnonzero(has)
        rest = np.flatnonzero(~has)
        drawn = _counts(len(own), draws, rng).T.astype(np.float32)
        too_many = len(own) - counts[own].sum(axis=0, dtype=np.float64).astype(np.int64)
        changed = None
        if 2 * len(rest) >= patients:
            changed = self._corrections(has, rest, too_many, rng)
        if changed is None:
            # Those without the label are the fewer: they are drawn anew too.
            fresh = np.empty_like(counts)
            fresh[own], fresh[rest] = drawn, _counts(len(rest), draws, rng).T
            yield fresh
            return
        before = counts[own]
        counts[own] = drawn
        for rows, columns, sign in changed:
            np.add.at(counts, (rows, columns), np.float32(sign))
        try:
            yield counts
        finally:
            for rows, columns, sign in changed:
                np.add.at(counts, (rows, columns), np.float32(-sign))
            counts[own] = before

    def _corrections(
        self,
        has: npt.NDArray[np.bool_],
        rest: npt.NDArray[np.int64],
        too_many: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]] | None:
        """Return patients and draws whose counts change, and by what; None if the last ones that
        are known do not do."""
        lacking = np.maximum(-too_many, 0)
        more = rest[rng.integers(len(rest), size=int(lacking.sum()))]
        added = (more, np.repeat(np.arange(len(lacking)), lacking), 1)
        rows = np.flatnonzero(too_many > 0)
        if not len(rows):
            return [added]
        backwards = self.last[rows, ::-1]
        without = ~has[backwards]
        taken = without & (np.cumsum(without, axis=1) <= too_many[rows, None])
        if (taken.sum(axis=1) < too_many[rows]).any():
            return None
        draw, place = np.nonzero(taken)
        return [added, (backwards[draw, place], rows[draw], -1)]


def drawn_patients(patients: int, draws: int, seed: int) -> Iterator[DrawnPatients]:
    """Yield draws of as many patients as there are, with replacement, as many at once as take
    little memory.

    Parameters
    ----------
    patients, draws
        How many.
    seed
        Each draw has a random generator of its own, of this seed and the draw's number.
    """
    known = min(patients, int(_LAST * np.sqrt(patients)) + 1)
    for some in _blocks(draws, patients, _SHARED_AT_ONCE):
        # A row a draw is quick to fill, a row a patient quick to add up.
        counts = np.empty((some.stop - some.start, patients), dtype=np.float32)
        last = np.empty((some.stop - some.start, known), dtype=np.int64)
        for row, number in enumerate(range(some.start, some.stop)):
            chosen = np.random.default_rng((seed, number)).integers(patients or 1, size=patients)
            counts[row] = np.bincount(chosen, minlength=patients)
            last[row] = chosen[patients - known :]
        yield DrawnPatients(np.ascontiguousarray(counts.T), last)


def estimate(value: float, drawn: npt.NDArray[np.float64]) -> Estimate:
    """Return a figure and the percentile interval of its draws; NaN draws are left out."""
    kept = drawn[~np.isnan(drawn)]
    if not len(kept):
        return Estimate(None if np.isnan(value) else float(value), None, None)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Estimate(None if np.isnan(value) else float(value), float(low), float(high))


def _counts(patients: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    chosen = rng.integers(patients or 1, size=(draws, patients), dtype=np.int64)
    chosen += patients * np.arange(draws, dtype=np.int64)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * patients).reshape(draws, patients)


def _blocks(draws: int, width: int, at_once: int | None = None) -> Iterator[slice]:
    """Cut draws into blocks of about so many values (:data:`_AT_ONCE`); *width* are a draw's."""
    size = max(1, (at_once or _AT_ONCE) // max(1, width))
    for start in range(0, draws, size):
        yield slice(start, min(start + size, draws))
