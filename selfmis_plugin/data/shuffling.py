"""The order in which an epoch reads its records, where it is not any order.

A disk that seeks, and a file system over a network, read neighbours many times as fast as records
here and there. So blocks of neighbouring records are drawn in random order, some of them are a
window, and the records of a window are shuffled: a batch is of a window's many blocks, and the file
is read a block at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCKS_IN_WINDOW", "Blocks", "blocks_of"]

#: Blocks of a window where nobody says how many records it has.
BLOCKS_IN_WINDOW = 16


@dataclass(frozen=True)
class Blocks:
    """Blocks of neighbouring records, some of them shuffled together.

    Attributes
    ----------
    block
        Records of a block; the last one of all may have fewer.
    window
        Records of a window, a whole number of blocks.

    Raises
    ------
    ValueError
        If a window is no whole number of blocks, or a block is empty.

    Examples
    --------
    >>> order = Blocks(block=2, window=4).order(10, seed=1, epoch=1)
    >>> sorted(order.tolist()) == list(range(10))
    True
    """

    block: int
    window: int

    def __post_init__(self) -> None:
        if self.block < 1 or self.window < 1 or self.window % self.block:
            raise ValueError(
                f"a window of {self.window} records is no whole number of blocks of {self.block}"
            )

    def windows(self, records: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Return the blocks of every window, in the order in which an epoch reads them.

        Parameters
        ----------
        records
            Number of records.
        seed, epoch
            The same ones give the same windows, on every process and after every resume.

        Returns
        -------
        list of numpy.ndarray
            Numbers of blocks, int64, as many as a window has; the last may have fewer.
        """
        blocks = self._random(seed, epoch, 0).permutation(-(-records // self.block))
        many = self.window // self.block
        return [blocks[start : start + many] for start in range(0, len(blocks), many)]

    def members(self, blocks: npt.NDArray[np.int64], records: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the records of *blocks*, out of so many, int64, block by block."""
        numbers = (blocks[:, None] * self.block + np.arange(self.block)).reshape(-1)
        return numbers[numbers < records]

    def order(self, records: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Return the order of an epoch: every record once, int64 (records,).

        Parameters
        ----------
        records, seed, epoch
            As for :meth:`windows`.
        """
        random = self._random(seed, epoch, 1)
        windows = self.windows(records, seed, epoch)
        if not windows:
            return np.empty(0, dtype=np.int64)
        return np.concatenate([random.permutation(self.members(one, records)) for one in windows])

    @staticmethod
    def _random(seed: int, epoch: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((seed, epoch, purpose))


def blocks_of(block: int | None, window: int | None, key: str = "task.shuffle") -> Blocks | None:
    """Return the blocks that a config asks for; None where it asks for any order.

    Parameters
    ----------
    block, window
        Records of a block, and of a window: 16 blocks where it is not given.
    key
        How the keys begin, for messages.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    if block is None:
        if window is not None:
            raise ValueError(
                f"{key}_window={window} needs {key}_block=N, the neighbouring records that are "
                "read together; without both every record is drawn from all"
            )
        return None
    window = block * BLOCKS_IN_WINDOW if window is None else window
    if block < 1 or window < block or window % block:
        raise ValueError(
            f"{key}_block={block} {key}_window={window}: give a block of 1 record or more, and a "
            "window of a whole number of blocks"
        )
    return Blocks(block, window)
