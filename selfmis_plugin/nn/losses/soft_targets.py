"""What a student owes its teacher: the teacher's probabilities, and its embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["EMBEDDING_LOSSES", "embedding_loss", "soft_target_loss"]

#: How embeddings may be compared.
EMBEDDING_LOSSES = ("cosine", "mse")


def soft_target_loss(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Binary cross-entropy of each record with its teacher's probabilities, averaged over labels.

    With student's logits s, teacher's logits t and temperature T it is
    :math:`T^2 H(\sigma(t / T), \sigma(s / T))` (Hinton et al., "Distilling the knowledge in a
    neural network", 2015, section 2, for labels that do not exclude each other). The factor keeps
    the size of the gradients, which softer targets shrink by :math:`1 / T^2`.

    Parameters
    ----------
    logits, teacher
        (batch, labels) each.
    temperature
        T, above 0.

    Returns
    -------
    Tensor
        float32 (batch,).

    Raises
    ------
    ValueError
        If the temperature is not above 0.

    Examples
    --------
    >>> import torch
    >>> float(soft_target_loss(torch.zeros(1, 3), torch.zeros(1, 3))) # log 2
    0.6931471824645996
    """
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} is not above 0")
    with torch.autocast(logits.device.type, enabled=False):
        soft = torch.sigmoid(teacher.float() / temperature)
        each = F.binary_cross_entropy_with_logits(
            logits.float() / temperature, soft, reduction="none"
        )
        return temperature**2 * each.mean(1)


def embedding_loss(student: Tensor, teacher: Tensor, kind: str = "cosine") -> Tensor:
    """Return the distance of each record's embeddings, float32 (batch,).

    Parameters
    ----------
    student, teacher
        (batch, dim) each.
    kind
        ``cosine``: 1 less the cosine; ``mse``: mean squared difference of their values.

    Raises
    ------
    ValueError
        If the kind is another.
    """
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = student.float(), teacher.float()
        if kind == "cosine":
            return 1 - F.cosine_similarity(student, teacher, dim=1)
        if kind == "mse":
            return (student - teacher).square().mean(1)
    raise ValueError(f"embedding loss {kind!r}: choose {' or '.join(EMBEDDING_LOSSES)}")
