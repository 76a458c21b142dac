"""ST-MEM in NumPy, float64, from its description; and files laid out as its authors'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Mapping[str, Array]

BLOCK = {
    "attn.norm": "norm1",
    "attn.fn.to_qkv": "attention_in",
    "attn.fn.to_out.0": "attention_out",
    "ff.norm": "norm2",
    "ff.fn.net.0": "hidden",
    "ff.fn.net.3": "out",
}


def norm(x: Array, weights: Weights, name: str, eps: float = 1e-5) -> Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    scaled = (x - mean) / np.sqrt(variance + eps)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Array, weights: Weights, name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def block(x: Array, weights: Weights, name: str, heads: int) -> Array:
    """One record's tokens, (tokens, width), through a block."""
    query, key, value = np.split(
        linear(norm(x, weights, f"{name}.norm1"), weights, f"{name}.attention_in"), 3, axis=1
    )
    size = query.shape[1] // heads
    parts = []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        scores = query[:, own] @ key[:, own].T / math.sqrt(size)
        scores = np.exp(scores - scores.max(1, keepdims=True))
        parts.append(scores / scores.sum(1, keepdims=True) @ value[:, own])
    x = x + linear(np.concatenate(parts, 1), weights, f"{name}.attention_out")
    hidden = gelu(linear(norm(x, weights, f"{name}.norm2"), weights, f"{name}.hidden"))
    return x + linear(hidden, weights, f"{name}.out")


def tokens(
    crop: Array, weights: Weights, patch: int, heads: int, kept: Sequence[Sequence[int]] | None
) -> list[Array]:
    """Tokens of each lead of one crop, (leads, samples), with their separators."""
    rows, places, depth = [], weights["positions"], 0
    for lead, signal in enumerate(crop):
        patches = signal.reshape(-1, patch)
        made = norm(
            linear(norm(patches, weights, "patch_norm"), weights, "patch_in"), weights, "token_norm"
        )
        made = made + places[1:-1]
        if kept is not None:
            made = made[list(kept[lead])]
        ends = [weights["separator"] + places[end] for end in (0, -1)]
        rows.append(np.stack([ends[0], *made, ends[1]]) + weights["lead_embeddings"][lead])
    sizes = [len(row) for row in rows]
    flat = np.concatenate(rows)
    while f"blocks.{depth}.norm1.weight" in weights:
        flat = block(flat, weights, f"blocks.{depth}", heads)
        depth += 1
    return np.split(flat, np.cumsum(sizes)[:-1])


def standardised(crop: Array) -> Array:
    return (crop - crop.mean()) / crop.std()


def embedding(
    record: Array, weights: Weights, patch: int, heads: int, samples: int, among: Sequence[int] = ()
) -> Array:
    """Embedding of one record: mean over three crops; *among*: rows of twelve, others zero."""
    surplus = record.shape[1] - samples
    found = []
    for start in (0, surplus // 2, surplus):
        crop = standardised(record[:, start : start + samples])
        if among:
            whole = np.zeros((len(weights["lead_embeddings"]), samples))
            whole[list(among)] = crop
            crop = whole
        rows = [row[1:-1] for row in tokens(crop, weights, patch, heads, None)]
        found.append(norm(np.concatenate(rows).mean(0), weights, "norm"))
    return np.mean(found, axis=0)


def loss(
    crop: Array,
    encoder: Weights,
    decoder: Weights,
    patch: int,
    heads: tuple[int, int],
    kept: Sequence[Sequence[int]],
) -> float:
    """Mean error of the masked patches of one crop, (leads, samples), already standardised."""
    errors = []
    made = tokens(crop, encoder, patch, heads[0], kept)
    for signal, seen, rows in zip(crop, kept, made, strict=True):
        known = linear(norm(rows, encoder, "norm"), decoder, "token_in")
        patches = signal.reshape(-1, patch)
        filled = np.repeat(decoder["mask_token"][None], len(patches), 0)
        filled[list(seen)] = known[1:-1]
        x = np.concatenate([known[:1], filled, known[-1:]]) + decoder["positions"]
        depth = 0
        while f"blocks.{depth}.norm1.weight" in decoder:
            x = block(x, decoder, f"blocks.{depth}", heads[1])
            depth += 1
        out = linear(norm(x, decoder, "norm", 1e-6), decoder, "patch_out")[1:-1]
        for number in set(range(len(patches))) - set(seen):
            target = patches[number]
            deviation = math.sqrt(((target - target.mean()) ** 2).sum() / (patch - 1) + 1e-6)
            errors.append((((target - target.mean()) / deviation - out[number]) ** 2).mean())
    return float(np.mean(errors))


def arrays(module: torch.nn.Module) -> Weights:
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


# Files laid out as the authors' -------------------------------------------------------------------


def published_state(
    encoder: Mapping[str, torch.Tensor], decoder: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Weights under the authors' names: of the encoder alone, or of the whole."""
    state = {}
    for name, value in encoder.items():
        head, _, rest = name.partition(".")
        if name == "positions":
            state["pos_embedding"] = value[None]
        elif name == "separator":
            state["sep_embedding"] = value
        elif name == "lead_embeddings":
            state |= {f"lead_embeddings.{k}": row.clone() for k, row in enumerate(value)}
        elif head == "blocks":
            state[_block_name("block{}", rest)] = value
        else:
            patch = {"patch_norm": "1", "patch_in": "2", "token_norm": "3"}
            new = f"to_patch_embedding.{patch[head]}" if head in patch else head
            state[f"{new}.{rest}"] = value
    if decoder is None:
        return state
    whole = {f"encoder.{name}": value for name, value in state.items()}
    # The same tensors under a second name.
    whole |= {name: value for name, value in state.items() if name.startswith("to_patch_embedding")}
    plain = {
        "token_in": "to_decoder_embedding",
        "norm": "decoder_norm",
        "patch_out": "decoder_head",
    }
    for name, value in decoder.items():
        head, _, rest = name.partition(".")
        if name == "mask_token":
            whole["mask_embedding"] = value[None, None]
        elif name == "positions":
            whole["decoder_pos_embed"] = value[None]
        elif head == "blocks":
            whole[_block_name("decoder_blocks.{}", rest)] = value
        else:
            whole[f"{plain[head]}.{rest}"] = value
    return whole


def _block_name(start: str, rest: str) -> str:
    number, _, name = rest.partition(".")
    part, _, kind = name.rpartition(".")
    theirs = {ours: theirs for theirs, ours in BLOCK.items()}[part]
    return f"{start.format(number)}.{theirs}.{kind}"


def write_published(path: Path, state: Mapping[str, torch.Tensor]) -> Path:
    torch.save({"epoch": 1, "model": dict(state), "config": {"a": 1}}, path)
    return path
