"""Which patches of a record a masked autoencoder sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["PatchMask", "random_masks", "record_noise"]


@dataclass(frozen=True)
class PatchMask:
    """Visible patches of each record; all its leads share them.

    Attributes
    ----------
    visible
        int64 (records, visible patches), rising in each record.
    masked
        bool (records, patches), True where the encoder does not see the patch.
    """

    visible: Tensor
    masked: Tensor

    @classmethod
    def none(cls, records: int, patches: int, device: torch.device | None = None) -> PatchMask:
        """Return the mask that leaves every patch visible."""
        visible = torch.arange(patches, device=device).expand(records, patches)
        return cls(visible, torch.zeros(records, patches, dtype=torch.bool, device=device))

    def to(self, device: torch.device) -> PatchMask:
        """Return the mask on *device*."""
        return PatchMask(self.visible.to(device), self.masked.to(device))

    @classmethod
    def from_noise(cls, noise: Tensor, ratio: float) -> PatchMask:
        """Mask the patches of the largest *noise*, (records, patches); at least one stays visible.

        Raises
        ------
        ValueError
            If *ratio* is not in [0, 1).
        """
        if not 0 <= ratio < 1:
            raise ValueError(f"the share of masked patches must be in [0, 1), not {ratio}")
        patches = noise.shape[1]
        count = max(1, patches - round(ratio * patches))
        visible = noise.argsort(dim=1, stable=True)[:, :count].sort(dim=1).values
        masked = torch.ones_like(noise, dtype=torch.bool).scatter_(1, visible, False)
        return cls(visible, masked)


def random_masks(
    records: Sequence[int], patches: int, ratio: float, seed: int, draw: int = 0
) -> PatchMask:
    """Draw a mask for each record.

    Parameters
    ----------
    records, seed, draw
        See :func:`record_noise`.
    patches
        Patches of a record.
    ratio
        Share of the patches that are masked, in [0, 1).

    Returns
    -------
    PatchMask
        On the CPU.
    """
    return PatchMask.from_noise(record_noise(records, patches, seed, draw), ratio)


def record_noise(records: Sequence[int], count: int, seed: int, draw: int = 0) -> Tensor:
    """Draw numbers in [0, 1) for each record, which depend on nothing but what is given here.

    So they are the same whatever batch or process the record is in, and after a resume.

    Parameters
    ----------
    records
        Numbers of the records, not negative.
    count
        Numbers of a record.
    seed
        Seed of the run.
    draw
        Which draw: another one gives other numbers.

    Returns
    -------
    Tensor
        float64 ``(records, count)``, on the CPU.
    """
    noise = np.empty((len(records), count))
    for row, record in zip(noise, records, strict=True):
        np.random.default_rng((seed, draw, record)).random(out=row)
    return torch.from_numpy(noise)
