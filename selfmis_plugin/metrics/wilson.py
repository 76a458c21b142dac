"""The interval of a share."""

from __future__ import annotations

import math

__all__ = ["wilson_interval"]

#: Of the normal distribution, on either side of a 95 % interval.
_Z = 1.959963984540054


def wilson_interval(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson, JASA 22:209, 1927).

    Parameters
    ----------
    share
        Of 1.
    number
        Of how many that are independent.
    """
    spread = _Z**2 / number
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    return max(0.0, centre - half), min(1.0, centre + half)
