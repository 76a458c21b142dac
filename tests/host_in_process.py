"""Trainings of the embedded host in this process, for tests that look inside or need many."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.data.store import Store
from selfmis_plugin.training import beginning
from selfmis_plugin.training import plan as training_plan
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.entry import train_main
from selfmis_plugin.training.split_criterion import SplitCriterion


def short_pretraining(data: Path, batch: int, epochs: int, **more: Any) -> dict[str, Any]:
    """Return changes that make any training of SelfMIS a short one of untrained towers, which keeps
    a checkpoint after every third update."""
    return {
        "task.data": str(data),
        "dataset.batch_size": batch,
        "optimization.max_epoch": epochs,
        "model.multi_lead_checkpoint": None,
        "model.allow_untrained_tower": True,
        "checkpoint.save_interval_updates": 3,
        "dataset.disable_validation": True,
        **more,
    }


class Training:
    """A training as *checkpoint* was, or as a config says, but for *changes*.

    Attributes
    ----------
    losses
        Loss of every batch, training and validation, with its records' numbers.
    read
        Number of leads and of records of every read from a store.
    last
        The last checkpoint.
    """

    def __init__(self, checkpoint: Path | dict[str, Any], folder: Path, **changes: Any) -> None:
        is_config = isinstance(checkpoint, dict)
        cfg = OmegaConf.create(checkpoint if is_config else read_checkpoint(checkpoint)["cfg"])
        # The command line's logging would take the place of pytest's.
        cfg.pop("job_logging_cfg", None)
        cfg.checkpoint.save_dir = str(folder / "checkpoints")
        for key, value in changes.items():
            OmegaConf.update(cfg, key, value)
        self.losses: list[tuple[tuple[int, ...], float]] = []
        self.read: list[tuple[int, int]] = []
        folder.mkdir(parents=True, exist_ok=True)
        # As after the host's command line, which changes into the run folder.
        with pytest.MonkeyPatch.context() as patched, self._watched():
            patched.chdir(folder)
            try:
                train_main(cfg)
            finally:
                _forget()
        self.last = last_checkpoint(folder)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        forward: Callable[..., Any] = SplitCriterion.forward
        read: Callable[..., Any] = Store.read

        def watched_forward(criterion: Any, model: Any, sample: Any, *rest: Any) -> Any:
            loss, records, log = forward(criterion, model, sample, *rest)
            self.losses.append((tuple(sample["id"].tolist()), float(loss.detach()) / records))
            return loss, records, log

        def watched_read(store: Store, rows: Any, leads: Any = None) -> Any:
            self.read.append((len(leads or store.info.leads), len(rows)))
            return read(store, rows, leads)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(SplitCriterion, "forward", watched_forward)
            patched.setattr(Store, "read", watched_read)
            yield


def config_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return a config of the plugin as the host completes it."""
    values: Any = OmegaConf.load(config_file(name))
    values.pop("hydra", None)
    for key, value in changes.items():
        OmegaConf.update(values, key, value)
    whole = OmegaConf.to_container(toolkit.whole_config(values), enum_to_str=True)
    return dict(whole)  # type: ignore[arg-type]


def last_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the last checkpoint of the run in *folder*."""
    return read_checkpoint(folder / "checkpoints/checkpoint_last.pt")


def _forget() -> None:
    """Forget what the host keeps in its modules between two runs."""
    training_plan.set_batches_per_epoch(None)
    beginning.remember(beginning.FRESH)
    toolkit.go_on_at(None)
    toolkit.restore_early_stopping({})
    toolkit.metrics.reset()
    checkpoint_utils = importlib.import_module("fairseq.checkpoint_utils")
    vars(checkpoint_utils.save_checkpoint).pop("best", None)


def same_weights(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether model and criterion of two checkpoints are equal to the bit."""
    return all(
        (first[part] or {}).keys() == (second[part] or {}).keys()
        and all(torch.equal(value, second[part][name]) for name, value in first[part].items())
        for part in ("model", "criterion")
        if first[part] is not None
    )
