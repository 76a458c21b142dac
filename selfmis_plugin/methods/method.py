"""What a method is made of: trainings before the labels, and a classifier on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: Roles of the data that a training may read.
LABELLED, UNLABELLED, ARCHIVE = "labelled", "unlabelled", "archive"
ROLES = (LABELLED, UNLABELLED, ARCHIVE)

#: What a training keeps: the checkpoint of its best validation, or where it validates none, its
#: last.
BEST, LAST = "checkpoint_best.pt", "checkpoint_last.pt"


@dataclass(frozen=True)
class Export:
    """Files that a training of the host's own reads in place of a store.

    Attributes
    ----------
    kind, scale
        As ``selfmis prepare export`` takes them; the sample rate is the config's.
    """

    kind: str
    scale: str = "zscore"


@dataclass(frozen=True)
class Stage:
    """A training before the labelled data are seen; methods share it by sharing the object.

    Attributes
    ----------
    name
        Name of its folder, unique.
    config
        Name of the YAML file at full size; ``CONFIG_small`` is the one for a CPU.
    data
        What it reads: unlabelled records, or an archive whose labels are not the benchmark's.
    starts_from
        Config keys of checkpoints, and the stages that make them.
    overrides
        Further config keys.
    given_by
        Name of the user's option that takes its place by a file, such as ECGFounder's weights.
    rates
        Learning rates that trials compare, by size (``full``, ``small``): four, as of every method.
        Sizes that it does not name are not tuned.
    share
        What it takes of the ECGs that a method may read, where they are counted; less than 1 where
        the method has several trainings.
    needs_file
        Whether only that file can be it, as nobody here trains it: the config says then what the
        host must have for the network.
    export
        The files that it reads, if they are not the store itself.
    checkpoint
        Which of its checkpoints holds the encoder.
    """

    name: str
    config: str
    data: str
    starts_from: Mapping[str, Stage] = field(default_factory=dict)
    overrides: Mapping[str, object] = field(default_factory=dict)
    given_by: str | None = None
    export: Export | None = None
    checkpoint: str = BEST
    needs_file: bool = False
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.needs_file and self.given_by is None:
            raise ValueError(f"the stage {self.name!r} needs a file, and no option gives it")


@dataclass(frozen=True)
class Mode:
    """A method as one of its modes judges it, by their names: another method's may be meant."""

    method: str
    mode: str


#: What a classifier starts from: a stage, another method's classifier, or the own mode of a name.
Source = Stage | Mode | str


def numbered(key: str, place: int) -> str:
    """Return the name under which one of several sources of a config key is known."""
    return f"{key}[{place}]"


def list_of_key(name: str) -> str | None:
    """Return the config key that takes a list, if a source is one of several; None otherwise."""
    key, bracket, _ = name.partition("[")
    return key if bracket else None


