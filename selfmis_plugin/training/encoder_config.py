"""Config keys that give the size of an encoder, and encoders made from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, List, Optional, Protocol, runtime_checkable  # noqa: UP035  (older omegaconf reads only typing.List)

from torch import nn

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError, Tower, fill, load_encoder_weights
from selfmis_plugin.data.leads import standard_lead
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from selfmis_plugin.training.precision import PRECISIONS, own_precision

logger = logging.getLogger(__name__)


@dataclass
class EncoderConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Size of a Net1D, whose defaults are ECGFounder's, and how it computes."""

    base_filters: int = field(default=64, metadata={"help": "channels of the first convolution"})
    filters: List[int] = field(  # noqa: UP006
        default_factory=lambda: [64, 160, 160, 400, 400, 1024, 1024],
        metadata={"help": "channels of each stage; the last is the size of the embedding"},
    )
    blocks: List[int] = field(  # noqa: UP006
        default_factory=lambda: [2, 2, 2, 3, 3, 4, 4], metadata={"help": "blocks of each stage"}
    )
    kernel_size: int = field(default=16, metadata={"help": "samples of a convolution"})
    stride: int = field(default=2, metadata={"help": "stride of each stage"})
    group_width: int = field(default=16, metadata={"help": "channels of a convolution group"})
    ratio: float = field(default=1.0, metadata={"help": "inner channels over outer channels"})
    precision: str = field(
        default="float32",
        metadata={"help": "what the encoder computes in, whatever the host: float32 or bfloat16"},
    )
    frozen_precision: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={
            "help": "what a frozen encoder computes in: float32, bfloat16 or float16; "
            "that of precision where not given"
        },
    )
    compile: bool = field(default=False, metadata={"help": "compile the encoder by torch.compile"})
    activation_checkpointing: bool = field(
        default=False,
        metadata={"help": "keep less for the backward pass and compute it again: less memory"},
    )


@runtime_checkable
class ChecksActivations(Protocol):
    """An encoder that can keep less for the backward pass and compute it again."""

    def checkpoint_activations(self, on: bool = True) -> None:
        """Switch it."""


def configure(encoder: Any, config: EncoderConfig, frozen: bool = False) -> None:
    """Make *encoder* compute as the config says.

    Parameters
    ----------
    encoder
        A Net1D, or another method's encoder.
    config
        Its ``precision``, ``frozen_precision``, ``compile`` and ``activation_checkpointing``.
    frozen
        Whether the encoder is not trained.

    Raises
    ------
    ValueError
        If a precision is not one of those that are offered, or the encoder cannot do what is asked.
    """
    trained = own_precision(config.precision)
    other = config.frozen_precision or config.precision
    kept = own_precision(other, "frozen_precision", (*PRECISIONS, "float16"))
    encoder.precision = kept if frozen else trained
    recompute = config.activation_checkpointing and not frozen
    if isinstance(encoder, ChecksActivations):
        encoder.checkpoint_activations(recompute)
    elif recompute:
        raise ValueError(
            f"model.activation_checkpointing=true is not for a {type(encoder).__name__}, which "
            "cannot do it: model.activation_checkpointing=false"
        )
    if config.compile:
        encoder.compile()


