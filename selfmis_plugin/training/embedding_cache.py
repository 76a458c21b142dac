"""Embeddings of a frozen encoder, kept on disk.

A cache is a folder named by the first digits of its key, a digest of everything that the
embeddings depend on. In it lie files of consecutive records each::

    <key>/00000000.emb   4,096 bytes of JSON, filled up with spaces: format, key, which records,
                         shape, type and CRC-32 of what follows; then the embeddings, little-endian
                         float32 or float16, (records, dim), C order

A file is there whole or not at all, and says itself what it holds, so several processes (of one
run or of several, on one machine or more) may write into one cache without a word between them:
whoever comes last replaces a file by an equal one. A run that is killed loses the files that it was
writing, no more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import mmap
import os
import time
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store.format import CutShortError, View
from selfmis_plugin.data.store.identity import digest, identity_of
from selfmis_plugin.utils.disk import WriteError
from selfmis_plugin.utils.files import whole_file

logger = logging.getLogger(__name__)

CACHE_FORMAT = "selfmis-embeddings"
CACHE_VERSION = 1
#: Types that embeddings may be kept in. They are little-endian whatever the machine.
CACHE_DTYPES: Mapping[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
}
#: Types of whatever may be kept of records: embeddings, and counted things such as samples.
_KEPT_DTYPES: Mapping[str, np.dtype[Any]] = {**CACHE_DTYPES, "int16": np.dtype("<i2")}
#: A page: the embeddings behind it start aligned.
HEADER_BYTES = 4096
#: Records of a file at most: 32 MB of float32 at 1,024 values. A killed run loses as many.
RECORDS_PER_FILE = 8192
#: A small data set is cut into so many files at least, for as many processes to share.
FILES_AT_LEAST = 16

_DIGITS = 24
_READ_BYTES = 1 << 24
_STALE_SECONDS = 24 * 3600


_AGAIN = "Start the training again: what is not whole is made again"


class EmbeddingCacheError(RuntimeError):
    """Embeddings cannot be kept or read back; the message says what to do."""


def cache_key(**parts: Any) -> str:
    """Return the digest of what embeddings depend on: 64 hexadecimal digits.

    Parameters
    ----------
    **parts
        JSON-ready values; one that is another makes another key.
    """
    text = json.dumps({"version": CACHE_VERSION, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def store_identity(store: Store, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return what tells these records of a store from any others.

    Parameters
    ----------
    store
        The store, see :func:`selfmis_plugin.data.store.identity.identity_of`.
    rows
        Its rows in the order of the manifest.

    Returns
    -------
    dict
        JSON-ready, for :func:`cache_key`.
    """
    return {**identity_of(store), "rows": _digest_of(rows)}


