"""What a training reads, by content: under the same paths may lie something else later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.utils.digests import digest_of_files

__all__ = ["current", "digests_of", "others", "remember"]

#: Records of a split whose signals are looked at: all may be a hundred gigabytes.
_LOOKED_AT = 64

_digests: dict[str, str] = {}


def digests_of(cfg: Any) -> dict[str, str]:
    """Return the digests of a training's records and of the checkpoints that it starts from, by
    config key (``task.data``, ``model.encoder_checkpoint``).

    Of records their names, order, labels and some signals are taken. Where a key names no file,
    such as a model of the hub, it is left out.

    Raises
    ------
    StoreError
        If the data cannot be read.
    """
    train = cfg.dataset.train_subset
    validated = filter(None, str(cfg.dataset.valid_subset).split(","))
    found = {"task.data": _of_splits(cfg.task.data, [train, *validated])}
    if "unlabelled" in cfg.task and cfg.task.unlabelled is not None:
        found["task.unlabelled"] = _of_splits(cfg.task.unlabelled, [cfg.task.unlabelled_subset])
    for key, path in _files(cfg):
        if path.exists():
            found[key] = digest_of_files([path])
    return found


def remember(digests: Mapping[str, str]) -> None:
    """Keep what the run of this process reads."""
    global _digests
    _digests = dict(digests)


def current() -> dict[str, str]:
    """Return what the run of this process reads, for a checkpoint."""
    return dict(_digests)


def others(before: Mapping[str, str]) -> list[str]:
    """Return the keys under which the run of this process reads something else than one before."""
    return [key for key, value in _digests.items() if before.get(key, value) != value]


def _files(cfg: Any) -> Iterator[tuple[str, Path]]:
    for key in cfg.model:
        if str(key).endswith("_checkpoint") and cfg.model[key] is not None:
            yield f"model.{key}", Path(cfg.model[key])
    if "teachers" in cfg.task:
        for number, path in enumerate(cfg.task.teachers):
            yield f"task.teachers[{number}]", Path(path)


def _of_splits(folder: str, splits: list[str]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        if (Path(folder) / f"{split}.tsv").is_file():
            _add(digest, open_split(folder, split))
    return digest.hexdigest()


def _add(digest: Any, part: Split) -> None:
    records = part.store.records.iloc[part.rows]
    digest.update("\n".join(records["record_id"]).encode("utf-8", "surrogatepass"))
    if "labels" in records:
        digest.update("\n".join(map(";".join, records["labels"])).encode())
    some = np.linspace(0, len(part.rows) - 1, min(len(part.rows), _LOOKED_AT)).astype(np.int64)
    digest.update(part.store.signals[part.rows[some]].tobytes())
