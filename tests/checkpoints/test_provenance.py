"""Where records come from is said by everything that was trained on them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from selfmis_plugin import load_encoder, load_model, save_encoder
from selfmis_plugin.checkpoints.facts import TrainingFacts, facts_in, read_facts
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.origin import Origin, origins_of
from selfmis_plugin.data.provenance import TrainedOn, headline, provenance_lines
from selfmis_plugin.data.store import Store
from selfmis_plugin.synthetic.cohort import write_cohort
from tests.checkpoint_files import write_classifier
from tests.host_in_process import Training
from tests.strip_files import lead_one
from tests.support import TINY, train, write_store

SYNTHETIC = Origin(
    "synthetic", "SelfMIS synthetic cohort, version 2, ptbxl layout, 12 records, seed 3"
)
#: Settings of a training that moves nothing.
RESTING = {"optimization.max_update": 1, "optimization.lr": [1e-12], "lr_scheduler.lr": [1e-12]}
STATED = Origin("stated", "a ward's archive")


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a synthetic cohort, and with records that say nothing of themselves."""
    folder = tmp_path_factory.mktemp("records")
    write_cohort(folder / "cohort", "ptbxl", 12, seed=3)
    (folder / "ward").mkdir()
    for path in sorted((folder / "cohort" / "records500").rglob("*"))[:5]:
        if path.is_file():
            (folder / "ward" / path.name).write_bytes(path.read_bytes())
    return folder


