"""A changed checkpoint is refused by its name, or loads and computes numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin import save_encoder
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsLeads, EmbedsPairs, GeneratesLeads
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.net1d import Net1D
from tests.checkpoint_files import (
    CONFIG,
    write_classifier,
    write_ecgfounder,
    write_generator,
    write_joined,
    write_modally_reduced,
    write_towers,
)
from tests.fuzz import FUZZ, for_a_while
from tests.fuzz.bounds import bounded
from tests.fuzz.files import OF_A_NETWORK, changed_bytes, changed_values, payload_values

pytestmark = [*FUZZ, pytest.mark.filterwarnings("ignore")]

WRITERS = {
    "classifier": write_classifier,
    "towers": write_towers,
    "modally reduced": write_modally_reduced,
    "ecgfounder": write_ecgfounder,
    "generator": write_generator,
    "joined": write_joined,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    found = {name: write(folder / f"{name}.pt") for name, write in WRITERS.items()}
    found["encoder"] = folder / "encoder.safetensors"
    save_encoder(Net1D(CONFIG), found["encoder"], Preprocessing(100.0, 10.0, ("I",), "none"))
    return found


def use(path: Path) -> None:
    """Read all that can be read out of a file; the errors that may come of it name the file."""
    for read in (load_encoder_weights, lambda p: load_encoder_weights(p, "multi"), networks):
        try:
            read(path)
        except CheckpointError as error:
            assert str(path) in str(error) and len(str(error)) < 10_000


def networks(path: Path) -> None:
    """Build what a checkpoint holds, which must fit: that was seen when it was read."""
    trained: Any = load_trained(path)
    rate = trained.preprocessing.sample_rate
    for kind, name in (
        (Classifies, "network"),
        (EmbedsPairs, "pair_network"),
        (EmbedsLeads, "lead_network"),
        (GeneratesLeads, "generator"),
    ):
        if isinstance(trained, kind):
            network = getattr(trained, name)(rate)
            assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.mark.parametrize("name", [*WRITERS, "encoder"])
@for_a_while
@given(data=st.data())
def test_bytes(name: str, files: dict[str, Path], data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / f"changed{files[name].suffix}"
    path.write_bytes(data.draw(changed_bytes(files[name].read_bytes())))
    with bounded(*OF_A_NETWORK):
        use(path)


@pytest.mark.parametrize("name", WRITERS)
@for_a_while
@given(data=st.data())
def test_values(name: str, files: dict[str, Path], data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "changed.pt"
    whole = torch.load(files[name])
    torch.save(data.draw(changed_values(whole, payload_values)), path)
    with bounded(*OF_A_NETWORK):
        use(path)
