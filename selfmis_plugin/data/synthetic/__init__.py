"""A synthetic cohort: simulated 12-lead records in the layouts of PTB-XL and MIMIC-IV-ECG."""

from __future__ import annotations

from selfmis_plugin.data.synthetic.cohort import CohortError, CohortSummary, write_cohort
from selfmis_plugin.data.synthetic.record import SyntheticRecord, simulate

__all__ = ["CohortError", "CohortSummary", "SyntheticRecord", "simulate", "write_cohort"]
