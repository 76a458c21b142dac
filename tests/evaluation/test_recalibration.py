"""Calibration: against the likelihood it maximises, and what it must leave as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from selfmis_plugin.cli.main import main
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.recalibration import (
    FEWEST,
    Recalibration,
    calibrated_probabilities,
    calibration_errors,
    fit_person_lines,
    fit_recalibration,
    recalibrated,
)
from selfmis_plugin.utils.fields import Fields
from tests.checkpoint_files import write_classifier
from tests.support import write_store


def drawn(
    slopes: dict[str, tuple[float, float]], records: int = 4000, seed: int = 0
) -> Predictions:
    """Predictions of which each label is true with log odds of slope * logit + intercept."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (records, len(slopes))).astype(np.float32)
    lines = np.array(list(slopes.values()))
    chance = 1 / (1 + np.exp(-(lines[:, 0] * logits + lines[:, 1])))
    names = tuple(map(str, range(records)))
    return Predictions(names, names, tuple(slopes), rng.random(chance.shape) < chance, logits)


def likelihood_line(predictions: Predictions, column: int) -> np.ndarray:
    """Slope and intercept of Platt's likelihood, by a general optimiser."""
    target = predictions.targets[:, column]
    logits = predictions.logits[:, column].astype(float)
    p, n = target.sum(), (~target).sum()
    smooth = np.where(target, (p + 1) / (p + 2), 1 / (n + 2))

    def loss(line: np.ndarray) -> float:
        odds = line[0] * logits + line[1]
        return float(np.sum(np.logaddexp(0, odds) - smooth * odds))

    return np.asarray(minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-8}).x)


def test_a_label_of_enough_records_has_the_most_likely_line() -> None:
    predictions = drawn({"AMI": (0.5, -2.0), "IMI": (3.0, 1.0), "rare": (1.0, -4.0)}, 600)
    fitted = fit_recalibration(predictions)
    for column, label in enumerate(predictions.labels):
        expected = likelihood_line(predictions, column)
        assert fitted[label].method == "platt"
        assert [fitted[label].slope, fitted[label].intercept] == pytest.approx(expected, abs=2e-3)


def test_rare_labels_among_many_records_come_true_on_the_records_they_are_fitted_to() -> None:
    # An intercept of its own makes a label's expected positives those that the targets say.
    records = 3000
    rng = np.random.default_rng(3)
    positives = np.geomspace(1, 1000, 30).astype(int)
    targets = np.zeros((records, len(positives)), dtype=bool)
    for column, number in enumerate(positives):
        targets[rng.choice(records, number, replace=False), column] = True
    logits = (rng.normal(-6, 1, targets.shape) + 2 * targets).astype(np.float32)
    ids = tuple(map(str, range(records)))
    labels = tuple(f"label {number}" for number in range(len(positives)))
    predictions = Predictions(ids, ids, labels, targets, logits)
    fitted = fit_recalibration(predictions)
    assert {line.method for line in fitted.values()} == {"platt", "shared slope"}
    for column, (label, number) in enumerate(zip(labels, positives, strict=True)):
        wanted = number * (number + 1) / (number + 2) + (records - number) / (records - number + 2)
        chance = calibrated_probabilities(label, logits[:, column], fitted)
        assert chance.sum() == pytest.approx(wanted, rel=1e-3), label
    # Age and sex likewise, by positives as they are.
    ages, sexes = rng.uniform(20, 90, records), rng.choice([-1.0, 1.0], records)
    rare = predictions.select([labels[int(np.searchsorted(positives, 55))]])
    ((label, line),) = fit_person_lines(rare, ages, sexes, 0.9).items()
    odds = line.log_odds(rare.logits[:, 0], ages, sexes)
    assert (1 / (1 + np.exp(-odds))).sum() == pytest.approx(rare.targets.sum(), rel=1e-3), label


def test_probabilities_come_true_on_other_records() -> None:
    lines = {"AMI": (0.3, -3.0), "IMI": (2.0, -2.0)}
    fitted = fit_recalibration(drawn(lines))
    others = drawn(lines, seed=1)
    before, after = calibration_errors(others), calibration_errors(recalibrated(others, fitted))
    assert all(after[name] < 0.03 < 0.1 < before[name] for name in lines)


