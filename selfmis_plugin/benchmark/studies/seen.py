"""Whether people of a study's records were in the trainings of the models that it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from selfmis_plugin.benchmark.studies.study import Answer
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.data.splits import Split
from selfmis_plugin.data.trained_people import seen_in_training

__all__ = ["trainings_of", "with_seen"]


def trainings_of(checkpoints: Mapping[str, str | Path]) -> dict[str, Provenance]:
    """Return what models were trained on, by what a study calls them.

    Raises
    ------
    CheckpointError
        If a file cannot be read, or says wrongly on what it was trained.
    """
    return {name: read_facts(path).provenance for name, path in checkpoints.items()}


def with_seen(answer: Answer, part: Split, trained_on: Mapping[str, Provenance]) -> Answer:
    """Return a study's answer with, by name of a model, whom of the records it was trained on.

    Parameters
    ----------
    answer
        Its JSON gets ``seen_in_training``, None where that is of nobody known, and its text a first
        paragraph for each model that was trained on some.
    part
        The records that it is asked about.
    trained_on
        What :func:`trainings_of` returned.
    """
    seen = {name: seen_in_training(provenance, part) for name, provenance in trained_on.items()}
    warnings = "".join(f"**{name}**: {found}.\n\n" for name, found in seen.items() if found)
    told = {name: None if found is None else found.to_dict() for name, found in seen.items()}
    return replace(
        answer,
        figures={**answer.figures, "seen_in_training": told},
        text=warnings + answer.text,
    )
