"""Batches for the host's own pre-trainings, of one record repeated."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["of_different_patients", "whole_record"]


def whole_record(signal: torch.Tensor) -> dict[str, Any]:
    """Return what the pre-trained models take for whole records, (batch, leads, samples)."""
    return {"source": signal, "padding_mask": None}


def of_different_patients(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch that repeats one record's pair as one of as many patients.

    It says its own size too: a criterion that derives its targets has none to count.
    """
    rows = len(batch["net_input"]["source"])
    if "patient_id" in batch:
        batch["patient_id"] = torch.arange(rows // 2).repeat_interleave(2)
    return {**batch, "sample_size": rows}
