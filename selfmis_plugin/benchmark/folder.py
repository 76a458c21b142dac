"""What a folder of the infarction benchmark was measured on: other data need another folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.settings import InfarctionError, Settings
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import SPLITS
from selfmis_plugin.utils.digests import content_digest
from selfmis_plugin.utils.files import write_json

__all__ = [
    "MADE_BY",
    "RECIPE",
    "about_run",
    "claim_folder",
    "claim_folds",
    "describe_data",
    "read_json",
    "records_digest",
]

#: What the files of pre-trainings and cells say: the digest of the recipe, and by which versions.
RECIPE, MADE_BY = "recipe", "made_by"
#: What the folder of a cross-validation says of its folds.
FOLDS_FILE = "folds.json"
#: How new heads begin. Folders of version 0.1 do not say it: at random.
_HEADS = "heads"
#: Digest of the records as their table has them, labels too.
_TABLE = "table"
_VERSION = "selfmis_plugin"
#: Of the user's files, which versions before 0.2 know by their paths alone.
_DIGESTS = "given_digests"
_OVERRIDES = "overrides"


def about_run(settings: Settings) -> dict[str, Any]:
    """Return what the figures are measured on, JSON-ready."""
    return {
        "data": {role: describe_data(path) for role, path in settings.data.items()},
        "given": {name: str(path) for name, path in settings.given.items()},
        _DIGESTS: {name: content_digest(path) for name, path in settings.given.items()},
        "size": settings.size,
        _OVERRIDES: {name: dict(keys) for name, keys in settings.overrides.items()},
        "budget": settings.budget,
        "host": toolkit.host_version(),
        _VERSION: __version__,
        _HEADS: "random" if settings.former_heads else "prevalence",
    }


def claim_folder(settings: Settings, trainings: Collection[str]) -> Settings:
    """Refuse a folder in which something else was measured: its cells would pass for these.

    Parameters
    ----------
    settings
        Of the benchmark.
    trainings
        Names under which settings of what is trained may be: stages, modes, ``method/mode``.
        Settings of others, which only rows of before or after need, decide nothing.

    Returns
    -------
    Settings
        Such that new cells are trained as those that are there.

    Raises
    ------
    InfarctionError
        If it holds another benchmark.
    """
    path = settings.dest / "benchmark.json"
    about = about_run(settings)
    if (settings.dest / FOLDS_FILE).is_file():
        raise InfarctionError(
            f"{settings.dest} holds a cross-validation: give its --folds, choose another folder "
            "with --dest, or delete this one"
        )
    if not path.is_file():
        settings.dest.mkdir(parents=True, exist_ok=True)
        write_json(path, about)
        return settings
    before = read_json(path)
    if _HEADS not in before:
        settings = replace(settings, former_heads=True)
        about.pop(_HEADS)
    if before.get(_VERSION) != about.pop(_VERSION):
        print(f"{settings.dest} was begun by version {before.get(_VERSION)}: its cells stay")
    about = json.loads(json.dumps(about, default=str))
    told = _OVERRIDES, _DIGESTS, "given", "data"
    other = [key for key in about if key not in told and before.get(key) != about[key]]
    if _DIGESTS in before:
        other += ["given"] if before[_DIGESTS] != about[_DIGESTS] else []
    elif before.get("given") != about["given"]:
        other.append("given")
    if not _is_same_data(before.get("data"), about["data"]):
        other.append("data")
    old, new = before.get(_OVERRIDES, {}), about[_OVERRIDES]
    if any(
        old.get(name) != new.get(name)
        for name in _trained(settings.dest, trainings, {**old, **new})
    ):
        other.append(_OVERRIDES)
    if other:
        raise InfarctionError(
            f"{settings.dest} holds a benchmark with other {', '.join(other)} ({path}). Choose "
            "another folder with --dest, or delete this one"
        )
    if {**old, **new} != old:
        write_json(path, {**before, _OVERRIDES: {**old, **new}})
    return settings


def claim_folds(dest: Path, about: Mapping[str, Any]) -> None:
    """Refuse a folder in which something else than this cross-validation lies.

    Parameters
    ----------
    dest
        The folder; its rotations have folders in it.
    about
        Which folds, JSON-ready.

    Raises
    ------
    InfarctionError
        If it holds another one, or a benchmark without folds.
    """
    path = dest / FOLDS_FILE
    if path.is_file():
        if read_json(path) != about:
            raise InfarctionError(
                f"{dest} holds a cross-validation over other folds ({path}). Choose another folder "
                "with --dest, or delete this one"
            )
        return
    if (dest / "benchmark.json").is_file():
        raise InfarctionError(
            f"{dest} holds a benchmark without folds: choose another folder with --dest, or delete "
            "this one"
        )
    dest.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(about))


def records_digest(path: Path) -> str:
    """Return the digest of the records that a folder lists: the same ones, prepared anew by another
    version or elsewhere, are the same.

    Their table says of each where it was read (one of a database's copies at several rates, say)
    and what was repaired; signals are not looked at.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        if (path / f"{split}.tsv").is_file():
            part = open_split(path, split)
            about = part.store.info.to_dict()
            for name in ("created_with", "origins", "view"):  # not what the figures depend on
                about.pop(name, None)
            digest.update(json.dumps([split, about], sort_keys=True).encode())
            rows = part.store.records.iloc[part.rows]
            digest.update(rows.to_json(orient="values").encode())
    return digest.hexdigest()[:16]


def describe_data(path: Path) -> dict[str, Any]:
    """Return what a folder of records holds, JSON-ready: database, records by split, and the digest
    of their names.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    records: dict[str, int] = {}
    database, origins = "", []
    for split in SPLITS:
        manifest = path / f"{split}.tsv"
        if manifest.is_file():
            part = open_split(path, split)
            records[split] = len(part.rows)
            database = part.store.info.database
            about = part.store.info.to_dict()
            origins = about.pop("origins", [])  # not what the figures depend on
            digest.update(json.dumps(about, sort_keys=True).encode())
            digest.update("\n".join(part.store.records["record_id"].iloc[part.rows]).encode())
    return {
        "folder": str(path),
        "database": database,
        "origins": origins,
        "records": records,
        "digest": digest.hexdigest()[:16],
        _TABLE: records_digest(path),
    }


def _is_same_data(before: Any, now: Mapping[str, Any]) -> bool:
    """Whether both are the same records with the same labels: a moved folder of them is."""
    if not isinstance(before, dict) or before.keys() != now.keys():
        return False
    for role, described in now.items():
        old = before[role]
        # Folders that were begun before this was asked know the records' names alone.
        if (
            old["digest"] != described["digest"]
            or old.get(_TABLE, described[_TABLE]) != described[_TABLE]
        ):
            return False
    return True


def _trained(dest: Path, trainings: Collection[str], names: Iterable[str]) -> Iterator[str]:
    """Yield of *names* those of *trainings*, and that of all of them, of which something lies in
    the folder that does not say its recipe; what does is asked for it."""
    for name in names:
        wanted = name or "*"
        cells = wanted if "/" in wanted else f"*/{wanted}"
        places = (f"stages/{wanted}/stage.json", f"{cells}/*/cell.json")
        files = [file for place in places for file in dest.glob(f"seed*/{place}")]
        if (not name or name in trainings) and any(RECIPE not in read_json(f) for f in files):
            yield name


def read_json(path: Path) -> dict[str, Any]:
    """Return the dictionary in a JSON file."""
    return dict(json.loads(path.read_text(encoding="utf-8")))
