"""ECG-FM's encoder inside fairseq-signals, from files that these tests write in its layout."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.methods.ecg_fm.classifier import ECGFMClassifier
from selfmis_plugin.methods.ecg_fm.reader import ecg_fm_weights
from selfmis_plugin.nn.encoder import build_encoder
from selfmis_plugin.nn.net1d.config import count_parameters
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.registration import register_all

pytestmark = pytest.mark.signals

TINY = {
    "encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 16,
    "encoder_attention_heads": 2, "conv_pos": 8, "conv_pos_groups": 2, "final_dim": 16,
    "latent_vars": 8, "conv_feature_layers": "[(16, 8, 8)] * 2",
}  # fmt: skip


def model_config(**changes: Any) -> dict[str, Any]:
    """The config of the family at full size, every key of it, as a checkpoint holds it."""
    register_all()
    values: Any = OmegaConf.load(config_file("baselines/w2v_cmsc_rlm"))
    models = importlib.import_module("fairseq_signals.models")
    defaults = OmegaConf.structured(models.MODEL_DATACLASS_REGISTRY["wav2vec2_cmsc"])
    OmegaConf.set_struct(defaults, False)
    merged = OmegaConf.merge(defaults, values.model, changes)
    found = OmegaConf.to_container(merged, resolve=False, enum_to_str=True)
    assert isinstance(found, dict)
    return {
        str(key): value for key, value in found.items()
        if not (isinstance(value, str) and value.startswith("${"))
    }  # fmt: skip


def write_ecg_fm(path: Path, change: Any = lambda state: None) -> Any:
    """Save a small model of the family in the layout of the published file; return it."""
    torch.manual_seed(0)
    values = model_config(**TINY)
    model = toolkit.build_host_model(values)
    state = model.state_dict()
    change(state)
    cfg = {
        "model": values,
        "task": {"_name": "ecg_pretraining", "perturbation_mode": ["random_leads_masking"]},
        "criterion": {"_name": "wav2vec2_with_cmsc"},
    }
    payload = {"args": None, "cfg": cfg, "model": state, "task_state": {}, "criterion": {}}
    torch.save({**payload, "extra_state": {"val_loss": np.float64(1.0)}}, path)
    return model.eval()


def test_at_full_size_it_has_the_parameters_that_its_authors_state() -> None:
    assert count_parameters(toolkit.build_host_model(model_config())) == 90_883_072


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    folder = tmp_path_factory.mktemp("ecg_fm")
    write_ecg_fm(folder / "ecg_fm.pt")
    arguments = ["benchmark", "mi", "--size", "small", "--dest", str(folder / "mi")]
    arguments += ["--data", str(store), "--methods", "ecg_fm", "--fractions", "0.5"]
    arguments += ["--modes", "probe,finetune,finetune_two_stage"]
    arguments += ["--ecg-fm-checkpoint", str(folder / "ecg_fm.pt")]
    assert main([*arguments, "--set", "optimization.max_epoch=1"]) == 0
    return folder


def test_it_is_probed_and_fine_tuned(probed: Path) -> None:
    report = json.loads((probed / "mi/report.json").read_text(encoding="utf-8"))
    assert report["failed"] == report["lacking"] == report["left_out"] == {}
    assert report["stages"] == []
    modes = {cell["mode"] for cell in report["cells"]}
    assert modes == {"probe", "finetune", "finetune_two_stage"}


def test_a_record_is_embedded_as_its_authors_do(probed: Path, store: Path) -> None:
    model = write_ecg_fm(probed / "again.pt")
    path = probed / "mi/seed1/ecg_fm/probe/0.5/run/checkpoints/checkpoint_best.pt"
    trained = load_trained(path)
    assert trained.preprocessing.sample_rate == 500 and trained.preprocessing.filter == "none"
    part = open_split(store, "test")
    raw = torch.from_numpy(part.store.read(part.rows[:3], ["I"]))
    source = np.zeros((3, 12, 5000))
    lead = raw[:, 0].numpy().astype(np.float64)
    source[:, 0] = (lead - lead.mean(-1, keepdims=True)) / lead.std(-1, keepdims=True)
    pieces = []
    with torch.no_grad():
        for half in np.split(source.astype(np.float32), 2, axis=-1):
            outputs = model.extract_features(source=torch.from_numpy(half), padding_mask=None)["x"]
            pieces.append(torch.div(outputs.sum(dim=1), (outputs != 0).sum(dim=1)))
        found = trained.network(500).eval().embed(raw)
    torch.testing.assert_close(found, (pieces[0] + pieces[1]) / 2, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pieces[0], pieces[1], atol=1e-3)


BIAS = "layer_norm.bias"
BROKEN = {
    "missing": (lambda state: state.pop(BIAS), f"Missing key.*{BIAS}"),
    "extra": (lambda state: state.update({"more": torch.ones(2)}), "Unexpected key.*more"),
    "misshapen": (lambda state: state.update({BIAS: torch.ones(3)}), f"mismatch for .*{BIAS}"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_not_whole_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    change, message = BROKEN[kind]
    write_ecg_fm(tmp_path / "ecg_fm.pt", change)
    shape = ecg_fm_weights(tmp_path / "ecg_fm.pt", ["I"]).config
    data = Preprocessing(500, 10.0, ("I",), "none")
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        ECGFMClassifier.load_encoder(
            build_encoder(shape, 1), str(tmp_path / "ecg_fm.pt"), shape, data
        )
