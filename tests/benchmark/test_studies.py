"""The commands that ask a model about its leads, on an untrained tiny network."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin import load_encoder
from selfmis_plugin.checkpoints.facts import TrainingFacts, facts_state
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store, StoreWriter
from selfmis_plugin.data.trained_people import people_of
from selfmis_plugin.evaluation.lead_models import embed_beats
from selfmis_plugin.metrics.beats import r_peaks
from selfmis_plugin.metrics.identification import identify
from selfmis_plugin.metrics.lead_correlation import correlate_leads
from selfmis_plugin.metrics.lead_synthesis import score
from selfmis_plugin.nn.encoder import build_input
from selfmis_plugin.synthetic import simulate
from tests.checkpoint_files import (
    write_classifier,
    write_generator,
    write_modally_reduced,
    write_towers,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_persons(tmp_path_factory.mktemp("studies") / "store")


def write_persons(path: Path, flat: tuple[int, ...] = ()) -> Path:
    """Write persons of two recordings each, by split; those of *flat* persons have no beat."""
    with StoreWriter(path, database="synthetic", label_sets={}) as writer:
        for split, persons in (("train", range(4)), ("test", range(4, 10))):
            for person in persons:
                for visit in range(2):
                    signal = simulate(seed=5, patient=person, visit=visit).signal
                    signal = signal * (person not in flat)
                    writer.append(
                        np.rint(signal).astype(np.int16),
                        {
                            "record_id": f"{person}-{visit}",
                            "patient_id": str(person),
                            "source": f"{person}/{visit}",
                            "split": split,
                            "repaired": "",
                            "lead_mask": 4095,
                            "labels": [],
                            "strat_fold": None,
                        },
                    )
    return path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    first = write_modally_reduced(folder / "one.pt", seed=1)
    return first, write_modally_reduced(folder / "two.pt", seed=2)


def run(name: str, dest: Path, store: Path, checkpoints: tuple[Path, Path]) -> dict:
    """Run a command as a user would, and return what it wrote."""
    arguments = ["benchmark", name, "--checkpoint", str(checkpoints[0]), "--data", str(store)]
    arguments += ["--against", f"other={checkpoints[1]}", "--dest", str(dest)]
    assert main(arguments) == 0
    return json.loads((dest / f"{name}.json").read_text(encoding="utf-8"))


def test_correlation(tmp_path: Path, store: Path, checkpoints: tuple[Path, Path]) -> None:
    figures = run("correlation", tmp_path, store, checkpoints)
    assert list(figures["networks"]) == ["untrained", "other", "aligned"]
    model = load_trained(checkpoints[0]).model(500)
    raw = torch.from_numpy(Store.open(store).signals[8:].copy())
    with torch.no_grad():
        expected = correlate_leads(model.embed(raw).numpy(), STANDARD_LEADS)
    found = figures["networks"]["aligned"]
    np.testing.assert_allclose(found["centred"]["matrix"], expected.centred.same, atol=1e-4)
    assert figures["records"] == 12 and found["leads"] == list(STANDARD_LEADS)
    assert (tmp_path / "correlation.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(csv.DictReader((tmp_path / "correlation.csv").open(encoding="utf-8")))
    assert len(rows) == 3 * 2 * 2 * 12
    assert "different leads" in (tmp_path / "correlation.md").read_text(encoding="utf-8")


def test_reconstruction(tmp_path: Path, store: Path, checkpoints: tuple[Path, Path]) -> None:
    figures = run("reconstruction", tmp_path, store, checkpoints)
    assert figures["training_records"] == 8 and figures["records"] == 12
    model = load_trained(checkpoints[0]).model(500)
    raw = torch.from_numpy(Store.open(store).signals[8:].copy())
    with torch.no_grad():
        truth, made = model.prepare(raw).numpy(), model.decode_from(raw[:, 0], 0).numpy()
    expected = score(truth, made, STANDARD_LEADS).to_dict("I")
    found = figures["fits"]["decoders"]
    assert found["mean_correlation"] == pytest.approx(expected["mean_correlation"], abs=1e-4)
    assert found["rmse"]["V6"] == pytest.approx(expected["rmse"]["V6"], abs=1e-4)
    assert set(figures["correlation_above"]) == {
        "other", "mean ECG", "nearest record", "mean beat at each R peak",
    }  # fmt: skip
    # What the true beats are put at is better than what knows nothing.
    fits = {name: fit["mean_correlation"] for name, fit in figures["fits"].items()}
    assert fits["mean beat at each R peak"] > fits["mean ECG"]
    for of in figures["correlation_above"].values():
        assert of["low"] <= of["value"] <= of["high"]
    assert (tmp_path / "reconstruction.png").read_bytes()[:4] == b"\x89PNG"
    text = (tmp_path / "reconstruction.md").read_text(encoding="utf-8")
    assert "do not beat the mean beat at each R peak" in text


def test_synthesis(tmp_path: Path, store: Path, checkpoints: tuple[Path, Path]) -> None:
    generator, towers = write_generator(tmp_path / "made.pt"), write_towers(tmp_path / "towers.pt")
    arguments = ["benchmark", "synthesis", "--checkpoint", str(generator), "--data", str(store)]
    arguments += ["--encoder", str(towers), "--view", "multi", "--dest", str(tmp_path)]
    assert main([*arguments, "--against", f"decoders={checkpoints[0]}"]) == 0
    found = json.loads((tmp_path / "synthesis.json").read_text(encoding="utf-8"))
    assert found["records"] == 12 and found["training_records"] == 8
    made, real = found["made"], found["real"]
    assert list(made) == [
        "generator", "decoders", "mean ECG", "nearest record", "mean beat at each R peak",
        "linear map", "lead I among zeros",
    ]  # fmt: skip
    # What was given is there as it is, and counts for nothing.
    for of in made.values():
        assert of["correlation"]["I"] == pytest.approx(1) and of["rmse"]["I"] == 0
        others = [value for lead, value in of["rmse"].items() if lead != "I"]
        assert of["mean_rmse"] == pytest.approx(np.mean(others))
        assert 0 <= of["latent_distance"]["low"] <= of["latent_distance"]["value"]
    # By hand, of lead I among zeros: the signal is as far away as it is large.
    part = open_split(store, "test")
    signals = part.store.read(part.rows, STANDARD_LEADS).astype(np.float64)
    size = np.sqrt(np.square(signals[:, 1:]).mean(axis=-1)).mean()
    assert made["lead I among zeros"]["mean_rmse"] == pytest.approx(size)
    # And of the generator, through the encoder as the library gives it.
    trained, encoder = load_trained(generator), load_encoder(towers, view="multi")
    prepare = build_input(encoder.config, STANDARD_LEADS, 500, 100)
    known = open_split(store, "train")

    def embedded(leads: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return encoder(prepare(torch.from_numpy(leads))).numpy()

    of_train = embedded(known.store.read(known.rows, STANDARD_LEADS))
    with torch.no_grad():
        leads = trained.generator(500)(torch.from_numpy(signals[:, :1]).float()).numpy()
    rows = [
        (embedded(side.astype(np.float32)) - of_train.mean(0)) / of_train.std(0)
        for side in (leads, signals)
    ]
    cosine = (rows[0] * rows[1]).sum(1) / np.prod([np.linalg.norm(r, axis=1) for r in rows], axis=0)
    distance = made["generator"]["latent_distance"]["value"]
    assert distance == pytest.approx(1 - cosine.mean(), abs=1e-4)
    # Halves of six records of three persons, either against the other, five times.
    assert len(real["frechet_splits"]) == len(made["generator"]["frechet_splits"]) == 10
    assert real["frechet"] == pytest.approx(np.mean(real["frechet_splits"]))
    text = (tmp_path / "synthesis.md").read_text(encoding="utf-8")
    assert "(floor)" in text and "of 6 and 6 records" in text
    for picture in ("leads.png", "embeddings.png"):
        assert (tmp_path / picture).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", ["correlation", "reconstruction", "identification", "synthesis"])
def test_a_study_says_whom_a_model_was_trained_on(
    tmp_path: Path, store: Path, checkpoints: tuple[Path, Path], name: str
) -> None:
    # The other model has read the very records that are asked about.
    part = open_split(store, "test")
    step = TrainedOn("stage one", people=people_of(part.store, part.rows))
    content = torch.load(checkpoints[1], weights_only=False)
    content["task_state"] |= facts_state(TrainingFacts((step,)))
    torch.save(content, tmp_path / "read.pt")
    call = ["benchmark", name, "--checkpoint", str(checkpoints[0]), "--data", str(store)]
    call += ["--against", f"other={tmp_path / 'read.pt'}", "--dest", str(tmp_path / "out")]
    if name == "synthesis":
        call += ["--encoder", str(write_towers(tmp_path / "towers.pt")), "--view", "multi"]
    assert main(call) == 0
    text = (tmp_path / f"out/{name}.md").read_text()
    assert text.startswith("**other**: WARNING: 6 of the 6 patients of these records were in")
    assert text.count("WARNING") == 1
    seen = json.loads((tmp_path / f"out/{name}.json").read_text())["seen_in_training"]
    assert {name for name, found in seen.items() if found} == {"other"} and len(seen) >= 2


def test_what_makes_no_leads_or_embeds_others_is_refused(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, towers = write_generator(tmp_path / "made.pt"), write_towers(tmp_path / "towers.pt")
    for checkpoint, view, more, message in (
        (towers, "multi", [], "makes no leads"),
        (generator, "single", [], "not the twelve standard leads"),
        (generator, "multi", ["--lead", "II"], "from lead I, not from lead II"),
    ):
        arguments = ["benchmark", "synthesis", "--checkpoint", str(checkpoint), "--view", view]
        arguments += ["--data", str(store), "--encoder", str(towers), "--dest", str(tmp_path / "d")]
        assert main([*arguments, *more]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_identification(tmp_path: Path, store: Path, checkpoints: tuple[Path, Path]) -> None:
    figures = run("identification", tmp_path, store, checkpoints)
    model = load_trained(checkpoints[0]).model(500)
    raw = torch.from_numpy(Store.open(store).signals[8:, :1].copy())
    with torch.no_grad():
        vectors = model.embed(raw, [0]).numpy()[:, 0]
        one = raw[3, 0].numpy()
        beats = [
            model.embed(torch.from_numpy(one[None, None, peak - 125 : peak + 250]), [0])[0, 0]
            for peak in 2 * r_peaks(one[None], 500)[1][0]
            if peak >= 125 and peak + 250 <= 5000
        ]
    found_beats = embed_beats(model, open_split(store, "test"), "I", 0)
    np.testing.assert_allclose(found_beats[3], torch.stack(beats).mean(0).numpy(), atol=1e-4)
    persons = [str(person) for person in range(4, 10) for _ in range(2)]
    for rule in ("first", "others"):
        found = figures["found"]["embedding of the whole recording"][rule]
        expected = identify(vectors, persons, rule).to_dict()
        assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert figures["found"]["average beat"]["first"]["persons"] == 6
    assert "chance" in (tmp_path / "identification.md").read_text(encoding="utf-8")


def test_recordings_without_a_beat_are_counted_and_recognise_nobody(
    tmp_path: Path, checkpoints: tuple[Path, Path]
) -> None:
    found = run("identification", tmp_path, write_persons(tmp_path / "s", (4,)), checkpoints)
    for name, absent in (("average beat", 2), ("embedding of beats", 2),
                         ("embedding of the whole recording", 0)):  # fmt: skip
        of = found["found"][name]["others"]
        assert (of["absent"], of["probes"]) == (absent, 12)
    assert found["found"]["average beat"]["others"]["rank1"] <= 10 / 12
    text = (tmp_path / "identification.md").read_text(encoding="utf-8")
    assert "- average beat: of 2 recordings there is none, as no beat is found in them" in text
    assert "- embedding of the whole recording:" not in text


def test_a_selfmis_encoder_can_be_asked_who_it_is(tmp_path: Path, store: Path) -> None:
    checkpoint = write_classifier(tmp_path / "classifier.pt")
    arguments = ["benchmark", "identification", "--checkpoint", str(checkpoint)]
    assert main([*arguments, "--data", str(store), "--dest", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "identification.json").read_text(encoding="utf-8"))
    assert set(figures["found"]) == {
        "embedding of the whole recording",
        "untrained embedding of the whole recording",
        "average beat",
    }
    # Nothing says on which days these were recorded.
    assert set(figures["rules"]) == {"first", "others"}


@pytest.mark.parametrize(
    ("study", "names"),
    [
        ("identification", ("embedding of beats", "average beat", "the model")),
        ("correlation", ("aligned", "untrained")),
        ("reconstruction", ("decoders", "mean ECG", "nearest record")),
        ("synthesis", ("generator", "real leads", "linear map", "encoder of the figures")),
    ],
)
def test_a_name_stands_for_one_row(
    study: str,
    names: tuple[str, ...],
    tmp_path: Path,
    store: Path,
    checkpoints: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["benchmark", study, "--checkpoint", str(checkpoints[0]), "--data", str(store)]
    arguments += ["--dest", str(tmp_path / "out")]
    arguments += ["--encoder", str(checkpoints[1])] if study == "synthesis" else []
    for name in names:
        assert main([*arguments, "--against", f"{name}={checkpoints[1]}"]) == 1
        error = capsys.readouterr().err
        assert f"--against {name}=...: that is what the benchmark calls a row of its own" in error
        assert "give another name" in error
    twice = ["--against", f"other={checkpoints[0]}", "--against", f"other={checkpoints[1]}"]
    with pytest.raises(SystemExit):
        main([*arguments, *twice])
    assert "other is given twice: call one of them otherwise" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_name_with_a_comma_stays_in_its_column(
    tmp_path: Path, store: Path, checkpoints: tuple[Path, Path]
) -> None:
    name = 'mine, "with" beats'
    for study, column in (("identification", "vectors"), ("correlation", "embeddings")):
        arguments = ["benchmark", study, "--checkpoint", str(checkpoints[0]), "--data", str(store)]
        arguments += ["--against", f"{name}={checkpoints[1]}", "--dest", str(tmp_path)]
        assert main(arguments) == 0
        with (tmp_path / f"{study}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert name in {row[column] for row in rows} and not any(None in row for row in rows)
    figures = json.loads((tmp_path / "identification.json").read_text(encoding="utf-8"))
    with (tmp_path / "identification.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (
            row
            for row in csv.DictReader(file)
            if (row["vectors"], row["rule"]) == ("average beat", "first")
        )
    found = figures["found"]["average beat"]["first"]
    assert {key: str(value) for key, value in found.items()} == {key: row[key] for key in found}


def test_a_checkpoint_without_leads_is_refused(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_classifier(tmp_path / "classifier.pt")
    arguments = ["benchmark", "correlation", "--checkpoint", str(checkpoint)]
    assert main([*arguments, "--data", str(store), "--dest", str(tmp_path / "out")]) == 1
    assert "has no embedding of each lead" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