def test_labels_of_few_positives_share_a_slope_and_keep_their_frequency() -> None:
    predictions = drawn({"AMI": (0.5, 0.0), "IMI": (0.5, 1.0), "few": (0.5, 0.0)})
    predictions.targets[:, 2] = False
    predictions.targets[: FEWEST - 1, 2] = True
    fitted = fit_recalibration(predictions)["few"]
    assert (fitted.method, fitted.positives) == ("shared slope", FEWEST - 1)
    assert 0.4 < fitted.slope < 0.6
    chance = calibrated_probabilities("few", predictions.logits[:, 2], {"few": fitted})
    assert chance.mean() == pytest.approx(FEWEST / 4000, rel=0.15)
    predictions.targets[:, 2] = False
    assert "few" not in fit_recalibration(predictions)


def test_what_does_not_rise_is_not_turned_round() -> None:
    predictions = drawn({"AMI": (2.0, 0.0), "IMI": (2.0, 0.0), "odd": (-0.3, 0.0)})
    assert fit_recalibration(predictions)["odd"].method == "shared slope"
    assert fit_recalibration(drawn({"odd": (-1.0, 0.0)})) == {}


def test_labels_left_out_and_splits_without_positives_have_none() -> None:
    predictions = drawn({"AMI": (1.0, 0.0), "IMI": (1.0, 0.0)}, 200)
    assert set(fit_recalibration(predictions, ["IMI"])) == {"AMI"}
    predictions.targets[:] = False
    assert fit_recalibration(predictions) == {}


@settings(max_examples=15, deadline=None)
@given(st.floats(0.05, 5), st.floats(-6, 6), st.integers(0, 2**32 - 1), st.sampled_from([40, 300]))
def test_no_order_changes(slope: float, intercept: float, seed: int, records: int) -> None:
    predictions = drawn({"AMI": (slope, intercept)}, records, seed)
    after = recalibrated(predictions, fit_recalibration(predictions))
    target = predictions.targets[:, 0]
    if 0 < target.sum() < len(target):
        assert roc_auc_score(target, after.logits[:, 0]) == pytest.approx(
            roc_auc_score(target, predictions.logits[:, 0]), abs=2e-3
        )


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan"), float("inf")])
def test_a_line_that_does_not_rise_is_refused(slope: float) -> None:
    line = {"method": "platt", "slope": slope, "intercept": 0, "positives": 3}
    with pytest.raises(
        ValueError, match=r"calibration\.AMI\.slope must be a finite number above 0"
    ):
        Recalibration.from_dict(Fields(line, "calibration.AMI"))


def test_without_a_line_it_is_the_sigmoid() -> None:
    logits = np.array([-800.0, 0.0, 800.0])
    assert calibrated_probabilities("AMI", logits, {}).tolist() == [0, 0.5, 1]
    line = {"AMI": Recalibration("platt", 2.0, 1.0, 20)}
    assert calibrated_probabilities("AMI", np.array([-0.5]), line) == pytest.approx([0.5])


def test_evaluate_says_what_was_done_and_why_not(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_classifier(tmp_path / "run/checkpoints/c.pt")
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    listed = (store / "test.tsv").read_text().split("\n", 1)[1]
    (manifests / "test.tsv").write_text(f"{store}\n{listed}")

    def evaluated(data: Path, split: str) -> tuple[dict, str]:
        file = tmp_path / "f.json"
        place = ["--checkpoint", checkpoint, "--data", data, "--split", split, "--json", file]
        assert main(["evaluate", "--draws", "0", *map(str, place)]) == 0
        return json.loads(file.read_text())["calibrated"], capsys.readouterr().out

    figures, said = evaluated(store, "test")
    # The network is untrained: on validation its logits may rise with the labels or not.
    if figures["fitted_on"] is None:
        assert "do not rise" in said
    else:
        assert "calibrated on valid" in said and figures["error"] < figures["raw_error"]
    figures, said = evaluated(store, "valid")
    assert figures["fitted_on"] is None and "the figures are of valid itself" in said
    figures, said = evaluated(manifests, "test")
    assert figures["fitted_on"] is None
    assert f"no validation split to fit it to ({manifests} has no valid.tsv)" in said
    assert "--split" not in said  # another split would not do
    # One that the classifier cannot read costs the figures of the other split nothing.
    other = write_store(tmp_path / "other", {"valid": 4}, lead_mask=0)
    listed = (other / "valid.tsv").read_text().split("\n", 1)[1]
    (manifests / "valid.tsv").write_text(f"{other}\n{listed}")
    figures, said = evaluated(manifests, "test")
    assert figures["fitted_on"] is None and "lack one of the leads I" in said
