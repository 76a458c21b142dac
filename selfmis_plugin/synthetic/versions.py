"""Versions of the cohort: of one version, the same seed gives the same records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from selfmis_plugin.data.origin import LATEST_COHORT
from selfmis_plugin.synthetic import hearts_v1, hearts_v2
from selfmis_plugin.synthetic.heart import Patient

__all__ = ["LATEST", "VERSIONS", "draw_patient"]

#: How a patient is drawn in each version. A change that gives the same seed other records is a new
#: version, beside the others.
VERSIONS: dict[int, Callable[[np.random.Generator, Sequence[str] | None], Patient]] = {
    1: hearts_v1.draw_patient,
    2: hearts_v2.draw_patient,
}

#: The version that is made where none is named.
LATEST = LATEST_COHORT


def draw_patient(
    random: np.random.Generator, version: int = LATEST, infarctions: Sequence[str] | None = None
) -> Patient:
    """Draw a patient of a version of the cohort.

    Parameters
    ----------
    random
        Source of the patient's draws.
    version
        One of :data:`VERSIONS`.
    infarctions
        Types to give the patient instead of drawing them; empty for none.

    Raises
    ------
    ValueError
        If there is no such version, a type is not one of the nine, or there are more than two.
    """
    if version not in VERSIONS:
        raise ValueError(
            f"version {version} of the synthetic cohort: there is {', '.join(map(str, VERSIONS))}"
        )
    return VERSIONS[version](random, infarctions)
