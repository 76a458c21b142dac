"""Writing the signals of a store at their place in the one file."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store.format import SAMPLE_DTYPE

#: Bytes that are moved at once.
_BLOCK = 1 << 20
#: Records that are written at once.
_BATCH = 64
_PAGE = 4096

#: Memory of writers that are done, for the next ones of this process.
_SPARE: list[mmap.mmap] = []


class SlotWriter:
    """Writes records one after another, from some place of a file that is there.

    Where the file system allows it the bytes go past the operating system's cache: a store is
    larger than the memory, so that what is cached is only thrown away again, and filling the cache
    takes longer than the disk does.

    Use it as a context manager; when that ends without an error all is on the disk itself.

    Parameters
    ----------
    path
        The file.
    offset, room
        Where the first record begins, and how many bytes there may be written. If both are whole
        pages of the disk, what follows the last record up to the next page may be overwritten.
    record_bytes
        Bytes of a record.
    """

    def __init__(self, path: Path, offset: int, room: int, record_bytes: int) -> None:
        self._path = path
        self._offset = offset
        self._record = record_bytes
        aligned = all(n % _PAGE == 0 for n in (offset, room, _BATCH * record_bytes))
        self._direct = aligned and hasattr(os, "O_DIRECT")
        self._memory = _borrow(_BATCH * record_bytes)
        self._batch = memoryview(self._memory)
        self._filled = 0

    def __enter__(self) -> SlotWriter:
        self._handle = self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._write()
                os.fsync(self._handle)
        finally:
            os.close(self._handle)
            self._batch.release()
            _SPARE.append(self._memory)

    def append(self, signal: npt.NDArray[np.int16]) -> None:
        """Add a record, int16 of any shape with the right number of bytes."""
        content = np.ascontiguousarray(signal, dtype=SAMPLE_DTYPE).data.cast("B")
        self._batch[self._filled : self._filled + self._record] = content
        self._filled += self._record
        if self._filled == len(self._batch):
            self._write()

    def _open(self) -> int:
        if self._direct:
            with contextlib.suppress(OSError):
                return os.open(self._path, os.O_WRONLY | os.O_DIRECT)
            self._direct = False
        return os.open(self._path, os.O_WRONLY)

    def _write(self) -> None:
        done, end = 0, self._filled
        while done < end:
            # Whole pages only; what follows the last record is nobody's yet.
            stop = -(-end // _PAGE) * _PAGE if self._direct else end
            try:
                done += os.pwrite(self._handle, self._batch[done:stop], self._offset + done)
            except OSError as error:
                if not self._direct or error.errno != errno.EINVAL:
                    raise
            else:
                if not self._direct or done % _PAGE == 0:
                    continue
            # The file system wants other pages, or the disk is nearly full: by the cache then.
            os.close(self._handle)
            self._direct = False
            self._handle = self._open()
        self._offset += end
        self._filled = 0


def _borrow(size: int) -> mmap.mmap:
    """Return memory that begins at a page, as writing past the cache needs it.

    What a writer before has left is used again: getting a page of new memory takes about as long
    as filling it.
    """
    while _SPARE:
        memory = _SPARE.pop()
        if len(memory) == size:
            return memory
        memory.close()
    # Private: a process that is forked must not write into this one's.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def move(handle: int, source: int, target: int, count: int) -> None:
    """Move bytes of an open file towards its beginning; the two places may overlap."""
    with mmap.mmap(-1, min(_BLOCK, count)) as memory, memoryview(memory) as buffer:
        while count:
            read = os.preadv(handle, [buffer[: min(len(buffer), count)]], source)
            if not read:
                raise OSError(errno.EIO, f"the signal file ends {count} bytes too early")
            written = os.pwrite(handle, buffer[:read], target)
            source, target, count = source + written, target + written, count - written
