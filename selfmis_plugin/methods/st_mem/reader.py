"""Checkpoints of ST-MEM: its pre-training, classifiers on it, and its authors' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from selfmis_plugin.checkpoints.classifier import LoadedClassifier, described, measured
from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.encoder_weights import load_encoder_weights
from selfmis_plugin.checkpoints.fitting import check_fit
from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    not_whole,
)
from selfmis_plugin.checkpoints.weights import EncoderWeights, checked, filled, part_of
from selfmis_plugin.data.leads import lead_rows, reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.st_mem.autoencoder import StMem
from selfmis_plugin.methods.st_mem.network import StMemEncoder, StMemShape
from selfmis_plugin.methods.st_mem.published import published_encoder
from selfmis_plugin.methods.st_mem.shape import StMemDecoderShape
from selfmis_plugin.nn.embedder import Embedder
from selfmis_plugin.nn.encoder import build_input

__all__ = ["PUBLISHED", "LoadedStMem", "encoder_for"]

MODEL, CLASSIFIER = "st_mem", "st_mem_classifier"
#: What a file of the authors' is called in reports.
PUBLISHED = "st_mem published"
#: Name of the embedding of all leads together; the others are called by the lead that is alone.
ALL = "all"
_LEAD_EMBEDDINGS = "lead_embeddings"


@dataclass(frozen=True)
class LoadedStMem:
    """A trained encoder of several leads, any of which it embeds alone too.

    Attributes
    ----------
    path
        The file.
    config
        Shape of the encoder, with all leads that it knows.
    preprocessing
        How the records were prepared that it was trained on.
    weights
        Its state dict.
    validation
        What its training measured last, by name.
    kind
        ``"st_mem"``, or of the authors' files :data:`PUBLISHED`.
    """

    path: Path
    config: StMemShape
    preprocessing: Preprocessing
    weights: dict[str, Tensor]
    validation: Mapping[str, float] = field(default_factory=dict)
    kind: str = MODEL

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have."""
        return self.config.leads

    @property
    def views(self) -> tuple[str, ...]:
        """The embedding of all leads together, and of each of them alone."""
        return (ALL, *self.config.leads)

    encoder_views = views

    def embedder(self, store_rate: float, view: str = ALL) -> nn.Module:
        """Return the encoder from raw signals of *store_rate* Hz to embeddings (batch, width)."""
        leads = self._leads_of(view)
        weights = self._weights(leads)
        encoder = filled(
            self.path, lambda: StMemEncoder(weights.config), weights.state_dict, weights.config
        )
        rows = lead_rows(self.preprocessing.leads, leads)
        rate = self.preprocessing.sample_rate
        prepare = _OfLeads(rows, build_input(self.config, leads, store_rate, rate))
        return Embedder(prepare, encoder).eval()

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return the encoder of the leads that are wanted, or of the one view.

        Raises
        ------
        CheckpointError
            If it does not know a lead, or nothing says which are wanted.
        """
        return self._weights(wanted.leads or self._leads_of(self._named(wanted)))

    def _named(self, wanted: Wanted) -> str:
        return one_view(self.path, self.encoder_views, wanted)

    def _leads_of(self, view: str) -> tuple[str, ...]:
        return self.config.leads if view == ALL else (view,)

    def _weights(self, leads: Sequence[str]) -> EncoderWeights:
        missing = [lead for lead in leads if lead not in self.config.leads]
        if missing:
            raise CheckpointError(
                f"{self.path} has no embedding of lead {', '.join(missing)}: it knows "
                f"{', '.join(self.config.leads)}; read those alone (task.leads, and "
                "model.zero_masked=false where it is asked for), or give another file"
            )
        rows = [self.config.leads.index(lead) for lead in leads]
        shape = replace(self.config, leads=tuple(leads), given=())
        return EncoderWeights(
            shape,
            {**self.weights, _LEAD_EMBEDDINGS: self.weights[_LEAD_EMBEDDINGS][rows]},
            replace(self.preprocessing, leads=shape.reads).to_dict(),
            self.kind,
        )


class _OfLeads(nn.Module):
    """Some leads of raw signals, prepared."""

    def __init__(self, rows: Sequence[int], prepare: nn.Module) -> None:
        super().__init__()
        self.rows = list(rows)
        self.prepare = prepare

    def forward(self, signal: Tensor) -> Tensor:
        prepared: Tensor = self.prepare(signal[:, self.rows])
        return prepared


@dataclass(frozen=True)
class StMemFile:
    """A file that ST-MEM's authors publish."""

    loaded: LoadedStMem

    def trained(self, labels: Sequence[str] | None, named: bool) -> LoadedStMem:
        """Return its encoder; it has no head."""
        return self.loaded

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return its encoder."""
        return self.loaded.encoder(wanted)


def encoder_for(path: str | Path, leads: Sequence[str], given: Sequence[str]) -> EncoderWeights:
    """Return the encoder of a file for a classifier.

    Parameters
    ----------
    path
        Checkpoint of pre-training, of a classifier of the same leads or a folder of it, a file of
        :func:`selfmis_plugin.save_encoder`, or one of the authors'.
    leads
        Leads that it computes.
    given
        Those of them that it is given; empty: all.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or has no encoder of these leads.
    """
    file = Path(path)
    weights = load_encoder_weights(file, None, leads=given or leads)
    if given and weights.kind in (MODEL, PUBLISHED):
        # Pre-trained on all leads, it can be given any.
        weights = _zero_masked(load_encoder_weights(file, None, leads=leads), given)
    shape = weights.config
    if not isinstance(shape, StMemShape):
        raise CheckpointError(
            f"{file} holds no encoder of ST-MEM ({weights.kind}): give the checkpoint_best.pt of a "
            "run of st_mem or st_mem_small, a classifier on it, or a file of its authors'"
        )
    if (shape.leads, shape.given) != (tuple(leads), tuple(given)):
        raise CheckpointError(
            f"{file} has an encoder of {_told(shape.leads, shape.given)}, and one of "
            f"{_told(leads, given)} is needed: give the pre-training's checkpoint, which has "
            "all leads"
        )
    return weights


def _zero_masked(weights: EncoderWeights, given: Sequence[str]) -> EncoderWeights:
    """Return an encoder of all leads as one that is given some, and reads zeros of the others."""
    preprocessing = Preprocessing.from_dict(weights.preprocessing or {})
    return replace(
        weights,
        config=replace(weights.config, given=tuple(given)),
        preprocessing=replace(preprocessing, leads=tuple(given)).to_dict(),
    )


def _told(leads: Sequence[str], given: Sequence[str]) -> str:
    if given:
        return f"lead {', '.join(given)} among {len(leads)} leads"
    return f"lead {', '.join(leads)}"


def _read_model(file: Path, payload: Mapping[str, Any]) -> LoadedStMem:
    try:
        model, task, preprocessing = described(payload)
        chosen = model.names("leads") if model.get("leads") else None
        shape = StMemShape.from_mapping(model, reference_leads(preprocessing.leads, chosen))
        decoder = StMemDecoderShape.from_mapping(model)
        whole = part_of(payload["model"], "network.")
        validation = measured(task)
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error
    check_fit(file, lambda: StMem(shape, decoder), whole, shape)
    weights = checked(file, part_of(whole, "encoder."), shape, len(shape.leads))
    return LoadedStMem(file, shape, preprocessing, weights, validation)


def _read_classifier(file: Path, payload: Mapping[str, Any]) -> LoadedClassifier:
    try:
        model, task, preprocessing = described(payload)
        leads = preprocessing.leads
        given: tuple[str, ...] = ()
        if model.flag("zero_masked"):
            leads, given = StMemShape().leads, preprocessing.leads
        return LoadedClassifier(
            file,
            StMemShape.from_mapping(model, leads, given),
            task.names("labels"),
            preprocessing,
            model.flag("standardize_embeddings"),
            part_of(payload["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _read_file(path: Path, payload: Mapping[str, Any]) -> StMemFile | None:
    found = published_encoder(path, payload)
    if found is None:
        return None
    shape, preprocessing, weights = found
    return StMemFile(LoadedStMem(path, shape, preprocessing, weights, kind=PUBLISHED))


READERS = {MODEL: _read_model, CLASSIFIER: _read_classifier}
#: Files that are recognised by their content.
FILES = (_read_file,)
