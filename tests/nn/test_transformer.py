"""Transformer blocks: PyTorch's own, and what they add to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selfmis_plugin.nn.positions import sine_positions
from selfmis_plugin.nn.transformer import TransformerBlock
from selfmis_plugin.profiling.macs import forward_macs


def same_as(block: TransformerBlock, width: int, heads: int, hidden: int) -> nn.Module:
    """PyTorch's layer with the weights of *block*."""
    layer = nn.TransformerEncoderLayer(
        width, heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True
    )
    attention = layer.self_attn
    pairs = (
        (attention.in_proj_weight, block.attention_in.weight),
        (attention.in_proj_bias, block.attention_in.bias),
        (attention.out_proj.weight, block.attention_out.weight),
        (attention.out_proj.bias, block.attention_out.bias),
        (layer.linear1.weight, block.hidden.weight),
        (layer.linear1.bias, block.hidden.bias),
        (layer.linear2.weight, block.out.weight),
        (layer.linear2.bias, block.out.bias),
    )
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
        for theirs, ours in ((layer.norm1, block.norm1), (layer.norm2, block.norm2)):
            for parameter in ours.parameters():
                parameter.normal_()
            theirs.load_state_dict(ours.state_dict())
    return layer


def test_a_block_is_pytorchs_layer() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(24, heads=3, hidden=40).double()
    layer = same_as(block, 24, 3, 40).double()
    tokens = torch.randn(2, 7, 24, dtype=torch.float64)
    assert torch.allclose(block(tokens), layer(tokens), atol=1e-12)
    attended = torch.rand(2, 7) > 0.4
    attended[:, 0] = True
    expected = layer(tokens, src_key_padding_mask=~attended)
    assert torch.allclose(block(tokens, attended), expected, atol=1e-12)


def test_tokens_that_are_not_attended_to_change_nothing() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(16, heads=2, hidden=32)
    tokens = torch.randn(1, 5, 16)
    attended = torch.tensor([[True, True, True, False, False]])
    whole = block(tokens, attended)
    assert torch.allclose(whole[:, :3], block(tokens[:, :3]), atol=1e-6)


def test_heads_may_be_narrower_than_their_share() -> None:
    block = TransformerBlock(24, heads=2, hidden=8, head_width=5, attention_bias=False)
    assert block.attention_in.weight.shape == (30, 24) and block.attention_in.bias is None
    assert block(torch.randn(1, 3, 24)).shape == (1, 3, 24)
    with pytest.raises(ValueError, match="24 cannot be divided among 5 heads"):
        TransformerBlock(24, heads=5, hidden=8)


def test_attention_is_counted_too() -> None:
    block, tokens = TransformerBlock(64, heads=4, hidden=256), torch.randn(1, 30, 64)
    linear = 30 * (64 * 192 + 64 * 64 + 2 * 64 * 256)
    assert forward_macs(lambda: block(tokens)) == linear + 2 * 30 * 30 * 64


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(16, heads=2, hidden=32, dropout=0.5)
    tokens = torch.randn(1, 5, 16)
    assert not torch.equal(block(tokens), block(tokens))
    block.eval()
    assert torch.equal(block(tokens), block(tokens))


def test_positions_are_sines_and_cosines() -> None:
    found = sine_positions(9, 8).numpy()
    for place in range(9):
        for k in range(4):
            angle = place / 10_000 ** (k / 3)
            assert np.allclose(found[place, [k, 4 + k]], [np.sin(angle), np.cos(angle)], atol=1e-6)
    assert not sine_positions(9, 7)[:, 6].any()
