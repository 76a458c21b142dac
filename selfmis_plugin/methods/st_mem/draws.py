"""Which stretch of a record a training step reads, and which patches of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from selfmis_plugin.nn.patch_masks import record_noise

__all__ = ["Draw", "draw_patches", "visible_patches"]

# Below what a ratio of decimals is off by.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Draw:
    """A crop of each record, and the patches that are seen of it.

    Attributes
    ----------
    starts
        First samples of the crops, int64 (records,).
    visible
        Patches that the encoder sees, int64 (records, leads, visible patches), rising.
    """

    starts: Tensor
    visible: Tensor

    @classmethod
    def whole(cls, records: int, leads: int, patches: int, start: int) -> Draw:
        """Return the draw of which everything is seen, from one first sample on."""
        visible = torch.arange(patches).expand(records, leads, patches)
        return cls(torch.full((records,), start), visible)

    def to(self, device: torch.device) -> Draw:
        """Return it on *device*."""
        return Draw(self.starts.to(device), self.visible.to(device))

    def masked(self, patches: int) -> Tensor:
        """Return which of a lead's *patches* are not seen, bool (records, leads, patches)."""
        size = (*self.visible.shape[:2], patches)
        every = torch.ones(size, dtype=torch.bool, device=self.visible.device)
        return every.scatter_(2, self.visible, False)


def visible_patches(patches: int, mask_ratio: float) -> int:
    """Return how many patches of a lead are seen: their share rounded down, but at least one."""
    return max(1, math.floor(patches * (1 - mask_ratio) + _ROUNDING))


def draw_patches(
    records: Sequence[int],
    leads: int,
    patches: int,
    mask_ratio: float,
    surplus: int,
    seed: int,
    draw: int = 0,
) -> Draw:
    """Draw a crop of each record, and the patches that are seen of each of its leads by itself.

    What is drawn depends on nothing but what is given here, so that it is the same whatever batch
    or process the record is in, and after a resume.

    Parameters
    ----------
    records
        Numbers of the records, not negative.
    leads, patches
        Leads of a record, and patches of a lead's crop.
    mask_ratio
        Share of the patches that are masked, in (0, 1).
    surplus
        Samples that a record has more than a crop.
    seed
        Seed of the run.
    draw
        Which draw: another one gives others.

    Returns
    -------
    Draw
        On the CPU.
    """
    noise = record_noise(records, 1 + leads * patches, seed, draw)
    starts = (noise[:, 0] * (surplus + 1)).long()
    order = noise[:, 1:].reshape(-1, leads, patches).argsort(dim=2, stable=True)
    visible = order[..., : visible_patches(patches, mask_ratio)].sort(dim=2).values
    return Draw(starts, visible)
