"""Pre-norm transformer blocks over tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TransformerBlock"]


class TransformerBlock(nn.Module):
    """Attention and a perceptron (GELU), each over normalised tokens and added to its input.

    With the default arguments and no dropout it is the function of
    :class:`torch.nn.TransformerEncoderLayer` with ``norm_first=True`` and ``activation="gelu"``.

    Parameters
    ----------
    width
        Size of a token.
    heads
        Attention heads.
    hidden
        Inner size of the perceptron.
    head_width
        Size of a head; default: ``width / heads``.
    attention_bias
        Whether queries, keys and values have a bias.
    dropout
        Share of values that is left out in training: of attention, of what it gives, and of the
        perceptron's inner and outer values.

    Raises
    ------
    ValueError
        If ``head_width`` is left out and ``width`` is no multiple of ``heads``.

    Examples
    --------
    >>> import torch
    >>> TransformerBlock(64, heads=4, hidden=256)(torch.randn(2, 30, 64)).shape
    torch.Size([2, 30, 64])
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        head_width: int | None = None,
        attention_bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise ValueError(f"a width of {width} cannot be divided among {heads} heads")
        inner = heads * (head_width or width // heads)
        self.heads = heads
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * inner, bias=attention_bias)
        self.attention_out = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, attended: Tensor | None = None) -> Tensor:
        """Map tokens to the same shape.

        Parameters
        ----------
        tokens
            ``(batch, tokens, width)``.
        attended
            bool ``(batch, tokens)``: the tokens that may be attended to, at least one of each row;
            None: all.
        """
        tokens = tokens + self._drop(self._attend(self.norm1(tokens), attended))
        hidden = self._drop(F.gelu(self.hidden(self.norm2(tokens))))
        return tokens + self._drop(self.out(hidden))

    def _attend(self, tokens: Tensor, attended: Tensor | None) -> Tensor:
        # (batch, heads, tokens, size of a head) each
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.attention_in(tokens).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            None if attended is None else attended[:, None, None],
            self.dropout if self.training else 0.0,
        )
        out: Tensor = self.attention_out(mixed.transpose(1, 2).flatten(2))
        return out

    def _drop(self, values: Tensor) -> Tensor:
        return F.dropout(values, self.dropout, self.training) if self.dropout else values
