"""Generators that nothing has to train: what the others are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE
from selfmis_plugin.methods.lead_synthesis.generator import build_generator
from selfmis_plugin.metrics.beats import r_peaks, shift_peaks
from selfmis_plugin.metrics.lead_synthesis import beats_at_peaks
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.nn.inputs import zscore
from selfmis_plugin.utils.fields import number, whole

__all__ = [
    "LinearLeadsShape",
    "MeanBeatShape",
    "MeanEcgShape",
    "NearestRecordShape",
    "ZeroLeadsShape",
    "fit_linear",
    "given_peaks",
    "signal_terms",
]

_LEADS = len(STANDARD_LEADS)
#: Of :func:`signal_terms`.
_TERMS = 4


@register_shape("zero_leads")
@dataclass(frozen=True)
class ZeroLeadsShape:
    """No lead is made: all are zero."""

    window: None = None


@register_shape("mean_ecg")
@dataclass(frozen=True)
class MeanEcgShape:
    """One record is made of all: the mean of the training records.

    Attributes
    ----------
    samples
        Length of a record, in samples at the generator's rate.
    """

    samples: int
    window: None = None

    def __post_init__(self) -> None:
        whole("mean_ecg: samples", self.samples, least=1, most=2**31)


@register_shape("linear_leads")
@dataclass(frozen=True)
class LinearLeadsShape:
    """Every sample is a linear function of the given lead there, its two derivatives and 1."""

    window: None = None


@register_shape("nearest_record")
@dataclass(frozen=True)
class NearestRecordShape:
    """What is made is the training record whose lead has the nearest shape.

    Attributes
    ----------
    records, samples
        Training records, and samples of each at the generator's rate.
    """

    records: int
    samples: int
    window: None = None

    def __post_init__(self) -> None:
        for name in ("records", "samples"):
            whole(f"nearest_record: {name}", getattr(self, name), least=1, most=2**31)


@register_shape("mean_beat")
@dataclass(frozen=True)
class MeanBeatShape:
    """The mean beat of the training records is put at each R peak of the given lead.

    Attributes
    ----------
    samples
        Length of a beat.
    sample_rate
        Samples a second.
    """

    #: Why there is no graph of it.
    not_traceable: ClassVar[str] = "beats are looked for outside of PyTorch"
    samples: int
    sample_rate: float
    window: None = None

    def __post_init__(self) -> None:
        whole("mean_beat: samples", self.samples, least=1, most=2**31)
        number("mean_beat: sample_rate", self.sample_rate, least=LOWEST_RATE, most=HIGHEST_RATE)


class _NearestRecord(nn.Module):
    leads: Tensor

    def __init__(self, shape: NearestRecordShape) -> None:
        super().__init__()
        self.register_buffer("leads", torch.zeros(shape.records, _LEADS, shape.samples))

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        if given.shape[-1] != self.leads.shape[-1]:
            raise ValueError(
                f"training records of {self.leads.shape[-1]} samples are none of {given.shape[-1]}"
            )
        # Of standardised signals the nearest is the one of the largest product. A generator has
        # one given lead.
        known = zscore(self.leads.index_select(1, lead[:1]))[:, 0]
        return self.leads[(zscore(given[:, None])[:, 0] @ known.T).argmax(1)]


class _MeanBeat(nn.Module):
    beat: Tensor

    def __init__(self, shape: MeanBeatShape) -> None:
        super().__init__()
        self.rate = shape.sample_rate
        self.register_buffer("beat", torch.zeros(_LEADS, shape.samples))

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        peaks = given_peaks(given, self.rate)
        beat = self.beat.double().cpu().numpy()
        made = beats_at_peaks(beat, peaks, given.shape[-1], self.rate)
        return torch.from_numpy(made).to(given)


def given_peaks(given: Tensor, rate: float) -> list[npt.NDArray[np.int64]]:
    """Return the R peaks of a lead, millivolts (records, samples), in its own samples."""
    microvolts = 1000 * given.double().cpu().numpy()
    return shift_peaks(r_peaks(microvolts, rate)[1], rate)


class _ZeroLeads(nn.Module):
    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        return torch.zeros_like(given)[:, None].expand(-1, _LEADS, -1)


class _MeanEcg(nn.Module):
    mean: Tensor

    def __init__(self, shape: MeanEcgShape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_LEADS, shape.samples))

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        if given.shape[-1] != self.mean.shape[-1]:
            raise ValueError(
                f"a mean ECG of {self.mean.shape[-1]} samples is none of {given.shape[-1]}"
            )
        return self.mean.expand(given.shape[0], -1, -1)


class _LinearLeads(nn.Module):
    coefficients: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("coefficients", torch.zeros(_LEADS, _TERMS))

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        return self.coefficients @ signal_terms(given)


def signal_terms(given: Tensor) -> Tensor:
    """Return 1, a lead, and its first and second difference, (batch, samples) to (batch, 4,
    samples)."""
    wide = F.pad(given[:, None], (1, 1), mode="replicate")[:, 0]
    before, behind = wide[:, :-2], wide[:, 2:]
    return torch.stack(
        (torch.ones_like(given), given, (behind - before) / 2, behind - 2 * given + before), dim=1
    )


def fit_linear(leads: Tensor, given: int) -> npt.NDArray[np.float64]:
    """Return the least-squares map from one lead to all.

    Parameters
    ----------
    leads
        Millivolts of training records, (records, leads, samples).
    given
        Which lead is given.

    Returns
    -------
    numpy.ndarray
        (leads, 4): see :func:`signal_terms`.
    """
    terms = signal_terms(leads[:, given].double()).transpose(1, 2).flatten(0, 1).numpy()
    targets = leads.double().transpose(1, 2).flatten(0, 1).numpy()
    solution: npt.NDArray[np.float64] = np.linalg.lstsq(terms, targets, rcond=None)[0].T
    return solution


@build_generator.register
def _(shape: ZeroLeadsShape) -> nn.Module:
    return _ZeroLeads()


@build_generator.register
def _(shape: MeanEcgShape) -> nn.Module:
    return _MeanEcg(shape)


@build_generator.register
def _(shape: NearestRecordShape) -> nn.Module:
    return _NearestRecord(shape)


@build_generator.register
def _(shape: MeanBeatShape) -> nn.Module:
    return _MeanBeat(shape)


@build_generator.register
def _(shape: LinearLeadsShape) -> nn.Module:
    return _LinearLeads()
