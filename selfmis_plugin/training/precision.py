"""The config key ``precision`` of a model."""

from __future__ import annotations

import torch

PRECISIONS = ("float32", "bfloat16")


def own_precision(
    name: str, key: str = "precision", known: tuple[str, ...] = PRECISIONS
) -> torch.dtype | None:
    """Return the type that a model computes in by itself; None leaves it to the host.

    Raises
    ------
    ValueError
        If *name* is not one of those that are *known*.
    """
    if name not in known:
        raise ValueError(f"model.{key}={name}: choose one of {', '.join(known)}")
    # None, and not float32: the host's own autocast or half precision stay in force.
    return None if name == "float32" else getattr(torch, name)
