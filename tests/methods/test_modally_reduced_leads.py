"""Modally reduced decoders as a generator of leads: values, seams, the row, every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from selfmis_plugin import load_trained
from selfmis_plugin.benchmark import timed_training
from selfmis_plugin.benchmark.commands import Spent, best_checkpoint
from selfmis_plugin.benchmark.infarction import run_infarction
from selfmis_plugin.benchmark.settings import Settings
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.export.exporting import prepare_export
from selfmis_plugin.export.onnx_export import write_onnx
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.lead_synthesis.generator import LeadGenerator
from selfmis_plugin.methods.lead_synthesis.modally_reduced.network import ModallyReducedLeadsShape
from selfmis_plugin.methods.lead_synthesis.rows import CLASSIFIER_KEY, GENERATOR_KEY
from selfmis_plugin.methods.makers import maker_of
from selfmis_plugin.methods.method import FINETUNE, PROBE
from selfmis_plugin.methods.modally_reduced.reader import load_modally_reduced
from selfmis_plugin.methods.modally_reduced.shape import ModallyReducedConfig
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.onnx_runtime import OnnxClassifier
from tests.checkpoint_files import write_judge, write_modally_reduced, write_run
from tests.strip_files import lead_one, write_watch
from tests.support import TINY

ROW = "modally_reduced_leads"
#: Of the autoencoders' file, so that a row taken for another shows.
LEADS = STANDARD_LEADS[::-1]
Floats = npt.NDArray[np.float64]


def made_of(decoders: Path, judge: Path, store: Path, dest: Path) -> Path:
    maker_of(ROW)({GENERATOR_KEY: decoders, CLASSIFIER_KEY: judge}, store, dest)
    return dest


class Files:
    """Autoencoders, a classifier of twelve leads, and what is made of both."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.store = store
        self.decoders = write_modally_reduced(folder / "decoders.pt", leads=LEADS)
        self.judge = write_judge(folder / "judge.pt", 1)
        self.made = made_of(self.decoders, self.judge, store, folder / "made.pt")

    def signals(self, rows: list[int], leads: tuple[str, ...] = ("I",)) -> npt.NDArray[np.int16]:
        return Store.open(self.store).read(rows, leads)

    def deviations(self) -> Floats:
        """Mean over the training records of each standard lead's deviation, microvolts, 100 Hz."""
        rows = open_split(self.store, "train").rows
        at_100 = resample_poly(
            self.signals(list(rows), STANDARD_LEADS).astype(float), 1, 5, axis=-1
        )
        return at_100.std(axis=-1).mean(axis=0)

    def decoded(self, given: Any, rate: float) -> Floats:
        """Microvolts at 100 Hz of lead I, (records, samples): what the autoencoders decode of it,
        at the leads' deviations."""
        network = load_modally_reduced(self.decoders).model(rate)
        with torch.no_grad():
            unit = network.decode_from(torch.as_tensor(given), LEADS.index("I")).double().numpy()
        return unit[:, [LEADS.index(lead) for lead in STANDARD_LEADS]] * self.deviations()[:, None]

    def generator(self, rate: float) -> LeadGenerator:
        """The file's generator for what comes at a rate."""
        part = load_trained(self.made).network(100).encoder.generator
        generator = LeadGenerator(part.shape, rate, 100)
        generator.load_state_dict(part.state_dict())
        return generator.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Files:
    return Files(tmp_path_factory.mktemp("decoders"), store)


def test_a_lead_is_what_its_decoder_makes_times_its_mean_deviation(files: Files) -> None:
    signal = files.signals([0, 120, 140])
    lead_i = resample_poly(signal[:, 0].astype(float), 1, 5, axis=-1)
    expected = files.decoded(signal[:, 0], 500)
    # The leads differ in size, and so do records: nothing of the record's own size is in them.
    assert np.ptp(files.deviations()) > 20 and np.ptp(signal.std(axis=-1)) > 100
    expected[:, 0] = lead_i
    trained = load_trained(files.made)
    assert trained.preprocessing.leads == ("I",) == trained.required_leads
    network = trained.network(500).eval()
    at_100 = torch.from_numpy(lead_i).float()[:, None]
    with torch.no_grad():
        made = network.encoder.generator(at_100)
        logits = network(torch.from_numpy(signal))
        judged = load_trained(files.judge).network(100).eval()(torch.from_numpy(expected))
    np.testing.assert_allclose(made.numpy(), expected, atol=0.05)
    assert torch.equal(made[:, 0], at_100[:, 0])
    np.testing.assert_allclose(logits, judged, atol=2e-4)
    assert logits.std(0).max() > 1e-3
    # Eleven encoders are not there.
    assert {
        value.shape[0]
        for name, value in trained.weights.items()
        if name.startswith("encoder.generator.network.encoder.")
    } == {1}


