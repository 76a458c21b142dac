"""What the machine makes necessary: its Python, its omegaconf, no GPU. Done at the start."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selfmis_plugin.compat.patch import PATCHED_HOST, TOOLKIT, Patch

__all__ = ["AT_THE_START", "HASHABLE", "hashable_dataclass_defaults"]


@contextmanager
def hashable_dataclass_defaults() -> Iterator[list[str]]:
    """Accept dataclass instances as defaults of dataclass fields; yield the classes concerned."""
    original: Callable[..., Any] = dataclasses._get_field  # type: ignore[attr-defined]
    changed: list[str] = []

    def get_field(cls: type, name: str, *args: Any, **kwargs: Any) -> Any:
        default = cls.__dict__.get(name)
        kind = type(default)
        if dataclasses.is_dataclass(kind) and kind.__hash__ is None:
            kind.__hash__ = object.__hash__  # type: ignore[method-assign, assignment]
            changed.append(kind.__name__)
        return original(cls, name, *args, **kwargs)

    dataclasses._get_field = get_field  # type: ignore[attr-defined]
    try:
        yield changed
    finally:
        dataclasses._get_field = original  # type: ignore[attr-defined]


def _lacks_is_primitive_type() -> bool:
    return not hasattr(importlib.import_module("omegaconf._utils"), "is_primitive_type")


def _restore_is_primitive_type(_: Any) -> None:
    utils: Any = importlib.import_module("omegaconf._utils")
    utils.is_primitive_type = utils.is_primitive_type_annotation


def _clips_on_cuda_alone() -> bool:
    if importlib.import_module("torch").cuda.is_available():
        return False
    utils: Any = importlib.import_module(f"{PATCHED_HOST}.utils.utils")
    names = inspect.unwrap(utils.clip_grad_norm_).__code__.co_names
    return "is_available" in names and "current_device" in names


def _clip_without_cuda(_: Any) -> None:
    torch: Any = importlib.import_module("torch")
    utils: Any = importlib.import_module(f"{PATCHED_HOST}.utils.utils")
    original = utils.clip_grad_norm_

    def clip_grad_norm_(params: Any, max_norm: float, aggregate_norm_fn: Any = None) -> Any:
        # The norm is the same as PyTorch's; only its choice of device is replaced.
        current_device = torch.cuda.current_device
        torch.cuda.current_device = lambda: torch.device("cpu")
        try:
            return original(params, max_norm, aggregate_norm_fn)
        finally:
            torch.cuda.current_device = current_device

    utils.clip_grad_norm_ = clip_grad_norm_


HASHABLE = Patch(
    "dataclass defaults made hashable",
    "Python 3.11 refuses unhashable defaults, and the toolkit and hydra-core 1.0 write dataclass "
    "instances as such; their classes get an identity hash before the field is made",
    f"{TOOLKIT} and hydra-core < 1.1 on Python >= 3.11",
    lambda: False,  # nobody could have imported the toolkit
    lambda _: None,
)
AT_THE_START = (
    HASHABLE,
    Patch(
        "omegaconf._utils.is_primitive_type restored",
        "the toolkit looks the name up, and sets it back, when it loads a checkpoint",
        f"{TOOLKIT} with omegaconf >= 2.1",
        _lacks_is_primitive_type,
        _restore_is_primitive_type,
    ),
    Patch(
        "gradient clipping without CUDA",
        "clip_grad_norm_ tests the function torch.cuda.is_available instead of calling it, and "
        "then asks for the current CUDA device on a machine that has none",
        f"{TOOLKIT} without a GPU",
        _clips_on_cuda_alone,
        _clip_without_cuda,
    ),
)
