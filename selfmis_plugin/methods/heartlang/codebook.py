"""Codes that follow what is assigned to them, by a moving average in place of a gradient.

van den Oord et al., "Neural Discrete Representation Learning", 2017, appendix A.1, on the unit
sphere, as Peng et al., "BEiT v2", 2022, and Jin et al., ICLR 2025, use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.nn.exchange import is_distributed

__all__ = ["Codebook", "Quantised", "nearest_codes", "start_codes"]

_ROUNDS = 10
#: Rows that are compared with all codes at once: 8,192 codes make 134 MB of it.
_ROWS_AT_ONCE = 4096


class Quantised(NamedTuple):
    """Codes of vectors.

    Attributes
    ----------
    numbers
        int64 ``(...)``.
    vectors
        Codes, float32 ``(..., size)``, whose gradient goes to what was quantised.
    fixed
        The same without a gradient.
    """

    numbers: Tensor
    vectors: Tensor
    fixed: Tensor


class Codebook(nn.Module):
    """Unit vectors, of which the nearest stands for a unit vector.

    In training an update moves each code that vectors are assigned to: with their mean brought to
    unit length :math:`m_k`, :math:`e_k \\leftarrow n(d e_k + (1 - d) m_k)`, where :math:`n` brings
    to unit length. The others stay. Sums and counts are those of all processes. The first vectors
    start the codes by k-means.

    It is float32 whatever the module around it is cast to: :math:`1 - d` is below the rounding
    of half precision.

    Parameters
    ----------
    codes, size
        Number of codes, and their size.
    decay
        :math:`d`, the share of a code that an update keeps.
    shared
        Whether the first process's start is that of all. Otherwise each process starts from its
        own vectors, and sums that belong to different codes are added up, as the authors do.
    seed
        Seed of the start.

    Examples
    --------
    >>> import torch
    >>> codebook = Codebook(16, 4).train()
    >>> vectors = torch.nn.functional.normalize(torch.randn(100, 4), dim=-1)
    >>> codebook(vectors, update=True).numbers.shape
    torch.Size([100])
    """

    weight: Tensor
    usage: Tensor
    started: Tensor

    def __init__(
        self, codes: int, size: int, decay: float = 0.99, shared: bool = True, seed: int = 1
    ) -> None:
        super().__init__()
        self.decay = decay
        self.shared = shared
        self.seed = seed
        self.register_buffer("weight", F.normalize(torch.randn(codes, size), dim=-1))
        # How many vectors an update assigns to each, as a moving average.
        self.register_buffer("usage", torch.zeros(codes))
        self.register_buffer("started", torch.zeros(1, dtype=torch.bool))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        before = dict(self.named_buffers(recurse=False))
        module = super()._apply(fn, recurse)
        for name, value in before.items():
            if value.is_floating_point() and not value.is_meta:
                setattr(self, name, value.to(getattr(self, name).device, torch.float32))
        return module

    def forward(
        self, vectors: Tensor, counted: Tensor | None = None, update: bool = False
    ) -> Quantised:
        """Quantise vectors; in training mode also learn from them if *update* says so.

        Each process has to call it with an update where one does; where it has nothing to teach,
        with no vector that is *counted*.

        Parameters
        ----------
        vectors
            Unit vectors, ``(..., size)``.
        counted
            bool ``(...)``: those to learn from; None: all.
        update
            Whether to learn.
        """
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.float()
            rows = vectors.detach().flatten(0, -2)
            learned = rows if counted is None else rows[counted.flatten()]
            learns = update and self.training
            if learns and not bool(self.started):
                self._start(learned)
            numbers = nearest_codes(rows, self.weight)
            fixed = self.weight[numbers].view(vectors.shape)
            if learns:
                self._learn(learned, numbers if counted is None else numbers[counted.flatten()])
            passed = vectors + (fixed - vectors).detach()
            return Quantised(numbers.view(vectors.shape[:-1]), passed, fixed)

    @torch.no_grad()
    def _start(self, rows: Tensor) -> None:
        together = is_distributed() and self.shared
        if len(rows) and not (together and dist.get_rank()):
            self.weight.copy_(start_codes(rows, len(self.weight), self.seed))
            self.started.fill_(True)
        if together:
            started = self.started.int()  # not every backend sends bool
            dist.broadcast(started, src=0)
            dist.broadcast(self.weight, src=0)
            self.started.copy_(started)

    @torch.no_grad()
    def _learn(self, rows: Tensor, numbers: Tensor) -> None:
        counts, sums = _assigned(rows, numbers, len(self.weight))
        if is_distributed():
            dist.all_reduce(counts)
            dist.all_reduce(sums)
        means = F.normalize(sums, dim=-1)  # of the sums or of the means is one direction
        moved = F.normalize(self.decay * self.weight + (1 - self.decay) * means, dim=-1)
        self.weight.copy_(torch.where(counts[:, None] > 0, moved, self.weight))
        if bool(counts.any()):
            self.usage.mul_(self.decay).add_(counts, alpha=1 - self.decay)


@torch.no_grad()
def nearest_codes(rows: Tensor, codes: Tensor) -> Tensor:
    """Return for unit vectors ``(rows, size)`` the numbers of the nearest *codes*, (codes, size):
    of the largest inner product, the first where several have it."""
    if not len(rows):
        return torch.zeros(0, dtype=torch.int64, device=rows.device)
    return torch.cat([(part @ codes.T).argmax(1) for part in rows.split(_ROWS_AT_ONCE)])


def start_codes(rows: Tensor, count: int, seed: int) -> Tensor:
    """Return *count* codes by k-means on the sphere over unit vectors ``(rows, size)``.

    It begins at different rows drawn at random, or where there are fewer rows, at some of them
    several times; ten rounds.
    """
    generator = torch.Generator().manual_seed(seed)
    if len(rows) >= count:
        chosen = torch.randperm(len(rows), generator=generator)[:count]
    else:
        chosen = torch.randint(len(rows), (count,), generator=generator)
    codes = rows[chosen.to(rows.device)].clone()
    for _ in range(_ROUNDS):
        counts, sums = _assigned(rows, nearest_codes(rows, codes), count)
        codes = torch.where(counts[:, None] > 0, F.normalize(sums, dim=-1), codes)
    return codes


def _assigned(rows: Tensor, numbers: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return how many rows each code has, float32, and their sums."""
    counts = rows.new_zeros(count).index_add_(0, numbers, rows.new_ones(len(rows)))
    return counts, rows.new_zeros(count, rows.shape[1]).index_add_(0, numbers, rows)
