"""What a method is made of: trainings before the labels, and a classifier on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        Config key that takes the encoder's checkpoint.
    starts_from
        Mode of the same method whose best checkpoint ``encoder_key`` takes in place of the
        encoder's: the second of two stages. It is run too where it is not asked for.
    about
        What the mode is, in a few words for the report.
    """

    config: str | None
    overrides: Mapping[str, object] = field(default_factory=dict)
    encoder_key: str = "model.encoder_checkpoint"
    starts_from: str | None = None
    about: str = ""


PROBE, FINETUNE, ZERO_SHOT = "probe", "finetune", "zero_shot"
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
        Name of its row in the paper's table 1 or table 5, if it has one.
    ablation
        For rows of table 5: the mode that table is about.
    """

    name: str
    title: str
    encoder: Stage | None
    modes: Mapping[str, Classifier]
    paper: str | None = None
    ablation: str | None = None

    def stages(self) -> Iterator[Stage]:
        """Yield the stages that the method needs, each after what it starts from."""
        if self.encoder is not None:
            yield from _closure(self.encoder)


def _closure(stage: Stage) -> Iterator[Stage]:
    for source in stage.starts_from.values():
        yield from _closure(source)
    yield stage
