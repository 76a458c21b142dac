"""Classifiers as folders and as ONNX."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import selfmis_plugin
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import SavedModel, write_model
from selfmis_plugin.checkpoints.operation import read_operation
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.evaluation.evaluate import evaluate, predict_split
from selfmis_plugin.export.exporting import prepare_export
from selfmis_plugin.export.model_card import model_card
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.calibrated import PersonLine
from selfmis_plugin.metrics.operating_points import choose_operating_points
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.ranking import LabelScores
from selfmis_plugin.metrics.statistics import judge
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.predict.model import Model
from selfmis_plugin.predict.words import threshold_line
from tests.checkpoint_files import write_classifier, write_towers
from tests.model_folders import SHAPES, saved_model
from tests.strip_files import lead_one
from tests.support import environment, write_store


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "c.pt")


@pytest.fixture(scope="module")
def folder(checkpoint: Path, store: Path) -> Path:
    dest = checkpoint.parent / "exported"
    arguments = ["--checkpoint", str(checkpoint), "--data", str(store), "--dest", str(dest)]
    assert main(["export", *arguments]) == 0
    return dest


def test_a_folder_predicts_what_its_checkpoint_does(checkpoint: Path, folder: Path) -> None:
    signal = lead_one(30) / 1000
    first, second = (selfmis_plugin.load_model(path) for path in (checkpoint, folder))
    # Any infarction, for which a folder has a threshold, comes first.
    assert second.labels == (ANY, *first.labels)
    np.testing.assert_array_equal(
        first.predict(signal, 500).logits, second.predict(signal, 500).logits[:, 1:]
    )
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "model.safetensors"
    }  # fmt: skip


def test_thresholds_and_figures_travel_with_the_model(
    checkpoint: Path, folder: Path, store: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    figures = evaluate(checkpoint, store)["record"]
    test = config["provenance"]["test"]
    assert test["macro_auc"] == figures["macro_auc"] and test["records"] == 25
    either = judge(predict_split(checkpoint, store, "test").with_any(ANY, INFARCTION_TYPES))
    for label, row in test["labels"].items():
        own = figures["labels"][label]["auc"] if label != ANY else either.labels[ANY].auc.to_dict()
        assert row["auc"] == own
    valid = predict_split(checkpoint, store, "valid").with_any(ANY, INFARCTION_TYPES)
    points = config["operating_points"]["labels"]
    assert list(points) == list(valid.labels)
    for column, label in enumerate(valid.labels):
        negatives = valid.logits[~valid.targets[:, column], column]
        kept = np.mean(negatives <= points[label]["logit"])
        assert points[label]["specificity"] == pytest.approx(kept) and kept >= 0.9
    card = (folder / "README.md").read_text()
    low, high = figures["macro_auc"]["low"], figures["macro_auc"]["high"]
    assert f"{figures['macro_auc']['value']:.3f} ({low:.3f}, {high:.3f})" in card
    assert card.startswith("---\n") and "For research, not for diagnosis." in card
    model = selfmis_plugin.load_model(folder)
    for label, result in model.predict(lead_one(10) / 1000, 500).results.items():
        line = config["calibration"].get(label, {"slope": 1.0, "intercept": 0.0})
        odds = line["slope"] * points[label]["logit"] + line["intercept"]
        assert result.threshold == pytest.approx(1 / (1 + np.exp(-odds)))
        assert result.above == (result.probability > result.threshold)


def test_what_other_data_do_not_judge_is_named(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = write_store(
        tmp_path / "few",
        {"valid": 40, "test": 20},
        diagnoses=("NORM", "IMI"),
        drawn=("NORM", "IMI"),
    )
    call = ["export", "--checkpoint", str(folder), "--data", str(few), "--dest"]
    assert main([*call, str(tmp_path / "m")]) == 0
    lost = [name for name in read_model(folder).points if name not in ("NORM", "IMI")]
    assert ANY in lost and ", ".join(lost) in caplog.text and "are left out" in caplog.text
    card = (tmp_path / "m/README.md").read_text()
    assert f"of labels that these data do not judge: {', '.join(lost)}" in card


def test_an_export_of_an_export_is_of_the_data_that_it_is_given(
    tmp_path: Path, folder: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = read_model(folder)
    line = PersonLine(1.0, 0.0, 0.1, 0.0, 0.1, 0.0, 0.5, 9)
    write_model(dataclasses.replace(first, with_person={"AMI": line}), tmp_path / "a", "")
    again = prepare_export(tmp_path / "a", store, specificity=0.5, draws=0)
    # Lines for age and sex are of the records and the threshold of before.
    assert again.with_person == {} and "age and sex" in caplog.text
    assert again.points.keys() == first.points.keys() and ANY in again.points
    assert again.points[ANY].logit < first.points[ANY].logit
    # Nothing is chosen anew without data.
    assert prepare_export(tmp_path / "a").with_person == {"AMI": line}


@given(
    scores=st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=60),
    specificity=st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
@settings(deadline=None)
def test_a_threshold_is_the_lowest_that_keeps_the_specificity(
    scores: list[tuple[int, bool]], specificity: float
) -> None:
    logits = np.array([[score] for score, _ in scores], dtype=np.float32)
    targets = np.array([[positive] for _, positive in scores])
    names = tuple(str(k) for k in range(len(scores)))
    points = choose_operating_points(
        Predictions(names, names, ("AMI",), targets, logits), specificity
    )
    negatives = logits[~targets]
    if not len(negatives):
        assert points == {}
        return
    point = points["AMI"]
    assert point.specificity == np.mean(negatives <= point.logit) >= specificity - 1e-9
    lower = negatives[negatives < point.logit]
    assert not len(lower) or np.mean(negatives <= lower.max()) < specificity
    if targets.any():
        # What `selfmis evaluate` calls the sensitivity at that specificity.
        ones = [np.ones((1, n), dtype=np.float32) for n in (targets.sum(), len(negatives))]
        ranking = LabelScores(targets[:, 0], logits[:, 0]).ranking(*ones, specificity)
        assert point.sensitivity == pytest.approx(ranking.sensitivity[0])


def test_a_folder_is_whole_or_not_at_all(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_model(read_model(checkpoint), tmp_path / "m", card="\ud800")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "m").mkdir()
    with pytest.raises(FileExistsError, match="there already"):
        write_model(read_model(checkpoint), tmp_path / "m", card="")
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"short", "cut short or damaged"),
        ("model.safetensors", None, "copy the whole folder"),
        ("config.json", None, "selfmis export"),
        ("config.json", b"[]", "does not describe"),
        ("config.json", b'{"format": "selfmis_classifier", "version": 2}', "export it again"),
    ],
)
def test_a_damaged_folder_is_named(
    tmp_path: Path, folder: Path, name: str, content: bytes | None, said: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        selfmis_plugin.load_model(copy)


@pytest.mark.parametrize("entry", ["calibration", "with_age_and_sex"])
@pytest.mark.parametrize("name", ["config.json", "model.onnx"])
def test_lines_of_labels_that_there_are_not_are_refused(
    tmp_path: Path, onnx_folder: Path, entry: str, name: str
) -> None:
    copy = Path(shutil.copytree(onnx_folder, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    lines = {
        "calibration": {"method": "platt", "slope": 1.0, "intercept": 0.0, "positives": 5},
        "with_age_and_sex": PersonLine(1.0, 0.0, 0.1, 0.0, 0.1, 0.0, 0.0, 5).to_dict(),
    }
    config.setdefault(entry, {})["AMl"] = lines[entry]
    (copy / "config.json").write_text(json.dumps(config))
    # A whole folder is read by PyTorch, a file of it by ONNX alone.
    path = copy if name == "config.json" else copy / name
    with pytest.raises(ValueError, match=rf"config\.json: .*{entry}\.AMl is none of the labels"):
        selfmis_plugin.load_model(path)


def test_rights_in_weights_go_where_the_weights_go(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def export(source: Path, name: str, *options: str) -> Path:
        dest = tmp_path / name
        assert main(["export", "--checkpoint", str(source), "--dest", str(dest), *options]) == 0
        return dest

    given = export(folder, "given", "--licence", "cc-by-4.0")
    (given / "NOTICE").write_text("Made from the archive of a ward.\n")
    (given / "LICENSE.md").write_text("Its terms.\n")
    again = export(given, "again")
    assert (again / "NOTICE").read_text() == "Made from the archive of a ward.\n"
    assert (again / "LICENSE.md").read_text() == "Its terms.\n"
    card = (again / "README.md").read_text()
    assert "license: cc-by-4.0" in card and "Licence of the weights: cc-by-4.0." in card
    assert "license: mit" in (export(given, "told", "--licence", "mit") / "README.md").read_text()
    assert "license: unknown" in (export(folder, "none") / "README.md").read_text()
    # A card of which the licence cannot be told is no reason to forget it.
    for head in ("license: [mit, gpl]", "license: [mit"):
        (given / "README.md").write_text(f"---\n{head}\n---\n# Card\n")
        arguments = ["--checkpoint", str(given), "--dest", str(tmp_path / "broken")]
        assert main(["export", *arguments]) == 1
        assert "say it with --licence ID" in capsys.readouterr().err
        assert not (tmp_path / "broken").exists()
    assert "license: mit" in (export(given, "said", "--licence", "mit") / "README.md").read_text()


def test_weights_of_another_shape_are_refused(tmp_path: Path, folder: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    config["labels"].append("LMI")
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"misshapen head\.weight"):
        selfmis_plugin.load_model(copy)


def test_errors(
    tmp_path: Path, checkpoint: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        assert main(["export", "--dest", str(tmp_path / "m"), *arguments]) == 1
        assert list(tmp_path.glob("*m*")) == []
        return capsys.readouterr().err

    assert "none.pt" in said("--checkpoint", str(tmp_path / "none.pt"))
    assert "is a folder, and none of" in said("--checkpoint", str(tmp_path))
    towers = write_towers(tmp_path / "t.pt")
    assert "predicts no label" in said("--checkpoint", str(towers))
    assert "valid.tsv" in said("--checkpoint", str(checkpoint), "--data", str(tmp_path))
    untested = write_store(tmp_path / "data", {"train": 2, "valid": 2})
    error = said("--checkpoint", str(checkpoint), "--data", str(untested))
    assert "test.tsv is missing: the splits there are train, valid; give a folder" in error
    assert "--split" not in error  # which export has not
    assert main(["export", "--checkpoint", str(checkpoint), "--dest", str(folder)]) == 1
    assert "there already" in capsys.readouterr().err
    for wrong in (["--int8"], ["--int8", "--format", "onnx"], ["--specificity", "1"]):
        with pytest.raises(SystemExit):
            said("--checkpoint", str(checkpoint), *wrong)


@pytest.fixture(scope="module")
def onnx_folder(checkpoint: Path, store: Path) -> Path:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    dest = checkpoint.parent / "with-onnx"
    arguments = ["--checkpoint", str(checkpoint), "--data", str(store), "--dest", str(dest)]
    assert main(["export", *arguments, "--format", "onnx", "--int8"]) == 0
    return dest


def test_onnx_computes_the_same_without_torch(
    tmp_path: Path, onnx_folder: Path, checkpoint: Path, store: Path
) -> None:
    part = open_split(store, "test")
    signals = part.store.read(part.rows, ["I"])
    np.save(tmp_path / "signals.npy", signals)
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing it raises ImportError
        "import numpy as np\n"
        "from selfmis_plugin.nn.onnx_runtime import OnnxClassifier\n"
        "classifier = OnnxClassifier(sys.argv[1])\n"
        "signals = np.load(sys.argv[2])\n"
        "parts = [classifier.logits(part) for part in (signals[:1], signals[1:8], signals[8:])]\n"
        "np.save(sys.argv[3], np.concatenate(parts))\n"
        "print(*classifier.labels, classifier.leads, classifier.rate, classifier.samples)\n"
    )
    out = tmp_path / "logits.npy"
    files = [str(onnx_folder / "model.onnx"), str(tmp_path / "signals.npy"), str(out)]
    done = subprocess.run(
        [sys.executable, "-c", program, *files],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["NORM", "AMI", "IMI", "PMI", "('I',)", "500.0", "5000"]
    expected = predict_split(checkpoint, store, "test").logits
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)


def test_an_onnx_file_alone_says_what_its_folder_does(tmp_path: Path, onnx_folder: Path) -> None:
    alone = shutil.copy(onnx_folder / "model.onnx", tmp_path / "alone.onnx")
    strip = lead_one(20) / 1000
    model, whole = (selfmis_plugin.load_model(path) for path in (alone, onnx_folder / "model.onnx"))
    assert model.specificity == whole.specificity == 0.9
    assert model.predict(strip, 500).results == whole.predict(strip, 500).results
    assert model.remarks()[1:] == whole.remarks()[1:]


def test_an_onnx_file_alone_is_evaluated_with_what_it_brings(
    tmp_path: Path, onnx_folder: Path, store: Path
) -> None:
    def evaluated(model: Path) -> dict[str, Any]:
        out = tmp_path / "figures.json"
        place = ["--data", str(store), "--draws", "0", "--json", str(out)]
        assert main(["evaluate", "--checkpoint", str(model), *place]) == 0
        return dict(json.loads(out.read_text()))

    alone = Path(shutil.copy(onnx_folder / "model.onnx", tmp_path / "alone.onnx"))
    found, whole = evaluated(alone), evaluated(onnx_folder / "model.onnx")
    assert found["calibrated"]["fitted_on"] == "model" and found["own_thresholds"] is not None
    for entry in ("calibrated", "own_thresholds", "any_infarction", "perhaps_fitted_here"):
        assert found[entry] == whole[entry]


@pytest.mark.parametrize("entry", ["calibration", "operating_points", "labels"])
def test_an_onnx_file_of_another_model_is_refused(
    tmp_path: Path, onnx_folder: Path, entry: str
) -> None:
    copy = Path(shutil.copytree(onnx_folder, tmp_path / "copy"))
    (copy / "model.safetensors").unlink()
    config = json.loads((copy / "config.json").read_text())
    if entry == "labels":
        config["labels"].reverse()
    elif entry == "calibration":
        config["calibration"].pop(ANY)
    else:
        config["operating_points"]["labels"].pop(ANY)
    (copy / "config.json").write_text(json.dumps(config))
    for path in (copy, copy / "model.onnx"):
        with pytest.raises(ValueError, match=r"not of the model that config\.json beside it"):
            selfmis_plugin.load_model(path)
    with pytest.raises(CheckpointError, match=r"not of the model that config\.json beside it"):
        read_operation(copy / "model.onnx")


@pytest.mark.parametrize("left_out", [(), ("calibration", "unlearned", "trained_on")])
def test_onnx_files_of_older_versions_are_read(
    tmp_path: Path, onnx_folder: Path, left_out: tuple[str, ...]
) -> None:
    import onnx

    proto = onnx.load(str(onnx_folder / "model.onnx"))
    described = json.loads(proto.metadata_props[0].value)
    for name in ("operation", *left_out):
        del described[name]
    proto.metadata_props[0].value = json.dumps(described)
    onnx.save(proto, str(tmp_path / "model.onnx"))
    model = selfmis_plugin.load_model(tmp_path / "model.onnx")
    result = model.predict(lead_one(20) / 1000, 500).results["AMI"]
    assert model.specificity is None and result.threshold is not None
    assert bool(model.calibration) == (not left_out)
    assert "that kept its specificity on the records that it was chosen on" in threshold_line(model)
    # The folder says what the file does not.
    shutil.copy(onnx_folder / "config.json", tmp_path)
    model = selfmis_plugin.load_model(tmp_path / "model.onnx")
    assert model.specificity == 0.9 and model.calibration


def test_onnx_files_say_nothing_of_the_machine(onnx_folder: Path) -> None:
    for file in onnx_folder.glob("*.onnx"):
        content = file.read_bytes()
        for place in (sys.prefix, str(Path(__file__).parents[2])):
            assert place.encode() not in content, file.name


def test_what_was_measured_on_onnx_is_kept(
    onnx_folder: Path, checkpoint: Path, store: Path
) -> None:
    from selfmis_plugin.nn.onnx_runtime import OnnxClassifier

    facts = json.loads((onnx_folder / "config.json").read_text())["provenance"]["onnx"]
    whole, reduced = facts["model.onnx"], facts["model.int8.onnx"]
    assert whole["largest_logit_difference"] < 1e-5
    assert whole["compared_on"] == "16 windows of the test split"
    assert whole["macro_auc"] == pytest.approx(evaluate(checkpoint, store, draws=0)["macro_auc"])
    assert 0 <= reduced["macro_auc"] <= 1
    card = (onnx_folder / "README.md").read_text()
    for name in facts:
        assert facts[name]["bytes"] == (onnx_folder / name).stat().st_size
        assert name in card
    part = open_split(store, "test")
    signals = part.store.read(part.rows, ["I"])
    exact, quantised = (OnnxClassifier(onnx_folder / name).logits(signals) for name in facts)
    assert not np.array_equal(exact, quantised)
    np.testing.assert_allclose(quantised, exact, atol=0.1)
    thresholds = OnnxClassifier(onnx_folder / "model.onnx").thresholds
    points = selfmis_plugin.load_model(onnx_folder).saved.points
    assert thresholds == {label: point.logit for label, point in points.items()}


def test_a_filter_is_applied_before_the_network(tmp_path: Path, checkpoint: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from selfmis_plugin.export.onnx_files import make_onnx
    from selfmis_plugin.nn.onnx_runtime import OnnxClassifier

    saved = _filtered(prepare_export(checkpoint))
    made = make_onnx(saved, tmp_path, None, int8=False)
    assert made.facts["model.onnx"]["compared_on"] == "16 synthetic windows"
    classifier = OnnxClassifier(made.paths["model.onnx"])
    signal = lead_one(10)
    model = Model(saved)
    expected = model.predict(signal, 500, "uV").logits
    order = [model.labels.index(label) for label in classifier.labels]
    found = classifier.logits(signal[None, None])
    np.testing.assert_allclose(found, expected[:, order], atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(signal[None, None]), torch.sigmoid(
        torch.from_numpy(found)
    ), atol=1e-6)  # fmt: skip
    unfiltered = Model(prepare_export(checkpoint)).predict(signal, 500, "uV").logits
    assert np.abs(unfiltered - expected).max() > 1e-3
    with pytest.raises(ValueError, match="windows of 5000 samples at 500 Hz"):
        classifier.logits(signal[None, :100])


def test_an_odd_number_of_samples_is_pooled_with_zero(tmp_path: Path) -> None:
    """onnxruntime's own padding of a max-pool is no zero; the encoder's is."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from selfmis_plugin.export.onnx_files import make_onnx

    torch.manual_seed(3)
    config = Net1DConfig(
        base_filters=8, filters=(8,) * 5, blocks=(1,) * 5, group_width=8, in_leads=1
    )
    network = EncoderClassifier(config, 3, ("I",), ("I",))
    classifier = LoadedClassifier(
        Path("c.pt"),
        config,
        ("A", "B", "C"),
        Preprocessing(500, 10.0, ("I",), "none"),
        False,
        network.state_dict(),
    )
    facts = make_onnx(SavedModel(classifier, 500), tmp_path, None, int8=False).facts
    assert facts["model.onnx"]["largest_logit_difference"] < 1e-6


