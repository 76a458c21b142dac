"""Whose heart is it? Nearest neighbours of embeddings, without fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from selfmis_plugin.benchmark.studies.seen import trainings_of, with_seen
from selfmis_plugin.benchmark.studies.study import Answer, csv_text, refuse_own_names
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.encoders import load_encoder
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.evaluation.evaluate import outputs
from selfmis_plugin.evaluation.lead_models import (
    embed_beats,
    embed_leads,
    open_lead_model,
    untrained_network,
)
from selfmis_plugin.metrics.beats import average_beats
from selfmis_plugin.metrics.identification import (
    ACROSS,
    OTHERS,
    RULES,
    WITHIN,
    Identification,
    day_rules,
    identify,
)
from selfmis_plugin.nn.encoder import build_encoder
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.utils import markdown

__all__ = ["BEAT", "MODEL", "RANDOM", "RANDOM_WHOLE", "WHOLE", "identification_study"]

#: What is compared: embeddings of beats, of whole recordings, of both by a network with the
#: weights that a training starts from, and the beats themselves.
MODEL, WHOLE = "embedding of beats", "embedding of the whole recording"
RANDOM, RANDOM_WHOLE = "untrained embedding of beats", "untrained embedding of the whole recording"
BEAT = "average beat"
#: The checkpoint itself, in what is said of its training.
THE_MODEL = "the model"

#: Accuracy that the paper's abstract states for ECG-ID, without saying how gallery and probes were
#: parted. 309 of the 310 recordings are 99.68 %, and one person has a single recording: it may be
#: every recording against all others.
PAPER = 0.9968

_RULES = {
    "first": "gallery: each person's first recording, probes: the others",
    OTHERS: "every recording against all others",
    WITHIN: "gallery: each person's first recording, probes: the others of that day",
    ACROSS: "gallery: each person's first recording, probes: those of later days",
}


def identification_study(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    lead: str = "I",
    against: Mapping[str, Path] | None = None,
) -> Answer:
    """Identify persons by the nearest neighbour of one lead's embedding.

    A model that embeds every lead is asked about beats, one window a beat
    (:func:`~selfmis_plugin.evaluation.lead_models.embed_beats`), and about whole recordings; an
    encoder of one lead about whole recordings, which are what it was trained on.

    Parameters
    ----------
    checkpoint
        Of a model that embeds every lead, or any encoder of that lead alone.
    data, split
        Recordings of persons who have several: folder of a store, or of manifests, and the name
        of the manifest. Of ECG-ID all recordings are ``test``.
    lead
        The lead.
    against
        Checkpoints to compare with, by what to call them.

    Raises
    ------
    CheckpointError
        If a checkpoint has no encoder of that lead.
    StoreError
        If the data cannot be read, or lack the lead.
    StudyError
        If a name of *against* is one of the study's own.
    ValueError
        If fewer than two persons have two recordings.
    """
    refuse_own_names(against, (MODEL, WHOLE, RANDOM, RANDOM_WHOLE, BEAT, THE_MODEL))
    trained_on = trainings_of({THE_MODEL: checkpoint, **(against or {})})
    part = open_split(data, split)
    part.require_leads([lead])
    info = part.store.info
    vectors = _embeddings(checkpoint, part, lead)
    for name, path in (against or {}).items():
        of_other = _embeddings(path, part, lead)
        vectors[name] = of_other.get(MODEL, of_other[WHOLE])
    vectors[BEAT] = average_beats(part.store.read(part.rows, [lead])[:, 0], info.sample_rate)
    records = part.store.records.iloc[part.rows]
    persons = records["patient_id"].tolist()
    sessions = [None if pd.isna(day) else int(day) for day in records["session"]]
    rules = (*RULES, *day_rules(persons, sessions))
    found = {
        name: {rule: identify(values, persons, rule, sessions) for rule in rules}
        for name, values in vectors.items()
    }
    answer = Answer(
        "identification",
        {
            "checkpoint": str(checkpoint),
            "data": str(data),
            "database": info.database,
            "split": split,
            "lead": lead,
            "recordings": len(persons),
            "rules": {rule: _RULES[rule] for rule in rules},
            "paper": PAPER,
            "found": {
                name: {rule: of.to_dict() for rule, of in rules.items()}
                for name, rules in found.items()
            },
        },
        _text(found, info.database, lead),
        _csv(found),
    )
    return with_seen(answer, part, trained_on)


def _embeddings(
    checkpoint: str | Path, part: Split, lead: str
) -> dict[str, npt.NDArray[np.floating[Any]]]:
    """Return embeddings by what made them."""
    rate = part.store.info.sample_rate
    try:
        model = open_lead_model(checkpoint)
    except CheckpointError:
        trained, untrained = _single_lead(checkpoint, part, lead)
        return {WHOLE: trained.embed(part, lead), RANDOM_WHOLE: untrained.embed(part, lead)}
    position = model.position(lead)
    model.check(part, [lead])
    network = model.network(rate)
    return {
        MODEL: embed_beats(network, part, lead, position),
        WHOLE: embed_leads(network, part, [lead], [position])[:, 0],
        RANDOM: embed_beats(untrained_network(model, rate), part, lead, position),
    }


def _single_lead(checkpoint: str | Path, part: Split, lead: str) -> tuple[_SingleLead, _SingleLead]:
    """Return the encoder of a checkpoint, and one of its shape with the weights that a training
    starts from."""
    encoder = load_encoder(checkpoint)
    how = encoder.preprocessing
    if how is None or how.leads != (lead,):
        known = "unknown leads" if how is None else f"leads {', '.join(how.leads)}"
        raise CheckpointError(f"{checkpoint}: its encoder reads {known}, not lead {lead} alone")
    info = part.store.info
    if (info.filter, info.seconds) != (how.filter, how.seconds):
        raise CheckpointError(
            f"{checkpoint} reads {how.seconds:g} s with the filter {how.filter!r}, and "
            f"{part.store.path} holds {info.seconds:g} s with {info.filter!r}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = build_encoder(encoder.config, 1)
    prepare = Preparation(info.sample_rate, how.sample_rate)
    return _SingleLead(encoder, prepare), _SingleLead(untrained, prepare)


class _SingleLead(nn.Module):
    """An encoder of one lead, from the signals of a store."""

    def __init__(self, encoder: nn.Module, prepare: Preparation) -> None:
        super().__init__()
        self.encoder = encoder
        self.input = prepare

    def embed(self, part: Split, lead: str) -> npt.NDArray[np.floating[Any]]:
        """Embed every record of a split, float32 (records, dimensions)."""
        rows = list(outputs(self.eval(), self, part, [lead], 128))
        return torch.cat([row.float().cpu() for row in rows]).numpy()

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Embed raw microvolts, (batch, 1, samples)."""
        embedding: torch.Tensor = self.encoder(self.input(signals))
        return embedding


