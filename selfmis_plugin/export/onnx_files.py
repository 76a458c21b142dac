"""ONNX files of a classifier, with what was measured on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.checkpoints.model_folder import SavedModel
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.export.exporting import TEST, VALID
from selfmis_plugin.export.onnx_export import latency_ms, write_int8, write_onnx
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.nn.onnx_runtime import OnnxClassifier
from selfmis_plugin.predict.model import Model
from selfmis_plugin.predict.strips import cut_strip
from selfmis_plugin.preparation.record import SAMPLE_RATE
from selfmis_plugin.preparation.recordings.array_recording import ArrayRecording
from selfmis_plugin.synthetic import simulate

FLOAT, INT8 = "model.onnx", "model.int8.onnx"

#: Logits of PyTorch and onnxruntime may differ by this share of the largest, or of 0.1.
TOLERANCE = 1e-4

_CHECKED = 16
_CALIBRATION = 128
_BATCH = 32


@dataclass(frozen=True)
class OnnxFiles:
    """Files by the name they are to have in the model's folder, and figures of each."""

    paths: dict[str, Path]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_onnx(saved: SavedModel, folder: Path, data: Path | None, int8: bool) -> OnnxFiles:
    """Write a classifier as ONNX, and compare it with PyTorch.

    Parameters
    ----------
    saved
        The classifier.
    folder
        Where to write.
    data
        Folder of a store: it is compared on records of the test split; synthetic ones if None.
    int8
        Also write one in 8 bits, calibrated on the validation split; its AUC on the test split is
        measured beside that of the other.

    Raises
    ------
    ValueError
        If the two do not compute the same, or there are no data for 8 bits.
    """
    if int8 and data is None:
        raise ValueError("8 bits need records to be calibrated and measured on: give --data")
    windows = _synthetic(saved) if data is None else _stored(saved, data, TEST, _CHECKED)
    path = folder / FLOAT
    write_onnx(saved, path)
    expected = Model(saved).logits(list(windows))
    difference = float(np.abs(OnnxClassifier(path).logits(windows, filtered=True) - expected).max())
    if not difference <= TOLERANCE * max(0.1, float(np.abs(expected).max())):
        raise ValueError(
            f"onnxruntime's logits differ from PyTorch's by up to {difference:.3g}, which is no "
            "rounding: nothing was exported; try another version of onnxscript or onnxruntime"
        )
    compared_on = "synthetic windows" if data is None else "windows of the test split"
    facts: dict[str, dict[str, Any]] = {
        FLOAT: {
            **_size_and_speed(path, windows),
            "largest_logit_difference": difference,
            "largest_logit": float(np.abs(expected).max()),
            "compared_on": f"{len(windows)} {compared_on}",
        }
    }
    paths = {FLOAT: path}
    if int8 and data is not None:
        paths[INT8] = folder / INT8
        write_int8(saved, path, paths[INT8], _stored(saved, data, VALID, _CALIBRATION))
        facts[INT8] = _size_and_speed(paths[INT8], windows)
        for name, file in paths.items():
            facts[name] |= _aucs(OnnxClassifier(file), data)
    return OnnxFiles(paths, facts)


def _size_and_speed(path: Path, windows: npt.NDArray[np.int16]) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "latency_ms_one_thread": latency_ms(path, windows)}


def _stored(saved: SavedModel, data: Path, split: str, most: int) -> npt.NDArray[np.int16]:
    part = open_split(data, split)
    # From all of the split: a manifest may be sorted by what the records show.
    chosen = np.unique(np.linspace(0, len(part.rows) - 1, most).astype(int))
    return part.store.read(part.rows[chosen], saved.classifier.preprocessing.leads)


def _synthetic(saved: SavedModel) -> npt.NDArray[np.int16]:
    preprocessing = saved.classifier.preprocessing
    leads = preprocessing.leads
    # What is compared is two ways of computing, of which any channel is as good as another.
    rows = [
        STANDARD_LEADS.index(lead) if lead in STANDARD_LEADS else place % len(STANDARD_LEADS)
        for place, lead in enumerate(leads)
    ]
    windows = []
    for patient in range(_CHECKED):
        signal = simulate(0, patient=patient).signal[rows].astype(np.float64)
        times = math.ceil(preprocessing.seconds * SAMPLE_RATE / signal.shape[1])
        recording = ArrayRecording("synthetic", np.tile(signal, times), leads, SAMPLE_RATE)
        strip = cut_strip(recording, preprocessing, saved.input_rate, leads, threshold=0)
        windows.append(strip.windows[0].signal)
    return np.stack(windows)


def _aucs(classifier: OnnxClassifier, data: Path) -> dict[str, float | None]:
    part = open_split(data, TEST)
    logits = np.concatenate(
        [
            classifier.logits(
                part.store.read(part.rows[first : first + _BATCH], classifier.leads), filtered=True
            )
            for first in range(0, len(part.rows), _BATCH)
        ]
    )
    known = part.store.info.labels
    columns = [column for column, label in enumerate(classifier.labels) if label in known]
    labels = [classifier.labels[column] for column in columns]
    targets = part.store.targets(part.rows, labels).astype(bool)
    report = auc_report(targets, logits[:, columns], labels, INFARCTION_TYPES)
    return {"macro_auc": report.macro_auc, "mi_auc": report.mi_auc}
