"""Twelve leads from one: a model's decoders against the mean ECG and the nearest record."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.benchmark.studies.seen import trainings_of, with_seen
from selfmis_plugin.benchmark.studies.study import Answer, csv_text, refuse_own_names
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.splits import Split
from selfmis_plugin.evaluation.lead_models import (
    LeadModel,
    open_lead_maker,
    prepared_signals,
    synthesise,
)
from selfmis_plugin.metrics.beats import r_peaks, shift_peaks
from selfmis_plugin.metrics.bootstrap import draw_patients, estimate
from selfmis_plugin.metrics.lead_synthesis import (
    Fit,
    mean_beat_at_peaks,
    mean_ecg,
    nearest_ecg,
    score,
)
from selfmis_plugin.utils import markdown
from selfmis_plugin.visualization.synthesis import draw_synthesis

__all__ = ["BASELINES", "MODEL", "reconstruction_study"]

MODEL = "decoders"
MEAN, NEAREST, BEAT = "mean ECG", "nearest record", "mean beat at each R peak"
BASELINES = (MEAN, NEAREST, BEAT)

#: Training records that the baselines know at most, of which the mean beat is made, and draws of
#: the intervals.
_TRAINING_RECORDS, _BEAT_RECORDS, _DRAWS = 5000, 400, 1000

_DEFINITION = (
    "Each lead of each record is brought to zero mean and unit deviation, as the network reads "
    "them: what one lead does not tell is how large the others are. Pearson correlation and root "
    "mean square error (in standard deviations of the true lead) over the samples of a record, "
    "mean over records. The mean ECG is that of the training records sample by sample; the "
    "nearest record is the training record whose lead is nearest, with its other leads; the mean "
    "beat of the training records is put at the R peaks of the lead that is given."
)


@dataclass(frozen=True)
class _Signals:
    leads: tuple[str, ...]
    given: int
    rate: float
    truth: npt.NDArray[np.float32]
    made: Mapping[str, npt.NDArray[np.float32]]


def reconstruction_study(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    lead: str = "I",
    train: tuple[str | Path, str] | None = None,
    against: Mapping[str, Path] | None = None,
    seed: int = 0,
) -> Answer:
    """Make all leads from one, and compare with what needs no model.

    Parameters
    ----------
    checkpoint
        Of a model that embeds and decodes every lead.
    data, split
        Held-out records: folder of a store, or of manifests, and the name of the manifest.
    lead
        The one lead.
    train
        Folder and manifest of the records that the baselines know, the first 5,000 of them; None:
        ``train`` of *data*.
    against
        Checkpoints to compare with, by what to call them.
    seed
        Of the bootstrap.

    Raises
    ------
    CheckpointError
        If a checkpoint embeds no leads, or they have other leads.
    StoreError
        If the data cannot be read.
    StudyError
        If a name of *against* is one of the study's own.
    """
    refuse_own_names(against, (MODEL, *BASELINES))
    trained_on = trainings_of({MODEL: checkpoint, **(against or {})})
    model = open_lead_maker(checkpoint)
    given = model.position(lead)
    part, known = model.split(data, split), model.split(*(train or (data, "train")))
    network = model.network(part.store.info.sample_rate)
    truth = prepared_signals(network, part, model.leads)
    known = Split(known.manifest, known.store, known.rows[:_TRAINING_RECORDS])
    of_train = prepared_signals(model.network(known.store.info.sample_rate), known, model.leads)
    beats = Split(known.manifest, known.store, known.rows[:_BEAT_RECORDS])
    made = {
        MODEL: synthesise(network, part, lead, given),
        **_others(against or {}, model, part, lead, given),
        MEAN: mean_ecg(of_train, len(truth)),
        NEAREST: nearest_ecg(of_train, truth[:, given], given),
        BEAT: mean_beat_at_peaks(
            of_train[: len(beats.rows)],
            _peaks(beats, lead, model.sample_rate),
            _peaks(part, lead, model.sample_rate),
            model.sample_rate,
        ),
    }
    fits = {name: score(truth, signals, model.leads) for name, signals in made.items()}
    better = {
        name: _difference(fits[MODEL], fits[name], given, part, seed).to_dict()
        for name in fits
        if name != MODEL
    }
    signals = _Signals(model.leads, given, model.sample_rate, truth, made)
    example = _typical(fits[MODEL], given)
    answer = Answer(
        "reconstruction",
        {
            "checkpoint": str(checkpoint),
            "data": str(data),
            "split": split,
            "records": len(truth),
            "training_records": len(of_train),
            "lead": lead,
            "definition": _DEFINITION,
            "fits": {name: fit.to_dict(lead) for name, fit in fits.items()},
            "correlation_above": better,
            "example": part.store.records["record_id"].iloc[int(part.rows[example])],
        },
        _text(fits, better, lead, len(truth)),
        _csv(fits),
        {"reconstruction": functools.partial(_draw, signals, fits, example)},
    )
    return with_seen(answer, part, trained_on)


def _others(
    against: Mapping[str, Path], model: LeadModel, part: Split, lead: str, given: int
) -> dict[str, npt.NDArray[np.float32]]:
    made = {}
    for name, path in against.items():
        other = open_lead_maker(path)
        if (other.leads, other.sample_rate) != (model.leads, model.sample_rate):
            raise CheckpointError(f"{path} makes other leads, or at another rate")
        other.check(part, [lead])
        made[name] = synthesise(other.network(part.store.info.sample_rate), part, lead, given)
    return made


def _peaks(part: Split, lead: str, sample_rate: float) -> list[npt.NDArray[np.int64]]:
    signals = part.store.read(part.rows, [lead])[:, 0]
    return shift_peaks(r_peaks(signals, part.store.info.sample_rate)[1], sample_rate)


def _difference(model: Fit, baseline: Fit, given: int, part: Split, seed: int) -> Any:
    """Mean correlation of the model less the baseline's, with an interval over patients."""
    others = [k for k in range(len(model.leads)) if k != given]
    rows = (model.correlations - baseline.correlations)[:, others].mean(axis=1)
    patients = part.store.records["patient_id"].iloc[part.rows].to_numpy()
    number = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    weights = draw_patients(number, _DRAWS, np.random.default_rng(seed))
    totals = np.maximum(weights.sum(axis=1), 1)
    return estimate(float(rows.mean()), weights.astype(np.float64) @ rows / totals)


