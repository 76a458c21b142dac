"""Digests of what lies in files and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["content_digest", "digest_of_files", "file_digest"]

_READ_BYTES = 1 << 20


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    _read(digest, path)
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file or, of a folder, that of what lies in it under which names: the
    same elsewhere, and under another name, is the same."""
    if not path.is_dir():
        return file_digest(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        name = file.relative_to(path).as_posix()
        digest.update(f"{name}\x1f{file_digest(file)}\x1f".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def digest_of_files(paths: Sequence[Path]) -> str:
    """Return the digest of names and content of files, and of those in folders."""
    digest = hashlib.sha256()
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (p for p in below if p.is_file()):
            digest.update(f"{file.relative_to(path.parent)}\x1f".encode("utf-8", "surrogatepass"))
            _read(digest, file)
    return digest.hexdigest()


def _read(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as content:
        while block := content.read(_READ_BYTES):
            digest.update(block)
