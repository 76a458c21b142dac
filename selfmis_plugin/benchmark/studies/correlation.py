"""Do the leads of a record say the same? Cross-lead correlation before and after alignment."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from selfmis_plugin.benchmark.studies.seen import trainings_of, with_seen
from selfmis_plugin.benchmark.studies.study import Answer, csv_text, refuse_own_names
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.evaluation.lead_models import (
    embed_leads,
    open_lead_model,
    untrained_network,
)
from selfmis_plugin.metrics.lead_correlation import LeadCorrelation, correlate_leads
from selfmis_plugin.utils import markdown
from selfmis_plugin.visualization.lead_matrix import draw_lead_matrices

__all__ = ["MODEL", "UNTRAINED", "correlation_study"]

MODEL, UNTRAINED = "aligned", "untrained"

_DEFINITION = (
    "Pearson correlation between the embeddings of two leads of one record, over their "
    "dimensions, mean over the records and over the pairs of different leads. Centred: less each "
    "lead's mean embedding. Control: the two leads are of different records."
)


def correlation_study(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    against: Mapping[str, Path] | None = None,
) -> Answer:
    """Correlate the embeddings of every two leads on held-out records.

    Parameters
    ----------
    checkpoint
        Of a model that embeds every lead, after alignment.
    data, split
        Folder of a store, or of manifests, and the name of the manifest.
    against
        Checkpoints to compare with, such as those before alignment, by what to call them. The same
        network with the weights that a training starts from is always among them, as
        ``untrained``.

    Raises
    ------
    CheckpointError
        If a checkpoint embeds no leads, or they have other leads.
    StoreError
        If the data cannot be read.
    StudyError
        If a name of *against* is one of the study's own.
    """
    refuse_own_names(against, (MODEL, UNTRAINED))
    trained_on = trainings_of({MODEL: checkpoint, **(against or {})})
    model = open_lead_model(checkpoint)
    part = model.split(data, split)
    rate = part.store.info.sample_rate
    networks = {UNTRAINED: untrained_network(model, rate)}
    for name, path in (against or {}).items():
        other = open_lead_model(path)
        if other.leads != model.leads:
            raise CheckpointError(f"{path} embeds other leads than {checkpoint}")
        other.split(data, split)
        networks[name] = other.network(rate)
    networks[MODEL] = model.network(rate)
    found = {
        name: correlate_leads(embed_leads(network, part, model.leads), model.leads)
        for name, network in networks.items()
    }
    answer = Answer(
        "correlation",
        {
            "checkpoint": str(checkpoint),
            "data": str(data),
            "split": split,
            "records": len(part.rows),
            "definition": _DEFINITION,
            "networks": {name: of.to_dict() for name, of in found.items()},
        },
        _text(found, len(part.rows)),
        _csv(found),
        {"correlation": functools.partial(draw_lead_matrices, found)},
    )
    return with_seen(answer, part, trained_on)


def _text(found: Mapping[str, LeadCorrelation], records: int) -> str:
    rows = []
    for name, of in found.items():
        kinds = (of.centred, of.as_is)
        cells = [f"{value:.3f}" for kind in kinds for value in (kind.mean_same, kind.mean_other)]
        rows.append([name, *cells])
    header = ["embeddings", "centred", "control", "as they are", "control"]
    last = list(found.values())[-1]
    matrix = [
        [lead, *(f"{value:.2f}" for value in row)]
        for lead, row in zip(last.leads, last.centred.same, strict=True)
    ]
    return (
        f"{_DEFINITION} {records} records.\n\n{markdown.table(header, rows)}\n\n"
        f"Centred, aligned:\n\n{markdown.table(['', *last.leads], matrix)}\n"
    )


def _csv(found: Mapping[str, LeadCorrelation]) -> str:
    rows = [
        {
            "embeddings": name,
            "kind": kind,
            "pair": pair,
            "lead": lead,
            **dict(zip(of.leads, values.tolist(), strict=True)),
        }
        for name, of in found.items()
        for kind, matrices in (("centred", of.centred), ("as_is", of.as_is))
        for pair, matrix in (("same record", matrices.same), ("other record", matrices.other))
        for lead, values in zip(of.leads, matrix, strict=True)
    ]
    return csv_text(rows)
