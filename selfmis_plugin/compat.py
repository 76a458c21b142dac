"""What an unmodified fairseq-signals needs to train here, and no more.

Each patch says what it is for and is skipped where it is not needed: with another host, on
Python 3.10, or in a toolkit that has mended the matter itself.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

#: Set by ``selfmis train``, so found only in the processes that it starts.
WORKER_HOST = "SELFMIS_WORKER_HOST"


def apply_in_spawned_worker() -> None:
    """Apply the patches in a process that ``selfmis train`` spawned, before it imports its host."""
    if WORKER_HOST in os.environ:
        apply(os.environ[WORKER_HOST])


def apply(host: str) -> list[str]:
    """Import *host* with the patches that it needs here; calling it again does nothing more.

    Parameters
    ----------
    host
        ``fairseq_signals`` or ``fairseq``; only the first is ever patched.

    Returns
    -------
    list of str
        What was done, one entry a patch; empty where nothing was needed.
    """
    if host != "fairseq_signals":
        return []
    done: list[str] = []
    if sys.version_info >= (3, 11) and host not in sys.modules:
        with _hashable_dataclass_defaults(done):
            importlib.import_module(host)
    else:
        importlib.import_module(host)
    for patch in (_restore_is_primitive_type, _call_is_available, _return_next_epoch):
        patch(done)
    return done


@contextmanager
def _hashable_dataclass_defaults(done: list[str]) -> Iterator[None]:
    """Accept dataclass instances as defaults of dataclass fields while the toolkit is imported.

    fairseq-signals (and hydra-core 1.0) write ``common: CommonConfig = CommonConfig()``. Since
    Python 3.11 a default must be hashable, and a dataclass instance is not: give such a class an
    identity hash before the field is made.
    """
    original: Callable[..., Any] = dataclasses._get_field  # type: ignore[attr-defined]
    given: list[str] = []

    def get_field(cls: type, name: str, *args: Any, **kwargs: Any) -> Any:
        default = cls.__dict__.get(name)
        kind = type(default)
        if dataclasses.is_dataclass(kind) and kind.__hash__ is None:
            kind.__hash__ = object.__hash__  # type: ignore[method-assign, assignment]
            given.append(kind.__name__)
        return original(cls, name, *args, **kwargs)

    dataclasses._get_field = get_field  # type: ignore[attr-defined]
    try:
        yield
    finally:
        dataclasses._get_field = original  # type: ignore[attr-defined]
        if given:
            done.append(f"dataclass defaults made hashable ({len(given)} classes)")


def _restore_is_primitive_type(done: list[str]) -> None:
    """Give omegaconf 2.1 and newer the name that loading a checkpoint looks up and sets back."""
    utils: Any = importlib.import_module("omegaconf._utils")
    if not hasattr(utils, "is_primitive_type"):
        utils.is_primitive_type = utils.is_primitive_type_annotation
        done.append("omegaconf._utils.is_primitive_type restored")


def _call_is_available(done: list[str]) -> None:
    """Clip gradients on a machine without CUDA.

    The toolkit's ``clip_grad_norm_`` tests the function ``torch.cuda.is_available`` instead of
    calling it, and so asks for the current CUDA device on a CPU. The norm that it computes is the
    same as PyTorch's; only its choice of device is replaced.
    """
    if torch.cuda.is_available():
        return
    utils: Any = importlib.import_module("fairseq_signals.utils.utils")
    names = inspect.unwrap(utils.clip_grad_norm_).__code__.co_names
    if "is_available" not in names or "current_device" not in names:
        return
    original = utils.clip_grad_norm_

    def clip_grad_norm_(params: Any, max_norm: float, aggregate_norm_fn: Any = None) -> Any:
        current_device = torch.cuda.current_device
        torch.cuda.current_device = lambda: torch.device("cpu")  # type: ignore[assignment, return-value]
        try:
            return original(params, max_norm, aggregate_norm_fn)
        finally:
            torch.cuda.current_device = current_device

    utils.clip_grad_norm_ = clip_grad_norm_
    done.append("gradient clipping without CUDA")


def _return_next_epoch(done: list[str]) -> None:
    """Resume a run from a checkpoint in the middle of an epoch, on any Python.

    ``checkpoint.save_interval_updates`` writes such checkpoints. In the toolkit as of April 2025
    (version 1.0.0a0, commit 6b9e137) the iterator that such a one is loaded into names its epoch
    without returning it, and the run ends in a comparison of None with the last epoch.
    """
    iterators: Any = importlib.import_module("fairseq_signals.data.iterators")
    loaded = object.__new__(iterators.EpochBatchIterator)
    loaded.epoch, loaded._next_epoch_itr = 1, object()
    if loaded.next_epoch_idx is not None:
        return
    original = iterators.EpochBatchIterator.next_epoch_idx.fget

    def next_epoch_idx(iterator: Any) -> int:
        epoch: int | None = original(iterator)
        return iterator.epoch if epoch is None else epoch

    iterators.EpochBatchIterator.next_epoch_idx = property(next_epoch_idx)
    done.append("resuming in the middle of an epoch")
