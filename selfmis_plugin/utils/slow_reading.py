"""Whether records that are read one by one, in any order, come slowly from where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

__all__ = ["slow_reading"]

_MOUNTS = Path("/proc/self/mounts")
#: File systems over a network, as the system names their types.
_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs"),
        *("glusterfs", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "orangefs"),
    }
)


def slow_reading(path: Path, nbytes: int, mounts: Path = _MOUNTS) -> str | None:
    """Say why reading records in any order is slow there; None where it is not known to be.

    Parameters
    ----------
    path
        Where the records lie.
    nbytes
        Bytes that an epoch reads.
    mounts
        The system's list of what is mounted; only Linux has one.
    """
    memory = psutil.virtual_memory().total
    if nbytes > memory:
        return f"an epoch reads {nbytes / 1e9:.3g} GB, and the memory here is {memory / 1e9:.3g} GB"
    kind = _file_system(path, mounts)
    return f"it lies on a network file system ({kind})" if kind in _NETWORK else None


def _file_system(path: Path, mounts: Path) -> str:
    """Return the type of a path's file system; empty where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place, found, length = os.path.realpath(path), "", -1
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        # A space within a name is written so.
        mounted = fields[1].replace("\\040", " ")
        is_above = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        # Of several at one place the last covers the others.
        if is_above and len(mounted) >= length:
            found, length = fields[2], len(mounted)
    return found
