"""ECG-FM's published files, which these tests write in their layout, and what reads a record in
pieces. The encoder itself is fairseq-signals': test_signals_ecg_fm.py trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import Tensor, nn

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.ecg_fm.classifier import ECGFMClassifier
from selfmis_plugin.methods.ecg_fm.network import ECGFMShape, PiecesEncoder
from selfmis_plugin.methods.ecg_fm.reader import ecg_fm_weights
from selfmis_plugin.nn.encoder import build_input, describe_shape, is_portable, shape_from
from tests.checkpoint_files import write_classifier

in_embedded_host = pytest.mark.skipif(toolkit.HOST != "fairseq", reason="it has the encoder")
MODEL = {"_name": "wav2vec2_cmsc", "encoder_embed_dim": 4}


def write_ecg_fm(path: Path, model: str = "wav2vec2_cmsc", **changes: Any) -> Path:
    """A file laid out as ECG-FM's, with three of its weights."""
    masking = {"perturbation_mode": ["random_leads_masking"], "p": [1.0], "mask_leads_prob": 0.5}
    cfg = {
        "model": {**MODEL, "_name": model},
        "task": {"_name": "ecg_pretraining", "sample_rate": None, **masking},
        "criterion": {"_name": "wav2vec2_with_cmsc"},
    }
    weights = {"post_extract_proj.weight": torch.ones(4, 2), "mask_emb": torch.ones(4)}
    weights["quantizer.vars"] = torch.ones(1, 2, 2)
    state = {"args": None, "cfg": cfg, "model": weights, "task_state": {}, "criterion": None}
    # The toolkit keeps numpy's numbers among these.
    state["extra_state"] = {"metrics": {"loss": np.float64(1.5)}, "val_loss": np.float32(2)}
    torch.save({**state, **changes}, path)
    return path


def preprocessing(rate: float = 500, kind: str = "none") -> Preprocessing:
    return Preprocessing(rate, 10.0, ("I",), kind)


def test_a_published_file_is_read_as_its_authors_use_it(tmp_path: Path) -> None:
    found = ecg_fm_weights(write_ecg_fm(tmp_path / "ecg_fm.pt"), ["I"])
    assert found.config == ECGFMShape(MODEL, 500.0, 5.0) and found.config.samples == 2500
    # What only pre-training uses is left out.
    assert set(found.state_dict) == {"piece.model.post_extract_proj.weight"}
    assert found.preprocessing == {"sample_rate": 500, "filter": "none"}
    cfg = {"task": {"_name": "ecg_pretraining", "sample_rate": 250}, "model": MODEL}
    other = write_ecg_fm(tmp_path / "other.pt", cfg={**cfg, "criterion": {"_name": "x"}})
    assert ecg_fm_weights(other, ["I"]).config.sample_rate == 250


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    for path in (
        write_ecg_fm(tmp_path / "a.pt", "wav2vec2"),
        write_classifier(tmp_path / "b.pt"),
    ):
        with pytest.raises(CheckpointError, match="not ECG-FM's"):
            ecg_fm_weights(path, ["I"])


def test_a_file_with_objects_in_it_is_refused_by_their_name(tmp_path: Path) -> None:
    # As a checkpoint whose config nobody turned into plain values.
    path = write_ecg_fm(tmp_path / "a.pt", cfg=OmegaConf.create({"model": MODEL}))
    with pytest.raises(CheckpointError, match=r"omegaconf.*refused"):
        ecg_fm_weights(path, ["I"])


class Scale(nn.Module):
    """Stands for the host's encoder: a linear function of a piece."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12 * samples, 4, dtype=torch.float64))

    def forward(self, pieces: Tensor) -> Tensor:
        return pieces.flatten(1) @ self.weight


@given(st.integers(1, 4), st.integers(0, 9), st.integers(1, 3))
def test_a_record_is_the_mean_of_its_pieces(pieces: int, rest: int, records: int) -> None:
    torch.manual_seed(pieces)
    encoder = PiecesEncoder(ECGFMShape(MODEL, 10.0, 1.0), Scale(10))
    signal = torch.randn(records, 12, 10 * pieces + rest, dtype=torch.float64)
    weight = encoder.piece.weight.detach().numpy()
    expected = np.zeros((records, 4))
    for record in range(records):
        for piece in range(pieces):
            part = signal[record, :, 10 * piece : 10 * (piece + 1)].numpy()
            expected[record] += part.reshape(-1) @ weight / pieces
    np.testing.assert_allclose(encoder(signal).detach().numpy(), expected, rtol=1e-12)


def test_a_record_shorter_than_a_piece_is_refused() -> None:
    encoder = PiecesEncoder(ECGFMShape(MODEL), Scale(1))
    with pytest.raises(ValueError, match="2499 samples is shorter than the 2500"):
        encoder(torch.zeros(1, 12, 2499))


def test_each_lead_is_scaled_over_the_whole_record() -> None:
    raw = torch.randint(-500, 500, (3, 1, 5000), dtype=torch.int16)
    raw[..., :2500] //= 10
    seen = build_input(ECGFMShape(MODEL), ["I"], 500, 500)(raw)
    signal = raw[:, 0].double()
    expected = (signal - signal.mean(-1, True)) / signal.std(-1, unbiased=False, keepdim=True)
    torch.testing.assert_close(seen[:, 0].double(), expected, rtol=1e-4, atol=1e-5)
    assert not seen[:, 1:].any()


def test_its_shape_survives_a_checkpoint() -> None:
    shape = ECGFMShape(MODEL, 250.0)
    assert shape_from(describe_shape(shape)) == shape and not is_portable(shape)
    for values in ({"sample_rate": 0.0}, {"seconds": -1.0}, {"model": {"_name": "x"}}):
        with pytest.raises(ValueError):
            shape_from({**describe_shape(shape), **values})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (preprocessing(rate=250), "sample_rate: 250"),
        (preprocessing(kind="bandpass"), "filter"),
    ],
)
def test_other_data_are_refused(tmp_path: Path, data: Preprocessing, message: str) -> None:
    path = write_ecg_fm(tmp_path / "ecg_fm.pt")
    with pytest.raises(CheckpointError, match=f"prepared in another way: .*{message}"):
        ECGFMClassifier.load_encoder(nn.Module(), str(path), ECGFMShape(MODEL), data)


@in_embedded_host
def test_elsewhere_it_says_what_it_needs(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_classifier(tmp_path / "probe.pt")
    state = torch.load(path, weights_only=True)
    state["cfg"]["model"] |= {"_name": "ecg_fm_classifier", "standardize_embeddings": False}
    state["task_state"]["encoder"] = describe_shape(ECGFMShape(MODEL))
    torch.save(state, path)
    trained = load_trained(path)
    assert trained.config == ECGFMShape(MODEL)
    with pytest.raises(CheckpointError, match="wav2vec2_cmsc.*is fairseq-signals'.*pip install"):
        trained.network(500)
    capsys.readouterr()
    arguments = ["benchmark", "mi", "--data", str(store), "--dest", str(tmp_path / "mi")]
    file = str(write_ecg_fm(tmp_path / "ecg_fm.pt"))
    assert main([*arguments, "--methods", "ecg_fm", "--ecg-fm-checkpoint", file]) == 0
    text = (tmp_path / "mi/report.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| ECG-FM (published)")]
    assert "model wav2vec2_cmsc" in row and "pip install" in row
