"""What was trained, by what can be done with it.

A method's reader hands over an object of its own. Commands ask it for a capability, never for its
class: a protocol here each, which an object fulfils by having the methods. What all share says
:class:`Trained`. A capability that a file lacks is named in the refusal (:func:`require`).

All networks read raw signals of a store, integer or float microvolts ``(batch, leads, samples)``
of the leads that the preprocessing names, in its order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.checkpoints.weights import EncoderWeights
from selfmis_plugin.data.preprocessing import Preprocessing

__all__ = [
    "Classifies",
    "EmbedsLeads",
    "EmbedsPairs",
    "EmbedsRecords",
    "ForeignFile",
    "GeneratesLeads",
    "HasEncoders",
    "LeadNetwork",
    "MakesLeads",
    "ReportsValidation",
    "Tower",
    "Trained",
    "Wanted",
    "capabilities",
    "lacks",
    "require",
]

Tower = Literal["single", "multi"]


@dataclass(frozen=True)
class Wanted:
    """Which encoder of a file is wanted; what is None is left open.

    Attributes
    ----------
    tower
        ``single`` or ``multi``: the encoder of one lead, or of several, of a pair.
    view
        Name of an encoder among those of the file.
    leads
        Leads that it must read, in their order.
    """

    tower: Tower | None = None
    view: str | None = None
    leads: tuple[str, ...] | None = None


@runtime_checkable
class Trained(Protocol):
    """What every reader hands over."""

    @property
    def kind(self) -> str:
        """What it is, in one word for reports."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How the records were prepared that its networks read."""

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have; of the others zeros are read where they are absent."""


@runtime_checkable
class Classifies(Trained, Protocol):
    """It predicts labels."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its outputs, in their order."""

    def network(self, store_rate: float) -> nn.Module:
        """Return the network, in evaluation mode, from raw signals of *store_rate* Hz to logits
        (batch, labels)."""


@runtime_checkable
class EmbedsRecords(Trained, Protocol):
    """It gives a record one embedding, or one in each of several views."""

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the embeddings that it has of a record."""

    def embedder(self, store_rate: float, view: str) -> nn.Module:
        """Return the network, in evaluation mode, from raw signals of *store_rate* Hz to
        embeddings (batch, dim)."""


@runtime_checkable
class EmbedsPairs(Trained, Protocol):
    """It embeds one lead of a record beside the whole record, in one space."""

    @property
    def center(self) -> Tensor | None:
        """Mean of the whole records' embeddings, (dim,), where the loss subtracted it."""

    def pair_network(self, store_rate: float) -> nn.Module:
        """Return the network, in evaluation mode, from raw signals of *store_rate* Hz to both,
        (batch, dim) each."""


class LeadNetwork(Protocol):
    """A network of every lead by itself, as :class:`EmbedsLeads` and :class:`MakesLeads` give."""

    def prepare(self, signals: Tensor) -> Tensor:
        """Bring each lead, (batch, leads, samples), to the network's rate and to unit deviation."""

    def embed(self, signals: Tensor, leads: Sequence[int] | None = None) -> Tensor:
        """Embed leads, (batch, leads, samples) to (batch, leads, dimensions)."""

    def decode_from(self, signals: Tensor, lead: int) -> Tensor:
        """Make all leads of one, (batch, samples) to (batch, leads, samples), as prepared."""


@runtime_checkable
class EmbedsLeads(Trained, Protocol):
    """It embeds every lead of a record by itself."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads, in the order of the network."""

    def lead_network(self, store_rate: float) -> nn.Module:
        """Return the network, a :class:`LeadNetwork`, for signals of *store_rate* Hz."""

    def untrained(self, store_rate: float) -> nn.Module:
        """Return it with the weights that a training starts from."""


