"""Twelve leads made from one, as signals and as an encoder of twelve leads sees them: the latent
gap of the SelfMIS paper's figure 1."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from selfmis_plugin.benchmark.studies.makers_of_leads import KNOWN, Maker, known_makers, open_maker
from selfmis_plugin.benchmark.studies.seen import trainings_of, with_seen
from selfmis_plugin.benchmark.studies.study import Answer, csv_text, refuse_own_names
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.weights import filled
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.metrics.bootstrap import draw_patients, estimate
from selfmis_plugin.metrics.frechet import frechet_distance, patient_halves
from selfmis_plugin.metrics.made_leads import MadeLeads, compare_leads, heart_rates, limb_residual
from selfmis_plugin.metrics.retrieval import retrieval
from selfmis_plugin.nn.embedder import Embedder
from selfmis_plugin.nn.encoder import build_encoder, build_input
from selfmis_plugin.utils import markdown
from selfmis_plugin.visualization.ecg import Panel, draw_panels
from selfmis_plugin.visualization.embedding_map import draw_embedding_map

__all__ = ["MODEL", "REAL", "synthesis_study"]

MODEL, REAL = "generator", "real leads"
#: What embeds, in what is said of its training.
ENCODER = "encoder of the figures"
#: Training records that are known to what needs no model, and that embeddings are scaled by.
_TRAINING_RECORDS = 5000
_BATCH, _DRAWS, _SPLITS = 128, 1000, 5

_DEFINITION = (
    "The given lead stands among what was made, as it is. Correlation, RMSE and MAE (microvolts) "
    "are over the samples of a record, means over records and over the leads that were made. "
    "Limb residual: root mean square of what Einthoven's and Goldberger's laws leave, microvolts. "
    "Heart rate: mean absolute difference between the rate by a made lead's R peaks and the rate "
    "by the given lead's, beats a minute, over leads in which two are found; beside it the share "
    "of leads in which none or one is. Embeddings are those of the named encoder, each value at "
    "mean 0 and deviation 1 over the real training records. Frechet distance: made records of one "
    "half of the patients against the real records of the other half, mean over {splits} splits of "
    "{half} and {half} records; its floor is real against real. It grows as records get fewer, and "
    "it is near 0 for plausible leads of other patients. Latent distance: 1 - cosine between what "
    "was made of a record and the record itself, with 95 % intervals over patients. Retrieval: "
    "share of records whose own real embedding is the nearest of all, or among the nearest ten."
)


@dataclass(frozen=True)
class _Made:
    """What was made in one way: figures of each record, and embeddings (records, values)."""

    figures: MadeLeads
    embeddings: npt.NDArray[np.float32]


def synthesis_study(
    checkpoint: str | Path,
    data: str | Path,
    encoder: str | Path,
    split: str = "test",
    train: tuple[str | Path, str] | None = None,
    against: Mapping[str, Path] | None = None,
    view: str | None = None,
    lead: str = "I",
    seed: int = 0,
) -> Answer:
    """Compare made leads with real ones.

    Parameters
    ----------
    checkpoint
        Of a generator, or of another model that makes leads from one.
    data, split
        Held-out records: folder of a store, or of manifests, and the name of the manifest.
    encoder, view
        A file with an encoder of twelve leads, and its name where the file has several.
    train
        Folder and manifest of the records that what needs no model knows, the first 5,000 of them;
        None: ``train`` of *data*.
    against
        Further checkpoints that make leads, by what to call them.
    lead
        The lead that is given.
    seed
        Of the halves and the bootstrap.

    Raises
    ------
    CheckpointError
        If a checkpoint makes no leads, the encoder reads other ones, or data were prepared
        otherwise.
    StoreError
        If the data cannot be read, or lack a lead.
    StudyError
        If a name of *against* is one of the study's own.
    ValueError
        If there are fewer than four records, or of fewer than two patients.
    """
    refuse_own_names(against, (MODEL, REAL, ENCODER, *KNOWN))
    trained_on = trainings_of({MODEL: checkpoint, **(against or {}), ENCODER: encoder})
    part, known = open_split(data, split), open_split(*(train or (data, "train")))
    for records in (part, known):
        records.require_leads(STANDARD_LEADS)
    known = Split(known.manifest, known.store, known.rows[:_TRAINING_RECORDS])
    makers: dict[str, Maker] = {}
    for name, path in {MODEL: Path(checkpoint), **(against or {})}.items():
        makers[name] = open_maker(path, known, lead)[1]
    embed = _embedder(Path(encoder), view, part)
    makers |= known_makers(known, lead)
    patients = _patients(part)
    if len(patients) < 4 or patients.max() < 1:
        raise ValueError(
            f"{part.manifest}: {len(patients)} records of {patients.max() + 1} patients are too "
            "few to compare halves of"
        )
    scale = _scale(np.concatenate([embed(real) for real in _batches(known)]))
    real = (np.concatenate([embed(batch) for batch in _batches(part)]) - scale[0]) / scale[1]
    made = {
        name: _run(make, part, STANDARD_LEADS.index(lead), embed, scale, name)
        for name, make in makers.items()
    }
    halves = [patient_halves(patients, np.random.default_rng((seed, k))) for k in range(_SPLITS)]
    figures = {name: _figures(of, real, halves, lead, patients, seed) for name, of in made.items()}
    about_real = _about_real(part, real, halves, lead)
    half = len(halves[0][0])
    definition = _DEFINITION.format(splits=_SPLITS, half=half)
    example = _typical(made[MODEL].figures, lead)
    answer = Answer(
        "synthesis",
        {
            "checkpoint": str(checkpoint),
            "against": {name: str(path) for name, path in (against or {}).items()},
            "encoder": str(encoder),
            "data": str(data),
            "split": split,
            "records": len(real),
            "training_records": len(known.rows),
            "lead": lead,
            "definition": definition,
            "embedding_scale": {
                "values": int(real.shape[1]),
                "mean_deviation": float(scale[1].mean()),
            },
            "real": about_real,
            "made": figures,
            "example": part.store.records["record_id"].iloc[int(part.rows[example])],
        },
        _text(figures, about_real, lead, len(real), str(encoder), definition),
        _csv(made),
        {
            "leads": functools.partial(_draw_leads, part, makers[MODEL], lead, example),
            "embeddings": functools.partial(_draw_map, real, made, figures, about_real),
        },
    )
    return with_seen(answer, part, trained_on)


def _embedder(
    path: Path, view: str | None, part: Split
) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
    """Return a function from microvolts of the standard leads to embeddings (records, values)."""
    weights = load_encoder_weights(path, None, view, None if view else STANDARD_LEADS)
    described = weights.preprocessing or {}
    info = part.store.info
    rate = described.get("sample_rate", info.sample_rate)
    reasons = []
    if weights.leads and weights.leads != STANDARD_LEADS:
        reasons.append(f"it reads {', '.join(weights.leads)}, not the twelve standard leads")
    if rate > info.sample_rate:
        reasons.append(f"it reads {rate:g} Hz, and the store has {info.sample_rate:g}")
    if weights.kind != "ecgfounder" and described.get("filter", info.filter) != info.filter:
        reasons.append(f"it reads records of the filter {described['filter']!r}")
    if reasons:
        raise CheckpointError(f"{path} cannot embed these records: {'; '.join(reasons)}")
    encoder = filled(
        path,
        lambda: build_encoder(weights.config, weights.in_leads),
        weights.state_dict,
        weights.config,
    )
    prepare = build_input(weights.config, STANDARD_LEADS, info.sample_rate, rate)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Embedder(prepare, encoder).to(device).eval()

    @torch.inference_mode()
    def embed(leads: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        rows: npt.NDArray[np.float32] = (
            network(torch.from_numpy(np.ascontiguousarray(leads)).to(device)).float().cpu().numpy()
        )
        return rows

    return embed


def _batches(part: Split) -> Any:
    for start in range(0, len(part.rows), _BATCH):
        yield part.store.read(part.rows[start : start + _BATCH], STANDARD_LEADS)


def _scale(
    known: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return mean and deviation of each value; one that never changes is not blown up."""
    deviation = known.std(axis=0)
    alive = deviation > 1e-5 * max(float(np.abs(known).max()), 1e-8)
    return known.mean(axis=0), np.where(alive, deviation, 1).astype(np.float32)


