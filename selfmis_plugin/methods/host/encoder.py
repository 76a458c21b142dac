"""The pre-trainings that fairseq-signals itself brings: what they give a classifier, and a batch.

The only place that knows their names and outputs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import OmegaConf

from selfmis_plugin.checkpoints import CheckpointError, part_of, read_checkpoint
from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.host.shape import HostShape
from selfmis_plugin.nn.encoder import build_encoder
from selfmis_plugin.nn.zero_masked import Scale
from selfmis_plugin.toolkit.host import HOST, host_version

__all__ = [
    "HOW_TO_GET_SIGNALS",
    "HostEncoder",
    "load_host_encoder",
    "of_different_patients",
    "read_host_shape",
    "whole_record",
]

#: How to come by the toolkit that brings the ECG methods; both own the package fairseq_cli.
HOW_TO_GET_SIGNALS = (
    "in an environment without fairseq, in a checkout of this plugin: "
    "pip install --no-build-isolation '.[signals]'"
)
#: Parts of the toolkit's models that only their pre-training uses.
_FOR_PRETRAINING_ALONE = ("quantizer", "project_q", "target_glu", "final_proj", "mask_emb")
#: Its pre-trained models that can be probed.
_PROBED_MODELS = ("ecg_transformer", "wav2vec2", "wav2vec2_cmsc")


class HostEncoder(torch.nn.Module):
    """An encoder of fairseq-signals' own pre-trainings, its outputs averaged over time.

    Parameters
    ----------
    shape
        Its model's config.

    Raises
    ------
    CheckpointError
        If the host is not fairseq-signals.
    """

    def __init__(self, shape: HostShape) -> None:
        super().__init__()
        if HOST != FAIRSEQ_SIGNALS:
            raise CheckpointError(
                f"the model {shape.model['_name']!r} is fairseq-signals', and the host here is "
                f"{host_version()}. To get it, {HOW_TO_GET_SIGNALS}"
            )
        self.config = shape
        # As in the toolkit's own fine-tuning, dropout is for pre-training alone. All layers learn,
        # as those of the other encoders do.
        without = dict.fromkeys(("dropout", "attention_dropout", "dropout_input"), 0.0)
        values = {**shape.model, **without, "all_gather": False, "feature_grad_mult": 1.0}
        models = importlib.import_module(f"{HOST}.models")
        self.model = models.build_model(OmegaConf.create(values), None, from_checkpoint=True)
        for name in _FOR_PRETRAINING_ALONE:
            if getattr(self.model, name, None) is not None:
                setattr(self.model, name, None)
        self.embedding_dim = int(shape.model["encoder_embed_dim"])
        self.precision: torch.dtype | None = None

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


@build_encoder.register
def _(shape: HostShape, in_leads: int) -> HostEncoder:
    return HostEncoder(shape)


def read_host_shape(path: str) -> HostShape | None:
    """Return the shape of the encoder in a checkpoint that a pre-training of fairseq-signals' own
    has written, or a classifier over one; None for other files.

    3KG's data are in millivolts, since its augmentation needs leads in one unit; the others' are
    at mean 0 and deviation 1 lead by lead, as the toolkit's preprocessing leaves them.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    if path.endswith(".safetensors"):
        return None
    payload = read_checkpoint(path)
    cfg, state = payload.get("cfg"), payload.get("task_state")
    if isinstance(state, Mapping) and "host_encoder" in state:
        return HostShape(**state["host_encoder"])
    if not isinstance(cfg, Mapping):
        return None
    model, task, criterion = (cfg.get(part) or {} for part in ("model", "task", "criterion"))
    if model.get("_name") not in _PROBED_MODELS:
        return None
    scale: Scale = "mV" if criterion.get("_name") == "3kg" else "zscore"
    return HostShape(dict(model), scale, task.get("sample_rate"))


def load_host_encoder(
    encoder: HostEncoder, path: str, shape: HostShape, preprocessing: Preprocessing
) -> None:
    """Fill *encoder* with the weights of the checkpoint that describes it, without what only
    pre-training needs.

    Raises
    ------
    CheckpointError
        If it was trained at another sample rate than the data have now, or its weights do not fit.
    """
    if shape.sample_rate not in (None, preprocessing.sample_rate):
        raise CheckpointError(
            f"{path} was pre-trained on signals of {shape.sample_rate:g} Hz, and this run reads "
            f"{preprocessing.sample_rate:g} Hz: task.sample_rate={shape.sample_rate:g}"
        )
    weights = read_checkpoint(path)["model"]
    own = encoder.state_dict()
    # Of a classifier over it, or of the pre-training itself.
    named = part_of(weights, "network.encoder.") or {
        f"model.{name}": value for name, value in weights.items()
    }
    try:
        encoder.load_state_dict({name: value for name, value in named.items() if name in own})
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own config: {error}") from error


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
