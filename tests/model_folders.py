"""Exported folders of tiny classifiers of random weights, one of each shape that a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.model_folder import SavedModel, write_model
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.heartlang.network import HeartLangConfig
from selfmis_plugin.methods.lead_synthesis.mcma.network import McmaShape
from selfmis_plugin.methods.lead_synthesis.modally_reduced.network import ModallyReducedLeadsShape
from selfmis_plugin.methods.lead_synthesis.network import GeneratedLeadsShape
from selfmis_plugin.methods.lead_synthesis.trivial import (
    LinearLeadsShape,
    MeanBeatShape,
    MeanEcgShape,
    NearestRecordShape,
    ZeroLeadsShape,
)
from selfmis_plugin.methods.lead_synthesis.unet import LeadUNetShape
from selfmis_plugin.methods.modally_reduced.network import ModallyReducedConfig
from selfmis_plugin.methods.st_mem.network import StMemShape
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig
from tests.support import LABELS

_RATE = 100.0


def net1d_shape(leads: int) -> Net1DConfig:
    """Return the shape of a small encoder of so many leads."""
    return Net1DConfig(
        base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8, in_leads=leads
    )


def _generated(generator: Any) -> GeneratedLeadsShape:
    return GeneratedLeadsShape(generator, net1d_shape(len(STANDARD_LEADS)), _RATE, _RATE)


def _autoencoders(*leads: str) -> ModallyReducedConfig:
    return ModallyReducedConfig(
        leads, width=8, depth=1, heads=2, decoder_width=8, decoder_depth=1, decoder_heads=2
    )


_SAMPLES = 1000
_GENERATORS: dict[str, Any] = {
    "mcma": McmaShape((4, 4, 8), window=256),
    "lead_unet": LeadUNetShape((4, 4, 4, 4, 4), window=256),
    "modally_reduced_leads": ModallyReducedLeadsShape(
        _autoencoders(*STANDARD_LEADS), _SAMPLES, _RATE, _RATE
    ),
    "zero_leads": ZeroLeadsShape(),
    "mean_ecg": MeanEcgShape(_SAMPLES),
    "linear_leads": LinearLeadsShape(),
    "nearest_record": NearestRecordShape(3, _SAMPLES),
    "mean_beat": MeanBeatShape(70, _RATE),
}

#: Shapes by the names that files have for them; of generators, before an encoder of twelve leads.
SHAPES: dict[str, Any] = {
    "net1d": net1d_shape(1),
    "st_mem": StMemShape(("I",), width=16, depth=1, heads=2),
    "heartlang": HeartLangConfig(width=16, depth=1, heads=2, head_width=8, hidden=16),
    "modally_reduced": _autoencoders("I"),
    **{name: _generated(generator) for name, generator in _GENERATORS.items()},
}


def saved_model(
    shape: Any,
    leads: Sequence[str] = ("I",),
    seconds: float = 10.0,
    labels: tuple[str, ...] = LABELS,
    **about: Any,
) -> SavedModel:
    """Return a classifier of random weights over an encoder of this shape."""
    torch.manual_seed(0)
    network = EncoderClassifier(
        shape,
        labels=len(labels),
        leads=leads,
        input_leads=leads,
        store_rate=500,
        sample_rate=_RATE,
    )
    prepared = Preprocessing(_RATE, seconds, tuple(leads), "none")
    classifier = LoadedClassifier(
        Path("c.pt"), shape, labels, prepared, False, dict(network.state_dict())
    )
    return SavedModel(classifier, 500.0, **about)


def write_folders(place: Path) -> dict[str, Path]:
    """Write a folder of each of :data:`SHAPES`."""
    folders = {}
    for name, shape in SHAPES.items():
        folders[name] = place / name
        write_model(saved_model(shape), folders[name], "")
    return folders