def test_records_of_any_length_are_windows_each_decoded_by_itself(files: Files) -> None:
    lead_i = resample_poly(files.signals([0, 1, 2])[:, 0].astype(float), 1, 5, axis=-1)
    record = np.concatenate([lead_i[0], 3 * lead_i[1], lead_i[2, :300]])
    pieces = np.stack([record[:1000], record[1000:2000], np.r_[record[2000:], record[-700:]]])
    expected = np.concatenate(files.decoded(pieces.astype(np.float32), 100), axis=-1)[:, :2300]
    expected[0] = record
    with torch.no_grad():
        made = files.generator(100)(torch.from_numpy(record).float()[None, None])[0].numpy()
        alone = files.generator(100)(torch.from_numpy(record[:1000]).float()[None, None])[0]
    np.testing.assert_allclose(made, expected, atol=0.05)
    np.testing.assert_allclose(made[:, :1000], alone, atol=1e-3)


def test_a_faster_classifier_gets_lead_i_as_it_is(files: Files, tmp_path: Path) -> None:
    """Decoders of 100 Hz are at full size before a classifier of 500 Hz."""
    judge = write_judge(tmp_path / "judge.pt", 2, rate=500)
    made = load_trained(made_of(files.decoders, judge, files.store, tmp_path / "made.pt"))
    assert made.preprocessing.sample_rate == 500
    signal = files.signals([3, 130])
    expected = resample_poly(files.decoded(signal[:, 0], 500), 5, 1, axis=-1)
    expected[:, 0] = signal[:, 0]
    with torch.no_grad():
        network = made.network(500).eval()
        found = network.encoder.generator(torch.from_numpy(signal))
        logits = network(torch.from_numpy(signal))
        judged = load_trained(judge).network(500).eval()(torch.from_numpy(expected))
    np.testing.assert_allclose(found, expected, atol=0.05)
    np.testing.assert_allclose(logits, judged, atol=2e-4)


@settings(max_examples=50, deadline=None)
@given(
    patches=st.integers(1, 80),
    rates=st.tuples(*[st.sampled_from([100, 128, 250, 257, 360, 500, 977])] * 2),
)
def test_a_window_is_a_whole_number_of_patches_at_the_decoders_rate(
    patches: int, rates: tuple[int, int]
) -> None:
    slow, fast = sorted(rates)
    shape = ModallyReducedLeadsShape(ModallyReducedConfig(), 25 * patches, fast, slow)
    window = torch.zeros(1, 1, shape.window)
    assert Preparation(fast, slow).decimate(window).shape[-1] == 25 * patches


