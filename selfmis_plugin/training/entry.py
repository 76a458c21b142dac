"""The training entry that the host's command line and its spawned workers call."""

from __future__ import annotations

import functools
import logging
import sys
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.data.store.format import CutShortError
from selfmis_plugin.nn.threads import suit_threads
from selfmis_plugin.training import given_files, resuming
from selfmis_plugin.training.contract import StartsFromWeights
from selfmis_plugin.training.embedding_cache import EmbeddingCacheError
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.training.resuming import ResumeError
from selfmis_plugin.training.store_task import StoreTask
from selfmis_plugin.utils.disk import WriteError

__all__ = ["ResumeError", "train_main"]

logger = logging.getLogger(__name__)


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
        If the config names no task, leaves out a checkpoint that it demands or names two for one
        thing, or if both the host and the model are asked to reduce the precision.
    CheckpointError
        If a checkpoint to begin from is not there.
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
    if not issubclass(toolkit.task_class(cfg.task), StoreTask):
        given_files.find_host_files(cfg)
        resuming.go_on_with_host_task(cfg, given_files.read_start(cfg.checkpoint))
    elif _has_ended(cfg):
        return
    toolkit.when_model_is_built(functools.partial(_suit_threads, cfg))
    try:
        with toolkit.whole_checkpoints():
            toolkit.host_main()(cfg, **kwargs)
    finally:
        toolkit.when_model_is_built(None)


def _has_ended(cfg: Any) -> bool:
    """Prepare the training of a task over a store; return whether it has ended already."""
    if cfg.common.fp16 and not torch.cuda.is_available():
        raise RuntimeError(
            "common.fp16=true needs a CUDA GPU in both hosts, and none is found: train with "
            "common.fp16=false"
        )
    _refuse_two_precisions(cfg)
    given_files.read_store_paths(cfg)
    filled_by, ended = resuming.go_on(cfg, given_files.read_start(cfg.checkpoint))
    model = toolkit.model_class(cfg.model)
    if filled_by is None:
        given_files.refuse_unset_checkpoints(Path.cwd())
        if isinstance(model, StartsFromWeights):
            model.check_start(cfg.model)
    return ended


def _suit_threads(cfg: Any, model: Any) -> None:
    """Let a training on the CPU take the threads that suit its network, and say so."""
    on_cpu = "cpu" in cfg.common and cfg.common.cpu  # fairseq-signals has no such key
    if torch.cuda.is_available() and not on_cpu:
        return
    threads = suit_threads(model)
    if threads is not None:
        logger.info(
            "%d thread%s, which suits this network here; OMP_NUM_THREADS=N takes N",
            threads,
            "" if threads == 1 else "s",
        )


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
