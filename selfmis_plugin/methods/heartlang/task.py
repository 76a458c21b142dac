"""Pre-training of HeartLang: records with where their beats are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

from selfmis_plugin import toolkit
from selfmis_plugin.methods.heartlang.kept_beats import count_without, kept_beats
from selfmis_plugin.training.store_dataset import StoreDataset
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig

#: What models call the beats of a batch.
PEAKS = "peaks"


@dataclass
class HeartLangPretrainingConfig(StoreTaskConfig):
    """Keys of ``task: {_name: heartlang_pretraining}``."""

    leads: Optional[List[str]] = field(  # noqa: UP006, UP045
        default=None, metadata={"help": "leads whose words make a sentence; default: the store's"}
    )


@toolkit.register_task("heartlang_pretraining", dataclass=HeartLangPretrainingConfig)
class HeartLangPretrainingTask(StoreTask):
    """Whole records and their beats, which are found once for a store and kept beside it."""

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the host's iterator, after the beats of all records are there."""
        if isinstance(dataset, StoreDataset) and not dataset.has_input(PEAKS):
            beats = kept_beats(dataset.store, self._model.input, self.cfg.num_workers)
            dataset.add_input(PEAKS, beats)
            count_without(beats, dataset.rows, str(dataset.folder))
        return super().get_batch_iterator(dataset, *args, **kwargs)
