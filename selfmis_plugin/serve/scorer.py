"""What a model says of uploaded files."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin._version import __version__
from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_NAMES, INFARCTION_TYPES
from selfmis_plugin.data.provenance import provenance_lines
from selfmis_plugin.predict.asking import answer, read_strip, refuse_person
from selfmis_plugin.predict.picture import MOST_WINDOWS
from selfmis_plugin.predict.prediction import DISCLAIMER, Prediction
from selfmis_plugin.predict.strip_model import StripModel
from selfmis_plugin.predict.words import threshold_line
from selfmis_plugin.serve.document import document
from selfmis_plugin.serve.folder import laid_out
from selfmis_plugin.serve.upload import MOST_BYTES, MOST_FILES, Upload, UploadError

__all__ = ["Scorer"]


@dataclass(frozen=True)
class Scorer:
    """A model that is asked about uploads.

    Attributes
    ----------
    model
        The model.
    name
        What it is called on the page.
    precision
        What it computes in.
    quality
        Lowest figure of quality of a window that is scored.
    """

    model: StripModel
    name: str
    precision: str
    quality: float

    # Matplotlib draws one figure at a time.
    _drawing = threading.Lock()

    def facts(self) -> dict[str, Any]:
        """Return what the page says of the model, and what it may send."""
        model, steps = self.model, self.model.preprocessing
        return {
            "note": DISCLAIMER,
            "version": __version__,
            "model": self.name,
            "leads": list(steps.leads),
            "rate": steps.sample_rate,
            "seconds": steps.seconds,
            "labels": [
                {
                    "label": label,
                    "words": INFARCTION_NAMES.get(label, ""),
                    "infarction": label in (ANY_INFARCTION, *INFARCTION_TYPES),
                }
                for label in model.labels
            ],
            "remarks": model.remarks(),
            "age_and_sex": bool(model.with_person),
            "trained_on": provenance_lines(model.provenance),
            "threshold": threshold_line(model),
            "quality": self.quality,
            "most_files": MOST_FILES,
            "most_bytes": MOST_BYTES,
        }

    def score(self, upload: Upload) -> dict[str, Any]:
        """Return ``answer``, what ``selfmis predict --json`` writes, and ``strips``: what is drawn
        of each recording."""
        predictions, problems = self._predict(upload)
        return {
            "answer": answer(self.model, self.name, self.precision, predictions, problems),
            "strips": [self._strip(prediction) for prediction in predictions],
        }

    def document(self, upload: Upload) -> bytes:
        """Return the same as a PDF file."""
        predictions, problems = self._predict(upload)
        with self._drawing:
            return document(self.model, self.name, predictions, problems)

    def _predict(self, upload: Upload) -> tuple[list[Prediction], list[str]]:
        try:
            refuse_person(self.model, self.name, upload.person)
        except ValueError as error:
            raise UploadError(str(error)) from error
        strips, problems = [], []
        with laid_out(upload.files) as paths:
            for path in paths:
                try:
                    strips.append(read_strip(self.model, path, path.name, upload.asked))
                except Exception as error:  # whatever a file makes of a library
                    problems.append(_problem(path, error))
        try:
            return self.model.score(strips, person=upload.person), problems
        except ValueError as error:
            return [], [*problems, str(error)]

    def _strip(self, prediction: Prediction) -> dict[str, Any]:
        """Microvolts of the windows as the model was shown them, without what they were padded
        with; of a longer recording those that pictures have."""
        rate = self.model.input_rate
        return {
            "rate": rate,
            "windows": [
                {
                    "signal": window.signal[:, : round(window.seconds * rate)].tolist(),
                    "beats": list(window.beats),
                }
                for window in prediction.strip.windows[:MOST_WINDOWS]
            ],
        }


def _problem(path: Path, error: Exception) -> str:
    """Why a file cannot be read, in words that do not say where it lay."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif isinstance(error, OSError | ValueError) and str(error):
        text = str(error).replace(f"{path.parent}/", "")
    else:
        text = f"cannot be read ({type(error).__name__}): it may be damaged; copy it again"
    return text if path.name in text else f"{path.name}: {text}"
