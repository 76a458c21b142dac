"""What a classifier says of many recordings, in parts."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from selfmis_plugin.data.exported import CONFIG, ONNX_SUFFIX
from selfmis_plugin.evaluation.parts import (
    PartsWritten,
    part_of,
    require_same,
    write_parts,
)
from selfmis_plugin.predict.asking import Asked, read_strip
from selfmis_plugin.predict.model import load_model
from selfmis_plugin.predict.opening import files_of_strip
from selfmis_plugin.predict.prediction import Prediction
from selfmis_plugin.predict.strip_model import StripModel
from selfmis_plugin.utils.digests import digest_of_files
from selfmis_plugin.utils.parallel import Workers
from selfmis_plugin.utils.paths import escaped

__all__ = ["predict_in_parts"]

#: Recordings of a part at most, and of them those that are in memory at once.
RECORDINGS_OF_A_PART = 512
_AT_ONCE = 32


def predict_in_parts(
    model: Path,
    files: Sequence[tuple[str, Path]],
    dest: str | os.PathLike[str],
    asked: Asked,
    workers: Workers,
    precision: str = "float32",
    labels: Sequence[str] | None = None,
    share: tuple[int, int] = (1, 1),
    restart: bool = False,
) -> PartsWritten:
    """Say what a classifier says of recordings into a folder of Parquet files, a row a window.

    Columns: ``file``, ``start`` and ``seconds`` of the window, ``quality``, ``refused`` (why it was
    not scored; of a file that cannot be read the one row says why), and a probability a label.

    Parameters
    ----------
    model, precision, labels
        See :func:`~selfmis_plugin.predict.model.load_model`.
    files
        What each recording is called, and its file.
    dest
        Folder of the files, see :mod:`selfmis_plugin.evaluation.parts`.
    asked
        What the user says of the recordings.
    workers
        Who computes; each reads the model once.
    share, restart
        See :func:`~selfmis_plugin.evaluation.parts.write_parts`.

    Raises
    ------
    CheckpointError
        If the model cannot be read, or is no classifier.
    PartsError
        If the folder has parts of something else, or a worker dies.
    """
    model = model.absolute()
    chosen = None if labels is None else tuple(labels)
    opened = _Wanted(model, _digest_of_model(model), precision, chosen)
    _model(opened)  # refused before anything is written
    ready = _PredictPart(opened, asked)
    of = {
        "model": opened.digest,
        "precision": precision,
        "labels": labels and list(labels),
        "asked": asdict(asked),
        "recordings": _digest_of(files),
    }
    there = [(name, path.absolute()) for name, path in files]
    size = part_of(len(there), _AT_ONCE, RECORDINGS_OF_A_PART)
    return write_parts(dest, of, there, ready, size, workers, share, restart)


@dataclass(frozen=True)
class _Wanted:
    """A model as it was when the run began."""

    path: Path
    digest: str
    precision: str
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class _PredictPart:
    """Predicts some recordings, in whatever process."""

    model: _Wanted
    asked: Asked

    def __call__(self, files: Sequence[tuple[str, Path]]) -> pa.Table:
        model = _model(self.model)
        rows: list[dict[str, Any]] = []
        for first in range(0, len(files), _AT_ONCE):
            strips = []
            for name, path in files[first : first + _AT_ONCE]:
                try:
                    strips.append(read_strip(model, path, name, self.asked))
                except (OSError, ValueError) as error:
                    rows.append({"file": name, "refused": escaped(str(error))})
            for prediction in model.score(strips):
                rows += _rows(prediction)
        return pa.Table.from_pylist(rows, schema=_schema(model.labels))


# Kept, so that a process reads the model once for all its parts.
@functools.lru_cache(maxsize=1)
def _model(wanted: _Wanted) -> StripModel:
    require_same(wanted.path, wanted.digest, _digest_of_model(wanted.path))
    return load_model(wanted.path, wanted.precision, wanted.labels)


def _schema(labels: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            ("file", pa.string()),
            ("start", pa.float64()),
            ("seconds", pa.float64()),
            ("quality", pa.float64()),
            ("refused", pa.string()),
            *((label, pa.float64()) for label in labels),
        ]
    )


def _rows(prediction: Prediction) -> list[dict[str, Any]]:
    said = prediction.probabilities
    return [
        {
            "file": prediction.strip.name,
            "start": window.start,
            "seconds": window.seconds,
            "quality": window.quality,
            "refused": window.problem or None,
            **({} if window.problem else dict(zip(prediction.labels, row.tolist(), strict=True))),
        }
        for window, row in zip(prediction.strip.windows, said, strict=True)
    ]


def _digest_of(files: Sequence[tuple[str, Path]]) -> str:
    """Return the digest of the recordings' names, and of sizes and dates of all their files."""
    digest = hashlib.sha256()
    for name, path in files:
        sizes = []
        for file in files_of_strip(path):
            found = file.stat() if file.exists() else None
            sizes.append((None, None) if found is None else (found.st_size, found.st_mtime_ns))
        digest.update(f"{name}\x1f{sizes}\x1e".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _digest_of_model(path: Path) -> str:
    """Return the digest of all that :func:`~selfmis_plugin.predict.model.load_model` reads: an ONNX
    file's calibration and thresholds lie beside it."""
    return digest_of_files([path, path.with_name(CONFIG)] if path.suffix == ONNX_SUFFIX else [path])
