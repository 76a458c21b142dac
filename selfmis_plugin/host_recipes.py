"""The pre-trainings that fairseq-signals itself brings: what they give a classifier, and a batch.

With :mod:`selfmis_plugin.toolkit` the only place that knows their names and outputs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import OmegaConf

from selfmis_plugin.hosts import FAIRSEQ_SIGNALS, ToolkitError
from selfmis_plugin.toolkit import HOST, host_version

__all__ = [
    "HOW_TO_GET_SIGNALS",
    "HostEncoder",
    "describe_pretraining",
    "of_different_patients",
    "whole_record",
]

#: How to come by the toolkit that brings the ECG methods; both own the package fairseq_cli.
HOW_TO_GET_SIGNALS = (
    "in an environment without fairseq, in a checkout of this plugin: "
    "pip install --no-build-isolation '.[signals]'"
)
#: Parts of the toolkit's models that only their pre-training uses.
_FOR_PRETRAINING_ALONE = ("quantizer", "project_q", "target_glu", "final_proj", "mask_emb")
#: The host's pre-trained models that can be probed.
_PROBED_MODELS = ("ecg_transformer", "wav2vec2", "wav2vec2_cmsc")


def describe_pretraining(cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe the encoder of a pre-training that fairseq-signals itself brings.

    Parameters
    ----------
    cfg
        The config that its checkpoint holds, as plain values.

    Returns
    -------
    dict or None
        ``model`` (what :class:`HostEncoder` is built from), ``sample_rate`` (Hz of its input, None
        for any) and ``scale`` (``mV`` for 3KG, whose augmentation needs leads in one unit, else
        ``zscore``: each lead by itself, as the toolkit's preprocessing leaves it). None for other
        trainings.
    """
    model, task, criterion = (cfg.get(part) or {} for part in ("model", "task", "criterion"))
    if model.get("_name") not in _PROBED_MODELS:
        return None
    return {
        "model": dict(model),
        "sample_rate": task.get("sample_rate"),
        "scale": "mV" if criterion.get("_name") == "3kg" else "zscore",
    }


class HostEncoder(torch.nn.Module):
    """An encoder of fairseq-signals' own pre-trainings, its outputs averaged over time.

    Parameters
    ----------
    values
        Its model's config.

    Raises
    ------
    ToolkitError
        If the host is not fairseq-signals.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        if HOST != FAIRSEQ_SIGNALS:
            raise ToolkitError(
                f"the model {values['_name']!r} is fairseq-signals', and the host here is "
                f"{host_version()}: {HOW_TO_GET_SIGNALS}"
            )
        models = importlib.import_module(f"{HOST}.models")
        # As in the toolkit's own fine-tuning, dropout is for pre-training alone. All layers learn,
        # as those of the other encoders do.
        without = dict.fromkeys(("dropout", "attention_dropout", "dropout_input"), 0.0)
        self.config = {**values, **without, "all_gather": False, "feature_grad_mult": 1.0}
        self.model = models.build_model(OmegaConf.create(self.config), None, from_checkpoint=True)
        for name in _FOR_PRETRAINING_ALONE:
            if getattr(self.model, name, None) is not None:
                setattr(self.model, name, None)
        self.embedding_dim = int(values["encoder_embed_dim"])
        self.precision: torch.dtype | None = None

    def load_pretrained(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of a pre-training's model, without what only pre-training needs."""
        own = self.model.state_dict()
        self.model.load_state_dict({name: value for name, value in state.items() if name in own})

    def checkpoint_activations(self, active: bool) -> None:
        """Refuse: the toolkit's encoders have no such thing."""
        if active:
            raise ValueError(
                "model.activation_checkpointing=true is for this plugin's own encoders, and this "
                "one is fairseq-signals': model.activation_checkpointing=false"
            )

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Embed (batch, 12, samples) as (batch, embedding_dim)."""
        reduced = self.precision is not None
        with torch.autocast(signal.device.type, self.precision, enabled=reduced):
            features: torch.Tensor = self.model.extract_features(signal, None)["x"]
        return features.mean(1)


def whole_record(signal: torch.Tensor) -> dict[str, Any]:
    """Return what the pre-trained models take for whole records, (batch, leads, samples)."""
    return {"source": signal, "padding_mask": None}


def of_different_patients(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch that repeats one record's pair as one of as many patients.

    It says its own size too: a criterion that derives its targets has none to count.
    """
    rows = len(batch["net_input"]["source"])
    if "patient_id" in batch:
        batch["patient_id"] = torch.arange(rows // 2).repeat_interleave(2)
    return {**batch, "sample_size": rows}
