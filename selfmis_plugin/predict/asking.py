"""From a file to what is said of it: what the command line and the page have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfmis_plugin.data.person import Person
from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.predict.prediction import DISCLAIMER, Prediction
from selfmis_plugin.predict.strip_model import StripModel
from selfmis_plugin.predict.strips import Strip
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions

__all__ = ["Asked", "answer", "read_strip", "refuse_person"]


@dataclass(frozen=True)
class Asked:
    """What a user says of recordings.

    Attributes
    ----------
    channels
        Names of the channels that are the model's leads; None finds them by name.
    rate
        Samples a second; None: what the file says.
    microvolts_per_unit
        Microvolts in one unit of the values; None: what the file says.
    quality
        Lowest figure of quality of a window that is scored.
    """

    channels: tuple[str, ...] | None = None
    rate: float | None = None
    microvolts_per_unit: float | None = None
    quality: float = PUBLISHED_THRESHOLD


def read_strip(model: StripModel, path: Path, name: str, asked: Asked) -> Strip:
    """Read a recording and cut it into a model's windows.

    Parameters
    ----------
    model
        Whose windows they are.
    path
        The file.
    name
        What to call it.
    asked
        What the user says of it.

    Raises
    ------
    RecordError
        If it cannot be read, has no such lead, a channel that is named is another lead, or it is
        too short.
    """
    reading = ReadingOptions(asked.rate, asked.microvolts_per_unit, asked.channels)
    recording = open_strip_file(path, reading)
    strip = model.cut(recording, asked.channels, asked.rate, asked.quality, named_by="--lead")
    return replace(strip, name=name)


def refuse_person(model: StripModel, name: str, person: Person) -> None:
    """Refuse age and sex where a model has no use for them.

    Raises
    ------
    ValueError
        If both are given and the model, which is called *name*, knows nothing of them.
    """
    if person.is_known and not model.with_person:
        raise ValueError(
            f"{name}: knows nothing of age and sex: leave out --age and --sex (selfmis export "
            "--cross-validated makes models that do)"
        )


def answer(
    model: StripModel,
    name: str,
    precision: str,
    predictions: Sequence[Prediction],
    problems: Sequence[str],
) -> dict[str, Any]:
    """Return what a model says of recordings, as JSON can hold it.

    Parameters
    ----------
    model
        Who says it.
    name
        What the user calls it.
    precision
        What it computed in.
    predictions
        What it says.
    problems
        Why other recordings could not be read.
    """
    return {
        "note": DISCLAIMER,
        "model": name,
        "precision": precision,
        "trained_on": [step.to_dict() for step in model.provenance],
        "calibration": {label: line.to_dict() for label, line in model.calibration.items()},
        "not_learned": list(model.unlearned),
        "specificity": model.specificity,
        "files": [prediction.to_dict() for prediction in predictions],
        "not_read": list(problems),
    }
