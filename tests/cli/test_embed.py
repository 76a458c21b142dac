"""Embeddings as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.embeddings import TOWERS, embed_split
from tests.checkpoint_files import write_classifier, write_towers


def test_both_forms_hold_the_encoders_output(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_classifier(tmp_path / "c.pt")
    arguments = ["embed", "--checkpoint", str(checkpoint), "--data", str(store)]
    for name in ("e.parquet", "e.npy"):
        assert main([*arguments, "--out", str(tmp_path / name), "--batch-size", "7"]) == 0
    assert "25 embeddings of 16 values" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "e.parquet")
    part = open_split(store, "test")
    network = load_trained(checkpoint).network(500).eval()
    signal = torch.from_numpy(Store.open(store).read(part.rows, ["I"]))
    with torch.no_grad():
        expected = network.embed(signal).numpy()
    np.testing.assert_allclose(np.stack(table["embedding"]), expected, atol=1e-5)
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy"), np.stack(table["embedding"]))
    names = pd.read_csv(tmp_path / "e.records.tsv", sep="\t", dtype=str)
    assert names["record_id"].tolist() == table["record_id"].tolist()
    assert table["record_id"].tolist() == part.store.records["record_id"].iloc[part.rows].tolist()


def test_towers_are_told_apart_and_centred_as_in_training(tmp_path: Path, store: Path) -> None:
    plain = embed_split(write_towers(tmp_path / "a.pt"), store, "valid", TOWERS)
    center = torch.arange(16.0)
    centred = embed_split(write_towers(tmp_path / "b.pt", center=center), store, "valid", TOWERS)
    assert plain["single"].values.shape == plain["multi"].values.shape == (25, 16)
    np.testing.assert_array_equal(centred["single"].values, plain["single"].values)
    np.testing.assert_allclose(
        centred["multi"].values, plain["multi"].values - center.numpy(), atol=1e-5
    )


def test_errors(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["embed", "--data", str(store), "--checkpoint", str(tmp_path / "none.pt")]
    assert main([*arguments, "--out", str(tmp_path / "e.npy")]) == 1
    assert "none.pt" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path / "e.txt")])
    assert ".parquet or .npy, or a folder" in capsys.readouterr().err
