"""Hearts of version 2 of the cohort: a population as PTB-XL has it, and diseases of graded size.

A healthy heart is drawn from the population's means and its sixteen main ways to differ
(``population_v2.json``): dipoles of nine phases of QRS, of ST and T and P, the lead field, QRS
duration, the T wave's time, heart rate and PR, as they depend on age and sex. They were read off
603 NORM records of folds 1 to 8 of PTB-XL 1.0.3 (median beats at 100 Hz, fitted by the waves that
are drawn here); no record of a person is in it. Diseases change that heart
(:mod:`selfmis_plugin.synthetic.changes_v2`) by sizes that are drawn, small ones included, and some
healthy hearts have a touch of one that nobody reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.synthetic.changes_v2 import CHANGES, PHASES, WALLS, Change
from selfmis_plugin.synthetic.heart import (
    ECTOPIC,
    STAGES,
    Infarction,
    Patient,
    Recording,
    Vector,
    Waves,
    draw_certainty,
    scattered_waves,
    unit,
)
from selfmis_plugin.synthetic.leadfield import Body

__all__ = ["draw_patient"]

_PHASE_WIDTH = 0.078  # of QRS duration: nine waves that add up to any smooth loop
_MARGIN = 0.136  # of QRS duration: what the first and last wave reach beyond it

# PTB-XL's records: more muscle than drift, least drift in lead I, and no mean.
_RECORDING = Recording(muscle=9.5, muscle_spread=0.55, drift=(0.4, 0.55, 0.85), centred=True)

_INFARCTED, _HEALTHY = 0.43, 0.33  # shares of the patients; the others have other diseases

_TYPE_SHARES = {
    "ASMI": 0.18,
    "IMI": 0.18,
    "AMI": 0.12,
    "ILMI": 0.11,
    "ALMI": 0.10,
    "LMI": 0.08,
    "IPLMI": 0.08,
    "IPMI": 0.08,
    "PMI": 0.07,
}
_ANTERIOR = ("ASMI", "AMI", "ALMI")
_STAGE_EDGES = (0.06, 0.16)  # acute, subacute; the others are old
# By stage, per mV of lost QRS: how ST points to the wall and T away from it.
_STAGE_SIGNS = dict(zip(STAGES, ((0.20, 0.02), (0.03, -0.15), (0.008, -0.075)), strict=True))

# How often a statement is true of the sick without an infarction, before those that exclude each
# other are sorted out, and of the infarcted.
_SICK_SHARES = {
    "LVH": 0.20,
    "NDT": 0.20,
    "LAFB": 0.16,
    "IRBBB": 0.14,
    "ISC_": 0.04,
    "NST_": 0.09,
    "IVCD": 0.09,
    "1AVB": 0.14,
    "CRBBB": 0.06,
    "ISCAL": 0.06,
    "CLBBB": 0.05,
    "LPFB": 0.04,
    "RVH": 0.04,
    "LAO/LAE": 0.06,
    "RAO/RAE": 0.05,
    "ILBBB": 0.03,
    "WPW": 0.03,
    "LNGQT": 0.04,
    "ISCIN": 0.03,
    "ISCIL": 0.03,
    "ISCAS": 0.03,
    "AFIB": 0.10,
    "DIG": 0.03,
}
_INFARCTED_SHARES = {
    "LVH": 0.15,
    "NDT": 0.08,
    "LAFB": 0.14,
    "IRBBB": 0.05,
    "ISC_": 0.05,
    "NST_": 0.09,
    "IVCD": 0.08,
    "1AVB": 0.12,
    "CRBBB": 0.05,
    "ISCAL": 0.04,
    "CLBBB": 0.01,
    "LPFB": 0.02,
    "LAO/LAE": 0.04,
    "AFIB": 0.11,
    "ILBBB": 0.01,
    "LNGQT": 0.02,
    "RAO/RAE": 0.02,
    "ISCIN": 0.01,
    "ISCIL": 0.02,
    "ISCAS": 0.02,
    "RVH": 0.01,
    "DIG": 0.02,
    "WPW": 0.003,
}
_REPOLARISATION = ("ISC_", "ISCAL", "ISCIN", "ISCIL", "ISCAS", "NDT", "DIG")
_EXCLUSIVE = (
    ("CLBBB", "ILBBB", "CRBBB", "IRBBB", "IVCD", "WPW"),
    ("LAFB", "LPFB", "CLBBB", "WPW"),
    ("LVH", "RVH"),
    _REPOLARISATION,
    ("1AVB", "AFIB", "WPW"),
    ("AFIB", "LAO/LAE"),
    ("AFIB", "RAO/RAE"),
)
_STRAIN_SHARE = 0.55  # of hypertrophied hearts

# What readers let pass in a healthy heart.
_TOUCHES = ("NDT", "LVH", "IRBBB", "LAFB", "NST_", "ISC_", "DIG")


@dataclass(frozen=True)
class _Population:
    """Means of what is drawn, their slopes, and how hearts differ; 67 values a row.

    Attributes
    ----------
    mean, age, sex
        At 50 years between the sexes, per 20 years, and female less male.
    modes
        The main ways to differ, each for one standard deviation, shape (16, 67).
    spread
        Standard deviation of what the modes leave over.
    """

    mean: Vector
    age: Vector
    sex: Vector
    modes: Vector
    spread: Vector


@cache
def _population() -> _Population:
    file = resources.files("selfmis_plugin.synthetic") / "population_v2.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    return _Population(**{name: np.asarray(rows) for name, rows in values.items()})


@dataclass
class _Heart:
    """A heart while diseases change it: mV of dipole, logarithms of s and of 1/min, seconds."""

    qrs: Vector
    t: Vector
    st: Vector
    field: Vector
    p: Vector
    log_duration: float
    t_delay: float
    log_rate: float
    pr: float
    left_atrium: float = 0.0
    right_atrium: float = 0.0

    @property
    def gain(self) -> float:
        """How much larger changes show in this heart than in the mean one."""
        return float(np.sqrt(np.linalg.norm(self.qrs) / 1.5))


def draw_patient(random: np.random.Generator, infarctions: Sequence[str] | None = None) -> Patient:
    """Draw a patient: age and sex, a healthy heart and body of theirs, and diseases.

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
    draw = random.random()
    if infarctions is None:
        types = _draw_types(random) if draw < _INFARCTED else ()
    else:
        types = tuple(infarctions)
        if set(types) - set(WALLS) or len(types) > 2:
            raise ValueError(
                f"infarctions {list(types)}: give at most two of {', '.join(INFARCTION_TYPES)}"
            )
    infarcts = tuple(_draw_infarction(random, kind) for kind in types)
    sick = not infarcts and draw >= _INFARCTED + _HEALTHY
    conditions: tuple[str, ...] = ()
    if infarcts:
        conditions = _draw_conditions(random, _INFARCTED_SHARES)
    while sick and not conditions:
        conditions = _draw_conditions(random, _SICK_SHARES)
    mean, deviation = (69, 14) if infarcts or sick else (50, 19)
    age = float(np.clip(random.normal(mean, deviation), 18, 95))
    sex = int(random.random() < (0.42 if infarcts else 0.52))

    heart = _draw_heart(random, age, sex)
    if not infarcts and not sick:
        _touch(random, heart)
    for name in conditions:
        _suffer(random, heart, name, conditions)
    for infarct in infarcts:
        _infarct(random, heart, infarct)
    return _patient(random, heart, int(age), sex, conditions, infarcts)


