"""Whether a record has any of the nine types: the figure that few positives of each leave."""

from __future__ import annotations

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["ANY", "with_any"]

#: Name of the column.
ANY = ANY_INFARCTION


def with_any(predictions: Predictions) -> Predictions:
    """Return the types that *predictions* have, and :data:`ANY` after them.

    Raises
    ------
    PredictionsError
        If they have none.
    """
    types = [name for name in INFARCTION_TYPES if name in predictions.labels]
    return predictions.select(types).with_any(ANY, INFARCTION_TYPES)
