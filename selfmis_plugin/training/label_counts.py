"""How many training records have each label, counted once a training."""

from __future__ import annotations

from collections.abc import Sequence

from selfmis_plugin.checkpoints.facts import LabelCounts
from selfmis_plugin.data.splits import Split

__all__ = ["count_labels"]


def count_labels(part: Split, labels: Sequence[str]) -> LabelCounts:
    """Count the records of a split, and those that have each label."""
    positives = part.store.targets(part.rows, labels).sum(0, dtype="float64").tolist()
    return LabelCounts(
        len(part.rows), {name: round(count) for name, count in zip(labels, positives, strict=True)}
    )
