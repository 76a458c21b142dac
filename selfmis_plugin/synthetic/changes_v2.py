"""What disease does to a heart of version 2: changes of its dipole by phase of QRS, of ST and of T.

QRS has nine phases of equal length (:data:`PHASES`), whose dipoles are given in mV as x (to the
left), y (to the feet), z (to the back). Directions and order are those of the literature; sizes
were read off the mean difference between records with a statement and NORM records of the same age
and sex, in 1,097 records of folds 1 to 8 of PTB-XL 1.0.3, rounded. Where ten of those records or
fewer have the statement (ALMI, LMI, IPMI, IPLMI, PMI, LPFB, RVH, WPW, ILBBB, ISCIN, ISCIL, ISCAS)
they were set by hand, in proportion to the others.

- Infarctions: the wall's share of the activation is lost, and QRS points away from it (Wagner et
  al., Circulation 65:342, 1982: the Selvester QRS score; Strauss and Selvester, J Electrocardiol
  42:190, 2009). Q waves and lost R waves as in Thygesen et al., Circulation 138:e618, 2018.
- Conduction: Surawicz et al., Circulation 119:e235, 2009. ST and T: Rautaharju et al., Circulation
  119:e241, 2009; Wagner et al., ibid. e262. Hypertrophy: Hancock et al., ibid. e251.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from selfmis_plugin.synthetic.heart import Vector

__all__ = ["CHANGES", "PHASES", "WALLS", "Change", "Wall"]

#: Where the phases of QRS lie, as shares of its duration.
PHASES: Vector = np.linspace(0.02, 0.98, 9)

_Row = tuple[float, float, float]


def _zeros(*shape: int) -> Vector:
    return np.zeros(shape)


@dataclass(frozen=True)
class Change:
    """A disease of mean size.

    Attributes
    ----------
    qrs
        mV, shape (9, 3), by phase.
    t
        mV, shape (2, 3): the T wave's slow rise and its peak.
    st
        mV, shape (3,).
    stretch, rate
        Change of the logarithm of QRS duration and of heart rate.
    t_delay
        Change of the T wave's time, seconds at 60 per minute.
    spread
        Standard deviation of the logarithm of the size from patient to patient.
    """

    qrs: Vector = field(default_factory=lambda: _zeros(9, 3))
    t: Vector = field(default_factory=lambda: _zeros(2, 3))
    st: Vector = field(default_factory=lambda: _zeros(3))
    stretch: float = 0.0
    rate: float = 0.0
    t_delay: float = 0.0
    spread: float = 0.35


@dataclass(frozen=True)
class Wall:
    """A wall of the ventricles, and what its infarction of mean size does.

    Attributes
    ----------
    direction
        Where the lost forces would point, shape (3,), any length.
    loss
        What is lost at each phase of QRS, mV, shape (9,).
    late
        Change of the sixth to eighth phase: the border is reached late, and slowly; mV, (3,).
    stretch, rate
        As in :class:`Change`.
    """

    direction: Vector
    loss: Vector
    late: Vector
    stretch: float
    rate: float


def _change(
    qrs: Sequence[_Row] | None = None,
    t: tuple[_Row, _Row] | None = None,
    st: _Row | None = None,
    **others: float,
) -> Change:
    """Make a change; *qrs* may leave out phases at its end that do not change."""
    phases = _zeros(9, 3)
    if qrs:
        phases[: len(qrs)] = qrs
    return Change(
        qrs=phases,
        t=_zeros(2, 3) if t is None else np.array(t),
        st=_zeros(3) if st is None else np.array(st),
        **others,
    )


_NONE = (0.0, 0.0, 0.0)

#: By SCP-ECG code; ``STRAIN`` is what ``ISC_`` is beside LVH (84 % of those that were looked at).
CHANGES: dict[str, Change] = {
    "LVH": _change(
        [
            _NONE,
            (0.05, 0.00, -0.03),
            (0.12, 0.07, 0.13),
            (0.50, 0.12, 0.28),
            (0.60, 0.10, 0.35),
            (0.18, 0.05, 0.18),
            (0.00, 0.00, 0.04),
        ],
        stretch=0.02,
        spread=0.6,
    ),
    "RVH": _change(
        [
            _NONE,
            (0.00, 0.03, -0.05),
            (-0.10, 0.05, -0.20),
            (-0.50, 0.10, -0.40),
            (-0.70, 0.10, -0.50),
            (-0.30, 0.05, -0.30),
            (-0.10, 0.00, -0.15),
        ],
        t=((-0.02, -0.02, 0.08), (-0.05, -0.08, 0.15)),
        st=(0.0, -0.03, 0.03),
        stretch=0.05,
        spread=0.3,
    ),
    "STRAIN": _change(
        [
            _NONE,
            _NONE,
            _NONE,
            (0.10, 0.05, 0.05),
            (0.05, 0.00, 0.10),
            (-0.05, -0.05, 0.08),
            (-0.03, -0.03, 0.02),
            (-0.05, -0.04, 0.02),
            (-0.04, -0.03, 0.00),
        ],
        t=((-0.12, -0.02, -0.01), (-0.19, -0.05, -0.11)),
        st=(-0.085, -0.03, -0.055),
        stretch=0.04,
        rate=0.1,
        spread=0.45,
    ),
    "ISC_": _change(
        t=((-0.10, -0.03, 0.03), (-0.17, -0.05, -0.05)),
        st=(-0.07, -0.03, -0.01),
        stretch=0.03,
        rate=0.08,
        spread=0.4,
    ),
    "ISCAL": _change(
        t=((-0.11, -0.03, 0.06), (-0.20, -0.06, 0.05)), st=(-0.06, -0.02, 0.0), rate=0.03
    ),
    "ISCIN": _change(t=((-0.03, -0.09, 0.03), (-0.05, -0.20, 0.0)), st=(-0.02, -0.06, 0.0)),
    "ISCIL": _change(t=((-0.09, -0.07, 0.04), (-0.16, -0.14, 0.0)), st=(-0.06, -0.05, 0.0)),
    "ISCAS": _change(t=((-0.06, -0.02, 0.09), (-0.10, -0.03, 0.22)), st=(-0.03, 0.0, 0.03)),
    "NDT": _change(
        t=((-0.055, -0.015, 0.025), (-0.09, -0.035, -0.01)),
        st=(-0.028, -0.02, 0.0),
        rate=0.05,
        spread=0.3,
    ),
    "NST_": _change(
        t=((-0.06, -0.015, 0.04), (-0.09, -0.035, 0.01)),
        st=(-0.045, -0.02, 0.015),
        rate=0.1,
        spread=0.4,
    ),
    "DIG": _change(
        t=((-0.07, 0.0, 0.05), (-0.15, -0.07, 0.02)),
        st=(-0.075, -0.03, 0.01),
        t_delay=-0.03,
        spread=0.3,
    ),
    "LAFB": _change(
        [
            (0.00, 0.03, 0.02),
            (0.06, 0.06, 0.00),
            (0.00, -0.18, -0.04),
            (-0.32, -0.44, 0.02),
            (-0.38, -0.48, 0.03),
            (-0.12, -0.34, 0.00),
            (-0.08, -0.16, 0.00),
            (-0.03, -0.06, 0.00),
            (0.00, -0.02, 0.00),
        ],
        t=((-0.03, -0.01, 0.02), (-0.04, -0.06, -0.02)),
        stretch=0.05,
        spread=0.25,
    ),
    "LPFB": _change(
        [
            (0.00, -0.03, 0.02),
            (-0.04, -0.06, 0.00),
            (-0.05, 0.10, 0.00),
            (-0.35, 0.35, 0.02),
            (-0.50, 0.35, 0.03),
            (-0.20, 0.25, 0.00),
            (-0.08, 0.10, 0.00),
        ],
        t=((-0.03, 0.03, 0.02), (-0.05, 0.05, -0.02)),
        stretch=0.07,
        spread=0.25,
    ),
    "IRBBB": _change(
        [
            _NONE,
            (0.03, 0.02, 0.00),
            (0.06, 0.02, -0.01),
            (-0.10, -0.05, -0.03),
            (-0.18, -0.12, -0.24),
            (-0.09, -0.11, -0.24),
            (-0.11, -0.10, -0.16),
            (-0.07, -0.05, -0.05),
            (-0.02, -0.03, -0.02),
        ],
        t=((0.02, 0.01, 0.06), (-0.01, -0.01, 0.04)),
        st=(0.01, 0.0, 0.03),
        stretch=0.08,
        spread=0.4,
    ),
    "CRBBB": _change(
        [
            _NONE,
            (0.10, 0.05, -0.03),
            (-0.15, -0.30, -0.06),
            (-0.85, -0.42, -0.32),
            (-0.40, -0.30, -0.76),
            (-0.18, -0.05, -0.72),
            (-0.24, 0.03, -0.45),
            (-0.09, 0.00, -0.12),
            (0.00, 0.00, -0.02),
        ],
        t=((-0.04, 0.0, 0.16), (-0.04, -0.05, 0.12)),
        st=(0.02, 0.0, 0.05),
        stretch=0.52,
        spread=0.25,
    ),
    "CLBBB": _change(
        [
            (0.00, -0.05, -0.05),
            (0.05, 0.20, 0.40),
            (-0.30, 0.15, 1.10),
            (-0.55, -0.10, 1.00),
            (-0.20, -0.20, 0.65),
            (0.08, -0.35, 0.20),
            (0.04, -0.20, -0.04),
            (-0.07, 0.00, -0.10),
            (0.00, 0.00, -0.10),
        ],
        t=((-0.13, -0.05, -0.12), (-0.12, -0.05, -0.35)),
        st=(-0.05, -0.01, -0.17),
        stretch=0.68,
        rate=0.1,
        spread=0.25,
    ),
    "ILBBB": _change(
        [
            _NONE,
            (0.00, 0.05, 0.15),
            (-0.10, 0.05, 0.40),
            (-0.10, 0.00, 0.40),
            (0.00, -0.10, 0.30),
            (0.05, -0.10, 0.10),
            (0.00, -0.05, 0.00),
        ],
        t=((-0.08, -0.03, -0.03), (-0.12, -0.05, -0.12)),
        st=(-0.04, -0.01, -0.06),
        stretch=0.3,
        spread=0.25,
    ),
    "IVCD": _change(
        [
            _NONE,
            (-0.04, 0.00, -0.02),
            (-0.03, -0.10, -0.10),
            (-0.16, -0.12, -0.03),
            (-0.22, -0.08, 0.10),
            (0.03, 0.04, 0.06),
            (0.00, 0.00, 0.04),
            (-0.02, -0.02, 0.02),
        ],
        t=((-0.04, -0.04, 0.02), (-0.08, -0.05, -0.02)),
        stretch=0.22,
        spread=0.4,
    ),
    "WPW": _change(
        [(0.10, 0.05, -0.10), (0.20, 0.10, -0.20), (0.20, 0.10, -0.15)],
        t=((-0.10, -0.05, 0.05), (-0.15, -0.10, 0.10)),
        st=(-0.04, -0.02, 0.03),
        stretch=0.35,
        spread=0.3,
    ),
}


def _wall(direction: _Row, loss: Sequence[float], late: _Row, stretch: float, rate: float) -> Wall:
    lost = np.zeros(9)
    lost[: len(loss)] = loss
    return Wall(np.array(direction), lost, np.array(late), stretch, rate)


#: The walls of the nine types.
WALLS: dict[str, Wall] = {
    "ASMI": _wall(
        (0.30, -0.05, -0.95),
        (0.06, 0.26, 0.52, 0.48, 0.24, 0.06),
        (-0.03, -0.05, -0.04),
        0.07,
        0.12,
    ),
    "AMI": _wall(
        (0.25, 0.10, -0.95), (0.00, 0.12, 0.34, 0.36, 0.22, 0.05), (0.0, -0.08, -0.02), 0.03, 0.08
    ),
    "ALMI": _wall(
        (0.75, -0.15, -0.60),
        (0.00, 0.15, 0.40, 0.48, 0.40, 0.15, 0.03),
        (-0.03, -0.04, -0.03),
        0.08,
        0.12,
    ),
    "IMI": _wall(
        (0.25, 0.95, -0.08), (0.00, 0.11, 0.24, 0.24, 0.13), (-0.03, 0.05, 0.04), 0.12, 0.03
    ),
    "ILMI": _wall(
        (0.72, 0.66, -0.20), (0.00, 0.12, 0.34, 0.42, 0.32, 0.10), (0.0, -0.02, -0.04), 0.14, 0.06
    ),
    "LMI": _wall((0.98, -0.20, 0.0), (0.00, 0.14, 0.36, 0.44, 0.40, 0.15, 0.03), _NONE, 0.06, 0.05),
    "IPMI": _wall((0.20, 0.70, 0.68), (0.00, 0.06, 0.18, 0.28, 0.34, 0.26, 0.10), _NONE, 0.08, 0.0),
    "IPLMI": _wall(
        (0.55, 0.55, 0.62), (0.00, 0.08, 0.22, 0.34, 0.38, 0.26, 0.10), _NONE, 0.10, 0.03
    ),
    "PMI": _wall((0.20, -0.05, 0.98), (0.00, 0.02, 0.10, 0.28, 0.40, 0.34, 0.15), _NONE, 0.05, 0.0),
}
