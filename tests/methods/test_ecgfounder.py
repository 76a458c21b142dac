"""ECGFounder's files with their own heads: evaluated, embedded, asked and exported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import selfmis_plugin
from selfmis_plugin.benchmark import infarction
from selfmis_plugin.benchmark import timed_training as infarction_training
from selfmis_plugin.benchmark.report import write_infarction_report
from selfmis_plugin.checkpoints import to_ecgfounder
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.supervised.ecgfounder_classes import CLASSES, CLASSES_OF_STATEMENT
from selfmis_plugin.nn.any_class import any_logit
from selfmis_plugin.nn.net1d import Net1D
from selfmis_plugin.synthetic.statements import DIAGNOSTIC
from tests.checkpoint_files import CONFIG, write_classifier, write_ecgfounder, write_towers
from tests.support import TINY, write_store

STATEMENTS = ("NORM", *INFARCTION_TYPES, "NDT")
#: Outputs of the published head, counted off in the authors' tasks.txt.
OUTPUTS = {
    "NORM": [2], "ALMI": [54], "AMI": [17], "ASMI": [12, 40], "IMI": [61], "IPMI": [88],
    "LMI": [24], "PMI": [132],
}  # fmt: skip


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as ECGFounder's weights need it, with every infarction type."""
    return write_store(
        tmp_path_factory.mktemp("filtered") / "store",
        filter="ecgfounder",
        diagnoses=STATEMENTS,
        drawn=STATEMENTS,
    )


def evaluated(
    checkpoint: Path, store: Path, folder: Path, *options: str
) -> tuple[dict[str, Any], pd.DataFrame]:
    arguments = ["evaluate", "--checkpoint", str(checkpoint), "--data", str(store)]
    arguments += ["--json", str(folder / "f.json"), "--predictions", str(folder / "p.parquet")]
    assert main([*arguments, "--draws", "20", *options]) == 0
    return json.loads((folder / "f.json").read_text()), pd.read_parquet(folder / "p.parquet")


def head_by_hand(checkpoint: Path, store: Path, leads: int = 1) -> np.ndarray:
    """Probabilities of every output for the test split, float64."""
    part = open_split(store, "test")
    signal = part.store.read(part.rows, STANDARD_LEADS[:leads]).astype(np.float64)
    signal = (signal - signal.mean((1, 2), keepdims=True)) / signal.std((1, 2), keepdims=True)
    encoder = selfmis_plugin.load_encoder(checkpoint)
    with torch.no_grad():
        embedding = encoder(torch.from_numpy(signal.astype(np.float32))).double().numpy()
    state = torch.load(checkpoint, weights_only=False)["state_dict"]
    weight, bias = (state[f"dense.{name}"].double().numpy() for name in ("weight", "bias"))
    return 1 / (1 + np.exp(-(embedding @ weight.T + bias)))


