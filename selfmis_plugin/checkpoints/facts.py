"""What a file of weights says of its training: on which records, with how many of each label."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.own_file import SUFFIX, read_metadata
from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    first_line,
    mapping,
    model_name,
    read_checkpoint,
)
from selfmis_plugin.data.exported import CONFIG, ONNX_SUFFIX
from selfmis_plugin.data.provenance import Provenance, TrainedOn, provenance_from
from selfmis_plugin.utils.fields import FieldError, Fields

__all__ = [
    "PROVENANCE",
    "LabelCounts",
    "TrainingFacts",
    "facts_in",
    "facts_state",
    "facts_values",
    "read_facts",
]

PROVENANCE, LABELS = "provenance", "training_labels"


@dataclass(frozen=True)
class LabelCounts:
    """Records of each label among those that a classifier was trained on.

    Attributes
    ----------
    records
        All of them.
    positives
        Those that have a label, by its name.
    """

    records: int
    positives: Mapping[str, int]

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Labels without a positive: nothing was learnt of them."""
        return tuple(name for name, count in self.positives.items() if not count)


@dataclass(frozen=True)
class TrainingFacts:
    """What a file says of its training.

    Attributes
    ----------
    provenance
        Every training that went into its weights, the first first.
    labels
        Of a classifier that was trained by a version that counts them; None otherwise.
    """

    provenance: Provenance = ()
    labels: LabelCounts | None = field(default=None)

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Labels of which nothing was learnt, as far as the file tells."""
        return () if self.labels is None else self.labels.unlearned


def read_facts(path: str | Path) -> TrainingFacts:
    """Read what a training checkpoint, an exported folder, an encoder's file or another project's
    says; an ONNX file's is that of its folder.

    A file that says nothing is one training, of its own name, whose records are not known.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or says it wrongly.
    """
    file = Path(path)
    if file.suffix == SUFFIX:
        said = read_metadata(file).get(PROVENANCE)
        try:
            state = {} if said is None else {PROVENANCE: json.loads(said)}
        except (RecursionError, ValueError) as error:
            raise CheckpointError(
                f"{file}: says wrongly on what it was trained ({first_line(error)})"
            ) from error
        return facts_of(state, file, file.name)
    if (file / CONFIG).is_file() or file.suffix == ONNX_SUFFIX:
        return _exported_facts(file if file.is_dir() else file.parent, file.name)
    return facts_in(read_checkpoint(file), file.name)


def _exported_facts(folder: Path, name: str) -> TrainingFacts:
    """What an exported folder says of its training; an ONNX file may lie anywhere else."""
    config = folder / CONFIG
    try:
        values = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    except (OSError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{config}: cannot be read ({first_line(error)})") from error
    return facts_of(mapping(mapping(values).get("training")), config, name)


def facts_in(payload: Mapping[str, Any], name: str) -> TrainingFacts:
    """Return what the content of a training checkpoint says; see :func:`read_facts`."""
    step = model_name(payload)
    named = f"{step} of {name}" if step else name
    return facts_of(mapping(payload.get("task_state")), Path(name), named)


def facts_of(state: Mapping[str, Any], path: Path, name: str) -> TrainingFacts:
    """Read what :func:`facts_state` wrote; *name* is the training of a file that does not tell.

    Raises
    ------
    CheckpointError
        If it is something else.
    """
    try:
        fields = Fields(state)
        there = PROVENANCE in fields
        provenance = provenance_from(fields.items_of(PROVENANCE)) if there else ()
        labels = _label_counts(fields.part(LABELS)) if LABELS in fields else None
    except FieldError as error:
        raise CheckpointError(
            f"{path}: says wrongly on what it was trained ({error}): it was changed by hand; "
            "take the run's own file"
        ) from error
    return TrainingFacts(provenance or (TrainedOn(name),), labels)


def _label_counts(fields: Fields) -> LabelCounts:
    positives = fields.part("positives")
    return LabelCounts(
        fields.whole("records"), {str(name): positives.whole(name) for name in positives}
    )


def facts_values(provenance: Provenance) -> list[dict[str, Any]]:
    """Return a provenance as a file of weights keeps it, in JSON."""
    return [step.to_state() for step in provenance]


def facts_state(facts: TrainingFacts) -> dict[str, Any]:
    """Return facts as plain values, which :func:`facts_of` reads back."""
    state: dict[str, Any] = {PROVENANCE: facts_values(facts.provenance)}
    if facts.labels is not None:
        counts = facts.labels
        state[LABELS] = {"records": counts.records, "positives": dict(counts.positives)}
    return state
