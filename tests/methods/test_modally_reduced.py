"""Masked autoencoders of all leads as one module, and their losses."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from selfmis_plugin.methods.modally_reduced.lead_encoder import LeadEncoder
from selfmis_plugin.methods.modally_reduced.lead_layers import LeadBlock, LeadLinear
from selfmis_plugin.methods.modally_reduced.network import ModallyReduced, ModallyReducedConfig
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.losses.alignment import (
    DISTANCES,
    MINING,
    TripletAlignmentLoss,
    curriculum_weights,
)
from selfmis_plugin.nn.losses.reconstruction import reconstruction_loss
from selfmis_plugin.nn.patch_masks import PatchMask, random_masks

CONFIG = ModallyReducedConfig(
    patch_size=20, width=16, depth=2, heads=2, decoder_width=8, decoder_depth=1, decoder_heads=2
)
RAW = (6, 12, 1000)


def model(seed: int = 0) -> ModallyReduced:
    torch.manual_seed(seed)
    built = ModallyReduced(CONFIG, store_rate=500, sample_rate=100)
    for name, parameter in built.named_parameters():
        if name.endswith("bias"):  # zero at the start, which would hide a wrong lead's bias
            nn.init.normal_(parameter, std=0.1)
    return built.eval()


def signals(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-2000, 2000, RAW, generator=generator, dtype=torch.int16)


# -- the batched module against networks of their own


def own_block(block: LeadBlock, lead: int) -> nn.TransformerEncoderLayer:
    """PyTorch's own layer with one lead's weights."""
    width, hidden = block.attention_out.weight.shape[1], block.hidden.weight.shape[2]
    layer = nn.TransformerEncoderLayer(
        width, block.heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True
    )
    parts = {
        "self_attn.in_proj_": block.attention_in,
        "self_attn.out_proj.": block.attention_out,
        "linear1.": block.hidden,
        "linear2.": block.out,
    }
    state = {f"{name}weight": part.weight[lead].T for name, part in parts.items()}
    state |= {f"{name}bias": part.bias[lead] for name, part in parts.items()}
    for name in ("norm1", "norm2"):
        norm = getattr(block, name)
        state |= {f"{name}.weight": norm.weight[lead], f"{name}.bias": norm.bias[lead]}
    layer.load_state_dict(state)
    return layer


def own_linear(part: LeadLinear, lead: int) -> nn.Linear:
    linear = nn.Linear(part.weight.shape[1], part.weight.shape[2])
    linear.load_state_dict({"weight": part.weight[lead].T, "bias": part.bias[lead]})
    return linear


def own_tokens(built: ModallyReduced, patches: torch.Tensor, lead: int) -> torch.Tensor:
    """Tokens of one lead's visible patches, (batch, patches, size), all of them visible."""
    encoders = built.encoders
    width, count = CONFIG.width, patches.shape[1]
    rates = 10_000 ** (-torch.arange(width // 2) / (width // 2 - 1))
    angles = torch.arange(count)[:, None] * rates
    tokens = own_linear(encoders.patch_in, lead)(patches)
    tokens = tokens + torch.cat([angles.sin(), angles.cos()], dim=1)
    for block in encoders.blocks:
        tokens = own_block(block, lead)(tokens)
    norm = encoders.norm
    return nn.functional.layer_norm(tokens, (width,), norm.weight[lead], norm.bias[lead])


def test_all_leads_at_once_are_twelve_networks() -> None:
    built, raw = model(), signals()
    found = built(raw)
    prepare = Preparation(500, 100)
    for lead in range(12):
        prepared = prepare(raw[:, lead : lead + 1])[:, 0]
        patches = prepared.unflatten(-1, (-1, CONFIG.patch_size))
        expected = own_tokens(built, patches, lead)
        torch.testing.assert_close(found.latents[:, lead], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.target[:, lead], patches)


def test_gradients_are_those_of_twelve_networks() -> None:
    block = LeadBlock(3, 16, 2, 32)
    tokens = torch.randn(3, 4, 5, 16)
    block(tokens).square().sum().backward()
    gradient = block.attention_in.weight.grad
    assert gradient is not None
    for lead in range(3):
        own = own_block(block, lead)
        own(tokens[lead]).square().sum().backward()
        expected = own.self_attn.in_proj_weight.grad
        torch.testing.assert_close(gradient[lead].T, expected, rtol=1e-4, atol=1e-4)


def test_some_leads_are_computed_as_among_all() -> None:
    built, raw, mask = model(), signals(), random_masks(range(6), 10, 0.5, seed=3)
    whole = built(raw, mask)
    for leads in ([0], [7, 2], [3, 4, 5]):
        part = built(raw[:, leads], mask, leads)
        torch.testing.assert_close(part.latents, whole.latents[:, leads])
        torch.testing.assert_close(part.reconstruction, whole.reconstruction[:, leads])
    embeddings = built.embed(raw)
    torch.testing.assert_close(built.embed(raw[:, [5]], [5])[:, 0], embeddings[:, 5])


def test_lead_encoder_embeds_as_the_whole_model() -> None:
    built, raw = model(), signals()
    leads = ("V1", "II")
    rows = [CONFIG.leads.index(lead) for lead in leads]
    encoder = LeadEncoder(
        ModallyReducedConfig(leads, CONFIG.patch_size, CONFIG.width, CONFIG.depth, CONFIG.heads)
    )
    encoder.load_state_dict({k: v[rows] for k, v in built.encoders.state_dict().items()})
    expected = built.embed(raw)[:, rows].flatten(1)
    # A classifier's normalisation of both leads together changes nothing.
    found = encoder(Preparation(500, 100)(raw[:, rows]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_masked_patches_do_not_reach_the_encoder() -> None:
    built = model()
    mask = random_masks(range(6), 10, 0.5, seed=1)
    prepared = torch.randn(6, 12, 200)
    hidden = mask.masked.repeat_interleave(CONFIG.patch_size, 1)[:, None].expand_as(prepared)
    changed = torch.where(hidden, torch.randn_like(prepared), prepared)
    same = built.encoders.tokens(prepared, mask), built.encoders.tokens(changed, mask)
    torch.testing.assert_close(*same)
    assert not torch.allclose(same[0], built.encoders.tokens(-prepared, mask))


def test_twelve_leads_come_from_one() -> None:
    built, raw = model(), signals()
    others = raw.clone()
    others[:, 1:] = 0
    from_one = built.decode_from(raw[:, 0], 0)
    assert from_one.shape == (6, 12, 200)
    torch.testing.assert_close(from_one, built.decode_from(others[:, 0], 0))
    # A lead decoded from itself is its own reconstruction.
    torch.testing.assert_close(from_one[:, 0], built(raw).reconstruction[:, 0].flatten(1))


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="divides 200"):
        ModallyReduced(ModallyReducedConfig(patch_size=30), 500, 100).embed(signals())
    with pytest.raises(ValueError, match="12 leads"):
        model().embed(signals()[:, :3])
    with pytest.raises(ValueError, match="3 heads"):
        LeadBlock(2, 16, 3, 32)


# -- masks


@given(
    patches=st.integers(1, 60),
    ratio=st.floats(0, 0.99),
    records=st.lists(st.integers(0, 2**40), min_size=1, max_size=6, unique=True),
    draw=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_masks(patches: int, ratio: float, records: list[int], draw: int) -> None:
    mask = random_masks(records, patches, ratio, seed=5, draw=draw)
    count = max(1, patches - round(ratio * patches))
    assert mask.visible.shape == (len(records), count)
    # Visible and masked patches are a record's patches, each once.
    for row, masked in zip(mask.visible.tolist(), mask.masked, strict=True):
        assert row == sorted(set(row))
        assert row == (~masked).nonzero()[:, 0].tolist()
    # A record's mask does not depend on its batch.
    alone = random_masks(records[-1:], patches, ratio, seed=5, draw=draw)
    assert torch.equal(alone.masked[0], mask.masked[-1])


def test_masks_differ_between_draws_records_and_seeds() -> None:
    base = random_masks([7], 40, 0.5, 1, 1).masked
    for other in ((8, 1, 1), (7, 2, 1), (7, 1, 2)):
        record, seed, draw = other
        assert not torch.equal(base, random_masks([record], 40, 0.5, seed, draw).masked)
    drawn = random_masks(range(2000), 10, 0.3, 1).masked.float().mean(0)
    torch.testing.assert_close(drawn, torch.full((10,), 0.3), rtol=0, atol=0.05)
    with pytest.raises(ValueError, match="share of masked patches"):
        random_masks([1], 10, 1.0, 1)


# -- losses


def naive_triplets(
    embeddings: torch.Tensor, records: list[int], loss: TripletAlignmentLoss
) -> torch.Tensor:
    """The loss's definition, one triplet after another."""

    def distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        if loss.distance == "cosine":
            return 1 - torch.dot(first, second) / (first.norm() * second.norm())
        return (first - second).norm()

    count, leads = embeddings.shape[:2]
    rows = embeddings.flatten(2)
    of_records = []
    for n in range(count):
        terms = []
        for anchor, positive in product(range(leads), repeat=2):
            if anchor == positive:
                continue
            near = distance(rows[n, anchor], rows[n, positive])
            far = [
                distance(rows[n, anchor], rows[m, lead])
                for m, lead in product(range(count), range(leads))
                if records[m] != records[n]
            ]
            if not far:
                continue
            if loss.mining == "hard":
                far = [min(far)]
            elif loss.mining == "semi-hard":
                beyond = [value for value in far if value > near]
                far = [min(beyond) if beyond else max(far)]
            terms += [(near - value + loss.margin).clamp_min(0) for value in far]
        of_records.append(torch.stack(terms).mean() if terms else torch.zeros(()))
    return torch.stack(of_records)


@pytest.mark.parametrize(("mining", "distance"), list(product(MINING, DISTANCES)))
def test_alignment_is_its_definition(mining: str, distance: str) -> None:
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(5, 3, 2, 4, generator=generator)
    # Leads of a record are alike, so that some triplets are solved and others are not.
    embeddings += 1.5 * torch.randn(5, 1, 2, 4, generator=generator)
    embeddings.requires_grad_()
    records = [4, 7, 4, 9, 1]  # one record twice: no negative of itself
    loss = TripletAlignmentLoss(0.5, mining, distance)
    found = loss(embeddings, torch.tensor(records))
    expected = naive_triplets(embeddings, records, loss)
    assert float(expected.detach().max()) > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    (one,) = torch.autograd.grad(found.sum(), embeddings)
    (other,) = torch.autograd.grad(expected.sum(), embeddings)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mining", MINING)
def test_alignment_without_negatives_is_nothing(mining: str) -> None:
    embeddings = torch.randn(1, 3, 4, requires_grad=True)
    loss = TripletAlignmentLoss(mining=mining)
    assert float(loss(embeddings).sum().detach()) == 0
    assert float(loss(torch.randn(4, 1, 4)).sum()) == 0
    loss(embeddings).sum().backward()
    assert embeddings.grad is not None and torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize(("mining", "distance"), list(product(MINING, DISTANCES)))
def test_equal_leads_far_from_other_records_cost_nothing(mining: str, distance: str) -> None:
    embeddings = 10 * torch.eye(4)[:, None].repeat(1, 3, 1)
    embeddings.requires_grad_()
    total = TripletAlignmentLoss(0.5, mining, distance)(embeddings).sum()
    total.backward()
    assert float(total.detach()) == 0
    assert embeddings.grad is not None and torch.isfinite(embeddings.grad).all()


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of all, hard, semi-hard"):
        TripletAlignmentLoss(mining="soft")
    with pytest.raises(ValueError, match="choose one of cosine, euclidean"):
        TripletAlignmentLoss(distance="manhattan")


def test_curriculum() -> None:
    assert curriculum_weights(5, 10) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert curriculum_weights(1, 3) == pytest.approx((0.5, math.sqrt(0.75)))
    assert curriculum_weights(10, 10) == (1.0, 0.0)
    assert curriculum_weights(12, 10) == (1.0, 0.0)  # a run that was made longer and shorter again


def test_reconstruction_counts_masked_and_visible_patches() -> None:
    target = torch.randn(2, 3, 4, 5)
    reconstruction = torch.randn(2, 3, 4, 5)
    mask = PatchMask.from_noise(torch.rand(2, 4), 0.5)
    error = (reconstruction - target).square().mean(-1)
    masked = torch.stack([error[n][:, mask.masked[n]].mean(-1) for n in range(2)])
    seen = torch.stack([error[n][:, ~mask.masked[n]].mean(-1) for n in range(2)])
    found = [
        reconstruction_loss(reconstruction, target, mask.masked, weight) for weight in (0.0, 1.0)
    ]
    torch.testing.assert_close(found[0], masked)
    torch.testing.assert_close(found[1], (masked + seen) / 2)
    nothing = PatchMask.none(2, 4).masked
    assert float(reconstruction_loss(reconstruction, target, nothing).sum()) == 0
