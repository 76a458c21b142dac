"""The demo of modally reduced representations: what it says of figures, and from start to end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from selfmis_plugin.benchmark.studies import correlation, identification, reconstruction
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.demo.demo import known_demos
from selfmis_plugin.demo.leads_report import write_report
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.method import UNTRAINED
from selfmis_plugin.methods.modally_reduced.demo import DEMO

TRAININGS = ("curriculum", "align alone", "reconstruct alone")


def answers(curriculum: float, align: float, reconstruct: float, low: float) -> dict:
    """Return answers of the studies in which all figures of a training are one number."""

    def of(model: str) -> dict[str, float]:
        return {model: curriculum, "align alone": align, "reconstruct alone": reconstruct}

    leads = {**of(correlation.MODEL), correlation.UNTRAINED: 0.0}
    fits = {**of(reconstruction.MODEL), **dict.fromkeys(reconstruction.BASELINES, 0.3)}
    persons = of(identification.MODEL) | {identification.RANDOM: 0.1, identification.BEAT: 0.9}
    return {
        "correlation": {"networks": {n: {"centred": {"mean": v}} for n, v in leads.items()}},
        "reconstruction": {
            "fits": {n: {"mean_correlation": v} for n, v in fits.items()},
            "correlation_above": {n: {"low": low} for n in fits},
        },
        "identification": {"found": {n: {"first": {"rank1": v}} for n, v in persons.items()}},
    }


def report(dest: Path, seeds: list[dict], curriculum: float) -> tuple[dict, str]:
    """Write a report on made-up figures; return it and its text."""
    for seed in range(1, len(seeds) + 1):
        folder = dest / f"seed{seed}"
        folder.mkdir()
        for name in ("correlation", "reconstruction", "identification"):
            (folder / f"{name}.md").write_text(name, encoding="utf-8")
            (folder / f"{name}.png").write_bytes(b"picture")
    cells = [
        {"method": method, "mode": mode, "seed": seed, "mi_auc": auc}
        for seed in range(1, len(seeds) + 1)
        for method, mode, auc in (
            *(
                ("modally_reduced", "probe" if lead == "I" else f"probe-{lead}", curriculum)
                for lead in STANDARD_LEADS
            ),
            ("modally_reduced_align", "probe", 0.6),
            ("modally_reduced_reconstruct", "probe", 0.7),
        )
    ]
    about = {
        "host": "a host",
        "cohort_version": 1,
        "seconds": 1.0,
        "sizes": {"unlabelled": 5, "unlabelled_valid": 1, "epochs": 2},
    }
    made = write_report(DEMO, dest, about, {"cells": cells, "stages": []}, seeds)
    return made, (dest / "report.md").read_text(encoding="utf-8")


def claims(made: dict) -> dict[str, bool]:
    return {effect["claim"]: effect["holds"] for effect in made["effects"]}


def test_a_curriculum_that_is_best_everywhere_is_said_to_be(tmp_path: Path) -> None:
    made, text = report(tmp_path, [answers(0.8, 0.5, 0.4, low=0.1)], 0.8)
    assert "The curriculum beats each loss alone in every figure." in text
    held = claims(made)
    assert not held["identification by lead I: average beat to embedding of beats, rank 1"]
    assert held["twelve leads from lead I: nearest record to decoders, correlation"]
    assert all(of["to"] > of["from"] for of in made["effects"] if of["holds"])


def test_a_curriculum_that_is_not_best_is_not_called_so(tmp_path: Path) -> None:
    made, text = report(tmp_path, [answers(0.6, 0.7, 0.4, low=-0.1)], 0.65)
    assert "It does not in: " in text or "in no figure" in text
    held = claims(made)
    assert not held["correlation of leads: align alone to curriculum"]
    assert held["correlation of leads: reconstruct alone to curriculum"]
    # Higher on average, but the interval does not exclude that it is not.
    assert not held["twelve leads from lead I: mean ECG to decoders, correlation"]
    assert held["infarction by lead I, AUC: align alone to curriculum"]
    assert not held["infarction by lead I, AUC: reconstruct alone to curriculum"]


def test_a_claim_has_to_hold_in_every_seed(tmp_path: Path) -> None:
    seeds = [answers(0.8, 0.5, 0.4, low=0.1), answers(0.8, 0.9, 0.4, low=0.1)]
    made, _ = report(tmp_path, seeds, 0.8)
    held = claims(made)
    assert not held["correlation of leads: align alone to curriculum"]
    assert held["correlation of leads: reconstruct alone to curriculum"]


def test_demos_are_found_by_their_files() -> None:
    assert set(known_demos()) == {"selfmis", "modally-reduced"}


def test_plan_is_consistent() -> None:
    methods = known_methods()
    named = {DEMO.method, *DEMO.alone, *DEMO.others}
    assert named <= methods.keys() and DEMO.unaligned in DEMO.alone.values()
    assert set(DEMO.modes.values()) == set(methods[DEMO.method].modes) - {UNTRAINED}
    stages = {stage.name for name in named for stage in methods[name].stages()}
    assert DEMO.epochs.keys() == stages | set(DEMO.modes.values())
    assert all(hasattr(DEMO.sizes, size) for size in DEMO.epochs.values())


@pytest.mark.slow
def test_demo_end_to_end_then_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = tmp_path / "demo"
    arguments = ["demo", "modally-reduced", "--dest", str(dest), "--scale", "0.03"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "benchmark identification" in printed
    total = int(re.search(r"step 1 of (\d+): ", printed)[1])  # type: ignore[index]
    for number in range(1, total + 1):
        assert len(re.findall(rf"^step {number} of {total}: ", printed, re.M)) == 2
    assert len(re.findall(r"^step \d+ of \d+: .* took \d+ s$", printed, re.M)) == total
    assert "probe of modally_reduced (infarction by lead V2), seed 1" in printed
    model = printed[printed.index("next:\n") :].split("--checkpoint ")[1].split()[0]
    assert Path(model).is_file()
    made = json.loads((dest / "report.json").read_text(encoding="utf-8"))
    assert set(made["schedules"]) == set(TRAININGS)
    assert set(made["infarction_by_lead"]) == set(STANDARD_LEADS)
    assert made["correlation"]["records"] == made["reconstruction"]["records"] > 50
    for name in ("correlation.png", "reconstruction.png"):
        assert (dest / name).read_bytes()[:4] == b"\x89PNG"

    # Nothing is done twice, and the figures are the same.
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "\n$ " not in printed and printed.count(" was done before\n") == total
    again = json.loads((dest / "report.json").read_text(encoding="utf-8"))
    assert again["schedules"] == made["schedules"]

    # A folder with another demo is not mixed with this one.
    assert main([*arguments[:-1], "0.3"]) == 1
    assert "holds a demo with other settings" in capsys.readouterr().err
