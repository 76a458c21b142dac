"""A classifier that is asked about single recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import SavedModel
from selfmis_plugin.data.exported import WEIGHTS
from selfmis_plugin.nn.encoder import Encoder
from selfmis_plugin.predict.onnx_model import OnnxModel, onnx_file
from selfmis_plugin.predict.prediction import DISCLAIMER, PRECISIONS, LabelResult, Prediction
from selfmis_plugin.predict.shipped_model import shipped_model, shipped_model_line
from selfmis_plugin.predict.strip_model import StripModel
from selfmis_plugin.utils.hub import on_this_machine

__all__ = ["DISCLAIMER", "PRECISIONS", "LabelResult", "Model", "Prediction", "load_model"]


def _set_precision(network: torch.nn.Module, path: Path, precision: str) -> None:
    encoder = getattr(network, "encoder", None)
    if isinstance(encoder, Encoder):
        encoder.precision = getattr(torch, precision)
    elif precision != "float32":
        raise ValueError(f"{path}: its network computes in float32 only, not in {precision}")


class Model(StripModel):
    """A classifier that PyTorch computes, ready to be asked.

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
        classifier, facts = saved.classifier, saved.facts
        super().__init__(
            classifier.path,
            classifier.labels,
            classifier.preprocessing,
            saved.input_rate,
            facts.unlearned,
            facts.provenance,
            saved.points,
            saved.specificity,
            saved.calibration,
            saved.with_person,
        )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = classifier.network(saved.input_rate).to(self._device).eval()
        _set_precision(self.network, classifier.path, precision)

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
    path: str | Path | None = None,
    precision: str = "float32",
    labels: Sequence[str] | None = None,
) -> Model | OnnxModel:
    """Load a classifier, without running code that its files carry.

    Parameters
    ----------
    path
        A folder that ``selfmis export`` wrote, a ``model.onnx`` of one (which onnxruntime
        computes, as a folder without the weights that PyTorch reads), or a run's
        ``checkpoint_best.pt`` (which has no operating thresholds: probabilities only), or an
        ECGFounder file with its head; or ``hf:ORG/NAME``, such a folder on the Hugging Face hub.
        None: the model that comes with the plugin, which reads lead I; a line says so.
    precision
        What the encoder computes in: ``"float32"`` or ``"bfloat16"``.
    labels
        What the outputs of a fine-tuned ECGFounder file mean, in their order.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is no classifier.
    HubError
        If the hub does not give it.
    FileNotFoundError
        If none is named and this installation lacks the one that comes with the plugin.

    Examples
    --------
    >>> model = load_model("my-model")  # doctest: +SKIP
    >>> model.predict(millivolts, rate=512, unit="mV", lead="I").results["AMI"]  # doctest: +SKIP
    """
    if path is None:
        path = shipped_model()
        print(shipped_model_line())
    path = on_this_machine(path)
    file, onnx = path, onnx_file(path)
    if onnx is not None and not (file / WEIGHTS).is_file():
        if labels is not None:
            raise CheckpointError(f"{path}: an exported model names its labels: leave them out")
        if precision != "float32":
            raise CheckpointError(f"{path}: onnxruntime computes in float32, not in {precision}")
        return OnnxModel(file)
    return Model(read_model(path, labels), precision)
