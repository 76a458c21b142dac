"""Classifiers as folders: weights, a description in JSON, and a model card.

The layout is that of the Hugging Face hub; nothing in it is code.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch

from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import Classifies
from selfmis_plugin.checkpoints.facts import TrainingFacts, facts_of, facts_state
from selfmis_plugin.checkpoints.reading import CheckpointError, first_line, note_read
from selfmis_plugin.checkpoints.weights import part_of
from selfmis_plugin.data.exported import CONFIG, FORMAT, VERSION, WEIGHTS, read_description
from selfmis_plugin.data.filter_names import FILTER_NAMES
from selfmis_plugin.data.labels import ANY_INFARCTION
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE, Preprocessing
from selfmis_plugin.metrics.calibrated import (
    PERSON,
    PersonLine,
    Recalibration,
    person_lines_in,
    recalibrations_in,
)
from selfmis_plugin.metrics.operating_point import OperatingPoint, points_from
from selfmis_plugin.nn.encoder import describe_shape, is_portable, shape_from
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.utils.fields import FieldError, Fields, number, shown, whole
from selfmis_plugin.utils.files import whole_folder, write_json

CARD = "README.md"

#: Outputs of a head, of which labels are made.
_MOST_OUTPUTS = 2**31
#: Of a lead of a window.
_MOST_SAMPLES = 1_000_000


@dataclass(frozen=True)
class SavedModel:
    """A classifier with all that is needed to use it.

    Attributes
    ----------
    classifier
        Labels, preprocessing and weights.
    input_rate
        Samples a second of the signals that it is given, in hertz.
    specificity
        Specificity that the operating points keep on the validation split.
    points
        Operating point by label; empty where none were chosen.
    provenance
        Where it comes from, and how good it was there; JSON-ready.
    facts
        On what it was trained.
    calibration
        How logits become probabilities that come true, by label; labels without are missing.
    with_person
        The same where age and sex are known, by label.

    Raises
    ------
    CheckpointError
        If signals cannot be brought to what the classifier reads.
    """

    classifier: Classifies
    input_rate: float
    specificity: float | None = None
    points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    facts: TrainingFacts = field(default_factory=TrainingFacts)
    calibration: Mapping[str, Recalibration] = field(default_factory=dict)
    with_person: Mapping[str, PersonLine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path, preprocessing = self.classifier.path, self.classifier.preprocessing
        if preprocessing.filter not in FILTER_NAMES:
            raise CheckpointError(
                f"{path}: preprocessing.filter is {shown(preprocessing.filter)}, and this plugin "
                f"({__version__}) knows {', '.join(FILTER_NAMES)}: use the version that wrote it"
            )
        try:
            number("input_rate", self.input_rate, least=LOWEST_RATE, most=HIGHEST_RATE)
            Preparation(self.input_rate, preprocessing.sample_rate)
        except ValueError as error:
            raise CheckpointError(
                f"{path}: no signals of input_rate={shown(self.input_rate)} Hz can be read "
                f"({error}): export it again"
            ) from error
        if self.input_rate * preprocessing.seconds > _MOST_SAMPLES:
            raise CheckpointError(
                f"{path}: {preprocessing.seconds:g} s at {self.input_rate:g} Hz are no input of an "
                f"encoder, which is of {_MOST_SAMPLES:,} samples at most: export it again"
            )


def write_model(
    model: SavedModel,
    dest: Path,
    card: str,
    files: Mapping[str, Path] | None = None,
    notices: Iterable[Path] = (),
) -> None:
    """Write a folder that :func:`read_folder` reads back, whole or not at all.

    Parameters
    ----------
    model
        What to write.
    dest
        The folder; it must not be there yet.
    card
        Text of the model card.
    files
        Further files of the folder by their name in it; they are moved there.
    notices
        Files that go with the weights; they are copied, under their names.

    Raises
    ------
    FileExistsError
        If *dest* is there.
    WriteError
        If the disk is full, or nothing may be written there.
    CheckpointError
        If the classifier cannot be kept in a folder.
    """
    refuse_existing(dest)
    classifier = portable_classifier(model)
    with whole_folder(dest) as folder:
        weights = {
            name: value.detach().clone().contiguous() for name, value in classifier.weights.items()
        }
        safetensors.torch.save_file(weights, folder / WEIGHTS, {"format": "pt"})
        write_json(folder / CONFIG, _described(model, classifier))
        (folder / CARD).write_text(card, encoding="utf-8")
        for name, source in (files or {}).items():
            shutil.move(source, folder / name)
        for notice in notices:
            shutil.copyfile(notice, folder / notice.name)
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.chmod(0o755)


def refuse_existing(dest: Path) -> None:
    """Raise FileExistsError if there is something at *dest*."""
    if dest.exists():
        raise FileExistsError(f"{dest} is there already: give another folder, or remove it")


def portable_classifier(model: SavedModel) -> LoadedClassifier:
    """Return the classifier of *model* if a folder can hold it: an encoder with a linear head,
    which PyTorch alone can build.

    Raises
    ------
    CheckpointError
        If it is another one.
    """
    classifier = model.classifier
    if isinstance(classifier, LoadedClassifier) and is_portable(classifier.config):
        return classifier
    raise CheckpointError(
        f"{classifier.path} holds an encoder that cannot be written as a folder, since a toolkit "
        "builds it: `selfmis predict --model` reads the checkpoint itself"
    )


def _described(model: SavedModel, classifier: LoadedClassifier) -> dict[str, Any]:
    config = classifier.config
    return {
        "format": FORMAT,
        "version": VERSION,
        "plugin_version": __version__,
        "encoder": asdict(config) if isinstance(config, Net1DConfig) else describe_shape(config),
        "standardize_embeddings": classifier.standardize,
        "labels": list(classifier.labels),
        # The head's outputs that make each label, where a label is not one output.
        "classes": None if classifier.classes is None else [list(c) for c in classifier.classes],
        "preprocessing": classifier.preprocessing.to_dict(),
        "input_rate": model.input_rate,
        **operation_values(model),
        **(
            {PERSON: {label: line.to_dict() for label, line in model.with_person.items()}}
            if model.with_person
            else {}
        ),
        "training": facts_state(model.facts),
        "provenance": dict(model.provenance),
    }


def operation_values(model: SavedModel) -> dict[str, Any]:
    """Return thresholds and calibration of a model as its description has them, in JSON."""
    return {
        "operating_points": {
            "specificity": model.specificity,
            "labels": {label: point.to_dict() for label, point in model.points.items()},
        },
        "calibration": {label: line.to_dict() for label, line in model.calibration.items()},
    }


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like one of :func:`write_model`, be it a damaged one."""
    return path.is_dir() and (path / CONFIG).exists()


