"""A synthetic cohort: simulated 12-lead records in the layouts of public databases."""

from __future__ import annotations

from selfmis_plugin.synthetic.cohort import LAYOUTS, CohortError, CohortSummary, write_cohort
from selfmis_plugin.synthetic.record import SyntheticRecord, simulate

__all__ = ["LAYOUTS", "CohortError", "CohortSummary", "SyntheticRecord", "simulate", "write_cohort"]
