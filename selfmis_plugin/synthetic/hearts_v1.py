"""Hearts of version 1 of the cohort: what disease does to them, from textbooks alone.

Its infarctions are easy from twelve leads, and hold little of real ones: version 2 is the default.
Kept so that what was made with it can be made again, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.synthetic.heart import (
    ECTOPIC,
    STAGES,
    Infarction,
    Patient,
    Vector,
    draw_certainty,
    rotation,
    scattered_waves,
    unit,
)
from selfmis_plugin.synthetic.leadfield import draw_body

__all__ = ["REGIONS", "draw_patient"]

#: Where the wall of each infarction type lies, seen from the middle of the left ventricle.
REGIONS: dict[str, tuple[float, float, float]] = {
    "ALMI": (0.75, -0.10, -0.65),
    "AMI": (0.25, 0.10, -1.00),
    "ASMI": (-0.65, -0.05, -0.80),
    "ILMI": (0.75, 0.70, -0.10),
    "IMI": (-0.25, 1.00, -0.10),
    "IPLMI": (0.55, 0.55, 0.65),
    "IPMI": (-0.25, 0.70, 0.75),
    "LMI": (0.95, -0.45, 0.10),
    "PMI": (0.25, -0.15, 1.00),
}

# When each wall is activated in a normal heart, in ms from the first septal forces: septum first,
# then the apex and the anterior wall, the free wall, and the posterobasal wall last (Durrer et al.,
# Circulation 41:899, 1970).  An infarct takes its share out of QRS at that time.
_ACTIVATION = {
    "ASMI": 4.0,
    "AMI": 10.0,
    "IMI": 15.0,
    "ALMI": 18.0,
    "ILMI": 22.0,
    "LMI": 27.0,
    "IPMI": 30.0,
    "IPLMI": 34.0,
    "PMI": 38.0,
}

# What goes with an infarct besides its own signs: vagal slowing and AV delay with the inferior wall
# (the right coronary artery feeds the AV node), sympathetic drive and a lost left anterior fascicle
# with the anterior wall.
_ANTERIOR = ("ALMI", "AMI", "ASMI")
_INFERIOR = ("ILMI", "IMI", "IPLMI", "IPMI")

INFARCTION_SHARE = 0.46
SECOND_INFARCTION_SHARE = 0.04

_VENTRICULAR = ("CLBBB", "ILBBB", "CRBBB", "IRBBB", "IVCD", "WPW", "LAFB", "LPFB")
_VENTRICULAR_SHARES = (0.07, 0.02, 0.06, 0.05, 0.03, 0.015, 0.06, 0.06)
_INDEPENDENT_SHARES = {
    "LVH": 0.12,
    "RVH": 0.055,
    "LAO/LAE": 0.08,
    "RAO/RAE": 0.05,
    "1AVB": 0.09,
    "LNGQT": 0.05,
}
_REPOLARISATION = ("ISC_", "ISCAL", "ISCIN", "NDT", "NST_")
_REPOLARISATION_SHARES = (0.06, 0.04, 0.03, 0.10, 0.05)

_P_WAVE = ((-12, 15, 0.045, 0.110, -0.035), (12, 17, 0.075, 0.055, 0.045))
_QRS = (
    (-26, 8.5, -0.16, 0.02, -0.18),
    (-13, 9.0, 0.45, 0.28, -0.38),
    (0, 11.0, 1.05, 0.72, 0.38),
    (17, 10.0, 0.10, 0.05, 0.55),
    (29, 8.0, -0.16, -0.12, 0.12),
)
_T_WAVE = ((-35, 48, 0.11, 0.08, -0.05), (12, 36, 0.21, 0.15, -0.13))


def _choose(
    random: np.random.Generator, names: Sequence[str], shares: Sequence[float]
) -> str | None:
    """One of *names* with the given probabilities, or None with what is left."""
    draw = random.random()
    for name, edge in zip(names, np.cumsum(shares), strict=True):
        if draw < edge:
            return name
    return None


def _draw_conditions(
    random: np.random.Generator, infarcts: Sequence[Infarction]
) -> tuple[str, ...]:
    conditions: list[str] = []
    infarcted = bool(infarcts)
    anterior = infarcted and infarcts[0].type in _ANTERIOR
    inferior = infarcted and infarcts[0].type in _INFERIOR
    ventricular = _choose(random, _VENTRICULAR, _VENTRICULAR_SHARES)
    # Left bundle branch block hides an infarct from human readers too: half of the pairs go.
    if ventricular and not (
        infarcted and ventricular in ("CLBBB", "WPW") and random.random() < 0.5
    ):
        conditions.append(ventricular)
        if ventricular in ("CRBBB", "IRBBB") and random.random() < 0.12:
            conditions.append("LAFB")
    elif ventricular is None and anterior and random.random() < 0.12:
        conditions.append("LAFB")
    if inferior and random.random() < 0.15:
        conditions.append("1AVB")
    conditions += [
        name
        for name, share in _INDEPENDENT_SHARES.items()
        if random.random() < share and name not in conditions
    ]
    repolarisation = _choose(random, _REPOLARISATION, _REPOLARISATION_SHARES)
    if repolarisation and not infarcted:
        conditions.append(repolarisation)
    if random.random() < 0.05:
        conditions = [name for name in conditions if name not in ("1AVB", "LAO/LAE", "RAO/RAE")]
        conditions.append("AFIB")
    return tuple(conditions)


def _draw_infarctions(random: np.random.Generator) -> tuple[Infarction, ...]:
    count = int(random.random() < INFARCTION_SHARE)
    count += int(bool(count) and random.random() < SECOND_INFARCTION_SHARE)
    types = random.choice(len(INFARCTION_TYPES), size=2, replace=False)[:count]
    return tuple(_draw_infarction(random, INFARCTION_TYPES[index]) for index in types)


def _draw_infarction(random: np.random.Generator, kind: str) -> Infarction:
    severity = float(random.uniform(0.5, 1.0))
    stage = STAGES[int(np.searchsorted((0.3, 0.5), random.random()))]
    return Infarction(kind, severity, stage)


def draw_patient(random: np.random.Generator, infarctions: Sequence[str] | None = None) -> Patient:
    """Draw a patient: a normal heart, its diseases, a body, and a rotation of the heart in it.

    Parameters
    ----------
    random
        Source of the patient's draws.
    infarctions
        Types to give the patient instead of drawing them; empty for none.

    Raises
    ------
    ValueError
        If a type is not one of the nine, or there are more than two.
    """
    if infarctions is None:
        infarcts = _draw_infarctions(random)
    else:
        unknown = [kind for kind in infarctions if kind not in REGIONS]
        if unknown or len(infarctions) > 2:
            raise ValueError(
                f"infarctions {list(infarctions)}: give at most two of "
                f"{', '.join(INFARCTION_TYPES)}"
            )
        infarcts = tuple(_draw_infarction(random, kind) for kind in infarctions)
    conditions = _draw_conditions(random, infarcts)
    sex = int(random.random() < 0.48)
    height = random.normal(164 if sex else 177, 7)
    patient = Patient(
        age=int(np.clip(random.normal(62 if infarcts or conditions else 52, 15), 18, 95)),
        sex=sex,
        weight=float(np.round(np.clip(random.normal(70 if sex else 82, 12), 42, 150))),
        height=float(np.round(height)),
        body=draw_body(random),
        p_wave=scattered_waves(random, _P_WAVE, 0.15),
        qrs=scattered_waves(random, _QRS, 0.18),
        t_wave=scattered_waves(random, _T_WAVE, 0.18),
        st_vector=0.015 * random.standard_normal(3),
        ectopic=scattered_waves(random, ECTOPIC, 0.3),
        pr=float(np.clip(random.normal(0.155, 0.018), 0.115, 0.195)),
        qrs_duration=0.088,
        qt=float(random.normal(0.395, 0.014)),
        rate=float(np.clip(random.normal(73, 14), 46, 118)),
        respiratory_arrhythmia=float(random.uniform(0.005, 0.03)),
        premature_share=0.7 if random.random() < 0.06 else 0.01,
        conditions=conditions,
        infarctions=infarcts,
    )
    if random.random() < 0.06:
        patient.respiratory_arrhythmia = float(random.uniform(0.08, 0.15))
    _set_amplitudes(random, patient)
    for name in conditions:
        _CHANGES[name](random, patient)
    for infarct in infarcts:
        _infarct(random, patient, infarct)
    _turn(random, patient)
    patient.certainty = draw_certainty(random, infarcts, conditions)
    return patient


def _set_amplitudes(random: np.random.Generator, patient: Patient) -> None:
    """General size and width of the waves: frail and athletic hearts, thick and thin chests."""
    gain = 0.88 * np.exp(0.20 * random.standard_normal())
    stretch = np.exp(0.06 * random.standard_normal())
    patient.qrs.vectors *= gain
    patient.qrs.times *= stretch
    patient.qrs.widths *= stretch
    patient.qrs_duration *= stretch
    patient.p_wave.vectors *= np.exp(0.2 * random.standard_normal())
    patient.t_wave.vectors *= gain**0.5 * np.exp(0.18 * random.standard_normal())
    patient.t_wave.widths *= np.exp(0.08 * random.standard_normal())


def _turn(random: np.random.Generator, patient: Patient) -> None:
    """Rotate the heart, with all its waves, in the chest."""
    whole = rotation(random, (7.0, 9.0, 10.0))
    for waves in (patient.p_wave, patient.qrs, patient.t_wave, patient.ectopic):
        waves.vectors = waves.vectors @ whole.T
        waves.positions = waves.positions @ whole.T
    patient.st_vector = whole @ patient.st_vector
    patient.t_wave.vectors = patient.t_wave.vectors @ rotation(random, (6.0, 6.0, 6.0)).T


def _infarct(random: np.random.Generator, patient: Patient, infarct: Infarction) -> None:
    """Let the wall of *infarct* fall silent: Q waves, R loss, and ST-T changes by stage."""
    region = unit(unit(REGIONS[infarct.type]) + 0.07 * random.standard_normal(3))
    severity = infarct.severity
    size = float(np.linalg.norm(patient.qrs.vectors, axis=1).max())
    necrosis = {"Stadium I": 0.55, "Stadium II": 0.85, "Stadium III": 1.0}[infarct.stage] * severity
    drive = 12.0 if infarct.type in _ANTERIOR else -10.0 if infarct.type in _INFERIOR else 0.0
    patient.rate = float(np.clip(patient.rate + drive, 46, 118))
    # R loss: what used to point at the dead wall does so less.
    toward = np.maximum(patient.qrs.vectors @ region, 0.0)
    patient.qrs.vectors -= 0.35 * necrosis * toward[:, None] * region
    # Q wave (for the posterior wall, a late R in front): nothing balances the other walls.
    position = 0.10 * region
    start = float(patient.qrs.times[0])
    delay = 1e-3 * (_ACTIVATION[infarct.type] + random.normal(0, 1.5))
    patient.qrs.add(start + delay, 0.009, -0.55 * size * necrosis * region, position)
    # The healthy border is reached late, and slowly.
    end = float(patient.qrs.times.max())
    patient.qrs.add(end + 0.008, 0.009, 0.14 * size * necrosis * region, position)
    injury, inversion = {
        "Stadium I": (1.0, -0.35),
        "Stadium II": (0.35, 0.9),
        "Stadium III": (0.06, 0.7),
    }[infarct.stage]
    patient.st_vector = patient.st_vector + 0.26 * injury * severity * region
    t_size = float(np.linalg.norm(patient.t_wave.vectors.sum(axis=0)))
    amount = inversion * severity * (0.6 * t_size + 0.20)
    patient.t_wave.add(0.0, 0.038, -amount * region, position)


def _left_bundle_block(random: np.random.Generator, patient: Patient, share: float) -> None:
    """Slow leftward, backward activation without septal q, notched; T against QRS."""
    qrs = patient.qrs
    qrs.vectors[0] *= 1.0 - 1.3 * share
    qrs.times *= 1.0 + 0.45 * share
    qrs.widths *= 1.0 + 0.45 * share
    size = float(np.linalg.norm(qrs.vectors, axis=1).max())
    late = size * share * np.exp(0.15 * random.standard_normal()) * np.array([0.75, 0.10, 0.65])
    qrs.add(0.045 * share, 0.017, late, 0.08 * unit(late))
    patient.qrs_duration += 0.058 * share
    patient.t_wave.vectors *= 1.0 - 0.5 * share
    patient.t_wave.add(0.0, 0.045, -0.30 * share * late, np.zeros(3))
    patient.st_vector = patient.st_vector - 0.10 * share * late


def _right_bundle_block(random: np.random.Generator, patient: Patient, share: float) -> None:
    """Late slow forces to the right and front."""
    size = float(np.linalg.norm(patient.qrs.vectors, axis=1).max())
    late = (
        0.5
        * share**0.7
        * size
        * np.exp(0.2 * random.standard_normal())
        * unit((-0.75, 0.05, -0.75))
    )
    end = float(patient.qrs.times.max())
    patient.qrs.add(end + 0.010 + 0.022 * share, 0.008 + 0.011 * share, late, 0.06 * unit(late))
    patient.qrs_duration += 0.045 * share
    patient.t_wave.add(0.0, 0.040, -0.18 * share * late, np.zeros(3))


def _fascicle(random: np.random.Generator, patient: Patient, superior: bool) -> None:
    """First the free fascicle's wall, then a swing to the blocked one's."""
    sign = -1.0 if superior else 1.0
    angle = np.deg2rad(random.normal(84, 8) if superior else random.normal(66, 8)) * sign
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    patient.qrs.vectors[2:] = patient.qrs.vectors[2:] @ turn.T
    size = float(np.linalg.norm(patient.qrs.vectors[2]))
    patient.qrs.add(
        patient.qrs.times[0] + 0.006,
        0.008,
        size * np.array([0.08, -0.14 * sign, -0.02]),
        np.zeros(3),
    )
    patient.qrs_duration += 0.010
    patient.qrs.times *= 1.06


def _ventricular_hypertrophy(
    random: np.random.Generator, patient: Patient, wall: Vector, strain: float
) -> None:
    size = float(np.linalg.norm(patient.qrs.vectors, axis=1).max())
    more = size * random.uniform(0.45, 0.8) * wall
    patient.qrs.add(0.004, 0.014, more, 0.06 * unit(more))
    patient.qrs_duration += 0.008
    if random.random() < strain:
        amount = random.uniform(0.12, 0.3)
        patient.t_wave.add(0.0, 0.042, -amount * wall, np.zeros(3))
        patient.st_vector = patient.st_vector - 0.3 * amount * wall


def _left_hypertrophy(random: np.random.Generator, patient: Patient) -> None:
    _ventricular_hypertrophy(random, patient, np.array([0.85, 0.10, 0.85]), 0.5)


def _right_hypertrophy(random: np.random.Generator, patient: Patient) -> None:
    patient.qrs.vectors[2] *= 0.75
    _ventricular_hypertrophy(random, patient, np.array([-1.05, 0.25, -0.75]), 0.5)


def _left_atrium(random: np.random.Generator, patient: Patient) -> None:
    patient.p_wave.times[1] += random.uniform(0.022, 0.034)
    patient.p_wave.vectors[1] *= random.uniform(1.3, 1.7)
    patient.p_wave.vectors[1] += np.array([0.01, 0.0, 0.07])
    patient.pr += 0.018


def _right_atrium(random: np.random.Generator, patient: Patient) -> None:
    patient.p_wave.vectors[0] *= random.uniform(1.6, 2.2)
    patient.p_wave.vectors[0] += np.array([-0.02, 0.05, -0.05])


def _slow_node(random: np.random.Generator, patient: Patient) -> None:
    patient.pr = float(random.uniform(0.215, 0.290))


def _long_qt(random: np.random.Generator, patient: Patient) -> None:
    patient.qt += float(random.uniform(0.065, 0.11))


def _slow_ventricle(random: np.random.Generator, patient: Patient) -> None:
    patient.qrs.times *= 1.42
    patient.qrs.widths *= 1.30
    patient.qrs_duration += 0.034
    patient.qrs.vectors[3:] += 0.12 * random.standard_normal(patient.qrs.vectors[3:].shape)


def _pre_excitation(random: np.random.Generator, patient: Patient) -> None:
    patient.pr = float(random.uniform(0.095, 0.112))
    start = float(patient.qrs.times[0])
    delta = random.uniform(0.25, 0.4) * unit(
        np.array([0.7, 0.5, -0.5]) + 0.4 * random.standard_normal(3)
    )
    patient.qrs.add(start - 0.018, 0.016, delta, 0.05 * unit(delta))
    patient.qrs_duration += 0.034
    patient.t_wave.add(0.0, 0.045, -0.4 * delta, np.zeros(3))


def _ischaemia(random: np.random.Generator, patient: Patient, wall: Vector) -> None:
    wall = unit(wall + 0.15 * random.standard_normal(3))
    depth = random.uniform(0.09, 0.2)
    patient.st_vector = patient.st_vector - 0.45 * depth * wall
    patient.t_wave.vectors *= 0.8
    patient.t_wave.add(0.0, 0.036, -1.4 * depth * wall, np.zeros(3))


def _flat_t(random: np.random.Generator, patient: Patient) -> None:
    patient.t_wave.vectors *= random.uniform(-0.05, 0.35)


def _atrial_fibrillation(random: np.random.Generator, patient: Patient) -> None:
    patient.p_wave.vectors *= 0.0
    patient.rate = float(np.clip(patient.rate * 1.15, 55, 118))


_CHANGES = {
    "CLBBB": lambda random, patient: _left_bundle_block(
        random, patient, random.uniform(0.85, 1.15)
    ),
    "ILBBB": lambda random, patient: _left_bundle_block(random, patient, random.uniform(0.35, 0.5)),
    "CRBBB": lambda random, patient: _right_bundle_block(
        random, patient, random.uniform(0.85, 1.25)
    ),
    "IRBBB": lambda random, patient: _right_bundle_block(
        random, patient, random.uniform(0.28, 0.45)
    ),
    "IVCD": _slow_ventricle,
    "WPW": _pre_excitation,
    "LAFB": lambda random, patient: _fascicle(random, patient, superior=True),
    "LPFB": lambda random, patient: _fascicle(random, patient, superior=False),
    "LVH": _left_hypertrophy,
    "RVH": _right_hypertrophy,
    "LAO/LAE": _left_atrium,
    "RAO/RAE": _right_atrium,
    "1AVB": _slow_node,
    "LNGQT": _long_qt,
    "ISC_": lambda random, patient: _ischaemia(random, patient, np.array([0.7, 0.4, -0.3])),
    "ISCAL": lambda random, patient: _ischaemia(random, patient, np.array([0.75, 0.0, -0.65])),
    "ISCIN": lambda random, patient: _ischaemia(random, patient, np.array([0.0, 1.0, 0.0])),
    "NDT": _flat_t,
    "NST_": lambda random, patient: setattr(
        patient,
        "st_vector",
        patient.st_vector
        - random.uniform(0.05, 0.09) * unit(random.standard_normal(3) + (0.8, 0.5, -0.6)),
    ),
    "AFIB": _atrial_fibrillation,
}
