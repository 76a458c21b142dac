"""The lead field: how a heart dipole shows in the leads of a patient's chest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DOWER",
    "INDEPENDENT_LEADS",
    "Body",
    "draw_body",
    "electrode_noise_matrix",
    "lead_weights",
    "twelve_leads",
]

Floats = NDArray[np.float32]

#: Leads that are computed; the other four limb leads are sums of I and II.
INDEPENDENT_LEADS: tuple[str, ...] = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

#: Rows are :data:`INDEPENDENT_LEADS`; columns x (to the left), y (to the feet), z (to the back).
#: Dower, Machado and Osborne, "On deriving the electrocardiogram from vectorcardiographic leads",
#: Clin Cardiol 3:87-95 (1980), from the image surface of Frank (1954); the same numbers stand in
#: Clifford, Azuaje and McSharry, "Advanced Methods and Tools for ECG Data Analysis" (2006), ch. 8.
DOWER: Floats = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ],
    dtype=np.float32,
)

# Leads as differences of the electrodes RA, LA, LL, V1..V6 (chest leads: Wilson's terminal).
_ELECTRODES = np.zeros((8, 9), dtype=np.float32)
_ELECTRODES[0, [0, 1]] = (-1.0, 1.0)
_ELECTRODES[1, [0, 2]] = (-1.0, 1.0)
_ELECTRODES[2:, :3] = -1.0 / 3.0
_ELECTRODES[range(2, 8), range(3, 9)] = 1.0

# III, aVR, aVL and aVF from I and II (Einthoven, Goldberger).
_LIMB_SUMS = np.array([[-1.0, 1.0], [-0.5, -0.5], [1.0, -0.5], [-0.5, 1.0]], dtype=np.float32)


@dataclass(frozen=True)
class Body:
    """Habitus of one patient.

    Attributes
    ----------
    field
        Lead field, mV of lead per mV of dipole, shape (8, 3), rows as :data:`INDEPENDENT_LEADS`.
    directions
        Unit vectors from the heart to the six chest electrodes, shape (6, 3).
    """

    field: Floats
    directions: Floats


def draw_body(random: np.random.Generator) -> Body:
    """Perturb the Dower lead field: chest thickness, electrode positions, limb resistance.

    Parameters
    ----------
    random
        Source of the patient's draws.
    """
    field = DOWER * (1.0 + 0.06 * random.standard_normal((8, 3)))
    # A misplaced chest electrode sees some of what its neighbours see.
    chest = field[2:]
    shift = 0.10 * random.standard_normal(6)[:, None]
    following = np.vstack([chest[1:], chest[-1:]])
    preceding = np.vstack([chest[:1], chest[:-1]])
    chest = (
        chest
        + np.maximum(shift, 0) * (following - chest)
        + np.maximum(-shift, 0) * (preceding - chest)
    )
    # Fat and air between heart and electrodes weaken the near chest leads more than the limbs.
    limb_gain = np.exp(0.10 * random.standard_normal())
    chest_gain = limb_gain * np.exp(0.15 * random.standard_normal())
    field = np.vstack([field[:2] * limb_gain, chest * chest_gain])
    directions = field[2:] / np.linalg.norm(field[2:], axis=1, keepdims=True)
    return Body(field=field.astype(np.float32), directions=directions.astype(np.float32))


def lead_weights(body: Body, vectors: Floats, positions: Floats) -> Floats:
    """Amplitude in each independent lead of dipoles that lie away from the heart's centre.

    A dipole nearer to a chest electrode is seen larger by it; limb electrodes are too far to tell.
    This is what makes the dipole a moving one, and the eight leads more than three-dimensional.

    Parameters
    ----------
    body
        The patient's habitus.
    vectors
        Dipole moments in mV, shape (waves, 3).
    positions
        Displacements from the heart's centre, as shares of the distance to the chest wall,
        shape (waves, 3).

    Returns
    -------
    numpy.ndarray
        Shape (waves, 8), mV.
    """
    weights = vectors @ body.field.T
    # First order in the displacement of a field that falls with the square of the distance.
    weights[:, 2:] *= 1.0 + 2.0 * (positions @ body.directions.T)
    return weights.astype(np.float32)


def electrode_noise_matrix() -> Floats:
    """Return the (8, 9) matrix from potentials of RA, LA, LL, V1..V6 to the independent leads."""
    return _ELECTRODES.copy()


def twelve_leads(independent: Floats) -> Floats:
    """Standard twelve leads from I, II, V1..V6.

    Parameters
    ----------
    independent
        Shape (8, samples), any unit.

    Returns
    -------
    numpy.ndarray
        Shape (12, samples), in the order of :data:`selfmis_plugin.data.leads.STANDARD_LEADS`.
    """
    leads = np.empty((12, independent.shape[1]), dtype=np.float32)
    leads[:2] = independent[:2]
    first, second = independent[0], independent[1]
    for row, (of_first, of_second) in enumerate(_LIMB_SUMS, start=2):
        leads[row] = of_first * first + of_second * second
    leads[6:] = independent[2:]
    return leads
