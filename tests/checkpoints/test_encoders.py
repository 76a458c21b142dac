"""selfmis_plugin.load_encoder and save_encoder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import selfmis_plugin
from selfmis_plugin.checkpoints import CheckpointError, to_ecgfounder
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.net1d import Net1D
from tests.checkpoints.test_checkpoints import ONE_LEAD, SMALL, prefixed, training_payload
from tests.support import environment

torch.set_num_threads(1)

PREPARED = Preprocessing(250, 10.0, ("II",), "none")


def embedded(encoder: Net1D) -> torch.Tensor:
    signal = torch.randn(
        2, encoder.config.in_leads, 333, generator=torch.Generator().manual_seed(3)
    )
    with torch.no_grad():
        return encoder(signal)


@pytest.mark.parametrize("preprocessing", [PREPARED, None])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_saved_encoder_comes_back(
    suffix: str, preprocessing: Preprocessing | None, tmp_path: Path
) -> None:
    encoder = Net1D(ONE_LEAD)
    path = tmp_path / f"encoder{suffix}"
    selfmis_plugin.save_encoder(encoder, path, preprocessing)
    loaded = selfmis_plugin.load_encoder(path)
    assert torch.equal(embedded(loaded), embedded(encoder))
    assert not loaded.training
    assert loaded.config == ONE_LEAD
    if suffix == ".safetensors":
        assert loaded.preprocessing == preprocessing
    else:
        assert loaded.preprocessing is not None and loaded.preprocessing.filter == "ecgfounder"
    # Saved again, it keeps its preprocessing, and is another file of the same content.
    selfmis_plugin.save_encoder(loaded, tmp_path / "again.safetensors")
    again = selfmis_plugin.load_encoder(tmp_path / "again.safetensors")
    assert again.preprocessing == loaded.preprocessing
    assert sorted(os.listdir(tmp_path)) == sorted(["again.safetensors", path.name])


def test_towers_of_a_pretraining_checkpoint(tmp_path: Path) -> None:
    towers = TwoTowers(SMALL, STANDARD_LEADS, lead="II")
    path = tmp_path / "checkpoint_best.pt"
    torch.save(training_payload(prefixed(towers, "towers."), "selfmis", lead="II"), path)
    for tower, net in ((None, towers.single), ("single", towers.single), ("multi", towers.multi)):
        encoder = selfmis_plugin.load_encoder(path, tower)
        assert torch.equal(embedded(encoder), embedded(net))
        assert encoder.preprocessing is not None
        leads = STANDARD_LEADS if tower == "multi" else ("II",)
        assert encoder.preprocessing.leads == tuple(leads)


def test_twelve_lead_file_needs_no_tower(tmp_path: Path) -> None:
    net = Net1D(SMALL)
    torch.save({"state_dict": to_ecgfounder(net.state_dict(), SMALL)}, tmp_path / "12.pth")
    encoder = selfmis_plugin.load_encoder(tmp_path / "12.pth")
    assert torch.equal(embedded(encoder), embedded(net))


def test_name_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.safetensors"):
        selfmis_plugin.save_encoder(Net1D(ONE_LEAD), tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        selfmis_plugin.load_encoder(path)
    net = Net1D(ONE_LEAD)
    selfmis_plugin.save_encoder(net, path)
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(CheckpointError, match="cut short"):
        selfmis_plugin.load_encoder(path)
    safetensors.torch.save_file(net.state_dict(), path)
    with pytest.raises(CheckpointError, match="not an encoder of this plugin"):
        selfmis_plugin.load_encoder(path)
    config = json.dumps({**vars(ONE_LEAD), "blocks": [2, 1, 3]})
    metadata = {"format": "selfmis_encoder", "config": config}
    safetensors.torch.save_file(net.state_dict(), path, metadata)
    with pytest.raises(CheckpointError, match=r"missing stages\.2\.2\.conv1\.weight"):
        selfmis_plugin.load_encoder(path)


def test_importing_the_package_does_not_import_torch() -> None:
    """Hydra imports it at every start of a toolkit."""
    program = (
        "import sys, selfmis_plugin\n"
        "assert 'torch' not in sys.modules\n"
        "assert selfmis_plugin.load_encoder.__module__ == 'selfmis_plugin.checkpoints.encoders'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=environment(), timeout=120)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = selfmis_plugin.no_such_name


def test_an_encoder_alone_is_told_from_a_training_checkpoint(tmp_path: Path) -> None:
    selfmis_plugin.save_encoder(Net1D(ONE_LEAD), tmp_path / "encoder.safetensors", PREPARED)
    with pytest.raises(CheckpointError, match="load_encoder"):
        load_trained(tmp_path / "encoder.safetensors")
