"""What a patient's heart is: dipole waves, a body, diseases; the same in every version.

Directions are in the frame of Frank's leads: x to the left, y to the feet, z to the back.
Amplitudes are in mV of dipole, times in seconds from the main R wave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selfmis_plugin.synthetic.leadfield import Body

__all__ = [
    "ECTOPIC",
    "STAGES",
    "Infarction",
    "Patient",
    "Recording",
    "Vector",
    "Waves",
    "draw_certainty",
    "rotation",
    "scattered_waves",
    "unit",
]

Vector = NDArray[np.float64]

#: Age of an infarct, in the words of PTB-XL's ``infarction_stadium1``: acute, subacute, old.
STAGES: tuple[str, ...] = ("Stadium I", "Stadium II", "Stadium III")


@dataclass(frozen=True)
class Infarction:
    """One infarct: its type, its severity from 0 to 1 and its stage (see :data:`STAGES`)."""

    type: str
    severity: float
    stage: str


@dataclass(frozen=True)
class Recording:
    """How a patient's records are taken: what electrodes, muscles and amplifier add.

    Attributes
    ----------
    muscle
        Median root mean square of the muscle noise of an electrode, microvolts.
    muscle_spread
        Standard deviation of its logarithm from record to record.
    drift
        Share of the baseline's wander at the electrodes of the arms, the leg and the chest.
    centred
        Whether the amplifier takes a lead's mean away, as PTB-XL's records have it.
    """

    muscle: float = 6.0
    muscle_spread: float = 0.55
    drift: tuple[float, float, float] = (1.0, 1.0, 1.0)
    centred: bool = False


@dataclass
class Waves:
    """Gaussian dipole waves of one part of the beat.

    Attributes
    ----------
    times, widths
        Peak times and standard deviations in seconds, shape (waves,).
    vectors
        Dipole moments in mV, shape (waves, 3).
    positions
        Displacement of each dipole from the heart's centre, shape (waves, 3).
    """

    times: Vector
    widths: Vector
    vectors: Vector
    positions: Vector

    def add(self, time: float, width: float, vector: Vector, position: Vector) -> None:
        """Append one wave."""
        self.times = np.append(self.times, time)
        self.widths = np.append(self.widths, width)
        self.vectors = np.vstack([self.vectors, vector])
        self.positions = np.vstack([self.positions, position])


@dataclass
class Patient:
    """Everything that stays the same between two records of one patient.

    Attributes
    ----------
    age, sex, weight, height
        Years, 0 (male) or 1 (female) as in PTB-XL, kg, cm.
    body
        Habitus and lead field.
    p_wave, qrs, t_wave
        Dipole waves; ``p_wave`` times count from the start of the P wave's window (see ``pr``).
        ``t_wave`` times and widths are those at a heart rate of 60 per minute.
    st_vector
        Dipole between the end of QRS and the T wave, mV.
    ectopic
        Waves of this heart's ventricular premature beats: QRS then T.
    pr, qrs_duration, qt
        PR interval, QRS duration and QT interval at 60 per minute, seconds.
    rate
        Usual heart rate, per minute.
    respiratory_arrhythmia
        Share of the RR interval that breathing moves.
    conditions
        Diagnostic statements other than infarctions, and ``AFIB``.
    premature_share
        Probability that a record of this patient holds ventricular premature beats.
    infarctions
        At most two.
    certainty
        Likelihood of each statement in percent, as PTB-XL's ``scp_codes`` have it.
    recording
        How this patient's records are taken.
    """

    age: int
    sex: int
    weight: float
    height: float
    body: Body
    p_wave: Waves
    qrs: Waves
    t_wave: Waves
    st_vector: Vector
    ectopic: Waves
    pr: float
    qrs_duration: float
    qt: float
    rate: float
    respiratory_arrhythmia: float
    premature_share: float
    conditions: tuple[str, ...] = ()
    infarctions: tuple[Infarction, ...] = ()
    certainty: dict[str, float] = field(default_factory=dict)
    recording: Recording = Recording()

    @property
    def group(self) -> str:
        """The statement by which patients are dealt to folds: rarest kind first."""
        if self.infarctions:
            return self.infarctions[0].type
        return self.conditions[0] if self.conditions else "NORM"


def unit(vector: Sequence[float] | Vector) -> Vector:
    """*vector* at length one."""
    array = np.asarray(vector, dtype=np.float64)
    return array / np.linalg.norm(array)


def rotation(random: np.random.Generator, degrees: tuple[float, float, float]) -> Vector:
    """Rotation about x, y and z by normal angles with the given standard deviations."""
    a, b, c = np.deg2rad(np.asarray(degrees) * np.clip(random.standard_normal(3), -2.2, 2.2))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def scattered_waves(
    random: np.random.Generator, rows: Sequence[tuple[float, ...]], scatter: float
) -> Waves:
    """Normal waves of one patient: rows are (ms, width in ms, x, y, z), scattered about."""
    table = np.asarray(rows, dtype=np.float64)
    count = len(table)
    size = np.linalg.norm(table[:, 2:], axis=1, keepdims=True)
    vectors = table[:, 2:] * np.exp(scatter * random.standard_normal((count, 1)))
    vectors = vectors + 0.5 * scatter * size * random.standard_normal((count, 3))
    # Depolarisation runs from the septum to the free wall and the base.
    positions = 0.04 * random.standard_normal((count, 3)) + 0.05 * table[:, 2:] / size
    return Waves(table[:, 0] / 1e3, table[:, 1] / 1e3, vectors, positions)


#: A ventricular premature beat, QRS then T: ms, width in ms, x, y, z in mV.
ECTOPIC: tuple[tuple[float, ...], ...] = (
    (-30, 28, -0.5, 0.9, -0.9),
    (20, 34, -0.6, 1.1, -0.7),
    (75, 30, 0.2, 0.3, 0.4),
    (290, 60, 0.4, -0.5, 0.5),
)


def draw_certainty(
    random: np.random.Generator, infarctions: Sequence[Infarction], conditions: Sequence[str]
) -> dict[str, float]:
    """Likelihood of each of a patient's statements, and of ``NORM``, in percent: mostly 100."""
    return {
        name: float(random.choice((100.0, 100.0, 100.0, 80.0, 50.0, 35.0, 15.0)))
        for name in (*(infarct.type for infarct in infarctions), *conditions, "NORM")
    }
