"""Files and folders that a config names: read from where they were typed, and there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.reading import refuse_absent
from selfmis_plugin.utils.paths import from_launch_folder

__all__ = [
    "OWN_LAST",
    "find_host_files",
    "own_last_checkpoint",
    "read_start",
    "read_store_paths",
    "refuse_unset_checkpoints",
]

#: The value of ``checkpoint.restore_file`` that means the run's own last checkpoint, if it has one.
OWN_LAST = "checkpoint_last.pt"
#: Keys that name a checkpoint to begin from, the first where it differs from the value above.
_STARTS = ("restore_file", "continue_once", "finetune_from_model")
#: Keys of tasks over a store that name a folder, where a task has them.
_FURTHER_PATHS = ("embedding_cache_dir", "unlabelled")
#: Ends of the names of keys by which a task or model of the host's own names what it reads.
_HOST_ENDS = ("_path", "_file", "_dir", "_checkpoint", "_from_model")


def read_store_paths(cfg: Any) -> None:
    """Make the paths of a task over a store absolute: the hosts have changed into the run folder.

    The host itself reads ``task.data`` too, so it cannot be left to the task.

    Raises
    ------
    ValueError
        If the config names no data.
    """
    if OmegaConf.is_missing(cfg.task, "data"):
        raise ValueError("task.data is not set: give the folder of a store, task.data=DIR")
    places = [(cfg.task, "data")]
    places += [(cfg.task, key) for key in _FURTHER_PATHS if key in cfg.task]
    places += [(cfg.model, key) for key in _checkpoint_keys(cfg.model)]
    for section, key in places:
        if not OmegaConf.is_missing(section, key) and section[key] is not None:
            section[key] = str(from_launch_folder(section[key]))
    if "teachers" in cfg.task:
        cfg.task.teachers = [str(from_launch_folder(path)) for path in cfg.task.teachers]
    _find_files_of_the_run(cfg)


def find_host_files(cfg: Any) -> None:
    """Make what a task or a model of the host's own reads absolute, where it was typed relative.

    Raises
    ------
    FileNotFoundError
        If the folder of the data is not there.
    """
    keys = [(cfg.task, "data")] if "data" in cfg.task else []
    for section in (cfg.task, cfg.model):
        keys += [(section, key) for key in section if str(key).endswith(_HOST_ENDS)]
    for section, key in keys:
        _find(section, key)
    _find_files_of_the_run(cfg)
    # Some of the host's tasks take several, and some read from elsewhere.
    data = cfg.task["data"] if keys and keys[0][1] == "data" and _is_set(cfg.task, "data") else ""
    if data and ":" not in data and not Path(data).exists():
        raise FileNotFoundError(
            f"task.data={data}: there is no {from_launch_folder(data)}: give the folder of the "
            "manifests, task.data=DIR"
        )


def _find_files_of_the_run(cfg: Any) -> None:
    # Written, so it need not be there.
    if "tensorboard_logdir" in cfg.common and _is_set(cfg.common, "tensorboard_logdir"):
        cfg.common.tensorboard_logdir = str(from_launch_folder(cfg.common.tensorboard_logdir))
    for key in ("user_dir", "quantization_config_path"):
        if key in cfg.common:  # fairseq-signals lacks them
            _find(cfg.common, key)


def _find(section: Any, key: str) -> None:
    if not _is_set(section, key):
        return
    typed = section[key]
    if not Path(typed).exists() and from_launch_folder(typed).exists():
        section[key] = str(from_launch_folder(typed))


def _is_set(section: Any, key: str) -> bool:
    # omegaconf 2.0 refuses get() of a key that is not there.
    return (
        key in section
        and not OmegaConf.is_missing(section, key)
        and isinstance(section[key], str)
        and bool(section[key])
    )


def _checkpoint_keys(model: Any) -> Iterator[str]:
    return (str(key) for key in model if str(key).endswith("_checkpoint"))


def own_last_checkpoint(cfg: Any) -> Path | None:
    """Return the run's own last checkpoint, of ``cfg.checkpoint``; None before there is one."""
    last = Path(cfg.save_dir) / f"checkpoint_last{cfg.checkpoint_suffix}.pt"
    return last if last.is_file() else None


def read_start(cfg: Any) -> tuple[str, Path] | None:
    """Return the checkpoint to begin from that ``cfg.checkpoint`` names, and the key that names it.

    Its path becomes absolute in the config.

    Raises
    ------
    ValueError
        If several are named: the hosts would take one and say nothing of the others.
    CheckpointError
        If it is not there, and the run has no checkpoint of its own to go on from.
    """
    named = [key for key in _STARTS if key in cfg and cfg[key] not in (None, OWN_LAST)]
    if not named:
        return None
    if len(named) > 1:
        raise ValueError(
            f"{' and '.join(f'checkpoint.{key}={cfg[key]}' for key in named)} both name a "
            "checkpoint to begin from: keep one"
        )
    (key,) = named
    if "://" in cfg[key]:  # the host's own file systems
        return key, Path(cfg[key])
    path = from_launch_folder(cfg[key])
    typed, cfg[key] = cfg[key], str(path)
    if key == "restore_file" and cfg.checkpoint_suffix:
        path = Path(str(path).replace(".pt", f"{cfg.checkpoint_suffix}.pt"))  # as the hosts do
    if own_last_checkpoint(cfg) is None:
        try:
            refuse_absent(path)
        except CheckpointError as error:
            raise CheckpointError(f"checkpoint.{key}={typed}: {error}") from error
    return key, path


def refuse_unset_checkpoints(run: Path) -> None:
    """Refuse a checkpoint that the config demands (``???``) and nobody gave.

    The hosts fill such a key with the model's default, None, which means random weights. What Hydra
    wrote into the run folder before that still tells the two apart.

    Raises
    ------
    ValueError
        If there is one.
    """
    composed = run / ".hydra" / "config.yaml"
    if not composed.is_file():
        return
    model = OmegaConf.load(composed).model
    for key in _checkpoint_keys(model):
        if OmegaConf.is_missing(model, key):
            raise ValueError(
                f"model.{key} is not set: give the checkpoint to start from, model.{key}=FILE, or "
                f"model.{key}=null for random weights"
            )
