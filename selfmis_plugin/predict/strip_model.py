"""What is asked about single recordings, whatever computes the answer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES, infarctions_first
from selfmis_plugin.data.person import UNKNOWN_PERSON, Person
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.provenance import Provenance, headline
from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD
from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.metrics.calibrated import PersonLine, Recalibration
from selfmis_plugin.metrics.calibration import logit_of_any
from selfmis_plugin.metrics.operating_point import OperatingPoint
from selfmis_plugin.predict.prediction import Prediction
from selfmis_plugin.predict.strips import Strip, cut_strip
from selfmis_plugin.preparation.recordings.array_recording import ArrayRecording
from selfmis_plugin.preparation.recordings.long_recording import LongRecording
from selfmis_plugin.preparation.recordings.units import plain_unit

__all__ = ["StripModel"]

#: Labels that a model's one line names: the infarction types come first.
_SHOWN = len(INFARCTION_TYPES)


class StripModel(ABC):
    """A classifier, ready to be asked about recordings.

    A label without a positive among the training records is none of its ``labels``, but of its
    ``unlearned`` ones: nothing can be said of it.

    Where *points* or *calibration* speak of any infarction, it is the first of ``labels``: the
    logit of at least one of the types (:func:`~selfmis_plugin.metrics.calibration.logit_of_any`).

    Parameters
    ----------
    path
        Where it comes from, for messages.
    outputs
        Names of its outputs, in their order.
    preprocessing
        How records were prepared in training, with its leads.
    input_rate
        Samples a second of the windows that it is given.
    unlearned
        Labels of which nothing was learnt.
    provenance
        On what it was trained.
    points, specificity
        Operating points by label, and the specificity that they kept on the validation split.
    calibration
        How logits become probabilities that come true, by label.
    with_person
        The same where age and sex are known.
    """

    def __init__(
        self,
        path: Path,
        outputs: Sequence[str],
        preprocessing: Preprocessing,
        input_rate: float,
        unlearned: Collection[str],
        provenance: Provenance,
        points: Mapping[str, OperatingPoint],
        specificity: float | None,
        calibration: Mapping[str, Recalibration],
        with_person: Mapping[str, PersonLine] | None = None,
    ) -> None:
        self.path = path
        self.preprocessing = preprocessing
        self.input_rate = input_rate
        self.provenance = provenance
        self.points = points
        self.specificity = specificity
        self.calibration = calibration
        self.with_person = with_person or {}
        #: Labels of which nothing was learnt: they have no probability.
        self.unlearned = tuple(label for label in outputs if label in unlearned)
        learned = infarctions_first(label for label in outputs if label not in self.unlearned)
        self._columns = [list(outputs).index(label) for label in learned]
        self._types = [list(outputs).index(label) for label in outputs if label in INFARCTION_TYPES]
        told = ANY_INFARCTION in points or ANY_INFARCTION in calibration
        # An output of that name, in stores of an older version, is a label as any other.
        self._says_any = bool(self._types) and told and ANY_INFARCTION not in outputs
        self.labels = (*([ANY_INFARCTION] if self._says_any else []), *learned)

    def __repr__(self) -> str:
        steps = self.preprocessing
        return (
            f"<{type(self).__name__} {str(self.path)!r}: lead {', '.join(steps.leads)}, windows of "
            f"{steps.seconds:g} s at {steps.sample_rate:g} Hz, {len(self.labels)} labels "
            f"({', '.join(self.labels[:_SHOWN])}{', ...' if len(self.labels) > _SHOWN else ''}), "
            f"{len(self.points)} with a threshold, {len(self.calibration)} calibrated. "
            f"{headline(self.provenance, short=True)}>"
        )

    def remarks(self) -> list[str]:
        """Return what to know of its probabilities: what it was trained on, and whether they are
        calibrated."""
        lines = [headline(self.provenance)]
        missing = [label for label in self.labels if label not in self.calibration]
        if not self.calibration:
            lines.append(
                "Probabilities are not calibrated: read them as scores (selfmis export --data "
                "STORE calibrates them)."
            )
        elif missing:
            lines.append(f"Not calibrated, so to be read as scores: {', '.join(missing)}.")
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
        person: Person = UNKNOWN_PERSON,
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
        person
            Whose it is: with age and sex, labels that the model has such a line of use both.

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
        strip = self.cut(recording, quality=quality, named_by="lead=")
        return self.score([strip], person=person)[0]

    def cut(
        self,
        recording: LongRecording,
        channels: Sequence[str] | None = None,
        rate: float | None = None,
        quality: float = PUBLISHED_THRESHOLD,
        named_by: str = "channels=",
    ) -> Strip:
        """Cut a recording into windows; see :func:`~selfmis_plugin.predict.strips.cut_strip`."""
        return cut_strip(
            recording, self.preprocessing, self.input_rate, channels, rate, quality, named_by
        )

    def score(
        self, strips: Sequence[Strip], batch_size: int = 32, person: Person = UNKNOWN_PERSON
    ) -> list[Prediction]:
        """Return a prediction for each of several strips, all of one person, whose windows are
        computed together."""
        signals = [w.signal for strip in strips for w in strip.windows if not w.problem]
        outputs = self.logits(signals, batch_size)
        said = outputs[:, self._columns]
        if self._says_any:
            said = np.column_stack([logit_of_any(outputs[:, self._types]), said])
        logits = iter(said)
        predictions = []
        for strip in strips:
            rows = np.full((len(strip.windows), len(self.labels)), np.nan, dtype=np.float32)
            for row, window in zip(rows, strip.windows, strict=True):
                if not window.problem:
                    row[:] = next(logits)
            predictions.append(
                Prediction(
                    strip,
                    self.labels,
                    rows,
                    self.points,
                    self.calibration,
                    self.with_person,
                    person,
                )
            )
        return predictions

    @abstractmethod
    def logits(
        self, signals: Sequence[npt.NDArray[np.int16]], batch_size: int = 32
    ) -> npt.NDArray[np.float32]:
        """Return the logits, (windows, outputs), of prepared windows (leads, samples).

        The columns are in the classifier's own order.

        Raises
        ------
        ValueError
            If they are not finite.
        """
