"""What figures with intervals, and a report's pictures of them, take of a large split."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.statistics import judge
from selfmis_plugin.report.figures import draw_calibration, draw_intervals, draw_roc, roc_bands
from selfmis_plugin.report.page import Picture

__all__ = ["Costs", "measure_figures", "synthetic_predictions"]

#: Labels whose curves a report draws.
_DRAWN = 9


@dataclass(frozen=True)
class Costs:
    """What it took.

    Attributes
    ----------
    seconds
        Processor time of this process by part: ``file`` (predictions written and read), ``aucs``,
        ``record``, ``patient`` (all figures with intervals, by unit) and ``pictures``.
    peak_memory
        Most bytes that this process has held.
    """

    seconds: dict[str, float]
    peak_memory: int

    @property
    def evaluate(self) -> float:
        """Seconds of what ``selfmis evaluate`` does once a model has said what it thinks."""
        return sum(self.seconds[part] for part in ("file", "aucs", "record", "patient"))

    @property
    def report(self) -> float:
        """Seconds of the same in ``selfmis report``, which draws pictures too."""
        return self.evaluate + self.seconds["pictures"]


def synthetic_predictions(
    records: int, labels: int, share: float = 0.02, seed: int = 0
) -> Predictions:
    """Return drawn logits of records that have each label with a probability of *share*.

    Positives lie 1.5 standard deviations above the others; a patient has two records.
    """
    rng = np.random.default_rng(seed)
    targets = rng.random((records, labels)) < share
    logits = rng.standard_normal(targets.shape, dtype=np.float32)
    logits += np.float32(1.5) * targets - np.float32(4.0)
    return Predictions(
        tuple(f"r{number}" for number in range(records)),
        tuple(f"p{number // 2}" for number in range(records)),
        tuple(f"L{number}" for number in range(labels)),
        targets,
        logits,
    )


def measure_figures(predictions: Predictions, draws: int) -> Costs:
    """Compute and draw all that a report has of predictions, and say what it took.

    Parameters
    ----------
    predictions
        Logits and truth.
    draws
        Bootstrap draws, at least 1.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        seconds[part] = time.process_time() - began

    with tempfile.TemporaryDirectory() as folder, timed("file"):
        predictions.write(Path(folder) / "predictions.parquet")
        predictions = Predictions.read(Path(folder) / "predictions.parquet")
    with timed("aucs"):
        auc_report(predictions.targets, predictions.logits, predictions.labels, ())
    with timed("record"):
        by_record = judge(predictions, draws)
    with timed("patient"):
        judge(predictions.by_patient(), draws)
    with timed("pictures"):
        shown = [
            label
            for label in predictions.labels[:_DRAWN]
            if by_record.labels[label].auc.value is not None
        ]
        bands = roc_bands(predictions, by_record, shown)
        Picture.of(
            "auc",
            "",
            draw_intervals(by_record, predictions.labels),
            draw_intervals(by_record, predictions.labels, short=True),
        )
        if shown:
            Picture.of("roc", "", draw_roc(bands, by_record), draw_roc(bands, by_record, columns=1))
            Picture.of(
                "calibration",
                "",
                draw_calibration(by_record, shown),
                draw_calibration(by_record, shown, columns=1),
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Costs(seconds, peak if sys.platform == "darwin" else peak * 1024)
