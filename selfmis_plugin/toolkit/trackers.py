"""Curves elsewhere than in the run's folder: TensorBoard and Weights & Biases, as the hosts do."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

from selfmis_plugin.utils.extras import how_to_install

__all__ = ["one_tracked_run", "refuse_missing_trackers"]

#: Keys of ``common``, packages of which the hosts need one for it, and the extra that brings it.
_NEEDS = {
    "tensorboard_logdir": (("tensorboard", "tensorboardX"), "tensorboard"),
    "wandb_project": (("wandb",), "wandb"),
}
#: The variable by which Weights & Biases and the hosts name a run.
_NAME = "WANDB_NAME"


def refuse_missing_trackers(cfg: Any) -> None:
    """Refuse a run that asks for curves which nothing here can write.

    The hosts warn of it at each pass over the data, and train without.

    Raises
    ------
    ValueError
        If there is one.
    """
    for key, (packages, extra) in _NEEDS.items():
        if _value(cfg, key) and not any(map(importlib.util.find_spec, packages)):
            raise ValueError(
                f"common.{key}={_value(cfg, key)} needs the package {packages[0]}; "
                f"{how_to_install(extra)}, or leave the key out"
            )


@contextlib.contextmanager
def one_tracked_run(cfg: Any, name: str) -> Iterator[None]:
    """Let a training be one run of Weights & Biases, with a name of its own.

    Both hosts begin a run at each pass over the data, which wandb answers by the one that is going
    on, a line on the terminal and an empty folder; and they name it by the folder of the
    checkpoints, so that all have one name. ``WANDB_NAME`` still wins.

    Parameters
    ----------
    cfg
        The host's whole config.
    name
        The run's name.
    """
    if not _value(cfg, "wandb_project") or cfg.distributed_training.distributed_rank not in (
        0,
        None,
    ):
        yield
        return
    wandb: Any = importlib.import_module("wandb")
    begin, named = wandb.init, os.environ.get(_NAME)

    def init(*arguments: Any, **options: Any) -> Any:
        return begin(*arguments, **options) if wandb.run is None else wandb.run

    wandb.init = init
    os.environ[_NAME] = named or name
    try:
        yield
        # Where the training fails, wandb itself says so of the run when the process ends.
        if wandb.run is not None:
            wandb.finish()
    finally:
        wandb.init = begin
        if named is None:
            del os.environ[_NAME]


def _value(cfg: Any, key: str) -> str | None:
    # Not every host has all of them, and omegaconf 2.0 refuses get() of a key that is not there.
    return cfg.common[key] if key in cfg.common else None  # noqa: SIM401
