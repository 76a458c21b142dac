"""The training entry that the host's command line and its spawned workers call."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.store.format import CutShortError
from selfmis_plugin.training import history
from selfmis_plugin.training.embedding_cache import EmbeddingCacheError
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.training.store_task import StoreTask
from selfmis_plugin.utils.disk import WriteError
from selfmis_plugin.utils.paths import from_launch_folder

logger = logging.getLogger(__name__)


class ResumeError(RuntimeError):
    """A run cannot go on from the checkpoint that lies in its folder."""


def train_main(cfg: Any, **kwargs: Any) -> None:
    """Train as the host does, after registering the plugin in this process.

    Both hosts forget two things when a run is resumed: how many validations have passed without
    an improvement, and that a run had already stopped early. For this plugin's tasks both are
    read from the last checkpoint first, so that the same command given again ends as one that was
    not interrupted.

    Parameters
    ----------
    cfg
        The host's whole config (``omegaconf.DictConfig``).
    **kwargs
        Passed on to the host's ``fairseq_cli.train.main``.

    Raises
    ------
    RuntimeError
        If ``common.fp16`` is asked for without a GPU.
    ValueError
        If the config names no task or leaves out a checkpoint that it demands, or if both the host
        and the model are asked to reduce the precision.
    ResumeError
        If the run folder holds another run: other settings, or data prepared in another way.
    SystemExit
        If the disk is full, nothing may be written there, or the data are cut short while they are
        read; with one line that says it.
    """
    _say_once_what_cannot_be_logged()
    try:
        _train(cfg, **kwargs)
    except (OSError, CutShortError, EmbeddingCacheError) as error:
        if not _is_of_the_disk(error):
            raise
        # A worker's error comes with its traceback; the message is the end of it.
        last = str(error).strip().splitlines()[-1]
        raise SystemExit(f"training stopped: {last.partition('Error: ')[2] or last}") from error


def _is_of_the_disk(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, WriteError | CutShortError):
        error = error.__cause__
    return error is not None


def _train(cfg: Any, **kwargs: Any) -> None:
    register_all()
    # fairseq composes its own defaults, which name no task, where it finds no config of that name.
    if cfg.task is None:
        raise ValueError(
            "the config names no task: check the name after --config-name (selfmis_pretrain, "
            "selfmis_linear_probe, ...) and the folder after --config-dir"
        )
    done = toolkit.mend_for_run(cfg)
    if done and cfg.distributed_training.distributed_rank in (0, None):
        logger.info("%s was adapted: %s", toolkit.host_name(), "; ".join(done))
    if issubclass(toolkit.task_class(cfg.task), StoreTask):
        if cfg.common.fp16 and not torch.cuda.is_available():
            raise RuntimeError(
                "common.fp16=true needs a CUDA GPU in both hosts, and none is found: train with "
                "common.fp16=false"
            )
        _refuse_two_precisions(cfg)
        _refuse_unset_checkpoints(Path.cwd())
        _read_paths_from_launch_folder(cfg)
        if _has_stopped_early(cfg):
            return
    else:
        _find_data_from_launch_folder(cfg)
    with toolkit.whole_checkpoints():
        toolkit.host_main()(cfg, **kwargs)


def _say_once_what_cannot_be_logged() -> None:
    """Let log files that cannot be written say so once, and not by a traceback for each line."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _LogTrouble(handler)  # type: ignore[method-assign]