def _run(
    make: Maker,
    part: Split,
    given: int,
    embed: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]],
    scale: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    name: str,
) -> _Made:
    figures, rows = [], []
    batches = -(-len(part.rows) // _BATCH)
    for real in tqdm(_batches(part), desc=name, total=batches, unit="batch"):
        made = _with_given(make, real, given)
        figures.append(compare_leads(real, made, part.store.info.sample_rate))
        rows.append((embed(made) - scale[0]) / scale[1])
    return _Made(MadeLeads.joined(figures), np.concatenate(rows))


def _with_given(make: Maker, real: npt.NDArray[Any], given: int) -> npt.NDArray[np.float32]:
    signals = real[:, given].astype(np.float32)
    made = np.array(make(signals), dtype=np.float32)
    made[:, given] = signals
    return made


def _figures(
    made: _Made,
    real: npt.NDArray[np.float32],
    halves: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    lead: str,
    patients: npt.NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    of, given = made.figures, STANDARD_LEADS.index(lead)
    others = [row for row in range(len(STANDARD_LEADS)) if row != given]
    norms = np.linalg.norm(made.embeddings, axis=1) * np.linalg.norm(real, axis=1)
    distance = 1 - (made.embeddings * real).sum(axis=1) / np.maximum(norms, 1e-12)
    weights = draw_patients(patients, _DRAWS, np.random.default_rng(seed)).astype(np.float64)
    drawn = weights @ distance / np.maximum(weights.sum(axis=1), 1)
    frechet = [
        frechet_distance(made.embeddings[first], real[second]) for first, second in _both(halves)
    ]
    rates = of.heart_rate[:, others] - of.heart_rate[:, [given]]
    found = retrieval(torch.from_numpy(made.embeddings), torch.from_numpy(real), k=(1, 10))
    by_lead = {
        name: dict(zip(STANDARD_LEADS, getattr(of, name).mean(axis=0).tolist(), strict=True))
        for name in ("correlation", "rmse", "mae")
    }
    return {
        **by_lead,
        **{f"mean_{name}": float(getattr(of, name)[:, others].mean()) for name in by_lead},
        "limb_residual": float(of.residual.mean()),
        "heart_rate_error": _mean_of_known(np.abs(rates)),
        "heart_rate_missing": float(np.isnan(of.heart_rate[:, others]).mean()),
        "frechet": float(np.mean(frechet)),
        "frechet_splits": frechet,
        "latent_distance": estimate(float(distance.mean()), drawn).to_dict(),
        "retrieval": found,
    }


def _about_real(
    part: Split,
    real: npt.NDArray[np.float32],
    halves: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    lead: str,
) -> dict[str, Any]:
    """Return what of the figures the real records themselves have: floors and ceilings."""
    given = STANDARD_LEADS.index(lead)
    rate = part.store.info.sample_rate
    residuals, differences = [], []
    for leads in _batches(part):
        residuals.append(limb_residual(leads))
        rates = heart_rates(leads, rate)
        differences.append(np.delete(rates - rates[:, [given]], given, axis=1))
    rates = np.concatenate(differences)
    floors = [frechet_distance(real[first], real[second]) for first, second in _both(halves)]
    return {
        "limb_residual": float(np.concatenate(residuals).mean()),
        "heart_rate_error": _mean_of_known(np.abs(rates)),
        "heart_rate_missing": float(np.isnan(rates).mean()),
        "frechet": float(np.mean(floors)),
        "frechet_splits": floors,
    }


def _both(
    halves: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Either half is made once, against the other."""
    return [pair for first, second in halves for pair in ((first, second), (second, first))]


def _mean_of_known(values: npt.NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _patients(part: Split) -> npt.NDArray[np.int64]:
    names = part.store.records["patient_id"].iloc[part.rows].to_numpy()
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _typical(of: MadeLeads, lead: str) -> int:
    """Return the record of median correlation over the leads that were made."""
    others = np.delete(of.correlation, STANDARD_LEADS.index(lead), axis=1).mean(axis=1)
    return int(np.argsort(others, kind="stable")[len(others) // 2])


def _text(
    figures: Mapping[str, Mapping[str, Any]],
    real: Mapping[str, Any],
    lead: str,
    records: int,
    encoder: str,
    definition: str,
) -> str:
    header = [
        *("made by", "correlation", "RMSE", "MAE", "limb residual", "heart rate (none found)"),
        *("Frechet distance", "latent distance (95 % interval)", "R@1", "R@10"),
    ]
    rows = [
        [
            name,
            *(f"{of[key]:.3f}" for key in ("mean_correlation",)),
            *(f"{of[key]:.0f}" for key in ("mean_rmse", "mean_mae", "limb_residual")),
            _rate(of),
            f"{of['frechet']:.1f}",
            "{value:.3f} ({low:.3f} to {high:.3f})".format(**of["latent_distance"]),
            *(f"{100 * of['retrieval'][key]:.1f} %" for key in ("r1", "r10")),
        ]
        for name, of in figures.items()
    ]
    rows.append(
        [
            *(REAL, "1", "0", "0", f"{real['limb_residual']:.0f}", _rate(real)),
            *(f"{real['frechet']:.1f} (floor)", "0", "100 %", "100 %"),
        ]
    )
    parts = [
        f"All leads from lead {lead}, {records} records; encoder: {encoder}. {definition}\n",
        markdown.table(header, rows) + "\n",
    ]
    for title, key, digits in (("Correlation", "correlation", 2), ("RMSE, microvolts", "rmse", 0)):
        each = [
            [name, *(f"{of[key][one]:.{digits}f}" for one in STANDARD_LEADS)]
            for name, of in figures.items()
        ]
        parts.append(markdown.table([title, *STANDARD_LEADS], each) + "\n")
    return "\n".join(parts)


def _rate(of: Mapping[str, Any]) -> str:
    error = "-" if of["heart_rate_error"] is None else f"{of['heart_rate_error']:.1f}"
    return f"{error} ({100 * of['heart_rate_missing']:.0f} %)"


def _csv(made: Mapping[str, _Made]) -> str:
    rows = [
        {
            "made_by": name,
            "lead": lead,
            "correlation": of.figures.correlation[:, row].mean(),
            "rmse": of.figures.rmse[:, row].mean(),
            "mae": of.figures.mae[:, row].mean(),
        }
        for name, of in made.items()
        for row, lead in enumerate(STANDARD_LEADS)
    ]
    return csv_text(rows)


def _draw_leads(part: Split, make: Maker, lead: str, record: int) -> Any:
    real = part.store.read(part.rows[record : record + 1], STANDARD_LEADS)
    made = _with_given(make, real, STANDARD_LEADS.index(lead))
    number = part.store.records["record_id"].iloc[int(part.rows[record])]
    panel = Panel(
        real[0].astype(np.float64),
        part.store.info.sample_rate,
        title=f"Record {number}: a record of median correlation",
        subtitle=f"black: real; blue: made from lead {lead}, which is given",
        over=made[0].astype(np.float64),
    )
    return draw_panels([panel])


def _draw_map(
    real: npt.NDArray[np.float32],
    made: Mapping[str, _Made],
    figures: Mapping[str, Mapping[str, Any]],
    about_real: Mapping[str, Any],
) -> Any:
    notes = {name: f"Frechet distance {of['frechet']:.0f}" for name, of in figures.items()}
    title = (
        "Real records and what was made of them, one encoder (t-SNE); Frechet distance of real "
        f"against real: {about_real['frechet']:.0f}"
    )
    return draw_embedding_map(
        real, {name: of.embeddings for name, of in made.items()}, notes, title
    )
