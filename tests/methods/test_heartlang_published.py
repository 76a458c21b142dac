"""Files of HeartLang's authors: read whole or refused, and computed as NumPy computes them.

Theirs are not at hand. These have their layout, and random values.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights, read_checkpoint
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.heartlang import published
from selfmis_plugin.methods.heartlang.network import HeartLangEncoder
from selfmis_plugin.methods.heartlang.reader import PUBLISHED, read_tokenizer
from selfmis_plugin.methods.heartlang.words import Sentences
from tests.heartlang_plain import plain_made, plain_tokens, plain_vectors

#: As the published ones, but for what makes them large.
SIZE = {"words": 24, "width": 32, "depth": 2, "hidden": 48}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of a small size be the published ones."""
    sentences = replace(published.SENTENCES, heads=2, **SIZE)
    encoder = replace(published.TOKENIZER.encoder, heads=1, **SIZE)
    tokenizer = replace(published.TOKENIZER, encoder=encoder, codes=40, code_size=8)
    monkeypatch.setattr(published, "SENTENCES", sentences)
    monkeypatch.setattr(published, "TOKENIZER", tokenizer)


def weights_of(layout: published.Layout, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) * 0.3 for name, (_, shape) in layout.items()
    }


def sentence_weights() -> dict[str, torch.Tensor]:
    return weights_of(published.sentences_layout(published.SENTENCES, published.TOKENIZER.codes))


def tokenizer_weights() -> dict[str, torch.Tensor]:
    weights = weights_of(published.tokenizer_layout(published.TOKENIZER))
    codes = weights["quantize.embedding.weight"]
    weights["quantize.embedding.weight"] = torch.nn.functional.normalize(codes, dim=1)
    weights["quantize.embedding.initted"] = torch.ones(1)
    return weights


def write(path: Path, weights: dict[str, torch.Tensor]) -> Path:
    """Write a file as the authors' training scripts do."""
    network = torch.nn.Linear(2, 2)
    network(torch.ones(2)).sum().backward()
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.step()
    arguments = argparse.Namespace(model="ST_ECGFormer", lr=5e-4, opt_betas=[0.9, 0.98], seed=0)
    torch.save(
        {
            "model": weights,
            "optimizer": optimizer.state_dict(),
            "epoch": 199,
            "args": arguments,
            "scaler": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 0},
        },
        path,
    )
    return path