@runtime_checkable
class MakesLeads(Trained, Protocol):
    """It makes leads of a record from one of them."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that it makes, in their order."""

    def lead_maker(self, store_rate: float) -> nn.Module:
        """Return the network for signals of *store_rate* Hz.

        It has ``prepare`` and ``decode_from`` of a :class:`LeadNetwork`.
        """


@runtime_checkable
class GeneratesLeads(Trained, Protocol):
    """It makes microvolts of all leads from microvolts of one."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that it makes, in their order."""

    @property
    def given(self) -> str:
        """Name of the lead that it makes them from."""

    def generator(self, store_rate: float) -> nn.Module:
        """Return the network from raw signals of the given lead at *store_rate* Hz, (batch, 1,
        samples), to float32 microvolts of all leads at the same rate, (batch, leads, samples)."""


@runtime_checkable
class HasEncoders(Protocol):
    """It has encoders that can be taken out, to probe, to train on, or to use elsewhere."""

    @property
    def encoder_views(self) -> tuple[str, ...]:
        """Names of its encoders."""

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return shape, weights and preprocessing of one encoder.

        Raises
        ------
        CheckpointError
            If none is what is wanted, or several are; the message lists the views.
        """


@runtime_checkable
class ReportsValidation(Protocol):
    """It knows what its own training measured, whatever that was."""

    @property
    def validation(self) -> Mapping[str, float]:
        """Figures of the last validation before the file was written, by name."""


class ForeignFile(Protocol):
    """A file of another project's that a reader has recognised (``FILES`` of its module)."""

    def trained(self, labels: Sequence[str] | None, named: bool) -> Trained:
        """Return what was trained; see :func:`selfmis_plugin.load_trained`."""

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return shape, weights and preprocessing of its encoder."""


#: What each capability is called in messages.
_WORDS: Mapping[type, str] = {
    Classifies: "predicts labels",
    EmbedsRecords: "embeds records",
    EmbedsPairs: "embeds pairs of one lead and the whole record",
    EmbedsLeads: "embeds each lead by itself",
    MakesLeads: "makes leads from one",
    GeneratesLeads: "makes microvolts of leads from one",
}

Capability = TypeVar("Capability")


def capabilities(trained: object) -> list[str]:
    """Return in words what can be done with what was trained."""
    return [words for kind, words in _WORDS.items() if isinstance(trained, kind)]


def require(trained: Trained, capability: type[Capability], why: str, instead: str) -> Capability:
    """Return *trained* if it has a capability.

    Parameters
    ----------
    trained
        What a reader handed over.
    capability
        A protocol of this module.
    why
        What it does not do, such as "predicts no label".
    instead
        What to give instead.

    Raises
    ------
    CheckpointError
        If it does not have it; the message says what it has.
    """
    if isinstance(trained, capability):
        return trained
    lacks(trained, why, instead)


def lacks(trained: Trained, why: str, instead: str) -> NoReturn:
    """Raise a CheckpointError for something that *trained* cannot do; see :func:`require`."""
    can = " and ".join(capabilities(trained)) or "does nothing that a command asks for"
    if isinstance(trained, ReportsValidation) and trained.validation:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in trained.validation.items())
        can += f"; its own training measured {figures} on its validation split"
    what = "is a classifier" if isinstance(trained, Classifies) else "is of pre-training"
    raise CheckpointError(f"{trained.path} {what} and {why} (it {can}): {instead}")


def one_view(path: Path, views: Sequence[str], wanted: Wanted) -> str:
    """Return the view that is wanted of a file that has *views*.

    Raises
    ------
    CheckpointError
        If there is no such one, or several and none is named.
    """
    if wanted.view is not None:
        if wanted.view not in views:
            raise CheckpointError(f"{path} has no view {wanted.view!r}: it has {', '.join(views)}")
        return wanted.view
    if len(views) != 1:
        raise CheckpointError(
            f"{path} has several encoders: name one of the views {', '.join(views)}, as "
            f"view={views[0]!r}"
        )
    return views[0]
