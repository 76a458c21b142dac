"""What every task over a store of prepared records does alike."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from omegaconf import II, MISSING

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints.facts import LabelCounts, TrainingFacts, facts_state, read_facts
from selfmis_plugin.checkpoints.reading import files_read
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.store import Store, StoreError
from selfmis_plugin.data.trained_people import trained_on
from selfmis_plugin.training import beginning, inputs
from selfmis_plugin.training import plan as training_plan
from selfmis_plugin.training.contract import EmbedsForLoss, FollowsEpochs, frozen_encoder_of
from selfmis_plugin.training.embedding_cache import CACHE_DTYPES
from selfmis_plugin.training.frozen_embeddings import TURN_OFF, embed_batches, frozen_embeddings
from selfmis_plugin.training.history import earlier_trainings
from selfmis_plugin.training.store_dataset import StoreDataset

logger = logging.getLogger(__name__)


#: Records over which statistics of embeddings are taken: the mean of 4,096 has settled to about
#: 1.5 % of their spread.
RECORDS_FOR_STATISTICS = 4096


@dataclass
class StoreTaskConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys that every task over a store has."""

    data: str = field(
        default=MISSING,
        metadata={"help": "folder with train.tsv, valid.tsv, ...: a store, or manifests of one"},
    )
    sample_rate: Optional[float] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={"help": "Hz that the encoders see; default: the store's. Lower ones decimate"},
    )
    cache_frozen_embeddings: bool = field(
        default=False,
        metadata={"help": "embed each record once with the frozen encoder, and keep that on disk"},
    )
    embedding_cache_dtype: str = field(
        default="float32", metadata={"help": "type of kept embeddings: float32 or float16"}
    )
    embedding_cache_dir: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "folder of kept embeddings; default: 'embeddings' in the data's folder"},
    )
    seed: int = II("common.seed")
    train_subset: str = II("dataset.train_subset")
    batch_size: Optional[int] = II("dataset.batch_size")  # noqa: UP045
    num_workers: int = II("dataset.num_workers")
    best_metric: str = II("checkpoint.best_checkpoint_metric")
    maximize_best: bool = II("checkpoint.maximize_best_checkpoint_metric")


def _preprocessing(store: Store, cfg: Any) -> Preprocessing:
    info = store.info
    return Preprocessing(
        sample_rate=float(cfg.sample_rate or info.sample_rate),
        seconds=info.seconds,
        leads=tuple(getattr(cfg, "leads", None) or info.leads),
        filter=info.filter,
        units=info.units,
    )


