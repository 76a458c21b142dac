"""Learning curves out of the log that a host leaves in a run's folder."""

from __future__ import annotations

import re
from collections import defaultdict
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
_VALUE = re.compile(r"([\w.]+) (-?[\d.]+(?:e[-+]?\d+)?)$")


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
            figures = dict(map(str.split, found.group(3).strip().split(" | ")))
            ends.append(moment)
            losses.append(float(figures["loss"]))
    moments = [opened or ends[0], *ends] if ends else []
    pairs = zip(moments[:-1], moments[1:], strict=True)
    return EpochTimes(tuple((b - a).total_seconds() for a, b in pairs), tuple(losses))


def learning_curves(checkpoint: Path) -> dict[str, dict[str, Curve]]:
    """Return curves by figure and by ``train`` or ``valid``, of the run that a checkpoint is of.

    An epoch that was run twice, because the run was stopped in the next one, counts once: as it
    came out last. Empty where there is no log beside the checkpoint.
    """
    return curves_of(checkpoint.resolve().parent.parent)


def curves_of(folder: Path) -> dict[str, dict[str, Curve]]:
    """Return the curves of a run's folder; see :func:`learning_curves`."""
    log = folder / LOG_FILE
    if not log.is_file():
        return {}
    points: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.search(line)
        if not found:
            continue
        tag, epoch, rest = found.group(1), int(found.group(2)), found.group(3)
        for part in rest.split("|"):
            value = _VALUE.match(part.strip())
            if value:
                points[value.group(1)][tag][epoch] = float(value.group(2))
    return {
        name: {tag: sorted(by_epoch.items()) for tag, by_epoch in tags.items()}
        for name, tags in points.items()
    }
