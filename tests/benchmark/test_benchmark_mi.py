"""The infarction benchmark: real trainings of a tiny encoder, resumed, and its tables."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selfmis_plugin.benchmark import infarction
from selfmis_plugin.benchmark import timed_training as infarction_training
from selfmis_plugin.benchmark.commands import CommandError, Spent, best_checkpoint
from selfmis_plugin.benchmark.graph import Here, Step, run_steps
from selfmis_plugin.benchmark.paper import TABLE_1, TABLE_2, TABLE_3, TABLE_5
from selfmis_plugin.benchmark.report import write_infarction_report
from selfmis_plugin.benchmark.tables import Measured, table_1, table_3, table_5, verdicts
from selfmis_plugin.benchmark.unused import unused
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.cli.benchmarks import mi
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.methods import known_claims, known_methods
from selfmis_plugin.methods.method import LEAD_I, PROBE
from selfmis_plugin.methods.ways import AS_IT_IS, ways
from tests.checkpoint_files import write_classifier, write_judge, write_run
from tests.model_folders import net1d_shape, saved_model
from tests.support import TINY

TINY_SETS = [part for override in TINY for part in ("--set", override)]


def test_cells_are_run_once_and_put_into_tables(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "benchmark"
    arguments = ["benchmark", "mi", "--dest", str(dest), "--size", "small", "--workers", "2"]
    for role in ("data", "unlabelled", "archive"):
        arguments += [f"--{role}", str(store)]
    arguments += [*TINY_SETS, "--set", "optimization.max_epoch=1", "--fractions", "0.5"]
    chosen = ["--methods", "selfmis,without_alignment", "--modes", "probe,finetune"]
    sets = ["--set", "finetune:optimization.lr=[0.001]"]
    assert main([*arguments, *chosen, *sets]) == 0
    printed = capsys.readouterr().out
    # Two encoders, the alignment, SelfMIS judged in two ways, the other in one.
    assert printed.count("--config-name") == 6
    report = json.loads((dest / "report.json").read_text())
    assert {(c["method"], c["mode"]) for c in report["cells"]} == {
        ("selfmis", "probe"), ("selfmis", "finetune"), ("without_alignment", "finetune"),
    }  # fmt: skip
    for cell in report["cells"]:
        assert cell["train_records"] == 50 and cell["records"] == 25
        assert cell["record"]["mi_auc"]["low"] <= cell["mi_auc"] <= cell["record"]["mi_auc"]["high"]
    assert report["data"]["labelled"]["records"] == {"train": 100, "valid": 25, "test": 25}
    table = pd.read_csv(dest / "cells.csv")
    assert sorted(table["mi_auc"]) == pytest.approx(sorted(c["mi_auc"] for c in report["cells"]))
    text = (dest / "report.md").read_text()
    assert "98.56" in text and "45.98" in text  # the paper's, beside
    assert "alignment helps" in text
    assert (dest / "report.png").read_bytes()[:4] == b"\x89PNG"

    # Nothing is run again, and another method joins the same folder.
    assert main([*arguments, *chosen, *sets]) == 0
    assert "--config-name" not in capsys.readouterr().out
    assert json.loads((dest / "report.json").read_text())["cells"] == report["cells"]
    assert main([*arguments, "--methods", "random_encoder", "--modes", "probe", *sets]) == 0
    assert capsys.readouterr().out.count("--config-name") == 1

    # Cells of other settings are not mixed with these.
    assert main([*arguments, *chosen, "--set", "finetune:optimization.lr=[0.1]"]) == 1
    assert "was trained with other settings than are asked for" in capsys.readouterr().err


def settings_for(store: Path, dest: Path, **changes: Any) -> infarction.Settings:
    methods = known_methods()
    values: dict[str, Any] = {
        "dest": dest,
        "methods": [methods["selfmis"], methods["random_encoder"]],
        "data": dict.fromkeys(("labelled", "unlabelled", "archive"), store),
        "modes": (PROBE,),
        "size": "small",
        **changes,
    }
    return infarction.Settings(**values)


def test_a_failed_stage_costs_only_what_needs_it(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def fail(run: Path, *_: object) -> float:
        started.append(run.name)
        raise CommandError("out of memory")

    monkeypatch.setattr(infarction_training, "train", fail)
    report = infarction.run_infarction(settings_for(store, tmp_path / "b"))
    # SelfMIS waits for both encoders; the random encoder needs none, and was tried.
    assert sorted(started) == ["multi_lead_encoder", "run", "single_lead_encoder"]
    assert sorted(report["failed"]) == [
        "seed1/multi_lead_encoder", "seed1/random_encoder/probe/1", "seed1/single_lead_encoder",
    ]  # fmt: skip
    assert report["cells"] == []
    methods = [known_methods()[name] for name in ("selfmis", "random_encoder")]
    text = write_infarction_report(tmp_path / "b", report, methods)
    assert "- seed1/single_lead_encoder: out of memory" in text


def test_fractions_are_nested_and_leave_the_rest(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infarction, "run_steps", lambda *_: {})
    settings = settings_for(store, tmp_path / "b", fractions=(0.25, 0.5, 1.0), seeds=(1, 2))
    infarction.run_infarction(settings)
    sets = {}
    for seed in (1, 2):
        for fraction in ("0.25", "0.5"):
            folder = tmp_path / "b" / f"seed{seed}" / "labels" / fraction
            sets[seed, fraction] = set(open_split(folder, "train").rows.tolist())
            for split in ("valid", "test"):
                whole = open_split(store, split).rows
                assert open_split(folder, split).rows.tolist() == whole.tolist()
    assert sets[1, "0.25"] < sets[1, "0.5"] < set(open_split(store, "train").rows.tolist())
    assert len(sets[1, "0.25"]) == 25 and len(sets[2, "0.5"]) == 50
    assert sets[1, "0.5"] != sets[2, "0.5"]


def test_checkpoints_of_the_user_take_the_stages_place(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, dict[str, object]] = {}

    def stop(run: Path, config: str, overrides: dict[str, object], *_: object) -> float:
        calls[run.name] = overrides
        raise CommandError("enough seen")

    monkeypatch.setattr(infarction_training, "train", stop)
    given = {name: tmp_path / f"{name}.pth" for name in ("single_lead_checkpoint",)}
    with pytest.raises(infarction.InfarctionError, match="no such file"):
        infarction.run_infarction(settings_for(store, tmp_path / "b", given=given))
    write_classifier(given["single_lead_checkpoint"])
    only = [known_methods()["selfmis"]]
    settings = settings_for(store, tmp_path / "b", given=given, methods=only)
    infarction.run_infarction(settings)
    assert set(calls) == {"multi_lead_encoder"}
    given["multi_lead_checkpoint"] = write_judge(tmp_path / "multi.pth")
    data = dict.fromkeys(("labelled", "unlabelled"), store)
    settings = settings_for(store, tmp_path / "c", given=given, methods=only, data=data)
    infarction.run_infarction(settings)
    aligned = calls["selfmis"]
    assert aligned["model.single_lead_checkpoint"] == given["single_lead_checkpoint"]
    del given["single_lead_checkpoint"]
    with pytest.raises(infarction.InfarctionError, match="--archive, or a file with --single-lead"):
        infarction.run_infarction(
            settings_for(store, tmp_path / "d", given=given, methods=only, data=data)
        )


def test_a_file_that_does_not_suit_its_stage_is_refused_before_anything_is_trained(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infarction, "run_steps", lambda *_: {})
    one, twelve = write_classifier(tmp_path / "I.pt"), write_judge(tmp_path / "12.pt")
    other = tmp_path / "text.pt"
    other.write_text("no weights")
    run = tmp_path / "run/checkpoints"
    run.mkdir(parents=True)

    def given(name: str, file: Path, dest: str = "b", **changes: Any) -> None:
        files = {f"{name}_lead_checkpoint": file}
        methods = [known_methods()[row] for row in ("selfmis", "selfmis_chest_leads", "st_mem")]
        changes = {"methods": methods, "given": files, **changes}
        infarction.run_infarction(settings_for(store, tmp_path / dest, **changes))

    for name, file, message in (
        ("single", twelve, "--single-lead-checkpoint: .*12.pt: its encoder .* reads 12 leads"),
        ("multi", one, "--multi-lead-checkpoint: .*I.pt: its encoder .* reads 1 lead"),
        ("chest", twelve, "12.pt: its encoder reads 12 leads, and chest_lead_encoder has 6"),
        ("multi", other, "text.pt: cannot be read as a PyTorch checkpoint"),
        ("multi", tmp_path / "nowhere", "--multi-lead-checkpoint .*nowhere: no such file"),
        ("multi", run.parent, "a folder, and none of `selfmis export`"),
    ):
        with pytest.raises(infarction.InfarctionError, match=message):
            given(name, file)
        assert not (tmp_path / "b").exists()
    files = {"st_mem_checkpoint": other}
    with pytest.raises(infarction.InfarctionError, match="--st-mem-checkpoint: .*text.pt: cannot"):
        given("", other, given=files)
    given("single", one)
    # Who sets the leads may have an encoder of these; what is not started from need not have one.
    sets = {"selfmis": {"model.multi_leads": "[I]"}}
    given("multi", one, dest="c", overrides=sets)
    alone: dict[str, Any] = {"methods": [known_methods()["twelve_lead"]], "modes": ("zero_shot",)}
    given("multi", one, dest="d", **alone)


def test_an_exported_folder_takes_a_stages_place(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, dict[str, object]] = {}

    def trained(run: Path, config: str, overrides: dict[str, object], *_: object) -> Spent:
        calls[run.parent.parent.parent.name] = overrides
        write_run(run, leads=STANDARD_LEADS)
        return Spent(1.0, None)

    monkeypatch.setattr(infarction_training, "train", trained)
    folder = tmp_path / "exported"
    write_model(saved_model(net1d_shape(12), STANDARD_LEADS), folder, "")
    methods = [known_methods()["twelve_lead"]]

    def run(folder: Path) -> dict[str, Any]:
        changes = {"methods": methods, "given": {"multi_lead_checkpoint": folder}}
        modes = ("probe", "zero_shot")
        asked = settings_for(store, tmp_path / "b", modes=modes, draws=0, **changes)
        return infarction.run_infarction(asked)

    report = run(folder)
    assert report["failed"] == report["left_out"] == {} and len(report["cells"]) == 2
    assert calls["twelve_lead"]["model.encoder_checkpoint"] == folder
    # The same folder elsewhere is the same file; one of other content is not.
    assert run(Path(shutil.copytree(folder, tmp_path / "moved")))["cells"] == report["cells"]
    (folder / "README.md").write_text("another")
    with pytest.raises(infarction.InfarctionError, match="other given"):
        run(folder)


def test_a_second_stage_starts_from_its_probe(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Path, dict[str, object]]] = []

    def trained(run: Path, config: str, overrides: dict[str, object], *_: object) -> Spent:
        calls.append((run, overrides))
        write_classifier(best_checkpoint(run))
        return Spent(1.0, None)

    monkeypatch.setattr(infarction_training, "train", trained)
    encoder = write_classifier(tmp_path / "encoder.pt")
    modes = {**ways(LEAD_I), **AS_IT_IS}
    methods = [dataclasses.replace(known_methods()["ecgfounder"], modes=modes)]
    shared: dict[str, Any] = {"given": {"single_lead_checkpoint": encoder}, "methods": methods}
    settings = settings_for(store, tmp_path / "b", modes=("finetune_two_stage",), **shared)
    report = infarction.run_infarction(settings)
    (probe, first), (_, second) = calls
    assert first["model.encoder_checkpoint"] == encoder
    assert second["model.classifier_checkpoint"] == best_checkpoint(probe)
    assert "model.encoder_checkpoint" not in second
    # The probe was not asked for, and is there when it is.
    assert [cell["mode"] for cell in report["cells"]] == ["finetune_two_stage"]
    settings = settings_for(store, tmp_path / "b", modes=tuple(methods[0].modes), **shared)
    report = infarction.run_infarction(settings)
    assert [cell["mode"] for cell in report["cells"]] == list(methods[0].modes)
    # All but zero_shot are trained.
    assert len(calls) == len(methods[0].modes) - 1 == 6
    text = write_infarction_report(tmp_path / "b", report, methods)
    assert "- finetune_warmup: finetune, only the head in the first 200 updates" in text


def test_what_is_asked_wrongly_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "mi", "--dest", str(tmp_path)]) == 1
    assert "--synthetic" in capsys.readouterr().err
    mine = tmp_path / "mine.py"
    mine.write_text("METHODS = 1 / 0")
    other = tmp_path / "other.py"
    other.write_text("METHODS = ()")
    for arguments, message in (
        (["--methods", "selfmis,nothing"], "nothing is none of"),
        (["--modes", "finetune_slowly"], "finetune_slowly is none of probe, finetune"),
        (["--methods-from", str(mine)], "mine.py: cannot be run (ZeroDivisionError"),
        (["--methods-from", str(other)], "other.py: defines no METHODS"),
        (["--methods-from", str(tmp_path / "none.py")], "none.py: cannot be run (FileNotFound"),
        (["--methods-from", str(tmp_path)], "is no Python file"),
    ):
        assert main(["benchmark", "mi", "--dest", str(tmp_path), *arguments]) == 1
        assert message in capsys.readouterr().err
    for arguments, message in (
        (["--fractions", "0"], "above 0"),
        (["--seeds", "0"], "number of seeds"),
        (["--set", "x"], "KEY=VALUE"),
    ):
        with pytest.raises(SystemExit):
            main(["benchmark", "mi", *arguments])
        assert message in capsys.readouterr().err


def test_keys_for_what_there_is_not_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, command in (
        ("finetuning", ["mi"]),
        ("selfmis/zero_shot", ["mi"]),
        ("multi_lead", ["transfer", "--data", str(tmp_path)]),
    ):
        words = ["benchmark", *command, "--dest", str(tmp_path / "out")]
        assert main([*words, "--set", f"{name}:optimization.lr=[0.1]"]) == 1
        said = capsys.readouterr().err
        assert f"nothing is called {name!r}; there are" in said and "multi_lead_encoder" in said
    assert not (tmp_path / "out").exists()


def test_what_no_training_of_the_rows_uses_is_said(tmp_path: Path, store: Path) -> None:
    methods = known_methods()
    given = {"multi_lead_checkpoint": store / "m.pt", "st_mem_checkpoint": store / "s.pt"}
    whole = settings_for(
        store,
        tmp_path,
        given=given,
        overrides={"": {}, "selfmis": {}, "probe": {}, "selfmis/probe": {}, "finetune": {}},
        budget=100,
    )
    assert unused(whole) == [
        "--set finetune:... is of no training of these rows, and is not used",
        "--st-mem-checkpoint is of no training of these rows, and is not used",
    ]
    alone = dataclasses.replace(whole, methods=[methods["random_encoder"]], given={}, overrides={})
    options = [line.split()[0] for line in unused(alone)]
    assert options == ["--unlabelled", "--archive", "--budget"]


def test_steps_wait_for_what_they_need() -> None:
    order: list[str] = []

    def step(name: str, *needs: str, fails: bool = False) -> tuple[str, Step]:
        def work() -> None:
            order.append(name)
            if fails:
                raise CommandError(name)

        return name, Step(needs, work)

    steps = [step("c", "a", "b"), step("b"), step("a"), step("d", "x"), step("x", fails=True)]
    assert list(run_steps(dict(steps), Here(1))) == ["x"]
    assert order == ["b", "a", "c", "x"] or order == ["b", "a", "x", "c"]
    with pytest.raises(ValueError, match="no step is called y"):
        run_steps(dict([step("a", "y")]), Here(1))
    with pytest.raises(ValueError, match="cycle"):
        run_steps(dict([step("a", "b"), step("b", "a")]), Here(1))


# -- tables ------------------------------------------------------------------------------------


def cell(method: str, mode: str, fraction: float, seed: int, level: float) -> dict[str, Any]:
    values = {name: level + 0.01 * k for k, name in enumerate(INFARCTION_TYPES)}
    return {
        "method": method,
        "mode": mode,
        "fraction": fraction,
        "seed": seed,
        "per_label": values,
        "mi_auc": sum(values.values()) / 9,
        "positives": dict.fromkeys(INFARCTION_TYPES, 7),
    }


def measured(levels: dict[tuple[str, str], float]) -> Measured:
    cells = [
        cell(method, mode, fraction, seed, level + 0.1 * (fraction == 1.0) + 0.02 * (seed - 2))
        for (method, mode), level in levels.items()
        for fraction in (0.25, 1.0)
        for seed in (1, 2, 3)
    ]
    ranks = {"r1": 0.25, "r5": 0.5, "r10": 0.75, "median_rank": 4}
    report = {
        "cells": cells,
        "stages": [
            {"stage": method, "seed": seed, "retrieval": ranks, "valid_loss": 1.5}
            for method, _ in levels
            for seed in (1, 2, 3)
        ],
        "data": {"labelled": {"database": "ptbxl", "records": {"train": 1234}}},
    }
    return Measured(report, list(known_methods().values()), known_claims())


LEVELS = {
    ("ecgfounder", "probe"): 0.5,
    ("selfmis", "probe"): 0.6,
    ("selfmis_without_m", "probe"): 0.4,
    ("without_alignment", "finetune"): 0.3,
}


def test_table_1_marks_best_and_second_and_shows_the_papers() -> None:
    lines = table_1(measured(LEVELS)).splitlines()
    rows = {line.split("|")[1].strip(): line.split("|") for line in lines if "ptbxl" in line}
    assert (
        "**70.00**" in rows["SelfMIS"][2] and "_60.00_" in rows["ECGFounder (or its stand-in)"][2]
    )
    assert rows["SelfMIS"][11].strip() == "**74.00 ± 2.00**"
    assert "1,234 labelled" in rows["SelfMIS"][12]
    assert "without_alignment" not in rows
    position = lines.index(next(line for line in lines if line.startswith("| SelfMIS |")))
    # The paper's PMI rests on two positives.
    assert "98.56 (59 to 100)" in lines[position + 1] and "82.55" in lines[position + 1]
    assert lines[-1].count(" 7 ") == 9


def test_table_1_says_how_little_few_positives_tell() -> None:
    figures = measured(LEVELS)
    auc = {"value": 0.7, "low": 0.4, "high": 0.9}
    for one in figures.cells:
        one["record"] = {
            "labels": {
                name: {"positive_patients": 2 if name == "PMI" else 30, "auc": auc}
                for name in INFARCTION_TYPES
            }
        }
    row = next(line for line in table_1(figures).splitlines() if line.startswith("| SelfMIS |"))
    assert row.count("(40 to 90)") == 1 and "**78.00** (40 to 90)" in row.split("|")[10]


def test_table_3_shows_the_gain_by_fraction() -> None:
    lines = table_3(measured(LEVELS)).splitlines()
    average = next(line for line in lines if line.startswith("| Avg |") and "ptbxl" in line)
    assert [part.strip() for part in average.split("|")[2:6]] == [
        "54.00 ± 2.00", "**64.00 ± 2.00**", "64.00 ± 2.00", "**74.00 ± 2.00**",
    ]  # fmt: skip
    gain = next(line for line in lines if line.startswith("| SelfMIS minus"))
    assert gain.count("+10.00 ± 0.00") == 2
    assert any("61.31" in line and "73.25" in line for line in lines)


def test_table_5_and_what_it_says() -> None:
    figures = measured(LEVELS)
    lines = table_5(figures).splitlines()
    row = next(line for line in lines if line.startswith("| SelfMIS |"))
    assert "25.00 ± 0.00" in row and "1.5000" in row and "74.00 ± 2.00" in row
    alone = next(line for line in lines if line.startswith("| w/o alignment"))
    assert alone.split("|")[2].strip() == "-" and "44.00" in alone
    said = verdicts(figures)
    assert said[0].startswith("alignment helps: yes (+30.00 ± 0.00; by seed +30.00, ")
    assert not any("lead-I encoder helps" in line for line in said)  # not measured
    worse = verdicts(measured({**LEVELS, ("without_alignment", "finetune"): 0.9}))
    assert worse[0].startswith("alignment helps: no (-30.00")


@pytest.mark.parametrize("mode", ["finetune", "no_ecg", "zero_shot"])
def test_a_mode_alone_has_a_table_of_its_figures(tmp_path: Path, mode: str) -> None:
    about = {"positive_patients": 30, "auc": {"low": 0.4, "high": 0.9}}
    record = {
        "mi_auc": {"low": 0.4, "high": 0.9},
        "labels": dict.fromkeys(INFARCTION_TYPES, about),
    }
    alone = cell("without_alignment", mode, 1.0, 1, 0.6)
    alone |= {"train_records": 9, "records": 9, "seconds": 1.0, "macro_auc": 0.6, "record": record}
    labelled = {"database": "ptbxl", "records": {"train": 9, "test": 9}}
    report = {"cells": [alone], "stages": [], "failed": {}, "data": {"labelled": labelled}}
    report |= {"size": "small", "host": "fairseq"}
    methods = [known_methods()["without_alignment"]]
    text = write_infarction_report(tmp_path, report, methods)
    assert f"| Method | {mode} |" in text and "64.00" in text
    # What an earlier report has shown is none of this one's.
    (tmp_path / "costs.png").write_bytes(b"of an earlier report")
    write_infarction_report(tmp_path, report, methods)
    assert {path.name for path in tmp_path.glob("*.png")} == {"report.png"}
    write_infarction_report(tmp_path, {**report, "cells": []}, methods)
    assert not list(tmp_path.glob("*.png"))


def test_the_papers_means_are_those_of_its_rows() -> None:
    # As printed; one of them (SelfMIS on half of the labels) is 0.03 off its row's mean.
    for name, figures in TABLE_1.items():
        assert figures[-1] == pytest.approx(sum(figures[:9]) / 9, abs=0.035), name
    for name, figures in TABLE_2.items():
        assert figures[-1] == pytest.approx(sum(figures[:9]) / 9, abs=0.035), name
    for name, figures in TABLE_3.items():
        assert figures[-1] == pytest.approx(sum(figures[:9]) / 9, abs=0.035), name
    assert TABLE_5["SelfMIS (Ours)"][-1] == TABLE_1["SelfMIS (Ours)"][-1]
    names = {method.paper for method in known_methods().values() if method.paper}
    assert names <= TABLE_1.keys() | TABLE_2.keys() | TABLE_5.keys()


def test_a_method_may_come_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    from selfmis_plugin import methods

    class Entry:
        name, value = "mine", "my_package.rows"

        def load(self) -> types.SimpleNamespace:
            mine = methods.Method("mine", "Mine", None, {PROBE: None})  # type: ignore[dict-item]
            return types.SimpleNamespace(METHODS=(mine,), __name__="mine")

    def entries(count: int) -> None:
        found = {"selfmis.methods": [Entry()] * count}
        monkeypatch.setattr(
            methods.importlib.metadata, "entry_points", lambda group: found.get(group, [])
        )

    entries(1)
    with pytest.warns(DeprecationWarning, match=r"selfmis\.plugins"):
        assert "mine" in known_methods() and "selfmis" in known_methods()
    entries(2)
    with pytest.raises(ValueError, match="'mine' is there already"):
        known_methods()


def test_modes_and_replaceable_stages_come_from_the_methods() -> None:
    parser = argparse.ArgumentParser()
    mi.add_arguments(parser)
    given = ["--modes", "probe,probe-V6", "--modally-reduced-checkpoint", "trained.pt"]
    options = parser.parse_args(given)
    assert mi.chosen_modes(options.modes, list(known_methods().values())) == ("probe", "probe-V6")
    assert options.modally_reduced_checkpoint == Path("trained.pt")
    of_lead = known_methods()["modally_reduced"].modes["probe-V6"]
    assert of_lead.overrides == {"task.leads": ("V6",)}
    # What nobody asked for is not trained.
    usual = ("probe", "finetune", "zero_shot", "untrained", "no_ecg")
    assert mi.chosen_modes(None, []) == usual
