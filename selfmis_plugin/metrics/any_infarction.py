"""Whether a record has any of the nine types: the figure that few positives of each leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["ANY", "with_any"]

#: Name of the column.
ANY = ANY_INFARCTION


def with_any(predictions: Predictions, has: npt.NDArray[np.bool_]) -> Predictions:
    """Return the types that *predictions* have, and :data:`ANY` after them.

    Parameters
    ----------
    predictions
        Logits beside the truth.
    has
        Whether each record has one, (records,): also a type that the classifier has no output for.

    Raises
    ------
    PredictionsError
        If they have none of the types.
    """
    types = [name for name in INFARCTION_TYPES if name in predictions.labels]
    derived = predictions.select(types).with_any(ANY, INFARCTION_TYPES)
    return replace(derived, targets=np.column_stack([derived.targets[:, :-1], has]))
