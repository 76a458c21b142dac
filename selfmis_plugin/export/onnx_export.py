"""A classifier as an ONNX file, in float32 and in 8 bits."""

from __future__ import annotations

import contextlib
import json
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.model_folder import (
    SavedModel,
    operation_values,
    portable_classifier,
)
from selfmis_plugin.data.provenance import headline
from selfmis_plugin.nn.encoder import plain_encoder
from selfmis_plugin.nn.onnx_runtime import DESCRIPTION, INPUT, OPERATION, OUTPUT, OnnxClassifier
from selfmis_plugin.utils.messages import without_messages

_LATENCY_RUNS = 20


def write_onnx(model: SavedModel, path: Path) -> None:
    """Write a classifier as ONNX, from microvolts to logits, for batches of any size.

    Decimation and z-score are part of the graph. The encoder goes through
    :func:`~selfmis_plugin.nn.encoder.plain_encoder`, the same function in operations that ONNX
    has.

    Raises
    ------
    CheckpointError
        If what prepares its input cannot be part of a graph.
    """
    classifier = portable_classifier(model)
    network = classifier.network(model.input_rate)
    if reason := getattr(network.input, "not_traceable", ""):
        raise CheckpointError(
            f"{classifier.path}: cannot be written as ONNX: {reason}. Export it as a folder: "
            "--format safetensors"
        )
    network.encoder = plain_encoder(network.encoder)
    network.eval().requires_grad_(False)
    example = torch.randn(2, *_shape(model))
    with torch.no_grad(), _quiet():
        # The decimation's matrix is made on first use, which must not be while tracing.
        network(example)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65536)},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        program.save(str(path))
    _describe(model, path)


def write_int8(model: SavedModel, source: Path, path: Path, windows: npt.NDArray[Any]) -> None:
    """Quantise an ONNX file's convolutions and linear layers, but for the head, to 8 bits.

    Parameters
    ----------
    model
        The classifier.
    source, path
        File of :func:`write_onnx`, and file to write.
    windows
        Prepared windows, (n, leads, samples), from which the ranges of the activations are taken.
    """
    # Labels made of several of the head's outputs come out of a later node than the head's.
    head = [
        node.name
        for node in onnx.load(str(source)).graph.node
        if OUTPUT in node.output or any(name.startswith("head.") for name in node.input)
    ]
    with _quiet():
        quantize_static(
            str(source),
            str(path),
            _Windows(windows),
            quant_format=QuantFormat.QDQ,
            # Normalisation and the head cost nothing and stay exact.
            op_types_to_quantize=["Conv", "Gemm"],
            nodes_to_exclude=head,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    _describe(model, path)


def latency_ms(path: Path, windows: npt.NDArray[Any]) -> float:
    """Median milliseconds of one window with one thread."""
    classifier = OnnxClassifier(path, threads=1)
    seconds = []
    for run in range(_LATENCY_RUNS + 1):
        begin = time.perf_counter()
        classifier.logits(windows[run % len(windows)][None], filtered=True)
        seconds.append(time.perf_counter() - begin)
    return float(1000 * np.median(seconds[1:]))


class _Windows(CalibrationDataReader):  # type: ignore[misc]
    """Windows one after the other, as onnxruntime asks for them."""

    def __init__(self, windows: npt.NDArray[Any]) -> None:
        self._windows = iter(windows.astype(np.float32))

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        window = next(self._windows, None)
        return None if window is None else {INPUT: window[None]}


def _shape(model: SavedModel) -> tuple[int, int]:
    preprocessing = model.classifier.preprocessing
    return len(preprocessing.leads), round(model.input_rate * preprocessing.seconds)


def _describe(model: SavedModel, path: Path) -> None:
    leads, samples = _shape(model)
    preprocessing = model.classifier.preprocessing
    text = json.dumps(
        {
            "labels": list(model.classifier.labels),
            "leads": list(preprocessing.leads),
            "rate": model.input_rate,
            "samples": samples,
            "units": preprocessing.units,
            "filter": preprocessing.filter,
            "unlearned": list(model.facts.unlearned),
            "calibration": {
                label: [line.slope, line.intercept] for label, line in model.calibration.items()
            },
            "trained_on": headline(model.facts.provenance),
            "thresholds": {label: point.logit for label, point in model.points.items()},
            # What they are of, as the folder's description has it: the two above are for programs
            # that compute a threshold by themselves.
            OPERATION: operation_values(model),
        }
    )
    proto = onnx.load(str(path))
    # The exporter writes stack traces into every node: this machine's folders, and most of a small
    # file.
    for node in (*proto.graph.node, *(n for f in proto.functions for n in f.node)):
        del node.metadata_props[:]
    onnx.helper.set_model_props(proto, {DESCRIPTION: text})
    onnx.save(proto, str(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporters say about other people's packages."""
    with without_messages(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
