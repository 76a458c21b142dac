"""Faults of the toolkit's own code, mended in the runs that meet them."""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfmis_plugin.compat.patch import PATCHED_HOST, TOOLKIT, Patch

__all__ = ["FOR_A_RUN"]


def _starts_from_a_checkpoint(cfg: Any) -> bool:
    if cfg.checkpoint.restore_file != "checkpoint_last.pt":
        return True
    return any(Path(cfg.checkpoint.save_dir).glob("checkpoint_last*.pt"))


def _loses_its_epoch() -> bool:
    iterators: Any = importlib.import_module(f"{PATCHED_HOST}.data.iterators")
    loaded = object.__new__(iterators.EpochBatchIterator)
    loaded.epoch, loaded._next_epoch_itr = 1, object()
    return loaded.next_epoch_idx is None


def _return_next_epoch(_: Any) -> None:
    iterators: Any = importlib.import_module(f"{PATCHED_HOST}.data.iterators")
    original = iterators.EpochBatchIterator.next_epoch_idx.fget

    def next_epoch_idx(iterator: Any) -> int:
        epoch: int | None = original(iterator)
        return iterator.epoch if epoch is None else epoch

    iterators.EpochBatchIterator.next_epoch_idx = property(next_epoch_idx)


def _criteria() -> dict[str, Any]:
    registry: dict[str, Any] = importlib.import_module(
        f"{PATCHED_HOST}.criterions"
    ).CRITERION_REGISTRY
    return registry


def _named(name: str, cfg: Any) -> bool:
    return bool(cfg.criterion is not None and cfg.criterion._name == name)


def _name_registered_criterion(cfg: Any) -> None:
    omegaconf: Any = importlib.import_module("omegaconf")
    defaults = importlib.import_module(f"{PATCHED_HOST}.criterions").CRITERION_DATACLASS_REGISTRY
    gather = "all_gather" in cfg.model and cfg.model.all_gather
    names = {"_name": "cmsc", "all_gather": gather}
    with omegaconf.open_dict(cfg):
        structured = omegaconf.OmegaConf.structured(defaults["cmsc"])
        cfg.criterion = omegaconf.OmegaConf.merge(structured, cfg.criterion, names)
        # The task chooses its dataset by this copy.
        cfg.task.criterion_name = "cmsc"


def _fails(name: str) -> bool:
    """Whether a criterion cannot compute its loss for two patients' pairs of records."""
    torch: Any = importlib.import_module("torch")
    outputs = torch.eye(4).unsqueeze(1).repeat(1, 3, 1)  # (records, time, features)

    class Model:
        def __call__(self, **_: Any) -> dict[str, Any]:
            return {}

        def get_logits(self, _: Any, aggregate: bool = False, **__: Any) -> Any:
            return outputs.mean(1) if aggregate else outputs.clone()

    sample = {
        "id": torch.arange(4),
        "net_input": {"source": torch.zeros(4, 12, 8)},
        "patient_id": torch.tensor([0, 0, 1, 1]),
        "segment": torch.tensor([0, 1, 0, 1]),
    }
    settings = types.SimpleNamespace(temp=0.1, eps=1e-8, all_gather=False)
    with contextlib.suppress(Exception), warnings.catch_warnings():  # each fails in its own way
        warnings.simplefilter("ignore")
        return not _criteria()[name](settings, None)(Model(), sample)[1]
    return True


def _pairs(sample: dict[str, Any]) -> int:
    """Return the number of first halves times second halves of the same patient."""
    halves = [sample["patient_id"][sample["segment"] == half] for half in (0, 1)]
    return int((halves[0].unsqueeze(1) == halves[1]).sum())


def _mend_criterion(name: str, count: Callable[[dict[str, Any]], int], _: Any) -> None:
    criterion = _criteria()[name]
    original = criterion.__init__

    @functools.wraps(original)
    def __init__(self: Any, cfg: Any, task: Any) -> None:
        original(self, cfg, task)
        self.kwargs["aggregate"] = True

    def get_sample_size(self: Any, sample: dict[str, Any], target: Any = None) -> Any:
        return sample["sample_size"] if "sample_size" in sample else count(sample)

    criterion.__init__ = __init__
    criterion.get_sample_size = get_sample_size


def _of_criterion(name: str, reason: str, count: Callable[[dict[str, Any]], int]) -> Patch:
    return Patch(
        f"criterion {name} mended",
        reason,
        TOOLKIT,
        functools.partial(_fails, name),
        functools.partial(_mend_criterion, name, count),
        functools.partial(_named, name),
        f"criterion._name={name}",
    )


def _rows(sample: dict[str, Any]) -> int:
    return len(sample["net_input"]["source"])


_NO_MEAN = "it compares outputs that were not averaged over time"
_NO_SIZE = "it takes the number of samples from targets that it derives itself and so does not have"
FOR_A_RUN = (
    Patch(
        "resuming in the middle of an epoch",
        "an iterator loaded from such a checkpoint (checkpoint.save_interval_updates writes them) "
        "names its epoch without returning it, and None is compared with the last epoch",
        TOOLKIT,
        _loses_its_epoch,
        _return_next_epoch,
        _starts_from_a_checkpoint,
        "that start from a checkpoint",
    ),
    Patch(
        "criterion clocs called cmsc",
        "the toolkit's CLOCS recipe names a criterion that is registered under another name",
        TOOLKIT,
        lambda: "clocs" not in _criteria(),
        _name_registered_criterion,
        functools.partial(_named, "clocs"),
        "criterion._name=clocs",
    ),
    _of_criterion("simclr", _NO_SIZE, _rows),
    _of_criterion("3kg", _NO_MEAN, _rows),
    _of_criterion("cmsc", f"{_NO_MEAN}, and {_NO_SIZE}", _pairs),
)
