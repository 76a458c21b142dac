"""Classifiers as folders: weights, a description in JSON, and a model card.

The layout is that of the Hugging Face hub; nothing in it is code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import Classifies, require
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.preprocessing import Preprocessing, PreprocessingError
from selfmis_plugin.nn.encoder import describe_shape, is_portable, shape_from
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.predict.operating_points import OperatingPoint
from selfmis_plugin.utils.files import whole_folder, write_json

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"

_FORMAT = "selfmis_classifier"
_VERSION = 1
#: Samples a second that stores have, and filters are applied at.
_STORE_RATE = 500.0


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
    """

    classifier: Classifies
    input_rate: float
    specificity: float | None = None
    points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def read_model(path: str | Path, labels: Sequence[str] | None = None) -> SavedModel:
    """Read a folder of :func:`write_model`, a classifier's checkpoint, or an ECGFounder file.

    Only a folder has operating points. No code from the files is run.

    Parameters
    ----------
    path
        The folder or file.
    labels
        Of a fine-tuned ECGFounder file: see :func:`selfmis_plugin.load_trained`.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is no classifier.
    """
    path = Path(path)
    if path.is_dir():
        if labels is not None:
            raise CheckpointError(f"{path} is a folder and names its labels: leave out the labels")
        return _read_folder(path)
    classifier = require(
        load_trained(path, labels),
        Classifies,
        "predicts no label",
        "give a classifier's checkpoint, such as a linear probe's on it",
    )
    rate = max(_STORE_RATE, classifier.preprocessing.sample_rate)
    return SavedModel(classifier, rate)


def write_model(
    model: SavedModel, dest: Path, card: str, files: Mapping[str, Path] | None = None
) -> None:
    """Write a folder that :func:`read_model` reads back, whole or not at all.

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
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.chmod(0o755)


def refuse_existing(dest: Path) -> None:
    """Raise FileExistsError if there is something at *dest*."""
    if dest.exists():
        raise FileExistsError(f"{dest} is there already: give another folder, or remove it")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
        "format": _FORMAT,
        "version": _VERSION,
        "plugin_version": __version__,
        "encoder": asdict(config) if isinstance(config, Net1DConfig) else describe_shape(config),
        "standardize_embeddings": classifier.standardize,
        "labels": list(classifier.labels),
        # The head's outputs that make each label, where a label is not one output.
        "classes": None if classifier.classes is None else [list(c) for c in classifier.classes],
        "preprocessing": classifier.preprocessing.to_dict(),
        "input_rate": model.input_rate,
        "operating_points": {
            "specificity": model.specificity,
            "labels": {label: point.to_dict() for label, point in model.points.items()},
        },
        "provenance": dict(model.provenance),
    }


def _read_folder(folder: Path) -> SavedModel:
    file = folder / CONFIG
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if values["format"] != _FORMAT or values["version"] != _VERSION:
            raise ValueError(f"its format is {values['format']!r} {values['version']!r}")
        points = values["operating_points"]
        preprocessing = Preprocessing.from_dict(values["preprocessing"])
        model = SavedModel(
            LoadedClassifier(
                folder,
                # Without a kind it is the one that version 0.1 knew.
                shape_from({"kind": "net1d", **values["encoder"]}),
                tuple(str(label) for label in values["labels"]),
                preprocessing,
                bool(values["standardize_embeddings"]),
                _read_weights(folder / WEIGHTS),
                _classes(values.get("classes"), len(values["labels"])),
            ),
            float(values["input_rate"]),
            None if points["specificity"] is None else float(points["specificity"]),
            {str(k): OperatingPoint.from_dict(point) for k, point in points["labels"].items()},
            dict(values["provenance"]),
        )
    except OSError as error:
        raise CheckpointError(
            f"{folder}: {error.strerror or error} ({CONFIG}): give a folder that `selfmis export` "
            "wrote, or a run's checkpoint_best.pt"
        ) from error
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, PreprocessingError) as error:
        raise CheckpointError(
            f"{file}: does not describe a classifier ({error!r}): export it again"
        ) from error
    return model


def _classes(values: Any, labels: int) -> tuple[tuple[int, ...], ...] | None:
    if values is None:
        return None
    classes = tuple(tuple(int(number) for number in members) for members in values)
    if len(classes) != labels or not all(classes) or min(min(c) for c in classes) < 0:
        raise ValueError(f"classes of {len(classes)} labels do not fit {labels} labels")
    return classes


def _read_weights(file: Path) -> dict[str, Any]:
    try:
        return safetensors.torch.load_file(file)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: no such file: copy the whole folder again") from None
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{file}: cannot be read as a safetensors file ({error}): it is cut short or damaged; "
            "copy or download it again"
        ) from error
