"""What rows of the infarction benchmark start from: stages, own modes and other methods'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark import infarction, timed_training
from selfmis_plugin.benchmark.commands import Spent, best_checkpoint
from selfmis_plugin.benchmark.report import write_infarction_report
from selfmis_plugin.benchmark.settings import Settings, stage_file
from selfmis_plugin.benchmark.stages import run_stage
from selfmis_plugin.benchmark.tables import Measured, table_3, table_5
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.makers import maker_of
from selfmis_plugin.methods.method import (
    FINETUNE,
    LEAD_I,
    PROBE,
    UNLABELLED,
    ZERO_SHOT,
    Classifier,
    Method,
    Mode,
    Stage,
)
from selfmis_plugin.methods.ways import finetune, probe
from selfmis_plugin.utils.plugin_error import PluginError
from tests.checkpoint_files import write_judge, write_run

LATE, EARLY = "late", "early"
GENERATOR = Stage("generator", "modally_reduced", UNLABELLED)


Calls = dict[str, dict[str, Any]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Trainings that were run, and their config keys, by a part of their folders' names."""
    seen: Calls = {}

    def trained(run: Path, config: str, overrides: dict[str, Any], *_: object) -> Spent:
        where = run.parent if run.name == "run" else run
        name = "/".join(where.parts[where.parts.index("seed1") + 1 :])
        assert name not in seen
        seen[name] = overrides
        write_run(run)
        return Spent(1.0, None)

    monkeypatch.setattr(timed_training, "train", trained)
    return seen


def late(source: Any, config: str | None = "selfmis_finetune_two_stage") -> Classifier:
    return Classifier(config, LEAD_I, "model.classifier_checkpoint", starts_from=source)


def settings_for(store: Path, dest: Path, *rows: Method, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "dest": dest,
        "methods": rows,
        "data": dict.fromkeys(("labelled", "unlabelled"), store),
        "modes": (LATE,),
        "size": "small",
        "given": {"multi_lead_checkpoint": write_judge(dest.with_suffix(".pt"))},
        "others": list(known_methods().values()),
        **changes,
    }
    return Settings(**values)


def test_a_row_starts_from_other_methods_stages_and_modes(
    tmp_path: Path, store: Path, calls: Calls
) -> None:
    sources = {
        "model.generator": GENERATOR,
        "model.judge": Mode("twelve_lead", PROBE),
        "model.own": EARLY,
    }
    rows = (
        Method("one", "One", None, {LATE: late(Mode("twelve_lead", PROBE))}),
        Method(
            "many",
            "Many",
            None,
            {LATE: Classifier("any", starts_from=sources), EARLY: finetune(LEAD_I)},
        ),
    )
    dest = tmp_path / "b"
    report = infarction.run_infarction(settings_for(store, dest, *rows))
    assert report["failed"] == report["left_out"] == report["lacking"] == {}
    assert set(calls) == {
        "stages/generator", "twelve_lead/probe/1", "one/late/1", "many/early/1", "many/late/1",
    }  # fmt: skip
    seed = dest / "seed1"
    judge = best_checkpoint(seed / "twelve_lead/probe/1/run")
    assert calls["one/late/1"]["model.classifier_checkpoint"] == judge
    keys = {key: value for key, value in calls["many/late/1"].items() if key.startswith("model.")}
    assert keys == {
        "model.generator": best_checkpoint(seed / "stages/generator"),
        "model.judge": judge,
        "model.own": best_checkpoint(seed / "many/early/1/run"),
    }
    # The other method's is there, and reported only when it is asked for.
    assert [(c["method"], c["mode"]) for c in report["cells"]] == [("one", LATE), ("many", LATE)]
    assert [stage["stage"] for stage in report["stages"]] == ["generator"]
    before = len(calls)
    asked = (*rows, known_methods()["twelve_lead"])
    report = infarction.run_infarction(settings_for(store, dest, *asked, modes=(LATE, PROBE)))
    assert len(calls) == before
    assert ("twelve_lead", PROBE) in {(c["method"], c["mode"]) for c in report["cells"]}


