"""How many batches an epoch has, told by the task to the learning-rate schedule.

A schedule over epochs must know it, and in neither host does a schedule see the data: it is built
from its config and the optimizer, before the first batch exists. One process trains one model, so
one module-level plan is enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from selfmis_plugin.training import beginning

_batches_per_epoch: int | None = None


def set_batches_per_epoch(batches: int | None) -> None:
    """Record the number of batches that this process takes from the training data in an epoch."""
    global _batches_per_epoch
    _batches_per_epoch = batches


def total_updates(max_epoch: int, update_freq: Sequence[int], max_update: int = 0) -> int | None:
    """Return the number of updates of a whole run, or None before the training data are known.

    A run that began in another's checkpoint, or went on with another number of processes, has the
    updates up to there, and those of its remaining epochs.

    Parameters
    ----------
    max_epoch
        Number of epochs.
    update_freq
        Batches an update, for each epoch; the last entry holds for all later epochs.
    max_update
        The host's limit on updates, 0 for none.
    """
    if _batches_per_epoch is None:
        return None
    begun = beginning.current()
    per_epoch = (
        math.ceil(
            (_batches_per_epoch - (begun.batches if epoch == begun.epoch else 0))
            / update_freq[min(epoch, len(update_freq)) - 1]
        )
        for epoch in range(begun.epoch, max_epoch + 1)
    )
    updates = begun.updates + sum(per_epoch)
    return min(updates, max_update) if max_update > 0 else updates
