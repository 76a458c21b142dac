"""Whether and where a run goes on: in its own folder, or from another run's checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.reading import mapping
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.training import beginning, history, inputs
from selfmis_plugin.training.beginning import FRESH, Beginning
from selfmis_plugin.training.given_files import OWN_LAST, own_last_checkpoint

__all__ = ["ResumeError", "go_on", "go_on_with_host_task"]

logger = logging.getLogger(__name__)

_OWN_FOLDER = "give this run a folder of its own: hydra.run.dir=DIR"


class ResumeError(RuntimeError):
    """A run cannot go on from the checkpoint that lies in its folder."""


def go_on(cfg: Any, start: tuple[str, Path] | None) -> tuple[Path | None, bool]:
    """Prepare what the hosts forget when a task over a store goes on from a checkpoint.

    Parameters
    ----------
    cfg
        The whole config. Where the run has begun from ``checkpoint.restore_file`` already, that
        is put back to its default, so that the host takes the run's own last checkpoint.
    start
        The key that names a checkpoint to begin from, and the checkpoint; None where none is named.

    Returns
    -------
    path : Path or None
        The checkpoint that the host will load.
    ended : bool
        Whether the run has stopped early already.

    Raises
    ------
    ResumeError
        If the folder holds another run: other settings, another beginning, data prepared in
        another way, or other records or checkpoints under the same paths.
    ValueError
        If weights are named that the checkpoint would replace.
    """
    toolkit.restore_early_stopping({})
    history.start_afresh()
    inputs.remember(inputs.digests_of(cfg))
    _begin(FRESH)
    last = own_last_checkpoint(cfg.checkpoint)
    if last is not None and not _goes_back(start, last):
        return last, _resume(cfg, last, start)
    if start is None:
        return None, False
    key, path = start
    checkpoint = _refuse_other_data(path, cfg)
    _refuse_replaced_weights(key, path, checkpoint, cfg)
    if key != "finetune_from_model":
        place = _place(path, checkpoint, cfg)
        named = str(path) if key == "restore_file" else None
        _begin(replace(place, restored_from=named), place.batches)
    return path, False


def go_on_with_host_task(cfg: Any, start: tuple[str, Path] | None) -> None:
    """Let a task of the host's own go on in the middle of an epoch that others have begun."""
    _begin(FRESH)
    key, path = start or ("restore_file", own_last_checkpoint(cfg.checkpoint))
    if path is None or key == "finetune_from_model":
        return
    try:
        place = _place(path, read_checkpoint(path), cfg)
    except (CheckpointError, KeyError):
        return  # it is the host's to read, and to refuse
    _begin(place, place.batches)


def _goes_back(start: tuple[str, Path] | None, last: Path) -> bool:
    """Whether the run is asked to go on from an earlier checkpoint of its own folder."""
    return (
        start is not None
        and start[0] == "restore_file"
        and start[1].parent.resolve() == last.parent.resolve()
    )


def _resume(cfg: Any, last: Path, start: tuple[str, Path] | None) -> bool:
    checkpoint = _refuse_other_data(last, cfg)
    begun = _beginning_of(checkpoint)
    if start is not None and start[0] == "restore_file":
        if begun.restored_from != str(start[1]):
            raise ResumeError(
                f"{last} belongs to a run that did not begin from checkpoint.restore_file="
                f"{start[1]}: leave that out to go on with it, or {_OWN_FOLDER}"
            )
        cfg.checkpoint.restore_file = OWN_LAST
    if _processes(checkpoint["cfg"]) == _processes(cfg):
        _begin(begun)
    else:
        place = _place(last, checkpoint, cfg)
        _begin(replace(place, restored_from=begun.restored_from), place.batches)
    if cfg.checkpoint.reset_meters or cfg.checkpoint.reset_optimizer:
        return False
    changed = _changed_settings(checkpoint["cfg"], OmegaConf.to_container(cfg, resolve=True))
    if changed:
        raise ResumeError(
            f"{last} belongs to a run with other settings ({'; '.join(changed)}), so this one "
            "would go on from it and not be what it says. Give it a folder of its own: "
            "hydra.run.dir=DIR"
        )
    if others := inputs.others(mapping(checkpoint["task_state"].get("inputs"))):
        raise ResumeError(
            f"{last} belongs to a run that read something else under the same name: what "
            f"{', '.join(others)} names has changed since. Put that back, or {_OWN_FOLDER}"
        )
    return _has_stopped_early(last, checkpoint["task_state"]["early_stopping"], cfg)


def _has_stopped_early(last: Path, stopping: dict[str, Any], cfg: Any) -> bool:
    """Restore early stopping from the last checkpoint; say whether it had ended the run."""
    toolkit.restore_early_stopping(stopping)
    patience = cfg.checkpoint.patience
    ended = patience > 0 and stopping["best"] is not None and stopping["num_runs"] >= patience
    if ended:
        logger.info(
            "%s: this run has stopped early already (no improvement in %d validations); its best "
            "checkpoint is checkpoint_best.pt. Nothing to do.",
            last,
            patience,
        )
    return bool(ended)


def _refuse_other_data(path: Path, cfg: Any) -> dict[str, Any]:
    """Return the checkpoint that the host will load; refuse one trained on other data."""
    try:
        checkpoint = read_checkpoint(path)
        state = checkpoint["task_state"]
        trained_on = Preprocessing.from_dict(state["preprocessing"])
    except (CheckpointError, KeyError, ValueError) as error:
        raise ResumeError(
            f"{path} cannot be resumed from ({error}). If it was cut short, delete it: "
            f"checkpoint_best.pt beside it is kept. If it is another task's, {_OWN_FOLDER}"
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
            f"on the same data, or {_OWN_FOLDER}"
        )
    history.go_on_from(checkpoint, path.name)
    return checkpoint