def test_an_encoder_of_its_own_stands_beside_what_is_named(
    tmp_path: Path, store: Path, calls: Calls
) -> None:
    sources = {"model.judge": Mode("random_encoder", PROBE)}
    row = Method("row", "Row", GENERATOR, {LATE: Classifier("any", starts_from=sources)})
    infarction.run_infarction(settings_for(store, tmp_path / "b", row))
    own = best_checkpoint(tmp_path / "b/seed1/stages/generator")
    assert calls["row/late/1"]["model.encoder_checkpoint"] == own
    assert [stage.name for stage in row.stages()] == ["generator"]
    named = Method("named", "Named", None, {LATE: late({"model.generator": GENERATOR})})
    assert [stage.name for stage in named.stages()] == ["generator"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Mode("nobody", PROBE), r"the method 'nobody', and there is none .* twelve_lead"),
        (
            Mode("twelve_lead", "guess"),
            "'guess' of twelve_lead, which has probe, finetune",
        ),
        ({"model.judge": "guess"}, "'guess' of row, which has late"),
        (Mode("twelve_lead", ZERO_SHOT), "for which nothing is trained: name the stage"),
        (LATE, "late of row starts from itself"),
    ],
)
def test_names_of_nothing_are_refused_before_anything_is_trained(
    source: Any, message: str, tmp_path: Path, store: Path, calls: Calls
) -> None:
    row = Method("row", "Row", None, {LATE: late(source)})
    settings = settings_for(store, tmp_path / "b", known_methods()["random_encoder"], row)
    with pytest.raises(infarction.InfarctionError, match=message):
        infarction.run_infarction(settings)
    assert not calls and not (tmp_path / "b").exists()


def test_what_trains_nothing_starts_from_nothing(tmp_path: Path, store: Path) -> None:
    row = Method("row", "Row", None, {LATE: late(Mode("twelve_lead", PROBE), config=None)})
    with pytest.raises(infarction.InfarctionError, match="late of row trains nothing"):
        infarction.run_infarction(settings_for(store, tmp_path / "b", row))


FILE = """
from selfmis_plugin.methods.method import LEAD_I, PROBE, Claim, Classifier, Method, Mode
from selfmis_plugin.methods.ways import probe

CLAIMS = (Claim("late is better", Mode("mine_late", "late"), Mode("mine", PROBE)),)
METHODS = (
    Method("mine", "Mine", None, {PROBE: probe(LEAD_I)}),
    Method("mine_late", "Mine, late", None, {"late": Classifier(
        "selfmis_finetune_two_stage", LEAD_I, "model.classifier_checkpoint",
        starts_from=Mode("mine", MODE))}, ablation="late"),
)
"""