def _draw_types(random: np.random.Generator) -> tuple[str, ...]:
    first = str(random.choice(list(_TYPE_SHARES), p=list(_TYPE_SHARES.values())))
    second = "IMI" if first in _ANTERIOR else "ASMI" if first in ("IMI", "ILMI") else None
    return (first,) if second is None or random.random() >= 0.16 else (first, second)


def _draw_infarction(random: np.random.Generator, kind: str) -> Infarction:
    severity = float(np.clip(0.85 * np.exp(0.5 * random.standard_normal()), 0.2, 2.2))
    return Infarction(kind, severity, STAGES[int(np.searchsorted(_STAGE_EDGES, random.random()))])


def _draw_conditions(random: np.random.Generator, shares: Mapping[str, float]) -> tuple[str, ...]:
    drawn = [name for name, share in shares.items() if random.random() < share]
    random.shuffle(drawn)
    held: list[str] = []
    for name in drawn:
        if not any(name in group and set(group) & set(held) for group in _EXCLUSIVE):
            held.append(name)
    if "LVH" in held and not set(held) & set(_REPOLARISATION) and random.random() < _STRAIN_SHARE:
        held.append("ISC_")
    return tuple(held)


def _draw_heart(random: np.random.Generator, age: float, sex: int) -> _Heart:
    """A healthy heart, in a body."""
    population = _population()
    expected = population.mean + population.age * (age - 50) / 20 + population.sex * (sex - 0.5)
    modes = np.clip(random.standard_normal(len(population.modes)), -2.8, 2.8)
    rest = np.clip(random.standard_normal(len(expected)), -2.8, 2.8)
    own = modes @ population.modes + population.spread * rest
    own[27:33] *= 0.7  # what differs in T is in part the fit's
    values = expected + own
    return _Heart(
        qrs=values[:27].reshape(9, 3),
        t=values[27:33].reshape(2, 3),
        st=values[33:36],
        field=values[36:60].reshape(8, 3),
        # The fit takes a common time for all leads, and so less than each lead's peak.
        p=values[60:63] * np.array([1.15, 1.5, 1.0]),
        log_duration=float(values[63]),
        t_delay=float(values[64]),
        log_rate=float(values[65]),
        pr=float(np.clip(values[66], 0.075, 0.155)),
    )


