"""A classifier that is asked about single recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import MICROVOLTS
from selfmis_plugin.data.provenance import headline
from selfmis_plugin.data.quality import PUBLISHED_THRESHOLD
from selfmis_plugin.metrics.recalibration import Recalibration, calibrated_probabilities
from selfmis_plugin.nn.encoder import Encoder
from selfmis_plugin.predict.model_folder import SavedModel, read_model
from selfmis_plugin.predict.operating_points import OperatingPoint, threshold_of
from selfmis_plugin.predict.strips import Strip, cut_strip
from selfmis_plugin.preparation.recordings.array_recording import ArrayRecording
from selfmis_plugin.preparation.recordings.long_recording import LongRecording
from selfmis_plugin.preparation.recordings.units import plain_unit

__all__ = ["DISCLAIMER", "PRECISIONS", "LabelResult", "Model", "Prediction", "load_model"]

#: Labels in a prediction's one line.
_SHOWN = len(INFARCTION_TYPES)

DISCLAIMER = "For research, not for diagnosis."

PRECISIONS: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LabelResult:
    """What is said of one label.

    Attributes
    ----------
    probability
        Mean over the windows.
    low, high
        Smallest and largest of the windows.
    threshold
        Probability of the operating point; None where the model has none.
    """

    probability: float
    low: float
    high: float
    threshold: float | None

    @property
    def above(self) -> bool | None:
        """Whether the probability is above the threshold, None without one."""
        return None if self.threshold is None else self.probability > self.threshold

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "probability": self.probability,
            "low": self.low,
            "high": self.high,
            "threshold": self.threshold,
            "above_threshold": self.above,
        }


@dataclass(frozen=True, repr=False)
class Prediction:
    """What a classifier says of one recording.

    Attributes
    ----------
    strip
        The windows, also those that were not scored.
    labels
        Names of the labels, infarction types first.
    logits
        float32, (windows, labels); NaN where a window was refused.
    points
        Operating points by label.
    calibration
        How logits become probabilities, by label; where one is missing it is the sigmoid's.
    """

    strip: Strip
    labels: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    points: Mapping[str, OperatingPoint]
    calibration: Mapping[str, Recalibration] = field(default_factory=dict)

    def __repr__(self) -> str:
        scored, results = self.scored, self.results
        text = f"{scored.sum()} of {len(scored)} windows scored"
        for label in self.labels[:_SHOWN] if results else ():
            text += f", {label} {results[label].probability:.3f}"
        more = len(results) - _SHOWN
        text += f", {more} more labels" if more > 0 else ""
        return f"<Prediction of {self.strip.name!r}: {text}>"

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which windows were scored, (windows,)."""
        return np.array([not window.problem for window in self.strip.windows], dtype=bool)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """float64, (windows, labels); NaN where a window was refused."""
        columns = [
            calibrated_probabilities(label, values, self.calibration)
            for label, values in zip(self.labels, self.logits.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    @property
    def results(self) -> dict[str, LabelResult]:
        """By label; empty if no window was good enough to be scored."""
        scored = self.probabilities[self.scored]
        if not len(scored):
            return {}
        return {
            label: LabelResult(
                float(values.mean()),
                float(values.min()),
                float(values.max()),
                threshold_of(label, self.points, self.calibration),
            )
            for label, values in zip(self.labels, scored.T, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "file": self.strip.name,
            "note": DISCLAIMER,
            "notes": list(self.strip.notes),
            "labels": {label: result.to_dict() for label, result in self.results.items()},
            "windows": [
                {
                    "start": window.start,
                    "seconds": window.seconds,
                    "quality": window.quality,
                    "refused": window.problem or None,
                    "probabilities": None
                    if window.problem
                    else dict(zip(self.labels, row.tolist(), strict=True)),
                }
                for window, row in zip(self.strip.windows, self.probabilities, strict=True)
            ],
        }


def _set_precision(network: torch.nn.Module, path: Path, precision: str) -> None:
    encoder = getattr(network, "encoder", None)
    if isinstance(encoder, Encoder):
        encoder.precision = PRECISIONS[precision]
    elif precision != "float32":
        raise ValueError(f"{path}: its network computes in float32 only, not in {precision}")


class Model:
    """A classifier, ready to be asked.

    A label without a positive among the training records is none of its ``labels``, but of its
    ``unlearned`` ones: nothing can be said of it.

    Parameters
    ----------
    saved
        The classifier.
    precision
        What the encoder computes in, of :data:`PRECISIONS`.

    Raises
    ------
    CheckpointError
        If its weights do not fit its own description.
    """

    def __init__(self, saved: SavedModel, precision: str = "float32") -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
        self.saved = saved
        self.preprocessing = saved.classifier.preprocessing
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = saved.classifier.network(saved.input_rate).to(self._device).eval()
        _set_precision(self.network, saved.classifier.path, precision)
        known = saved.classifier.labels
        #: Labels of which nothing was learnt: they have no probability.
        self.unlearned = tuple(label for label in known if label in saved.facts.unlearned)
        learned = [label for label in known if label not in self.unlearned]
        first = [label for label in INFARCTION_TYPES if label in learned]
        self.labels = (*first, *(label for label in learned if label not in first))
        self._columns = [known.index(label) for label in self.labels]

    def remarks(self) -> list[str]:
        """Return what to know of its probabilities: what it was trained on, and whether they are
        calibrated."""
        lines = [headline(self.saved.facts.provenance)]
        missing = [label for label in self.labels if label not in self.saved.calibration]
        if not self.saved.calibration:
            lines.append(
                "Probabilities are not calibrated: read them as scores (selfmis export --data "
                "STORE calibrates them)."
            )
        elif missing:
            lines.append(
                f"Not calibrated, for want of positives in validation: {', '.join(missing)}."
            )
        if self.unlearned:
            lines.append(
                "No probability, for want of a positive among the training records: "
                f"{', '.join(self.unlearned)}."
            )
        return lines

    def predict(
        self,
        signal: npt.ArrayLike,
        rate: float,
        unit: str = "mV",
        lead: str | Sequence[str] = "I",
        quality: float = PUBLISHED_THRESHOLD,
    ) -> Prediction:
        """Say what there is on a strip.

        Parameters
        ----------
        signal
            (samples,) of one lead, or (leads, samples); missing samples are NaN. Half a window
            (5 s) or more; longer ones are cut into windows of 10 s.
        rate
            Samples a second.
        unit
            Unit of the signal: uV, mV or V.
        lead
            What the signal is: a lead's name, or the leads' names in order.
        quality
            Lowest figure of quality of a window that is scored; 0 leaves only the plain signs,
            such as flat and clipped.

        Returns
        -------
        Prediction
            A window too bad to be scored is in it with its reason.

        Raises
        ------
        ValueError
            If the unit is unknown, or the signal does not fit lead and rate, has not the leads
            that the classifier reads, or is too short.
        """
        names = (lead,) if isinstance(lead, str) else tuple(lead)
        values = np.asarray(signal, dtype=np.float64)
        values = values[None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(names):
            raise ValueError(
                f"a signal of shape {np.shape(signal)} is not (leads, samples) of the leads "
                f"{', '.join(names)}"
            )
        factor = MICROVOLTS.get(plain_unit(unit))
        if factor is None:
            raise ValueError(f"unit {unit!r} is not one of uV, mV and V")
        if not math.isfinite(rate):
            raise ValueError(f"{rate!r} is not a number of samples a second")
        recording = ArrayRecording("signal", values * factor, names, float(rate))
        return self.score([self.cut(recording, quality=quality)])[0]

    def cut(
        self,
        recording: LongRecording,
        channels: Sequence[str] | None = None,
        rate: float | None = None,
        quality: float = PUBLISHED_THRESHOLD,
    ) -> Strip:
        """Cut a recording into windows; see :func:`~selfmis_plugin.predict.strips.cut_strip`."""
        return cut_strip(
            recording, self.preprocessing, self.saved.input_rate, channels, rate, quality
        )

    def score(self, strips: Sequence[Strip], batch_size: int = 32) -> list[Prediction]:
        """Return a prediction for each of several strips, whose windows are computed together."""
        signals = [w.signal for strip in strips for w in strip.windows if not w.problem]
        logits = iter(self.logits(signals, batch_size)[:, self._columns])
        predictions = []
        for strip in strips:
            rows = np.full((len(strip.windows), len(self.labels)), np.nan, dtype=np.float32)
            for row, window in zip(rows, strip.windows, strict=True):
                if not window.problem:
                    row[:] = next(logits)
            predictions.append(
                Prediction(strip, self.labels, rows, self.saved.points, self.saved.calibration)
            )
        return predictions

    @torch.inference_mode()
    def logits(
        self, signals: Sequence[npt.NDArray[np.int16]], batch_size: int = 32
    ) -> npt.NDArray[np.float32]:
        """Return the logits, (windows, labels), of prepared windows (leads, samples).

        The columns are in the classifier's own order, that of ``saved.classifier.labels``.

        Raises
        ------
        CheckpointError
            If they are not finite.
        """
        outputs = [np.empty((0, len(self.saved.classifier.labels)), dtype=np.float32)]
        for first in range(0, len(signals), batch_size):
            batch = torch.from_numpy(np.stack(signals[first : first + batch_size]))
            outputs.append(self.network(batch.to(self._device)).float().cpu().numpy())
        logits = np.concatenate(outputs)
        if not np.isfinite(logits).all():
            raise CheckpointError(
                f"{self.saved.classifier.path}: gives NaN or Inf of a recording that has "
                "neither: its weights are damaged, or too large to compute with; copy it again"
            )
        return logits


def load_model(
    path: str | Path, precision: str = "float32", labels: Sequence[str] | None = None
) -> Model:
    """Load a classifier, without running code that its files carry.

    Parameters
    ----------
    path
        A folder that ``selfmis export`` wrote, or a run's ``checkpoint_best.pt`` (which has no
        operating thresholds: probabilities only), or an ECGFounder file with its head.
    precision
        What the encoder computes in: ``"float32"`` or ``"bfloat16"``.
    labels
        What the outputs of a fine-tuned ECGFounder file mean, in their order.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is no classifier.

    Examples
    --------
    >>> model = load_model("my-model")  # doctest: +SKIP
    >>> model.predict(millivolts, rate=512, unit="mV", lead="I").results["AMI"]  # doctest: +SKIP
    """
    return Model(read_model(path, labels), precision)
