"""A changed model folder is refused by its name, or predicts finite numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin import load_model
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.cli.main import main
from tests.checkpoint_files import write_classifier
from tests.fuzz import FUZZ, for_a_while
from tests.fuzz.bounds import bounded
from tests.fuzz.files import OF_A_NETWORK, changed_bytes, changed_values, json_values

pytestmark = [*FUZZ, pytest.mark.filterwarnings("ignore")]

NOISE = np.random.default_rng(0).integers(-500, 500, 5000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    checkpoint = write_classifier(folder / "c.pt")
    arguments = ["--checkpoint", str(checkpoint), "--data", str(store)]
    assert main(["export", *arguments, "--dest", str(folder / "m")]) == 0
    return folder / "m"


def use(folder: Path) -> None:
    """Load and ask; the errors that may come of it name the folder."""
    try:
        model = load_model(folder)
        leads = model.preprocessing.leads
        signal = np.tile(NOISE, (len(leads), 1)) / 1000
        samples = round(model.saved.input_rate * model.preprocessing.seconds)
        window = np.resize(NOISE, (len(leads), samples)).astype(np.int16)
        assert np.isfinite(model.logits([window])).all()
    except CheckpointError as error:
        assert str(folder) in str(error) and len(str(error)) < 10_000
        return
    try:
        json.dumps(model.predict(signal, 500, lead=leads, quality=0).to_dict())
    except ValueError as error:  # a strip that is too short, say
        assert "signal" in str(error)


@for_a_while
@given(data=st.data())
def test_values(whole: Path, data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    described = json.loads((whole / "config.json").read_text())
    del described["provenance"]["test"]  # not read, and most of the text
    new = data.draw(changed_values(described, json_values))
    (folder / "config.json").write_text(json.dumps(new))
    with bounded(*OF_A_NETWORK):
        use(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@for_a_while
@given(data=st.data())
def test_bytes(whole: Path, name: str, data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    (folder / name).write_bytes(data.draw(changed_bytes((whole / name).read_bytes())))
    with bounded(*OF_A_NETWORK):
        use(folder)
