"""Strips a second of ``selfmis predict``, whole and by part, beside a plain way of scoring them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from wfdb import processing

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.model_folder import SavedModel, portable_classifier
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import Preprocessing, resample
from selfmis_plugin.data.quality import assess
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.encoder import plain_encoder
from selfmis_plugin.predict.model import PRECISIONS, Model
from selfmis_plugin.predict.strips import prepare_window
from selfmis_plugin.preparation.record import SAMPLE_RATE, SECONDS
from selfmis_plugin.preparation.recordings.array_recording import ArrayRecording
from selfmis_plugin.profiling.step_ways import CONFIGS
from selfmis_plugin.profiling.timing import Speed, ratio
from selfmis_plugin.synthetic import simulate

__all__ = ["REFERENCE", "random_model", "strip_ratios", "strip_ways"]

REFERENCE = "reference"
_LEADS = ("I",)

Signals = Sequence[npt.NDArray[np.float64]]


def strip_ways(
    config: str, filter_name: str, count: int, rate: float
) -> dict[str, Callable[[], int]]:
    """Return ways to score strips, or to do a part of that, each by its name.

    Parameters
    ----------
    config
        Key of :data:`~selfmis_plugin.profiling.step_ways.CONFIGS`: the encoder.
    filter_name
        Filter of the preprocessing.
    count
        Number of strips.
    rate
        Their samples a second.
    """
    saved = random_model(config, filter_name)
    models = {precision: Model(saved, precision) for precision in PRECISIONS}
    network = models["float32"].network
    plain = portable_classifier(saved).network(saved.input_rate)
    plain.encoder = plain_encoder(plain.encoder)
    plain.to(next(network.parameters()).device).eval()
    preprocessing = saved.classifier.preprocessing
    strips = _strips(count, rate)
    prepared = [prepare_window(strip, rate, preprocessing, SAMPLE_RATE) for strip in strips]

    @torch.inference_mode()
    def reference() -> int:
        device = next(plain.parameters()).device
        for strip in strips:
            assess(strip[0], rate, _xqrs_of_wfdb)
            window = prepare_window(strip, rate, preprocessing, SAMPLE_RATE)
            plain(torch.from_numpy(window[None]).to(device)).cpu()
        return len(strips)

    def predict(model: Model) -> int:
        recordings = [ArrayRecording("strip", strip, _LEADS, rate) for strip in strips]
        predictions = model.score([model.cut(recording) for recording in recordings])
        return sum(int(prediction.scored.sum()) for prediction in predictions)

    def quality(detector: Callable[..., npt.NDArray[np.int64]] | None) -> int:
        return len([assess(strip[0], rate, detector) for strip in strips])

    def prepare() -> int:
        return len([prepare_window(strip, rate, preprocessing, SAMPLE_RATE) for strip in strips])

    return {
        REFERENCE: reference,
        "predict_float32": lambda: predict(models["float32"]),
        "predict_bfloat16": lambda: predict(models["bfloat16"]),
        "quality_wfdb": lambda: quality(_xqrs_of_wfdb),
        "quality": lambda: quality(None),
        "prepare": prepare,
        "encoder_float32": lambda: len(models["float32"].logits(prepared)),
        "encoder_bfloat16": lambda: len(models["bfloat16"].logits(prepared)),
    }


def _strips(count: int, rate: float) -> Signals:
    """Lead I of synthetic hearts in microvolts, good enough to be scored."""
    strips: list[npt.NDArray[np.float64]] = []
    patient = 0
    while len(strips) < min(count, 16):
        signal = simulate(0, patient=patient).signal[:1].astype(np.float64)
        strip = resample(signal, SAMPLE_RATE, rate)[:, : round(SECONDS * rate)]
        if assess(strip[0], rate).usable():
            strips.append(strip)
        patient += 1
    return [strips[k % len(strips)] for k in range(count)]


def _xqrs_of_wfdb(signal: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.int64]:
    return np.asarray(processing.xqrs_detect(signal, rate, verbose=False), dtype=np.int64)


def random_model(config: str, name: str) -> SavedModel:
    """Return a classifier of lead I with random weights, of a key of
    :data:`~selfmis_plugin.profiling.step_ways.CONFIGS`, that wants a filter of that name."""
    shape = replace(CONFIGS[config], in_leads=len(_LEADS))
    network = EncoderClassifier(shape, len(INFARCTION_TYPES), _LEADS, _LEADS)
    read_as = Preprocessing(SAMPLE_RATE, SECONDS, _LEADS, name)
    weights = dict(network.state_dict())
    return SavedModel(
        LoadedClassifier(Path("random"), shape, INFARCTION_TYPES, read_as, False, weights),
        SAMPLE_RATE,
    )


def strip_ratios(speeds: Mapping[str, Speed]) -> dict[str, float]:
    """Return how many times as fast predict is as the reference, and its quality part as wfdb's."""
    return {
        **{f"predict_{p}": ratio(speeds, f"predict_{p}", REFERENCE) for p in PRECISIONS},
        "quality": ratio(speeds, "quality", "quality_wfdb"),
    }
