"""Checkpoints of generators, and of classifiers that read what one makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from selfmis_plugin.checkpoints.classifier import LoadedClassifier, described, measured
from selfmis_plugin.checkpoints.fitting import check_fit
from selfmis_plugin.checkpoints.reading import CheckpointError, not_whole
from selfmis_plugin.checkpoints.weights import filled, finite, part_of
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.lead_synthesis.cyclegan.network_training import NORM as CYCLEGAN_NORM
from selfmis_plugin.methods.lead_synthesis.ekgan.network_training import NORM as EKGAN_NORM
from selfmis_plugin.methods.lead_synthesis.generator import LeadGenerator
from selfmis_plugin.methods.lead_synthesis.mcma.network import McmaShape
from selfmis_plugin.methods.lead_synthesis.network import GeneratedLeadsShape
from selfmis_plugin.methods.lead_synthesis.pix2pix.network_training import NORM as PIX2PIX_NORM
from selfmis_plugin.methods.lead_synthesis.unet import LeadUNetShape
from selfmis_plugin.nn.encoder import shape_from
from selfmis_plugin.nn.inputs import zscore
from selfmis_plugin.utils.fields import Fields

__all__ = ["JOINED", "LoadedGenerator"]

#: Name of the model of a generator and a classifier that are joined.
JOINED = "generated_leads"
_SHAPES: Mapping[str, Callable[[Fields], Any]] = {
    "mcma": McmaShape.from_mapping,
    "ekgan": lambda model: LeadUNetShape.from_mapping(model, EKGAN_NORM),
    "pix2pix": lambda model: LeadUNetShape.from_mapping(model, PIX2PIX_NORM),
    "cyclegan": lambda model: LeadUNetShape.from_mapping(model, CYCLEGAN_NORM),
}


@dataclass(frozen=True)
class LoadedGenerator:
    """A trained generator of twelve leads, without its adversaries.

    Attributes
    ----------
    path
        The file.
    kind
        Name of its method.
    shape
        Shape of its network.
    given, keep_given
        As of :class:`~selfmis_plugin.methods.lead_synthesis.generator.LeadGenerator`.
    preprocessing
        How the records were prepared that it was trained on.
    weights
        State dict of the network.
    validation
        What its training measured last, by name.
    """

    path: Path
    kind: str
    shape: Any
    given: str
    keep_given: bool
    preprocessing: Preprocessing
    weights: dict[str, Tensor]
    validation: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse weights that are not those of the network.

        Raises
        ------
        CheckpointError
            If they do not fit, or are not finite.
        """
        rate = self.preprocessing.sample_rate
        check_fit(self.path, lambda: self._build(rate), self._state, self.shape)
        finite(self.path, self.weights)

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that are made, in their order."""
        return STANDARD_LEADS

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have, to be compared with what is made."""
        return STANDARD_LEADS

    def generator(self, store_rate: float) -> LeadGenerator:
        """Return the generator, float32, in evaluation mode, for microvolts at *store_rate* Hz."""
        generator: LeadGenerator = filled(
            self.path, lambda: self._build(store_rate), self._state, self.shape
        )
        return generator

    def lead_maker(self, store_rate: float) -> nn.Module:
        """Return the generator as it is compared with networks of leads at unit deviation."""
        return _AtUnitDeviation(self, store_rate).eval()

    @property
    def _state(self) -> dict[str, Tensor]:
        return {f"network.{name}": value for name, value in self.weights.items()}

    def _build(self, store_rate: float) -> LeadGenerator:
        rate = self.preprocessing.sample_rate
        return LeadGenerator(self.shape, store_rate, rate, self.given, self.keep_given)


class _AtUnitDeviation(nn.Module):
    """A generator whose leads are each at zero mean and unit deviation, at its own rate."""

    def __init__(self, trained: LoadedGenerator, store_rate: float) -> None:
        super().__init__()
        self.trained = trained
        self.generator = trained.generator(store_rate)

    def prepare(self, signals: Tensor) -> Tensor:
        """Bring each lead, (batch, leads, samples), to the network's rate and unit deviation."""
        return _each_lead(self.generator.input.decimate(signals.float()))

    def decode_from(self, signals: Tensor, lead: int) -> Tensor:
        """Make all leads of one, (batch, samples) to (batch, leads, samples), as prepared.

        Raises
        ------
        CheckpointError
            If it is another lead than they are made from.
        """
        if lead != self.generator.row:
            raise CheckpointError(
                f"{self.trained.path} makes leads from lead {self.trained.given}, not from lead "
                f"{STANDARD_LEADS[lead]}"
            )
        given = self.generator.input.decimate(signals[:, None].float())
        made = self.generator.make(given / 1000) * 1000
        if self.generator.keep_given:
            made = self.generator.with_given(made, given[:, 0])
        return _each_lead(made)


def _each_lead(signals: Tensor) -> Tensor:
    return zscore(signals.flatten(0, 1)[:, None]).view(signals.shape)


def _read_generator(file: Path, payload: Mapping[str, Any]) -> LoadedGenerator:
    try:
        model, task, preprocessing = described(payload)
        name = model.text("_name")
        return LoadedGenerator(
            file,
            name,
            _SHAPES[name](model),
            model.text("given"),
            model.flag("keep_given"),
            preprocessing,
            part_of(payload["model"], "network.generator."),
            measured(task),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _read_joined(file: Path, payload: Mapping[str, Any]) -> LoadedClassifier:
    try:
        model, task, preprocessing = described(payload)
        shape = shape_from(model.part("shape"))
        if not isinstance(shape, GeneratedLeadsShape):
            raise ValueError(f"its shape is a {type(shape).__name__}")
        return LoadedClassifier(
            file,
            shape,
            task.names("labels"),
            preprocessing,
            model.flag("standardize_embeddings"),
            part_of(payload["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


READERS = {**dict.fromkeys(_SHAPES, _read_generator), JOINED: _read_joined}
