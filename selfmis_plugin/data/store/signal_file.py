"""The signals of a store, mapped for reading records in any order.

A training reads records at random from a file that may be larger than the memory. Left alone, the
kernel answers each page that is not there with the 128 KiB around it: four times the bytes of a
record of 12 leads, and about fifty times those of lead I. So it is told to expect no order, and is
handed the exact pages of a whole batch at once, which the disk can then fetch side by side.
"""

from __future__ import annotations

import math
import mmap
import os
import sys

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store.format import CutShortError

if sys.platform != "win32":
    import resource

_CAN_ADVISE = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED")
#: Batches for which pages are still announced after the last one that came from disk.
_PATIENCE = 16
#: The most bytes of a request: of a longer one a kernel fetches no more than its read-ahead, which
#: is 128 KiB where nobody has changed it, and forgets the rest.
_REQUEST = 128 * 1024


class SignalFile:
    """Signals of a store for gathering; the pages are shared by all processes that read them.

    Parameters
    ----------
    path
        File of samples, (records, leads, samples) in C order.
    shape
        Number of records, leads and samples.
    dtype
        Type of a sample in the file.

    Raises
    ------
    CutShortError
        If the file is shorter than that.
    """

    def __init__(
        self, path: str | os.PathLike[str], shape: tuple[int, int, int], dtype: np.dtype[np.int16]
    ) -> None:
        self.shape = shape
        self._path = path
        self._bytes = math.prod(shape) * dtype.itemsize
        with open(path, "rb") as file:
            check_length(path, os.fstat(file.fileno()).st_size, self._bytes)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._signals: npt.NDArray[np.int16] = np.frombuffer(self._map, dtype).reshape(shape)
        self._announcements_left = _PATIENCE
        if _CAN_ADVISE:
            self._map.madvise(mmap.MADV_RANDOM)

    def gather(
        self, records: npt.NDArray[np.int64], leads: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.int16]:
        """Copy records into memory.

        Parameters
        ----------
        records
            Numbers of records, each known to be in the file; any order, repeated ones too.
        leads
            Numbers of leads, each known to be in the file; all in their order when None.

        Returns
        -------
        numpy.ndarray
            (len(records), number of leads, samples).

        Raises
        ------
        CutShortError
            If the file has become shorter meanwhile: the system ends a process that reads on.
        """
        check_length(self._path, self._map.size(), self._bytes)
        pieces, index = self._pieces(records, leads)
        before = _reads_from_disk()
        if self._announcements_left:
            self._announce(index, pieces.shape[1] * pieces.itemsize)
        # Not the default mode, which checks every number again.
        taken = pieces.take(index, axis=0, mode="clip")
        # Announcing costs as much as half a read from memory: it ends when all is found there.
        if _reads_from_disk() != before:
            self._announcements_left = _PATIENCE
        elif self._announcements_left:
            self._announcements_left -= 1
        width = self.shape[1] if leads is None else len(leads)
        return taken.reshape(len(records), width, self.shape[2])

    def announce(
        self, records: npt.NDArray[np.int64], leads: npt.NDArray[np.int64] | None = None
    ) -> None:
        """Ask the kernel for records that are going to be read, without waiting for them.

        Parameters
        ----------
        records, leads
            As for :meth:`gather`.
        """
        pieces, index = self._pieces(records, leads)
        self._announce(index, pieces.shape[1] * pieces.itemsize)

    def _pieces(
        self, records: npt.NDArray[np.int64], leads: npt.NDArray[np.int64] | None
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
        """Return the file as rows that are contiguous, and which of them are asked for."""
        count, all_leads, samples = self.shape
        if leads is None:
            return self._signals.reshape(count, all_leads * samples), records
        # A lead of a record is contiguous, so it can be taken as a row of its own.
        index = (records[:, None] * all_leads + leads).reshape(-1)
        return self._signals.reshape(count * all_leads, samples), index

    def _announce(self, index: npt.NDArray[np.int64], size: int) -> None:
        """Ask the kernel for the pages of some pieces of *size* bytes, without waiting."""
        if not (_CAN_ADVISE and len(index)):
            return
        pieces = np.unique(index)
        first = pieces * size // mmap.PAGESIZE
        stop = -(-(pieces + 1) * size // mmap.PAGESIZE)
        # Neighbours become one request.
        apart = np.flatnonzero(first[1:] > stop[:-1]) + 1
        starts = first[np.r_[0, apart]] * mmap.PAGESIZE
        lengths = stop[np.r_[apart - 1, len(stop) - 1]] * mmap.PAGESIZE - starts
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            end = min(start + length, len(self._map))
            for at in range(start, end, _REQUEST):
                self._map.madvise(mmap.MADV_WILLNEED, at, min(_REQUEST, end - at))


def check_length(path: str | os.PathLike[str], found: int, expected: int) -> None:
    """Refuse a file that is shorter than it was when its store was opened.

    Raises
    ------
    CutShortError
        If it is.
    """
    if found < expected:
        raise CutShortError(
            f"{os.fspath(path)}: has {found:,} of {expected:,} bytes: it was cut short after the "
            "store was opened. See to what writes there, and prepare the store again (selfmis "
            "prepare ... --overwrite) before you give the same command again"
        )


def _reads_from_disk() -> int:
    """Return a count that grows when this process has to read from a disk."""
    if sys.platform == "win32":
        return 0
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_majflt + usage.ru_inblock
