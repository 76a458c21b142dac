"""What a run's best checkpoint measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.reading import mapping, read_checkpoint
from selfmis_plugin.training.run_log import validation_after

__all__ = ["best_figures"]


def best_figures(best: Path, folder: Path, metric: str) -> dict[str, float]:
    """Return the figures of the validation that a run's best checkpoint is of, and its ``epoch``.

    The file itself says when it was: a folder's log may hold other runs, and of equally good epochs
    the hosts keep the last.

    Parameters
    ----------
    best
        The checkpoint; there is nothing to say where it is not there.
    folder
        The run's folder, whose log has figures that the file has not.
    metric
        The figure by which it is the best.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    if not best.is_file():
        return {}
    checkpoint = read_checkpoint(best)
    state = mapping(checkpoint.get("extra_state"))
    epoch = _epoch(mapping(state.get("train_iterator")))
    figures = dict(mapping(mapping(checkpoint.get("task_state")).get("validation")))
    figures[metric] = state.get("val_loss")
    # Rounded, as the curves are.
    figures |= validation_after(folder, epoch, _updates(checkpoint))
    return {"epoch": float(epoch)} | {
        name: float(value)
        for name, value in figures.items()
        if value is not None and math.isfinite(value) and not name.startswith(("best_", "num_"))
    }


def _epoch(iterator: Mapping[str, Any]) -> int:
    """The epoch that a checkpoint was written in; at its end the hosts note the next one."""
    epoch = int(iterator.get("epoch", 0))
    return epoch if iterator.get("iterations_in_epoch") else epoch - 1


def _updates(checkpoint: Mapping[str, Any]) -> int:
    history = checkpoint.get("optimizer_history") or [{}]
    return int(mapping(history[-1]).get("num_updates", -1))