def load_tower(
    encoder: Net1D, path: str, config: Net1DConfig, tower: Tower, preprocessing: Preprocessing
) -> None:
    """Fill *encoder* with the weights of a checkpoint.

    Parameters
    ----------
    encoder
        Encoder of the size *config*.
    path
        ECGFounder's ``.pth`` or a checkpoint of this plugin.
    config
        Size that the run's config asks for.
    tower
        ``single`` or ``multi``: which tower of a pre-training checkpoint.
    preprocessing
        How this run prepares what the encoder sees.

    Raises
    ------
    CheckpointError
        If the file cannot be read, its encoder is no Net1D or has another size, or it was trained
        on data prepared in another way.
    """
    weights = load_encoder_weights(path, tower, leads=preprocessing.leads)
    if not isinstance(weights.config, Net1DConfig):
        raise CheckpointError(
            f"{path} holds another encoder ({weights.kind}), and a tower is a Net1D: give a "
            "checkpoint of selfmis, of a classifier on it, or ECGFounder's file"
        )
    refuse_other_size(path, weights.config, config)
    if weights.preprocessing is not None:
        made = Preprocessing.from_dict(weights.preprocessing)
        if weights.kind == "ecgfounder":
            # The paper starts from these weights on unfiltered records, so this is no error.
            used = replace(made, filter=preprocessing.filter, leads=preprocessing.leads)
            for line in used.difference(made):
                logger.warning("%s: ECGFounder's weights were trained otherwise: %s", path, line)
            if made.filter != preprocessing.filter:
                logger.warning(
                    "`selfmis prepare ... --filter %s` makes a store as these weights saw theirs",
                    made.filter,
                )
            made = used
        refuse_other_preprocessing(path, made, preprocessing)
    encoder.load_state_dict(weights.state_dict)
    logger.info("%s: weights of the %s-lead encoder loaded", path, tower)


def load_encoder_of_leads(
    encoder: nn.Module, path: str, shape: Any, preprocessing: Preprocessing
) -> None:
    """Fill *encoder* with that encoder of a checkpoint which reads this run's leads.

    Parameters
    ----------
    encoder
        Encoder of the shape that the checkpoint says.
    path
        Checkpoint of any method that has encoders.
    shape
        That shape.
    preprocessing
        How this run prepares what the encoder sees.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or it was trained on data prepared in another way.
    """
    weights = load_encoder_weights(path, None, leads=preprocessing.leads)
    rate = (weights.preprocessing or {}).get("sample_rate")
    if rate not in (None, preprocessing.sample_rate):
        raise CheckpointError(
            f"{path} was pre-trained on signals of {rate:g} Hz, and this run reads "
            f"{preprocessing.sample_rate:g} Hz: task.sample_rate={rate:g}"
        )
    if weights.preprocessing is not None and weights.leads:
        made = Preprocessing.from_dict(weights.preprocessing)
        refuse_other_preprocessing(path, made, preprocessing)
    fill(encoder, weights.state_dict, Path(path))
    logger.info("%s: weights of the %s encoder loaded", path, weights.kind)


def refuse_other_size(path: str | Path, theirs: Net1DConfig, ours: Net1DConfig) -> None:
    """Raise a CheckpointError that says which size to ask for, if the two are not one."""
    if theirs == ours:
        return
    keys = [f.name for f in fields(ours) if f.name != "in_leads"]
    asked = " ".join(
        f"model.{key}={_as_override(getattr(theirs, key))}"
        for key in keys
        if getattr(theirs, key) != getattr(ours, key)
    )
    raise CheckpointError(
        f"{path} holds an encoder of another size. Ask for its size: {asked}"
        if asked
        else f"{path} holds an encoder of {theirs.in_leads} leads, and this run needs "
        f"one of {ours.in_leads}"
    )


def refuse_other_preprocessing(path: str | Path, made: Preprocessing, now: Preprocessing) -> None:
    """Raise a CheckpointError if an encoder trained on *made* would see data prepared otherwise."""
    made = _for_another_channel(path, made, now)
    difference = now.difference(made)
    if difference:
        how = f" (--filter {made.filter})" if made.filter != now.filter else ""
        raise CheckpointError(
            f"{path} was trained on data prepared in another way: {'; '.join(difference)}. "
            f"Prepare the records as it needs{how}, or train an encoder on these"
        )


def _for_another_channel(
    path: str | Path, made: Preprocessing, now: Preprocessing
) -> Preprocessing:
    """Let a single-lead encoder go between a standard lead and a wearable's channel, and say so.

    A wearable has no labels of its own, and no encoder of its own to start from. Between two
    standard leads it stays an error: there the right data can be had.
    """
    names = (*made.leads, *now.leads)
    if len(names) != 2 or names[0] == names[1] or all(standard_lead(name) for name in names):
        return made
    logger.warning("%s: trained on %s, and used for %s", path, *names)
    return replace(made, leads=now.leads)


def _as_override(value: Any) -> str:
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)
