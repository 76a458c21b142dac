"""Sex and age from a database to figures by group; predictive values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import selfmis_plugin
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.person import GROUPINGS, Person, age_of, person_of_header, sex_of
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store, StoreError, StoreWriter
from selfmis_plugin.evaluation.subgroups import figures_by
from selfmis_plugin.metrics.bootstrap import Estimate
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.predictive_values import predictive_values
from selfmis_plugin.preparation.databases import ecgid, physionet2021, ptbxl, wfdb_folder
from tests.checkpoint_files import write_classifier
from tests.support import LABELS, write_store

PERSONS = (("female", 30.0), ("male", 90.0), (None, 70.0), ("female", None))


def store_with_persons(path: Path, records: int = 60, **settings: object) -> Path:
    sets = {"diagnostic": LABELS, "infarction": LABELS[1:], "all": LABELS}
    rng = np.random.default_rng(0)
    with StoreWriter(path, database="ptbxl", label_sets=sets) as writer:
        for k in range(records):
            sex, age = PERSONS[k % 4]
            writer.append(
                rng.normal(0, 100, (12, 5000)).astype(np.int16),
                {
                    "record_id": f"r{k}",
                    "patient_id": f"p{k // 2}",
                    "split": "test",
                    "labels": [name for name in LABELS if rng.random() < 0.3],
                    "sex": sex,
                    "age": age,
                    **settings,
                },
            )
    return path


@pytest.mark.parametrize(
    ("text", "sex", "age"),
    [
        ("# Age: 56\n# Sex: Female\n", "female", 56),
        ("#<age>: 51\n#<sex>: F\n", "female", 51),
        ("# Sex: male\n# Age: 23\n# Age: 99\n", "male", 23),
        ("#Age: 300\n#Sex: M", "male", 90),  # PTB-XL's way to hide ages above 89
        ("# Age: 93\n", None, 90),
        ("# Age: NaN\n# Sex: Unknown\n", None, None),
        ("# Age: -1\n# Sex:\n", None, None),
        ("# Age: 4000\n# Package: 7\n", None, None),
        ("", None, None),
    ],
)
def test_headers(text: str, sex: str | None, age: float | None) -> None:
    assert person_of_header("R 12 500 5000\nR.dat 16 1000 16 0 0 0 0 I\n" + text) == Person(
        sex, age
    )


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    age = age_of(text)
    assert age is None or 0 <= age <= 90
    assert sex_of(text) in (None, "female", "male")


def test_groups() -> None:
    _, group = GROUPINGS["age"]
    assert [group(age) for age in (17.9, 18, 44.5, 45, 64, 65, 74, 75, 90, float("nan"))] == [
        "under 18", "18 to 44", "18 to 44", "45 to 64", "45 to 64", "65 to 74", "65 to 74",
        "75 and older", "75 and older", "not recorded",
    ]  # fmt: skip
    for names, of in GROUPINGS.values():
        assert names[-1] == of(float("nan")) == "not recorded"


def test_real_databases_say_whom_a_record_is_of(real_data: Path) -> None:
    def persons(listing: object) -> list[Person]:
        return [record.person for record in listing.records]  # type: ignore[attr-defined]

    found = persons(ptbxl.list_records(real_data / "ptbxl-100", 100))
    assert found[0] == Person("female", 56) and found[1] == Person("male", 19)
    assert sum(one.age == 90 for one in found) >= 17  # 300 in the table
    assert sum(one.age is None for one in found) == 5
    assert all(one.sex and one.age for one in persons(ecgid.list_records(real_data / "ecg-id")))
    assert all(one.sex for one in persons(wfdb_folder.list_records(real_data / "ludb/data")))
    assert all(one.sex for one in persons(physionet2021.list_records(real_data / "challenge2021")))


def test_a_store_keeps_persons(tmp_path: Path) -> None:
    path = store_with_persons(tmp_path / "s", 8)
    records = Store.open(path).records
    assert [one if isinstance(one, str) else None for one in records["sex"][:4]] == [
        "female", "male", None, "female",
    ]  # fmt: skip
    np.testing.assert_array_equal(records["age"][:4], [30, 90, 70, np.nan])
    # Stores of older versions have no such columns.
    table = path / "records.parquet"
    old = pq.read_table(table).drop_columns(["sex", "age"])
    pq.write_table(old, table)
    records = Store.open(path).records
    assert records["age"].isna().all() and records["sex"].isna().all()
    predictions = Predictions(
        tuple(records["record_id"]), tuple(records["patient_id"]), ("AMI",),
        np.arange(8)[:, None] % 3 == 0, np.arange(8.0, dtype=np.float32)[:, None],
    )  # fmt: skip
    with pytest.raises(StoreError, match="age of none of its records is recorded"):
        figures_by(predictions, open_split(path, "test"), ("age",), 10)
    for column, value in (("sex", "x"), ("age", 300.0)):
        strange = old.append_column(column, pa.array([value] * 8))
        pq.write_table(strange, table)
        with pytest.raises(StoreError, match=f"column {column} has"):
            assert len(Store.open(path).records)
    for wrong, said in (({"sex": "x"}, "not one of female, male"), ({"age": 300}, "0 to 90")):
        with pytest.raises(StoreError, match=said):
            store_with_persons(tmp_path / "w", 1, **wrong)


def test_evaluate_by_sex_and_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_with_persons(tmp_path / "s")
    checkpoint = write_classifier(tmp_path / "c.pt", labels=("AMI", "IMI"))
    arguments = [
        "evaluate", "--checkpoint", str(checkpoint), "--data", str(store), "--draws", "50",
    ]  # fmt: skip
    out, kept = tmp_path / "f.json", tmp_path / "p.parquet"
    extra = ["--json", str(out), "--predictions", str(kept)]
    assert main([*arguments, "--by", "sex,age", "--prevalence", "AMI=0.02", *extra]) == 0
    printed = capsys.readouterr().out
    figures = json.loads(out.read_text())
    groups = figures["by"]["sex"]
    assert list(groups) == ["female", "male", "not recorded"]
    assert [groups[g]["record"]["units"] for g in groups] == [30, 15, 15]
    assert list(figures["by"]["age"]) == ["18 to 44", "65 to 74", "75 and older", "not recorded"]
    predictions = Predictions.read(kept)
    men = np.arange(60) % 4 == 1
    auc = roc_auc_score(predictions.targets[men, 0], predictions.logits[men, 0])
    assert groups["male"]["record"]["labels"]["AMI"]["auc"]["value"] == pytest.approx(auc)
    assert groups["male"]["patient"]["units"] == 15
    assert f"{'AMI*':14} male               15 {predictions.targets[men, 0].sum():>9}" in printed
    assert f"{predictions.targets[men, 0].sum()}! " in printed  # fewer than ten patients
    assert "positive patients, and how little that says is in the interval" not in printed
    # In a group as in the whole, and where it was stated alone.
    whole = figures["record"]["labels"]
    assert "predictive_values" not in whole["IMI"]
    for label in (whole["AMI"], groups["male"]["record"]["labels"]["AMI"]):
        sensitivity = label["sensitivity_at_90_specificity"]["value"]
        positive = label["predictive_values"]["positive"]["value"]
        assert positive == pytest.approx(0.02 * sensitivity / (0.02 * sensitivity + 0.098))
    assert "positive             negative" in printed
    said = tmp_path / "said.parquet"
    assert main([*arguments, "--prevalence", "XMI=0.1", "--predictions", str(said)]) == 1
    assert not said.exists()
    shown = capsys.readouterr()
    assert "batch" not in shown.err  # before anything is computed
    assert "XMI, of which there is no figure; labels: AMI, IMI" in shown.err
    for wrong in (["--by", "height"], ["--prevalence", "2"], ["--prevalence", "AMI=0.1,0.2"],
                  ["--by", "sex", "--draws", "0"], ["--predictions", "p.csv"]):  # fmt: skip
        with pytest.raises(SystemExit):
            main([*arguments, *wrong])
    capsys.readouterr()
    assert main([*arguments[:-1], "50", "--by", "sex", "--data", str(write_store(tmp_path / "o"))])
    error = capsys.readouterr().err
    assert "the sex of none of its records is recorded" in error and "column sex of" in error
    assert "batch" not in error  # before anything is computed


def test_the_prevalence_of_a_label_with_a_comma_can_be_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "block, left"
    store = write_store(
        tmp_path / "s", {"test": 30}, diagnoses=("NORM", "AMI", name), drawn=("AMI", name)
    )
    model, out = write_classifier(tmp_path / "c.pt", labels=("AMI", name)), tmp_path / "f.json"
    arguments = ["evaluate", "--checkpoint", str(model), "--data", str(store), "--draws", "20"]
    arguments += ["--json", str(out), "--prevalence"]
    for stated in (f'AMI=0.02, "{name}"=0.03', f'"{name}=0.03",AMI=0.02'):
        assert main([*arguments, stated]) == 0
        labels = json.loads(out.read_text())["record"]["labels"]
        found = {label: labels[label]["predictive_values"]["prevalence"] for label in labels}
        assert found == {"AMI": 0.02, name: 0.03}
    capsys.readouterr()
    for wrong in (f"{name}=0.03", "", "AMI=0.1,", 'AMI=0.1\n"'):
        with pytest.raises(SystemExit):
            main([*arguments, wrong])
        assert "a name with a comma in quotation marks" in capsys.readouterr().err


@pytest.mark.parametrize("prevalence", [0.001, 0.3, 0.9])
def test_predictive_values_are_those_of_a_population(prevalence: float) -> None:
    rng = np.random.default_rng(0)
    has = rng.random(2_000_000) < prevalence
    alarm = rng.random(len(has)) < np.where(has, 0.7, 0.1)
    values = predictive_values(Estimate(0.7, 0.5, 0.8), 0.9, prevalence)
    assert values.positive.value == pytest.approx(has[alarm].mean(), abs=0.004)
    assert values.negative.value == pytest.approx((~has[~alarm]).mean(), abs=0.004)
    for one in (values.positive, values.negative):
        assert one.low is not None and one.low < one.value < one.high


def test_predictive_values_at_the_ends() -> None:
    none = predictive_values(Estimate(None, None, None), 0.9, 0.5)
    assert none.positive.value is None and none.negative.low is None
    silent = predictive_values(Estimate(0.0, 0.0, 1.0), 1.0, 0.5)
    assert silent.positive.value is None and silent.positive.high == 1
    with pytest.raises(ValueError, match="prevalence"):
        predictive_values(Estimate(0.5, None, None), 0.9, 1.0)


@pytest.mark.parametrize(
    ("sex", "age", "said"),
    [
        ("F", 63, "sex 'F' is not one of 'female', 'male' and None"),
        ("female", 131, "age 131 is not a number of years, 0 to 130"),
        (None, float("nan"), "age nan is not"),
    ],
)
def test_nobody_is_of_another_sex_or_age(sex: str | None, age: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        selfmis_plugin.Person(sex, age)
    assert selfmis_plugin.Person("male", 95).age == 90
