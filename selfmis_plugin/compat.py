"""What an unmodified fairseq-signals needs to train here, and no more.

Some of it belongs to the machine (its Python, its omegaconf, no GPU) and is done before the toolkit
is imported: :func:`apply`. The rest are faults of the toolkit's own code, which any machine meets;
each is mended only in a run that would fail by it: :func:`mend_for_run`. Every patch is skipped
where it is not needed: with another host, or in a toolkit that has mended the matter itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import inspect
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Set by ``selfmis train``, so found only in the processes that it starts.
WORKER_HOST = "SELFMIS_WORKER_HOST"
PATCHED_HOST = "fairseq_signals"
#: What was done in this process, by name.
APPLIED: list[str] = []
_TOOLKIT = "fairseq-signals 1.0.0a0 as of April 2025 (6b9e137)"


@dataclass(frozen=True)
class Patch:
    """One thing that the toolkit needs.

    Attributes
    ----------
    name
        What the log line says.
    reason
        What fails without it, and how it is met.
    version
        What it is for.
    needed
        Whether this toolkit needs it here; asked once the toolkit is imported.
    apply
        Does it; takes the run's whole config (None at the start).
    concerns
        Whether a run with this config would fail without it; None: done at the start.
    runs
        Those runs, in words.
    """

    name: str
    reason: str
    version: str
    needed: Callable[[], bool]
    apply: Callable[[Any], None]
    concerns: Callable[[Any], bool] | None = None
    runs: str = "all"


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
        The names of the patches, empty where nothing was needed.
    """
    if host != PATCHED_HOST:
        return []
    done = []
    if sys.version_info >= (3, 11) and host not in sys.modules:
        with hashable_dataclass_defaults() as changed:
            importlib.import_module(host)
        done += [HASHABLE.name] if changed else []
    else:
        importlib.import_module(host)
    return _apply((p for p in AT_THE_START if p is not HASHABLE), None, done)


def mend_for_run(host: str, cfg: Any) -> list[str]:
    """Apply the patches without which a run with the whole config *cfg* would fail.

    Returns
    -------
    list of str
        The names of the patches, empty where nothing was needed.
    """
    if host != PATCHED_HOST:
        return []
    # One at a time: what a patch changes in the config may concern the next.
    return _apply((p for p in FOR_A_RUN if p.concerns and p.concerns(cfg)), cfg, [])


def _apply(patches: Iterable[Patch], cfg: Any, done: list[str]) -> list[str]:
    for patch in patches:
        if patch.needed():
            patch.apply(cfg)
            done.append(patch.name)
    APPLIED.extend(done)
    return done


# -- what the machine makes necessary --------------------------------------------------------------


@contextmanager
def hashable_dataclass_defaults() -> Iterator[list[str]]:
    """Accept dataclass instances as defaults of dataclass fields; yield the classes concerned."""
    original: Callable[..., Any] = dataclasses._get_field  # type: ignore[attr-defined]
    changed: list[str] = []

    def get_field(cls: type, name: str, *args: Any, **kwargs: Any) -> Any:
        default = cls.__dict__.get(name)
        kind = type(default)
        if dataclasses.is_dataclass(kind) and kind.__hash__ is None:
            kind.__hash__ = object.__hash__  # type: ignore[method-assign, assignment]
            changed.append(kind.__name__)
        return original(cls, name, *args, **kwargs)

    dataclasses._get_field = get_field  # type: ignore[attr-defined]
    try:
        yield changed
    finally:
        dataclasses._get_field = original  # type: ignore[attr-defined]


def _lacks_is_primitive_type() -> bool:
    return not hasattr(importlib.import_module("omegaconf._utils"), "is_primitive_type")


def _restore_is_primitive_type(_: Any) -> None:
    utils: Any = importlib.import_module("omegaconf._utils")
    utils.is_primitive_type = utils.is_primitive_type_annotation


def _clips_on_cuda_alone() -> bool:
    if importlib.import_module("torch").cuda.is_available():
        return False
    utils: Any = importlib.import_module(f"{PATCHED_HOST}.utils.utils")
    names = inspect.unwrap(utils.clip_grad_norm_).__code__.co_names
    return "is_available" in names and "current_device" in names


def _clip_without_cuda(_: Any) -> None:
    torch: Any = importlib.import_module("torch")
    utils: Any = importlib.import_module(f"{PATCHED_HOST}.utils.utils")
    original = utils.clip_grad_norm_

    def clip_grad_norm_(params: Any, max_norm: float, aggregate_norm_fn: Any = None) -> Any:
        # The norm is the same as PyTorch's; only its choice of device is replaced.
        current_device = torch.cuda.current_device
        torch.cuda.current_device = lambda: torch.device("cpu")
        try:
            return original(params, max_norm, aggregate_norm_fn)
        finally:
            torch.cuda.current_device = current_device

    utils.clip_grad_norm_ = clip_grad_norm_


HASHABLE = Patch(
    "dataclass defaults made hashable",
    "Python 3.11 refuses unhashable defaults, and the toolkit and hydra-core 1.0 write dataclass "
    "instances as such; their classes get an identity hash before the field is made",
    f"{_TOOLKIT} and hydra-core < 1.1 on Python >= 3.11",
    lambda: False,  # nobody could have imported the toolkit
    lambda _: None,
)
AT_THE_START = (
    HASHABLE,
    Patch(
        "omegaconf._utils.is_primitive_type restored",
        "the toolkit looks the name up, and sets it back, when it loads a checkpoint",
        f"{_TOOLKIT} with omegaconf >= 2.1",
        _lacks_is_primitive_type,
        _restore_is_primitive_type,
    ),
    Patch(
        "gradient clipping without CUDA",
        "clip_grad_norm_ tests the function torch.cuda.is_available instead of calling it, and "
        "then asks for the current CUDA device on a machine that has none",
        f"{_TOOLKIT} without a GPU",
        _clips_on_cuda_alone,
        _clip_without_cuda,
    ),
)

# -- faults of the toolkit, mended in the runs that meet them --------------------------------------


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
        _TOOLKIT,
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
        _TOOLKIT,
        _loses_its_epoch,
        _return_next_epoch,
        _starts_from_a_checkpoint,
        "that start from a checkpoint",
    ),
    Patch(
        "criterion clocs called cmsc",
        "the toolkit's CLOCS recipe names a criterion that is registered under another name",
        _TOOLKIT,
        lambda: "clocs" not in _criteria(),
        _name_registered_criterion,
        functools.partial(_named, "clocs"),
        "criterion._name=clocs",
    ),
    _of_criterion("simclr", _NO_SIZE, _rows),
    _of_criterion("3kg", _NO_MEAN, _rows),
    _of_criterion("cmsc", f"{_NO_MEAN}, and {_NO_SIZE}", _pairs),
)
