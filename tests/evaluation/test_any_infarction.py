"""``selfmis evaluate``: any infarction, and the calibration and thresholds that a model brings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store
from selfmis_plugin.export.exporting import prepare_export
from selfmis_plugin.metrics.calibrated import Recalibration
from selfmis_plugin.metrics.calibration import calibrate, logit_of_any
from selfmis_plugin.metrics.operating_point import OperatingPoint
from selfmis_plugin.metrics.predictions import Predictions
from tests.checkpoint_files import write_classifier
from tests.evaluation.test_subgroups import store_with_persons
from tests.support import write_store

TYPES = ("AMI", "IMI", "PMI")
ANY = "any infarction"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_with_persons(tmp_path_factory.mktemp("data") / "store", 80)


def evaluated(
    model: Path, store: Path, folder: Path, *options: str
) -> tuple[dict[str, Any], Predictions]:
    out, kept = folder / "f.json", folder / "p.parquet"
    place = ["--checkpoint", str(model), "--data", str(store), "--draws", "30"]
    assert main(["evaluate", *place, "--json", str(out), "--predictions", str(kept), *options]) == 0
    return json.loads(out.read_text()), Predictions.read(kept)


def of_any(said: Predictions) -> np.ndarray:
    """The probability of at least one of the types, by its definition."""
    columns = [said.labels.index(label) for label in said.labels if label in TYPES]
    return 1 - np.prod(1 - expit(said.logits[:, columns].astype(np.float64)), axis=1)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_the_logit_of_any_is_as_finite_as_those_that_it_is_of(logits: list[float]) -> None:
    largest = max(logits)
    with np.errstate(all="raise", under="ignore"):
        one, more = logit_of_any(np.array([logits, [*logits[1:], logits[0]]], dtype=np.float32))
    assert np.isfinite(one) and one == pytest.approx(more, rel=1e-6)
    # At least one is at least as likely as any, and at most as likely as all of them apart.
    room = 1e-6 * abs(largest) + 1e-6
    assert one >= largest - room
    if largest < -40:
        assert one <= largest + np.log(len(logits)) + room
    elif largest < 30:
        chance = -np.expm1(-sum(np.logaddexp(0, logit) for logit in logits))
        assert expit(np.float64(one)) == pytest.approx(chance, rel=1e-5)


def test_the_logit_of_any_rises_with_each() -> None:
    # Across where the probability of the rarest leaves the range of float64, at about -745.
    line = np.linspace(-1000, 100, 11_001)
    for others in ((), (-2000.0,), (-744.5, -745.2)):
        columns = [line, *(np.full(len(line), other) for other in others)]
        either = logit_of_any(np.column_stack(columns).astype(np.float64))
        assert (np.diff(either[line > max(others, default=-1001)]) > 0).all()
        assert (np.diff(either) >= 0).all()
    assert logit_of_any(np.full((1, 2), -800.0))[0] == pytest.approx(-800 + np.log(2))


@pytest.mark.parametrize("labels", [("NORM", *TYPES), ("AMI", "IMI", "odd")])
def test_any_infarction_is_a_row_of_its_own(
    tmp_path: Path, store: Path, labels: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path / "c.pt", labels=labels)
    options = ("--by", "sex", "--prevalence", f"AMI=0.02,{ANY}=0.1", "--against", str(model))
    figures, said = evaluated(model, store, tmp_path, *options)
    printed = capsys.readouterr().out
    # Whoever has one of a type that the model does not know has an infarction too.
    has = np.array([bool(set(names) & set(TYPES)) for names in Store.open(store).records["labels"]])
    found = figures["any_infarction"]
    assert found["positives"] == found["record"]["positives"] == has.sum()
    auc = roc_auc_score(has, of_any(said))
    assert found["auc"] == pytest.approx(auc)
    assert found["record"]["auc"]["value"] == pytest.approx(auc)
    assert found["record"]["auc"]["low"] < auc < found["record"]["auc"]["high"]
    assert found["record"]["predictive_values"]["prevalence"] == 0.1
    assert found["patient"]["positives"] < has.sum()
    assert found["difference"]["record"]["value"] == 0
    women = found["by"]["sex"]["female"]["record"]
    assert women["units"] == 40 and women["labels"][ANY]["positives"] == has[::4].sum() + (
        has[3::4].sum()
    )
    # It is a label of no mean, and in no table of the labels.
    assert ANY not in figures["record"]["labels"] and ANY not in figures["per_label"]
    assert figures["record"]["mi_auc"]["labels"] == len(set(labels) & set(TYPES))
    # First, before the types; with both models, by sex, and as the predictive values.
    rows = [line for line in printed.splitlines() if line.startswith(ANY)]
    assert rows[0].split()[2].rstrip("!") == str(has.sum()) and f"{auc:.3f} (" in rows[0]
    assert len(rows) == 1 + 1 + 3 + 1
    assert ("any infarction has their records among its positives" in printed) == (
        "PMI" not in labels
    )
    assert main(["evaluate", "--checkpoint", str(model), "--data", str(store), "--draws", "0"]) == 0
    assert f"{ANY} {has.sum():>9}  {auc:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize("labels", [("NORM", "AMI"), ("NORM", "SR")])
def test_of_one_type_there_is_no_such_row(
    tmp_path: Path, store: Path, labels: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path / "c.pt", labels=labels)
    figures, _ = evaluated(model, store, tmp_path)
    assert figures["any_infarction"] is None
    assert not any(line.startswith(ANY) for line in capsys.readouterr().out.splitlines())
    place = ["--checkpoint", str(model), "--data", str(store), "--prevalence", f"{ANY}=0.1"]
    assert main(["evaluate", *place]) == 1
    assert f"--prevalence names {ANY}, of which there is no figure" in capsys.readouterr().err


@pytest.mark.parametrize("shared", [(), ("NORM",), ("NORM", "IMI")])
def test_data_that_know_an_infarction_and_not_its_type_judge_it_too(
    shared: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_store(tmp_path / "s", {"test": 60}, diagnoses=("MI", *shared), drawn=("MI",
                       *shared))  # fmt: skip
    lines = write_exported(tmp_path / "model", ("NORM", *TYPES))
    told = ("--any-infarction", "MI", "--prevalence", f"{ANY}=0.1")
    figures, said = evaluated(tmp_path / "model", data, tmp_path, *told)
    printed = capsys.readouterr().out
    # By every output of the classifier, whatever the data know; a type among their labels is one.
    logits = network_logits(tmp_path / "model", data)
    chance = 1 - np.prod(1 - expit(logits[:, 1:].astype(np.float64)), axis=1)
    telling = {"MI", *shared} - {"NORM"}
    has = np.array([bool(set(names) & telling) for names in Store.open(data).records["labels"]])
    auc = roc_auc_score(has, chance)
    found = figures["any_infarction"]["record"] if shared else figures["record"]["labels"][ANY]
    assert found["auc"]["value"] == pytest.approx(auc) and found["positives"] == has.sum()
    assert found["predictive_values"]["prevalence"] == 0.1
    assert said.labels == (shared or (ANY,))
    own = figures["own_thresholds"]["labels"][ANY]
    limit = expit(lines[ANY].slope * 1.9 + lines[ANY].intercept)
    assert own["threshold"] == pytest.approx(limit)
    assert own["sensitivity"] == pytest.approx(np.mean(logit_of_any(logits[:, 1:])[has] > 1.9))
    assert f"{ANY}: by all types that the model knows, against the data's label MI" in printed
    assert set(figures["not_predicted"]) == {"MI", "SR"}
    assert "labels of the data that the model does not predict: " in printed
    # A label that there is not, and a model that knows no type.
    place = ["--data", str(data), "--checkpoint"]
    assert main(["evaluate", *place, str(tmp_path / "model"), "--any-infarction", "STEMI"]) == 1
    assert "no label 'STEMI', which any infarction is to be: it has" in capsys.readouterr().err
    other = write_classifier(tmp_path / "c.pt", labels=("NORM", "LVH"))
    assert main(["evaluate", *place, str(other), "--any-infarction", "MI"]) == 1
    assert "no type of infarction" in capsys.readouterr().err


def network_logits(model: Path, data: Path) -> np.ndarray:
    store = Store.open(data)
    network = read_model(model).classifier.network(store.info.sample_rate)
    with torch.no_grad():
        return network(torch.from_numpy(store.read(range(len(store)), ["I"]))).numpy()


def write_exported(folder: Path, labels: tuple[str, ...]) -> dict[str, Recalibration]:
    """A folder with a line and a threshold for any infarction and AMI."""
    lines = {
        ANY: Recalibration("platt", 1.5, -0.5, 20),
        "AMI": Recalibration("platt", 0.5, -1.0, 12),
    }
    # An untrained network's logits are near zero.
    points = {label: OperatingPoint(logit, 0.9, 0.5, 9, 50) for label, logit in ((ANY, 1.9),
              ("AMI", 0.0), ("NORM", 0.0))}  # fmt: skip
    saved = prepare_export(write_classifier(folder.parent / f"{folder.name}.pt", labels=labels))
    saved = dataclasses.replace(saved, calibration=lines, points=points, specificity=0.9)
    write_model(saved, folder, "card")
    return lines


def test_what_a_model_brings_is_what_is_judged(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = write_exported(tmp_path / "model", ("NORM", *TYPES))
    figures, said = evaluated(tmp_path / "model", store, tmp_path)
    printed = capsys.readouterr().out
    found = figures["calibrated"]
    assert found["fitted_on"] == "model" and found["labels"].keys() == {"AMI"}
    assert "by the calibration that the model brings (Platt's line for 1 labels" in printed
    assert f"calibration error of {ANY}: " in printed and "calibrated on" not in printed
    column = said.labels.index("AMI")
    raw = said.logits[:, column].astype(np.float64)
    error = calibrate(said.targets[:, column], expit(0.5 * raw - 1)).error
    assert found["labels"]["AMI"]["error"] == pytest.approx(error, abs=1e-6)
    either = of_any(said)
    odds = 1.5 * np.log(either / (1 - either)) - 0.5
    has = np.array([bool(set(names) & set(TYPES)) for names in Store.open(store).records["labels"]])
    line = figures["any_infarction"]["calibrated"]
    assert line["slope"] == lines[ANY].slope
    assert line["error"] == pytest.approx(calibrate(has, expit(odds)).error, abs=1e-5)
    # The thresholds, as a prediction is compared with them.
    own = figures["own_thresholds"]
    assert own["specificity"] == 0.9 and own["labels"].keys() == {ANY, "AMI", "NORM"}
    assert own["labels"]["AMI"]["threshold"] == pytest.approx(expit(-1.0))
    above = np.log(either / (1 - either)) > 1.9
    reached = own["labels"][ANY]
    assert reached["threshold"] == pytest.approx(expit(1.5 * 1.9 - 0.5))
    assert reached["sensitivity"] == pytest.approx(above[has].mean())
    assert reached["specificity"] == pytest.approx((~above)[~has].mean())
    table = printed[printed.index("at the thresholds that the model brings (chosen to keep 0.9)") :]
    assert f"({above[has].sum()} of {has.sum()})" in table and "NORM " not in table


def test_a_model_of_types_that_the_data_have_not_is_not_judged_by_its_line_for_any(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its line is of the logit of all its types, and the one here is of two of them.
    write_exported(tmp_path / "model", ("NORM", "AMI", "IMI", "LMI"))
    figures, _ = evaluated(tmp_path / "model", store, tmp_path)
    assert figures["not_in_data"] == ["LMI"]
    assert "calibrated" not in figures["any_infarction"]
    assert figures["own_thresholds"]["labels"].keys() == {"AMI", "NORM"}
    assert f"{ANY} " in capsys.readouterr().out


@pytest.mark.parametrize("split", ["valid", "test"])
def test_what_may_have_been_fitted_to_these_records_is_said(
    split: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_store(tmp_path / "data", {"valid": 40, "test": 40})
    write_exported(tmp_path / "model", ("NORM", *TYPES))
    warning = "may have been fitted to these records"
    for model, brings in (("model", True), ("model.pt", False)):
        figures, _ = evaluated(tmp_path / model, data, tmp_path, "--split", split)
        said = split == "valid" and brings
        assert figures["perhaps_fitted_here"] == said
        assert (warning in (printed := capsys.readouterr().out)) == said
        assert not said or "judge them on records of other people" in printed
        place = ["--checkpoint", str(tmp_path / model), "--data", str(data), "--split", split]
        dest = tmp_path / f"report of {model}"
        assert main(["report", *place, "--dest", str(dest), "--draws", "20", "--worst", "0"]) == 0
        assert (warning in (dest / "report.html").read_text()) == said
        assert json.loads((dest / "figures.json").read_text())["perhaps_fitted_here"] == said


def test_the_report_judges_the_models_own_calibration_too(tmp_path: Path, store: Path) -> None:
    write_exported(tmp_path / "model", ("NORM", *TYPES))
    place = ["--checkpoint", str(tmp_path / "model"), "--data", str(store)]
    assert main(["report", *place, "--dest", str(tmp_path / "report")]) == 0
    page = next((tmp_path / "report").glob("*.html")).read_text()
    assert "calibration that the model brings" in page and "Calibrated on the val" not in page
    assert "The calibration is the one that the model brings." in page
    assert "fitted to the validation split" not in page


def test_an_export_is_measured_as_it_is_evaluated(tmp_path: Path) -> None:
    data = write_store(tmp_path / "store", {"valid": 60, "test": 60}, drawn=("AMI", "IMI", "PMI"))
    # Records that have PMI alone have an infarction, also to who has no output for it.
    model = write_classifier(tmp_path / "c.pt", labels=("NORM", "AMI", "IMI"))
    dest = tmp_path / "model"
    place = ["--data", str(data), "--dest", str(dest)]
    assert main(["export", "--checkpoint", str(model), *place]) == 0
    config = json.loads((dest / "config.json").read_text())
    figures, _ = evaluated(dest, data, tmp_path)
    found, measured = figures["any_infarction"], config["provenance"]["test"]["labels"][ANY]
    assert found["positives"] == measured["positives"] < 60
    assert found["record"]["auc"]["value"] == measured["auc"]["value"]
    own = figures["own_thresholds"]["labels"][ANY]
    assert own["sensitivity"] == pytest.approx(measured["sensitivity"])
    # Threshold and calibration were chosen on as many positives as there are.
    records = Store.open(data).records
    has = [bool(set(names) & set(TYPES)) for names in records["labels"][:60]]
    assert config["operating_points"]["labels"][ANY]["positives"] == sum(has)
    assert config["calibration"][ANY]["positives"] == sum(has)
