"""What the benchmark does for the methods that only fairseq-signals brings, in any host."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import scipy.io
import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark import infarction
from selfmis_plugin.benchmark import timed_training as infarction_training
from selfmis_plugin.benchmark.commands import Spent, last_checkpoint, run_logged
from selfmis_plugin.benchmark.report import write_infarction_report
from selfmis_plugin.benchmark.side_by_side import cost_points
from selfmis_plugin.benchmark.tables import Measured
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.host.export_signals import ExportOptions, export_signals
from selfmis_plugin.methods.host.shape import HostShape
from selfmis_plugin.methods.method import PROBE, UNLABELLED
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.nn.zero_masked import ZeroMaskedInput
from selfmis_plugin.training.configs import configs_folder
from selfmis_plugin.training.launch import config_name
from tests.checkpoint_files import write_classifier

NAMES = ("simclr", "wav2vec2", "3kg", "clocs", "w2v_cmsc_rlm", "w2v_cmsc")
in_embedded_host = pytest.mark.skipif(toolkit.HOST != "fairseq", reason="it has the methods")


@in_embedded_host
def test_what_the_host_lacks_has_a_row_that_says_what_brings_it(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["benchmark", "mi", "--data", str(store), "--dest", str(tmp_path / "mi")]
    # Nor are unlabelled records asked for, which only they would read.
    assert main([*arguments, "--methods", ",".join(NAMES), "--size", "small"]) == 0
    text = (tmp_path / "mi/report.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "lacks" in line]
    assert [row.split(" | ")[0] for row in rows] == [
        "| SimCLR", "| wav2vec 2.0", "| 3KG", "| CLOCS (CMSC)", "| W2V-CMSC, leads masked",
        "| W2V-CMSC",
    ]  # fmt: skip
    for name, row in zip(NAMES, rows, strict=True):
        assert "criterion" in row and "pip install --no-build-isolation '.[signals]'" in row
        assert f"- {name}: fairseq" in text
    assert "| 60.68 |" in text  # the paper's, beside
    assert "--config-name" not in capsys.readouterr().out
    report = json.loads((tmp_path / "mi/report.json").read_text(encoding="utf-8"))
    assert set(report["lacking"]) == set(NAMES) and report["cells"] == report["stages"] == []


@pytest.mark.parametrize("size", ["", "_small"])
def test_random_lead_masking_is_all_that_the_papers_row_has_more(size: str) -> None:
    plain, masked = (
        OmegaConf.to_container(OmegaConf.load(configs_folder() / f"baselines/{name}{size}.yaml"))
        for name in ("w2v_cmsc", "w2v_cmsc_rlm")
    )
    assert isinstance(plain, dict) and isinstance(masked, dict)
    more = {key: masked["task"].pop(key) for key in masked["task"].keys() - plain["task"].keys()}
    assert more == {
        "perturbation_mode": ["random_leads_masking"],
        "p": [1.0],
        "mask_leads_selection": "random",
        "mask_leads_prob": 0.5,
    }
    assert masked == plain
    papers = {name: known_methods()[name].paper for name in NAMES[-2:]}
    assert papers == {"w2v_cmsc_rlm": "W2V-CMSC", "w2v_cmsc": None}


def fake_pretraining(path: Path, model: str = "wav2vec2", criterion: str = "wav2vec2") -> Path:
    """A checkpoint as a pre-training of the host's own leaves it, without its weights."""
    cfg = {
        "model": {"_name": model, "encoder_embed_dim": 4},
        "task": {"_name": "ecg_pretraining", "sample_rate": 100},
        "criterion": {"_name": criterion},
        "dataset": {"batch_size": 64},
        "distributed_training": {"distributed_world_size": 1},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    extra = {"train_iterator": {"epoch": 4, "iterations_in_epoch": 1}}
    torch.save({"cfg": cfg, "model": {}, "task_state": {}, "extra_state": extra}, path)
    return path


def test_trainings_share_the_files_that_are_exported_for_them(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, dict[str, Any]] = {}

    def train(run: Path, config: str, overrides: dict[str, Any], *_: object) -> Spent:
        calls[config] = overrides
        if "linear_probe" in config:
            write_classifier(run / "checkpoints/checkpoint_best.pt")
        else:
            fake_pretraining(last_checkpoint(run))
            time.sleep(0.3 if "3kg" in config else 0)
        return Spent(1.0, 3 * 2**20)

    monkeypatch.setattr(infarction_training, "train", train)
    monkeypatch.setattr(infarction, "lacking", lambda *_: {})
    methods = [known_methods()[name] for name in NAMES[2:]]
    settings = infarction.Settings(
        tmp_path / "mi", methods, {"labelled": store, UNLABELLED: store}, modes=(PROBE,),
        size="small",
    )  # fmt: skip
    report = infarction.run_infarction(settings)
    assert report["failed"] == {} and len(report["cells"]) == 4
    folders = {name: calls[f"baselines/{name}_small"]["task.data"] for name in NAMES[2:]}
    assert folders["clocs"] == folders["w2v_cmsc"] == folders["w2v_cmsc_rlm"] != folders["3kg"]
    for name, kind, scale in (("clocs", "cmsc", "zscore"), ("3kg", "plain", "mV")):
        made = json.loads((folders[name] / "export.json").read_text(encoding="utf-8"))
        assert made["complete"] and made["plan"]["kind"] == kind
        assert made["plan"]["scale"] == scale and made["plan"]["sample_rate"] == 100
    # The last probe starts from where its pre-training ended.
    encoder = calls["selfmis_linear_probe_small"]["model.encoder_checkpoint"]
    assert encoder == tmp_path / "mi/seed1/stages/w2v_cmsc/checkpoints/checkpoint_last.pt"
    stages = {stage["stage"]: stage for stage in report["stages"]}
    # Three epochs of the 100 records, and a batch of the fourth.
    assert all(stage["records_seen"] == 364 for stage in stages.values())
    # Each one's own seconds, not those before it too.
    assert stages["3kg"]["seconds"] >= 0.3 > stages["w2v_cmsc"]["seconds"]

    counted = {"kept_mib": 1.5, "parameters": 7000, "trained_parameters": 6000, "gmac": 0.25}
    report["costs"] = {"3kg": counted}
    points = {point.stage: point for point in cost_points(Measured(report, methods), report)}
    assert list(points) == list(NAMES[2:])
    expected = 1000 * stages["3kg"]["seconds"] / 364
    assert points["3kg"].milliseconds == pytest.approx(expected)
    assert points["3kg"].peak_mib == 3 and points["clocs"].gmac is None
    cell = next(cell for cell in report["cells"] if cell["method"] == "3kg")
    assert points["3kg"].auc == cell["mi_auc"] and points["3kg"].low <= points["3kg"].high
    text = write_infarction_report(tmp_path / "mi", report, methods)
    assert "| 1.50 MiB | 7,000 (6,000) | 0.250 |" in text and "| - | - | - |" in text
    assert (tmp_path / "mi/costs.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("scale", "rate"), [("zscore", 500), ("zscore", 100), ("mV", 100)])
def test_a_probe_sees_what_is_exported_of_its_leads(
    tmp_path: Path, store: Path, scale: str, rate: int
) -> None:
    leads = ("V2", "I")
    options = ExportOptions(leads=leads, scale=scale, sample_rate=float(rate))
    export_signals(store, tmp_path / "export", options)
    lines = (tmp_path / "export/valid.tsv").read_text().splitlines()
    files = [Path(lines[0], line.split("\t")[0]) for line in lines[1:4]]
    exported = torch.stack([torch.from_numpy(scipy.io.loadmat(file)["feats"]) for file in files])
    opened = Store.open(store)
    rows = [int(i) for i in range(len(opened)) if opened.records["split"].iloc[i] == "valid"][:3]
    raw = torch.from_numpy(opened.read(rows, leads))
    seen = ZeroMaskedInput(leads, 500, rate, scale)(raw)
    torch.testing.assert_close(seen, exported, rtol=1e-4, atol=1e-4)
    kept = [STANDARD_LEADS.index(lead) for lead in leads]
    assert seen[:, kept].abs().amax() > 0
    assert not seen[:, [k for k in range(12) if k not in kept]].any()


@pytest.mark.parametrize("scale", ["zscore", "mV"])
def test_a_constant_lead_has_no_edges(scale: str) -> None:
    seen = ZeroMaskedInput(["I"], 500, 100, scale)(torch.full((1, 1, 5000), 250, dtype=torch.int16))
    assert torch.equal(seen[0, 0], torch.full((1000,), 0.25 if scale == "mV" else 0.0))


def test_a_pre_training_says_what_its_encoder_reads(tmp_path: Path) -> None:
    found = load_encoder_weights(fake_pretraining(tmp_path / "a.pt")).config
    assert isinstance(found, HostShape) and (found.scale, found.sample_rate) == ("zscore", 100)
    threes = fake_pretraining(tmp_path / "b.pt", "ecg_transformer", "3kg")
    found = load_encoder_weights(threes).config
    assert found.scale == "mV" and found.model["encoder_embed_dim"] == 4
    assert isinstance(load_encoder_weights(write_classifier(tmp_path / "c.pt")).config, Net1DConfig)


@in_embedded_host
def test_a_classifier_over_it_says_which_host_it_needs(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {"model": {"_name": "wav2vec2", "encoder_embed_dim": 4}, "scale": "mV"}
    path = write_classifier(tmp_path / "probe.pt")
    state = torch.load(path, weights_only=True)
    state["task_state"]["host_encoder"] = {**shape, "sample_rate": 100}
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="wav2vec2.*is fairseq-signals'.*pip install"):
        load_trained(path).network(500)
    arguments = ["export", "--checkpoint", str(path), "--data", str(store)]
    assert main([*arguments, "--dest", str(tmp_path / "model")]) == 1
    assert "cannot be written as a folder" in capsys.readouterr().err


def test_the_memory_of_a_command_is_its_own(tmp_path: Path) -> None:
    def peak(text: str) -> int | None:
        text += "; import time; time.sleep(1)"
        return run_logged([sys.executable, "-c", text], tmp_path / "log.txt").peak_memory

    large, small = peak("bytearray(300 * 2**20)"), peak("pass")
    if large is None or small is None:
        pytest.skip("this system does not tell")
    assert small < 100 * 2**20 < 300 * 2**20 < large < 400 * 2**20


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--config-name", "baselines/simclr", "task.data=x"], "baselines/simclr"),
        (["task.data=x", "-cn=selfmis"], "selfmis"),
        (["--config-dir", "d", "--config-name=a"], "a"),
        (["task.data=x"], None),
    ],
)
def test_the_config_of_a_command_line(arguments: list[str], name: str | None) -> None:
    assert config_name(arguments) == name


@in_embedded_host
def test_the_cost_of_a_step_without_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cost.json"
    arguments = ["--size", "small", "--batch", "4", "--rounds", "2", "--json", str(file)]
    assert main(["benchmark", "cost", *arguments]) == 0
    figures = json.loads(file.read_text(encoding="utf-8"))
    # Every method's own training; rows that leave out a part have their method's.
    generators = {"cyclegan", "ekgan", "mcma", "pix2pix"}
    others = {"heartlang", "modally_reduced", "st_mem", *generators}
    assert set(figures["methods"]) == {"selfmis", *others}
    assert set(figures["selfmis_times_as_fast"]) == others
    assert all(cost["ecg_per_s"] > 0 for cost in figures["methods"].values())
    output = capsys.readouterr().out
    assert all(f"{name}: the host here lacks it" in output for name in NAMES)
