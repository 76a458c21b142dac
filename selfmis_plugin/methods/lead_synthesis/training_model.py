"""A generator with its adversaries as the training toolkit's model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.weights import filled
from selfmis_plugin.data.leads import STANDARD_LEADS, lead_rows
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.lead_synthesis.generator import LeadGenerator
from selfmis_plugin.methods.lead_synthesis.step import GeneratorTraining, Step, each
from selfmis_plugin.methods.lead_synthesis.windows import cut, joined
from selfmis_plugin.nn.embedder import Embedder
from selfmis_plugin.nn.encoder import build_encoder, build_input, in_precision
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.patch_masks import record_noise
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.encoder_config import refuse_other_preprocessing
from selfmis_plugin.training.precision import own_precision

__all__ = ["LATENT", "LeadSynthesisModel", "Synthesis"]

logger = logging.getLogger(__name__)

#: Name of the loss that compares embeddings.
LATENT = "latent"
_MICROVOLTS = 1000


@dataclass(frozen=True)
class Synthesis:
    """What was made of a batch.

    Attributes
    ----------
    made, real
        Millivolts of the standard leads at the network's rate, float32 (records, 12, samples).
    lead
        Which of them each record was made from, int64 (records,).
    losses
        By name, float32 (records,) each.
    weights
        What each weighs unless the criterion says otherwise.
    """

    made: Tensor
    real: Tensor
    lead: Tensor
    losses: Mapping[str, Tensor]
    weights: Mapping[str, float]


class LeadSynthesisModel(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """Base of the registered models: records to windows, what is made of them, and their losses.

    Parameters
    ----------
    training
        Generator and adversaries.
    cfg
        The model's config.
    task
        The task, over a store with the standard leads.
    random_given
        In training draw the given lead of each record anew in each update.

    Raises
    ------
    ValueError
        If a lead is not there, or the config makes no model.
    CheckpointError
        If the encoder of ``latent_checkpoint`` cannot be used.
    """

    def __init__(
        self,
        training: GeneratorTraining,
        cfg: Any,
        task: RecordTask,
        random_given: bool = False,
    ) -> None:
        super().__init__()
        preprocessing, rate = task.preprocessing, task.store.info.sample_rate
        self.network = training
        self.input = Preparation(rate, preprocessing.sample_rate)
        self.rows = lead_rows(preprocessing.leads, STANDARD_LEADS)
        # A generator is built from the same words when it is read: better refused now.
        LeadGenerator(training.shape, rate, preprocessing.sample_rate, cfg.given, cfg.keep_given)
        self.given = STANDARD_LEADS.index(cfg.given)
        self.keep_given = cfg.keep_given
        self.random_given = random_given
        self.seed = task.cfg.seed
        self.precision = own_precision(cfg.precision)
        self.latent = (
            None
            if cfg.latent_checkpoint is None
            else _latent_encoder(Path(cfg.latent_checkpoint), preprocessing)
        )
        self._draw = 0

    def set_num_updates(self, num_updates: int) -> None:
        """Draw anew for the next update; a resumed run draws what it would have drawn."""
        super().set_num_updates(num_updates)
        self._draw = num_updates + 1

    def train(self, mode: bool = True) -> LeadSynthesisModel:
        """Switch to training, or back; what is frozen stays as it judges."""
        super().train(mode)
        if self.latent is not None:
            self.latent.eval()
        return self

    def forward(self, signal: Tensor, records: Tensor | None = None) -> Synthesis:
        """Make twelve leads of one lead of each record, and judge them.

        Parameters
        ----------
        signal
            Integer or float microvolts of all leads, (batch, leads, samples).
        records
            Numbers of the records, int64 (batch,): leads are drawn for them, where they are drawn.
        """
        real = self.input.decimate(signal[:, self.rows].float()) / _MICROVOLTS
        lead = self._given(records, len(real)).to(real.device)
        windows = cut(real, self.network.shape.window)
        batch, count = windows.shape[:2]
        with in_precision(self.precision, real.device):
            step: Step = self.network(windows.flatten(0, 1), lead.repeat_interleave(count))
        made = joined(step.made.unflatten(0, (batch, count)), real.shape[-1])
        losses = {name: each(loss.view(batch, count)) for name, loss in step.losses.items()}
        weights = dict(self.network.weights)
        if self.latent is not None:
            losses[LATENT] = self._latent_distance(self.latent, made, real, lead)
            weights[LATENT] = 1.0
        return Synthesis(made, real, lead, losses, weights)

    def _given(self, records: Tensor | None, count: int) -> Tensor:
        if not (self.random_given and self.training and records is not None):
            return torch.full((count,), self.given, dtype=torch.int64)
        noise = record_noise(records.tolist(), 1, self.seed, self._draw)[:, 0]
        return (noise * len(STANDARD_LEADS)).long()

    def _latent_distance(
        self, encoder: nn.Module, made: Tensor, real: Tensor, lead: Tensor
    ) -> Tensor:
        """Return 1 - cosine of what the encoder says of made and real records."""
        if self.keep_given:
            rows = torch.arange(made.shape[1], device=made.device)
            made = torch.where((rows == lead[:, None])[..., None], real, made)
        with torch.no_grad():
            known = encoder(real * _MICROVOLTS).float()
        found = encoder(made * _MICROVOLTS).float()
        return 1 - F.cosine_similarity(found, known)

    def max_positions(self) -> None:
        """Records of any length can be read."""
        return None


def _latent_encoder(path: Path, preprocessing: Preprocessing) -> Embedder:
    """Return a frozen encoder of twelve leads, for microvolts at the generator's rate."""
    weights = load_encoder_weights(path, None, leads=STANDARD_LEADS)
    rate = (weights.preprocessing or {}).get("sample_rate")
    if rate is None or rate > preprocessing.sample_rate:
        raise CheckpointError(
            f"{path}: its encoder reads {rate or 'an unknown number of'} Hz, and leads are made at "
            f"{preprocessing.sample_rate:g} Hz: give one that reads no more"
        )
    made = Preprocessing.from_dict({**(weights.preprocessing or {}), "leads": STANDARD_LEADS})
    now = replace(preprocessing, leads=STANDARD_LEADS, sample_rate=made.sample_rate)
    if weights.kind == "ecgfounder" and made.filter != now.filter:
        # As where an encoder of ours starts from these weights: the paper has them on unfiltered
        # records.
        logger.warning("%s: ECGFounder's weights were trained on filtered records", path)
        made = replace(made, filter=now.filter)
    refuse_other_preprocessing(path, made, now)
    encoder = filled(
        path,
        lambda: build_encoder(weights.config, weights.in_leads),
        weights.state_dict,
        weights.config,
    )
    prepare = build_input(weights.config, STANDARD_LEADS, preprocessing.sample_rate, rate)
    return Embedder(prepare, encoder).requires_grad_(False).eval()
