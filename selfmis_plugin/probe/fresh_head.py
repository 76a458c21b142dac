"""Where a new head begins: at how common its labels are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from selfmis_plugin.checkpoints.facts import LabelCounts

__all__ = ["begin_at_prevalence"]


@torch.no_grad()
def begin_at_prevalence(
    head: nn.Linear,
    labels: Sequence[str],
    counts: LabelCounts,
    positive_weight: torch.Tensor | None = None,
) -> None:
    """Set the biases of a head so that it first says how common each label is.

    For p positives and n negatives among the training records, and a weight w of positives in the
    loss, the bias is log(w (p + 1) / (n + 1)): what minimises the loss of a head that sees
    nothing, one record of either kind added so that it is finite. From a bias of zero, a head that
    is trained for a few epochs at a small rate still says half for what one record in fourteen
    has (Lin et al., "Focal loss for dense object detection", ICCV 2017, section 4.1, begin at a
    prior likewise).

    Parameters
    ----------
    head
        One output a label.
    labels
        Their names, in the order of the outputs.
    counts
        Of the training records.
    positive_weight
        w, (labels,), above 0; None for 1.

    Raises
    ------
    ValueError
        If a weight is not above 0: its bias would not be finite.
    """
    positives = torch.tensor([counts.positives[name] for name in labels], dtype=torch.float64)
    odds = (positives + 1) / (counts.records - positives + 1)
    if positive_weight is not None:
        if not bool((positive_weight > 0).all()):
            raise ValueError(
                f"weights of positives must be above 0, and are {positive_weight.tolist()}: choose "
                "a larger criterion.positive_weight_cap"
            )
        odds = odds * positive_weight.double().cpu()
    head.bias.copy_(odds.log().to(head.bias))
