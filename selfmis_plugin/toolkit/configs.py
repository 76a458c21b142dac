"""The host's configs and registries: its defaults, and what their names stand for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS
from selfmis_plugin.toolkit.host import HOST
from selfmis_plugin.toolkit.parts import BaseModel, BaseTask
from selfmis_plugin.utils import plugins

__all__ = [
    "brings_ecg_methods",
    "build_host_model",
    "missing_parts",
    "model_class",
    "registered_models",
    "setup_task",
    "store_defaults_in_folder",
    "task_class",
    "whole_config",
]


def task_class(cfg: Any) -> type:
    """Return the registered task that *cfg* names; ``object`` if there is none."""
    registry = importlib.import_module(BaseTask.__module__.rsplit(".", 1)[0]).TASK_REGISTRY
    found: type = registry.get(getattr(cfg, "_name", None), object)
    return found


def model_class(cfg: Any) -> type:
    """Return the registered model that *cfg* names; ``object`` if there is none."""
    registry = importlib.import_module(BaseModel.__module__.rsplit(".", 1)[0]).MODEL_REGISTRY
    found: type = registry.get(getattr(cfg, "_name", None), object)
    return found


def registered_models() -> dict[str, type]:
    """Return the models that this plugin and packages that add to it have registered, by name."""
    registry = importlib.import_module(BaseModel.__module__.rsplit(".", 1)[0]).MODEL_REGISTRY
    packages = {name.split(".")[0] for name in (__name__, *plugins.other_packages())}
    return {
        name: model
        for name, model in registry.items()
        if model.__module__.split(".")[0] in packages
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


def brings_ecg_methods() -> bool:
    """Whether the host itself brings self-supervised methods for ECGs."""
    return HOST == FAIRSEQ_SIGNALS


def build_host_model(values: Mapping[str, Any]) -> Any:
    """Return the host's own model of a config's values, with fresh weights."""
    models = importlib.import_module(f"{HOST}.models")
    return models.build_model(OmegaConf.create(dict(values)), None, from_checkpoint=True)


def setup_task(cfg: Any) -> Any:
    """Return the task that ``cfg.task`` of a whole config describes."""
    return importlib.import_module(f"{HOST}.tasks").setup_task(cfg.task)
