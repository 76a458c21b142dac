"""Checkpoints of modally reduced representations: all leads' autoencoders, and classifiers on
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from selfmis_plugin.checkpoints.classifier import LoadedClassifier, described
from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.encoder_weights import load_encoder_weights
from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    model_name,
    not_whole,
    read_checkpoint,
)
from selfmis_plugin.checkpoints.weights import (
    EncoderWeights,
    check_fit,
    filled,
    finite,
    part_of,
)
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.modally_reduced.lead_encoder import LeadEncoder
from selfmis_plugin.methods.modally_reduced.lead_views import LeadView, LeadViews
from selfmis_plugin.methods.modally_reduced.network import ModallyReduced, ModallyReducedConfig
from selfmis_plugin.utils.fields import Fields

__all__ = [
    "LoadedModallyReduced",
    "lead_encoder_weights",
    "load_lead_encoder",
    "load_modally_reduced",
]

MODEL, CLASSIFIER = "modally_reduced", "modally_reduced_classifier"
#: Views that stand for those of two towers.
PAIR = ("single", "multi")


@dataclass(frozen=True)
class LoadedModallyReduced:
    """Trained autoencoders: their shape and leads, the preprocessing and the weights."""

    kind: ClassVar[str] = "modally_reduced"
    path: Path
    config: ModallyReducedConfig
    preprocessing: Preprocessing
    weights: dict[str, torch.Tensor]
    #: Towers may have a centre that retrieval subtracts; here there is none.
    center: None = None

    def __post_init__(self) -> None:
        """Refuse weights that are not those of the autoencoders.

        Raises
        ------
        CheckpointError
            If they do not fit, or are not finite.
        """
        rate = self.preprocessing.sample_rate
        check_fit(self.path, lambda: self._build(rate), self.weights, self.config)
        finite(self.path, self.weights)

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that are embedded, in their order."""
        return self.config.leads

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have."""
        return self.config.leads

    @property
    def encoder_views(self) -> tuple[str, ...]:
        """Names of the encoders: the leads."""
        return self.leads

    @property
    def views(self) -> tuple[str, ...]:
        """Each lead's embedding; and, as two towers have, the first lead's and the mean of the
        others."""
        return (*PAIR, *self.leads)

    def model(self, store_rate: float) -> ModallyReduced:
        """Return the autoencoders, float32, in evaluation mode, for signals of *store_rate* Hz
        with exactly :attr:`leads`."""
        model: ModallyReduced = filled(
            self.path, lambda: self._build(store_rate), self.weights, self.config
        )
        return model

    def untrained(self, store_rate: float) -> ModallyReduced:
        """Return the autoencoders with new weights, as a training starts from."""
        return self._build(store_rate).eval()

    def _build(self, store_rate: float) -> ModallyReduced:
        return ModallyReduced(self.config, store_rate, self.preprocessing.sample_rate)

    #: The same network embeds leads and makes them.
    lead_network = lead_maker = model

    def pair_network(self, store_rate: float) -> LeadViews:
        """Return the first lead's embedding beside the mean of the others, as two towers have."""
        return LeadViews(self.model(store_rate), self.preprocessing.leads).eval()

    #: As version 0.1 called it.
    network = pair_network

    def embedder(self, store_rate: float, view: str = PAIR[0]) -> nn.Module:
        """Return one lead's embedding, or one side of the pair."""
        if view in PAIR:
            return LeadView(self.pair_network(store_rate), PAIR.index(view)).eval()
        pair = LeadViews(self.model(store_rate), self.preprocessing.leads, view)
        return LeadView(pair, 0).eval()

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return the encoders of the leads that are wanted, side by side, or of the one view.

        Raises
        ------
        CheckpointError
            If a lead is none of those that were trained, or none is named.
        """
        leads = wanted.leads or (one_view(self.path, self.encoder_views, wanted),)
        missing = [lead for lead in leads if lead not in self.leads]
        if missing:
            raise CheckpointError(
                f"{self.path} has no encoder of lead {', '.join(missing)}: it embeds "
                f"{', '.join(self.leads)}"
            )
        rows = [self.leads.index(lead) for lead in leads]
        state = part_of(self.weights, "encoders.")
        return EncoderWeights(
            replace(self.config, leads=tuple(leads)),
            {name: value[rows] for name, value in state.items()},
            replace(self.preprocessing, leads=tuple(leads)).to_dict(),
            self.kind,
        )


def load_modally_reduced(path: str | Path) -> LoadedModallyReduced:
    """Read a pre-training checkpoint of modally reduced representations, of either host.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is not such a checkpoint.

    Examples
    --------
    >>> trained = load_modally_reduced("checkpoint_best.pt")  # doctest: +SKIP
    >>> model = trained.model(store_rate=500)  # doctest: +SKIP
    >>> with torch.no_grad():  # doctest: +SKIP
    ...     twelve = model.decode_from(microvolts_of_lead_one, trained.leads.index("I"))
    """
    file = Path(path)
    state = read_checkpoint(file)
    if model_name(state) != MODEL:
        raise CheckpointError(
            f"{file} is no checkpoint of {MODEL} (its model is {model_name(state)!r}): give the "
            "checkpoint_best.pt of a run of modally_reduced or modally_reduced_small"
        )
    return _read_model(file, state)


def load_lead_encoder(path: str | Path, lead: str = "I") -> LeadEncoder:
    """Load the encoder of one lead.

    Parameters
    ----------
    path
        Checkpoint of pre-training, or of a classifier on that lead.
    lead
        Name of the lead.

    Returns
    -------
    LeadEncoder
        In evaluation mode, float32: ``(batch, 1, samples)`` of prepared signals (at the
        checkpoint's sample rate) to ``(batch, width)``.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or has no encoder of that lead.
    """
    weights = lead_encoder_weights(path, [lead])
    encoder: LeadEncoder = filled(
        Path(path), lambda: LeadEncoder(weights.config), weights.state_dict, weights.config
    )
    return encoder


def lead_encoder_weights(path: str | Path, leads: Sequence[str]) -> EncoderWeights:
    """Return shape, weights and preprocessing of the encoders of some leads.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or has no encoder of one of the leads.
    """
    file = Path(path)
    weights = load_encoder_weights(file, None, leads=leads)
    if not isinstance(weights.config, ModallyReducedConfig):
        raise CheckpointError(
            f"{file} holds no encoder of modally reduced representations ({weights.kind}): give "
            "the checkpoint_best.pt of a run of modally_reduced or modally_reduced_small, or a "
            "classifier on it"
        )
    if weights.config.leads != tuple(leads):
        raise CheckpointError(
            f"{file} has the encoder of lead {', '.join(weights.config.leads)}, not of "
            f"{', '.join(leads)}: give the pre-training's checkpoint, which has all"
        )
    return weights


def _read_model(file: Path, state: Mapping[str, Any]) -> LoadedModallyReduced:
    try:
        model, _, preprocessing = described(state)
        config = ModallyReducedConfig.from_mapping(
            model,
            reference_leads(
                preprocessing.leads, model.names("leads") if model.get("leads") else None
            ),
        )
        weights = part_of(state["model"], "network.")
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error
    return LoadedModallyReduced(file, config, preprocessing, weights)


def _read_classifier(file: Path, state: Mapping[str, Any]) -> LoadedClassifier:
    try:
        model, _, preprocessing = described(state)
        return LoadedClassifier(
            file,
            ModallyReducedConfig.from_mapping(model, preprocessing.leads),
            Fields(state["task_state"], "task_state").names("labels"),
            preprocessing,
            model.flag("standardize_embeddings"),
            part_of(state["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


READERS = {MODEL: _read_model, CLASSIFIER: _read_classifier}
