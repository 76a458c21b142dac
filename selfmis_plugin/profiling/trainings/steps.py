"""Training steps as the host takes them, and what one takes for each ECG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from selfmis_plugin.data.leads import lead_rows
from selfmis_plugin.profiling.trainings.models import Trained
from selfmis_plugin.training.contract import frozen_encoder_of

__all__ = ["records_of", "training_step"]


def records_of(trained: Trained, count: int) -> dict[str, Any]:
    """Return a batch of *count* records, as a training reads it from the second epoch on.

    Where a frozen encoder's embeddings are kept, it is these and the leads beside them.
    """
    batch = trained.batch(count)
    model: Any = trained.model
    if frozen_encoder_of(model) is None:
        return batch
    name, leads = model.input_with_embeddings()
    signal = batch["net_input"]["signal"]
    with torch.no_grad():
        kept = {name: model.eval().embed_frozen(signal)}
    if leads:
        kept["signal"] = signal[:, lead_rows(trained.leads, leads)].contiguous()
    return {**batch, "net_input": kept}


def training_step(trained: Trained, batch: dict[str, Any], records: int) -> Callable[[], int]:
    """Return a function that trains one step on *batch* and returns its number of records."""
    learned = [
        parameter
        for module in (trained.model, trained.criterion)
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    optimizer = torch.optim.AdamW(learned, lr=1e-6)

    def step() -> int:
        optimizer.zero_grad()
        trained.loss(batch).backward()
        optimizer.step()
        return records

    return step
