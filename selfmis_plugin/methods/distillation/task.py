"""Statements from one lead, learnt from labels and from teachers that see twelve."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

import numpy as np

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints.facts import TrainingFacts
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.data.same_people import rows_alike
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.data.trained_people import people_of
from selfmis_plugin.methods.distillation.dataset import TaughtDataset, TaughtPart
from selfmis_plugin.methods.distillation.kept_targets import teacher_outputs
from selfmis_plugin.methods.distillation.teachers import Teachers, read_teachers
from selfmis_plugin.probe.task import ECGMIClassificationConfig, ECGMIClassificationTask

logger = logging.getLogger(__name__)


@dataclass
class DistillationTaskConfig(ECGMIClassificationConfig):
    """Keys of ``task: {_name: distillation}``."""

    teachers: List[str] = field(  # noqa: UP006
        default_factory=list,
        metadata={
            "help": "checkpoints of classifiers of the same labels and more leads: one for each "
            "inner fold, or one that has not seen these records"
        },
    )
    in_sample_teacher: bool = field(
        default=False,
        metadata={"help": "a teacher may judge the records that it was trained on"},
    )
    unlabelled: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={
            "help": "store, or manifests, of further records: the teacher alone speaks there"
        },
    )
    unlabelled_subset: str = field(
        default="train", metadata={"help": "manifest of the unlabelled records"}
    )
    unlabelled_per_labelled: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "unlabelled records of an epoch, at most, for each labelled one; default: all"
        },
    )


@toolkit.register_task("distillation", dataclass=DistillationTaskConfig)
class DistillationTask(ECGMIClassificationTask):
    """A student of few leads, and teachers of the same labels.

    What teachers say of whole training records is computed once, with all their leads, and kept on
    disk; after that only the student's leads are read. Validation knows no teacher.
    """

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        if not cfg.teachers:
            raise ValueError(
                "task.teachers is not set: give the checkpoints of twelve-lead classifiers of the "
                "same labels, task.teachers=[FILE,FILE,...], one for each inner fold"
            )
        if cfg.cache_frozen_embeddings:
            raise ValueError(
                "task.cache_frozen_embeddings=true is for a frozen encoder, and a student's is "
                "trained: set it to false"
            )
        super().__init__(cfg, **kwargs)
        if cfg.inner_fold is not None:
            raise ValueError("task.inner_fold is for the teachers: leave it out")
        self.teachers: Teachers = read_teachers(
            list(cfg.teachers), self.labels, self.preprocessing, self.store, cfg.in_sample_teacher
        )
        self._unlabelled = self._open_unlabelled()
        if self._unlabelled is not None and not cfg.in_sample_teacher:
            self.teachers.refuse_knowing(self._unlabelled.store)
        self._with_embeddings = False

    def wants_embeddings(self, teachers: bool) -> tuple[int, int]:
        """Return the number of teachers and the size of their embeddings; with *teachers* the
        batches have those embeddings from now on."""
        self._with_embeddings = teachers
        return len(self.teachers.all), self.teachers.embedding_dim

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        """Load a split; the training records have teachers, and unlabelled ones behind them."""
        super().load_dataset(split, combine, **kwargs)
        if split != self.cfg.train_subset:
            return
        self.training_split.require_leads(self.teachers.leads)
        plain = self.datasets[split]
        labelled = TaughtPart(
            plain.store, plain.rows, plain.leads, self.labels, plain.shuffle_seed, plain.folder
        )
        further = None
        if self._unlabelled is not None:
            part = self._unlabelled
            part.require_leads(tuple(dict.fromkeys([*plain.leads, *self.teachers.leads])))
            folder = Path(self.cfg.unlabelled)
            further = TaughtPart(part.store, part.rows, plain.leads, folder=folder)
        taught = TaughtDataset(labelled, further, self.cfg.unlabelled_per_labelled)
        if self._crops is not None:
            taught.use_crops(self._crops)
        self.datasets[split] = taught

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Ask the teachers before anything is read, and return the host's iterator."""
        if isinstance(dataset, TaughtDataset) and not dataset.is_taught:
            device = next(self._model.parameters()).device
            for part in dataset.parts:
                said = teacher_outputs(
                    part,
                    self.teachers,
                    self.labels,
                    self._with_embeddings,
                    self.cfg.embedding_cache_dir,
                    self.cfg.embedding_cache_dtype,
                    self._batch_size(),
                    device,
                )
                part.use_teachers(said, self.teachers, len(self.labels))
        return super().get_batch_iterator(dataset, *args, **kwargs)

    def _training_facts(self, model: str, files: Sequence[Path]) -> TrainingFacts:
        """Teachers' trainings went into the student, and so did the unlabelled records."""
        facts = super()._training_facts(model, files)
        steps = [step for teacher in self.teachers.all for step in teacher.provenance]
        if self._unlabelled is not None:
            info = self._unlabelled.store.info
            count = len(self._unlabelled.rows)
            parts = self._unlabelled.store.parts_among(self._unlabelled.rows)
            people = people_of(self._unlabelled.store, self._unlabelled.rows)
            name = f"{model}, unlabelled"
            steps.append(TrainedOn(name, info.database, count, info.origins, parts, people))
        return replace(facts, provenance=tuple(dict.fromkeys([*steps, *facts.provenance])))

    def _open_unlabelled(self) -> Split | None:
        """Return the unlabelled records that are neither labelled nor validation's patients'."""
        if self.cfg.unlabelled is None:
            return None
        part = open_split(self.cfg.unlabelled, self.cfg.unlabelled_subset)
        info, ours = part.store.info, self.store.info
        if (info.sample_rate, info.seconds, info.filter, info.units) != (
            ours.sample_rate,
            ours.seconds,
            ours.filter,
            ours.units,
        ):
            raise StoreError(
                f"{part.manifest}: its records have another sample rate, length or filter than the "
                "labelled ones: prepare both stores alike"
            )
        valid = [
            open_split(self.cfg.data, subset).rows for subset in self.cfg.valid_subset.split(",")
        ]
        judged = rows_alike(part.store, self.store, np.concatenate(valid), "patient_id")
        labelled = rows_alike(part.store, self.store, self.training_split.rows, "record_id")
        rows = part.rows[~np.isin(part.rows, judged) & ~np.isin(part.rows, labelled)]
        logger.info("%s: %d records are not among the labelled ones", part.manifest, len(rows))
        return replace(part, rows=rows) if len(rows) else None
