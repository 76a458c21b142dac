"""What the infarction benchmark is asked to run, and where in its folder each thing lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfmis_plugin.benchmark.graph import Here, Places
from selfmis_plugin.methods.method import LABELLED, Method, Stage
from selfmis_plugin.metrics.defaults import DRAWS

#: What a config's name ends with at each size.
SIZES: Mapping[str, str] = {"full": "", "small": "_small"}
#: Config key of a learning rate.
RATE = "optimization.lr"

__all__ = [
    "Cell",
    "InfarctionError",
    "RATE",
    "SIZES",
    "Settings",
    "brought",
    "cell_file",
    "cell_run",
    "further_keys",
    "given_file",
    "labelled_folder",
    "stage_checkpoint",
    "stage_file",
    "stage_name",
    "stage_run",
]


class InfarctionError(RuntimeError):
    """The benchmark cannot be run as asked; the message says what to do."""


@dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes
    ----------
    dest
        Folder of the benchmark. Finished cells in it are not run again.
    methods
        The rows.
    data
        Folder of a store, or of manifests, by role.
    fractions
        Shares of the labelled training records.
    seeds
        A seed sets weights, order of records, and which records a fraction takes.
    modes
        How methods are judged: ``probe``, ``finetune`` and what methods add, or ``METHOD/MODE`` for
        one of them alone. A mode that another starts from, of the same method or of another, is run
        for it, and reported where it is asked for.
    size
        ``full`` or ``small``: which configs.
    given
        Checkpoints of the user in place of stages, by the stage's ``given_by``.
    overrides
        Further config keys: for every training (``""``), or one stage or mode, by its name, or a
        method's mode, as ``method/mode``.
    budget
        ECGs that each method's pre-training reads, as whole epochs; None: as the configs say.
    workers
        Trainings at a time on this machine.
    cluster
        Other machines in its place.
    others
        Methods that are no rows, and that rows may start from.
    draws
        Bootstrap draws of each cell's intervals; 0 leaves them out.
    made
        Checkpoints of another run in place of steps that others start from, by the step's name.
    former_heads
        Whether new heads begin as in version 0.1, in a folder that it began.
    """

    dest: Path
    methods: Sequence[Method]
    data: Mapping[str, Path]
    fractions: Sequence[float] = (1.0,)
    seeds: Sequence[int] = (1,)
    modes: Sequence[str] = ("probe", "finetune")
    size: str = "full"
    given: Mapping[str, Path] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    budget: int | None = None
    workers: int = 1
    others: Sequence[Method] = ()
    draws: int = DRAWS
    made: Mapping[str, Path] = field(default_factory=dict)
    former_heads: bool = False
    cluster: Places | None = None

    @property
    def places(self) -> Places:
        """Where trainings run."""
        return self.cluster or Here(self.workers)

    def known(self, name: str) -> Method | None:
        """Return the method of a name; None if there is none, as a row or beside them."""
        named = (method for method in (*self.methods, *self.others) if method.name == name)
        return next(named, None)

    def asked(self, method: Method) -> list[str]:
        """Return the modes of a method that are asked for."""
        asked = []
        for name in self.modes:
            of, _, mode = name.rpartition("/")
            if mode in method.modes and of in ("", method.name):
                asked.append(mode)
        return list(dict.fromkeys(asked))

    def names(self) -> list[str]:
        """Return the names of all methods that are known."""
        return list(dict.fromkeys(method.name for method in (*self.methods, *self.others)))


@dataclass(frozen=True)
class Cell:
    """One classifier: a method, judged in one way, on a fraction of the labels, for one seed.

    The fraction is 0 where nothing is trained on the labels.
    """

    method: Method
    mode: str
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell, and its place below the benchmark's folder."""
        return f"seed{self.seed}/{self.method.name}/{self.mode}/{self.fraction:g}"


def given_file(settings: Settings, stage: Stage) -> Path | None:
    """Return the user's file that takes the place of a stage, if there is one."""
    return settings.given.get(stage.given_by) if stage.given_by else None


def brought(settings: Settings, stage: Stage, seed: int) -> Path | None:
    """Return what takes the place of a stage: the user's file, or another run's checkpoint."""
    return given_file(settings, stage) or settings.made.get(stage_name(stage, seed))


def further_keys(settings: Settings, *names: str) -> dict[str, object]:
    """Return the user's config keys for a stage, mode or cell; later names' win over those for
    all."""
    return {
        key: value
        for name in ("", *names)
        for key, value in settings.overrides.get(name, {}).items()
    }


def stage_name(stage: Stage, seed: int) -> str:
    """Return the name of a stage's step."""
    return f"seed{seed}/{stage.name}"


def stage_run(settings: Settings, stage: Stage, seed: int) -> Path:
    """Return the folder of a stage's training."""
    return settings.dest / f"seed{seed}" / "stages" / stage.name


def stage_file(settings: Settings, stage: Stage, seed: int) -> Path:
    """Return the file that says that a stage is done, and what it took."""
    return stage_run(settings, stage, seed) / "stage.json"


def stage_checkpoint(settings: Settings, stage: Stage, seed: int) -> Path:
    """Return where a stage's checkpoint is, or the file that takes its place."""
    there = brought(settings, stage, seed)
    return there or stage_run(settings, stage, seed) / "checkpoints" / stage.checkpoint


def cell_file(settings: Settings, cell: Cell) -> Path:
    """Return the file that says that a cell is done, and its figures."""
    return settings.dest / cell.name / "cell.json"


def cell_run(settings: Settings, cell: Cell) -> Path:
    """Return the folder of a cell's training."""
    return settings.dest / cell.name / "run"


def labelled_folder(settings: Settings, fraction: float, seed: int) -> Path:
    """Return the folder of manifests; a part of the training records has its own."""
    if fraction == 1:
        return settings.data[LABELLED]
    return settings.dest / f"seed{seed}" / "labels" / f"{fraction:g}"
