"""Generators that nothing has to train: what the others are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.lead_synthesis.generator import build_generator
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import whole

__all__ = ["LinearLeadsShape", "MeanEcgShape", "ZeroLeadsShape", "fit_linear", "signal_terms"]

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
def _(shape: LinearLeadsShape) -> nn.Module:
    return _LinearLeads()