def _refuse_replaced_weights(key: str, path: Path, checkpoint: dict[str, Any], cfg: Any) -> None:
    """Refuse weights for a part of the model that *path*, which holds the whole, would replace."""
    trained_with = mapping(mapping(checkpoint.get("cfg")).get("model"))
    for name in cfg.model:
        value = cfg.model[name] if str(name).endswith("_checkpoint") else None
        if value is not None and value != trained_with.get(name):
            raise ValueError(
                f"model.{name}={value} would be loaded and then replaced: checkpoint.{key}={path} "
                f"holds the whole model. Keep one of them (model.{name}=null, or "
                f"checkpoint.{key} left out)"
            )


#: What makes a run what it is. A longer run, other hardware or another place for logs do not.
_IDENTITY: dict[str, set[str]] = {
    "task": {"cache_frozen_embeddings", "embedding_cache_dir", "num_workers"},
    "model": {"compile", "activation_checkpointing", "allow_untrained_tower"},
    "criterion": {"max_epoch"},
    "optimizer": set(),
    "lr_scheduler": {"max_epoch", "max_update"},
    "optimization": {"max_epoch", "max_update", "stop_time_hours", "stop_min_lr"},
    "dataset": {"num_workers", "data_buffer_size", "max_valid_steps", "batch_size_valid"},
}


def _changed_settings(saved: Any, now: Any) -> list[str]:
    """Say which settings of a saved run are others now, one line each."""
    changed = []
    same_batch = _batches_an_update(saved) == _batches_an_update(now)
    for section, free in _IDENTITY.items():
        before, after = saved.get(section) or {}, now.get(section) or {}
        changed += [
            f"{section}.{key} was {before[key]!r}, is {after[key]!r}"
            for key in after
            if key in before
            and key not in free
            and before[key] != after[key]
            and not (key == "update_freq" and same_batch)
        ]
    if saved["common"]["seed"] != now["common"]["seed"]:
        changed.append(f"common.seed was {saved['common']['seed']}, is {now['common']['seed']}")
    return changed


def _processes(cfg: Any) -> int:
    return int(cfg["distributed_training"]["distributed_world_size"])


def _batches_an_update(cfg: Any) -> list[int]:
    """Return the batches of all processes that make an update, for each epoch."""
    return [_processes(cfg) * int(freq) for freq in cfg["optimization"]["update_freq"]]


def _beginning_of(checkpoint: Mapping[str, Any]) -> Beginning:
    """Return where the run of a checkpoint began; 0.1 wrote it into the config alone."""
    begun = Beginning.from_dict(mapping(checkpoint.get("task_state")).get("beginning"))
    named = mapping(mapping(checkpoint.get("cfg")).get("checkpoint")).get("restore_file", OWN_LAST)
    return begun if named == OWN_LAST else replace(begun, restored_from=named)


def _begin(place: Beginning, batches: int | None = None) -> None:
    """Let the run be counted from *place*, and the epoch of its checkpoint go on after *batches*;
    None: where the checkpoint says."""
    beginning.remember(place)
    toolkit.go_on_at(batches)


def _place(path: Path, checkpoint: Mapping[str, Any], cfg: Any) -> Beginning:
    """Return where a checkpoint's training goes on with the present number of processes."""
    history, saved = checkpoint["optimizer_history"], checkpoint["extra_state"]["train_iterator"]
    forgets = cfg.checkpoint.reset_optimizer or checkpoint.get("last_optimizer_state") is None
    updates = 0 if forgets else int(history[-1]["num_updates"])
    if cfg.checkpoint.reset_dataloader:
        return Beginning(updates=updates)
    epoch, batches = int(saved["epoch"]), int(saved["iterations_in_epoch"])
    before, now = _processes(checkpoint["cfg"]), _processes(cfg)
    if before == now:
        return Beginning(epoch=epoch, batches=batches, updates=updates)
    place = Beginning(
        epoch=epoch,
        batches=_shared_anew(batches, before, now, _of_epoch(cfg.optimization.update_freq, epoch)),
        updates=updates,
    )
    logger.info(
        "%s: a run of %d process%s goes on with %d: %s. %s",
        *(path, before, "" if before == 1 else "es", now),
        _where(place, batches * before, place.batches * now),
        _update_size(checkpoint["cfg"], cfg),
    )
    return place


def _of_epoch(values: Sequence[int], epoch: int) -> int:
    return int(values[min(epoch, len(values)) - 1])


def _shared_anew(batches: int, before: int, now: int, update_freq: int) -> int:
    """Return the batches that each of *now* processes counts as read, where *before* processes
    had read *batches* each: whole updates, none too many."""
    return batches * before // (now * update_freq) * update_freq


def _where(place: Beginning, read: int, counted: int) -> str:
    """Say where a run goes on whose epoch had *read* batches, of which *counted* are left out."""
    again = f", of which {read - counted} are read again" if read > counted else ""
    begun = f"after {read} of its batches{again}" if read else "with its first batch"
    return f"in epoch {place.epoch}, {begun}, and after {place.updates} updates"


def _update_size(saved: Any, now: Any) -> str:
    """Say how many batches make an update, then and now, and how to keep their number."""
    before, after = _batches_an_update(saved), _batches_an_update(now)
    if before == after:
        return f"An update takes {after[0]} batches, as before"
    whole = all(batches % _processes(now) == 0 for batches in before)
    freq = [batches // _processes(now) for batches in before]
    keep = f"; optimization.update_freq={freq} keeps {before[0]}" if whole else ""
    return f"An update takes {after[0]} batches, and took {before[0]}{keep}"