def _typical(fit: Fit, given: int) -> int:
    """Return the record of median correlation over the leads that were made."""
    others = np.delete(fit.correlations, given, axis=1).mean(axis=1)
    return int(np.argsort(others, kind="stable")[len(others) // 2])


def _text(
    fits: Mapping[str, Fit], better: Mapping[str, Mapping[str, float]], lead: str, records: int
) -> str:
    leads = fits[MODEL].leads
    parts = [f"All leads from lead {lead}, {records} records. {_DEFINITION}\n"]
    for title, key in (("correlation", "correlation"), ("RMSE", "rmse")):
        rows = [
            [name, f"{fit.to_dict(lead)[f'mean_{key}']:.3f}"]
            + [f"{value:.2f}" for value in getattr(fit, key)]
            for name, fit in fits.items()
        ]
        parts.append(markdown.table([title, f"mean without {lead}", *leads], rows) + "\n")
    parts += [
        f"- the {MODEL} {_verdict(of)} the {name}: {of['value']:+.3f} of correlation "
        f"(95 % interval over patients {of['low']:+.3f} to {of['high']:+.3f})"
        for name, of in better.items()
    ]
    return "\n".join(parts) + "\n"


def _verdict(of: Mapping[str, float]) -> str:
    if of["low"] > 0:
        return "beat"
    return "do not beat" if of["high"] < 0 else "cannot be told from"


def _csv(fits: Mapping[str, Fit]) -> str:
    rows = [
        {"from": name, "lead": lead, "correlation": correlation, "rmse": rmse}
        for name, fit in fits.items()
        for lead, correlation, rmse in zip(fit.leads, fit.correlation, fit.rmse, strict=True)
    ]
    return csv_text(rows)


def _draw(signals: _Signals, fits: Mapping[str, Fit], record: int) -> Any:
    return draw_synthesis(
        signals.truth[record],
        {name: signals.made[name][record] for name in (MODEL, NEAREST)},
        signals.leads,
        signals.rate,
        given=signals.leads[signals.given],
        correlations=fits[MODEL].correlations[record],
    )
