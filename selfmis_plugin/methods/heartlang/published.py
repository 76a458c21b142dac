"""The layout of the files that HeartLang's authors publish, and ours.

``{"model": weights, "args": Namespace, "optimizer", "epoch", "scaler"}``, of which the weights
alone are used. Names and shapes have to be exactly those of a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from selfmis_plugin.checkpoints.reading import CheckpointError, some
from selfmis_plugin.checkpoints.weights import finite, part_of
from selfmis_plugin.methods.heartlang.shape import HeartLangConfig, TokenizerConfig
from selfmis_plugin.methods.heartlang.words import NUMBERS

__all__ = [
    "published_sentences",
    "published_tokenizer",
    "sentences_layout",
    "tokenizer_layout",
    "which_published",
]

#: Shapes of the two networks, with what the authors do. No others have been published.
SENTENCES = HeartLangConfig(attend_padding=True, beats_at="100")
TOKENIZER = TokenizerConfig(replace(TokenizerConfig().encoder, attend_padding=True, beats_at="100"))
_PARTS = ("encoder", "decoder")
_SIGNS = ("token_embed.tokenConv.weight", "spa_embed.embed.weight", "tem_embed.embed.weight")

#: What stands in a layout for an entry that has no place here: nothing uses or changes it.
UNUSED = ""
Shape = tuple[int, ...]
#: Our name and the shape of each entry, by its name in the file.
Layout = dict[str, tuple[str, Shape]]


def which_published(payload: Mapping[str, Any]) -> str | None:
    """Return the model's name here, of a file that the authors' code wrote; None for another."""
    weights = payload.get("model")
    if "cfg" in payload or not isinstance(weights, Mapping):
        return None
    if any(sign in weights for sign in _SIGNS):
        return "heartlang"
    tokenizer = any(f"{part}.{sign}" in weights for sign in _SIGNS for part in _PARTS)
    return "heartlang_tokenizer" if tokenizer else None


def published_sentences(
    path: Path, payload: Mapping[str, Any]
) -> tuple[HeartLangConfig, dict[str, Tensor]]:
    """Return shape and weights of a published ST-ECGFormer, under the names of
    :class:`~selfmis_plugin.methods.heartlang.network.MaskedSentences`.

    Raises
    ------
    CheckpointError
        If an entry is missing, unknown or misshapen; the message names it.
    """
    layout = sentences_layout(SENTENCES, TOKENIZER.codes)
    return SENTENCES, _renamed(path, _tensors(path, payload), layout)


def published_tokenizer(
    path: Path, payload: Mapping[str, Any]
) -> tuple[TokenizerConfig, dict[str, Tensor]]:
    """Return shape and weights of a published VQ-HBR, under the names of
    :class:`~selfmis_plugin.methods.heartlang.tokenizer.HeartbeatTokenizer`.

    Raises
    ------
    CheckpointError
        As :func:`published_sentences`.
    """
    found = _renamed(path, _tensors(path, payload), tokenizer_layout(TOKENIZER))
    found["codebook.started"] = found["codebook.started"] != 0
    return TOKENIZER, found


def sentences_layout(config: HeartLangConfig, codes: int) -> Layout:
    """Return the layout of ST-ECGFormer's file."""
    layout = _transformer("", "encoder.transformer.", config.word_samples, config, config.depth)
    layout["mask_token"] = ("mask_token", (1, 1, config.width))
    layout["lm_head.weight"] = ("head.weight", (codes, config.width))
    layout["lm_head.bias"] = ("head.bias", (codes,))
    return layout