def origin_identity(view: View, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return what :func:`store_identity` said of these records of a view's origin."""
    return {**view.identity, "rows": _digest_of(rows)}


def _digest_of(rows: npt.NDArray[np.int64]) -> str:
    return digest(np.ascontiguousarray(rows, dtype="<i8").tobytes())


@dataclasses.dataclass(frozen=True)
class EmbeddingCache:
    """Embeddings of one list of records by one frozen encoder.

    The object may be pickled; the copy maps the files anew when it first needs them.

    Parameters
    ----------
    folder
        Folder of caches; this one is the folder ``key`` in it.
    key
        See :func:`cache_key`.
    records
        Number of records.
    dim
        Values of an embedding.
    dtype
        ``float32`` or ``float16``; ``int16`` for whole numbers in place of embeddings.
    batch_size
        Records that are embedded at once: a file holds a whole number of batches.

    Raises
    ------
    ValueError
        If a size is not positive, or the type is another.

    Examples
    --------
    >>> import tempfile
    >>> cache = EmbeddingCache(Path(tempfile.mkdtemp()), cache_key(of="example"), 5, 3)
    >>> for number in cache.missing():
    ...     start, stop = cache.bounds(number)
    ...     cache.write(number, np.full((stop - start, 3), 1.5, np.float32))
    >>> cache.read([4, 0]).shape
    (2, 3)
    """

    folder: Path
    key: str
    records: int
    dim: int
    dtype: str = "float32"
    batch_size: int = 1

    def __post_init__(self) -> None:
        if self.dtype not in _KEPT_DTYPES:
            raise ValueError(
                f"embeddings are kept in {' or '.join(CACHE_DTYPES)}, not in {self.dtype!r}"
            )
        for name in ("records", "dim", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def path(self) -> Path:
        """Folder of this cache's files."""
        return self.folder / self.key[:_DIGITS]

    @cached_property
    def records_per_file(self) -> int:
        """Records of every file but the last; a whole number of batches."""
        wanted = min(RECORDS_PER_FILE, self.records // FILES_AT_LEAST)
        return self.batch_size * max(1, wanted // self.batch_size)

    @property
    def files(self) -> int:
        """Number of files."""
        return -(-self.records // self.records_per_file)

    @property
    def nbytes(self) -> int:
        """Size of the embeddings of all records."""
        return self.records * self.dim * _KEPT_DTYPES[self.dtype].itemsize

    def bounds(self, number: int) -> tuple[int, int]:
        """Return the first record of file *number*, and the one after its last."""
        start = number * self.records_per_file
        return start, min(start + self.records_per_file, self.records)

    def missing(self) -> list[int]:
        """Return the numbers of the files that have to be written.

        Every file is read whole. One that is cut short, damaged or another cache's counts as
        missing, and is named in the log.
        """
        wanted = []
        for number in range(self.files):
            fault = self._fault(number, content=True)
            if fault is not None:
                wanted.append(number)
                if fault:
                    logger.warning("%s: %s; it is made again", self._file(number), fault)
        return wanted

    def write(self, number: int, embeddings: npt.NDArray[Any]) -> None:
        """Write file *number*, whole or not at all.

        Parameters
        ----------
        number
            Which file.
        embeddings
            Those of the records of :meth:`bounds`, (records, dim).

        Raises
        ------
        EmbeddingCacheError
            If the file cannot be written, or a value is beyond what the type holds.
        ValueError
            If the embeddings have another shape.
        """
        start, stop = self.bounds(number)
        if embeddings.shape != (stop - start, self.dim):
            raise ValueError(
                f"file {number} takes embeddings of shape {(stop - start, self.dim)}, not of "
                f"{embeddings.shape}"
            )
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(embeddings, dtype=_KEPT_DTYPES[self.dtype])
        whole = kept.dtype.kind == "i"
        if whole and not np.array_equal(kept, embeddings):
            raise EmbeddingCacheError(f"a value is no whole number that {self.dtype} holds")
        if not whole and not np.isfinite(kept[np.isfinite(embeddings)]).all():
            raise EmbeddingCacheError(
                f"an embedding holds {np.abs(embeddings).max():.0f}, and {self.dtype} ends before "
                "that: keep embeddings in float32"
            )
        content = kept.tobytes()
        header = json.dumps({**self._says(number), "crc32": zlib.crc32(content)})
        try:
            with whole_file(self._file(number)) as temporary, temporary.open("wb") as file:
                file.write(header.encode().ljust(HEADER_BYTES))
                file.write(content)
        except OSError as error:
            said = str(error)
            if not isinstance(error, WriteError):
                said = f"{self._file(number)}: cannot be written ({error})"
            raise EmbeddingCacheError(
                f"{said}; all embeddings take {self.nbytes / 1e9:.2f} GB"
            ) from error

    def read(self, records: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return embeddings of records, float32 (records, dim); whole numbers in their own type.

        Raises
        ------
        EmbeddingCacheError
            If a file is absent, or is not as long as it should be.
        IndexError
            If there is no such record.
        """
        index = np.asarray(records, dtype=np.int64)
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < self.records:
            raise IndexError(f"records are numbered from 0 to {self.records - 1}")
        files, places = np.divmod(index, self.records_per_file)
        whole = _KEPT_DTYPES[self.dtype].kind == "i"
        found = np.empty((len(index), self.dim), dtype=np.int16 if whole else np.float32)
        for number in np.unique(files):
            of_file = files == number
            content, embeddings = self._maps[number]
            self._check(number, content.size())
            found[of_file] = embeddings[places[of_file]]
        return found

    def check_length(self) -> None:
        """See whether every file that was opened has its length still.

        Raises
        ------
        EmbeddingCacheError
            If one has become shorter: the system ends a process that reads on.
        """
        for number, (content, _) in enumerate(self._maps):
            self._check(number, content.size())

    def _check(self, number: int, size: int) -> None:
        if size < self._file_bytes(number):
            cause = CutShortError(
                f"{self._file(number)}: has {size:,} of {self._file_bytes(number):,} bytes: it was "
                f"cut short while it was read. {_AGAIN}"
            )
            raise EmbeddingCacheError(str(cause)) from cause

    def _file_bytes(self, number: int) -> int:
        start, stop = self.bounds(number)
        return HEADER_BYTES + (stop - start) * self.dim * _KEPT_DTYPES[self.dtype].itemsize

    def remove_leftovers(self) -> None:
        """Remove what runs that were killed while writing have left, once it is a day old."""
        for left in self.path.glob(".*"):
            try:
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink()
            except OSError:
                logger.debug("%s: not removed", left, exc_info=True)

    @cached_property
    def _maps(self) -> list[tuple[mmap.mmap, npt.NDArray[Any]]]:
        maps = []
        for number in range(self.files):
            fault = self._fault(number, content=False)
            if fault is not None:
                raise EmbeddingCacheError(
                    f"{self._file(number)}: {fault or 'is not there'}. Machines that train "
                    f"together must see one folder. {_AGAIN}"
                )
            with self._file(number).open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            values = np.frombuffer(content, _KEPT_DTYPES[self.dtype], offset=HEADER_BYTES)
            maps.append((content, values.reshape(-1, self.dim)))
        return maps

    def _file(self, number: int) -> Path:
        return self.path / f"{self.bounds(number)[0]:08d}.emb"

    def _says(self, number: int) -> dict[str, Any]:
        start, stop = self.bounds(number)
        return {
            "format": CACHE_FORMAT,
            "version": CACHE_VERSION,
            "key": self.key,
            "records": [start, stop],
            "dim": self.dim,
            "dtype": self.dtype,
        }

    def _fault(self, number: int, content: bool) -> str | None:
        """Say what is wrong with a file: None nothing, "" that there is none.

        Looks at its header and its length, and with *content* at all that it holds.
        """
        try:
            with self._file(number).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                stated, fault = self._stated_crc(number, file.read(HEADER_BYTES), size)
                if fault is not None or not content:
                    return fault
                crc = 0
                while block := file.read(_READ_BYTES):
                    crc = zlib.crc32(block, crc)
                return None if crc == stated else "its content is damaged (other checksum)"
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"cannot be read ({error})"

    def _stated_crc(self, number: int, header: bytes, size: int) -> tuple[int, str | None]:
        try:
            said = json.loads(header)
            crc = int(said.pop("crc32"))
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            return 0, "is not a file of embeddings, or was cut short"
        if said != self._says(number):
            return 0, "holds embeddings of something else"
        expected = self._file_bytes(number)
        if size != expected:
            return 0, f"has {size} bytes, expected {expected}"
        return crc, None