def prepare(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def test_a_cohort_is_known_whichever_way_it_is_prepared(
    cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare("ptbxl", cohorts / "cohort", "--dest", tmp_path / "a", "--workers", 1) == 0
    assert f"origin: synthetic ({SYNTHETIC.text})" in capsys.readouterr().out
    below = next(p for p in (cohorts / "cohort" / "records500").iterdir() if p.is_dir())
    assert prepare("wfdb-folder", below, "--dest", tmp_path / "b", "--workers", 1) == 0
    for name in ("a", "b"):
        assert Store.open(tmp_path / name).info.origins == (SYNTHETIC,)


def test_a_mixture_names_every_part(cohorts: Path, tmp_path: Path) -> None:
    assert prepare("wfdb-folder", cohorts, "--dest", tmp_path / "s", "--workers", 1) == 0
    unknown = Origin("not recorded")
    assert Store.open(tmp_path / "s").info.origins == (SYNTHETIC, unknown)
    stated = ["--origin", STATED.text, "--overwrite", "--workers", 1]
    assert prepare("wfdb-folder", cohorts, "--dest", tmp_path / "s", *stated) == 0
    assert Store.open(tmp_path / "s").info.origins == (SYNTHETIC, STATED)


def test_what_is_stated_does_not_hide_what_the_files_say(
    cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = ["--dest", tmp_path / "s", "--origin", "PTB-XL", "--workers", 1]
    assert prepare("ptbxl", cohorts / "cohort", *stated) == 1
    assert "leave --origin out" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_damaged_cohort_is_a_cohort_and_other_files_of_that_name_are_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "cohort.json").write_text('{"format": "selfmis-synthetic-cohort", "rec')
    assert origins_of(tmp_path, ["a"])[0].kind == "synthetic"
    (tmp_path / "cohort.json").write_text('{"format": "another"}')
    assert origins_of(tmp_path, ["a"]) == ()


@pytest.mark.parametrize(
    ("origins", "text"),
    [
        ([()], "Trained on records whose origin is not recorded."),
        ([(SYNTHETIC,), (SYNTHETIC,)], f"Trained on synthetic records: {SYNTHETIC.text}."),
        ([(STATED,)], "Trained on records of stated origin: a ward's archive."),
        (
            [(SYNTHETIC,), ()],
            f"Trained on a mixture: synthetic ({SYNTHETIC.text}); origin not recorded.",
        ),
    ],
)
def test_one_sentence_says_it(origins: list[tuple[Origin, ...]], text: str) -> None:
    steps = tuple(TrainedOn(f"step{k}", "d", 5, found) for k, found in enumerate(origins))
    assert headline(steps) == text
    assert headline(steps, short=True) == text.split(":")[0].rstrip(".") + "."
    assert len(provenance_lines(steps)) == len(steps)
    assert headline(()) == "Trained on records whose origin is not recorded."


class Runs:
    """A pre-training on synthetic records, and a probe on others that starts from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = write_store(folder / "before", origins=(SYNTHETIC,))
        # Nobody has NORM: see what is drawn.
        self.after = write_store(folder / "after", seed=1, drawn=("AMI", "IMI"), origins=(STATED,))
        train(
            [
                *("--config-name", "selfmis_supervised_small", "task.data=before", *TINY),
                *("optimization.max_epoch=1", "dataset.batch_size=25", "hydra.run.dir=first"),
                "task.leads=[I]",
            ],
            folder,
        )
        self.first = folder / "first/checkpoints/checkpoint_last.pt"
        changes = {
            "task.data": str(self.after),
            "model.encoder_checkpoint": str(self.first),
        }
        self.probe = Training(self.first, folder / "second", **changes).last
        self.second = folder / "second/checkpoints/checkpoint_last.pt"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def steps_of(facts: TrainingFacts) -> list[tuple[str, str, int, tuple[Origin, ...]]]:
    return [(s.step, s.database, s.records, s.origins) for s in facts.provenance]


def test_a_checkpoint_names_every_training_before_it(runs: Runs) -> None:
    first = ("selfmis_classifier", "ptbxl", 100, (SYNTHETIC,))
    assert steps_of(read_facts(runs.first)) == [first]
    second = ("selfmis_classifier", "ptbxl", 100, (STATED,))
    assert steps_of(read_facts(runs.second)) == [first, second]


def test_an_exported_folder_hands_its_trainings_on(runs: Runs, tmp_path: Path) -> None:
    folder, other = tmp_path / "model", Origin("stated", "another ward")
    assert main(["export", "--checkpoint", str(runs.second), "--dest", str(folder)]) == 0
    store = write_store(tmp_path / "store", seed=2, drawn=("AMI", "IMI"), origins=(other,))
    for started in ("encoder", "classifier"):
        changes = {**RESTING, "task.data": str(store), "model.encoder_checkpoint": None}
        changes[f"model.{started}_checkpoint"] = str(folder)
        trained = Training(runs.second, tmp_path / started, **changes).last
        steps = facts_in(trained, "t.pt").provenance
        assert [s.origins for s in steps] == [(SYNTHETIC,), (STATED,), (other,)], started
        assert all(step.people for step in steps)


def test_going_on_repeats_nothing_and_other_data_are_added(runs: Runs, tmp_path: Path) -> None:
    again = {"optimization.max_epoch": 2, "checkpoint.restore_file": str(runs.second)}
    went_on = Training(runs.second, tmp_path / "on", **again).last
    assert steps_of(facts_in(went_on, "on.pt")) == steps_of(read_facts(runs.second))
    other = {
        "model.encoder_checkpoint": None,
        "checkpoint.finetune_from_model": str(runs.first),
        "task.data": str(runs.after),
    }
    tuned = Training(runs.first, tmp_path / "tuned", **other).last
    assert [s.origins for s in facts_in(tuned, "t.pt").provenance] == [(SYNTHETIC,), (STATED,)]


def test_a_new_head_begins_at_how_common_its_labels_are(runs: Runs, tmp_path: Path) -> None:
    """One update at a rate of nearly nothing leaves the biases where they began."""
    quick = {**RESTING, "criterion.positive_weight_cap": 4.0}
    probe = Training(runs.second, tmp_path / "at", **quick).last
    counts = read_facts(runs.second).labels
    assert counts is not None and counts.records == 100
    bias = dict(
        zip(probe["task_state"]["labels"], probe["model"]["network.head.bias"], strict=True)
    )
    for name, found in bias.items():
        p = counts.positives[name]
        w = min(4.0, (100 - p) / p) if p else 4.0
        assert float(found) == pytest.approx(math.log(w * (p + 1) / (101 - p)), abs=1e-4)
    off = Training(runs.second, tmp_path / "off", **quick, **{"model.bias_from_prevalence": False})
    assert off.last["model"]["network.head.bias"].abs().max() < 0.5


def test_a_classifier_goes_on_with_its_trained_head(runs: Runs, tmp_path: Path) -> None:
    quick = RESTING
    start = {"model.encoder_checkpoint": None, "model.classifier_checkpoint": str(runs.second)}
    last = Training(runs.second, tmp_path / "two", **quick, **start).last
    assert torch.allclose(
        last["model"]["network.head.bias"], runs.probe["model"]["network.head.bias"], atol=1e-6
    )


@pytest.fixture(scope="module")
def exported(runs: Runs) -> Path:
    dest = runs.folder / "exported"
    arguments = ["--checkpoint", runs.second, "--data", runs.after, "--dest", dest]
    assert main(["export", *map(str, arguments), "--licence", "cc-by-4.0"]) == 0
    return dest


def test_an_encoders_file_says_it(runs: Runs, tmp_path: Path) -> None:
    encoder = load_encoder(runs.first)
    save_encoder(encoder, tmp_path / "e.safetensors")
    assert read_facts(tmp_path / "e.safetensors").provenance == encoder.provenance
    assert load_encoder(tmp_path / "e.safetensors").provenance[0].origins == (SYNTHETIC,)


def test_a_model_folder_and_its_card_say_it(exported: Path, runs: Runs) -> None:
    config = json.loads((exported / "config.json").read_text())
    assert load_model(exported).saved.facts == read_facts(runs.second)
    assert [s["origins"][0]["kind"] for s in config["training"]["provenance"]] == [
        "synthetic", "stated",
    ]  # fmt: skip
    card = (exported / "README.md").read_text()
    assert "Trained on a mixture: synthetic (SelfMIS synthetic cohort" in card


def test_the_hub_reads_the_cards_head(exported: Path) -> None:
    yaml = pytest.importorskip("yaml")
    head = yaml.safe_load((exported / "README.md").read_text().split("---\n")[1])
    assert head["license"] == "cc-by-4.0" and "synthetic-data" in head["tags"]
    assert head["datasets"] == ["selfmis-synthetic-cohort", "ptbxl"]
    (index,) = head["model-index"]
    assert index["name"] == "exported"
    assert {metric["type"] for metric in index["results"][0]["metrics"]} == {"roc_auc"}


def test_labels_without_a_positive_have_no_probability_and_no_threshold(
    exported: Path, runs: Runs
) -> None:
    model = load_model(exported)
    assert set(model.unlearned) == set(runs.probe["task_state"]["labels"]) - {"AMI", "IMI"}
    found = model.predict(lead_one(10), 500, "uV", quality=0)
    assert set(found.results) == set(found.points) == {"any infarction", "AMI", "IMI"}
    assert found.probabilities.shape == (1, 3)
    assert any("No probability" in line for line in model.remarks())


def predicted(model: Path, runs: Runs, tmp_path: Path, capsys: Any) -> tuple[str, dict[str, Any]]:
    samples = "\n".join(f"{value:.1f}" for value in lead_one(10))
    (tmp_path / "ecg.csv").write_text(f"I\n{samples}\n")
    capsys.readouterr()
    options = ["--rate", "500", "--units", "uV", "--quality", "0", "--json", tmp_path / "p.json"]
    assert (
        main(["predict", "--model", str(model), str(tmp_path / "ecg.csv"), *map(str, options)]) == 0
    )
    return capsys.readouterr().out, json.loads((tmp_path / "p.json").read_text())


def test_a_prediction_ends_with_it(exported: Path, runs: Runs, tmp_path: Path, capsys: Any) -> None:
    out, said = predicted(exported, runs, tmp_path, capsys)
    assert "Trained on a mixture: synthetic" in out
    assert [step["records"] for step in said["trained_on"]] == [100, 100]
    assert set(said["not_learned"]) == set(load_model(exported).unlearned)
    out, said = predicted(runs.second, runs, tmp_path, capsys)
    assert "Probabilities are not calibrated" in out and said["calibration"] == {}


def test_files_that_say_nothing_are_never_taken_for_real(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "run/checkpoints/c.pt")
    (step,) = read_facts(path).provenance
    assert step.origins == () and headline((step,)).endswith("origin is not recorded.")
    assert "real" not in str(step)


def test_evaluate_and_report_begin_with_it(runs: Runs, tmp_path: Path, capsys: Any) -> None:
    place = ["--checkpoint", str(runs.second), "--data", str(runs.after)]
    assert main(["evaluate", *place, "--draws", "0", "--json", str(tmp_path / "f.json")]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("Trained on a mixture: synthetic")
    assert json.loads((tmp_path / "f.json").read_text())["trained_on"][0]["database"] == "ptbxl"
    report = ["--dest", str(tmp_path / "r"), "--draws", "5"]
    assert main(["report", *place, *report]) == 0
    page = (tmp_path / "r/report.html").read_text()
    assert page.index("Trained on a mixture") < page.index("Mean AUC")


def test_evaluate_and_report_say_that_a_model_was_trained_on_these_people(
    runs: Runs, exported: Path, tmp_path: Path, capsys: Any
) -> None:
    said = "WARNING: 100 of the 100 patients of these records were in the model's training"
    place = ["--data", str(runs.after), "--json", str(tmp_path / "f.json"), "--draws", "0"]
    for model, split in ((runs.second, "train"), (exported, "train"), (exported, "test")):
        capsys.readouterr()
        assert main(["evaluate", "--checkpoint", str(model), *place, "--split", split]) == 0
        out, seen = capsys.readouterr().out, json.loads((tmp_path / "f.json").read_text())
        if split == "train":
            assert out.splitlines()[2].startswith(said)
            assert seen["seen_in_training"]["records"] == 100
        else:
            assert "WARNING" not in out and seen["seen_in_training"] is None
    report = ["--checkpoint", str(exported), "--data", str(runs.after), "--draws", "5"]
    assert main(["report", *report, "--split", "train", "--dest", str(tmp_path / "r")]) == 0
    page = (tmp_path / "r/report.html").read_text()
    # An apostrophe is another sign there; digests are for no reader.
    assert said.partition("'")[0].removesuffix("model") in page and '"people"' not in page
    assert json.loads((tmp_path / "r/figures.json").read_text())["seen_in_training"]["seen"] == 100


def test_an_export_to_people_of_the_training_says_so(
    runs: Runs, tmp_path: Path, capsys: Any
) -> None:
    # The training split of this copy holds nobody, the validation split those who were trained on.
    copy = write_store(tmp_path / "copy", seed=1, drawn=("AMI", "IMI"), origins=(STATED,))
    for manifest, source in (("valid", "train"), ("test", "test")):
        rows = (runs.after / f"{source}.tsv").read_text().replace(str(runs.after), str(copy))
        (copy / f"{manifest}.tsv").write_text(rows)
    call = ["export", "--checkpoint", str(runs.second), "--data", str(copy)]
    assert main([*call, "--dest", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    said = "100 of the 100 patients of these records were in the model's training"
    assert f"thresholds and calibration: WARNING: {said}" in out and "figures: WARNING" not in out
    card = (tmp_path / "m/README.md").read_text()
    assert "**Thresholds and calibration**" in card and "**Figures**" not in card
    # Whom they were fitted to is known of the export, whatever the split is called.
    figures = tmp_path / "f.json"
    place = ["--checkpoint", str(tmp_path / "m"), "--draws", "0", "--json", str(figures)]
    for data, split, fitted in ((runs.after, "train", True), (copy, "test", False)):
        assert main(["evaluate", *place, "--data", str(data), "--split", split]) == 0
        assert json.loads(figures.read_text())["perhaps_fitted_here"] is fitted
        assert ("may have been fitted to these records" in capsys.readouterr().out) is fitted
    config = tmp_path / "m/config.json"
    values = json.loads(config.read_text())
    for people in ("?", 5):
        values["provenance"]["valid"]["people"] = people
        config.write_text(json.dumps(values))
        assert main(["evaluate", *place, "--data", str(copy)]) == 1
        said = capsys.readouterr().err
        assert f"{config}: does not describe" in said and "provenance.valid.people" in said


@pytest.mark.parametrize(
    "wrong", [5, [5], [{"step": 1}], [{"step": "s", "database": "", "records": "x", "origins": []}]]
)
def test_what_was_changed_by_hand_is_refused(
    runs: Runs, tmp_path: Path, wrong: Any, capsys: Any
) -> None:
    payload = torch.load(runs.second, weights_only=False)
    payload["task_state"]["provenance"] = wrong
    torch.save(payload, tmp_path / "c.pt")
    assert main(["predict", "--model", str(tmp_path / "c.pt"), "x.csv"]) == 1
    assert "says wrongly on what it was trained" in capsys.readouterr().err
