"""Generators and discriminators that learn at the same weights, by one optimiser.

The losses' gradients are taken before either has moved, as the authors take theirs. The sum of both
losses then gives each network the gradient of its own, if the generator's loss sees a discriminator
whose weights are constants, and the discriminator's loss sees constant leads. Adam treats every
weight by itself, so one step of one optimiser is a step of each network's own.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from selfmis_plugin.methods.lead_synthesis.step import each

__all__ = ["discriminator_loss", "generator_loss"]


def generator_loss(discriminator: nn.Module, made: Tensor, double_sigmoid: bool = False) -> Tensor:
    """Return the cross-entropy of made images with being real, ``(batch,)``.

    The discriminator's weights are constants, and what its norms keep stays.

    Parameters
    ----------
    discriminator
        From images to logits.
    made
        Images, ``(batch, channels, rows, samples)``.
    double_sigmoid
        Take the logistic function of the logits first, as EKGAN's authors' PatchGANs do: what is
        taken for logits then lies between 0 and 1, and the loss between 0.31 and 0.69.
    """
    constants = {name: value.detach() for name, value in discriminator.named_parameters()}
    kept = {name: value.clone() for name, value in discriminator.named_buffers()}
    logits: Tensor = functional_call(discriminator, {**constants, **kept}, (made,))
    return each(softplus(-_logits(logits, double_sigmoid)))


def discriminator_loss(
    discriminator: nn.Module, real: Tensor, made: Tensor, double_sigmoid: bool = False
) -> Tensor:
    """Return the cross-entropy of real images with being real and of made ones with being made,
    ``(batch,)``; the images are constants. See :func:`generator_loss`."""
    of_real = _logits(discriminator(real.detach()), double_sigmoid)
    of_made = _logits(discriminator(made.detach()), double_sigmoid)
    return each(softplus(-of_real)) + each(softplus(of_made))


def _logits(logits: Tensor, double_sigmoid: bool) -> Tensor:
    return logits.sigmoid() if double_sigmoid else logits