def test_the_row_shares_the_autoencoders_training(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    def fake(run: Path, *_: object) -> Spent:
        name = "/".join((run.parent if run.name == "run" else run).parts[-2:])
        trained.append(name)
        write_run(run)
        if name == "stages/modally_reduced":
            best_checkpoint(run).write_bytes(files.decoders.read_bytes())
        elif "twelve_lead" in run.parts:
            best_checkpoint(run).write_bytes(files.judge.read_bytes())
        return Spent(1.0, None)

    monkeypatch.setattr(timed_training, "train", fake)
    methods = known_methods()
    assert methods[ROW].modes.keys() == {"probe", "finetune"} and methods[ROW].generates
    report = run_infarction(
        Settings(
            dest=tmp_path,
            methods=[methods["modally_reduced"], methods[ROW]],
            data=dict.fromkeys(("labelled", "unlabelled"), files.store),
            modes=(PROBE,),
            size="small",
            given={"multi_lead_checkpoint": files.judge},
            others=list(methods.values()),
            draws=0,
        )
    )
    assert report["failed"] == report["left_out"] == report["lacking"] == {}
    assert [(c["method"], c["mode"]) for c in report["cells"]] == [
        ("modally_reduced", PROBE),
        (ROW, PROBE),
    ]
    assert sorted(trained) == ["probe/1", "probe/1", "stages/modally_reduced"]
    made = best_checkpoint(tmp_path / "seed1" / ROW / PROBE / "1/run")
    signal = torch.from_numpy(files.signals([7, 8]))
    with torch.no_grad():
        found, expected = (load_trained(f).network(500).eval()(signal) for f in (made, files.made))
    assert torch.equal(found, expected)


def test_it_goes_everywhere(files: Files, tmp_path: Path) -> None:
    assert 0 <= evaluate(files.made, files.store, "test", draws=0)["macro_auc"] <= 1
    strip = str(write_watch(tmp_path / "strip.csv", lead_one()))
    assert main(["predict", "--checkpoint", str(files.made), strip]) == 0
    model = prepare_export(files.made)
    write_model(model, tmp_path / "model", "card")
    signal = files.signals([0, 1, 2, 3])
    with torch.no_grad():
        expected = load_trained(files.made).network(500).eval()(torch.from_numpy(signal)).numpy()
        again = read_model(tmp_path / "model").classifier.network(500).eval()
        np.testing.assert_allclose(again(torch.from_numpy(signal)).numpy(), expected, atol=1e-5)
    write_onnx(model, tmp_path / "model.onnx")
    found = OnnxClassifier(tmp_path / "model.onnx").logits(signal, filtered=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
def test_the_row_with_real_trainings(files: Files, tmp_path: Path) -> None:
    arguments = ["benchmark", "mi", "--dest", str(tmp_path / "mi"), "--size", "small"]
    for role in ("data", "unlabelled", "archive"):
        arguments += [f"--{role}", str(files.store)]
    arguments += ["--multi-lead-checkpoint", str(files.judge), "--fractions", "1.0"]
    sizes = ("patch_size=50", "width=16", "depth=1", "heads=2", "decoder_width=8")
    overrides = [f"modally_reduced:model.{size}" for size in (*sizes, "decoder_heads=2")]
    overrides += [f"{mode}:{key}" for mode in (PROBE, FINETUNE) for key in TINY]
    for override in (*overrides, "optimization.max_epoch=1"):
        arguments += ["--set", override]
    methods = ["--methods", f"{ROW},twelve_lead", "--modes", f"{PROBE},{FINETUNE}"]
    assert main([*arguments, *methods]) == 0
    report = json.loads((tmp_path / "mi/report.json").read_text(encoding="utf-8"))
    assert report["failed"] == {} and len(report["cells"]) == 4
    assert [stage["stage"] for stage in report["stages"]] == ["modally_reduced"]
    text = (tmp_path / "mi/report.md").read_text(encoding="utf-8")
    assert "modally reduced decoder" in text[text.index("## Leads made from one") :]
    made = best_checkpoint(tmp_path / "mi/seed1" / ROW / FINETUNE / "1/run")
    assert [step.step for step in read_facts(made).provenance][0] == "modally_reduced"
    data = ["--data", str(files.store), "--checkpoint", str(made), "--draws", "5"]
    assert main(["report", *data, "--worst", "0", "--dest", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").is_file()


def test_what_does_not_fit_is_not_made(files: Files, tmp_path: Path) -> None:
    few = write_modally_reduced(tmp_path / "few.pt", leads=("I", "II", "V1"))
    other = write_judge(tmp_path / "other.pt", filter_name="bandpass")
    for first, second, message in (
        (files.judge, files.judge, "has no decoders of leads.*modally_reduced_small"),
        (few, files.judge, "few.pt has no decoder of lead III.*model.leads=null"),
        (files.decoders, files.made, "judged by a classifier of twelve"),
        (files.decoders, other, "other.pt does not fit .*decoders.pt.*filter: bandpass here"),
    ):
        with pytest.raises(CheckpointError, match=message):
            made_of(first, second, files.store, tmp_path / "never.pt")
    assert not (tmp_path / "never.pt").exists()
    autoencoders = ModallyReducedConfig()
    for values, message in (
        ((ModallyReducedConfig(leads=("I",)), 1000, 100, 100), "must be of I, II"),
        ((autoencoders, 990, 100, 100), "samples=990 must be a multiple of 25"),
        ((autoencoders, 1000, 100, 500), "decoder_rate"),
        ((autoencoders, 1000, 100, 100, "X"), "'X' is no standard lead"),
    ):
        with pytest.raises(ValueError, match=message):
            ModallyReducedLeadsShape(*values)
