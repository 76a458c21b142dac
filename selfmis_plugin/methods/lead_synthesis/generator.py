"""What every generator is: microvolts of one lead in, microvolts of twelve leads out.

A network makes windows of one length at one rate, in millivolts. :class:`LeadGenerator` is the
rest: the record's rate, windows and their joining, and the lead that was given, which is put back.

A network is added by a shape and by registering how it becomes one::

    @register_shape("my_generator")
    @dataclass(frozen=True)
    class MyShape:
        window: int | None

    @build_generator.register
    def _(shape: MyShape) -> nn.Module: ...
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.lead_synthesis.upsampling import Upsampling
from selfmis_plugin.methods.lead_synthesis.windows import cut, joined
from selfmis_plugin.nn.encoder import in_precision
from selfmis_plugin.nn.inputs import Preparation

__all__ = ["LeadGenerator", "build_generator"]

_MICROVOLTS = 1000


@functools.singledispatch
def build_generator(shape: Any) -> Any:
    """Return a new network of a shape.

    It takes millivolts of a lead, ``(batch, samples)``, and which standard lead that is, int64
    ``(batch,)``, and makes millivolts of the standard leads, ``(batch, 12, samples)``. Samples are
    the shape's ``window``; where that is None, a whole record's.

    Raises
    ------
    TypeError
        If none is registered for such a shape.
    """
    raise TypeError(f"{type(shape).__name__} is the shape of no known generator")


class LeadGenerator(nn.Module):
    """Microvolts of one lead to microvolts of twelve, at the same rate and of any length.

    Parameters
    ----------
    shape
        Shape of the network (:func:`build_generator`).
    store_rate
        Sample rate of what comes in and goes out, in hertz.
    sample_rate
        Sample rate of the network, in hertz.
    given
        Name of the lead that comes in.
    keep_given
        Put the lead that came in where the network would make it.

    Raises
    ------
    ValueError
        If the lead is not a standard one, or the rates do not fit.
    """

    def __init__(
        self,
        shape: Any,
        store_rate: float,
        sample_rate: float,
        given: str = "I",
        keep_given: bool = True,
    ) -> None:
        super().__init__()
        if given not in STANDARD_LEADS:
            raise ValueError(f"lead {given!r} is none of {', '.join(STANDARD_LEADS)}")
        self.shape = shape
        self.row = STANDARD_LEADS.index(given)
        self.keep_given = keep_given
        self.network = build_generator(shape)
        self.input = Preparation(store_rate, sample_rate)
        self.output = Upsampling(sample_rate, store_rate)
        self.precision: torch.dtype | None = None

    def forward(self, signal: Tensor) -> Tensor:
        """Make twelve leads.

        Parameters
        ----------
        signal
            Microvolts of the given lead, integer or float ``(batch, 1, samples)``.

        Returns
        -------
        Tensor
            float32 microvolts of the standard leads, ``(batch, 12, samples)``.

        Raises
        ------
        ValueError
            If there is not one lead.
        """
        if signal.dim() != 3 or signal.shape[1] != 1:
            raise ValueError(
                f"signals of shape {tuple(signal.shape)} are not (batch, 1 lead, samples)"
            )
        raw = signal.float()
        made = self.make(self.input.decimate(raw) / _MICROVOLTS)
        made = self.output(made * _MICROVOLTS)[..., : raw.shape[-1]]
        return self.with_given(made, raw[:, 0]) if self.keep_given else made

    def make(self, given: Tensor) -> Tensor:
        """Make millivolts ``(batch, 12, samples)`` of millivolts ``(batch, 1, samples)``, both at
        the network's rate."""
        samples = given.shape[-1]
        windows = cut(given, self.shape.window or samples)
        batch, count, _, length = windows.shape
        flat = windows.reshape(batch * count, length)
        lead = torch.full((flat.shape[0],), self.row, dtype=torch.int64, device=flat.device)
        with in_precision(self.precision, flat.device):
            made = self.network(flat, lead).float()
        return joined(made.unflatten(0, (batch, count)), samples)

    def with_given(self, made: Tensor, given: Tensor) -> Tensor:
        """Return the leads with the given one, ``(batch, samples)``, in its place."""
        rows = torch.arange(made.shape[1], device=made.device) == self.row
        return torch.where(rows[:, None], given[:, None].to(made.dtype), made)
