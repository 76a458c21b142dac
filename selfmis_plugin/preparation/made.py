"""What a store was made from: ``prepared.json`` in its folder.

By it the command that made a store knows its work again, after a kill that came when the store was
whole, or when it is given twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin._version import __version__
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store.format import MADE_FILE, RECORDS_FILE, STORE_VERSION
from selfmis_plugin.preparation.input_files import Identity
from selfmis_plugin.utils.files import sync

__all__ = ["InputsDigest", "Made", "kept_in", "relative_to"]


@dataclass(frozen=True)
class Made:
    """From what, and how, a store is made.

    Attributes
    ----------
    source
        Folder of the records.
    options
        How, JSON-ready: everything that the store depends on besides the records.
    """

    source: str
    options: Mapping[str, Any]

    def write(self, store: Path, digest: str, about: Mapping[str, Any]) -> None:
        """Write the file into a store that is all there.

        Parameters
        ----------
        store
            The store's folder.
        digest
            Of the records: what is said about them, and size and date of their files.
        about
            What else to keep, JSON-ready.
        """
        values = {
            **self._values(),
            "digest": digest,
            "records": _digest_of_records(store),
            "about": dict(about),
        }
        path = store / MADE_FILE
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")
        sync(path)

    def found_in(
        self, store: Path, digest: Callable[[], str] | None = None
    ) -> dict[str, Any] | None:
        """Return what was kept in a store that is whole and was made just so; None for another.

        The digest is asked for where all else is the same; without it records may have changed.
        """
        found = _read(store)
        if found is None or any(found.get(k) != value for k, value in self._values().items()):
            return None
        if digest is not None and found["digest"] != digest():
            return None
        return dict(found["about"])

    def _values(self) -> dict[str, Any]:
        versions = {"plugin version": __version__, "store version": STORE_VERSION}
        values = {"source": self.source, "options": {**self.options, **versions}}
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain


def kept_in(store: Path) -> dict[str, Any] | None:
    """Return what was kept in a store that is whole, however it was made; None if there is none."""
    found = _read(store)
    return None if found is None else dict(found["about"])


def _read(store: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((store / MADE_FILE).read_text(encoding="utf-8"))
        Store.open(store)
        # Older versions know nothing of this file, and leave it whatever they make of the store.
        current = found["records"] == _digest_of_records(store)
        return dict(found) if current and {"digest", "about"} <= found.keys() else None
    except (OSError, KeyError, TypeError, AttributeError, ValueError):
        return None


def _digest_of_records(store: Path) -> str:
    return hashlib.sha256((store / RECORDS_FILE).read_bytes()).hexdigest()


class InputsDigest:
    """A digest of a listing and the files of its records, part by part."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, files: Mapping[str, Identity]) -> None:
        """Add size and date of a part's files, by their names below the database's folder."""
        for name, identity in files.items():
            self._digest.update(f"{name}\x1f{identity}\x1e".encode("utf-8", "surrogatepass"))

    def of(self, listing: str) -> str:
        """Return it, with the digest of what is listed."""
        return f"{listing}-{self._digest.hexdigest()}"


def relative_to(name: str, root: str) -> str:
    """Return a file's name below *root*, or as it is where it lies elsewhere."""
    return name[len(root) + 1 :] if name.startswith(root + os.sep) else name
