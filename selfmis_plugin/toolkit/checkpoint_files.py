"""The host's checkpoints as files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import torch

from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS
from selfmis_plugin.toolkit.host import HOST
from selfmis_plugin.utils.files import whole_file

__all__ = ["checkpoint_module", "whole_checkpoints"]


def checkpoint_module() -> Any:
    """Return the host's module that writes and reads checkpoints."""
    return importlib.import_module(
        "fairseq_signals.utils.checkpoint_utils"
        if HOST == FAIRSEQ_SIGNALS
        else "fairseq.checkpoint_utils"
    )


@contextlib.contextmanager
def whole_checkpoints() -> Iterator[None]:
    """Let the host write checkpoints so within the block, and say what is wrong where it cannot.

    The hosts copy a new checkpoint over ``checkpoint_last.pt`` and ``checkpoint_best.pt`` as they
    lie there, so that a kill or a full disk leaves half of them; fairseq tries three times to write
    to a full disk, and fairseq-signals goes on without a word.
    """
    module = checkpoint_module()
    save, paths = module.torch_persistent_save, module.PathManager
    module.torch_persistent_save = _saving(save)
    module.PathManager = type("PathManager", (paths,), {"copy": staticmethod(_copying(paths.copy))})
    try:
        yield
    finally:
        module.torch_persistent_save, module.PathManager = save, paths


def _saving(original: Callable[..., Any]) -> Callable[..., Any]:
    def save(obj: Any, filename: Any, async_write: bool = False) -> Any:
        if async_write or not isinstance(filename, str) or _is_elsewhere(filename):
            return original(obj, filename, async_write=async_write)
        with whole_file(filename) as temporary:
            torch.save(obj, temporary)
        return None

    return save


def _copying(original: Callable[..., Any]) -> Callable[..., Any]:
    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> Any:
        if _is_elsewhere(src_path) or _is_elsewhere(dst_path):
            return original(src_path, dst_path, overwrite=overwrite)
        with whole_file(dst_path) as temporary:
            shutil.copyfile(src_path, temporary)
        return True

    return copy


def _is_elsewhere(path: str) -> bool:
    """Whether a path is one of the hosts' own protocols, such as s3://."""
    return "://" in path