@pytest.mark.parametrize("leads", [1, 12])
def test_the_published_head_is_judged_by_the_classes_that_name_a_statement(
    leads: int, tmp_path: Path, filtered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_ecgfounder(tmp_path / f"{leads}_lead_ECGFounder.pth", leads)
    figures, table = evaluated(checkpoint, filtered, tmp_path)
    probability = head_by_hand(checkpoint, filtered, leads)
    part = open_split(filtered, "test")
    truth = part.store.targets(part.rows, tuple(OUTPUTS))
    aucs = {}
    for column, (label, outputs) in enumerate(OUTPUTS.items()):
        expected = 1 - np.prod(1 - probability[:, outputs], axis=1)
        found = 1 / (1 + np.exp(-table[f"logit_{label}"].astype(np.float64)))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        aucs[label] = roc_auc_score(truth[:, column], expected)
        assert figures["per_label"][label] == pytest.approx(aucs[label], abs=1e-12)
    assert set(figures["per_label"]) == set(OUTPUTS)
    seven = [aucs[name] for name in INFARCTION_TYPES if name in OUTPUTS]
    assert len(seven) == 7 and figures["mi_auc"] == pytest.approx(np.mean(seven), abs=1e-12)
    # What nobody predicted is named, and is no figure.
    assert figures["not_covered"] == ["ILMI", "IPLMI"]
    assert set(figures["not_in_data"]) == set(CLASSES_OF_STATEMENT) - set(OUTPUTS)
    printed = capsys.readouterr().out
    assert "no output for ILMI, IPLMI" in printed
    assert "mean over the infarction types (*), 7 labels" in printed
    assert "not a label of the data, so left out: NST_, LNGQT" in printed


def test_the_table_of_classes_is_consistent() -> None:
    assert set(CLASSES_OF_STATEMENT) <= set(DIAGNOSTIC)
    names: dict[int, str] = {}
    for classes in CLASSES_OF_STATEMENT.values():
        for number, name in classes.items():
            assert 0 <= number < CLASSES and names.setdefault(number, name) == name
    assert len(set(names.values())) == len(names)
    for label, outputs in OUTPUTS.items():
        assert list(CLASSES_OF_STATEMENT[label]) == outputs


def test_log_odds_of_any_neither_overflow_nor_cancel() -> None:
    values = torch.tensor([-200.0, -40.0, -1.0, 0.0, 3.0, 60.0, 200.0])
    first, second = (grid.flatten() for grid in torch.meshgrid(values, values, indexing="ij"))
    found = any_logit(first, second).double()
    odds = np.expm1(np.logaddexp(0, first.double()) + np.logaddexp(0, second.double()))
    np.testing.assert_allclose(found, np.log(odds), rtol=1e-5)


def fine_tuned(path: Path, classes: int, leads: int = 1) -> Path:
    """Save what the authors' notebook saves after an epoch."""
    dense = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(dense.parameters())
    dense(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max")
    scheduler.step(np.mean([0.5, 0.75]))
    return write_ecgfounder(
        path, leads, classes, epoch=0, step=7, optimizer=optimizer.state_dict(),
        scheduler=scheduler.state_dict(), val_auroc=np.mean([0.5, 0.75]),
    )  # fmt: skip


def test_a_fine_tuned_head_has_the_labels_that_the_user_says(
    tmp_path: Path, filtered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fine_tuned(tmp_path / "checkpoint_7_0.6250.pth", 3)
    names = tmp_path / "tasks.txt"
    names.write_text("IMI\nILMI\nmy finding\n")
    by_file, table = evaluated(checkpoint, filtered, tmp_path, "--labels", str(names))
    by_name, again = evaluated(
        checkpoint, filtered, tmp_path, "--labels", "IMI, ILMI,my finding", "--against",
        str(write_ecgfounder(tmp_path / "1_lead_ECGFounder.pth", seed=1)),
    )  # fmt: skip
    pd.testing.assert_frame_equal(table, again)
    assert by_file["per_label"] == by_name["per_label"]
    assert by_name["difference"]["record"]["labels"].keys() == {"IMI"}
    assert set(by_file["per_label"]) == {"IMI", "ILMI"}
    assert by_file["not_in_data"] == ["my finding"] and "PMI" in by_file["not_covered"]
    probability = head_by_hand(checkpoint, filtered)
    found = 1 / (1 + np.exp(-table["logit_ILMI"].astype(np.float64)))
    np.testing.assert_allclose(found, probability[:, 1], atol=1e-5)
    capsys.readouterr()


def test_the_report_of_a_fine_tuned_head_takes_its_labels_too(
    tmp_path: Path, filtered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fine_tuned(tmp_path / "checkpoint_7_0.6250.pth", 3)
    dest = tmp_path / "report"
    arguments = ["report", "--checkpoint", str(checkpoint), "--data", str(filtered)]
    arguments += ["--dest", str(dest), "--draws", "20", "--worst", "0", "--batch-size", "7"]
    assert main(arguments) == 1
    assert "give the 3 labels" in capsys.readouterr().err and not dest.exists()
    assert main([*arguments, "--labels", "IMI,ILMI,my finding"]) == 0
    _, table = evaluated(checkpoint, filtered, tmp_path, "--labels", "IMI,ILMI,my finding")
    reported = pd.read_parquet(dest / "predictions.parquet")
    pd.testing.assert_frame_equal(reported, table, rtol=1e-5)
    figures = json.loads((dest / "figures.json").read_text())
    assert set(figures["record"]["labels"]) == {"IMI", "ILMI"}
    # The calibration is of these labels as well.
    assert "give the 3 labels" not in str(figures["calibrated"]["problem"])


def test_a_head_of_150_labels_may_be_renamed(tmp_path: Path, filtered: Path) -> None:
    checkpoint = write_ecgfounder(tmp_path / "a.pth")
    names = ",".join(["ILMI", *(f"other {number}" for number in range(149))])
    figures, table = evaluated(checkpoint, filtered, tmp_path, "--labels", names)
    assert set(figures["per_label"]) == {"ILMI"}
    found = 1 / (1 + np.exp(-table["logit_ILMI"].astype(np.float64)))
    np.testing.assert_allclose(found, head_by_hand(checkpoint, filtered)[:, 0], atol=1e-5)


def test_what_cannot_be_judged_says_what_to_do(
    tmp_path: Path, store: Path, filtered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = fine_tuned(tmp_path / "tuned.pth", 3)
    published = write_ecgfounder(tmp_path / "1_lead_ECGFounder.pth")
    plain = tmp_path / "encoder.pth"
    torch.save({"state_dict": to_ecgfounder(Net1D(CONFIG).state_dict(), CONFIG)}, plain)
    headless, diverged, odd = (tmp_path / f"{name}.pth" for name in ("headless", "nan", "odd"))
    state = torch.load(published, weights_only=True)["state_dict"]
    body = {name: value for name, value in state.items() if not name.startswith("dense.")}
    torch.save({"state_dict": body}, headless)
    torch.save({"state_dict": {**state, "dense.bias": torch.full((150,), torch.nan)}}, diverged)
    torch.save({"state_dict": {**state, "dense.bias": torch.zeros(9)}}, odd)
    payload = tmp_path / "payload.pth"
    torch.save({"state_dict": state, "model": Payload()}, payload)
    own = write_classifier(tmp_path / "own.pt")
    for path, options, message in (
        (tuned, [], "3 outputs, and the file does not name them: give the 3 labels .* --labels"),
        (tuned, ["--labels", "IMI,AMI"], "3 outputs, and 2 were given"),
        (tuned, ["--labels", "IMI,AMI,IMI"], "IMI is given twice"),
        (
            tuned,
            ["--labels", "a,b,c"],
            "predicts a, b, c, and no label of that name is in .*/store, which has NORM, ALMI, "
            "AMI, .* IPMI and 4 more: .* name the outputs as the store does, with --labels",
        ),
        (published, ["--labels", "IMI,AMI"], "150 outputs, and 2 were given"),
        (write_ecgfounder(tmp_path / "3.pth", leads=3), [], "reads 3 leads"),
        (plain, [], "its head is all zeros"),
        (headless, [], "without a head"),
        (diverged, [], "NaN or Inf in dense.bias"),
        (odd, [], "does not fit embeddings of 16 values"),
        (payload, [], "can run code"),
        (own, ["--labels", "NORM,AMI,IMI,PMI"], "leave out the labels"),
    ):
        arguments = ["evaluate", "--checkpoint", str(path), "--data", str(filtered), *options]
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert str(path) in error
        assert re.search(message, error), error
    assert not Payload.ran
    # Unfiltered records are not what the weights read.
    assert main(["evaluate", "--checkpoint", str(published), "--data", str(store)]) == 1
    assert "its filter is 'none', not 'ecgfounder'" in (error := capsys.readouterr().err)
    assert "--filter ecgfounder" in error


class Payload:
    """An object that would run code when it is unpickled."""

    ran = False

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("from tests.methods.test_ecgfounder import Payload; Payload.ran = True",)


def test_embedded_without_labels_asked_and_exported(
    tmp_path: Path, filtered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = fine_tuned(tmp_path / "tuned.pth", 3)
    arguments = ["embed", "--checkpoint", str(tuned), "--data", str(filtered)]
    assert main([*arguments, "--out", str(tmp_path / "e.npy")]) == 0
    assert "25 embeddings of 16 values" in capsys.readouterr().out
    # Labels of several classes survive the way through a folder.
    published = write_ecgfounder(tmp_path / "1_lead_ECGFounder.pth")
    folder = tmp_path / "model"
    assert main(["export", "--checkpoint", str(published), "--dest", str(folder)]) == 0
    signal = open_split(filtered, "test").store.read([0], ["I"])[0, 0] / 1000
    first, second = (selfmis_plugin.load_model(path) for path in (published, folder))
    results = [model.predict(signal, 500, quality=0) for model in (first, second)]
    assert results[0].labels[:7] == tuple(name for name in INFARCTION_TYPES if name in OUTPUTS)
    np.testing.assert_array_equal(results[0].logits, results[1].logits)
    # A fine-tuned one is told its labels.
    np.savetxt(tmp_path / "strip.csv", signal, header="mV", comments="")
    ask = ["predict", str(tmp_path / "strip.csv"), "--rate", "500", "--unit", "mV", "--lead", "ECG"]
    assert main([*ask, "--model", str(tuned)]) == 1
    assert "--labels" in capsys.readouterr().err
    assert main([*ask, "--model", str(tuned), "--labels", "IMI,AMI,PMI", "--quality", "0"]) == 0
    assert "PMI" in capsys.readouterr().out


def benchmark(dest: Path, data: Path, *options: str) -> list[str]:
    arguments = ["benchmark", "mi", "--dest", str(dest), "--size", "small", "--data", str(data)]
    sets = [part for override in TINY for part in ("--set", override)]
    return [*arguments, *sets, "--set", "optimization.max_epoch=1", *options]


def test_the_benchmark_probes_a_published_file_and_judges_its_own_head(
    tmp_path: Path, filtered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_ecgfounder(tmp_path / "1_lead_ECGFounder.pth")
    arguments = benchmark(
        tmp_path / "b", filtered, "--single-lead-checkpoint", str(checkpoint), "--methods",
        "ecgfounder", "--modes", "probe,zero_shot", "--fractions", "1.0",
        "--set", "task.sample_rate=500", "--set", "probe:dataset.batch_size=50",
    )  # fmt: skip
    assert main(arguments) == 0
    # Its encoder is probed; its own head needs no training.
    assert capsys.readouterr().out.count("--config-name") == 1
    report = json.loads((tmp_path / "b/report.json").read_text())
    assert report["left_out"] == {} and report["failed"] == {}
    probe, own = sorted(report["cells"], key=lambda cell: cell["mode"])
    assert (own["mode"], own["fraction"], own["train_records"]) == ("zero_shot", 0, 0)
    expected, _ = evaluated(checkpoint, filtered, tmp_path)
    assert own["per_label"] == expected["per_label"]

    # The mean of seven stands beside the probe's mean of the same seven, not of nine.
    text = (tmp_path / "b/report.md").read_text()
    section = text.split("## Own heads")[1].split("##")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ECGFounder")]
    assert "Avg of these 7" in section and "no output of the head names it: ILMI, IPLMI." in section
    seven = [name for name in INFARCTION_TYPES if name in OUTPUTS]
    assert rows[0][10].strip() == f"{100 * own['mi_auc']:.2f}"
    same = np.mean([probe["per_label"][name] for name in seven])
    assert rows[1][10].strip() == f"{100 * same:.2f}" != f"{100 * probe['mi_auc']:.2f}"
    assert "(of 7 types only)" in text.split("## Ways to train on labels")[1]
    table = pd.read_csv(tmp_path / "b/cells.csv").set_index("mode")
    assert table.loc["zero_shot", "mi_types"] == 7 and table.loc["probe", "mi_types"] == 9
    assert table.loc["zero_shot", "macro_labels"] == len(OUTPUTS)
    assert np.isnan(table.loc["zero_shot", "ILMI"])


def test_a_given_file_is_judged_once_and_a_stand_in_for_each_seed(
    tmp_path: Path, filtered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(infarction, "run_steps", lambda wanted, *_: steps.extend(wanted) or {})
    settings = infarction.Settings(
        dest=tmp_path / "b",
        methods=[known_methods()["ecgfounder"], known_methods()["twelve_lead"]],
        data={"labelled": filtered, "archive": filtered},
        fractions=(0.5, 1.0),
        seeds=(1, 2),
        modes=("zero_shot",),
        given={"single_lead_checkpoint": write_ecgfounder(tmp_path / "1_lead.pth")},
    )
    infarction.run_infarction(settings)
    assert [name for name in steps if "zero_shot" in name] == [
        "seed1/ecgfounder/zero_shot/0", "seed1/twelve_lead/zero_shot/0",
        "seed2/twelve_lead/zero_shot/0",
    ]  # fmt: skip


def test_a_stand_in_is_judged_by_its_own_labels(tmp_path: Path, store: Path) -> None:
    options = ["--archive", str(store), "--methods", "ecgfounder", "--modes", "zero_shot"]
    assert main(benchmark(tmp_path / "b", store, *options)) == 0
    report = json.loads((tmp_path / "b/report.json").read_text())
    (cell,) = report["cells"]
    stage = tmp_path / "b/seed1/stages/single_lead_encoder/checkpoints/checkpoint_best.pt"
    expected, _ = evaluated(stage, store, tmp_path)
    assert cell["per_label"] == expected["per_label"] and "SR" in cell["positives"]


def test_a_file_without_a_head_that_fits_is_left_out_with_its_reason(
    tmp_path: Path, store: Path, filtered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        infarction_training, "train", lambda *_: pytest.fail("nothing is to be trained")
    )
    published = write_ecgfounder(tmp_path / "published.pth")
    for given, data, reason in (
        (published, store, "--filter ecgfounder"),
        (fine_tuned(tmp_path / "tuned.pth", 3), filtered, "3 outputs"),
        (write_towers(tmp_path / "towers.pt"), store, "no head of its own"),
    ):
        settings = infarction.Settings(
            dest=tmp_path / given.stem,
            methods=[known_methods()["ecgfounder"]],
            data={"labelled": data},
            modes=("zero_shot",),
            size="small",
            given={"single_lead_checkpoint": given},
        )
        report = infarction.run_infarction(settings)
        assert report["cells"] == [] and report["failed"] == {}
        (name,) = report["left_out"]
        assert name == "seed1/ecgfounder/zero_shot/0" and reason in report["left_out"][name]
        text = write_infarction_report(settings.dest, report, settings.methods)
        assert reason in text.split("## Left out")[1]