class _LogTrouble:
    """What a log file does with an error."""

    def __init__(self, handler: logging.FileHandler) -> None:
        self._handle = handler.handleError
        self._file = handler.baseFilename
        self._said = False

    def __call__(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._handle(record)
        elif not self._said:
            self._said = True
            print(f"{self._file}: the log ends here: {error.strerror or error}", file=sys.stderr)


def _refuse_two_precisions(cfg: Any) -> None:
    """The host casts weights or opens autocast; the model's own precision is for where it does
    neither."""
    ours = [
        f"model.{key}={cfg.model[key]}"
        for key in ("precision", "frozen_precision")
        if key in cfg.model and cfg.model[key] not in (None, "float32")
    ]
    # Not every host has all of them, and omegaconf 2.0 refuses get() of a key that is not there.
    theirs = [
        f"common.{key}=true"
        for key in ("fp16", "bf16", "amp")
        if key in cfg.common and cfg.common[key]
    ]
    if ours and theirs:
        raise ValueError(
            f"{' and '.join(ours + theirs)} both reduce the precision. Keep one: "
            f"{' '.join(line.replace('true', 'false') for line in theirs)} leaves it to the model"
        )


def _refuse_unset_checkpoints(run: Path) -> None:
    """Refuse a checkpoint that the config demands (``???``) and nobody gave.

    The hosts fill such a key with the model's default, None, which means random weights. What Hydra
    wrote into the run folder before that still tells the two apart.
    """
    composed = run / ".hydra" / "config.yaml"
    if not composed.is_file():
        return
    model = OmegaConf.load(composed).model
    for key in model:
        if str(key).endswith("_checkpoint") and OmegaConf.is_missing(model, key):
            raise ValueError(
                f"model.{key} is not set: give the checkpoint to start from, model.{key}=FILE, or "
                f"model.{key}=null for random weights"
            )


def _read_paths_from_launch_folder(cfg: Any) -> None:
    """Make the paths of a config absolute: by now the hosts have changed into the run folder.

    The host itself reads ``task.data`` too, so it cannot be left to the task.
    """
    if OmegaConf.is_missing(cfg.task, "data"):
        raise ValueError("task.data is not set: give the folder of a store, task.data=DIR")
    places = [(cfg.task, "data"), (cfg.checkpoint, "finetune_from_model")]
    places += [(cfg.task, "embedding_cache_dir")] if "embedding_cache_dir" in cfg.task else []
    places += [(cfg.model, key) for key in cfg.model if str(key).endswith("_checkpoint")]
    for section, key in places:
        if section[key] is not None:
            section[key] = str(from_launch_folder(section[key]))


def _find_data_from_launch_folder(cfg: Any) -> None:
    """Make the data's folder of a task of the host's own absolute, where it was typed relative."""
    # omegaconf 2.0 refuses get() of a key that is not there.
    if "data" not in cfg.task or OmegaConf.is_missing(cfg.task, "data"):
        return
    data = cfg.task["data"]
    if isinstance(data, str) and not Path(data).exists() and from_launch_folder(data).is_dir():
        cfg.task["data"] = str(from_launch_folder(data))


def _has_stopped_early(cfg: Any) -> bool:
    """Restore early stopping from the last checkpoint; say whether it had ended the run."""
    toolkit.restore_early_stopping({})
    history.start_afresh()
    path, resumes = _checkpoint_to_load(cfg.checkpoint)
    if path is None:
        return False
    checkpoint = _refuse_other_data(path, cfg)
    history.go_on_from(checkpoint, path.name)
    if not resumes:
        return False
    changed = _changed_settings(checkpoint["cfg"], OmegaConf.to_container(cfg, resolve=True))
    if changed:
        raise ResumeError(
            f"{path} belongs to a run with other settings ({'; '.join(changed)}), so this one "
            "would go on from it and not be what it says. Give it a folder of its own: "
            "hydra.run.dir=DIR"
        )
    stopping = checkpoint["task_state"]["early_stopping"]
    toolkit.restore_early_stopping(stopping)
    patience = cfg.checkpoint.patience
    if patience > 0 and stopping["best"] is not None and stopping["num_runs"] >= patience:
        logger.info(
            "%s: this run has stopped early already (no improvement in %d validations); its best "
            "checkpoint is checkpoint_best.pt. Nothing to do.",
            path,
            patience,
        )
        return True
    return False


def _refuse_other_data(path: Path, cfg: Any) -> dict[str, Any]:
    """Return the checkpoint that the host will load; refuse one trained on other data."""
    try:
        checkpoint = read_checkpoint(path)
        state = checkpoint["task_state"]
        trained_on = Preprocessing.from_dict(state["preprocessing"])
    except (CheckpointError, KeyError, ValueError) as error:
        raise ResumeError(
            f"{path} cannot be resumed from ({error}). If it was cut short, delete it: "
            "checkpoint_best.pt beside it is kept. If it is another task's, give this run a "
            "folder of its own: hydra.run.dir=DIR"
        ) from error
    task: Any = toolkit.task_class(cfg.task)
    now = task.describe(cfg.task)
    difference = Preprocessing.from_dict(now["preprocessing"]).difference(trained_on)
    difference += [
        f"{key}: {state[key]!r} then, {now[key]!r} now"
        for key in now
        if key != "preprocessing" and state.get(key) != now[key]
    ]
    if difference:
        raise ResumeError(
            f"{path} was trained on data prepared in another way ({'; '.join(difference)}). Train "
            "on the same data, or give this run a folder of its own: hydra.run.dir=DIR"
        )
    return checkpoint


#: What makes a run what it is. A longer run, other hardware or another place for logs do not.
_IDENTITY: dict[str, set[str]] = {
    "task": {"cache_frozen_embeddings", "embedding_cache_dir", "num_workers"},
    "model": {"compile", "activation_checkpointing"},
    "criterion": {"max_epoch"},
    "optimizer": set(),
    "lr_scheduler": {"max_epoch", "max_update"},
    "optimization": {"max_epoch", "max_update", "stop_time_hours", "stop_min_lr"},
    "dataset": {"num_workers", "data_buffer_size", "max_valid_steps", "batch_size_valid"},
}


def _changed_settings(saved: Any, now: Any) -> list[str]:
    """Say which settings of a saved run are others now, one line each."""
    changed = []
    for section, free in _IDENTITY.items():
        before, after = saved.get(section) or {}, now.get(section) or {}
        changed += [
            f"{section}.{key} was {before[key]!r}, is {after[key]!r}"
            for key in after
            if key in before and key not in free and before[key] != after[key]
        ]
    if saved["common"]["seed"] != now["common"]["seed"]:
        changed.append(f"common.seed was {saved['common']['seed']}, is {now['common']['seed']}")
    return changed


def _checkpoint_to_load(cfg: Any) -> tuple[Path | None, bool]:
    """Return the checkpoint that the host will load, and whether the run goes on from it whole."""
    if cfg.restore_file != "checkpoint_last.pt":
        path = Path(cfg.restore_file)
        return (path if path.is_file() else None), False
    last = Path(cfg.save_dir) / f"checkpoint_last{cfg.checkpoint_suffix}.pt"
    if last.is_file():
        return last, not (cfg.reset_meters or cfg.reset_optimizer)
    return (Path(cfg.finetune_from_model) if cfg.finetune_from_model else None), False
