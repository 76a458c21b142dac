"""The toolkit that is running: fairseq-signals, or fairseq, its ancestor.

Both have the same parts under different names. This module decides which of them is the host and
gives those parts one name each. Beside it, :mod:`selfmis_plugin.hosts` (what is installed),
:mod:`selfmis_plugin.host_contract` (what must be there) and :mod:`selfmis_plugin.compat` (what is
mended) know the difference; nothing else in the plugin does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import logging
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from omegaconf import OmegaConf

from selfmis_plugin import compat, hosts
from selfmis_plugin.hosts import FAIRSEQ_SIGNALS
from selfmis_plugin.messages import without_messages


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Leave the root logger as it is: importing fairseq's models sets it to show every message."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        with without_messages():
            yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


HOST = hosts.running()
#: What :mod:`selfmis_plugin.compat` did to the host at the start, one entry a patch.
ADAPTATIONS: list[str] = compat.apply(HOST)
with _logging_kept():
    importlib.import_module(f"{HOST}.tasks")

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
    "ADAPTATIONS",
    "HOST",
    "BaseCriterion",
    "BaseDataset",
    "BaseLRScheduler",
    "BaseModel",
    "BaseTask",
    "Dataclass",
    "best_score",
    "early_stopping_state",
    "hand_over",
    "host_main",
    "host_version",
    "mend_for_run",
    "metrics",
    "missing_parts",
    "registered_models",
    "register_criterion",
    "register_lr_scheduler",
    "register_model",
    "register_task",
    "replace_worker_entry",
    "restore_early_stopping",
    "setup_task",
    "store_defaults_in_folder",
    "task_class",
    "whole_config",
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


def host_version() -> str:
    """Return the name and version of the distribution that brought the host."""
    return hosts.version(HOST)


def mend_for_run(cfg: Any) -> list[str]:
    """Mend what the host's own code would fail by in a run with the whole config *cfg*.

    Returns
    -------
    list of str
        All that was done to the host in this process, one entry a patch.
    """
    compat.mend_for_run(HOST, cfg)
    return compat.APPLIED


def hand_over(signal: torch.Tensor) -> torch.Tensor:
    """Give the int16 microvolts of a batch a type that the host's trainer leaves alone.

    Under ``common.fp16`` fairseq-signals casts int16 tensors to half precision, which turns 2,049
    microvolts into 2,048; it does not touch int32.
    """
    return signal.int() if HOST == FAIRSEQ_SIGNALS else signal


def host_main() -> Any:
    """Return the host's own training function, ``fairseq_cli.train.main``."""
    return importlib.import_module("fairseq_cli.train").main


def replace_worker_entry(entry: Any) -> None:
    """Make the host's command line train through *entry* in place of its own ``main``.

    Both hosts hand the module global ``pre_main`` of ``fairseq_cli.hydra_train`` to the workers
    that they spawn (one a GPU), pickled by reference. A worker does not pass through Hydra; it
    learns of the plugin by importing this function. The command line may also run as ``__main__``.
    """
    host_entry = host_main()
    for name in ("fairseq_cli.hydra_train", "__main__"):
        module = sys.modules.get(name)
        if module is not None and getattr(module, "pre_main", None) is host_entry:
            module.pre_main = entry  # type: ignore[attr-defined]


def _stopper() -> Any:
    return importlib.import_module("fairseq_cli.train").should_stop_early


def early_stopping_state() -> dict[str, Any]:
    """Return the host's count of validations without an improvement, which it does not save."""
    stopper = _stopper()
    return {"best": getattr(stopper, "best", None), "num_runs": getattr(stopper, "num_runs", 0)}


def restore_early_stopping(state: dict[str, Any]) -> None:
    """Give the host back what :func:`early_stopping_state` returned; an empty one resets it."""
    stopper = _stopper()
    if state.get("best") is None:
        stopper.__dict__.pop("best", None)
        stopper.__dict__.pop("num_runs", None)
    else:
        stopper.best = float(state["best"])
        stopper.num_runs = int(state["num_runs"])


def task_class(cfg: Any) -> type:
    """Return the registered task that *cfg* names; ``object`` if there is none."""
    registry = importlib.import_module(BaseTask.__module__.rsplit(".", 1)[0]).TASK_REGISTRY
    found: type = registry.get(getattr(cfg, "_name", None), object)
    return found


def registered_models() -> dict[str, type]:
    """Return the models that this plugin has registered, by name."""
    registry = importlib.import_module(BaseModel.__module__.rsplit(".", 1)[0]).MODEL_REGISTRY
    package = __name__.split(".")[0]
    return {
        name: model for name, model in registry.items() if model.__module__.split(".")[0] == package
    }


def _root_config() -> Any:
    configs = importlib.import_module(f"{HOST}.dataclass.configs")
    return configs.Config if HOST == FAIRSEQ_SIGNALS else configs.FairseqConfig


def store_defaults_in_folder(config_name: str) -> None:
    """Let Hydra merge ``FOLDER/NAME`` with the host's defaults, as it does a plain name.

    Both hosts store their defaults under the config's name for that, but not below its folder,
    where Hydra looks for them.
    """
    folder, _, name = config_name.rpartition("/")
    if folder:
        # Hydra 1.0 cannot be imported on Python 3.11 before it is patched, so not above.
        store = importlib.import_module("hydra.core.config_store").ConfigStore.instance()
        store.store(group=folder, name=name, node=_root_config(), package="_global_")


def missing_parts(values: Mapping[str, Any]) -> list[str]:
    """Return what a config's values name and the host does not have, such as ``criterion 3kg``."""
    folders = {"task": "tasks", "model": "models", "criterion": "criterions"}
    missing = []
    for part, folder in folders.items():
        registry = getattr(importlib.import_module(f"{HOST}.{folder}"), f"{part.upper()}_REGISTRY")
        if values[part]["_name"] not in registry:
            missing.append(f"{part} {values[part]['_name']}")
    return missing


def whole_config(values: Any) -> Any:
    """Return *values* (what a YAML file gives) with the host's defaults for what they leave out."""
    return OmegaConf.merge(OmegaConf.structured(_root_config()), values)


def setup_task(cfg: Any) -> Any:
    """Return the task that ``cfg.task`` of a whole config describes."""
    return importlib.import_module(f"{HOST}.tasks").setup_task(cfg.task)


def best_score() -> float | None:
    """Return the best validation score that the host knows of, None before the first."""
    saver = importlib.import_module(
        "fairseq_signals.utils.checkpoint_utils"
        if HOST == FAIRSEQ_SIGNALS
        else "fairseq.checkpoint_utils"
    ).save_checkpoint
    return getattr(saver, "best", None)