def _touch(random: np.random.Generator, heart: _Heart) -> None:
    """A little of a disease, in some."""
    if random.random() < 0.15:
        name = _TOUCHES[int(random.integers(len(_TOUCHES)))]
        _apply(random, heart, CHANGES[name], float(random.uniform(0.1, 0.4)))
    if random.random() < 0.06:
        kind = ("ASMI", "IMI")[int(random.integers(2))]
        _infarct(random, heart, Infarction(kind, float(random.uniform(0.1, 0.35)), STAGES[2]))


def _suffer(
    random: np.random.Generator, heart: _Heart, name: str, conditions: Sequence[str]
) -> None:
    """Change *heart* by the disease *name*, of a drawn size."""
    if name == "1AVB":
        heart.pr = float(random.uniform(0.16, 0.25))
    elif name == "LNGQT":
        heart.t_delay += float(random.uniform(0.055, 0.1))
    elif name == "LAO/LAE":
        heart.left_atrium = float(random.uniform(0.5, 1.2))
    elif name == "RAO/RAE":
        heart.right_atrium = float(random.uniform(0.5, 1.2))
    elif name == "AFIB":
        heart.log_rate += 0.15
    else:
        change = CHANGES["STRAIN" if name == "ISC_" and "LVH" in conditions else name]
        size = np.exp(change.spread * random.standard_normal() - change.spread**2 / 2)
        _apply(random, heart, change, float(np.clip(size, 0.15, 3.0)))
        if name == "WPW":
            heart.pr = float(random.uniform(0.055, 0.08))


def _apply(random: np.random.Generator, heart: _Heart, change: Change, size: float) -> None:
    uneven = 1.0 + 0.2 * random.standard_normal((9, 1))
    heart.qrs = heart.qrs + heart.gain * size * change.qrs * uneven
    astray = np.array([0.35, 0.175, 0.28]) * random.standard_normal(3)
    heart.t = heart.t + size * (change.t + np.abs(change.t).max() * astray)
    astray = 0.3 * random.standard_normal(3)
    heart.st = heart.st + size * (change.st + np.abs(change.st).max() * astray)
    heart.log_duration += change.stretch * min(size, 1.4)
    heart.log_rate += change.rate
    heart.t_delay += change.t_delay