def sentence() -> Sentences:
    """Two sentences of 15 words and of none, filled up."""
    real = torch.arange(24) < torch.tensor([15, 0])[:, None]
    words = torch.randn(2, 24, 96, generator=torch.Generator().manual_seed(3)) * real[..., None]
    place = torch.arange(24)
    return Sentences(words, (1 + place // 5) * real, (1 + place % 10) * real)


def as_numpy(weights: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in weights.items()}


def test_the_published_layouts_have_the_published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for layout, entries, values in (
        (published.sentences_layout(published.SENTENCES, 8192), 142, 44_562_176),
        # A buffer of a count for each code, and whether there are codes, are no parameters.
        (published.tokenizer_layout(published.TOKENIZER), 95, 25_698_528 + 8192 + 1),
    ):
        assert len(layout) == entries
        assert sum(math.prod(shape) for _, shape in layout.values()) == values


def test_the_encoder_computes_what_the_authors_does(tmp_path: Path) -> None:
    weights = sentence_weights()
    path = write(tmp_path / "checkpoint-200.pth", weights)
    loaded = load_encoder_weights(path, None, leads=("I",))
    assert loaded.config == published.SENTENCES and loaded.leads == ("I",)
    assert loaded.config.attend_padding and loaded.config.beats_at == "100"
    encoder = HeartLangEncoder(loaded.config).eval()
    encoder.load_state_dict(loaded.state_dict)
    batch = sentence()
    with torch.no_grad():
        found = encoder(batch.packed())
    for k in range(2):
        plain = plain_tokens(as_numpy(weights), "", *(part[k].numpy() for part in batch))[0]
        np.testing.assert_allclose(found[k], plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("numbered", [True, False])
def test_the_tokenizer_computes_what_the_authors_does(tmp_path: Path, numbered: bool) -> None:
    weights = tokenizer_weights()
    path = write(tmp_path / "checkpoint-100.pth", weights)
    tokenizer = read_tokenizer(path, replace(PUBLISHED, leads=("I", "V6"))).network()
    batch = sentence()
    plain = as_numpy(weights)
    if not numbered:  # tables that add nothing are as good as none
        for table in ("spa_embed", "tem_embed"):
            plain[f"encoder.{table}.embed.weight"] = np.zeros((16, SIZE["width"]))
    with torch.no_grad():
        vectors, codes = tokenizer.vectors(batch, numbered), tokenizer.codes(batch, numbered)
        made = tokenizer(batch).made
    book = plain["quantize.embedding.weight"]
    for k in range(2):
        numbers = [part[k].numpy() for part in batch]
        expected = plain_vectors(plain, *numbers)
        np.testing.assert_allclose(vectors[k], expected, atol=1e-4)
        nearest = np.argmin(((expected[:, None] - book) ** 2).sum(2), axis=1)
        np.testing.assert_array_equal(codes[k], nearest)
        if numbered:
            words = plain_made(plain, book[nearest], *numbers[1:])
            np.testing.assert_allclose(made[k], words, rtol=1e-3, atol=1e-3)


def _lacking(weights: dict[str, torch.Tensor]) -> None:
    del weights["transformer.layers.1.0.to_out.0.bias"]


def _lacking_a_sign(weights: dict[str, torch.Tensor]) -> None:
    del weights["token_embed.tokenConv.weight"], weights["cls_token"]


def _with_more(weights: dict[str, torch.Tensor]) -> None:
    weights["transformer.layers.2.0.norm.weight"] = torch.ones(32)


def _misshapen(weights: dict[str, torch.Tensor]) -> None:
    weights["pos_embed"] = weights["pos_embed"][:, :-1]


def _not_finite(weights: dict[str, torch.Tensor]) -> None:
    weights["lm_head.bias"][3] = math.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_lacking, r"missing transformer\.layers\.1\.0\.to_out\.0\.bias"),
        (_lacking_a_sign, r"missing cls_token, token_embed\.tokenConv\.weight"),
        (_with_more, r"unknown transformer\.layers\.2\.0\.norm\.weight"),
        (_misshapen, r"misshapen pos_embed \(1, 24, 32\) instead of \(1, 25, 32\)"),
        (_not_finite, r"NaN or Inf in lm_head\.bias"),
    ],
)
def test_what_is_not_theirs_is_named(
    tmp_path: Path, damage: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    weights = sentence_weights()
    damage(weights)
    path = write(tmp_path / "file.pth", weights)
    with pytest.raises(CheckpointError, match=message):
        load_trained(path)


def test_each_file_is_known_by_its_content(tmp_path: Path) -> None:
    first = write(tmp_path / "1.pth", tokenizer_weights())
    second = write(tmp_path / "2.pth", sentence_weights())
    assert (load_trained(first).kind, load_trained(second).kind) == (
        "heartlang_tokenizer",
        "heartlang",
    )
    with pytest.raises(CheckpointError, match="embeds no records: give the file of its second"):
        load_encoder_weights(first, None)
    with pytest.raises(CheckpointError, match="is no tokenizer of HeartLang"):
        read_tokenizer(second, PUBLISHED)
    assert load_encoder_weights(second, None).preprocessing["filter"] == "bandpass"
    other = Preprocessing(100.0, 10.0, ("Band",), "bandpass")
    assert read_tokenizer(first, other).preprocessing.leads == PUBLISHED.leads
    with pytest.raises(CheckpointError, match="not been trained on lead X"):
        load_encoder_weights(second, None, leads=("I", "X"))


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code of the file ran",))


def test_other_objects_than_arguments_are_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "file.pth"
    arguments = argparse.Namespace(model="ST_ECGFormer", trap=_Runs())
    torch.save({"model": sentence_weights(), "args": arguments}, path)
    with pytest.raises(CheckpointError, match="holds a Python object"):
        read_checkpoint(path)
    assert "ran" not in capsys.readouterr().out
