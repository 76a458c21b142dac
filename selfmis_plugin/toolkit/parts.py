"""The host's classes and decorators that the plugin's parts derive from, one name each."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any

from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS
from selfmis_plugin.toolkit.host import HOST

if HOST == FAIRSEQ_SIGNALS:
    from fairseq_signals.criterions import BaseCriterion, register_criterion
    from fairseq_signals.data import BaseDataset
    from fairseq_signals.dataclass import Dataclass
    from fairseq_signals.logging import metrics
    from fairseq_signals.models import BaseModel, register_model
    from fairseq_signals.optim.lr_scheduler import FairseqLRScheduler as BaseLRScheduler
    from fairseq_signals.optim.lr_scheduler import register_lr_scheduler
    from fairseq_signals.tasks import Task as BaseTask
    from fairseq_signals.tasks import register_task
else:
    from fairseq.criterions import FairseqCriterion as BaseCriterion
    from fairseq.criterions import register_criterion
    from fairseq.data import FairseqDataset as BaseDataset
    from fairseq.dataclass import FairseqDataclass as Dataclass
    from fairseq.logging import metrics
    from fairseq.models import BaseFairseqModel as BaseModel
    from fairseq.models import register_model
    from fairseq.optim.lr_scheduler import FairseqLRScheduler as BaseLRScheduler
    from fairseq.optim.lr_scheduler import register_lr_scheduler
    from fairseq.tasks import FairseqTask as BaseTask
    from fairseq.tasks import register_task

__all__ = [
    "BaseCriterion",
    "BaseDataset",
    "BaseLRScheduler",
    "BaseModel",
    "BaseTask",
    "Dataclass",
    "metrics",
    "register_criterion",
    "register_lr_scheduler",
    "register_model",
    "register_task",
]


def _with_plain_types(register: Callable[..., Any]) -> Callable[..., Any]:
    """Let *register* see a config's types, which ``from __future__ import annotations`` hides.

    Newer omegaconf looks them up itself; 2.0 reads the fields of the dataclass as they stand.
    """

    @functools.wraps(register)
    def registering(name: str, dataclass: Any = None) -> Any:
        types = typing.get_type_hints(dataclass) if dataclass is not None else {}
        for field in dataclasses.fields(dataclass) if types else ():
            field.type = types[field.name]
        return register(name, dataclass=dataclass)

    return registering


register_criterion = _with_plain_types(register_criterion)
register_lr_scheduler = _with_plain_types(register_lr_scheduler)
register_model = _with_plain_types(register_model)
register_task = _with_plain_types(register_task)
