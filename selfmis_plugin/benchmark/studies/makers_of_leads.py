"""Whatever makes microvolts of twelve leads from one: checkpoints, and what needs no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import GeneratesLeads, MakesLeads, Trained, lacks
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import Split
from selfmis_plugin.evaluation.evaluate import refuse_other_data
from selfmis_plugin.methods.lead_synthesis.trivial import fit_linear, signal_terms
from selfmis_plugin.methods.lead_synthesis.upsampling import Upsampling
from selfmis_plugin.metrics.beats import r_peaks, shift_peaks
from selfmis_plugin.metrics.lead_synthesis import mean_beat_at_peaks, nearest_rows

__all__ = [
    "BEAT",
    "KNOWN",
    "LINEAR",
    "MEAN",
    "NEAREST",
    "ZEROS",
    "Maker",
    "known_makers",
    "open_maker",
]

MEAN, NEAREST, BEAT = "mean ECG", "nearest record", "mean beat at each R peak"
LINEAR, ZEROS = "linear map", "lead I among zeros"
#: What :func:`known_makers` makes.
KNOWN = (MEAN, NEAREST, BEAT, LINEAR, ZEROS)

Floats = npt.NDArray[np.float32]
#: From microvolts of the given lead, (records, samples), to those of the standard leads, float32
#: (records, 12, samples), at the store's rate.
Maker = Callable[[Floats], Floats]
#: Training records of which beats are averaged and lines fitted.
_FEW = 400


def open_maker(checkpoint: str | Path, known: Split, given: str) -> tuple[Trained, Maker]:
    """Read a checkpoint that makes leads.

    Parameters
    ----------
    checkpoint
        A generator's, or that of a model which makes leads at unit deviation. These get the given
        lead's deviation in the record, times what the training records' leads have of it in the
        mean, and the training records' mean.
    known
        Training records.
    given
        The lead that is given.

    Raises
    ------
    CheckpointError
        If it cannot be read, makes no leads, or makes them from another one.
    """
    trained = load_trained(checkpoint)
    refuse_other_data(trained.path, trained.preprocessing, known)
    rate = known.store.info.sample_rate
    if isinstance(trained, GeneratesLeads):
        if trained.given != given:
            raise CheckpointError(
                f"{trained.path} makes leads from lead {trained.given}, not from lead {given}"
            )
        return trained, _running(trained.generator(rate), lambda network, signal: network(signal))
    if isinstance(trained, MakesLeads):
        missing = [lead for lead in STANDARD_LEADS if lead not in trained.leads]
        if missing:
            raise CheckpointError(f"{trained.path} makes no lead {', '.join(missing)}")
        return trained, _scaled(trained, known, given)
    lacks(trained, "makes no leads", "give the checkpoint of a generator, such as mcma's")


def _running(network: Any, compute: Callable[[Any, Tensor], Tensor]) -> Maker:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device).eval()

    @torch.inference_mode()
    def make(signals: Floats) -> Floats:
        made = compute(network, torch.from_numpy(signals)[:, None].to(device))
        values: Floats = made.float().cpu().numpy()
        return values

    return make


def _scaled(trained: MakesLeads, known: Split, given: str) -> Maker:
    info = known.store.info
    position = trained.leads.index(given)
    rows = [trained.leads.index(lead) for lead in STANDARD_LEADS]
    leads = known.store.read(known.rows[:_FEW], STANDARD_LEADS).astype(np.float32)
    deviations = leads.std(axis=-1)
    own = STANDARD_LEADS.index(given)
    sizes = torch.from_numpy(deviations.mean(axis=0) / max(float(deviations[:, own].mean()), 1e-6))
    means = torch.from_numpy(leads.mean(axis=(0, 2)))
    upsample = Upsampling(trained.preprocessing.sample_rate, info.sample_rate)

    def compute(network: Any, signal: Tensor) -> Tensor:
        made = network.decode_from(signal[:, 0], position)[:, rows].float()
        deviation = signal.std(-1, correction=0)[..., None]
        sized = upsample(made)[..., : signal.shape[-1]] * sizes.to(made.device)[:, None] * deviation
        return sized + means.to(made.device)[:, None]

    return _running(trained.lead_maker(info.sample_rate), compute)


@dataclass(frozen=True)
class _Known:
    """Training records, int16 microvolts (records, 12, samples), and which lead is given."""

    leads: npt.NDArray[np.int16]
    given: int
    rate: float

    def mean(self) -> Maker:
        mean = self.leads.mean(axis=0, dtype=np.float64).astype(np.float32)
        return lambda signals: np.broadcast_to(mean, (len(signals), *mean.shape))

    def nearest(self) -> Maker:
        shapes = _unit(self.leads[:, self.given].astype(np.float32))
        return lambda signals: self.leads[nearest_rows(shapes, _unit(signals))].astype(np.float32)

    def beat(self) -> Maker:
        few = self.leads[:_FEW].astype(np.float32)
        peaks = self._peaks(few[:, self.given])
        return lambda signals: mean_beat_at_peaks(few, peaks, self._peaks(signals), self.rate)

    def _peaks(self, signals: Floats) -> list[npt.NDArray[np.int64]]:
        return shift_peaks(r_peaks(signals, self.rate)[1], self.rate)

    def linear(self) -> Maker:
        few = torch.from_numpy(self.leads[:_FEW]).float() / 1000
        coefficients = torch.from_numpy(fit_linear(few, self.given))

        def make(signals: Floats) -> Floats:
            terms = signal_terms(torch.from_numpy(signals).double() / 1000)
            return (1000 * (coefficients @ terms)).float().numpy()

        return make


def _unit(signals: Floats) -> Floats:
    """Return signals, (records, samples), at zero mean and unit deviation."""
    centred = signals - signals.mean(axis=-1, keepdims=True)
    unit: Floats = centred / np.maximum(centred.std(axis=-1, keepdims=True), 1e-6)
    return unit


def known_makers(known: Split, given: str) -> dict[str, Maker]:
    """Return what is made without a model, of training records, by how it is called."""
    leads = known.store.read(known.rows, STANDARD_LEADS)
    records = _Known(leads, STANDARD_LEADS.index(given), known.store.info.sample_rate)
    shape = (len(STANDARD_LEADS), leads.shape[-1])
    return {
        MEAN: records.mean(),
        NEAREST: records.nearest(),
        BEAT: records.beat(),
        LINEAR: records.linear(),
        ZEROS: lambda signals: np.zeros((len(signals), *shape), dtype=np.float32),
    }
