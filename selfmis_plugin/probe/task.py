"""Multi-label diagnosis, compared on the nine infarction types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

from omegaconf import II

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints.facts import LabelCounts
from selfmis_plugin.data.crops import crops_of
from selfmis_plugin.data.inner_folds import inner_folds_of
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.store import Store, StoreError
from selfmis_plugin.probe.contract import ClassifierModel
from selfmis_plugin.probe.encoder_rate import encoder_learning_rate
from selfmis_plugin.probe.fresh_head import begin_at_prevalence
from selfmis_plugin.probe.shape_state import state_of_shape
from selfmis_plugin.training.label_counts import count_labels
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig


@dataclass
class ECGMIClassificationConfig(StoreTaskConfig):
    """Keys of ``task: {_name: ecg_mi_classification}``."""

    label_set: str = field(
        default="diagnostic",
        metadata={"help": "which of the store's label sets to learn: diagnostic, infarction, all"},
    )
    leads: List[str] = field(  # noqa: UP006
        default_factory=lambda: ["I"],
        metadata={"help": "leads that the classifier sees; all twelve make the upper bound"},
    )
    labels: Optional[List[str]] = field(  # noqa: UP006, UP045
        default=None, metadata={"help": "statements to learn, in place of label_set"}
    )
    crop_seconds: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "train on random pieces of so many seconds; evaluation reads whole records"
        },
    )
    inner_folds: int = field(
        default=1, metadata={"help": "inner folds that the training patients are dealt into"}
    )
    inner_fold: Optional[int] = field(  # noqa: UP045
        default=None,
        metadata={"help": "inner fold to leave out of the training, from 1; default: none"},
    )
    valid_subset: str = II("dataset.valid_subset")
    disable_validation: bool = II("dataset.disable_validation")


@toolkit.register_task("ecg_mi_classification", dataclass=ECGMIClassificationConfig)
class ECGMIClassificationTask(StoreTask):
    """Diagnostic statements from chosen leads (SelfMIS paper, section 3.2).

    Attributes
    ----------
    labels
        Statements in the order of the classifier's outputs. They are saved in every checkpoint.
    """

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        _check_inner_fold(cfg)
        super().__init__(cfg, **kwargs)
        self.labels = _labels(self.store, cfg)
        self._crops = crops_of(self.store.info, cfg.crop_seconds, cfg.seed)
        if self._crops is not None and cfg.cache_frozen_embeddings:
            raise ValueError(
                "task.crop_seconds is for an encoder that is trained: kept embeddings are of whole "
                "records. Leave it out, or set task.cache_frozen_embeddings=false"
            )
        self._counts = count_labels(self.training_split, self.labels)

    @classmethod
    def describe(cls, cfg: Any) -> dict[str, Any]:
        """Return also what the classifier's outputs are, in their order."""
        store = open_split(cfg.data, cfg.train_subset).store
        return {**super().describe(cfg), "labels": list(_labels(store, cfg))}

    def open_part(self, split: str) -> Split:
        """Leave the patients of the inner fold out of the training."""
        part = super().open_part(split)
        if split != self.cfg.train_subset or self.cfg.inner_fold is None:
            return part
        patients = part.store.own_names("patient_id")[part.rows]
        rows = part.rows[inner_folds_of(patients, self.cfg.inner_folds) != self.cfg.inner_fold]
        if not len(rows):
            raise StoreError(
                f"{part.manifest}: without inner fold {self.cfg.inner_fold} of "
                f"{self.cfg.inner_folds} no record is left: choose other task.inner_folds"
            )
        return replace(part, rows=rows)

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        """Load a split; training may read pieces of its records.

        Raises
        ------
        ValueError
            If it is the one that chooses checkpoints, and no statement has both kinds of records
            there that the figure is of: better said before the first epoch than after it.
        """
        super().load_dataset(split, combine, **kwargs)
        chooses = split == self.cfg.valid_subset.split(",")[0]
        if chooses and not self.cfg.disable_validation:
            _refuse_undefined(self.open_part(split), self.labels, self.cfg.best_metric)
        if self._crops is not None and split == self.cfg.train_subset:
            self.datasets[split].use_crops(self._crops)

    def label_counts(self) -> LabelCounts:
        """Return how many training records have each statement."""
        return self._counts

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the criterion, whose weights of positives a new head's biases depend on."""
        criterion = super().build_criterion(cfg, from_checkpoint)
        if self._classifier.head_is_fresh:
            weight = getattr(criterion, "positive_weight", None)
            begin_at_prevalence(self._classifier.network.head, self.labels, self._counts, weight)
        return criterion

    def extra_state(self) -> dict[str, Any]:
        """Return what describes an encoder whose size is not the config's."""
        return state_of_shape(self._classifier.network.encoder.config)

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Give a classifier that standardises embeddings their statistics, once."""
        super().begin_epoch(epoch, model)
        if model.network.needs_embedding_statistics():
            embeddings = self.embed_training_records(model, model.network.embed)
            model.network.set_embedding_statistics(embeddings)

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Train on a batch, the encoder too unless the head is warming up."""
        self._classifier.begin_update(update_num)
        return super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad, **kwargs
        )

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        """Update the weights, the encoder's with its own learning rate."""
        scale = self._classifier.encoder_scale(update_num)
        if scale == 1:
            super().optimizer_step(optimizer, model, update_num)
            return
        with encoder_learning_rate(optimizer, self._classifier.encoder_parameters(), scale):
            super().optimizer_step(optimizer, model, update_num)

    @property
    def _classifier(self) -> ClassifierModel:
        # The model itself: the host may have wrapped the one that it hands over.
        model: ClassifierModel = self._model
        return model

    def read_labels(self) -> Sequence[str]:
        """Hand out the statements to learn."""
        return self.labels


def _refuse_undefined(part: Split, labels: Sequence[str], metric: str) -> None:
    """Refuse records of which *metric* is undefined; raises ValueError."""
    of = {"macro_auc": labels, "mi_auc": [name for name in labels if name in INFARCTION_TYPES]}
    of |= {f"auc_{name}": [name] for name in labels}
    if metric not in of:
        return
    targets = part.store.targets(part.rows, of[metric]).astype(bool)
    if not (targets.any(axis=0) & ~targets.all(axis=0)).any():
        raise ValueError(
            f"{metric} is undefined on {part.manifest}, so no checkpoint can be chosen by it: no "
            "statement has records with it and without it there. Set "
            "checkpoint.best_checkpoint_metric to another figure"
        )


def _check_inner_fold(cfg: Any) -> None:
    fold, folds = cfg.inner_fold, cfg.inner_folds
    if fold is None:
        return
    if folds < 2 or not 1 <= fold <= folds:
        raise ValueError(
            f"task.inner_fold={fold} of task.inner_folds={folds}: choose two folds at least, and "
            "one of them from 1"
        )


def _labels(store: Store, cfg: Any) -> tuple[str, ...]:
    sets = store.info.label_sets
    if not cfg.labels and cfg.label_set not in sets:
        raise StoreError(
            f"{store.path} has no label set {cfg.label_set!r} (it has: "
            f"{', '.join(sets) or 'none, the database is unlabelled'}). Choose one with "
            "task.label_set, or name the statements with task.labels"
        )
    return tuple(cfg.labels or sets[cfg.label_set])
