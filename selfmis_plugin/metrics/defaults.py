"""What figures are made with unless the user says otherwise."""

from __future__ import annotations

__all__ = ["DRAWS", "SPECIFICITY"]

#: Bootstrap draws of an interval.
DRAWS = 1000
#: Specificity at which sensitivity is given, and that thresholds keep.
SPECIFICITY = 0.9
