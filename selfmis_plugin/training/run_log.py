"""Learning curves out of the log that a host leaves in a run's folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from selfmis_plugin.visualization.learning import Curve

#: The host's own log, in the run's folder.
LOG_FILE = "hydra_train.log"
#: What this plugin writes beside it when the training ends, for programs.
JSON_FILE = "run.json"

#: When a line was written, and by whom.
_STAMP = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\]\[([\w.]+)\]")
#: Who says that the training data are open, before anything is read of them.
_OPENED_BY = "selfmis_plugin.training.store_task"
_LINE = re.compile(r"\[(train|valid)\]\[INFO\] - epoch (\d+) \|(.*)")
# A name may be a label's, with slashes, dashes and spaces in it.
_VALUE = re.compile(r"(.+) (-?[\d.]+(?:e[-+]?\d+)?)")
#: What both hosts say where a training begins with nothing to go on from.
_AFRESH = re.compile(r"\[INFO\] - No existing checkpoint found")


@dataclass(frozen=True)
class EpochTimes:
    """How long the epochs of a run took.

    Attributes
    ----------
    seconds
        Of every epoch, its checkpoints not counted where they are written after the epoch's line.
        The first is counted from where the data were opened, so that embeddings which it keeps are
        in it.
    losses
        Training loss of every epoch.
    """

    seconds: tuple[float, ...]
    losses: tuple[float, ...]


def epoch_times(folder: Path) -> EpochTimes:
    """Return how long each epoch of a run took that was not interrupted, by its log.

    Empty where no epoch has ended.
    """
    opened: datetime | None = None
    ends: list[datetime] = []
    losses: list[float] = []
    text = (folder / LOG_FILE).read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        stamp = _STAMP.match(line)
        if stamp is None:
            continue
        moment = datetime.strptime(stamp.group(1), "%Y-%m-%d %H:%M:%S,%f")
        if opened is None and stamp.group(2) == _OPENED_BY:
            opened = moment
        found = _LINE.search(line)
        if found and found.group(1) == "train":
            ends.append(moment)
            losses.append(_figures(found.group(3))["loss"])
    moments = [opened or ends[0], *ends] if ends else []
    pairs = zip(moments[:-1], moments[1:], strict=True)
    return EpochTimes(tuple((b - a).total_seconds() for a, b in pairs), tuple(losses))


def learning_curves(checkpoint: Path) -> dict[str, dict[str, Curve]]:
    """Return curves by figure and by ``train`` or ``valid``, of the run that a checkpoint is of.

    An epoch that was run twice counts once, as it came out last, and the epochs after it are those
    that were run since: the log has every start in a folder, such as one whose checkpoints were
    removed. Empty where there is no log beside the checkpoint.
    """
    return curves_of(checkpoint.resolve().parent.parent)


def curves_of(folder: Path) -> dict[str, dict[str, Curve]]:
    """Return the curves of a run's folder; see :func:`learning_curves`."""
    points: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for line in _standing(_lines(folder)):
        for name, value in line.figures.items():
            points[name][line.tag][line.epoch] = value
    return {
        name: {tag: sorted(by_epoch.items()) for tag, by_epoch in tags.items()}
        for name, tags in points.items()
    }


def validation_after(folder: Path, epoch: int, updates: int) -> dict[str, float]:
    """Return the figures that a run logged last of a validation in an epoch, after so many updates.

    Empty where its log has none such.
    """
    written = float(f"{updates:g}")  # as the hosts write numbers
    found: dict[str, float] = {}
    for line in _lines(folder):
        if line is None or (line.tag, line.epoch) != ("valid", epoch):
            continue
        if line.figures.get("num_updates") == written:
            found = line.figures
    return found


@dataclass(frozen=True)
class _Line:
    tag: str
    epoch: int
    figures: dict[str, float]


def _lines(folder: Path) -> Iterator[_Line | None]:
    """Yield the lines of epochs in a run's log, and None for a start with nothing to go on from."""
    log = folder / LOG_FILE
    if not log.is_file():
        return
    for text in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.search(text)
        if found:
            yield _Line(found.group(1), int(found.group(2)), _figures(found.group(3)))
        elif _AFRESH.search(text):
            yield None


def _figures(text: str) -> dict[str, float]:
    parts = (_VALUE.fullmatch(part.strip()) for part in text.split(" | "))
    return {part.group(1): float(part.group(2)) for part in parts if part}


def _standing(lines: Iterable[_Line | None]) -> list[_Line]:
    """Return the lines that no later start has replaced, in the order of their epochs."""
    kept: list[_Line] = []
    ended = 0  # An epoch's training line is its last, after its validations.
    for line in lines:
        if line is None:
            kept, ended = [], 0
            continue
        replaced = line.epoch if line.epoch <= ended else line.epoch + 1
        while kept and kept[-1].epoch >= replaced:
            kept.pop()
        kept.append(line)
        ended = line.epoch if line.tag == "train" else min(ended, line.epoch - 1)
    return kept
