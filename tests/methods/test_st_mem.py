"""ST-MEM's network, masks and files: against NumPy, the published counts and hostile files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin import load_encoder, load_trained
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.evaluation.evaluate import predict_split
from selfmis_plugin.methods.st_mem.autoencoder import StMem
from selfmis_plugin.methods.st_mem.draws import draw_patches, visible_patches
from selfmis_plugin.methods.st_mem.network import StMemEncoder
from selfmis_plugin.methods.st_mem.reader import encoder_for
from selfmis_plugin.methods.st_mem.shape import StMemDecoderShape, StMemShape
from selfmis_plugin.nn.losses.reconstruction import normalised_patches, reconstruction_loss
from selfmis_plugin.profiling.macs import forward_macs
from tests import st_mem_by_hand as by_hand

TINY = StMemShape(samples=40, patch_size=8, width=8, depth=2, heads=2, mlp_ratio=2.0)
TINY_DECODER = StMemDecoderShape(width=8, depth=1, heads=2, mask_ratio=0.5)
#: The smallest of the authors' kind, whose heads have 64 values.
THEIRS = replace(TINY, width=64, heads=1)
FULL = StMemShape(samples=2250, patch_size=75, width=768, depth=12, heads=12)
FULL_DECODER = StMemDecoderShape(width=256, depth=4, heads=4)


def random_model(
    seed: int = 0, shape: StMemShape = TINY, decoder: StMemDecoderShape = TINY_DECODER
) -> StMem:
    """A model none of whose values is special."""
    torch.manual_seed(seed)
    model = StMem(shape, decoder, store_rate=100, sample_rate=100)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def test_values_are_counted_as_the_published_ones_are() -> None:
    with torch.device("meta"):
        model = StMem(FULL, FULL_DECODER, 500, 250)
    counts = [sum(p.numel() for p in part.parameters()) for part in (model, model.encoder)]
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (counts[0], learned) == (88_534_753, 88_501_985)
    assert round(counts[1] / 1e6, 2) == 85.15


def test_operations_are_counted_as_the_published_ones_are() -> None:
    with torch.device("meta"):
        model = StMem(FULL, FULL_DECODER, 500, 250)
        alone = StMemEncoder(replace(FULL, leads=("I",)))
        patches = torch.empty(1, 12, 30, 75)
        every = torch.arange(30).expand(1, 12, 30)
    seen = draw_patches([0], 12, 30, 0.75, 0, 1).visible.to("meta")

    def step(visible: torch.Tensor) -> None:
        model.decoder(model.encoder.norm(model.encoder.tokens(patches, visible)), visible)

    found = [
        round(forward_macs(run) / 1e9, 2)
        for run in (
            lambda: model.encoder.tokens(patches),
            lambda: alone.tokens(patches[:, :1]),
            lambda: step(seen),
            lambda: step(every),
        )
    ]
    # The encoder on twelve leads and on one; a masked step, 0.02 less than the authors' own, whose
    # hidden patches are embedded too; and all of it unmasked, as the paper's table 4 counts it.
    assert found == [35.35, 2.74, 10.65, 36.67]


def test_an_embedding_is_what_is_written_out() -> None:
    model = random_model()
    record = np.random.default_rng(0).normal(size=(12, 50))
    encoder = model.encoder.double()
    with torch.no_grad():
        found = encoder(torch.from_numpy(record)[None])[0].numpy()
    weights = by_hand.arrays(encoder)
    expected = by_hand.embedding(record, weights, 8, 2, 40)
    # The normalisation is float32.
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_lead_alone_is_embedded_as_itself_and_not_as_twelve() -> None:
    model = random_model()
    record = np.random.default_rng(1).normal(size=(1, 50))
    whole = by_hand.arrays(model.encoder)
    embeddings = []
    for number in (0, 7):
        alone = StMemEncoder(replace(TINY, leads=(STANDARD_LEADS[number],)))
        state = model.encoder.state_dict()
        state["lead_embeddings"] = state["lead_embeddings"][[number]]
        alone.load_state_dict(state)
        with torch.no_grad():
            found = alone(torch.from_numpy(record).float()[None])[0].numpy()
        weights = {**whole, "lead_embeddings": whole["lead_embeddings"][[number]]}
        expected = by_hand.embedding(record, weights, 8, 2, 40)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        embeddings.append(found)
    # The same signal as another lead is something else.
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-2
    seen = model.encoder.tokens(torch.zeros(1, 12, 5, 8))
    assert seen.shape == (1, 12, 7, 8)
    with pytest.raises(ValueError, match="1 leads cannot be those of the encoder: I, II"):
        model.encoder.tokens(torch.zeros(1, 1, 5, 8))


def test_the_other_leads_may_be_zero() -> None:
    model = random_model()
    record = np.random.default_rng(2).normal(size=(2, 50))
    zero = StMemEncoder(replace(TINY, given=("V1", "I")))
    zero.load_state_dict(model.encoder.state_dict())
    with torch.no_grad():
        found = zero(torch.from_numpy(record).float()[None])[0].numpy()
    expected = by_hand.embedding(record, by_hand.arrays(model.encoder), 8, 2, 40, among=(6, 0))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_loss_is_what_is_written_out() -> None:
    model = random_model(3)
    raw = np.random.default_rng(3).normal(0, 300, (2, 12, 50)).astype(np.float32)
    draw = draw_patches([4, 9], 12, 5, 0.5, surplus=10, seed=1)
    with torch.no_grad():
        output = model(torch.from_numpy(raw), draw)
    assert output.masked.sum((1, 2)).tolist() == [36, 36]
    target = normalised_patches(output.target)
    found = reconstruction_loss(output.prediction, target, output.masked).mean(1).numpy()
    encoder, decoder = by_hand.arrays(model.encoder), by_hand.arrays(model.decoder)
    for number, record in enumerate(raw.astype(np.float64)):
        start = int(draw.starts[number])
        crop = by_hand.standardised(by_hand.standardised(record)[:, start : start + 40])
        kept = draw.visible[number].tolist()
        expected = by_hand.loss(crop, encoder, decoder, 8, (2, 2), kept)
        assert found[number] == pytest.approx(expected, rel=1e-5)


def test_what_is_masked_is_not_seen() -> None:
    model = random_model(4)
    raw = torch.randn(1, 12, 40)
    draw = draw_patches([0], 12, 5, 0.5, surplus=0, seed=1)
    patches = raw.view(1, 12, 5, 8)
    hidden = draw.masked(5)
    other = torch.where(hidden[..., None], torch.randn_like(patches), patches)
    with torch.no_grad():
        first, second = (model.encoder.tokens(p, draw.visible) for p in (patches, other))
    assert torch.equal(first, second)


def test_seeing_everything_is_seeing_without_a_mask() -> None:
    model = random_model(5)
    patches = torch.randn(2, 12, 5, 8)
    every = torch.arange(5).expand(2, 12, 5)
    with torch.no_grad():
        masked, plain = model.encoder.tokens(patches, every), model.encoder.tokens(patches)
    torch.testing.assert_close(masked, plain)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True),
    st.integers(1, 12),
    st.integers(1, 40),
    st.floats(0.05, 0.95),
    st.integers(0, 200),
    st.integers(0, 5),
)
def test_a_draw_is_of_the_record_alone(
    records: list[int], leads: int, patches: int, ratio: float, surplus: int, draw: int
) -> None:
    found = draw_patches(records, leads, patches, ratio, surplus, 7, draw)
    kept = visible_patches(patches, ratio)
    assert found.visible.shape == (len(records), leads, kept) and 1 <= kept <= patches
    assert bool(((found.starts >= 0) & (found.starts <= surplus)).all())
    assert bool((found.masked(patches).sum(-1) == patches - kept).all())
    assert bool((found.visible.diff(dim=-1) > 0).all())
    last = draw_patches(records[-1:], leads, patches, ratio, surplus, 7, draw)
    assert torch.equal(last.visible[0], found.visible[-1]) and last.starts[0] == found.starts[-1]


def test_masks_are_each_leads_own_and_of_the_published_number() -> None:
    assert visible_patches(30, 0.75) == 7 and visible_patches(36, 0.75) == 9
    assert visible_patches(10, 0.9) == 1 and visible_patches(1, 0.75) == 1
    found = draw_patches([3], 12, 30, 0.75, 0, 1)
    assert len({tuple(row) for row in found.visible[0].tolist()}) > 1
    other = draw_patches([3], 12, 30, 0.75, 0, 1, draw=1)
    assert not torch.equal(found.visible, other.visible)


def test_targets_have_the_unbiased_variance() -> None:
    patches = np.random.default_rng(0).normal(3, 2, (2, 5, 75))
    found = normalised_patches(torch.from_numpy(patches)).numpy()
    centred = patches - patches.mean(-1, keepdims=True)
    expected = centred / np.sqrt(patches.var(-1, ddof=1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not normalised_patches(torch.full((1, 8), 4.0)).any()


def test_sizes_that_make_no_network_are_refused() -> None:
    for changes, message in (
        ({"samples": 41}, "41 is no whole number of patches of 8"),
        ({"given": ("X",)}, "no lead X among"),
        ({"width": 0}, "width"),
        ({"mlp_ratio": 0.0}, "mlp_ratio"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(TINY, **changes)
    with pytest.raises(ValueError, match="below 1, not 1"):
        StMemDecoderShape(mask_ratio=1.0)
    with pytest.raises(ValueError, match=r"39 samples are shorter than a crop of 40"):
        random_model().encoder(torch.zeros(1, 12, 39))
    with pytest.raises(ValueError, match=r"model\.samples=40: choose at most 30"):
        random_model().surplus(30)


# The authors' files ------------------------------------------------------------------------------


def their_model(seed: int) -> StMem:
    return random_model(seed, THEIRS, replace(TINY_DECODER, width=64, heads=1))


@pytest.mark.parametrize("whole", [False, True])
def test_a_published_file_is_read_whole(whole: bool, tmp_path: Path) -> None:
    model = their_model(6)
    decoder = model.decoder.state_dict() if whole else None
    state = by_hand.published_state(model.encoder.state_dict(), decoder)
    file = by_hand.write_published(tmp_path / "file.pth", state)
    trained = load_trained(file)
    assert (trained.kind, trained.required_leads) == ("st_mem published", STANDARD_LEADS)
    made = trained.preprocessing
    assert (made.sample_rate, made.filter, made.normalisation) == (250, "bandpass", "zscore")
    weights = encoder_for(file, STANDARD_LEADS, ()).state_dict
    assert trained.config == THEIRS
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(weights[name], value), name
    alone = load_encoder(file, view="V3")
    assert torch.equal(alone.lead_embeddings, model.encoder.lead_embeddings[[8]])
    with pytest.raises(CheckpointError, match="name one of the views all, I, II"):
        load_encoder(file)
    with pytest.raises(CheckpointError, match="predicts no label"):
        predict_split(file, tmp_path, "test")


def test_the_published_sizes_have_the_published_number_of_entries() -> None:
    with torch.device("meta"):
        model = StMem(FULL, FULL_DECODER, 500, 250)
    encoder, decoder = model.encoder.state_dict(), model.decoder.state_dict()
    assert len(by_hand.published_state(encoder)) == 166
    assert len(by_hand.published_state(encoder, decoder)) == 228


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("drop", "encoder.block1.ff.fn.net.3.bias"), r"missing blocks\.1\.out\.bias"),
        (("drop", "encoder.lead_embeddings.11"), r"missing lead_embeddings\.11"),
        (("drop", "decoder_head.bias"), r"missing patch_out\.bias"),
        (("drop", "to_decoder_embedding.weight"), r"missing token_in\.weight"),
        (("drop", "encoder.pos_embedding"), r"missing positions"),
        (("cut", "encoder.block0.attn.fn.to_qkv.weight"), "heads of 64 do not make them"),
        (("drop", "to_patch_embedding.2.bias"), r"not one: to_patch_embedding\.2\.bias"),
        (("add", "encoder.head.weight"), r"unknown head\.weight"),
        (("add", "decoder_more"), r"unknown decoder_more"),
        (("cut", "encoder.norm.weight"), r"misshapen norm\.weight \(63,\) instead of \(64,\)"),
        (("cut", "mask_embedding"), r"misshapen mask_token"),
        (("break", "encoder.norm.bias"), r"NaN or Inf in norm\.bias"),
    ],
)
def test_whatever_does_not_fit_is_named(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    model = their_model(7)
    state = by_hand.published_state(model.encoder.state_dict(), model.decoder.state_dict())
    kind, name = change
    if kind == "drop":
        del state[name]
    elif kind == "add":
        state[name] = torch.zeros(3)
    elif kind == "cut":
        state[name] = state[name][:-1].clone() if len(state[name]) > 1 else state[name][..., :-1]
    else:
        state[name] = torch.full_like(state[name], torch.nan)
    with pytest.raises(CheckpointError, match=message):
        load_trained(by_hand.write_published(tmp_path / "file.pth", state))
