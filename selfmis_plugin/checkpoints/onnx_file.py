"""A ``model.onnx`` of ``selfmis export``, judged as every classifier is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from selfmis_plugin.checkpoints.reading import CheckpointError, first_line, note_read, refuse_absent
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.onnx_runtime import NEEDS_RUNTIME, OnnxClassifier

__all__ = ["LoadedOnnx"]


@dataclass(frozen=True)
class LoadedOnnx:
    """A classifier that onnxruntime computes: it predicts labels, and has no embeddings.

    Attributes
    ----------
    path
        The file.
    labels
        Names of its outputs, in their order.
    preprocessing
        How the records are prepared that it reads; its rate is that of the records themselves.
    """

    kind: ClassVar[str] = "classifier"
    path: Path
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    runtime: Any

    @classmethod
    def read(cls, path: Path) -> LoadedOnnx:
        """Read a file.

        Raises
        ------
        CheckpointError
            If it cannot be read, is no classifier of this plugin, or onnxruntime is missing.
        """
        refuse_absent(path)
        try:
            found = OnnxClassifier(path)
            preprocessing = Preprocessing(
                found.rate, found.samples / found.rate, found.leads, found.filter
            )
        except ImportError as error:
            raise CheckpointError(f"{path}: {NEEDS_RUNTIME}") from error
        except Exception as error:  # whatever a damaged file makes of the library
            raise CheckpointError(
                f"{path}: cannot be read as a model of `selfmis export` ({first_line(error)}): "
                "copy or export it again"
            ) from error
        note_read(path)
        return cls(path, found.labels, preprocessing, found)

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have."""
        return self.preprocessing.leads

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Labels of which nothing was learnt."""
        return tuple(self.runtime.unlearned)

    def network(self, store_rate: float) -> nn.Module:
        """Return what computes logits (batch, labels) of filtered signals of *store_rate* Hz.

        Raises
        ------
        CheckpointError
            If the file is for another rate.
        """
        if store_rate != self.runtime.rate:
            raise CheckpointError(
                f"{self.path}: reads signals of {self.runtime.rate:g} Hz, and these have "
                f"{store_rate:g}: export it with --data of a store of that rate"
            )
        return _OnnxNetwork(self.runtime).eval()


class _OnnxNetwork(nn.Module):
    def __init__(self, runtime: Any) -> None:
        super().__init__()
        self.runtime = runtime

    def forward(self, signals: Tensor) -> Tensor:
        logits = self.runtime.logits(signals.cpu().numpy(), filtered=True)
        return torch.from_numpy(logits)
