"""Manifests: lists of a store's records in the toolkits' form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store.format import StoreError
from selfmis_plugin.utils.fields import whole
from selfmis_plugin.utils.files import whole_file


@dataclass(frozen=True)
class Manifest:
    """A list of records in the toolkits' form.

    Attributes
    ----------
    path
        The manifest's own file.
    root
        The folder its first line names; a relative one is relative to the manifest's folder.
    record_ids
        Names of the records.
    samples
        Number of samples of each, int64.
    """

    path: Path
    root: Path
    record_ids: list[str]
    samples: npt.NDArray[np.int64]


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest: root folder in the first line, then ``record_id<TAB>samples`` rows.

    Raises
    ------
    StoreError
        If the file is absent or empty, or a row has not this form; the message names the line.
    """
    source = Path(path).absolute()
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise StoreError(
            f"{source}: no such file: give the folder of a prepared store that has this split "
            "(make one with 'selfmis prepare'), or a folder with manifests of your own"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{source}: cannot be read ({error})") from error
    if not lines or not lines[0].strip():
        raise StoreError(f"{source}: the first line must name the root folder")
    record_ids: list[str] = []
    samples: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 2 or not fields[0] or not fields[1].strip().isdecimal():
            raise StoreError(
                f"{source}, line {number}: expected record_id<TAB>samples, found {line[:80]!r}"
            )
        record_ids.append(fields[0])
        try:
            samples.append(whole("a number of samples", int(fields[1])))
        except ValueError as error:  # more digits than any file has samples
            raise StoreError(f"{source}, line {number}: {error}") from error
    root = Path(os.path.normpath(source.parent / lines[0].strip()))
    return Manifest(source, root, record_ids, np.asarray(samples, dtype=np.int64))


def write_manifest(
    path: str | os.PathLike[str],
    record_ids: Sequence[str],
    samples: Sequence[int] | npt.NDArray[np.int64],
    root: str = ".",
) -> None:
    """Write a manifest that :func:`read_manifest` and the toolkits read, whole or not at all.

    Parameters
    ----------
    path
        File to write.
    record_ids, samples
        One row each.
    root
        First line: the store's folder, absolute or relative to the manifest's.

    Raises
    ------
    StoreError
        If the two differ in length or an id holds a tab or a line break.
    """
    if len(record_ids) != len(samples):
        raise StoreError(f"{path}: {len(record_ids)} records but {len(samples)} lengths")
    rows = [manifest_row(*row) for row in zip(record_ids, samples, strict=True)]
    with whole_file(path) as temporary:
        temporary.write_text(f"{root}\n{''.join(rows)}", encoding="utf-8", newline="\n")


def manifest_row(record_id: str, samples: int) -> str:
    """Return the line of one record.

    Raises
    ------
    StoreError
        If the id holds a tab or a line break.
    """
    check_text("record_id", record_id)
    return f"{record_id}\t{int(samples)}\n"


def check_text(name: str, text: str) -> None:
    """Refuse a text that would not stay in its field of a table with tabs.

    Raises
    ------
    StoreError
        If it holds a tab or a line break, or cannot be written as UTF-8.
    """
    # Manifests have one record a line, fields apart by tabs; str.splitlines knows many breaks.
    if "\t" in text or len(text.splitlines()) > 1 or text != text.rstrip("\r\n"):
        raise StoreError(f"{name} {text!r} holds a tab or a line break")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise StoreError(f"{name} {text!r} is not valid text") from None