@dataclass(frozen=True)
class Classifier:
    """How a method's encoder is trained and judged on labels.

    Attributes
    ----------
    config
        Name of the YAML file at full size; ``CONFIG_small`` is the one for a CPU. None where
        nothing is trained: the encoder's checkpoint is judged by the head that it has.
    overrides
        Further config keys.
    encoder_key
        Config key that takes the checkpoint of the method's encoder.
    starts_from
        A mode, of the same method by its name or another's as a :class:`Mode`, whose best
        checkpoint ``encoder_key`` takes in place of the encoder's: the second of two stages. Or,
        for a classifier that needs several checkpoints, sources by config key; ``encoder_key``
        takes the encoder's beside them unless it is one of them. A key that takes a list has
        several sources. Classifiers that are named are
        those of the same seed and fraction; they are run too where nobody asks for them.
    about
        What the mode is, in a few words for the report.
    rates
        As a stage's, where the classifier's own training is what the method is.
    rate_of
        Mode of the same method whose learning rate it takes where trials choose one: the same
        training on fewer records.
    untrained
        Whether the encoder keeps its random weights: what the method's pre-training has to beat.
    reads
        Config keys that take folders of data beside ``task.data``, by role; a role that nobody
        gives is left out.
    maker
        Where its checkpoint is not trained but made of others: the name of what makes it, among
        the ``MAKERS`` of modules ``maker`` (:mod:`selfmis_plugin.utils.plugins`). There is no
        config then.
    """

    config: str | None
    overrides: Mapping[str, object] = field(default_factory=dict)
    encoder_key: str = "model.encoder_checkpoint"
    starts_from: str | Mode | Mapping[str, Source | tuple[Source, ...]] | None = None
    about: str = ""
    untrained: bool = False
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    maker: str | None = None
    reads: Mapping[str, str] = field(default_factory=dict)
    rate_of: str | None = None
    predictor: str | None = None

    def __post_init__(self) -> None:
        if self.untrained and (self.config is None or self.starts_from is not None):
            raise ValueError("an untrained encoder starts from nothing, and its head is trained")
        if self.maker is not None and self.config is not None:
            raise ValueError(f"a classifier is trained by {self.config} or made by {self.maker}")
        if self.predictor is not None and (self.config or self.maker or self.starts_from):
            raise ValueError(f"what {self.predictor} predicts has no checkpoint, and needs none")

    @property
    def is_judged_alone(self) -> bool:
        """Whether nothing is trained or made: the encoder's checkpoint is judged as it is."""
        return self.config is None and self.maker is None and self.predictor is None

    def sources(self) -> Mapping[str, Source]:
        """Return by config key what ``starts_from`` names; :func:`numbered` where several do."""
        if self.starts_from is None:
            return {}
        if isinstance(self.starts_from, str | Mode):
            return {self.encoder_key: self.starts_from}
        found: dict[str, Source] = {}
        for key, named in self.starts_from.items():
            if isinstance(named, tuple):
                found |= {numbered(key, place): one for place, one in enumerate(named)}
            else:
                found[key] = named
        return found


PROBE, FINETUNE, ZERO_SHOT, UNTRAINED = "probe", "finetune", "zero_shot", "untrained"
#: No signal is read at all.
NO_ECG = "no_ecg"
LEAD_I = {"task.leads": ("I",)}


@dataclass(frozen=True)
class Method:
    """A row of the benchmark.

    Attributes
    ----------
    name
        Name on the command line.
    title
        Name in the tables.
    encoder
        The stage whose encoder is judged; None where there is none.
    modes
        How it is judged, by name: ``probe``, ``finetune``, ``zero_shot`` and what a method adds.
    paper
        Name of its row in the paper's tables, if it has one.
    ablation
        For rows of table 5: the mode that table is about.
    reference
        Whether the table of fractions compares the others with it.
    subject
        Whether the comparison of costs is about it.
    floor
        What its probe has to beat, an untrained encoder of its kind: by default its own mode
        ``untrained``, if it has one.
    generates
        Whether it makes leads for a classifier of twelve: a row of table 2.
    by_name
        Whether it is a row only where somebody names it.
    """

    name: str
    title: str
    encoder: Stage | None
    modes: Mapping[str, Classifier]
    paper: str | None = None
    ablation: str | None = None
    reference: bool = False
    subject: bool = False
    floor: Mode | None = None
    generates: bool = False
    by_name: bool = False

    def __post_init__(self) -> None:
        if self.floor is None and UNTRAINED in self.modes:
            object.__setattr__(self, "floor", Mode(self.name, UNTRAINED))

    def stages(self) -> Iterator[Stage]:
        """Yield the stages of the encoder and those that classifiers name, each after what it
        starts from; one that several need comes again."""
        if self.encoder is not None:
            yield from with_its_sources(self.encoder)
        for classifier in self.modes.values():
            for source in classifier.sources().values():
                if isinstance(source, Stage):
                    yield from with_its_sources(source)


def with_its_sources(stage: Stage) -> Iterator[Stage]:
    """Yield what a stage starts from, and the stage after it."""
    for source in stage.starts_from.values():
        yield from with_its_sources(source)
    yield stage


def owners_first(methods: Iterable[Method]) -> list[Method]:
    """Return methods with those last that make leads by what another method may have trained: a
    stage that several share is then the first one's own."""
    return sorted(methods, key=lambda method: method.generates)


@dataclass(frozen=True)
class Claim:
    """What a report puts to the test: that the first is better than the second."""

    text: str
    first: Mode
    second: Mode
