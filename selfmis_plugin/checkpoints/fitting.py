"""Networks out of what a file says of itself: compared with its weights before they take memory.

A network is first built on the ``meta`` device, where tensors are shapes alone. Of an encoder that
cannot be built there (its constructor asks a tensor for its values) the rule is: it is built as it
is, and given up as soon as it has more values than twice those of the file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy

from selfmis_plugin.checkpoints.reading import CheckpointError, first_line, some

__all__ = ["check_fit", "fill", "filled"]

Build = Callable[[], nn.Module]

# What constructors make and take away again, such as parts for pre-training alone, comes on top of
# what the file has.
_PARAMETERS = (2, 100)
_MODULES = (8, 1000)
_VALUES = (2, 1_000_000)

#: What a constructor raises where the values given to it make no network.
_MISTAKES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError),
)


class _TooLarge(Exception):
    """A network grows beyond what the file can fill."""


def check_fit(source: object, build: Build, weights: Mapping[str, Any], shape: object = "") -> None:
    """Refuse weights that are not those of a network, without making it.

    Parameters
    ----------
    source
        What messages call the file.
    build
        Returns the network.
    weights
        Its state dict, as the file has it.
    shape
        Shape of the network, for messages.

    Raises
    ------
    CheckpointError
        If nothing can be built, or names or shapes differ.
    """
    kind, wanted = _shapes(source, build, weights)
    missing = [name for name in wanted if name not in weights]
    extra = [name for name in weights if name not in wanted]
    misshapen = [
        f"{name} {tuple(getattr(weights[name], 'shape', ()))} instead of {tuple(size)}"
        for name, size in wanted.items()
        if size is not None and name in weights and getattr(weights[name], "shape", None) != size
    ]
    complaints = [
        f"{what} {some(names)}"
        for what, names in (("missing", missing), ("unknown", extra), ("misshapen", misshapen))
        if names
    ]
    if complaints:
        raise CheckpointError(
            f"{source}: its weights do not make a {kind}{_of(shape)}: " + "; ".join(complaints)
        )


def filled(path: Path, build: Build, weights: Mapping[str, Tensor], shape: object = "") -> Any:
    """Return the network that *build* makes with the weights of a file, in evaluation mode.

    Raises
    ------
    CheckpointError
        If they do not fit; nothing has been allocated then.
    """
    check_fit(path, build, weights, shape)
    network = build()
    fill(network, weights, path)
    # What is read from a file is there to be asked: dropout and the statistics of batches would
    # make other answers of it, and nothing would say so.
    return network.eval()


def fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load *weights*; raise a CheckpointError that names *path* where they do not fit."""
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own config: {error}") from error


def _shapes(
    source: object, build: Build, weights: Mapping[str, Any]
) -> tuple[str, dict[str, torch.Size | None]]:
    """Name of the network's class, and the shapes of its state; None where one is left open."""
    count = len(weights)
    values = sum(value.numel() for value in weights.values() if isinstance(value, Tensor))
    try:
        try:
            with torch.device("meta"), _limited(count, None):
                return _described(build())
        except (RuntimeError, TypeError):
            # Not on meta, or not at all. Random numbers are those of whoever builds it to use it.
            with torch.random.fork_rng(devices=[]), _limited(count, values):
                return _described(build())
    except CheckpointError:
        raise
    except _TooLarge as error:
        raise CheckpointError(
            f"{source}: it describes a network of more layers or values than its {count} weights "
            f"fill ({error}): copy or download it again"
        ) from None
    except _MISTAKES as error:
        _refuse(source, error)


def _refuse(source: object, error: Exception) -> NoReturn:
    raise CheckpointError(
        f"{source}: what it says of its network makes none ({first_line(error)}): copy or download "
        "it again"
    ) from error


def _described(network: nn.Module) -> tuple[str, dict[str, torch.Size | None]]:
    state = network.state_dict()
    return type(network).__name__, {name: _shape(value) for name, value in state.items()}


def _shape(value: Any) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) and not is_lazy(value) else None


def _of(shape: object) -> str:
    text = f" of {shape}" if shape else ""
    return text if len(text) < 500 else f"{text[:500]}..."


@contextlib.contextmanager
def _limited(weights: int, values: int | None) -> Iterator[None]:
    """Stop a constructor in this thread that goes on beyond what *weights* can fill."""
    thread = threading.get_ident()
    parameters = _Counter("parameters", weights, *_PARAMETERS)
    modules = _Counter("modules", weights, *_MODULES)
    total = None if values is None else _Counter("values", values, *_VALUES)

    def on_parameter(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if threading.get_ident() == thread:
            parameters.add(1)
            if total is not None and not is_lazy(parameter):
                total.add(parameter.numel())

    def on_module(module: nn.Module, name: str, child: nn.Module | None) -> None:
        if threading.get_ident() == thread:
            modules.add(1)

    handles = (
        register_module_parameter_registration_hook(on_parameter),
        register_module_module_registration_hook(on_module),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Counter:
    def __init__(self, what: str, has: int, times: int, more: int) -> None:
        self.what = what
        self.left = self.most = times * has + more

    def add(self, number: int) -> None:
        self.left -= number
        if self.left < 0:
            raise _TooLarge(f"beyond {self.most:,} {self.what}")