def tokenizer_layout(config: TokenizerConfig) -> Layout:
    """Return the layout of VQ-HBR's file."""
    shape, codes, size = config.encoder, config.codes, config.code_size
    layout: Layout = {}
    for part, values, depth in (
        ("encoder.", shape.word_samples, shape.depth),
        ("decoder.", size, config.decoder_depth),
    ):
        layout |= _transformer(part, part, values, shape, depth)
        layout[f"{part}mask_token"] = (UNUSED, (1, 1, shape.width))
    for theirs, ours, last in (
        ("encode_task_layer", "to_code", size),
        ("decode_task_layer", "to_word", shape.word_samples),
    ):
        layout |= _linear(f"{theirs}.0", f"{ours}.0", shape.width, shape.width)
        layout |= _linear(f"{theirs}.2", f"{ours}.2", last, shape.width)
    quantizer = "quantize.embedding."
    return layout | {
        "quantize.cluster_size": ("codebook.usage", (codes,)),
        f"{quantizer}weight": ("codebook.weight", (codes, size)),
        f"{quantizer}cluster_size": (UNUSED, (codes,)),
        f"{quantizer}embed_avg": (UNUSED, (codes, size)),
        f"{quantizer}initted": ("codebook.started", (1,)),
    }


def _transformer(
    theirs: str, ours: str, values: int, config: HeartLangConfig, depth: int
) -> Layout:
    width, inner = config.width, config.heads * config.head_width
    layout: Layout = {
        f"{theirs}cls_token": (f"{ours}class_token", (width,)),
        f"{theirs}pos_embed": (f"{ours}positions", (1, config.words + 1, width)),
        f"{theirs}token_embed.tokenConv.weight": (f"{ours}convolution.weight", (width, values, 3)),
        f"{theirs}spa_embed.embed.weight": (f"{ours}lead_table.weight", (NUMBERS, width)),
        f"{theirs}tem_embed.embed.weight": (f"{ours}time_table.weight", (NUMBERS, width)),
        **_norm(f"{theirs}norm_layer", f"{ours}norm", width),
    }
    for number in range(depth):
        their, our = f"{theirs}transformer.layers.{number}.", f"{ours}blocks.{number}."
        layout |= _norm(f"{their}0.norm", f"{our}norm1", width)
        layout[f"{their}0.to_qkv.weight"] = (f"{our}attention_in.weight", (3 * inner, width))
        layout |= _linear(f"{their}0.to_out.0", f"{our}attention_out", width, inner)
        layout |= _norm(f"{their}1.net.0", f"{our}norm2", width)
        layout |= _linear(f"{their}1.net.1", f"{our}hidden", config.hidden, width)
        layout |= _linear(f"{their}1.net.4", f"{our}out", width, config.hidden)
    return layout


def _linear(theirs: str, ours: str, rows: int, columns: int) -> Layout:
    return {
        f"{theirs}.weight": (f"{ours}.weight", (rows, columns)),
        f"{theirs}.bias": (f"{ours}.bias", (rows,)),
    }


def _norm(theirs: str, ours: str, width: int) -> Layout:
    return {f"{theirs}.{part}": (f"{ours}.{part}", (width,)) for part in ("weight", "bias")}


def _tensors(path: Path, payload: Mapping[str, Any]) -> dict[str, Tensor]:
    try:
        weights = part_of(payload["model"], "")
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}: copy or download it again") from error
    finite(path, weights)
    return weights


def _renamed(path: Path, weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Return the weights under our names.

    Raises
    ------
    CheckpointError
        If the entries are not exactly those of the layout.
    """
    misshapen = [
        f"{name} {tuple(weights[name].shape)} instead of {shape}"
        for name, (_, shape) in layout.items()
        if name in weights and tuple(weights[name].shape) != shape
    ]
    complaints = [
        f"{what} {some(names)}"
        for what, names in (
            ("missing", [name for name in layout if name not in weights]),
            ("unknown", [name for name in weights if name not in layout]),
            ("misshapen", misshapen),
        )
        if names
    ]
    if complaints:
        raise CheckpointError(
            f"{path}: its weights are not those that HeartLang's authors publish: "
            f"{'; '.join(complaints)}. Download the file again"
        )
    found = {ours: weights[name] for name, (ours, _) in layout.items() if ours}
    # The axes of one before them say nothing.
    for name in found:
        if name == "mask_token":
            found[name] = found[name][0, 0]
        elif name.endswith("positions"):
            found[name] = found[name][0]
    return found
