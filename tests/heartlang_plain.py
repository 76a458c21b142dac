"""HeartLang written out in NumPy, in float64 and with plain loops, to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import erf

HALF, WORD = 48, 96


def plain_sentence(
    signals: np.ndarray, beats: Sequence[int], numbers: Sequence[int], most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words, leads and times of one record, (leads, samples) at 100 Hz, beat after beat."""
    words, leads, times = np.zeros((most, WORD)), np.zeros(most, int), np.zeros(most, int)
    end = signals.shape[1]
    place = 0
    for signal, lead in zip(signals, numbers, strict=True):
        for k, peak in enumerate(beats):
            if place == most:
                return words, leads, times
            start = max(peak - HALF, 0) if k == 0 else (beats[k - 1] + peak) // 2
            stop = min(peak + HALF, end) if k + 1 == len(beats) else (peak + beats[k + 1]) // 2
            if stop - start > WORD:
                start = max(peak - HALF, 0)
                stop = min(start + WORD, end)
            beat = signal[start:stop]
            left = peak - start
            offset = HALF - left if left <= HALF else 0
            beat = beat[: WORD - offset]
            words[place, offset : offset + len(beat)] = beat
            leads[place], times[place] = lead, peak // 100 + 1
            place += 1
    return words, leads, times


def plain_update(
    codes: np.ndarray, vectors: np.ndarray, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the nearest codes by distance, and the codes after an update."""
    numbers = np.array([np.argmin(((codes - vector) ** 2).sum(1)) for vector in vectors])
    moved = codes.copy()
    for k in set(numbers.tolist()):
        mean = vectors[numbers == k].mean(0)
        moved[k] = decay * codes[k] + (1 - decay) * mean / np.linalg.norm(mean)
        moved[k] /= np.linalg.norm(moved[k])
    return numbers, moved


def plain_tokens(
    weights: Mapping[str, np.ndarray],
    part: str,
    values: np.ndarray,
    leads: np.ndarray,
    times: np.ndarray,
) -> np.ndarray:
    """Tokens that the authors' transformer makes of one sentence with its padding, class token
    first, by the names of the entries of their files."""

    def of(name: str) -> np.ndarray:
        return weights[part + name]

    kernel = of("token_embed.tokenConv.weight")
    ring = np.stack([np.roll(values, 1, axis=0), values, np.roll(values, -1, axis=0)])
    tokens = np.einsum("knv,wvk->nw", ring, kernel)
    tokens = tokens + of("spa_embed.embed.weight")[leads] + of("tem_embed.embed.weight")[times]
    tokens = np.concatenate([of("cls_token")[None], tokens]) + of("pos_embed")[0]
    number = 0
    while f"{part}transformer.layers.{number}.0.norm.weight" in weights:
        block = f"transformer.layers.{number}."
        normed = _norm(tokens, of(f"{block}0.norm.weight"), of(f"{block}0.norm.bias"))
        mixed = _attention(normed @ of(f"{block}0.to_qkv.weight").T)
        tokens = tokens + _linear(mixed, weights, f"{part}{block}0.to_out.0")
        normed = _norm(tokens, of(f"{block}1.net.0.weight"), of(f"{block}1.net.0.bias"))
        hidden = _linear(normed, weights, f"{part}{block}1.net.1")
        hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        tokens = tokens + _linear(hidden, weights, f"{part}{block}1.net.4")
        number += 1
    return _norm(tokens, of("norm_layer.weight"), of("norm_layer.bias"))


def plain_vectors(weights: Mapping[str, np.ndarray], words: np.ndarray, *numbers: np.ndarray):
    """Unit vectors that the authors' tokenizer makes of the words of one sentence."""
    tokens = plain_tokens(weights, "encoder.", words, *numbers)[1:]
    tokens[(words == 0).all(1)] = 0
    hidden = np.tanh(_linear(tokens, weights, "encode_task_layer.0"))
    vectors = _linear(hidden, weights, "encode_task_layer.2")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain_made(weights: Mapping[str, np.ndarray], codes: np.ndarray, *numbers: np.ndarray):
    """Words that the authors' tokenizer makes of the codes of one sentence."""
    tokens = plain_tokens(weights, "decoder.", codes, *numbers)[1:]
    hidden = np.tanh(_linear(tokens, weights, "decode_task_layer.0"))
    return _linear(hidden, weights, "decode_task_layer.2")


def _linear(values: np.ndarray, weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(tokens: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = tokens - tokens.mean(1, keepdims=True)
    return centred / np.sqrt(centred.var(1, keepdims=True) + 1e-5) * weight + bias


def _attention(joined: np.ndarray) -> np.ndarray:
    """Heads of 64 values, as all of the authors' are."""
    heads = []
    inner = joined.shape[1] // 3
    for start in range(0, inner, 64):
        query, key, value = (joined[:, k * inner + start :][:, :64] for k in range(3))
        scores = np.exp(query @ key.T / 8)
        heads.append(scores / scores.sum(1, keepdims=True) @ value)
    return np.concatenate(heads, axis=1)
