"""A learning rate of the encoder's own, through any optimizer of either host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn import Parameter

__all__ = ["encoder_learning_rate"]


@contextmanager
def encoder_learning_rate(
    optimizer: Any, encoder: Iterable[Parameter], scale: float
) -> Iterator[None]:
    """Step the encoder's parameters with ``scale`` times the learning rate of the others.

    Both hosts hand their optimizer one list of parameters, and their schedules write one rate
    into every parameter group. So the groups are divided for the length of a step only:
    checkpoints and schedules see them as the host made them. What an optimizer keeps of a
    parameter (moments, number of steps) hangs on the parameter and stays.

    Parameters
    ----------
    optimizer
        The host's optimizer.
    encoder
        The encoder's parameters.
    scale
        Factor of the learning rate. 0 leaves the encoder out of the step: its weights do not
        decay, and its moments do not start before its training does.

    Raises
    ------
    ValueError
        If the optimizer does not step the encoder's own weights but copies of them, or has no
        list of groups.
    """
    groups = optimizer.param_groups
    wanted = {id(parameter) for parameter in encoder}
    if not isinstance(groups, list) or not wanted <= {id(p) for g in groups for p in g["params"]}:
        raise ValueError(
            "model.freeze_encoder_updates and model.encoder_lr_scale need an optimizer that steps "
            "the model's own weights, and this one steps copies of them or is made of several: "
            "instead of common.fp16 or common.bf16 set model.precision=bfloat16, and do not take "
            "the optimizer composite"
        )
    host = list(groups)
    others = [_part(group, wanted, inside=False) for group in host]
    own = [
        {**_part(group, wanted, inside=True), "lr": scale * group["lr"]} for group in host if scale
    ]
    groups[:] = [group for group in (*others, *own) if group["params"]]
    try:
        yield
    finally:
        # Some optimizers count their steps in the group.
        for group, stepped in zip(host, others, strict=True):
            group.update({k: v for k, v in stepped.items() if k not in ("params", "lr")})
        groups[:] = host


def _part(group: dict[str, Any], wanted: set[int], inside: bool) -> dict[str, Any]:
    return {**group, "params": [p for p in group["params"] if (id(p) in wanted) == inside]}
