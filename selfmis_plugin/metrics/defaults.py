"""What figures are made with unless the user says otherwise."""

from __future__ import annotations

__all__ = ["DRAWS", "FEW_PATIENTS", "SPECIFICITY"]

#: Bootstrap draws of an interval.
DRAWS = 1000
#: With fewer positive patients a figure says little by itself, which tables mark.
FEW_PATIENTS = 10
#: Specificity at which sensitivity is given, and that thresholds keep.
SPECIFICITY = 0.9
