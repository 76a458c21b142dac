"""Where a run began, if not at its own first update: in another run's checkpoint, or, with another
number of processes, in its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FRESH", "Beginning", "current", "remember"]


@dataclass(frozen=True)
class Beginning:
    """A place in a training from which the plan is counted.

    Attributes
    ----------
    restored_from
        The file that ``checkpoint.restore_file`` named; None where it named none.
    epoch
        Its epoch, from 1.
    batches
        Batches of that epoch which each of the present processes counts as read.
    updates
        Updates that had been made.
    """

    restored_from: str | None = None
    epoch: int = 1
    batches: int = 0
    updates: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Beginning:
        """Return what :meth:`to_dict` gave; a checkpoint without it is of a run of its own."""
        return cls(**values) if values else FRESH


FRESH = Beginning()
_beginning = FRESH


def remember(beginning: Beginning) -> None:
    """Keep where the run of this process began."""
    global _beginning
    _beginning = beginning


def current() -> Beginning:
    """Return where the run of this process began."""
    return _beginning
