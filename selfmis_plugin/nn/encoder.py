"""What every encoder is, and encoders from their shapes.

A classifier needs no more of its encoder than :class:`Encoder` says, so an architecture is added
by a shape and by registering how it becomes a network::

    @register_shape("my_net")
    @dataclass(frozen=True)
    class MyShape: ...

    @build_encoder.register
    def _(config: MyShape, in_leads: int) -> MyEncoder: ...

The name of a shape stands in files, which are read by it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.fields import Fields, shown

__all__ = [
    "Encoder",
    "EncoderModule",
    "build_encoder",
    "build_input",
    "describe_shape",
    "first_step_of",
    "in_precision",
    "is_portable",
    "plain_encoder",
    "register_shape",
    "shape_from",
]

_KIND = "kind"
_SHAPES: dict[str, Any] = {}
_BOUND: set[Any] = set()
_Shape = TypeVar("_Shape", bound=type)


@runtime_checkable
class Encoder(Protocol):
    """A module from prepared signals ``(batch, leads, samples)`` to embeddings ``(batch, dim)``.

    Attributes
    ----------
    config
        Its shape, a frozen dataclass.
    precision
        Type that it computes in, as under autocast; None leaves it to the host.
    """

    config: Any
    precision: torch.dtype | None

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""

    def __call__(self, prepared: Tensor) -> Tensor:
        """Embed prepared signals."""


class EncoderModule(nn.Module, ABC):
    """Base of an encoder of one's own: a subclass gives ``embedding_dim`` and :meth:`embed`.

    Parameters
    ----------
    config
        Its shape.
    """

    embedding_dim: int

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.precision: torch.dtype | None = None

    @abstractmethod
    def embed(self, prepared: Tensor) -> Tensor:
        """Embed prepared signals, ``(batch, leads, samples)`` to ``(batch, embedding_dim)``."""

    def forward(self, prepared: Tensor) -> Tensor:
        """Embed prepared signals, in :attr:`precision` where one is set."""
        with in_precision(self.precision, prepared.device):
            return self.embed(prepared)


def in_precision(
    precision: torch.dtype | None, device: torch.device
) -> AbstractContextManager[None]:
    """Return the context in which a module computes in *precision* as under autocast; None leaves
    it to the host."""
    if precision is None:
        return nullcontext()
    # Autocast to float32 is none: then the host's own is left out.
    reduced = precision != torch.float32
    return torch.autocast(device.type, precision if reduced else None, reduced)


def register_shape(name: str, portable: bool = True) -> Callable[[_Shape], _Shape]:
    """Let files say *name* for a class of shapes, a dataclass of plain values.

    Parameters
    ----------
    name
        The name.
    portable
        Whether such encoders are built from PyTorch alone, so that folders of them can go
        anywhere.

    Raises
    ------
    ValueError
        If another class has the name.
    """

    def register(shape: _Shape) -> _Shape:
        other = _SHAPES.setdefault(name, shape)
        if (other.__module__, other.__qualname__) != (shape.__module__, shape.__qualname__):
            raise ValueError(f"two shapes are called {name!r}: {other} and {shape}")
        _SHAPES[name] = shape
        if not portable:
            _BOUND.add(shape)
        return shape

    return register


def is_portable(config: Any) -> bool:
    """Whether files of encoders of this shape can be read wherever this package is."""
    known = _is_shape(config) and type(config) not in _BOUND
    return known and all(is_portable(part) for part in _parts_of(config).values())


def _is_shape(value: Any) -> bool:
    return type(value) in _SHAPES.values()


def _parts_of(config: Any) -> dict[str, Any]:
    """Return the shapes that are fields of a shape."""
    values = ((field.name, getattr(config, field.name)) for field in fields(config))
    return {name: value for name, value in values if _is_shape(value)}


def describe_shape(config: Any) -> dict[str, Any]:
    """Return a shape as plain values, with the name of its class; so are shapes among its fields.

    Raises
    ------
    TypeError
        If its class is not registered.
    """
    for name, shape in _SHAPES.items():
        if type(config) is shape:
            parts = {part: describe_shape(value) for part, value in _parts_of(config).items()}
            return {_KIND: name, **asdict(config), **parts}
    raise TypeError(f"{type(config).__name__} is the shape of no known encoder")


def shape_from(values: Mapping[str, Any]) -> Any:
    """Return the shape that :func:`describe_shape` has described.

    Raises
    ------
    ValueError
        If no package that is installed knows such a shape, or an entry is not of its kind.
    TypeError
        If *values* are not a shape's.
    """
    name = Fields(values, "encoder").text(_KIND)
    # Also of a shape that is known: whoever imported it alone has not imported what builds it.
    plugins.modules("network", "shape")
    if name not in _SHAPES:
        raise ValueError(
            f"its encoder is a {shown(name)}, which no package here brings (there is "
            f"{', '.join(sorted(_SHAPES))}): install the package that it was trained with"
        )
    return _SHAPES[name](
        **{key: _field_from(value) for key, value in values.items() if key != _KIND}
    )


def _field_from(value: Any) -> Any:
    if isinstance(value, Mapping) and _KIND in value:
        return shape_from(value)
    # JSON has lists where shapes, which are compared and hashed, have tuples.
    return tuple(value) if isinstance(value, list) else value


@functools.singledispatch
def build_encoder(config: Any, in_leads: int) -> Any:
    """Return a new encoder of the shape *config* that reads *in_leads* leads.

    Raises
    ------
    TypeError
        If no encoder is registered for such a shape.
    """
    raise TypeError(f"{type(config).__name__} is the shape of no known encoder")


@functools.singledispatch
def build_input(
    config: Any, leads: Sequence[str], store_rate: float, sample_rate: float
) -> nn.Module:
    """Return the module from raw signals, microvolts ``(batch, leads, samples)``, to what an
    encoder of the shape *config* reads.

    It is :class:`~selfmis_plugin.nn.inputs.Preparation`, unless another one is registered for the
    shape. Its attribute ``first_step`` says in words, for a model's card, what it does to
    amplitudes.

    Parameters
    ----------
    config
        Shape of the encoder.
    leads
        Names of the leads of the signals.
    store_rate, sample_rate
        Their sample rate and that of what the encoder reads, in hertz.
    """
    return Preparation(store_rate, sample_rate)


def first_step_of(prepare: Any, encoder: Any) -> str:
    """Return what is done first to the amplitudes of signals, in words.

    Parameters
    ----------
    prepare
        What prepares the input of *encoder*: see :func:`build_input`.
    encoder
        Its own ``first_step``, where it has one, is of both together.
    """
    said: str = getattr(encoder, "first_step", "") or getattr(prepare, "first_step", "")
    return said or "its own"


@functools.singledispatch
def plain_encoder(encoder: Any) -> nn.Module:
    """Return the same function in PyTorch's own operations, for tracing and counting.

    It is *encoder* itself, unless another way is registered for its class; a new module has the
    weights of *encoder*.
    """
    module: nn.Module = encoder
    return module
