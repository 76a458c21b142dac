"""The losses of generators and adversaries in float64, written out from their descriptions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Made = Callable[[Array], Array]


def logistic(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits))


def cross_entropy(logits: Array, target: float) -> float:
    """Mean binary cross-entropy of logits with one target."""
    chance = logistic(logits)
    return float(-(target * np.log(chance) + (1 - target) * np.log(1 - chance)).mean())


def image(leads: Array) -> Array:
    """Twelve rows with two rows of zeros above and below, (records, 16, samples)."""
    records, _, samples = leads.shape
    rows = np.zeros((records, 16, samples))
    rows[:, 2:14] = leads
    return rows


def copies(lead: Array) -> Array:
    """One lead in twelve rows of an image."""
    return image(np.repeat(lead[:, None], 12, axis=1))
