"""WFDB records written byte by byte, independently of any library that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS

#: Largest magnitude that each format holds besides its code for a missing sample.
LIMITS = {8: 127, 16: 32767, 24: 8_388_607, 32: 2_147_483_647, 61: 32767, 80: 127, 160: 32767,
          212: 2047, 310: 511, 311: 511}  # fmt: skip


def encode(samples: npt.ArrayLike, code: int) -> bytes:
    """Encode samples, in the order of the file, in a WFDB format."""
    flat = np.asarray(samples, dtype=np.int64).ravel()
    if code in (16, 61, 32):
        return flat.astype({16: "<i2", 61: ">i2", 32: "<i4"}[code]).tobytes()
    if code == 8:
        return flat.astype("<i1").tobytes()
    if code == 80:
        return (flat + 128).astype("u1").tobytes()
    if code == 160:
        return (flat + 32768).astype("<u2").tobytes()
    if code == 24:
        return b"".join((int(value) & 0xFFFFFF).to_bytes(3, "little") for value in flat)
    if code == 212:
        even = np.append(flat, np.zeros(len(flat) % 2, dtype=np.int64))
        first, second = even.reshape(-1, 2).T & 0xFFF
        packed = np.stack([first & 0xFF, (first >> 8) | (second >> 8 << 4), second & 0xFF], axis=1)
        return packed.astype("u1").tobytes()[: -(-len(flat) * 3 // 2)]
    padded = np.append(flat, np.zeros(-len(flat) % 3, dtype=np.int64)) & 0x3FF
    first, second, third = padded.reshape(-1, 3).T
    if code == 310:
        words = [first << 1 | (third & 31) << 11, second << 1 | third >> 5 << 11]
        return np.stack(words, axis=1).astype("<u2").tobytes()
    assert code == 311
    return (first | second << 10 | third << 20).astype("<u4").tobytes()


def write_record(
    path: Path,
    digital: npt.NDArray[np.integer],
    *,
    leads: Sequence[str] = STANDARD_LEADS,
    rate: str | float = 500,
    code: int = 16,
    offset: int = 0,
    gain: str | float = 1000,
    baseline: int | None = 0,
    units: str = "mV",
    frames: int | str | None = None,
) -> Path:
    """Write header and signal file of a record; *digital* is (leads, samples).

    Returns the header's path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = path.with_suffix(".dat")
    stored = np.diff(digital, axis=1, prepend=0) if code == 8 else digital
    data.write_bytes(b"\xaa" * offset + encode(stored.T, code))
    layout = f"{code}x1+{offset}" if offset else str(code)
    calibration = f"{gain}({baseline})" if baseline is not None else str(gain)
    length = digital.shape[1] if frames is None else frames
    lines = [f"{path.stem} {len(leads)} {rate} {length}"]
    lines += [f"{data.name} {layout} {calibration}/{units} 16 0 0 0 0 {lead}" for lead in leads]
    header = path.with_suffix(".hea")
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header


def random_record(
    samples: int = 5000, leads: int = 12, limit: int = 2000, seed: int = 0
) -> np.ndarray:
    """Return random digital values, (leads, samples)."""
    return np.random.default_rng(seed).integers(-limit, limit + 1, (leads, samples))