class StoreTask(toolkit.BaseTask):  # type: ignore[misc, name-defined]
    """A task over a store: datasets, the plan for the schedule, and metrics of whole splits.

    Attributes
    ----------
    preprocessing
        How the data are prepared when an encoder sees them. It is saved in every checkpoint, and
        data prepared otherwise are refused.
    training_split
        The records to train on.
    store
        Their store.
    """

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        super().__init__(cfg, **kwargs)
        if cfg.embedding_cache_dtype not in CACHE_DTYPES:
            raise ValueError(
                f"task.embedding_cache_dtype={cfg.embedding_cache_dtype}: choose "
                f"{' or '.join(CACHE_DTYPES)}"
            )
        self.training_split = self.open_part(cfg.train_subset)
        self.store = self.training_split.store
        self.preprocessing = _preprocessing(self.store, cfg)
        # fairseq-signals asks for the state at every update, so it is looked up once.
        self._description = self.describe(cfg)
        self._criterion: Any = None
        self._model: Any = None
        #: Size of the model's embeddings, once it is built and if it says it.
        self.embedding_dim: int | None = None
        self._subsets_validated = 0
        self._figures: dict[str, float] = {}
        self._facts: dict[str, Any] = {}

    @classmethod
    def describe(cls, cfg: Any) -> dict[str, Any]:
        """Return what a run of this config must share with the one that it goes on from.

        It is saved in every checkpoint, as plain values.
        """
        store = open_split(cfg.data, cfg.train_subset).store
        return {"preprocessing": _preprocessing(store, cfg).to_dict()}

    # -- what differs between tasks ----------------------------------------------------------

    def open_part(self, split: str) -> Split:
        """Return a split's records, as far as this training reads them."""
        return open_split(self.cfg.data, split)

    def read_leads(self) -> Sequence[str]:
        """Return the names of the leads that a batch holds."""
        return self.preprocessing.leads

    def required_leads(self) -> Sequence[str]:
        """Return the leads that no record may lack: an absent one is zero in the store."""
        return self.read_leads()

    def read_labels(self) -> Sequence[str]:
        """Return the names of the statements that a batch holds as targets."""
        return ()

    def label_counts(self) -> LabelCounts | None:
        """Return how many training records have each label that is learnt; None without labels."""
        return None

    def extra_state(self) -> dict[str, Any]:
        """Return what else belongs into a checkpoint, known only in the run itself."""
        return {}

    # -- what the host calls -----------------------------------------------------------------

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        """Load a split; the training split is drawn in a new order each epoch."""
        part = self.open_part(split)
        difference = self.preprocessing.difference(_preprocessing(part.store, self.cfg))
        if difference:
            raise StoreError(
                f"{part.manifest} refers to data prepared in another way than the training data: "
                + "; ".join(difference)
            )
        part.require_leads(self.required_leads())
        seed = self.cfg.seed if split == self.cfg.train_subset else None
        self.datasets[split] = StoreDataset(
            part.store,
            part.rows,
            self.read_leads(),
            self.read_labels(),
            shuffle_seed=seed,
            folder=Path(self.cfg.data),
        )
        logger.info("%s: %d records of %s", part.manifest, len(part.rows), part.store.path)

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the host's iterator, and tell the schedule how many batches an epoch has.

        Both hosts ask for the training data's first iterator when the checkpoint has been loaded
        and before anything is read, so this is also where frozen embeddings are computed: before
        a loader's workers exist, which would not learn of them later.
        """
        is_training = dataset is self.datasets.get(self.cfg.train_subset)
        if is_training and self.cfg.cache_frozen_embeddings:
            self._use_frozen_embeddings()
        dataset.check_leads()
        iterator = super().get_batch_iterator(dataset, *args, **kwargs)
        if is_training:
            training_plan.set_batches_per_epoch(len(iterator))
        return iterator

    def _use_frozen_embeddings(self) -> None:
        for dataset in self.datasets.values():
            if dataset.embeddings is None:
                cache = frozen_embeddings(
                    dataset,
                    self._model,
                    self.preprocessing,
                    self.cfg.embedding_cache_dir,
                    self.cfg.embedding_cache_dtype,
                    self._batch_size(),
                    self.cfg.num_workers,
                )
                name, leads = self._model.input_with_embeddings()
                dataset.use_embeddings(cache, name, leads)

    def _batch_size(self) -> int:
        return int(self.cfg.batch_size or 128)

    def embed_training_records(
        self, model: Any, embed: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Return embeddings of training records, (records, embedding), float32.

        At most :data:`RECORDS_FOR_STATISTICS`, and the same ones on every process and after every
        resume, whatever the epoch's order.
        """
        dataset = self.datasets[self.cfg.train_subset]
        device = next(model.parameters()).device
        # Evenly spaced: databases are in the order of time, device or patient.
        count = min(len(dataset), RECORDS_FOR_STATISTICS)
        chosen = np.linspace(0, len(dataset) - 1, count).round().astype(np.int64)
        logger.info("statistics of the embeddings of %d training records", count)
        if dataset.embeddings is not None:
            return torch.from_numpy(dataset.embeddings.read(chosen)).to(device)
        model.eval()
        return torch.cat(list(embed_batches(dataset, chosen, embed, device, self._batch_size())))

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; the criterion may need the size of its embeddings.

        Raises
        ------
        ValueError
            If embeddings are to be kept of an encoder that is trained.
        """
        with files_read() as files:
            model = super().build_model(cfg, from_checkpoint)
        self._facts = facts_state(self._training_facts(str(cfg._name), tuple(files)))
        if self.cfg.cache_frozen_embeddings and frozen_encoder_of(model) is None:
            raise ValueError(
                "task.cache_frozen_embeddings=true, but the model's encoder is trained, so its "
                f"embeddings change: freeze it with model.freeze_encoder=true, {TURN_OFF}"
            )
        self._model = model
        self.embedding_dim = model.embedding_dim if isinstance(model, EmbedsForLoss) else None
        return model

    def _training_facts(self, model: str, files: Sequence[Path]) -> TrainingFacts:
        before = [step for file in files for step in read_facts(file).provenance]
        now = trained_on(model, self.store, self.training_split.rows)
        # A run that goes on has its own training before it already.
        trainings = dict.fromkeys([*before, *earlier_trainings(), now])
        return TrainingFacts(tuple(trainings), self.label_counts())

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the criterion, a :class:`~selfmis_plugin.training.contract.SplitFigures`."""
        self._criterion = super().build_criterion(cfg, from_checkpoint)
        return self._criterion

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
        """Train on a batch; mark it ``ignored`` where the host repeats it and drops its gradient.

        The hosts do that on processes that are out of data while others are not. What learns
        without a gradient, or from other processes' records, has to know.
        """
        if ignore_grad:
            sample = {**sample, "ignored": True}
        return super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad, **kwargs
        )

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """See whether the data are all there still; tell the epoch to a criterion that asks."""
        for dataset in self.datasets.values():
            dataset.check_length()
        super().begin_epoch(epoch, model)
        if isinstance(self._criterion, FollowsEpochs):
            self._criterion.begin_epoch(epoch)

    def begin_valid_epoch(self, epoch: int, model: Any) -> None:
        """Forget what an interrupted validation left."""
        super().begin_valid_epoch(epoch, model)
        self._criterion.reset_validation()
        self._subsets_validated = 0

    def post_validate(
        self, model: Any, log_output: dict[str, Any], agg: Any, *_: Any, **__: Any
    ) -> None:
        """Put metrics of the whole split into *log_output*, in place of the batches' means.

        Every process has gathered the outputs of all, so each computes the same figures and the
        hosts' early stopping needs no further word between them.
        """
        figures = self._criterion.validation_metrics()
        self._criterion.reset_validation()
        log_output.update(figures)
        self._subsets_validated += 1
        if self._subsets_validated > 1:
            return  # the hosts choose checkpoints by the first subset alone
        self._figures = {name: float(value) for name, value in figures.items()}
        best_metric = self.cfg.best_metric
        if math.isnan(figures.get(best_metric, 0.0)):
            raise ValueError(
                f"{best_metric} is undefined on the validation split, so no checkpoint can be "
                "chosen by it: set checkpoint.best_checkpoint_metric to another figure"
            )
        # Where the hosts look for a run's result; a new root keeps it out of the epoch's means.
        with toolkit.metrics.aggregate("valid", new_root=True):
            for key, value in figures.items():
                toolkit.metrics.log_scalar(key, value, weight=0)
        if f"best_{best_metric}" in log_output and best_metric in figures:
            scores = [figures[best_metric]]
            if toolkit.best_score() is not None:
                scores.append(toolkit.best_score())
            chosen = max(scores) if self.cfg.maximize_best else min(scores)
            log_output[f"best_{best_metric}"] = chosen

    def reduce_metrics(self, logging_outputs: list[dict[str, Any]], criterion: Any) -> None:
        """Log what the criterion logs; the hosts would look for words and sentences too."""
        criterion.__class__.reduce_metrics(logging_outputs)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must say beyond the weights and the config."""
        return {
            **self._description,
            "early_stopping": toolkit.early_stopping_state(),
            # What this training measured at its last validation, for who reads the checkpoint.
            "validation": dict(self._figures),
            **self._facts,
            # Where the plan is counted from, for who goes on.
            "beginning": beginning.current().to_dict(),
            "inputs": inputs.current(),
            **self.extra_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the last validation's figures; what else a resumed run needs is read before the
        task exists."""
        self._figures = dict(state_dict.get("validation") or {})

    def max_positions(self) -> None:
        """Records all have the length of the store."""
        return None
