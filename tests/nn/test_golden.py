"""The encoder against outputs of ECGFounder's own code, for weights and inputs drawn by a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin import load_encoder
from selfmis_plugin.checkpoints import to_ecgfounder
from selfmis_plugin.nn.net1d import Net1D
from selfmis_plugin.nn.net1d.plain import PlainNet1D
from tests.golden_rule import CASES, input_by_rule, weights_by_rule

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "net1d.npz"


@pytest.mark.parametrize("case", CASES)
def test_equals_the_authors_code(case: str, tmp_path: Path) -> None:
    config, lengths = CASES[case]
    with torch.device("meta"):
        everything = to_ecgfounder(Net1D(config).state_dict(), config)
    used = {
        name: tuple(value.shape)
        for name, value in everything.items()
        if not name.startswith("dense") and "bn" not in name
    }
    torch.save({"state_dict": weights_by_rule(used)}, tmp_path / "weights.pth")
    # The stride leaves no trace in a file; ECGFounder's is taken.
    if config.stride == 2:
        encoder: Net1D = load_encoder(tmp_path / "weights.pth")
        assert encoder.config == config
    else:
        encoder = Net1D(config)
        own = sorted(encoder.state_dict(), key=lambda n: _founder_order(n))
        encoder.load_state_dict(dict(zip(own, weights_by_rule(used).values(), strict=True)))
    (tmp_path / "weights.pth").unlink()
    plain = PlainNet1D(config)
    plain.load_state_dict(encoder.state_dict())
    with np.load(GOLDEN) as golden:
        for samples in lengths:
            expected = torch.from_numpy(golden[f"{case}_{samples}"])
            signal = input_by_rule(config.in_leads, samples)
            with torch.no_grad():
                outputs = [encoder(signal), plain(signal)]
            outputs.append(encoder(signal).detach())
            for output in outputs:
                assert output.dtype == torch.float32
                error = float((output - expected).norm() / expected.norm())
                assert error < 1e-5


def _founder_order(name: str) -> str:
    if name.startswith("first_conv"):
        return name.replace("conv.", "conv.conv.")
    _, stage, block, layer, kind = name.split(".")
    layer = layer if layer.startswith("se") else f"{layer}.conv"
    return f"stage_list.{stage}.block_list.{block}.{layer}.{kind}"
