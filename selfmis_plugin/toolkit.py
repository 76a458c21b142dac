"""The toolkit that is running: fairseq-signals, or fairseq, its ancestor.

Both have the same parts under different names. This module decides which of them is the host and
gives those parts one name each. Beside it, :mod:`selfmis_plugin.hosts` (what is installed),
:mod:`selfmis_plugin.host_contract` (what must be there) and :mod:`selfmis_plugin.compat` (what is
mended) know the difference; nothing else in the plugin does.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from selfmis_plugin import compat, hosts
from selfmis_plugin.hosts import FAIRSEQ_SIGNALS

HOST = hosts.running()
#: What :mod:`selfmis_plugin.compat` did to the host at the start, one entry a patch.
ADAPTATIONS: list[str] = compat.apply(HOST)

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
    "HostRecipe",
    "best_score",
    "early_stopping_state",
    "hand_over",
    "host_main",
    "host_recipes",
    "host_version",
    "mend_for_run",
    "metrics",
    "registered_models",
    "register_criterion",
    "register_lr_scheduler",
    "register_model",
    "register_task",
    "replace_worker_entry",
    "restore_early_stopping",
    "setup_task",
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


def whole_config(values: Any) -> Any:
    """Return *values* (what a YAML file gives) with the host's defaults for what they leave out."""
    configs = importlib.import_module(f"{HOST}.dataclass.configs")
    root = configs.Config if HOST == FAIRSEQ_SIGNALS else configs.FairseqConfig
    return OmegaConf.merge(OmegaConf.structured(root), values)


def setup_task(cfg: Any) -> Any:
    """Return the task that ``cfg.task`` of a whole config describes."""
    return importlib.import_module(f"{HOST}.tasks").setup_task(cfg.task)


@dataclass(frozen=True)
class HostRecipe:
    """A pre-training that the host itself brings.

    Attributes
    ----------
    name
        The method, as the SelfMIS paper's table 4 calls it.
    config
        Its YAML file.
    halves
        Whether its data are the two halves of each record.
    """

    name: str
    config: Path
    halves: bool

    def record(self, signal: torch.Tensor) -> dict[str, Any]:
        """Return what its model takes for whole records, (batch, leads, samples)."""
        return {"source": signal, "padding_mask": None}

    def of_different_patients(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch that repeats one record's pair as one of as many patients.

        It says its own size too: a criterion that derives its targets has none to count.
        """
        rows = len(batch["net_input"]["source"])
        if "patient_id" in batch:
            batch["patient_id"] = torch.arange(rows // 2).repeat_interleave(2)
        return {**batch, "sample_size": rows}


def host_recipes() -> list[HostRecipe]:
    """Return the host's own pre-trainings that the paper measured; none where it has no files."""
    if HOST != FAIRSEQ_SIGNALS:
        return []
    examples = Path(sys.modules[HOST].__path__[0]).parent / "examples"
    transformer = "config/pretraining/ecg_transformer"
    found = [
        HostRecipe("SimCLR", examples / "simclr" / transformer / "simclr_augs.yaml", False),
        HostRecipe("Wav2Vec 2", examples / "wav2vec2/config/pretraining/w2v.yaml", False),
        HostRecipe("3KG", examples / "3kg" / transformer / "3kg.yaml", False),
        HostRecipe("W2V-CMSC", examples / "w2v_cmsc/config/pretraining/w2v_cmsc.yaml", True),
    ]
    return [recipe for recipe in found if recipe.config.is_file()]


def best_score() -> float | None:
    """Return the best validation score that the host knows of, None before the first."""
    saver = importlib.import_module(
        "fairseq_signals.utils.checkpoint_utils"
        if HOST == FAIRSEQ_SIGNALS
        else "fairseq.checkpoint_utils"
    ).save_checkpoint
    return getattr(saver, "best", None)
