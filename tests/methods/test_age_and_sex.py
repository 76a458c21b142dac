"""The row that reads no ECG."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.methods.makers import predictor_of
from selfmis_plugin.methods.method import Classifier
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.utils.plugin_error import PluginError
from tests.support import LABELS, write_store


def with_persons(store: Path, ages: np.ndarray, sexes: list[str | None]) -> None:
    records = pd.read_parquet(store / "records.parquet")
    records["age"], records["sex"] = ages, sexes
    records.to_parquet(store / "records.parquet")


def labels_of(store: Path) -> np.ndarray:
    records = pd.read_parquet(store / "records.parquet")
    return np.array(["AMI" in names for names in records["labels"]])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The old and the men have AMI more often; one in ten is of unknown age."""
    path = write_store(tmp_path / "store")
    rng = np.random.default_rng(0)
    ill = labels_of(path)
    ages = np.where(ill, 70.0, 50.0) + rng.normal(0, 12, len(ill))
    ages[::10] = np.nan
    men = rng.random(len(ill)) < np.where(ill, 0.8, 0.4)
    with_persons(path, ages, ["male" if man else "female" for man in men])
    return path


def test_a_regression_on_age_and_sex(store: Path) -> None:
    known, asked = open_split(store, "train"), open_split(store, "test")
    said = predictor_of("age_and_sex")(known, asked)
    assert said.labels == LABELS[1:] and len(said) == 25
    assert said.record_ids == tuple(f"{row:05d}" for row in range(125, 150))

    # The same, written plainly: unknown ages are the training records' median.
    records = pd.read_parquet(store / "records.parquet")
    years = records["age"].fillna(records["age"][:100].median()).to_numpy()
    man = np.where(records["sex"] == "male", 1.0, -1.0)
    table = np.stack([years, years**2, man, man * years], axis=1)
    table = (table - table[:100].mean(0)) / table[:100].std(0)
    ill = labels_of(store)
    model = LogisticRegression(max_iter=1000).fit(table[:100], ill[:100])
    expected = model.decision_function(table[125:])
    column = said.labels.index("AMI")
    np.testing.assert_allclose(said.logits[:, column], expected, rtol=1e-4, atol=1e-4)
    assert roc_auc_score(ill[125:], said.logits[:, column]) > 0.75
    # Nobody has PMI: the same for everybody, and unlikely.
    nobody = said.logits[:, said.labels.index("PMI")]
    assert (nobody == np.float32(np.log(0.5 / 100.5))).all()


def test_without_ages_and_sexes_it_is_refused(tmp_path: Path) -> None:
    path = write_store(tmp_path / "store")
    split = open_split(path, "train")
    with pytest.raises(StoreError, match=r"train.tsv: no record has an age or a sex"):
        predictor_of("age_and_sex")(split, open_split(path, "test"))


def test_a_predictor_has_no_checkpoint() -> None:
    with pytest.raises(ValueError, match="what age_and_sex predicts has no checkpoint"):
        Classifier("selfmis_linear_probe", predictor="age_and_sex")
    with pytest.raises(PluginError, match="nothing predicts 'nobody'; there is age_and_sex"):
        predictor_of("nobody")


def test_it_is_a_row_of_the_cross_validation(store: Path, tmp_path: Path) -> None:
    dest = tmp_path / "benchmark"
    command = [
        "benchmark", "mi", "--data", str(store), "--unlabelled", str(store), "--archive",
        str(store), "--size", "small", "--folds", "3", "--min-positives", "5", "--fractions",
        "1.0", "--methods", "age_and_sex,random_encoder",
        "--modes", "age_and_sex/no_ecg", "--keep", str(tmp_path / "kept"), "--dest", str(dest),
    ]  # fmt: skip
    assert main(command) == 0
    report = json.loads((dest / "report.json").read_text())
    (row,) = report["rows"]
    assert (row["method"], row["mode"]) == ("age_and_sex", "no_ecg") and not report["failed"]
    assert row["records"] == 150 and row["figures"]["any infarction"]["value"] > 0.6
    assert "age and sex alone, no ECG" in (dest / "report.md").read_text()
    files = sorted(dest.glob("fold*/seed1/age_and_sex/no_ecg/*/predictions.parquet"))
    assert sum(len(Predictions.read(file)) for file in files) == 150
    # A second start does nothing again, and another folder takes the cells up.
    before = [file.stat().st_mtime_ns for file in files]
    assert main(command) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
    assert main([*command[:-1], str(tmp_path / "second")]) == 0
    again = json.loads((tmp_path / "second" / "report.json").read_text())
    assert again["rows"][0]["figures"] == row["figures"]


def test_a_mode_of_one_method_alone_is_named_rightly(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["benchmark", "mi", "--data", str(store), "--unlabelled", str(store), "--archive"]
    command += [str(store), "--folds", "3", "--methods", "age_and_sex", "--dest"]
    assert main([*command, str(tmp_path / "b"), "--modes", "random_encoder/probe"]) != 0
    assert "random_encoder/probe is none of no_ecg" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
