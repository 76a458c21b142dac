"""What the weights of a run were trained on before it began.

The hosts load a checkpoint to go on from after the task is made, and hand its state to nobody. One
process trains one model, so one module-level record is enough, as for the plan of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfmis_plugin.checkpoints.facts import facts_in
from selfmis_plugin.data.provenance import Provenance

__all__ = ["earlier_trainings", "go_on_from", "start_afresh"]

_earlier: Provenance = ()


def start_afresh() -> None:
    """Forget another run's history."""
    global _earlier
    _earlier = ()


def go_on_from(checkpoint: Mapping[str, Any], name: str) -> None:
    """Take the trainings of the checkpoint that the host is going to load.

    Parameters
    ----------
    checkpoint
        What the file holds.
    name
        What it is called where it says nothing of its records.
    """
    global _earlier
    _earlier = facts_in(checkpoint, name).provenance


def earlier_trainings() -> Provenance:
    """Return the trainings before this run's."""
    return _earlier
