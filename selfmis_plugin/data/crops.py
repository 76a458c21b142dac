"""Pieces of records, drawn anew in every epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store import StoreInfo

__all__ = ["Crops", "crops_of"]


@dataclass(frozen=True)
class Crops:
    """How pieces are drawn of a record.

    Attributes
    ----------
    samples
        Length of a piece.
    seed
        Of the run.
    windows
        Pieces of each record in a batch.
    single_lead
        A lead to hand out by itself as well, cropped on its own.
    crop_signal
        Whether the signal itself is cropped; with ``single_lead`` it may stay whole.
    """

    samples: int
    seed: int
    windows: int = 1
    single_lead: str | None = None
    crop_signal: bool = True

    def starts(
        self, records: npt.NDArray[np.int64], epoch: int, whole: int
    ) -> npt.NDArray[np.int64]:
        """Draw where pieces begin, which depends on nothing but seed, epoch and record.

        So a record is cut alike whatever batch it is in, and after a resume.

        Parameters
        ----------
        records
            Numbers of the records.
        epoch
            Counted from 1.
        whole
            Samples of a record.

        Returns
        -------
        numpy.ndarray
            int64 (2, records * windows): of the single lead's pieces, or of all leads', and of the
            signal's where it is cropped apart from them. The windows of a record are neighbours.
        """
        places = whole - self.samples + 1
        drawn = np.array(
            [
                np.random.default_rng((self.seed, epoch, record)).integers(
                    places, size=(2, self.windows)
                )
                for record in records.tolist()
            ],
            dtype=np.int64,
        ).reshape(-1, 2, self.windows)
        return drawn.transpose(1, 0, 2).reshape(2, -1)

    def cut(
        self, signal: npt.NDArray[np.int16], starts: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int16]:
        """Return a piece of each record of *signal*, (records, leads, samples)."""
        pieces = np.lib.stride_tricks.sliding_window_view(signal, self.samples, axis=-1)
        return np.ascontiguousarray(pieces[np.arange(len(signal)), :, starts])


def crops_of(
    info: StoreInfo,
    seconds: float | None,
    seed: int,
    windows: int = 1,
    single_lead: str | None = None,
    crop_signal: bool = True,
) -> Crops | None:
    """Return how a store's records are cropped; None where they stay whole.

    Raises
    ------
    ValueError
        If the pieces are longer than a record, or there are none.
    """
    if windows < 1:
        raise ValueError(f"task.windows={windows}: a record has one piece at least")
    if seconds is None:
        if windows > 1:
            raise ValueError(
                f"task.windows={windows}: pieces of a record need a length, task.crop_seconds=S"
            )
        return None
    if not 0 < seconds <= info.seconds:
        raise ValueError(
            f"task.crop_seconds={seconds:g}: choose more than 0, and at most the "
            f"{info.seconds:g} s of a record"
        )
    samples = max(1, round(seconds * info.sample_rate))
    return Crops(samples, seed, windows, single_lead, crop_signal)
