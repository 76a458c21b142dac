"""A generator and a classifier of twelve leads as one checkpoint of a classifier of one lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import Trained, lacks
from selfmis_plugin.checkpoints.facts import TrainingFacts, facts_state, read_facts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.methods.lead_synthesis.network import GeneratedLeadsShape
from selfmis_plugin.methods.lead_synthesis.reader import JOINED, LoadedGenerator
from selfmis_plugin.nn.encoder import describe_shape
from selfmis_plugin.utils.files import whole_file

__all__ = ["join", "require_fit", "twelve_lead_classifier", "write_joined"]


def join(generator: str | Path, classifier: str | Path, dest: str | Path) -> None:
    """Write a classifier of one lead: the generator makes twelve, which the classifier judges.

    Nothing is trained. ``evaluate``, ``predict``, ``report`` and ``export`` read the file as they
    read any classifier's.

    Parameters
    ----------
    generator
        A generator's checkpoint.
    classifier
        Checkpoint of a classifier of the twelve standard leads, probed or fine-tuned.
    dest
        The file to write, whole or not at all.

    Raises
    ------
    CheckpointError
        If one of them is something else, or the two do not fit together.
    """
    made = load_trained(generator)
    if not isinstance(made, LoadedGenerator):
        lacks(made, "makes no leads in microvolts", "give a generator's checkpoint")
    judge = twelve_lead_classifier(classifier)
    rate = made.preprocessing.sample_rate
    require_fit(made, judge, rate)
    shape = GeneratedLeadsShape(
        made.shape,
        judge.config,
        rate,
        judge.preprocessing.sample_rate,
        made.given,
        made.keep_given,
    )
    write_joined(Path(dest), shape, made.weights, judge, read_facts(generator).provenance)


def require_fit(made: Trained, judge: LoadedClassifier, rate: float) -> None:
    """Refuse a classifier whose records were prepared in another way than what makes leads expects.

    Parameters
    ----------
    made
        What makes them.
    judge
        The classifier.
    rate
        Sample rate of the made leads, in hertz.

    Raises
    ------
    CheckpointError
        If they were, or if it reads a higher rate.
    """
    ours, theirs = made.preprocessing, judge.preprocessing
    reasons = replace(theirs, leads=ours.leads, sample_rate=ours.sample_rate).difference(ours)
    if theirs.sample_rate > rate:
        reasons.append(f"it reads {theirs.sample_rate:g} Hz, more than is made")
    if reasons:
        raise CheckpointError(
            f"{judge.path} does not fit {made.path}, whose leads are of {rate:g} Hz: "
            f"{'; '.join(reasons)}: train both on one store, and the classifier at no higher rate"
        )


def twelve_lead_classifier(path: str | Path) -> LoadedClassifier:
    """Return a classifier that reads the twelve standard leads.

    Raises
    ------
    CheckpointError
        If it is another one.
    """
    judge = load_trained(path)
    if not isinstance(judge, LoadedClassifier) or judge.classes is not None:
        lacks(judge, "has no linear head over labels", "give a linear probe's, or a fine-tuned one")
    if judge.preprocessing.leads != STANDARD_LEADS:
        raise CheckpointError(
            f"{judge.path} reads {', '.join(judge.preprocessing.leads)}, and made leads are judged "
            f"by a classifier of twelve: train one with task.leads=[{','.join(STANDARD_LEADS)}]"
        )
    return judge


def write_joined(
    dest: Path,
    shape: GeneratedLeadsShape,
    weights: Mapping[str, Tensor],
    judge: LoadedClassifier,
    before: Provenance = (),
) -> None:
    """Write the checkpoint of a generator's network and the classifier behind it.

    Parameters
    ----------
    dest
        The file.
    shape
        Of both.
    weights
        State dict of the generator's network.
    judge
        The classifier.
    before
        The trainings that went into the generator.
    """
    # The encoder's names go one level down; the head, and what the embeddings are scaled by, stay.
    inner = {
        f"encoder.{name}" if name.startswith("encoder.") else name: value
        for name, value in judge.weights.items()
    }
    network = {f"encoder.generator.network.{name}": value for name, value in weights.items()}
    facts = read_facts(judge.path)
    trainings = tuple(dict.fromkeys((*before, *facts.provenance)))
    preprocessing = replace(
        judge.preprocessing, leads=(shape.given,), sample_rate=shape.sample_rate
    )
    payload: dict[str, Any] = {
        "cfg": {
            "model": {
                "_name": JOINED,
                "shape": describe_shape(shape),
                "standardize_embeddings": judge.standardize,
            }
        },
        "model": {f"network.{name}": value for name, value in {**network, **inner}.items()},
        "task_state": {
            "preprocessing": preprocessing.to_dict(),
            "labels": list(judge.labels),
            **facts_state(TrainingFacts(trainings, facts.labels)),
        },
    }
    dest.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(dest) as temporary:
        torch.save(payload, temporary)
