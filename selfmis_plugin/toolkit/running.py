"""The host's training: how it is started, and what it keeps to itself while it runs."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin import compat
from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS
from selfmis_plugin.toolkit.checkpoint_files import checkpoint_module
from selfmis_plugin.toolkit.host import ADAPTATIONS, HOST
from selfmis_plugin.toolkit.parts import BaseTask
from selfmis_plugin.utils.disk import in_words

__all__ = [
    "best_score",
    "early_stopping_state",
    "explain_errors",
    "go_on_at",
    "hand_over",
    "host_main",
    "import_command_line",
    "keep_order_of_batches",
    "own_command",
    "replace_worker_entry",
    "restore_early_stopping",
    "run_command_line",
    "when_model_is_built",
]


def _leave_process_group() -> None:
    """End gloo's threads while the interpreter still stands: neither host leaves its group, and a
    thread that drops a tensor after that ends the process, trained and saved, by SIGABRT."""
    joined = torch.distributed.is_available() and torch.distributed.is_initialized()
    # NCCL has no such threads, and would wait here for processes that may have failed.
    if joined and torch.distributed.get_backend() == "gloo":
        gc.collect()
        torch.distributed.destroy_process_group()


atexit.register(_leave_process_group)


def own_command() -> Path | None:
    """Return the host's own training command; None where it cannot train with it as it is."""
    command = Path(sys.executable).with_name("fairseq-hydra-train")
    return command if command.is_file() and not ADAPTATIONS else None


def import_command_line() -> None:
    """Import what the host's training command imports, in a process that others are forked from."""
    importlib.import_module("fairseq_cli.hydra_train")
    # Hydra looks through all packages for plugins, once a process.
    importlib.import_module("hydra.core.plugins").Plugins.instance()


def run_command_line(argv: Sequence[str]) -> None:
    """Run the host's own training command in this process.

    Parameters
    ----------
    argv
        The program's name for its messages, and the arguments.
    """
    os.environ[compat.WORKER_HOST] = HOST
    if importlib.metadata.version("hydra-core").startswith("1.0."):
        # On Python 3.10 and newer this Hydra fails while it prints an error, and ends with its own.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv = list(argv)
    importlib.import_module("fairseq_cli.hydra_train").cli_main()


def explain_errors(explain: Callable[[Exception, Sequence[str]], str | None]) -> None:
    """Let Hydra's command lines end with a message in this process, where *explain* has one or the
    run's folder cannot be written.

    Hydra looks its reporter of errors up at each step, so this is heard by a command line that has
    begun already. A Hydra without one goes on as it is.

    Parameters
    ----------
    explain
        Says an error in words for the user, by the arguments of the command line; None leaves it
        to Hydra.
    """
    hydra: Any = importlib.import_module("hydra._internal.utils")
    report = getattr(hydra, "run_and_report", None)
    if report is None:
        return
    report = getattr(report, "__wrapped__", report)

    @functools.wraps(report)
    def reporting(function: Callable[[], Any]) -> Any:
        def explaining() -> Any:
            try:
                return function()
            except Exception as error:
                text = _unwritable(error) or explain(error, sys.argv[1:])
                if text is None:
                    raise
                raise SystemExit(f"{Path(sys.argv[0]).name}: {text}") from None

        return report(explaining)

    hydra.run_and_report = reporting


def _unwritable(error: Exception) -> str | None:
    """Say that the run's folder cannot be written; None for another error."""
    if not isinstance(error, OSError):
        return None
    given = [a.partition("=")[2] for a in sys.argv if a.startswith("hydra.run.dir=")]
    return in_words(error, given[-1] if given else "the run's folder")


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


def go_on_at(batches: int | None) -> None:
    """Let an epoch that is loaded from a checkpoint go on after *batches* of each process.

    Both hosts save how many batches a process had read, and take that number as it is where the
    batches are shared among more or fewer processes: they read some twice, skip others, or stop
    with "dataloader mismatch". None leaves it to them.
    """
    iterator: Any = importlib.import_module(f"{HOST}.data.iterators").EpochBatchIterator
    load = getattr(iterator.load_state_dict, "__wrapped__", iterator.load_state_dict)

    @functools.wraps(load)
    def load_state_dict(self: Any, state_dict: dict[str, Any]) -> None:
        load(self, {**state_dict, "iterations_in_epoch": batches})

    iterator.load_state_dict = load if batches is None else load_state_dict


def keep_order_of_batches(iterator: Any) -> None:
    """Let an iterator over epochs read batches in the order in which the data set gives them.

    Both hosts shuffle the batches of an epoch once more, also when they go on within one; processes
    still take turns, batch by batch.

    Parameters
    ----------
    iterator
        What a task's ``get_batch_iterator`` returns.
    """
    begin = iterator._get_iterator_for_epoch

    @functools.wraps(begin)
    def in_order(epoch: int, shuffle: bool, *arguments: Any, **options: Any) -> Any:
        return begin(epoch, False, *arguments, **options)

    iterator._get_iterator_for_epoch = in_order


def when_model_is_built(tell: Callable[[Any], object] | None) -> None:
    """Call *tell* with every model that a task builds from now on; None stops that."""
    build = getattr(BaseTask.build_model, "__wrapped__", BaseTask.build_model)

    @functools.wraps(build)
    def build_model(self: Any, *arguments: Any, **options: Any) -> Any:
        model = build(self, *arguments, **options)
        if tell is not None:
            tell(model)
        return model

    BaseTask.build_model = build if tell is None else build_model


def best_score() -> float | None:
    """Return the best validation score that the host knows of, None before the first."""
    return getattr(checkpoint_module().save_checkpoint, "best", None)
