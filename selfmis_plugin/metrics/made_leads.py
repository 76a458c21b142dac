"""Leads that were made beside the real ones, in microvolts: what they share, what they break."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.quality import BEAT_RATE
from selfmis_plugin.metrics.beats import r_peaks

__all__ = ["MadeLeads", "compare_leads", "limb_residual"]

Floats = npt.NDArray[np.float64]
Signals = npt.NDArray[np.floating | np.integer]
#: Deviation below which a lead is flat, microvolts.
_FLAT = 1e-3


@dataclass(frozen=True)
class MadeLeads:
    """Figures of each record.

    Attributes
    ----------
    correlation
        Pearson correlation over the samples, (records, leads); 0 where either lead is flat.
    rmse, mae
        Root mean squared and mean absolute difference, microvolts, (records, leads).
    residual
        See :func:`limb_residual`, microvolts, (records,).
    heart_rate
        Beats a minute by the R peaks of each made lead, (records, leads); NaN where fewer than two
        are found.
    """

    correlation: Floats
    rmse: Floats
    mae: Floats
    residual: Floats
    heart_rate: Floats

    @classmethod
    def joined(cls, parts: Iterable[MadeLeads]) -> MadeLeads:
        """Return the figures of several batches, one after the other."""
        listed = list(parts)
        return cls(
            *(np.concatenate([getattr(part, f.name) for part in listed]) for f in fields(cls))
        )


def compare_leads(real: Signals, made: Signals, rate: float) -> MadeLeads:
    """Compare made leads with the real ones.

    Parameters
    ----------
    real, made
        Microvolts of the standard leads, (records, 12, samples).
    rate
        Samples a second.

    Raises
    ------
    ValueError
        If the shapes differ, or are of other leads.
    """
    if real.shape != made.shape or real.ndim != 3 or real.shape[1] != len(STANDARD_LEADS):
        raise ValueError(
            f"real {real.shape} and made {made.shape} leads are not both (records, 12, samples)"
        )
    sides = [np.asarray(side, dtype=np.float64) for side in (real, made)]
    difference = sides[1] - sides[0]
    centred = [side - side.mean(axis=-1, keepdims=True) for side in sides]
    deviations = [np.sqrt(np.square(side).mean(axis=-1)) for side in centred]
    shared = (centred[0] * centred[1]).mean(axis=-1)
    known = (deviations[0] > _FLAT) & (deviations[1] > _FLAT)
    return MadeLeads(
        np.divide(shared, deviations[0] * deviations[1], out=np.zeros_like(shared), where=known),
        np.sqrt(np.square(difference).mean(axis=-1)),
        np.abs(difference).mean(axis=-1),
        limb_residual(sides[1]),
        heart_rates(sides[1], rate),
    )


def limb_residual(leads: Signals) -> Floats:
    """Return by how much limb leads break what holds of any heart, microvolts, (records,).

    The root mean square, over samples and laws, of II - I - III, aVR + (I + II) / 2,
    aVL - (I - III) / 2 and aVF - (II + III) / 2 (Einthoven; Goldberger).

    Parameters
    ----------
    leads
        Microvolts of the standard leads, (records, 12, samples).
    """
    one, two, three, right, left, foot = np.moveaxis(np.asarray(leads, dtype=np.float64), 1, 0)[:6]
    laws = (
        two - one - three,
        right + (one + two) / 2,
        left - (one - three) / 2,
        foot - (two + three) / 2,
    )
    return np.asarray(np.sqrt(np.mean([np.square(law).mean(axis=-1) for law in laws], axis=0)))


def heart_rates(leads: Signals, rate: float) -> Floats:
    """Return beats a minute by the R peaks of each lead, (records, leads); see
    :class:`MadeLeads`."""
    records, count, samples = leads.shape
    found = r_peaks(leads.reshape(-1, samples), rate)[1]
    rates = [
        60 * BEAT_RATE * (len(peaks) - 1) / (peaks[-1] - peaks[0]) if len(peaks) > 1 else np.nan
        for peaks in found
    ]
    return np.array(rates, dtype=np.float64).reshape(records, count)
