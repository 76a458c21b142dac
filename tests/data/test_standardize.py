"""Embeddings brought to one scale before a linear head."""

from __future__ import annotations

import pytest
import torch

from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig

CONFIG = Net1DConfig(base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8)


def classifier(standardize: bool) -> EncoderClassifier:
    torch.manual_seed(0)
    return EncoderClassifier(
        CONFIG, 3, ["I"], store_rate=100, sample_rate=100, standardize=standardize
    )


def test_logits_are_a_linear_function_of_standardised_embeddings() -> None:
    signal = torch.randn(20, 1, 500)
    network = classifier(standardize=True)
    assert network.needs_embedding_statistics()
    with torch.no_grad():
        embedding = network.embed(signal)
        network.set_embedding_statistics(embedding)
        scaled = (embedding - embedding.mean(0)) / embedding.std(0, correction=0)
        expected = scaled @ network.head.weight.T + network.head.bias
        torch.testing.assert_close(network(signal), expected, rtol=1e-4, atol=1e-5)
    assert not network.needs_embedding_statistics()


def test_statistics_travel_with_the_weights() -> None:
    network, copy = classifier(standardize=True), classifier(standardize=True)
    network.set_embedding_statistics(torch.randn(10, 16) * 5 + 2)
    copy.load_state_dict(network.state_dict())
    assert not copy.needs_embedding_statistics()
    signal = torch.randn(2, 1, 500)
    assert torch.equal(copy(signal), network(signal))
    assert not any("embedding" in name for name in classifier(standardize=False).state_dict())


def test_a_constant_value_does_not_become_noise() -> None:
    network = classifier(standardize=True)
    embeddings = torch.randn(10, 16)
    embeddings[:, 3] = 0.1
    network.set_embedding_statistics(embeddings)
    assert network.embedding_deviation[3] == 1
    with pytest.raises(ValueError, match="NaN"):
        network.set_embedding_statistics(torch.full((2, 16), torch.nan))
