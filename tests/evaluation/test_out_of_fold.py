"""Predictions out of fold put together, and a model that is exported by them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import selfmis_plugin
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.person import Person
from selfmis_plugin.data.splits import open_splits
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.out_of_fold import read_out_of_fold
from selfmis_plugin.metrics import recalibration
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from tests.checkpoint_files import write_classifier
from tests.strip_files import lead_one
from tests.support import LABELS, write_store

SEEDS = (1, 2)


def of_sex(said: Predictions, store: Path, sex: str) -> list[str]:
    records = pd.read_parquet(store / "records.parquet").set_index("record_id")
    return [name for name in said.record_ids if records.loc[name, "sex"] == sex]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A store of 300 records with sex and age, and what two seeds' models say of five folds."""
    folder = tmp_path_factory.mktemp("judged")
    store = write_store(folder / "store", {"train": 200, "valid": 50, "test": 50})
    records = pd.read_parquet(store / "records.parquet")
    records["sex"] = ["female", "male"] * (len(records) // 2)
    rng = np.random.default_rng(0)
    ill = np.array([not {"AMI", "IMI"}.isdisjoint(names) for names in records["labels"]])
    records["age"] = np.clip(rng.normal(np.where(ill, 72, 48), 9), 20, 89)
    records.to_parquet(store / "records.parquet")
    part = next(iter(open_splits(store).values()))
    records = part.store.records
    targets = part.store.targets(np.arange(len(records)), LABELS) > 0
    files = []
    for fold in range(5):
        rows = np.flatnonzero((records["strat_fold"].to_numpy() - 1) // 2 == fold)
        for seed in SEEDS:
            order = rng.permutation(rows)
            # Each model has a scale of its own.
            logits = (0.5 + fold) * (targets[order] + rng.normal(size=(len(rows), len(LABELS))))
            files.append(folder / f"fold{fold}-seed{seed}.parquet")
            Predictions(
                tuple(records["record_id"].to_numpy()[order]),
                tuple(records["patient_id"].to_numpy()[order]),
                LABELS,
                targets[order],
                (logits + 3 * fold).astype(np.float32),
            ).write(files[-1])
    return store, files


def test_seeds_are_averaged_and_folds_ranked(judged: tuple[Path, list[Path]]) -> None:
    _, files = judged
    said = read_out_of_fold(files, LABELS)
    assert said.seeds == 2 and len(said.folds) == 5

    # By hand, from the files.
    scores: dict[str, list[float]] = {}
    truth: dict[str, bool] = {}
    ranks: dict[str, float] = {}
    column = LABELS.index("AMI")
    for first, second in zip(files[::2], files[1::2], strict=True):
        of_fold = []
        for part in map(Predictions.read, (first, second)):
            for row, name in enumerate(part.record_ids):
                scores.setdefault(name, []).append(part.logits[row, column])
                truth[name] = bool(part.targets[row, column])
            of_fold = list(part.record_ids)
        means = [np.mean(scores[name]) for name in of_fold]
        shares = rankdata(means) / len(of_fold)
        ranks |= dict(zip(of_fold, shares, strict=True))
    pooled, ranked = said.pooled(), said.ranked()
    assert {len(given) for given in scores.values()} == {2} and len(pooled) == 300
    for row, name in enumerate(pooled.record_ids):
        assert pooled.logits[row, column] == pytest.approx(np.mean(scores[name]), abs=1e-5)
    auc = roc_auc_score(ranked.targets[:, column], ranked.logits[:, column])
    names = list(truth)
    expected = roc_auc_score([truth[n] for n in names], [ranks[n] for n in names])
    # Folds of one size: a rank and its share of the fold tell the same.
    assert auc == pytest.approx(expected, abs=1e-12)


def test_what_is_no_cross_validation_is_refused(
    judged: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    _, files = judged
    with pytest.raises(PredictionsError, match="two folds or more, as many seeds for each"):
        read_out_of_fold(files[:2], LABELS)
    with pytest.raises(PredictionsError, match="2 of 60 records, 1 of 60 records"):
        read_out_of_fold(files[:3], LABELS)
    with pytest.raises(PredictionsError, match=r"fold0-seed1.parquet: says nothing of LVH"):
        read_out_of_fold(files, (*LABELS, "LVH"))
    with pytest.raises(PredictionsError, match=r"fold0-seed1.parquet: is named twice"):
        read_out_of_fold([*files, *files], LABELS)
    whole = Predictions.read(files[0])
    some = whole.rows(np.arange(len(whole)) < 7)
    some.write(tmp_path / "some.parquet")
    with pytest.raises(PredictionsError, match="a record is in two of them"):
        read_out_of_fold([files[0], files[2], tmp_path / "some.parquet"], LABELS)
    other = Predictions(
        whole.record_ids, whole.patient_ids, whole.labels, ~whole.targets, whole.logits
    )
    other.write(tmp_path / "other.parquet")
    with pytest.raises(PredictionsError, match="other labels of the same records"):
        read_out_of_fold([files[0], tmp_path / "other.parquet", *files[2:4]], LABELS)


def test_a_final_model_has_the_figures_of_its_recipe(
    judged: tuple[Path, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, files = judged
    checkpoint = write_classifier(tmp_path / "final.pt")
    dest = tmp_path / "model"
    command = ["export", "--checkpoint", str(checkpoint), "--dest", str(dest)]
    assert main([*command, "--data", str(store), "--cross-validated", *map(str, files)]) == 0, (
        capsys.readouterr().err
    )
    assert "in predictions out of fold" in capsys.readouterr().out
    config = json.loads((dest / "config.json").read_text())
    said = read_out_of_fold(files, LABELS)

    # A threshold keeps nine of ten negatives of all folds together.
    pooled = said.pooled()
    for column, label in enumerate(LABELS):
        negatives = pooled.logits[~pooled.targets[:, column], column]
        kept = np.mean(negatives <= config["operating_points"]["labels"][label]["logit"])
        assert 0.9 <= kept < 0.9 + 1.5 / len(negatives)
    figures = config["provenance"]["test"]
    assert figures["protocol"] == {"folds": 5, "seeds": 2} and figures["records"] == 300
    types = [LABELS.index(name) for name in INFARCTION_TYPES if name in LABELS]
    shares, ill = [], []
    for fold in said.folds:
        chances = 1 / (1 + np.exp(-fold.logits[:, types].astype(float)))
        none = np.log1p(-chances).sum(axis=1)
        shares += (rankdata(-none) / len(fold)).tolist()
        ill += fold.targets[:, types].any(1).tolist()
    any_auc = roc_auc_score(ill, shares)
    found = figures["labels"]["any infarction"]["auc"]
    assert found["value"] == pytest.approx(any_auc, abs=1e-4)

    # Calibration is measured on folds that it was not fitted to, and improves on the scales.
    calibrated = figures["calibrated"]
    assert calibrated["fitted_on"] == "predictions out of fold"
    assert calibrated["error"] < calibrated["raw_error"]
    card = (dest / "README.md").read_text()
    assert "**of the recipe, cross-validated**, not of these weights: 300 records" in card
    assert "mean logits of 2 seeds" in card and "any infarction" in card
    model = selfmis_plugin.load_model(dest)
    assert set(model.predict(lead_one(10) / 1000, 500).results) == {*LABELS, "any infarction"}

    # Women and men apart.
    women = set(of_sex(pooled, store, "female"))
    assert len(women) == 150
    row = figures["groups"]["sex"]["female"]
    assert row["records"] == 150
    assert f"| sex | female | 150 | {row['positives']} | {row['auc']['value']:.3f}" in card

    # Of another store's records, or with no store, nothing is written.
    other = write_store(tmp_path / "other", record_name="x{:05d}")
    again = tmp_path / "again"
    refused = [*command[:3], "--dest", str(again), "--cross-validated", *map(str, files)]
    assert main([*refused, "--data", str(other)]) == 1
    assert "has no record" in capsys.readouterr().err and not again.exists()
    some = [*command[:3], "--dest", str(again), "--cross-validated", *map(str, files[:-2])]
    assert main([*some, "--data", str(store)]) == 1
    assert "60 of its 300 records have no prediction out of fold" in capsys.readouterr().err
    assert not again.exists()
    with pytest.raises(SystemExit):
        main(refused)
    assert "--cross-validated needs --data" in capsys.readouterr().err


@pytest.fixture(scope="module")
def exported(
    judged: tuple[Path, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Predictions, pd.DataFrame]:
    """A model with lines for age and sex, the predictions out of fold, and whose they are."""
    store, files = judged
    folder = tmp_path_factory.mktemp("exported")
    dest = folder / "model"
    command = ["export", "--checkpoint", str(write_classifier(folder / "c.pt")), "--data"]
    command += [str(store), "--dest", str(dest), "--cross-validated", *map(str, files)]
    assert main(command) == 0
    pooled = read_out_of_fold(files, LABELS).with_any(Store.open(store)).pooled()
    records = pd.read_parquet(store / "records.parquet").set_index("record_id")
    return dest, pooled, records.loc[list(pooled.record_ids)]


def test_any_infarction_is_of_all_types_that_the_data_know(
    judged: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    store, files = judged
    # The store's own table says that more records have an infarction, of a type not asked for.
    more = shutil.copytree(store, tmp_path / "store")
    records = pd.read_parquet(more / "records.parquet")
    plain = [set(names).isdisjoint(INFARCTION_TYPES) for names in records["labels"]]
    records.loc[np.flatnonzero(plain)[:20], "labels"] = pd.Series([["PMI"]] * 20).to_numpy()
    records.to_parquet(more / "records.parquet")
    checkpoint = write_classifier(tmp_path / "c.pt", labels=("NORM", "AMI", "IMI"))
    command = ["export", "--checkpoint", str(checkpoint), "--dest", str(tmp_path / "m")]
    command += ["--data", str(more), "--cross-validated", *map(str, files)]
    assert main(command) == 0
    test = json.loads((tmp_path / "m/config.json").read_text())["provenance"]["test"]
    has = len(records) - sum(plain) + 20
    assert test["labels"]["any infarction"]["positives"] == has
    assert sum(group["positives"] for group in test["groups"]["sex"].values()) == has


def plain_features(records: pd.DataFrame) -> np.ndarray:
    years = (records["age"].to_numpy() - 60) / 10
    man = np.where(records["sex"] == "male", 1.0, -1.0)
    return np.stack([years, years**2, man, years * man], axis=1)


def test_lines_with_age_and_sex_are_a_logistic_regression(
    exported: tuple[Path, Predictions, pd.DataFrame],
) -> None:
    dest, pooled, records = exported
    config = json.loads((dest / "config.json").read_text())
    assert "any infarction" in config["with_age_and_sex"]
    for label, line in config["with_age_and_sex"].items():
        column = pooled.labels.index(label)
        target = pooled.targets[:, column]
        assert target.sum() == line["positives"] >= 50
        table = np.column_stack([pooled.logits[:, column], plain_features(records)])
        plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-8))
        expected = plain.fit(table, target).decision_function(table)
        weights = ("slope", "age", "age_squared", "sex", "age_by_sex")
        odds = table @ [line[name] for name in weights] + line["intercept"]
        np.testing.assert_allclose(odds, expected, atol=2e-3)
        kept = np.mean(odds[~target] <= line["threshold"] + 1e-9)
        assert 0.9 <= kept < 0.9 + 1.5 / (~target).sum()
    rare = {name for name in LABELS if pooled.targets[:, pooled.labels.index(name)].sum() < 50}
    assert rare and not rare & set(config["with_age_and_sex"])
    figures = config["provenance"]["test"]["with_age_and_sex"]["any infarction"]
    assert figures["records"] == 300 and 0.5 < figures["auc"]["value"] < 1
    assert "selfmis predict --age 63 --sex female" in (dest / "README.md").read_text()


def test_a_person_is_asked_about(
    exported: tuple[Path, Predictions, pd.DataFrame],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dest, _, _ = exported
    model = selfmis_plugin.load_model(dest)
    signal = lead_one(30) / 1000
    plain = model.predict(signal, 500)
    asked = model.predict(signal, 500, person=Person("male", 75.0))
    np.testing.assert_array_equal(plain.logits, asked.logits)

    # Any infarction is at least one of the types.
    types = [plain.labels.index(name) for name in INFARCTION_TYPES if name in plain.labels]
    raw = 1 / (1 + np.exp(-plain.logits[:, types].astype(float)))
    either = 1 - np.prod(1 - raw, axis=1)
    np.testing.assert_allclose(plain.logits[:, 0], np.log(either / (1 - either)), rtol=1e-4)
    assert plain.labels[0] == "any infarction" and plain.results["any infarction"].threshold

    config = json.loads((dest / "config.json").read_text())
    line = config["with_age_and_sex"]["any infarction"]
    odds = line["slope"] * asked.logits[:, 0] + line["intercept"]
    odds = odds + 1.5 * line["age"] + 1.5**2 * line["age_squared"]
    odds = odds + line["sex"] + 1.5 * line["age_by_sex"]
    expected = float(np.mean(1 / (1 + np.exp(-odds))))
    result = asked.results["any infarction"]
    assert result.probability == pytest.approx(expected, rel=1e-6)
    assert result.threshold == pytest.approx(1 / (1 + np.exp(-line["threshold"])))
    # A label without such a line says what it said.
    others = set(LABELS) - set(config["with_age_and_sex"])
    assert others
    for name in others:
        assert asked.results[name] == plain.results[name]

    strip = tmp_path / "strip.csv"
    strip.write_text("\n".join(["# rate: 500", "I (uV)", *map(str, lead_one(10))]) + "\n")
    command = ["predict", "--model", str(dest), str(strip), "--rate", "500", "--unit", "uV"]
    capsys.readouterr()
    assert main([*command, "--age", "75", "--sex", "male", "--json", "-"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["files"]
    assert (said["age"], said["sex"]) == (75, "male")
    assert set(said["labels_by_age_and_sex"]) == set(config["with_age_and_sex"])
    assert main([*command, "--age", "75", "--sex", "male"]) == 0
    assert "of a male person of 75 years, by which any infarction" in capsys.readouterr().out
    assert main(command) == 0
    assert "person" not in capsys.readouterr().out

    with pytest.raises(SystemExit):
        main([*command, "--age", "75"])
    assert "--age and --sex go together" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--age", "200", "--sex", "male"])
    assert "'200' is no age" in capsys.readouterr().err
    command[2] = str(write_classifier(tmp_path / "c.pt"))
    assert main([*command, "--age", "75", "--sex", "male"]) == 1
    assert "knows nothing of age and sex" in capsys.readouterr().err


def test_too_few_positives_in_the_other_folds_are_no_reason_to_fail(
    judged: tuple[Path, list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, files = judged
    said = read_out_of_fold(files, LABELS).with_any(Store.open(store)).pooled()
    least = np.minimum(said.targets.sum(0), (~said.targets).sum(0))
    # All records have just enough of one label, and no four of five folds have.
    monkeypatch.setattr(recalibration, "FEWEST_OF_PERSONS", int(least.max()))
    dest = tmp_path / "model"
    command = ["export", "--checkpoint", str(write_classifier(tmp_path / "c.pt")), "--data"]
    command += [str(store), "--dest", str(dest), "--cross-validated", *map(str, files)]
    assert main(command) == 0
    config = json.loads((dest / "config.json").read_text())
    assert (
        "with_age_and_sex" not in config and "## With age" not in (dest / "README.md").read_text()
    )
