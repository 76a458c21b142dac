"""What a pre-training takes for each ECG, as far as it can be counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from selfmis_plugin.nn.net1d.config import count_parameters
from selfmis_plugin.profiling.macs import forward_macs, with_plain_encoders
from selfmis_plugin.profiling.training_memory import kept_for_each_record
from selfmis_plugin.profiling.trainings.models import Trained
from selfmis_plugin.profiling.trainings.steps import records_of

__all__ = ["Cost", "counted_cost"]


@dataclass(frozen=True)
class Cost:
    """Counted cost of a training.

    Attributes
    ----------
    parameters, trained_parameters
        Of the model; those that are trained.
    gmac
        Billions of multiply-accumulate operations of the model's forward pass of one 10 s record.
    kept_mib
        MiB that the forward pass keeps for backward, for each record of the batch, float32.
    """

    parameters: int
    trained_parameters: int
    gmac: float
    kept_mib: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for a JSON file."""
        return asdict(self)


def counted_cost(trained: Trained) -> Cost:
    """Count the cost of a training; its encoders are replaced by plain ones of the same shape."""
    kept = kept_for_each_record(
        trained.model, lambda records: trained.loss(records_of(trained, records))
    )
    parameters = count_parameters(trained.model)
    learned = count_parameters(trained.model, trainable_only=True)
    plain = with_plain_encoders(trained.model).eval()
    macs = forward_macs(lambda: plain(**trained.record))
    return Cost(parameters, learned, macs / 1e9, kept / 2**20)
