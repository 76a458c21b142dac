"""Thresholds that others have published."""

from __future__ import annotations

__all__ = ["PUBLISHED_THRESHOLD"]

#: Of the mean correlation of beats with the average beat: Orphanidou et al. (2015), for ECG.
PUBLISHED_THRESHOLD = 0.66
