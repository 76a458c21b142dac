"""Layers of several networks of one shape, one a lead, computed at once.

A layer's parameters have a leading dimension of leads, and its input is ``(leads, batch, ...)``:
twelve networks cost one batched matrix product a layer, not twelve small ones after each other.
Where only some leads are computed, *leads* names them: positions, in the order of the input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LeadBlock", "LeadLayerNorm", "LeadLinear", "Leads"]

Leads = Sequence[int] | None
"""Positions of the leads that are computed; None for all."""


def _chosen(parameter: Tensor, leads: Leads) -> Tensor:
    return parameter if leads is None else parameter[list(leads)]


class LeadLinear(nn.Module):
    """A :class:`torch.nn.Linear` a lead: ``(leads, ..., inputs)`` to ``(leads, ..., outputs)``.

    Parameters
    ----------
    leads
        Number of leads.
    inputs, outputs
        Sizes of the last dimension.
    """

    def __init__(self, leads: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(leads, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(leads, outputs))
        # Glorot's, of one lead's matrix: the leading dimension is no part of the fans.
        bound = math.sqrt(6 / (inputs + outputs))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, rows: Tensor, leads: Leads = None) -> Tensor:
        """Apply each lead's own weights to its rows."""
        weight, bias = _chosen(self.weight, leads), _chosen(self.bias, leads)
        flat = rows.flatten(1, -2)
        out = torch.baddbmm(bias[:, None], flat, weight)
        return out.view(*rows.shape[:-1], weight.shape[-1])


class LeadLayerNorm(nn.Module):
    """A :class:`torch.nn.LayerNorm` a lead, over the last dimension of ``(leads, ..., size)``."""

    def __init__(self, leads: int, size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(leads, size))
        self.bias = nn.Parameter(torch.zeros(leads, size))
        self.eps = eps

    def forward(self, rows: Tensor, leads: Leads = None) -> Tensor:
        """Apply each lead's own weights to its rows."""
        weight, bias = _chosen(self.weight, leads), _chosen(self.bias, leads)
        shape = (weight.shape[0], *[1] * (rows.dim() - 2), weight.shape[1])
        normal = F.layer_norm(rows, rows.shape[-1:], eps=self.eps)
        return torch.addcmul(bias.view(shape), normal, weight.view(shape))


class LeadBlock(nn.Module):
    """A pre-norm transformer block a lead: attention and a perceptron (GELU), each added to its
    input.

    The function of one lead is that of :class:`torch.nn.TransformerEncoderLayer` with
    ``norm_first=True``, ``activation="gelu"`` and no dropout.

    Parameters
    ----------
    leads
        Number of leads.
    width
        Size of a token.
    heads
        Attention heads; ``width`` must be a multiple.
    hidden
        Inner size of the perceptron.

    Raises
    ------
    ValueError
        If ``width`` is no multiple of ``heads``.
    """

    def __init__(self, leads: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be divided among {heads} heads")
        self.heads = heads
        self.norm1 = LeadLayerNorm(leads, width)
        self.attention_in = LeadLinear(leads, width, 3 * width)
        self.attention_out = LeadLinear(leads, width, width)
        self.norm2 = LeadLayerNorm(leads, width)
        self.hidden = LeadLinear(leads, width, hidden)
        self.out = LeadLinear(leads, hidden, width)

    def forward(self, tokens: Tensor, leads: Leads = None) -> Tensor:
        """Map tokens ``(leads, batch, tokens, width)`` to the same shape."""
        tokens = tokens + self._attend(self.norm1(tokens, leads), leads)
        hidden = F.gelu(self.hidden(self.norm2(tokens, leads), leads))
        return tokens + self.out(hidden, leads)

    def _attend(self, tokens: Tensor, leads: Leads) -> Tensor:
        count, batch, length, width = tokens.shape
        joined = self.attention_in(tokens, leads)
        # (leads * batch, heads, tokens, width of a head) each
        query, key, value = (
            part.reshape(count * batch, length, self.heads, -1).transpose(1, 2)
            for part in joined.chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(count, batch, length, width)
        return self.attention_out(mixed, leads)