def read_folder(folder: Path) -> SavedModel:
    """Read a folder of :func:`write_model`; no code from it is run.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is no such folder.
    """
    file = folder / CONFIG
    try:
        found = _model(folder, read_description(folder))
        note_read(folder)
        return found
    except OSError as error:
        raise CheckpointError(
            f"{folder}: {error.strerror or error} ({CONFIG}): give a folder that `selfmis export` "
            "wrote, or a run's checkpoint_best.pt"
        ) from error
    except CheckpointError:
        raise
    except (RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file}: does not describe a classifier ({first_line(error)}): export it again"
        ) from error


def _model(folder: Path, values: Fields) -> SavedModel:
    preprocessing = Preprocessing.from_dict(values["preprocessing"])
    labels = values.names("labels")
    # What does not depend on the weights comes first: they are the longest to read.
    rate = values.number("input_rate", least=LOWEST_RATE, most=HIGHEST_RATE)
    # Without a kind it is the one that version 0.1 knew.
    shape = shape_from({"kind": "net1d", **values.part("encoder")})
    leads = len(preprocessing.leads)
    if getattr(shape, "in_leads", leads) != leads:
        raise FieldError(f"encoder.in_leads is {shape.in_leads}, and preprocessing names {leads}")
    known = (*labels, ANY_INFARCTION)
    specificity, points = points_from(values.part("operating_points"), known)
    calibration, with_person = recalibrations_in(values, known), person_lines_in(values, known)
    classifier = LoadedClassifier(
        folder,
        shape,
        labels,
        preprocessing,
        values.flag("standardize_embeddings"),
        _read_weights(folder / WEIGHTS),
        _classes(values, len(labels)),
    )
    # Version 0.1 did not write it.
    training = values.part("training") if "training" in values else {}
    return SavedModel(
        classifier,
        rate,
        specificity,
        points,
        dict(values.part("provenance")),
        facts_of(training, folder / CONFIG, folder.name),
        calibration,
        with_person,
    )


def _classes(values: Fields, labels: int) -> tuple[tuple[int, ...], ...] | None:
    """The head's outputs that make each label; None where a label is one output."""
    if values.get("classes") is None:
        return None
    described = values.items_of("classes")
    if len(described) != labels:
        raise FieldError(f"classes are given for {len(described)} labels, and there are {labels}")
    classes = []
    for place, members in enumerate(described):
        name = f"classes[{place}]"
        if not isinstance(members, list) or not members:
            raise FieldError(f"{name} must be a list of numbers, not {shown(members)}")
        classes.append(tuple(whole(name, number, most=_MOST_OUTPUTS) for number in members))
    return tuple(classes)


def _read_weights(file: Path) -> dict[str, Any]:
    try:
        return part_of(safetensors.torch.load_file(file), "")
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file: copy the whole folder again") from None
    except Exception as error:  # whatever a damaged file makes of the library that reads it
        raise CheckpointError(
            f"{file}: cannot be read as a safetensors file ({first_line(error)}): it is cut "
            "short or damaged; copy or download it again"
        ) from error
