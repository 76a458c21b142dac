"""A linear head whose labels are made of several classes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["AnyClass", "any_logit"]


def any_logit(first: Tensor, second: Tensor) -> Tensor:
    r"""Log odds that at least one of two independent things is true, from the log odds of each.

    The odds of "neither" are :math:`1 / ((1 + e^a)(1 + e^b))`, so those of "any" are
    :math:`e^a + e^b + e^{a + b}`; their logarithm neither overflows nor cancels.
    """
    return torch.stack([first, second, first + second]).logsumexp(0)


class AnyClass(nn.Linear):
    """Logits of labels, each true where any of its classes is.

    The classes' probabilities are combined as those of independent findings,
    :math:`1 - \\prod_k (1 - p_k)`; a label of one class is that class.

    Parameters
    ----------
    in_features
        Values of the embedding.
    members
        For each label the numbers of its classes, from 0 on.

    Examples
    --------
    >>> AnyClass(16, [(0,), (1, 2)])(torch.zeros(4, 16)).shape
    torch.Size([4, 2])
    """

    def __init__(self, in_features: int, members: Sequence[Sequence[int]]) -> None:
        super().__init__(in_features, 1 + max(max(classes) for classes in members))
        self.members = tuple(tuple(classes) for classes in members)

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits ``(batch, labels)`` of embeddings ``(batch, in_features)``."""
        classes = super().forward(embedding)
        labels = [
            functools.reduce(any_logit, [classes[:, k] for k in members])
            for members in self.members
        ]
        return torch.stack(labels, dim=1)
