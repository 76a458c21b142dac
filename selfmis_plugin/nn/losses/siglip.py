"""SigLIP loss between single-lead and multi-lead embeddings (SelfMIS paper, equation 3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.nn.losses.pair_loss import siglip_loss, widened

__all__ = ["SigLIPLoss"]


class SigLIPLoss(nn.Module):
    """SigLIP loss with its logit scale and bias.

    The defaults are SigLIP's own start (normalised embeddings, learnable scale from 10 and bias
    from -10).  The paper's literal reading is ``logit_scale=1 / 0.07, learn_logit_scale=False,
    logit_bias=0.0, learn_logit_bias=False``.

    Learned values are parameters ``log_scale`` (the scale is learned as its logarithm) and
    ``bias``, of one element each; values that are not learned are plain numbers, so that a loss
    without learnable values has no parameters. The loss is computed in float32 also where the
    module was cast with ``half()``; parameters and the mean are then as precise as float16 holds
    them.

    Parameters
    ----------
    normalize
        Scale embeddings to unit length, so that the inner product is the cosine.
    logit_scale
        First (or fixed) value of the scale; positive.
    learn_logit_scale
        Learn the scale.
    logit_bias
        First (or fixed) value of the bias, in SigLIP's sign (see :func:`siglip_loss`).
    learn_logit_bias
        Learn the bias.
    center
        Subtract the mean multi-lead embedding of the training set from multi-lead embeddings,
        before normalising them. The mean is set once with :meth:`set_center` and kept in the
        state dict (``center_mean``, ``center_known``).
    embedding_dim
        Values of an embedding; needed with ``center``.
    across_processes
        In training, score this process's rows against every process's columns, as
        :func:`siglip_loss` says. In evaluation mode each process scores its own batch, since
        nothing says that all have equally many.

    Raises
    ------
    ValueError
        If ``logit_scale`` is not positive, or ``center`` comes without ``embedding_dim``.

    Examples
    --------
    >>> import torch
    >>> loss = SigLIPLoss()
    >>> single, multi = torch.randn(4, 8), torch.randn(4, 8)
    >>> bool(loss(single, multi, ids=torch.arange(4)) > 0)
    True
    """

    center_mean: Tensor
    center_known: Tensor

    def __init__(
        self,
        normalize: bool = True,
        logit_scale: float = 10.0,
        learn_logit_scale: bool = True,
        logit_bias: float = -10.0,
        learn_logit_bias: bool = True,
        center: bool = False,
        embedding_dim: int | None = None,
        across_processes: bool = False,
    ) -> None:
        super().__init__()
        if not logit_scale > 0:
            raise ValueError(f"logit_scale must be positive, not {logit_scale}")
        self.normalize = normalize
        self.center = center
        self.across_processes = across_processes
        self._fixed_scale = float(logit_scale)
        self._fixed_bias = float(logit_bias)
        self.log_scale = (
            nn.Parameter(torch.tensor([math.log(logit_scale)])) if learn_logit_scale else None
        )
        self.bias = nn.Parameter(torch.tensor([float(logit_bias)])) if learn_logit_bias else None
        self._center_seen = False
        if center:
            if embedding_dim is None or embedding_dim < 1:
                raise ValueError("center=True needs embedding_dim, the size of an embedding")
            self.register_buffer("center_mean", torch.zeros(embedding_dim))
            self.register_buffer("center_known", torch.zeros(1, dtype=torch.bool))

    @property
    def scale_value(self) -> Tensor | float:
        """The logit scale now: float32 tensor of one element where it is learned."""
        return self._fixed_scale if self.log_scale is None else self.log_scale.float().exp()

    @property
    def bias_value(self) -> Tensor | float:
        """The logit bias now: float32 tensor of one element where it is learned."""
        return self._fixed_bias if self.bias is None else self.bias.float()

    @torch.no_grad()
    def set_center(self, mean: Tensor) -> None:
        """Set the mean multi-lead embedding of the training set, ``(embedding_dim,)``.

        Raises
        ------
        ValueError
            If the loss was built without ``center``, or the mean has another shape or is not
            finite.
        """
        if not self.center:
            raise ValueError("this loss does not centre embeddings: build it with center=True")
        if mean.shape != self.center_mean.shape:
            raise ValueError(
                f"the mean embedding has shape {tuple(mean.shape)}, the loss was built for "
                f"embedding_dim={self.center_mean.shape[0]}"
            )
        if not torch.isfinite(mean).all():
            raise ValueError("the mean embedding holds NaN or Inf: check the multi-lead weights")
        self.center_mean.copy_(mean)
        self.center_known.fill_(True)

    def embed(
        self, single: Tensor, multi: Tensor, center: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Centre and normalise embeddings as the loss compares them.

        Evaluation uses this too, so that retrieval and validation loss see what training sees.

        Parameters
        ----------
        single, multi
            ``(rows, dim)`` each.
        center
            Mean multi-lead embedding ``(dim,)`` to subtract instead of the one that was set.

        Returns
        -------
        tuple of Tensor
            Both in float32 (float64 stays).

        Raises
        ------
        RuntimeError
            If ``center=True`` and no mean was set or loaded.
        """
        with torch.autocast(single.device.type, enabled=False):
            single, multi = widened(single), widened(multi)
            if center is None and self.center:
                center = self._known_center()
            if center is not None:
                multi = multi - center.to(multi)
            if self.normalize:
                single, multi = F.normalize(single, dim=-1), F.normalize(multi, dim=-1)
        return single, multi

    def _known_center(self) -> Tensor:
        # Looked at once: reading the flag each step would wait for the device.
        self._center_seen = self._center_seen or bool(self.center_known)
        if not self._center_seen:
            raise RuntimeError(
                "center=True but the mean multi-lead embedding was never set: compute it over the "
                "training set and call set_center(mean), or load a checkpoint that has it"
            )
        return self.center_mean

    def forward(
        self, single: Tensor, multi: Tensor, ids: Tensor, center: Tensor | None = None
    ) -> Tensor:
        """Sum over this process's rows of the loss.

        Parameters
        ----------
        single
            ``(batch, dim)`` single-lead embeddings.
        multi
            ``(batch, dim)`` multi-lead embeddings of the same records.
        ids
            ``(batch,)`` integers that name the records: a record that occurs twice, here or in
            another process, is never its own negative.
        center
            See :meth:`embed`.

        Returns
        -------
        Tensor
            Scalar, float32: divide by the batch for the paper's loss.

        Raises
        ------
        TypeError
            If ids are not integers (hosts cast integers to half precision, which merges ids).
        ValueError
            If the three do not have the same number of rows.
        """
        if ids.dtype.is_floating_point or ids.dtype == torch.bool:
            raise TypeError(
                f"record ids must be integers, not {ids.dtype}: keep them out of the host's cast "
                "to half precision"
            )
        if not (single.shape == multi.shape and ids.shape == single.shape[:1]):
            raise ValueError(
                f"single {tuple(single.shape)}, multi {tuple(multi.shape)} and ids "
                f"{tuple(ids.shape)} must describe the same records"
            )
        return self._compared(*self.embed(single, multi, center), ids)

    def _compared(self, single: Tensor, multi: Tensor, ids: Tensor) -> Tensor:
        return siglip_loss(
            single,
            multi,
            self.scale_value,
            self.bias_value,
            ids,
            ids,
            across_processes=self.across_processes and self.training,
        )
