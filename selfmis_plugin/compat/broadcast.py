"""How several processes take over a checkpoint that one of them has read."""

from __future__ import annotations

import functools
import importlib
import io
import pickle
from typing import Any

from selfmis_plugin.compat.installed import FAIRSEQ, FAIRSEQ_SIGNALS, SUPPORTED
from selfmis_plugin.compat.patch import Patch

__all__ = ["BROADCASTS"]


def _utils(host: str) -> Any:
    return importlib.import_module(f"{host}.distributed.utils")


def _cannot_receive(host: str) -> bool:
    """Whether torch refuses to read what the first process sends for a tensor."""
    torch: Any = importlib.import_module("torch")
    utils = _utils(host)
    if utils.torch is not torch:  # it has been mended
        return False
    sent = io.BytesIO()
    torch.save(utils._TensorPlaceholder(index=0), sent)
    sent.seek(0)
    try:
        torch.load(sent, map_location="cpu")
    except pickle.UnpicklingError:
        return True
    return False


class _LoadsWholeObjects:
    """Torch as the host's module sees it, but for ``load``.

    All that this module loads are bytes which another process of the same training has just sent.
    That process has read them from the file as weights alone, and both hosts already exchange
    pickled objects between processes.
    """

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.load = functools.partial(torch.load, weights_only=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)


def _receive_whole_objects(host: str, _: Any) -> None:
    utils = _utils(host)
    utils.torch = _LoadsWholeObjects(utils.torch)


def _several_processes(cfg: Any) -> bool:
    distributed = getattr(cfg, "distributed_training", None)
    return distributed is not None and bool(distributed.distributed_world_size > 1)


def _of(host: str) -> Patch:
    return Patch(
        "checkpoints taken over by every process",
        "the first process reads a checkpoint and sends it, with objects of the toolkit's in place "
        "of tensors, and torch >= 2.6 loads no objects unless it is told to",
        f"{SUPPORTED[host]} with torch >= 2.6",
        functools.partial(_cannot_receive, host),
        functools.partial(_receive_whole_objects, host),
        _several_processes,
        "of several processes",
        hosts=(host,),
    )


BROADCASTS = (_of(FAIRSEQ_SIGNALS), _of(FAIRSEQ))
