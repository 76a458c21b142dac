"""A classifier in onnxruntime, for machines without PyTorch.

Of other packages NumPy and onnxruntime are all that is imported here; a model whose signals are to
be filtered also needs SciPy and Numba, for :mod:`selfmis_plugin.data.filters`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.utils.extras import how_to_install

__all__ = ["DESCRIPTION", "INPUT", "NEEDS_RUNTIME", "OPERATION", "OUTPUT", "OnnxClassifier"]

#: What to say of a file where it is missing.
NEEDS_RUNTIME = "is run by onnxruntime, which is not installed; " + how_to_install("export")

#: Key of the file's metadata that holds its description, and names of input and output.
DESCRIPTION = "selfmis"
#: Its entry that holds what :attr:`OnnxClassifier.operation` is.
OPERATION = "operation"
INPUT, OUTPUT = "microvolts", "logits"


class OnnxClassifier:
    """A ``model.onnx`` of ``selfmis export``.

    Parameters
    ----------
    path
        The file.
    threads
        Threads to compute with; None leaves it to onnxruntime.

    Attributes
    ----------
    labels
        Names of the labels, in the order of the logits.
    leads
        Names of the leads, in the order of the signals.
    rate, samples
        Samples a second, and samples, of the signals.
    filter
        Name of the filter that :meth:`logits` applies before the network.
    thresholds
        Logit of the operating point by label; labels without one are missing.
    calibration
        Slope and intercept of the log odds over the logit by label; labels without are missing.
    operation
        Thresholds and calibration with what they were chosen on, as an exported folder's
        description has them; None in a file of an older version.
    unlearned
        Labels of which nothing was learnt: they have no probability.
    trained_on
        On which records the network was trained, one sentence.

    Raises
    ------
    ValueError
        If the file does not describe a classifier of this plugin.
    ImportError
        If onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        # An extra: who only asks what a file is should not need it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        stored = self._session.get_modelmeta().custom_metadata_map
        if DESCRIPTION not in stored:
            raise ValueError(f"{path}: not a model of `selfmis export` (it has no description)")
        described: dict[str, Any] = json.loads(stored[DESCRIPTION])
        self.labels: tuple[str, ...] = tuple(described["labels"])
        self.leads: tuple[str, ...] = tuple(described["leads"])
        self.rate: float = described["rate"]
        self.samples: int = described["samples"]
        self.filter: str = described["filter"]
        self.thresholds: dict[str, float] = described["thresholds"]
        # Files of version 0.1 have none of them.
        self.operation: Any = described.get(OPERATION)
        self.calibration: dict[str, tuple[float, float]] = described.get("calibration", {})
        self.unlearned: tuple[str, ...] = tuple(described.get("unlearned", ()))
        self.trained_on: str = described.get("trained_on", "")

    def logits(self, microvolts: npt.ArrayLike, filtered: bool = False) -> npt.NDArray[np.float32]:
        """Return logits of windows.

        Parameters
        ----------
        microvolts
            (batch, leads, samples) at :attr:`rate`. The z-score is part of the network.
        filtered
            Whether the filter has been applied already, as it has to the signals of a store.

        Returns
        -------
        numpy.ndarray
            float32, (batch, labels).

        Raises
        ------
        ValueError
            If the signals are of another shape.
        """
        signals = np.asarray(microvolts)
        if signals.ndim != 3 or signals.shape[1:] != (len(self.leads), self.samples):
            raise ValueError(
                f"signals of shape {signals.shape} are not (batch, {len(self.leads)}, "
                f"{self.samples}): windows of {self.samples} samples at {self.rate:g} Hz"
            )
        if self.filter != "none" and not filtered:
            # Needs what a device without a filter in its model does not have to have.
            from selfmis_plugin.data.filters import FILTERS

            apply = FILTERS[self.filter]
            # Rounded to whole microvolts, as signals in a store are.
            signals = np.rint(np.stack([apply(signal, self.rate) for signal in signals]))
        (logits,) = self._session.run([OUTPUT], {INPUT: signals.astype(np.float32)})
        return np.asarray(logits, dtype=np.float32)

    def probabilities(self, microvolts: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, (batch, labels); see :meth:`logits`.

        A label of which nothing was learnt has NaN.
        """
        lines = [self.calibration.get(label, (1.0, 0.0)) for label in self.labels]
        slopes, intercepts = np.array(lines, dtype=np.float64).reshape(-1, 2).T
        found = 1 / (1 + np.exp(-(slopes * self.logits(microvolts) + intercepts)))
        found[:, [label in self.unlearned for label in self.labels]] = np.nan
        return np.asarray(found)
