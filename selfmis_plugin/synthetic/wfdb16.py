"""Write WFDB records in format 16 (little-endian 16-bit samples, leads interleaved).

The general writer of the wfdb package spends most of its time on checks that a simulated record
does not need; this one writes the same bytes.  Format: https://wfdb.io/spec/header-files.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["digitise", "write_record"]

_LIMIT = 32767  # -32768 marks a missing sample


def digitise(microvolts: NDArray[np.float32], gain: float) -> NDArray[np.int16]:
    """Round microvolts to units of ``1 / gain`` mV, held within 16 bits.

    Parameters
    ----------
    microvolts
        Any shape.
    gain
        Units per mV.
    """
    units = np.rint(microvolts * np.float32(gain / 1e3))
    return np.clip(units, -_LIMIT, _LIMIT).astype("<i2")


def write_record(
    path: Path,
    digital: NDArray[np.int16],
    leads: Sequence[str],
    sample_rate: int,
    gain: float,
    start: str = "",
    comments: Sequence[str] = (),
) -> None:
    """Write ``path.hea`` and ``path.dat``.

    Parameters
    ----------
    path
        Record path without suffix; its folder must exist.
    digital
        Shape (leads, samples).
    leads
        Name of each lead.
    sample_rate
        Hz.
    gain
        Units per mV.
    start
        ``HH:MM:SS DD/MM/YYYY``, or empty.
    comments
        Lines for the end of the header.

    Raises
    ------
    ValueError
        If *leads* and *digital* disagree.
    """
    if len(leads) != len(digital):
        raise ValueError(f"{path}: {len(leads)} lead names for {len(digital)} signals")
    samples = np.ascontiguousarray(digital.T, dtype="<i2")
    checksums = samples.sum(axis=0, dtype=np.int64) % 65536
    head = f"{path.name} {len(leads)} {sample_rate} {len(samples)}"
    lines = [f"{head} {start}" if start else head]
    lines += [
        f"{path.name}.dat 16 {gain:.1f}(0)/mV 16 0 {first} {checksum} 0 {lead}"
        for lead, first, checksum in zip(
            leads, samples[0].tolist(), checksums.tolist(), strict=True
        )
    ]
    lines += [f"# {comment}" for comment in comments]
    path.with_name(path.name + ".dat").write_bytes(samples.tobytes())
    path.with_name(path.name + ".hea").write_text("\n".join(lines) + "\n", encoding="ascii")