def test_methods_of_a_users_file_are_reached_too(
    tmp_path: Path, store: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    arguments = ["benchmark", "mi", "--data", str(store), "--dest", str(tmp_path / "b")]
    arguments += ["--methods-from", str(file), "--fractions", "1.0", "--size", "small"]
    only = ["--methods", "mine_late", "--modes", "late"]
    file.write_text(FILE.replace("MODE)", "'guess')"))
    assert main([*arguments, *only]) == 1
    assert "starts from 'guess' of mine, which has probe" in capsys.readouterr().err
    file.write_text(FILE.replace("MODE)", "PROBE)"))
    assert main([*arguments, *only]) == 0
    assert set(calls) == {"mine/probe/1", "mine_late/late/1"}
    assert "| Mine |" not in capsys.readouterr().out
    assert main([*arguments, "--methods", "mine,mine_late", "--modes", "late,probe"]) == 0
    printed = capsys.readouterr().out
    assert len(calls) == 2 and "| Mine |" in printed
    assert "- late is better: not in every seed (+0.00; by seed +0.00)" in printed


@pytest.mark.skipif(toolkit.brings_ecg_methods(), reason="this host lacks none of the methods")
def test_a_row_says_that_the_host_lacks_what_it_starts_from(
    tmp_path: Path, store: Path, calls: Calls
) -> None:
    only = Method("only", "Only", None, {LATE: late(Mode("simclr", PROBE))})
    also = Method("also", "Also", None, {LATE: late(Mode("simclr", PROBE)), PROBE: probe(LEAD_I)})
    settings = settings_for(store, tmp_path / "b", only, also, modes=(LATE, PROBE))
    report = infarction.run_infarction(settings)
    assert set(report["lacking"]) == {"only"} and "lacks" in report["lacking"]["only"]
    assert report["left_out"] == {"also/late": report["lacking"]["only"]}
    assert set(calls) == {"also/probe/1"}
    text = write_infarction_report(tmp_path / "b", report, settings.methods)
    assert "- also/late: " in text and "- only: " in text


@pytest.mark.parametrize("pairs", [True, False])
def test_only_a_pre_training_of_pairs_has_retrieval(
    pairs: bool, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(run: Path, *_: object) -> Spent:
        write_run(run, pairs)
        return Spent(1.0, None)

    monkeypatch.setattr(timed_training, "train", trained)
    settings = settings_for(store, tmp_path / "b")
    run_stage(settings, GENERATOR, 1, "recipe")
    about = json.loads(stage_file(settings, GENERATOR, 1).read_text())
    assert about["figures"] == {"error": 0.25} and about["valid_loss"] == 1.0
    assert ("retrieval" in about) == pairs
    if pairs:
        assert 0 <= about["retrieval"]["r1"] <= 1


# -- tables ------------------------------------------------------------------------------------


def measured(*methods: Method, **stage: Any) -> Measured:
    """Figures of methods, each with the one stage."""
    cells = [
        {
            "method": method.name,
            "mode": PROBE,
            "fraction": 1.0,
            "seed": 1,
            "per_label": dict.fromkeys(INFARCTION_TYPES, 0.5 + 0.1 * number),
            "mi_auc": 0.5 + 0.1 * number,
            "positives": {},
        }
        for number, method in enumerate(methods)
    ]
    data = {"labelled": {"database": "ptbxl", "records": {"train": 9}}}
    stages = [{"stage": GENERATOR.name, "seed": 1, **stage}]
    return Measured({"cells": cells, "stages": stages, "data": data}, methods)


def test_table_5_has_no_retrieval_of_what_embeds_no_pairs() -> None:
    method = Method("row", "Row", GENERATOR, {PROBE: probe(LEAD_I)}, ablation=PROBE)
    without = table_5(measured(method, figures={"error": 0.25}, valid_loss=0.5))
    assert without.splitlines()[-1] == "| Row | - | - | - | 0.5000 | 50.00 | ptbxl, 9 labelled |"
    # As version 0.1 left it, without figures.
    ranks = {"r1": 0.1, "r5": 0.2, "r10": 0.3}
    with_pairs = table_5(measured(method, retrieval=ranks, valid_loss=0.5))
    assert "| Row | 10.00 | 20.00 | 30.00 | 0.5000 |" in with_pairs


def test_a_method_from_elsewhere_is_compared_on_fractions() -> None:
    methods = known_methods()
    mine = Method("mine", "Mine", None, {PROBE: probe(LEAD_I)}, subject=True)
    other = Method("other", "Other", None, {PROBE: probe(LEAD_I), FINETUNE: finetune(LEAD_I)})
    lines = table_3(measured(mine, other, methods["ecgfounder"])).splitlines()
    assert lines[0].startswith("| AUC | 100 % ECGFounder (or its stand-in) | 100 % Mine | measured")
    assert lines[-1].startswith("| Mine minus ECGFounder (or its stand-in) | - | -20.00 |")


def test_a_classifier_is_trained_or_made_by_somebody_known() -> None:
    with pytest.raises(ValueError, match="trained by selfmis_linear_probe or made by mean_ecg"):
        Classifier("selfmis_linear_probe", maker="mean_ecg")
    assert callable(maker_of("mean_ecg"))
    with pytest.raises(PluginError, match="nothing makes 'nobody'; there is .*zero_leads"):
        maker_of("nobody")