def _infarct(random: np.random.Generator, heart: _Heart, infarct: Infarction) -> None:
    """Let a wall fall silent: its forces go, and those of the other walls are not balanced."""
    wall = WALLS[infarct.type]
    direction = unit(unit(wall.direction) + 0.10 * random.standard_normal(3))
    severity = infarct.severity
    toward = np.maximum(heart.qrs @ direction, 0.0)
    lost = 0.25 * min(severity, 1.5) * wall.loss / wall.loss.max() * toward
    uneven = 1.0 + 0.25 * random.standard_normal(9)
    lost = lost + 0.85 * heart.gain * severity * wall.loss * uneven
    heart.qrs = heart.qrs - lost[:, None] * direction
    heart.qrs[5:8] += severity * wall.late
    stretch = abs(1.0 + 0.5 * random.standard_normal())
    heart.log_duration += wall.stretch * min(severity, 1.6) * stretch
    heart.log_rate += wall.rate
    injury, away = _STAGE_SIGNS[infarct.stage]
    depressed = 0.015 * random.random() * np.array([1.0, 0.5, 0.0])
    heart.st = heart.st + injury * severity * direction - depressed
    # Old infarcts have a flat T wave more often than an inverted one.
    flat = -random.uniform(0.0, 1.6) * np.array([0.07, 0.02, 0.02])
    astray = np.array([0.07, 0.04, 0.06]) * random.standard_normal(3)
    turned = away * severity * random.uniform(0.0, 2.0) * direction
    heart.t = heart.t + np.array([[0.6], [1.0]]) * (flat + astray + turned)


def _patient(
    random: np.random.Generator,
    heart: _Heart,
    age: int,
    sex: int,
    conditions: tuple[str, ...],
    infarcts: tuple[Infarction, ...],
) -> Patient:
    """The waves of *heart*, and what else a patient has."""
    duration = float(np.exp(np.clip(heart.log_duration, -2.9, -1.6)))
    count = len(PHASES)

    def near(waves: int) -> Vector:
        return 0.05 * random.standard_normal((waves, 3))

    qrs = Waves(
        (PHASES - 0.5) * duration, np.full(count, _PHASE_WIDTH * duration), heart.qrs, near(count)
    )
    t_widths = np.array([0.048, 0.036]) * np.exp(0.08 * random.standard_normal())
    t_wave = Waves(np.array([-0.035, 0.012]), t_widths, heart.t, near(2))
    # The right atrium first, to the front, then the left one, to the back.
    back = np.array([0.0, 0.0, 0.035])
    right = (1.0 + heart.right_atrium) * (0.62 * heart.p - back)
    right = right + heart.right_atrium * np.array([-0.02, 0.05, -0.03])
    left = (1.0 + 0.4 * heart.left_atrium) * (0.62 * heart.p + back)
    left = left + heart.left_atrium * np.array([0.0, 0.0, 0.06])
    atria = np.stack([right, left]) * (0.0 if "AFIB" in conditions else 1.0)
    p_times = np.array([-0.012, 0.012 + 0.026 * heart.left_atrium])
    # The atria lie behind and to the right: the chest leads see half of what the limb leads do.
    place = np.array([-0.25, -0.05, 0.10]) + near(2)
    p_wave = Waves(p_times, np.array([0.015, 0.017]), atria, place)

    chest = heart.field[2:]
    directions = chest / np.linalg.norm(chest, axis=1, keepdims=True)
    ill = bool(infarcts or conditions)
    breathing = (0.08, 0.15) if random.random() < 0.06 else (0.005, 0.03)
    return Patient(
        age=age,
        sex=sex,
        weight=float(np.round(np.clip(random.normal(70 if sex else 82, 12), 42, 150))),
        height=float(np.round(random.normal(164 if sex else 177, 7))),
        body=Body(heart.field.astype(np.float32), directions.astype(np.float32)),
        p_wave=p_wave,
        qrs=qrs,
        t_wave=t_wave,
        st_vector=heart.st,
        ectopic=scattered_waves(random, ECTOPIC, 0.3),
        # From the onset of P, 45 ms before its peak, to that of QRS.
        pr=heart.pr + 0.045 - _MARGIN * duration,
        qrs_duration=(1.0 + _MARGIN) * duration,
        # To the end of T, 85 ms after its peak (at 60 per minute), counted as v1 counts it.
        qt=heart.t_delay + 0.085 + 0.04 - 0.5 * duration,
        rate=float(np.clip(np.exp(heart.log_rate), 42, 135)),
        respiratory_arrhythmia=float(random.uniform(*breathing)),
        premature_share=0.7 if random.random() < (0.12 if ill else 0.04) else 0.01,
        conditions=conditions,
        infarctions=infarcts,
        certainty=draw_certainty(random, infarcts, conditions),
        recording=_RECORDING,
    )
