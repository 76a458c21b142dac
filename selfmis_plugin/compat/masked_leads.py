"""Random numbers of the toolkit's random lead masking, the same however a run is cut into starts.

The toolkit seeds NumPy once a start, and draws from it which leads of a record are zero and which
time steps the model masks; with no loader processes a thread that reads ahead draws the first while
the training draws the second. So a run that goes on draws others than one that was never stopped,
and one of no loader processes differs from itself.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from selfmis_plugin.compat.patch import PATCHED_HOST, TOOLKIT, Patch

__all__ = ["MASKED_LEADS"]

MODE = "random_leads_masking"


def _modules(*names: str) -> Any:
    return (importlib.import_module(f"{PATCHED_HOST}.{name}") for name in names)


def _is_seeded_once() -> bool:
    """Whether NumPy is left as it is where the trainer seeds an update."""
    numpy, torch = (importlib.import_module(name) for name in ("numpy", "torch"))
    (trainer,) = _modules("trainer")
    like: Any = type("Like", (), {"get_num_updates": lambda self: 1})()
    like.cfg = type("Cfg", (), {"common": type("Common", (), {"seed": 1})})
    before = numpy.random.get_state()
    try:
        numpy.random.seed(999)
        expected = numpy.random.get_state()[1]
        numpy.random.seed(999)
        with torch.random.fork_rng(devices=[]):
            trainer.Trainer._set_seed(like)
        return bool((numpy.random.get_state()[1] == expected).all())
    finally:
        numpy.random.set_state(before)


def _masks_leads(cfg: Any) -> bool:
    task = getattr(cfg, "task", None)
    # omegaconf 2.0 refuses get() of a key that is not there.
    modes = task.perturbation_mode if task is not None and "perturbation_mode" in task else None
    return MODE in (modes or ())


def _seed(_: Any) -> None:
    numpy: Any = importlib.import_module("numpy")
    trainer, tasks, utils = _modules("trainer", "tasks.task", "data.data_utils")
    raw, pairs = _modules("data.ecg.raw_ecg_dataset", "data.ecg.cmsc_ecg_dataset")
    _seed_updates(trainer.Trainer, numpy)
    _seed_records((raw.FileECGDataset, pairs.CMSCECGDataset), utils.numpy_seed)
    _tell_the_seed(tasks.Task, raw.RawECGDataset)


def _seed_updates(trainer: Any, numpy: Any) -> None:
    """Seed NumPy where the toolkit seeds PyTorch: by the run's seed and the update."""
    original = trainer._set_seed

    @functools.wraps(original)
    def _set_seed(self: Any) -> None:
        original(self)
        numpy.random.seed(self.cfg.common.seed + self.get_num_updates())

    trainer._set_seed = _set_seed


def _seed_records(datasets: tuple[Any, ...], numpy_seed: Any) -> None:
    """Draw what is changed of a record by the run's seed, the epoch and the record."""
    for dataset in datasets:
        dataset.__getitem__ = _seeded(dataset.__getitem__, numpy_seed)
        dataset.set_epoch = lambda self, epoch: setattr(self, "drawn_epoch", epoch)


def _seeded(original: Any, numpy_seed: Any) -> Any:
    @functools.wraps(original)
    def __getitem__(self: Any, index: Any) -> Any:
        seed, epoch = getattr(self, "drawn_seed", 1), getattr(self, "drawn_epoch", 1)
        with numpy_seed(seed, epoch, int(index)):
            return original(self, index)

    return __getitem__


def _tell_the_seed(task: Any, kind: Any) -> None:
    """Tell a dataset that draws the run's seed, and read it in the thread that trains."""
    original = task.get_batch_iterator

    @functools.wraps(original)
    def get_batch_iterator(self: Any, dataset: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(dataset, kind) and dataset.apply_perturb:
            dataset.drawn_seed = options.get("seed", 1)
            if not options.get("num_workers", 0):
                options["data_buffer_size"] = 0
        return original(self, dataset, *arguments, **options)

    task.get_batch_iterator = get_batch_iterator


MASKED_LEADS = Patch(
    "random lead masking drawn by seed, update and record",
    "its draws are NumPy's, seeded once a start and shared with a thread that reads ahead: a run "
    "that is resumed masks other leads and time steps than one that was not stopped",
    TOOLKIT,
    _is_seeded_once,
    _seed,
    _masks_leads,
    f"with {MODE} in task.perturbation_mode",
)
