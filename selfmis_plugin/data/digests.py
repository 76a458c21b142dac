"""Digests of names as text that a file of weights can keep."""

from __future__ import annotations

import base64
import binascii
import hashlib

import numpy as np
import numpy.typing as npt

__all__ = ["DIGEST", "DigestsError", "digest_of_name", "packed", "unpacked"]

#: One digest: 8 bytes, of which two names share one in 10^19.
DIGEST = np.dtype(">u8")


class DigestsError(ValueError):
    """A text is none of :func:`packed`."""


def digest_of_name(name: str, key: bytes = b"") -> int:
    """Return the digest of a name, by BLAKE2 and a key of up to 64 bytes."""
    made = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=key)
    return int.from_bytes(made.digest(), "big")


def packed(digests: npt.NDArray[np.uint64]) -> str:
    """Return digests, (names,), as text."""
    return base64.b64encode(digests.astype(DIGEST).tobytes()).decode("ascii")


def unpacked(text: str) -> npt.NDArray[np.uint64]:
    """Return the digests of a text of :func:`packed`, (names,).

    Raises
    ------
    DigestsError
        If it is something else, or they are not in order.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DigestsError(f"is no base64 ({error})") from error
    if len(content) % DIGEST.itemsize:
        raise DigestsError("is cut short")
    digests = np.frombuffer(content, dtype=DIGEST).astype(np.uint64)
    if (digests[1:] <= digests[:-1]).any():
        raise DigestsError("is not in order")
    return digests
