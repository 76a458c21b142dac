"""Cells that other runs have kept: taken up where they fit, shared, and never mistaken."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selfmis_plugin.benchmark import kept_cells, recipes
from selfmis_plugin.benchmark.cross_validation import Folds, run_folds
from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.benchmark.trials import read_rates
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.method import Classifier, Method
from selfmis_plugin.metrics.predictions import Predictions
from tests.checkpoint_files import write_judge
from tests.fold_runs import Run, folds_settings, own_folds, runs

__all__ = ["own_folds", "runs"]  # fixtures


def test_kept_cells_are_taken_up_where_they_fit(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()[name] for name in ("selfmis", "random_encoder")]
    folds = Folds(5, min_positives=15, keep=tmp_path / "kept")

    def run(dest: str, own: Folds = folds, **changes: Any) -> dict[str, Any]:
        runs.clear()
        return run_folds(folds_settings(tmp_path / dest, data, **changes), own)

    whole = run("a", methods=methods, seeds=(1,))
    lines = pd.read_csv(tmp_path / "kept/cells.csv")
    assert len(lines) == 5 * 2 and set(lines["fold"]) == {f"fold{k}" for k in range(1, 6)}
    # A fresh folder: nothing is trained, and the figures are the same.
    again = run("b", methods=methods, seeds=(1,))
    assert runs == [] and again["rows"] == whole["rows"]
    # One more row trains that row, and what it starts from, alone.
    more = [*methods, known_methods()["twelve_lead"]]
    run("c", methods=more, seeds=(1,))
    assert len(runs) == 5 * 2
    assert len(pd.read_csv(tmp_path / "kept/cells.csv")) == 5 * 3
    assert run("d", methods=more, seeds=(1,))["failed"] == {} and runs == []
    # The same records, prepared by another version and elsewhere, are the same.
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(own_folds, elsewhere)
    info = json.loads((elsewhere / "store.json").read_text())
    (elsewhere / "store.json").write_text(json.dumps({**info, "created_with": "0.0.1"}))
    moved = dict.fromkeys(data, elsewhere)
    runs.clear()
    run_folds(folds_settings(tmp_path / "moved", moved, methods=methods, seeds=(1,)), folds)
    assert runs == []
    # Rows beside them, and settings of other trainings, leave them as they are.
    beside = {"twelve_lead/probe": {"optimization.max_epoch": 3}}
    run("beside", methods=methods, seeds=(1,), overrides=beside)
    assert runs == []
    lines = pd.read_csv(tmp_path / "kept/cells.csv")
    assert len(lines) == 5 * 3 and lines["host"].str.startswith("fairseq").all()
    # A rate that is chosen may be the config's own, for all or for one: the same training.
    for number, place in enumerate(("probe", "selfmis/probe")):
        chosen = {place: {"optimization.lr": [0.005]}}
        run(f"same{number}", methods=methods, seeds=(1,), overrides=chosen)
        assert runs == []
    # Other settings or folds are other cells.
    for number, (own, changes) in enumerate(
        (
            (folds, {"overrides": {"probe": {"optimization.max_epoch": 3}}}),
            (folds, {"overrides": {"probe": {"optimization.lr": [0.5]}}}),
            (dataclasses.replace(folds, folds=4), {}),
        )
    ):
        run(f"other{number}", own, methods=methods[1:], seeds=(1,), **changes)
        assert len(runs) == own.folds
    table = pd.read_parquet(tmp_path / "kept/predictions.parquet")
    table[table["cell"] != "fold2/seed1/selfmis/probe/1"].to_parquet(
        tmp_path / "kept/predictions.parquet"
    )
    with pytest.raises(InfarctionError, match="fold2/seed1/selfmis/probe/1, and predictions"):
        run("torn", methods=methods, seeds=(1,))
    (tmp_path / "kept/predictions.parquet").write_bytes(b"no table")
    with pytest.raises(InfarctionError, match="cannot be read"):
        run("e", methods=methods, seeds=(1,))


def test_runs_at_once_keep_each_others_cells(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(5, min_positives=15, keep=tmp_path / "kept")

    def run(name: str, own: Folds = folds) -> None:
        methods = [known_methods()[name]]
        asked = folds_settings(tmp_path / name, data, methods=methods, seeds=(1,))
        assert run_folds(asked, own)["failed"] == {}

    # All of it is trained, so that it is kept at once where it may be.
    run("selfmis", dataclasses.replace(folds, keep=None))
    other = threading.Thread(target=run, args=("selfmis",))
    to_csv = pd.DataFrame.to_csv

    def meanwhile(*args: Any, **keys: Any) -> Any:
        if "cells.csv" in str(args[1]) and other.ident is None:
            other.start()
            other.join(timeout=3)
        return to_csv(*args, **keys)

    monkeypatch.setattr(pd.DataFrame, "to_csv", meanwhile)
    run("random_encoder")
    other.join()
    kept = pd.read_csv(tmp_path / "kept/cells.csv")
    assert sorted(kept["method"]) == ["random_encoder"] * 5 + ["selfmis"] * 5
    said = pd.read_parquet(tmp_path / "kept/predictions.parquet")
    assert said["cell"].nunique() == 10


def test_what_starts_from_a_kept_cell_is_trained_from_its_beginning(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["selfmis"]]
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")

    def run(dest: str, *modes: str) -> int:
        runs.clear()
        asked = folds_settings(tmp_path / dest, data, methods=methods, modes=modes, seeds=(1,))
        report = run_folds(asked, folds)
        assert report["failed"] == {} and {row["mode"] for row in report["rows"]} == {*modes}
        return len(runs)

    whole = run("a", "probe")
    assert run("b", "probe") == 0
    # The probe is there as figures alone: its training is needed after all, and then no more.
    for dest in ("b", "c"):
        assert run(dest, "probe", "finetune_two_stage") == whole + 1
        assert run(dest, "probe", "finetune_two_stage") == 0
        shutil.rmtree(tmp_path / "kept")
        assert run("a", "probe") == 0


def test_a_row_that_is_defined_anew_is_another_row(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")

    def trained(dest: str, **overrides: object) -> int:
        runs.clear()
        keys = {"task.leads": ("I",), **overrides}
        mine = Method("mine", "Mine", None, {"finetune": Classifier("selfmis_finetune", keys)})
        asked = folds_settings(
            tmp_path / dest, data, methods=[mine], modes=("finetune",), seeds=(1,)
        )
        assert run_folds(asked, folds)["failed"] == {}
        return len(runs)

    assert [trained("a"), trained("b")] == [1, 0]
    assert [trained("c", **{"optimization.max_epoch": 3}), trained("d")] == [1, 0]
    # So is one whose config has changed.
    of = recipes.config_content
    monkeypatch.setattr(recipes, "config_content", lambda name: {**of(name), "further": 1})
    assert trained("e") == 1


def test_a_kill_between_the_files_of_kept_cells_harms_nothing(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")

    def run(dest: str, *names: str) -> None:
        methods = [known_methods()[name] for name in names]
        asked = folds_settings(tmp_path / dest, data, methods=methods, seeds=(1,))
        assert run_folds(asked, folds)["failed"] == {}

    run("a", "random_encoder")
    lines = (tmp_path / "kept/cells.csv").read_bytes()
    run("b", "random_encoder", "twelve_lead")
    # As a process leaves it that is killed after the first of the two.
    (tmp_path / "kept/cells.csv").write_bytes(lines)
    runs.clear()
    run("c", "random_encoder", "twelve_lead")
    assert len(runs) == 2
    runs.clear()
    run("d", "random_encoder", "twelve_lead")
    assert runs == [] and len(pd.read_csv(tmp_path / "kept/cells.csv")) == 2
    (tmp_path / "kept/cells.csv").unlink()
    run("e", "random_encoder")
    assert len(pd.read_csv(tmp_path / "kept/cells.csv")) == 1


def test_a_folder_never_answers_with_what_other_settings_have_trained(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")
    selfmis = known_methods()["selfmis"]

    def run(dest: str, *methods: Method, **changes: Any) -> None:
        runs.clear()
        asked = folds_settings(tmp_path / dest, data, methods=methods, seeds=(1,), **changes)
        assert run_folds(asked, folds)["failed"] == {}

    run("a", selfmis)
    kept = (tmp_path / "kept/cells.csv").read_bytes()
    # Taken up, there is no pre-training in the folder that could say how it was made.
    run("b", selfmis)
    assert runs == [] and not list((tmp_path / "b").rglob("stages"))
    for where in ("selfmis", "selfmis/probe", "multi_lead_encoder"):
        with pytest.raises(InfarctionError, match="probe/1 was trained with other settings"):
            run("b", selfmis, overrides={where: {"optimization.max_epoch": 3}})
    run("b", selfmis, overrides={"twelve_lead/probe": {"optimization.max_epoch": 3}})
    assert runs == [] and (tmp_path / "kept/cells.csv").read_bytes() == kept

    def mine(epochs: int) -> Method:
        keys = {"task.leads": ("I",), "optimization.max_epoch": epochs}
        return Method("mine", "Mine", None, {"probe": Classifier("selfmis_finetune", keys)})

    run("c", mine(1))
    with pytest.raises(InfarctionError, match="mine/probe/1 was trained with other settings"):
        run("c", mine(9))
    # So is a pre-training that the rows share: of a row that is new, the first part would be old.
    assert selfmis.encoder is not None
    other = dataclasses.replace(selfmis.encoder, overrides={"model.dropout": 0.5})
    for cell in (tmp_path / "a").rglob("cell.json"):
        cell.unlink()
    with pytest.raises(InfarctionError, match="stages/selfmis was trained with other settings"):
        run("a", dataclasses.replace(selfmis, encoder=other))


def test_what_another_version_has_made_stays_and_is_not_kept(
    own_folds: Path, tmp_path: Path, runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["random_encoder"]]
    asked = folds_settings(tmp_path / "a", data, methods=methods, seeds=(1,))
    run_folds(asked, Folds(held_out=(9, 10)))
    (cell,) = (tmp_path / "a").rglob("cell.json")
    made = json.loads(cell.read_text())
    for changes, whose in (
        ({"made_by": {"version": "0.1.7"}, "recipe": "another"}, "0.1.7"),
        ({"made_by": None, "recipe": None}, "an older version"),
    ):
        about = {key: value for key, value in {**made, **changes}.items() if value is not None}
        cell.write_text(json.dumps(about))
        runs.clear()
        capsys.readouterr()
        run_folds(asked, Folds(held_out=(9, 10), keep=tmp_path / "kept"))
        said = capsys.readouterr().out
        assert runs == [] and said.count("random_encoder/probe/1 is not kept") == 1
        assert f"{whose} has made it" in said and not [*(tmp_path / "kept").iterdir()]
    cell.write_text(json.dumps(made))
    run_folds(asked, Folds(held_out=(9, 10), keep=tmp_path / "kept"))
    assert len(pd.read_csv(tmp_path / "kept/cells.csv")) == 1


@pytest.mark.parametrize("changes", [{"made_by": {"version": "0.1.7"}}, None])
def test_what_starts_from_what_another_version_has_made_is_not_kept(
    own_folds: Path, tmp_path: Path, runs: list[Run], changes: dict[str, Any] | None
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["selfmis"]]
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")
    asked = folds_settings(tmp_path / "a", data, methods=methods, seeds=(1,))
    run_folds(asked, dataclasses.replace(folds, keep=None))
    (stage,) = (tmp_path / "a").rglob("single_lead_encoder/stage.json")
    (cell,) = (tmp_path / "a").rglob("cell.json")
    (last,) = (tmp_path / "a").rglob("selfmis/stage.json")
    about = json.loads(stage.read_text())
    if changes is None:  # as versions before have written it
        del about["recipe"], about["made_by"]
    stage.write_text(json.dumps({**about, **(changes or {})}))
    for file in (last, cell):
        file.unlink()
    # The pre-training is trained again from a part of another version, and so is not this one's.
    runs.clear()
    report = run_folds(asked, folds)
    assert len(runs) == 2 and len(report["rows"]) == 1
    assert json.loads(last.read_text())["made_by"] is None
    assert json.loads(cell.read_text())["made_by"] is None
    assert not [*(tmp_path / "kept").iterdir()]
    # It stays all the same, for whoever asks for it as it was made.
    runs.clear()
    assert len(run_folds(asked, folds)["rows"]) == 1 and runs == []
    # And is refused to whoever asks for it otherwise.
    for where in ("selfmis", "selfmis/probe"):
        keys = {where: {"optimization.max_epoch": 3}}
        with pytest.raises(InfarctionError, match="was trained with other settings"):
            run_folds(dataclasses.replace(asked, overrides=keys), folds)


def test_other_given_weights_are_another_recipe(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")
    methods = [known_methods()["selfmis"]]
    files = {name: write_judge(tmp_path / f"{name}.pt", ord(name)) for name in "abc"}

    def run(dest: str, file: Path) -> int:
        runs.clear()
        given = {"multi_lead_checkpoint": file}
        asked = folds_settings(tmp_path / dest, data, methods=methods, seeds=(1,), given=given)
        assert run_folds(asked, folds)["failed"] == {}
        return len(runs)

    trained = run("one", files["a"])
    assert run("two", files["b"]) == trained > 0
    shutil.copyfile(files["a"], files["c"])
    assert run("three", files["c"]) == 0  # the same weights elsewhere


def test_a_folder_of_kept_cells_may_be_one_to_read_alone(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(held_out=(9, 10), keep=tmp_path / "kept")

    def run(dest: str, *names: str) -> int:
        methods = [known_methods()[name] for name in names]
        runs.clear()
        run_folds(folds_settings(tmp_path / dest, data, methods=methods, seeds=(1,)), folds)
        return len(runs)

    run("a", "random_encoder")

    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kept_cells.tempfile, "TemporaryFile", refused)
    assert run("b", "random_encoder") == 0
    with pytest.raises(InfarctionError, match="no file can be written there"):
        run("c", "random_encoder", "twelve_lead")
    assert runs == []


def test_a_changed_trial_before_makes_other_trials(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["selfmis"]]
    asked = folds_settings(
        tmp_path / "a", data, methods=methods, modes=("probe", "finetune"), seeds=(1,)
    )
    folds = Folds(5, tuple(range(1, 9)), trials_only=True)
    first = {one["name"]: one for one in run_folds(asked, folds)["tuned"]}
    runs.clear()
    assert run_folds(asked, folds)["tuned"] and runs == []
    # What is best of the encoder's rates is another one now: what was tried on it is stale.
    trials = tmp_path / "a/trials/selfmis"
    best = trials / f"{first['selfmis']['rate']:g}"
    for file in best.rglob("predictions.parquet"):
        said = Predictions.read(file)
        dataclasses.replace(said, logits=-said.logits).write(file)
    with pytest.raises(InfarctionError, match="selfmis-finetune.*was trained with other settings"):
        run_folds(asked, folds)


@pytest.mark.parametrize(
    "name",
    ["rates", "rates-heartlang", "rates-signals", "rates-mcma", "rates-pix2pix", "rates-ekgan"],
)
def test_rates_of_the_tables_were_tried_on_no_fold_that_is_held_out(name: str) -> None:
    file = Path(__file__).resolve().parents[2] / f"docs/results/real/{name}.json"
    assert all(one.rate for one in read_rates(file, "small", (9, 10)))
