"""Models with their task and criterion, as a config trains them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf, open_dict
from torch import Tensor, nn

from selfmis_plugin import toolkit
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.host.batches import of_different_patients, whole_record
from selfmis_plugin.methods.method import Export
from selfmis_plugin.profiling.trainings.data import made_up_record, write_mat_records, write_store
from selfmis_plugin.training.configs import config_folders, configs_folder
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.training.store_task import StoreTask


@dataclass(frozen=True)
class Trained:
    """What one step of a training needs.

    Attributes
    ----------
    model, criterion
        As the host builds them, with fresh weights.
    batch
        Returns a batch of so many records.
    record
        What the model takes for one whole record.
    leads
        Leads of a batch's signals, where the task is one over a store.
    described
        What a checkpoint of it holds beside the weights: ``cfg`` and ``task_state``.
    """

    model: nn.Module
    criterion: nn.Module
    batch: Callable[[int], dict[str, Any]]
    record: dict[str, Any]
    leads: tuple[str, ...] = ()
    described: Mapping[str, Any] = field(default_factory=dict)

    def checkpoint(self) -> dict[str, Any]:
        """Return what a checkpoint of it holds, as far as readers ask."""
        return {**self.described, "model": self.model.state_dict()}

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Return the criterion's loss of a batch, as the host trains on it."""
        self.model.train()
        self.criterion.train()
        loss: Tensor = self.criterion(self.model, batch)[0]
        return loss


@dataclass(frozen=True)
class Recipe:
    """A config to measure.

    Attributes
    ----------
    name
        The config.
    build
        Sets everything up.
    is_hosts
        Whether it is the host's own.
    """

    name: str
    build: Callable[[], Trained]
    is_hosts: bool = False


def recipes(folder: Path) -> Iterator[Recipe]:
    """Yield every config of this plugin's models and of packages that add some, then those of the
    host's own that it has.

    Parameters
    ----------
    folder
        Where made-up data are written.
    """
    register_all()
    store = write_store(folder / "store")
    for file in _config_files():
        values: Any = OmegaConf.load(file)
        if values.model._name in toolkit.registered_models():
            yield Recipe(file.stem, functools.partial(_build, values, store))
    exports = {
        stage.config: stage.export
        for method in known_methods().values()
        for stage in method.stages()
        if stage.export is not None
    }
    for file in sorted(configs_folder().glob("*/*.yaml")):
        values = OmegaConf.load(file)
        name = file.relative_to(configs_folder()).with_suffix("").as_posix()
        if not toolkit.missing_parts(values):
            export = exports[name.removesuffix("_small")]
            build = functools.partial(_build_host, values, export, folder)
            yield Recipe(name, build, is_hosts=True)


def recipe_of_run(cfg: dict[str, Any], export: Export | None, folder: Path) -> Recipe:
    """Return what a run has trained, to be measured on made-up data.

    Parameters
    ----------
    cfg
        The config that the run's checkpoint holds.
    export
        The files that it read, if they were not a store.
    folder
        Where made-up data are written.
    """
    register_all()
    parts = ("common", "dataset", "task", "model", "criterion", "checkpoint", "optimization")
    values = OmegaConf.create({part: cfg[part] for part in parts})
    name = str(values.model._name)
    if values.criterion.get("center"):
        # The mean of real embeddings, of which there are none here; a subtraction costs nothing.
        values.criterion.center = False
    if values.criterion.get("latent_weight"):
        # Of an encoder in a file of the run's: what it takes is not counted.
        values.criterion.latent_weight = None
    if export is not None:
        return Recipe(name, functools.partial(_build_host, values, export, folder), is_hosts=True)
    store = folder / "store"
    if not store.exists():
        write_store(store)
    return Recipe(name, functools.partial(_build, values, store))


def _config_files() -> list[Path]:
    """Return the configs that train models of this package and of those that add to it."""
    return [file for folder in config_folders() for file in sorted(folder.glob("*.yaml"))]


def models_without_config() -> list[str]:
    """Return the names of registered models that no config of this plugin trains."""
    register_all()
    named = {OmegaConf.load(file).model._name for file in _config_files()}
    return sorted(set(toolkit.registered_models()) - named)


def _build(values: Any, data: Path) -> Trained:
    for key in values.model:
        if str(key).endswith("_checkpoint"):
            values.model[key] = None
    trained = _set_up(values, data)
    return replace(trained, record=trained.batch(1)["net_input"])


def _build_host(values: Any, export: Export, folder: Path) -> Trained:
    rate = int(values.task.sample_rate)
    data = folder / f"{export.kind}-{rate}"
    if not data.exists():
        write_mat_records(data, export.kind == "cmsc", rate)
    trained = _set_up(values, data)
    signal = torch.from_numpy(made_up_record(rate)).float().unsqueeze(0) / 1000

    def batch(records: int) -> dict[str, Any]:
        return of_different_patients(trained.batch(records))

    return replace(trained, batch=batch, record=whole_record(signal))


def _set_up(values: Any, data: Path) -> Trained:
    values.pop("hydra", None)
    cfg = toolkit.whole_config(values)
    with open_dict(cfg):
        cfg.task.data = str(data)
    toolkit.mend_for_run(cfg)
    task = toolkit.setup_task(cfg)
    task.load_dataset("train")
    dataset = task.datasets["train"]

    def batch(records: int) -> dict[str, Any]:
        # Both hosts' datasets have it: fairseq-signals under this name too.
        found: dict[str, Any] = dataset.collator([dataset[0] for _ in range(records)])
        return found

    torch.manual_seed(0)
    model = task.build_model(cfg.model)
    leads = tuple(task.read_leads()) if isinstance(task, StoreTask) else ()
    criterion = task.build_criterion(cfg.criterion)
    described = {
        "cfg": OmegaConf.to_container(cfg),
        "task_state": task.state_dict() if isinstance(task, StoreTask) else {},
    }
    return Trained(model, criterion, batch, {}, leads, described)
