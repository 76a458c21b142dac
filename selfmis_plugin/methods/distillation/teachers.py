"""The classifiers that teach, and whom of them to ask about a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import lacks
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.reading import mapping
from selfmis_plugin.data.inner_folds import inner_folds_of
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.provenance import Provenance, TrainedOn
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store_parts import may_share_people
from selfmis_plugin.nn.classifier import EncoderClassifier

__all__ = ["Teacher", "Teachers", "read_teachers"]


@dataclass(frozen=True)
class Teacher:
    """A classifier of the same labels.

    Attributes
    ----------
    classifier
        What was trained.
    folds, fold
        The inner fold that it did not train on, and of how many; 1 and None where it left out none.
    provenance
        Every training that went into it.
    """

    classifier: LoadedClassifier
    folds: int
    fold: int | None
    provenance: Provenance

    @property
    def embedding_dim(self) -> int:
        """Size of its embeddings."""
        return int(self.classifier.weights["head.weight"].shape[1])

    def learned_from(self, store: Store) -> list[TrainedOn]:
        """Return its trainings on what may be records of a store's patients."""
        return [step for step in self.provenance if _may_be_of(step, store)]


@dataclass(frozen=True)
class Teachers:
    """Those of all inner folds, in their order, or one that left out none."""

    all: tuple[Teacher, ...]

    @property
    def folds(self) -> int:
        """Number of inner folds; 1 where there are none."""
        return self.all[0].folds

    @property
    def leads(self) -> tuple[str, ...]:
        """Leads that they read."""
        return self.all[0].classifier.preprocessing.leads

    @property
    def embedding_dim(self) -> int:
        """Size of their embeddings."""
        return self.all[0].embedding_dim

    def asked(self, store: Store, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return which of them judges each record: the one that never saw its patient.

        Returns
        -------
        numpy.ndarray
            Places in :attr:`all`, int64 (records,).
        """
        patients = store.own_names("patient_id")[rows]
        return inner_folds_of(patients, self.folds) - 1

    def refuse_knowing(self, unlabelled: Store) -> None:
        """Refuse one that left out no inner fold and may know the unlabelled records.

        Those of inner folds judge the patients that they left out, whichever store these are in.

        Raises
        ------
        CheckpointError
            If it may.
        """
        (first, *_) = self.all
        if first.fold is None and (known := first.learned_from(unlabelled)):
            raise CheckpointError(
                f"{first.classifier.path} may have been trained on the records of "
                f"{unlabelled.path} ({known[0]}), and says of those what it learnt by heart: leave "
                "out task.unlabelled, train a teacher for each inner fold, or allow it with "
                "task.in_sample_teacher=true"
            )

    def networks(self, store_rate: float) -> list[EncoderClassifier]:
        """Return their networks, for signals of *store_rate* Hz, in evaluation mode."""
        return [teacher.classifier.network(store_rate) for teacher in self.all]


def read_teachers(
    paths: Sequence[str],
    labels: Sequence[str],
    preprocessing: Preprocessing,
    store: Store,
    in_sample: bool,
) -> Teachers:
    """Read the teachers of a training.

    Parameters
    ----------
    paths
        Their checkpoints: of every inner fold one, in any order, or one alone.
    labels
        Statements that the student learns.
    preprocessing
        How the student's records are prepared.
    store
        The labelled records that are learnt from.
    in_sample
        Whether a teacher may judge records that it was trained on.

    Raises
    ------
    CheckpointError
        If a file is no classifier of these labels, was trained on data prepared otherwise, or knows
        the records that it is to judge; or if they are not one for each inner fold.
    """
    found = [_read(Path(path), labels, preprocessing) for path in paths]
    whole = sorted(found, key=lambda teacher: teacher.fold or 0)
    first = whole[0]
    if first.fold is None and len(whole) > 1:
        raise CheckpointError(
            f"{first.classifier.path} left out no inner fold, so it is a teacher alone: give one "
            "checkpoint in task.teachers, or only such as were trained with task.inner_fold=N"
        )
    there = [(teacher.folds, teacher.fold) for teacher in whole]
    wanted = [(first.folds, k) for k in range(1, first.folds + 1)]
    if first.fold is not None and there != wanted:
        raise CheckpointError(
            "task.teachers: they left out the inner folds "
            f"{', '.join(f'{fold} of {folds}' for folds, fold in there)}: give one for each of "
            f"{first.folds} folds"
        )
    shapes = {(t.classifier.preprocessing.leads, t.embedding_dim) for t in whole}
    if len(shapes) > 1:
        raise CheckpointError(
            "task.teachers: they read different leads, or embed in different sizes: train them "
            "with one config"
        )
    for teacher in whole:
        _refuse_knowing(teacher, store, in_sample)
    return Teachers(tuple(whole))


def _read(path: Path, labels: Sequence[str], preprocessing: Preprocessing) -> Teacher:
    trained = load_trained(path)
    if not isinstance(trained, LoadedClassifier) or trained.classes is not None:
        lacks(trained, "has no linear head over labels", "give a classifier's checkpoint")
    unknown = [label for label in labels if label not in trained.labels]
    if unknown:
        raise CheckpointError(
            f"{path} was not taught {', '.join(unknown[:5])}: train it on the same labels, or name "
            "those that it knows with task.labels"
        )
    theirs = trained.preprocessing
    alike = replace(theirs, leads=preprocessing.leads, sample_rate=preprocessing.sample_rate)
    difference = preprocessing.difference(alike)
    if difference:
        raise CheckpointError(
            f"{path} was trained on data prepared in another way: {'; '.join(difference)}: train "
            "the teacher on this store"
        )
    task = mapping(mapping(read_checkpoint(path).get("cfg")).get("task"))
    fold = task.get("inner_fold")
    folds = 1 if fold is None else int(task["inner_folds"])
    return Teacher(trained, folds, fold, read_facts(path).provenance)


def _refuse_knowing(teacher: Teacher, store: Store, in_sample: bool) -> None:
    """Refuse a teacher that judges records that it was trained on."""
    if in_sample:
        return
    path, known = teacher.classifier.path, teacher.learned_from(store)
    if teacher.fold is None and known:
        raise CheckpointError(
            f"{path} may have been trained on the records that it is to judge ({known[0]}), and "
            "says of those what it learnt by heart: train a teacher for each inner fold, with "
            "task.inner_folds=K task.inner_fold=N, or allow it with task.in_sample_teacher=true"
        )
    if len(known) > 1:
        raise CheckpointError(
            f"{path} left an inner fold out of its training, but starts from weights that may know "
            f"its patients ({known[0]}): start from none, or from such as were trained on other "
            "databases, or allow it with task.in_sample_teacher=true"
        )


def _may_be_of(step: TrainedOn, store: Store) -> bool:
    """Whether a training may have read a store's patients, as far as anybody can tell."""
    if not step.database:
        # Published weights, of which nothing is known: who takes them has to know.
        return False
    ours = store.info.whole_parts
    return any(may_share_people(part, one) for part in step.whole_parts for one in ours)
