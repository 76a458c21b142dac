"""Learning curves out of the log that a host leaves in a run's folder."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from selfmis_plugin.visualization.learning import Curve

#: The host's own log, in the run's folder.
LOG_FILE = "hydra_train.log"
#: What this plugin writes beside it when the training ends, for programs.
JSON_FILE = "run.json"

_LINE = re.compile(r"\[(train|valid)\]\[INFO\] - epoch (\d+) \|(.*)")
_VALUE = re.compile(r"([\w.]+) (-?[\d.]+(?:e[-+]?\d+)?)$")


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