def _text(found: Mapping[str, Mapping[str, Identification]], database: str, lead: str) -> str:
    parts = [
        f"Persons of {database} by the nearest neighbour of lead {lead}: rank-1 accuracy with its "
        "95 % interval. Cosine of embeddings less their mean, no fine-tuning. The paper's figure "
        f"on ECG-ID itself is {PAPER:.2%}.\n"
    ]
    for rule in next(iter(found.values())):
        of_rule = {name: rules[rule] for name, rules in found.items()}
        any_of = next(iter(of_rule.values()))
        rows = [
            [name, f"{of.rank1:.2%} ({of.low:.1%} to {of.high:.1%})", f"{of.rank5:.2%}"]
            for name, of in of_rule.items()
        ]
        rows.append(["chance", f"{any_of.chance:.2%}", f"{min(1.0, 5 * any_of.chance):.2%}"])
        parts.append(
            f"{_RULES[rule]}; {any_of.probes} probes of {any_of.asked} persons among "
            f"{any_of.persons}\n\n"
            + markdown.table(["nearest neighbour of", "rank 1", "rank 5"], rows)
            + "\n"
        )
        parts += [
            f"- {name}: of {of.absent} recordings there is none, as no beat is found in them: they "
            "are nobody's neighbour, and count as not recognised\n"
            for name, of in of_rule.items()
            if of.absent
        ]
    return "\n".join(parts)


def _csv(found: Mapping[str, Mapping[str, Identification]]) -> str:
    return csv_text(
        {"vectors": name, **of.to_dict()} for name, rules in found.items() for of in rules.values()
    )
