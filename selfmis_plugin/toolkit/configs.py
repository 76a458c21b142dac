"""The host's configs and registries: its defaults, and what their names stand for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS
from selfmis_plugin.toolkit.host import HOST, host_version
from selfmis_plugin.toolkit.parts import BaseModel, BaseTask
from selfmis_plugin.utils import plugins

__all__ = [
    "brings_ecg_methods",
    "build_host_model",
    "lacks_parts",
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
        if part not in values or values[part] is None or "_name" not in values[part]:
            continue  # the host says what it makes of that
        module, name = importlib.import_module(f"{HOST}.{folder}"), values[part]["_name"]
        # fairseq also builds models by the names of their sizes.
        registries = (f"{part.upper()}_REGISTRY", f"ARCH_{part.upper()}_REGISTRY")
        if not any(name in getattr(module, registry, ()) for registry in registries):
            missing.append(f"{part} {name}")
    return missing


def lacks_parts(name: str, missing: Sequence[str], is_ours: bool) -> str:
    """Say that the host cannot train a config.

    Parameters
    ----------
    name
        Of the config.
    missing
        :func:`missing_parts` of it.
    is_ours
        Whether they stand so in a config of this package, whose own parts any host has: then they
        are the other toolkit's.
    """
    other = "fairseq" if HOST == FAIRSEQ_SIGNALS else "fairseq-signals"
    if is_ours:
        return (
            f"{name} trains inside {other} only; this environment has {host_version()}, which "
            f"lacks {', '.join(missing)}: see docs/install.md"
        )
    return (
        f"{name}: {host_version()} lacks {', '.join(missing)}: check the name, and that the "
        f"package is installed that brings it; what {other} alone has trains there "
        "(docs/install.md)"
    )


def whole_config(values: Any) -> Any:
    """Return *values* (what a YAML file gives) with the host's defaults for what they leave out.

    As from the hosts' command line, no key can be added: under OmegaConf 2.0 one that is not there
    would be None in place of its default where a host asks for it.
    """
    whole = OmegaConf.merge(OmegaConf.structured(_root_config()), values)
    OmegaConf.set_struct(whole, True)
    return whole


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
