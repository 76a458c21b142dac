"""What it reads: one lead of records without labels."""

from dataclasses import dataclass, field
from typing import List  # noqa: UP035  (older omegaconf reads only typing.List)

from selfmis_plugin import toolkit
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig


@dataclass
class OwnTaskConfig(StoreTaskConfig):
    leads: List[str] = field(default_factory=lambda: ["I"])  # noqa: UP006


@toolkit.register_task("own_pretraining", dataclass=OwnTaskConfig)
class OwnTask(StoreTask): ...
