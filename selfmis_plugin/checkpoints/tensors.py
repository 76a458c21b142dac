"""Which tensors of a file are values to compute with, and which only say that they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.utils.fields import shown

__all__ = ["odd_value", "part_of"]

_TYPES = frozenset(
    {
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    }
)
_TABLES = (Mapping, list, tuple, set, frozenset)
#: Tables, lists and tensors of a file that are looked at: lists that share their parts can stand
#: for more than any memory holds. What a training leaves has some thousands.
_MOST_PARTS = 300_000
_DEEPEST = 100


def odd_value(payload: Mapping[Any, Any]) -> str:
    """Say which value of a file, however deep, cannot be worked with; empty for none.

    It is a tensor that is sparse, quantised, nested, on the meta device, or larger than what is
    stored of it; or a table that is nested too deeply, or without end.
    """
    waiting: list[tuple[str, Any, int]] = [("", payload, 0)]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return ""
        name, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            if problem := _problem(value):
                return f"{name} {problem}"
            continue
        if depth > _DEEPEST:
            return f"{name} is nested more than {_DEEPEST} deep"
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        waiting += (
            (_below(name, key), part, depth + 1)
            for key, part in parts
            if isinstance(part, (Tensor, *_TABLES))
        )
    return f"{name} is one of more than {_MOST_PARTS:,} tables and tensors"


def part_of(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights below *prefix*, by the rest of their names, floating ones as float32.

    Raises
    ------
    ValueError
        If one is no plain tensor of numbers, or its name no text; the message names the entry.
    """
    if not isinstance(weights, Mapping):
        raise ValueError(f"a {type(weights).__name__} stands for the weights, not a table of them")
    found = {}
    for key, value in weights.items():
        if not isinstance(key, str):
            raise ValueError(f"a weight is called {shown(key)}, which is no name")
        if not key.startswith(prefix):
            continue
        if problem := _problem(value) or _unusable(value):
            raise ValueError(f"{key} {problem}")
        found[key[len(prefix) :]] = value.float() if value.is_floating_point() else value
    return found


def _below(name: str, key: object) -> str:
    if isinstance(key, int):
        return f"{name[:_DEEPEST]}[{key}]"
    entry = key if isinstance(key, str) else shown(key)
    # Names that grow with the depth would take the square of it.
    return f"{name[:_DEEPEST]}.{entry}" if name else entry


def _problem(value: Any) -> str:
    """Say what keeps a tensor from being computed with; empty for nothing."""
    if not isinstance(value, Tensor):
        return f"is a {type(value).__name__}, not a tensor"
    if value.is_meta:
        return "is a tensor without values, of the meta device"
    if value.is_nested or value.layout != torch.strided:
        return "is a sparse or nested tensor"
    if value.is_quantized:
        return "is a quantised tensor"
    # A stride of zero makes a vast tensor of one stored value.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"has the shape {tuple(value.shape)}, and the file only a part of its values"
    return ""


def _unusable(value: Tensor) -> str:
    return "" if value.dtype in _TYPES else f"is of the type {value.dtype}, which no weight has"
