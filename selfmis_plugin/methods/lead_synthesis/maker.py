"""Classifiers of lead I that are made: a generator before a classifier of twelve leads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.methods.lead_synthesis.joined import (
    join,
    twelve_lead_classifier,
    write_joined,
)
from selfmis_plugin.methods.lead_synthesis.network import GeneratedLeadsShape
from selfmis_plugin.methods.lead_synthesis.rows import CLASSIFIER_KEY, GENERATOR_KEY
from selfmis_plugin.methods.lead_synthesis.trivial import (
    LinearLeadsShape,
    MeanBeatShape,
    MeanEcgShape,
    NearestRecordShape,
    ZeroLeadsShape,
    fit_linear,
    given_peaks,
)
from selfmis_plugin.metrics.lead_synthesis import mean_beat
from selfmis_plugin.nn.inputs import Preparation

__all__ = ["MAKERS", "training_millivolts"]

#: Records that what needs no training learns from, the first ones.
_RECORDS = 5000
#: Those that a file keeps whole, and those of which beats are averaged.
_KEPT_RECORDS, _BEAT_RECORDS = 1000, 400
_MICROVOLTS = 1000


def training_millivolts(data: Path, rate: float, records: int = _RECORDS) -> Tensor:
    """Return the standard leads of the first training records of a folder at a rate, in
    millivolts, float32 (records, 12, samples).

    Raises
    ------
    StoreError
        If the data cannot be read, or lack a lead.
    """
    part = open_split(data, "train")
    part.require_leads(STANDARD_LEADS)
    prepare = Preparation(part.store.info.sample_rate, rate)
    signals = part.store.read(part.rows[:records], STANDARD_LEADS)
    return torch.cat(
        [
            prepare.decimate(batch.float()) / _MICROVOLTS
            for batch in torch.from_numpy(signals).split(256)
        ]
    )


def _joined(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    join(checkpoints[GENERATOR_KEY], checkpoints[CLASSIFIER_KEY], dest)


def _mean_ecg(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    judge = twelve_lead_classifier(checkpoints[CLASSIFIER_KEY])
    known = training_millivolts(data, judge.preprocessing.sample_rate)
    shape = MeanEcgShape(known.shape[-1])
    _write(dest, shape, {"mean": known.double().mean(0).float()}, judge)


def _nearest(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    judge = twelve_lead_classifier(checkpoints[CLASSIFIER_KEY])
    known = training_millivolts(data, judge.preprocessing.sample_rate, _KEPT_RECORDS)
    shape = NearestRecordShape(known.shape[0], known.shape[-1])
    _write(dest, shape, {"leads": known}, judge)


def _mean_beat(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    judge = twelve_lead_classifier(checkpoints[CLASSIFIER_KEY])
    rate = judge.preprocessing.sample_rate
    known = training_millivolts(data, rate, _BEAT_RECORDS)
    peaks = given_peaks(known[:, STANDARD_LEADS.index("I")], rate)
    beat = torch.from_numpy(mean_beat(known.numpy(), peaks, rate)).float()
    _write(dest, MeanBeatShape(beat.shape[-1], rate), {"beat": beat}, judge)


def _linear(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    judge = twelve_lead_classifier(checkpoints[CLASSIFIER_KEY])
    known = training_millivolts(data, judge.preprocessing.sample_rate)
    coefficients = torch.from_numpy(fit_linear(known, STANDARD_LEADS.index("I")))
    _write(dest, LinearLeadsShape(), {"coefficients": coefficients.float()}, judge)


def _zeros(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    _write(dest, ZeroLeadsShape(), {}, twelve_lead_classifier(checkpoints[CLASSIFIER_KEY]))


def _write(dest: Path, shape: Any, weights: dict[str, Tensor], judge: LoadedClassifier) -> None:
    rate = judge.preprocessing.sample_rate
    write_joined(dest, GeneratedLeadsShape(shape, judge.config, rate, rate), weights, judge)


MAKERS = {
    "generated_leads": _joined,
    "mean_ecg": _mean_ecg,
    "nearest_record": _nearest,
    "mean_beat": _mean_beat,
    "linear_leads": _linear,
    "zero_leads": _zeros,
}
