"""The files that ST-MEM's authors publish: an encoder, or encoder and decoder.

``{"model": ..., "config": ...}``. Of the encoder alone its weights have their plain names; of the
whole they begin with ``encoder.``, and the patch embedding stands there twice, under ``encoder.``
and at the top, as one tensor of two names. Loading the latter into a bare encoder by whatever names
happen to fit fills those few alone; here everything has its place or is named.

The weights are for non-commercial use (CC BY-NC 4.0). None of them is here: they come from the
user's file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.fitting import check_fit
from selfmis_plugin.checkpoints.reading import CheckpointError, first_line, mapping, some
from selfmis_plugin.checkpoints.tensors import part_of
from selfmis_plugin.checkpoints.weights import checked
from selfmis_plugin.data.filter_names import BANDPASS
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.st_mem.autoencoder import StMemDecoder
from selfmis_plugin.methods.st_mem.shape import StMemDecoderShape, StMemShape

__all__ = ["published_encoder"]

#: What the published weights were trained on: 9 of 10 seconds at 250 Hz.
RATE, SECONDS = 250.0, 10.0
#: Size of an attention head, whatever the width.
_HEAD = 64
#: By these a file is known.
_SIGNATURE = ("sep_embedding", "to_patch_embedding.2.weight", "lead_embeddings.0")

_BLOCK = (
    (r"attn\.norm\.", "norm1."),
    (r"attn\.fn\.to_qkv\.", "attention_in."),
    (r"attn\.fn\.to_out\.0\.", "attention_out."),
    (r"ff\.norm\.", "norm2."),
    (r"ff\.fn\.net\.0\.", "hidden."),
    (r"ff\.fn\.net\.3\.", "out."),
)
#: Their names and ours; what has no place keeps its name, and is refused by it.
_ENCODER = (
    (r"^to_patch_embedding\.1\.", "patch_norm."),
    (r"^to_patch_embedding\.2\.", "patch_in."),
    (r"^to_patch_embedding\.3\.", "token_norm."),
    (r"^pos_embedding$", "positions"),
    (r"^sep_embedding$", "separator"),
    *((rf"^block(\d+)\.{theirs}", rf"blocks.\1.{ours}") for theirs, ours in _BLOCK),
)
_DECODER = (
    (r"^mask_embedding$", "mask_token"),
    (r"^decoder_pos_embed$", "positions"),
    (r"^to_decoder_embedding\.", "token_in."),
    (r"^decoder_norm\.", "norm."),
    (r"^decoder_head\.", "patch_out."),
    *((rf"^decoder_blocks\.(\d+)\.{theirs}", rf"blocks.\1.{ours}") for theirs, ours in _BLOCK),
)
_LEAD = re.compile(r"^lead_embeddings\.(\d+)$")


def published_encoder(
    path: Path, payload: Mapping[str, Any]
) -> tuple[StMemShape, Preprocessing, dict[str, Tensor]] | None:
    """Return shape, preprocessing and weights of the encoder of a file of the authors'.

    Parameters
    ----------
    path, payload
        The file, and what it holds.

    Returns
    -------
    tuple or None
        None if the file is something else.

    Raises
    ------
    CheckpointError
        If anything is missing, unknown or misshapen; the message names it.
    """
    model = mapping(payload.get("model"))
    whole = all(f"encoder.{name}" in model for name in _SIGNATURE)
    if not whole and not all(name in model for name in _SIGNATURE):
        return None
    try:
        state = part_of(model, "")
        encoder = _encoder_state(path, part_of(state, "encoder.") if whole else state)
        shape = _encoder_shape(encoder)
        weights = checked(path, encoder, shape, len(shape.leads))
        if whole:
            _check_rest(path, state, shape)
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(
            f"{path}: its weights make no ST-MEM: missing {error.args[0]}: download it again"
        ) from error
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: its weights make no ST-MEM ({first_line(error)}): download it again"
        ) from error
    preprocessing = Preprocessing(RATE, SECONDS, shape.leads, BANDPASS)
    return shape, preprocessing, weights


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in table:
        new, times = re.subn(theirs, ours, name)
        if times:
            return new
    return name


def _encoder_state(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their encoder's weights under our names."""
    leads = {int(found[1]): name for name in state if (found := _LEAD.match(name))}
    missing = [f"lead_embeddings.{k}" for k in range(len(STANDARD_LEADS)) if k not in leads]
    if missing or len(leads) > len(STANDARD_LEADS):
        raise CheckpointError(
            f"{path}: its weights make no ST-MEM of {len(STANDARD_LEADS)} leads: "
            + (f"missing {some(missing)}" if missing else f"{len(leads)} lead embeddings")
        )
    renamed = {
        _renamed(name, _ENCODER): value for name, value in state.items() if not _LEAD.match(name)
    }
    rows = torch.stack([state[leads[k]].flatten() for k in range(len(leads))])
    return {**_flat_positions(renamed), "lead_embeddings": rows}


def _flat_positions(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the batch that they have before them."""
    positions = state.get("positions")
    if positions is None or positions.dim() != 3 or len(positions) != 1:
        return state
    return {**state, "positions": positions[0]}


def _encoder_shape(state: Mapping[str, Tensor]) -> StMemShape:
    """What the sizes of the weights say."""
    width, patch_size = state["patch_in.weight"].shape
    patches = len(state["positions"]) - 2
    return StMemShape(
        samples=patches * patch_size,
        patch_size=patch_size,
        width=width,
        depth=_depth(state),
        heads=_heads(state["blocks.0.attention_in.weight"], width),
        mlp_ratio=len(state["blocks.0.hidden.weight"]) / width,
    )


def _depth(state: Mapping[str, Tensor]) -> int:
    numbers = [int(name.split(".")[1]) for name in state if name.startswith("blocks.")]
    return 1 + max(numbers, default=0)


def _heads(attention: Tensor, width: int) -> int:
    """Return how many heads of 64 values make the width.

    Raises
    ------
    ValueError
        If none do.
    """
    if len(attention) != 3 * width or width % _HEAD:
        raise ValueError(
            f"attention of {len(attention)} values over tokens of {width}: heads of {_HEAD} do not "
            "make them"
        )
    return width // _HEAD


def _check_rest(path: Path, state: Mapping[str, Tensor], shape: StMemShape) -> None:
    """Refuse a whole file whose decoder is not whole, or whose two patch embeddings differ."""
    rest = {name: value for name, value in state.items() if not name.startswith("encoder.")}
    first = {
        name.removeprefix("encoder."): value
        for name, value in state.items()
        if name.startswith("encoder.to_patch_embedding.")
    }
    second = {name: value for name, value in rest.items() if name.startswith("to_patch_embedding.")}
    differing = [
        name
        for name in {**first, **second}
        if name not in first or name not in second or not torch.equal(first[name], second[name])
    ]
    if differing:
        raise CheckpointError(
            f"{path}: its two copies of the patch embedding are not one: {some(differing)}: "
            "download it again"
        )
    decoder = _flat_positions(
        {_renamed(name, _DECODER): value for name, value in rest.items() if name not in second}
    )
    if "mask_token" in decoder:
        decoder["mask_token"] = decoder["mask_token"].flatten()
    width = len(decoder["token_in.weight"])
    heads = _heads(decoder["blocks.0.attention_in.weight"], width)
    decoder_shape = StMemDecoderShape(width, _depth(decoder), heads)
    check_fit(path, lambda: StMemDecoder(shape, decoder_shape), decoder, decoder_shape)
