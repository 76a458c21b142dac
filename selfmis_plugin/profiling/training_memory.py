"""Memory of a training step: measured on a GPU, counted on a CPU."""

from __future__ import annotations

import contextlib
import random
import statistics
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

FLOAT_BYTES = 4

_DRAWS = 5
"""Forward passes over which the memory of a model that draws its masks is averaged."""

#: What AdamW keeps for each weight that it trains, besides the weight: gradient and two moments.
TRAINED_COPIES = 3


def counted_training_memory(model: nn.Module, loss_of: Callable[[int], Tensor], batch: int) -> int:
    """Count the bytes that a training step holds when its forward pass has ended.

    Weights, gradients, AdamW's moments, and what the forward pass keeps for backward. The last
    is counted at two and at four records and scaled, since it grows by the same amount with each.
    What operations take in between is not in it.

    Parameters
    ----------
    model
        Float32 model in training mode.
    loss_of
        Returns the loss of so many records.
    batch
        Records of the batch that is asked for.
    """
    weights = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    two, four = (_kept_bytes(model, loss_of, records) for records in (2, 4))
    kept = two + (four - two) * (batch - 2) // 2
    return FLOAT_BYTES * (weights + TRAINED_COPIES * trained) + kept


def kept_for_each_record(model: nn.Module, loss_of: Callable[[int], Tensor]) -> float:
    """Count the bytes that a forward pass keeps for backward, for each record of its batch.

    Some models mask at random, and keep more or less: the mean of some passes, the same each time.

    Parameters
    ----------
    model, loss_of
        As for :func:`counted_training_memory`.
    """
    found = []
    for seed in range(_DRAWS):
        with _drawing_from(seed):
            two, four = (_kept_bytes(model, loss_of, records) for records in (2, 4))
        found.append((four - two) / 2)
    return statistics.mean(found)


@contextlib.contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Let what is drawn start from *seed*, and go on afterwards as if nothing had been drawn."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def _kept_bytes(model: nn.Module, loss_of: Callable[[int], Tensor], records: int) -> int:
    own = {
        tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]
    }
    # Held on to, so that no two can have the same address.
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage

    def never(_: object) -> Tensor:
        raise RuntimeError("memory is counted without a backward pass")

    with torch.autograd.graph.saved_tensors_hooks(note, never):
        loss_of(records)
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


def take_steps(model: nn.Module, loss_of: Callable[[], Tensor]) -> None:
    """Train two steps with AdamW, whose moments exist from the second on."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)
    for _ in range(2):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