def _filtered(saved: SavedModel) -> SavedModel:
    preprocessing = dataclasses.replace(saved.classifier.preprocessing, filter="ecgfounder")
    classifier = dataclasses.replace(saved.classifier, preprocessing=preprocessing)
    return dataclasses.replace(saved, classifier=classifier)


def test_a_card_says_what_the_network_does_first() -> None:
    said = {}
    for name, shape in SHAPES.items():
        about = {"plugin_version": "0", "checkpoint": "c.pt", "checkpoint_sha256": "0"}
        (line,) = [
            line
            for line in model_card(saved_model(shape, provenance=about)).splitlines()
            if "own first step" in line
        ]
        said[name] = line.partition("own first step is ")[2]
    whole = "the z-score over all leads and samples of a window"
    assert said["net1d"] == f"{whole}."
    assert said["st_mem"] == f"{whole}, and again of each crop of it."
    assert said["modally_reduced"] == "the z-score of each lead by itself."
    assert "millivolts at 100 Hz, which are not normalised" in said["heartlang"]
    for name in set(said) - {"net1d", "st_mem", "modally_reduced", "heartlang"}:
        assert "microvolts, which are not normalised" in said[name]
        assert said[name].endswith(f"encoder of these is {whole}.")


@pytest.mark.parametrize(("lead", "seconds"), [("arm band", 10.0), ("I", 30.0)])
def test_onnx_without_data_is_of_any_channel_and_length(
    tmp_path: Path, lead: str, seconds: float
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    source, dest = tmp_path / "source", tmp_path / "dest"
    about = {"plugin_version": "0", "checkpoint": "c.pt", "checkpoint_sha256": "0"}
    model = saved_model(SHAPES["net1d"], (lead,), seconds, provenance=about)
    write_model(model, source, "")
    call = ["export", "--checkpoint", str(source), "--dest", str(dest), "--format", "onnx"]
    assert main(call) == 0
    from selfmis_plugin.nn.onnx_runtime import OnnxClassifier

    classifier = OnnxClassifier(dest / "model.onnx")
    assert (classifier.leads, classifier.samples) == ((lead,), 500 * seconds)


def test_a_folder_that_is_exported_again_describes_no_onnx_file(
    tmp_path: Path, onnx_folder: Path
) -> None:
    dest = tmp_path / "again"
    assert main(["export", "--checkpoint", str(onnx_folder), "--dest", str(dest)]) == 0
    config = json.loads((dest / "config.json").read_text())
    assert "onnx" not in config["provenance"] and "test" in config["provenance"]
    assert "ONNX" not in (dest / "README.md").read_text()
