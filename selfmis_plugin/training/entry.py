"""The training entry that the host's command line and its spawned workers call."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.data.store.format import CutShortError
from selfmis_plugin.nn.threads import suit_threads
from selfmis_plugin.training import given_files, resuming
from selfmis_plugin.training.configs import configs_folder
from selfmis_plugin.training.contract import StartsFromWeights
from selfmis_plugin.training.embedding_cache import EmbeddingCacheError
from selfmis_plugin.training.explaining import TRACEBACK, no_task, wants_traceback
from selfmis_plugin.training.known_configs import known_configs
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.training.resuming import ResumeError
from selfmis_plugin.training.run_folder import (
    config_name_of,
    end_of_run,
    remove_if_new,
    write_run,
)
from selfmis_plugin.training.short_log import shown_shortly
from selfmis_plugin.training.store_task import StoreTask
from selfmis_plugin.utils.allocation import keep_freed_memory
from selfmis_plugin.utils.disk import WriteError

__all__ = ["ResumeError", "is_refusal", "train_main"]

logger = logging.getLogger(__name__)

#: What command lines that train are called, by themselves and as the host's.
COMMANDS = frozenset({"fairseq-hydra-train", "selfmis train"})
#: Exit status after Ctrl-C, by the shell's custom.
INTERRUPTED = 130


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
        If ``common.fp16`` is asked for without a GPU, or the config names a part that the host
        lacks.
    ValueError
        If the config names no task, leaves out a checkpoint that it demands or names two for one
        thing, or if both the host and the model are asked to reduce the precision.
    CheckpointError
        If a checkpoint to begin from is not there.
    ResumeError
        If the run folder holds another run: other settings, or data prepared in another way.
    SystemExit
        On a command line with the message of any of these, unless ``SELFMIS_TRACEBACK=1`` asks
        for where it was raised; a folder that this start has made and that holds no checkpoint is
        then removed.
        With 130 after Ctrl-C; what is finished is then described in the run's folder. With one
        line if the disk is full, nothing may be written there, or the data are cut short while
        they are read.
    """
    _say_once_what_cannot_be_logged()
    folder = Path.cwd()
    try:
        with shown_shortly(cfg):
            _train(cfg, **kwargs)
    except KeyboardInterrupt:
        if not _speaks(cfg):
            raise
        if folder.is_dir():
            _describe(cfg, folder, interrupted=True)
        print(f"\ntraining interrupted; {_kept(cfg, folder)}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except (OSError, CutShortError, EmbeddingCacheError) as error:
        if not _is_of_the_disk(error):
            _refuse(error, folder)
            raise
        # A worker's error comes with its traceback; the message is the end of it.
        last = str(error).strip().splitlines()[-1]
        raise SystemExit(f"training stopped: {last.partition('Error: ')[2] or last}") from error
    except Exception as error:
        _refuse(error, folder)
        raise
    if _speaks(cfg) and folder.is_dir():
        with shown_shortly(cfg):
            _describe(cfg, folder)


def _describe(cfg: Any, folder: Path, interrupted: bool = False) -> None:
    """Leave in the folder what the run was and, at its end, say it; the weights are there already,
    so that nothing that fails here may end the training in an error."""
    name = config_name_of(folder)
    try:
        write_run(cfg, name, interrupted)
        for line in [] if interrupted else end_of_run(cfg, name):
            logger.info("%s", line)
    except Exception as error:
        logger.warning(
            "%s: the training is not described there (%s: %s), and its checkpoints are kept: the "
            "same command describes it again",
            *(folder, type(error).__name__, error),
            exc_info=wants_traceback(),
        )


def _speaks(cfg: Any) -> bool:
    """Whether this process is the one of several that tells the user."""
    return cfg.distributed_training.distributed_rank in (0, None)


def _kept(cfg: Any, folder: Path) -> str:
    last = Path(cfg.checkpoint.save_dir) / "checkpoint_last.pt"
    if last.is_file():
        return f"{last} is kept, and the same command goes on from it"
    return "no checkpoint was written yet" + (
        f", and {folder} is removed" if remove_if_new(folder) else ""
    )


def _refuse(error: Exception, folder: Path) -> None:
    """End with the message of a refusal; return for whatever else went wrong."""
    if wants_traceback() or not is_refusal(error):
        return
    # Neither a program that trains nor a process that the host has started is where a command
    # line ends.
    if Path(sys.argv[0]).name not in COMMANDS or multiprocessing.parent_process():
        return
    remove_if_new(folder)
    raise SystemExit(f"{error}\n({TRACEBACK}=1 shows where this was found)") from None


def is_refusal(error: BaseException) -> bool:
    """Whether an error is this package's own word to the user, and no fault in a program."""
    if type(error).__module__.startswith("selfmis_plugin."):
        return True
    if not isinstance(error, ValueError | RuntimeError | FileNotFoundError):
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    package = str(Path(__file__).resolve().parents[1]) + os.sep
    return frame is not None and os.path.abspath(frame.tb_frame.f_code.co_filename).startswith(
        package
    )


def _is_of_the_disk(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, WriteError | CutShortError):
        error = error.__cause__
    return error is not None


def _train(cfg: Any, **kwargs: Any) -> None:
    register_all()
    keep_freed_memory()
    # fairseq composes its own defaults, which name no task, where it finds no config of that name.
    if cfg.task is None:
        raise ValueError(no_task(config_name_of(Path.cwd()), sys.argv[1:]))
    toolkit.refuse_missing_trackers(cfg)
    done = toolkit.mend_for_run(cfg)
    # What a recipe calls by another name has the registered one by now.
    _refuse_missing_parts(cfg)
    if done and cfg.distributed_training.distributed_rank in (0, None):
        logger.info("%s was adapted: %s", toolkit.host_name(), "; ".join(done))
    if not issubclass(toolkit.task_class(cfg.task), StoreTask):
        given_files.find_host_files(cfg)
        resuming.go_on_with_host_task(cfg, given_files.read_start(cfg.checkpoint))
    elif _has_ended(cfg):
        return
    toolkit.when_model_is_built(functools.partial(_suit_threads, cfg))
    try:
        with toolkit.whole_checkpoints(), toolkit.one_tracked_run(cfg, Path.cwd().name):
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


def _refuse_missing_parts(cfg: Any) -> None:
    """The host's own word for a task that it does not have is an assertion with all that it has."""
    missing = toolkit.missing_parts(cfg)
    if not missing:
        return
    name = config_name_of(Path.cwd())
    file = known_configs([configs_folder()]).get(name or "")
    shipped: Any = {} if file is None else OmegaConf.to_container(OmegaConf.load(file))
    is_ours = set(missing) <= set(toolkit.missing_parts(shipped))
    raise RuntimeError(toolkit.lacks_parts(name or "the config", missing, is_ours))


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
