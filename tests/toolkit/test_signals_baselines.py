"""The methods of fairseq-signals inside it: pre-trained, probed, fine-tuned and compared."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.compat import installed
from selfmis_plugin.training.configs import configs_folder
from tests.support import logged, train

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]
EXAMPLES = {
    "simclr": "simclr/config/pretraining/ecg_transformer/simclr_augs.yaml",
    "wav2vec2": "wav2vec2/config/pretraining/w2v.yaml",
    "3kg": "3kg/config/pretraining/ecg_transformer/3kg.yaml",
    "clocs": "cmsc/config/pretraining/ecg_transformer/cmsc.yaml",
    "w2v_cmsc": "w2v_cmsc/config/pretraining/w2v_cmsc.yaml",
    "w2v_cmsc_rlm": "w2v_cmsc/config/pretraining/w2v_cmsc_rlm.yaml",
}
TINY = {
    "model.encoder_layers": 1,
    "model.encoder_embed_dim": 16,
    "model.encoder_ffn_embed_dim": 16,
    "model.encoder_attention_heads": 2,
}


def config(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_hyperparameters_are_those_of_the_toolkits_recipe(name: str) -> None:
    host = installed.location("fairseq_signals")
    assert host is not None
    theirs = config(host.parent / "examples" / EXAMPLES[name])
    ours = config(configs_folder() / f"baselines/{name}.yaml")
    assert ours["task"].pop("sample_rate") == 500
    if name == "clocs":
        assert theirs["criterion"].pop("_name") == "clocs"
        assert ours["criterion"].pop("_name") == "cmsc"
    for section in ("task", "model", "criterion", "optimizer", "lr_scheduler", "optimization"):
        for values in (theirs, ours):
            values[section] = {k: str(v) for k, v in (values[section] or {}).items()}
            if "adam_eps" in values[section]:
                values[section]["adam_eps"] = float(values[section]["adam_eps"])
        theirs[section].pop("lr", None), ours[section].pop("lr", None)
        assert ours[section] == theirs[section]
    for key in ("batch_size", "valid_subset", "disable_validation"):
        assert ours["dataset"][key] == theirs["dataset"][key]


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_learning_rate_is_that_of_the_recipe(name: str) -> None:
    host = installed.location("fairseq_signals")
    assert host is not None
    rates = [
        [float(rate) for rate in config(path)["optimization"]["lr"]]
        for path in (
            host.parent / "examples" / EXAMPLES[name],
            configs_folder() / f"baselines/{name}.yaml",
        )
    ]
    assert rates[0] == rates[1]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    dest = tmp_path_factory.mktemp("baselines") / "mi"
    arguments = ["benchmark", "mi", "--size", "small", "--dest", str(dest)]
    arguments += ["--data", str(store), "--unlabelled", str(store), "--modes", "probe"]
    arguments += ["--methods", ",".join(EXAMPLES), "--fractions", "0.5", "--workers", "2"]
    for name in EXAMPLES:
        for key, value in TINY.items():
            arguments += ["--set", f"{name}:{key}={value}"]
    assert main([*arguments, "--set", "optimization.max_epoch=2"]) == 0
    return dest


def test_each_is_pre_trained_and_probed(benchmark: Path) -> None:
    report = json.loads((benchmark / "report.json").read_text(encoding="utf-8"))
    assert report["failed"] == report["lacking"] == {}
    assert {cell["method"] for cell in report["cells"]} == set(EXAMPLES)
    for cell in report["cells"]:
        assert cell["train_records"] == 50 and 0 <= cell["mi_auc"] <= 1
    for stage in report["stages"]:
        assert stage["records_seen"] == 200 and stage["peak_memory"] > 100 * 2**20
        cost = report["costs"][stage["stage"]]
        assert 0 < cost["trained_parameters"] == cost["parameters"] < 200_000
        assert cost["kept_mib"] > 0 and cost["gmac"] > 0
    assert (benchmark / "costs.png").read_bytes()[:4] == b"\x89PNG"
    assert {path.name for path in (benchmark / "exports").iterdir()} == {
        "unlabelled-plain-zscore-100", "unlabelled-plain-mV-100", "unlabelled-cmsc-zscore-100",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["3kg", "w2v_cmsc"])
def test_a_probe_pools_what_the_toolkits_own_model_gives(benchmark: Path, name: str) -> None:
    path = benchmark / f"seed1/{name}/probe/0.5/run/checkpoints/checkpoint_best.pt"
    network = load_trained(path).network(500).eval()
    last = benchmark / f"seed1/stages/{name}/checkpoints/checkpoint_last.pt"
    models = importlib.import_module("fairseq_signals.models")
    model = models.build_model_from_checkpoint(str(last)).eval()
    raw = torch.randint(-500, 500, (3, 1, 5000), dtype=torch.int16)
    source = network.input(raw)
    with torch.no_grad():
        # As the toolkit's classifier pools.
        outputs = model.extract_features(source=source, padding_mask=None)["x"]
        expected = torch.div(outputs.sum(dim=1), (outputs != 0).sum(dim=1))
        torch.testing.assert_close(network.embed(raw), expected, rtol=1e-4, atol=1e-5)


def test_it_is_fine_tuned_and_starts_from_its_probe(
    benchmark: Path, store: Path, tmp_path: Path
) -> None:
    probe = benchmark / "seed1/clocs/probe/0.5/run/checkpoints/checkpoint_best.pt"
    arguments = ["--config-name", "selfmis_finetune_two_stage_small", f"task.data={store}"]
    arguments += [f"model.classifier_checkpoint={probe}", "optimization.max_epoch=2"]
    output = train(arguments, tmp_path, command=COMMAND)
    losses = logged(output, "loss")
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    best = tmp_path / "outputs/selfmis_finetune_two_stage_small/checkpoints/checkpoint_best.pt"
    raw = torch.randint(-500, 500, (3, 1, 5000), dtype=torch.int16)
    first, second = (load_trained(path).network(500).eval() for path in (probe, best))
    with torch.no_grad():
        assert not torch.equal(first.embed(raw), second.embed(raw))


def test_another_sample_rate_is_refused(benchmark: Path, store: Path, tmp_path: Path) -> None:
    last = benchmark / "seed1/stages/clocs/checkpoints/checkpoint_last.pt"
    arguments = ["--config-name", "selfmis_linear_probe_small", f"task.data={store}"]
    arguments += [f"model.encoder_checkpoint={last}", "task.sample_rate=250"]
    output = train(arguments, tmp_path, check=False, command=COMMAND)
    assert "task.sample_rate=100" in output


def test_the_cost_of_a_step_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "cost.json"
    arguments = ["--size", "small", "--batch", "4", "--rounds", "1", "--json", str(file)]
    assert main(["benchmark", "cost", *arguments]) == 0
    figures = json.loads(file.read_text(encoding="utf-8"))
    # Others that read unlabelled records are there too.
    assert set(figures["methods"]) > {"selfmis", *EXAMPLES}
    for name, times in figures["selfmis_times_as_fast"].items():
        speeds = [figures["methods"][one]["ecg_per_s"] for one in ("selfmis", name)]
        assert times == pytest.approx(speeds[0] / speeds[1])
