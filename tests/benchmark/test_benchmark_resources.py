"""``selfmis benchmark resources``: what it counts, against counts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark.paper import TABLE_4, UNUSED_NORM_PARAMETERS, table_4_by_config
from selfmis_plugin.cli.main import main
from selfmis_plugin.methods import known_methods
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1D
from selfmis_plugin.nn.net1d.config import Net1DConfig, count_parameters
from selfmis_plugin.nn.net1d.plain import PlainNet1D
from selfmis_plugin.profiling.macs import encoder_macs, forward_macs, with_plain_encoders
from selfmis_plugin.profiling.resources import measure
from selfmis_plugin.profiling.step_ways import CONFIGS
from selfmis_plugin.profiling.training_memory import (
    counted_training_memory,
    kept_for_each_record,
)
from selfmis_plugin.profiling.trainings.models import (
    Recipe,
    Trained,
    models_without_config,
    recipes,
)
from selfmis_plugin.training.configs import configs_folder

LEADS = ["I", "II", "V1"]
SMALL = CONFIGS["small"]


def parameters_of(config: Net1DConfig) -> int:
    """Sizes of the weights and biases of a Net1D, layer by layer."""
    total = config.base_filters * (config.in_leads * config.kernel_size + 1)
    before = config.base_filters
    for channels, blocks in zip(config.filters, config.blocks, strict=True):
        for _ in range(blocks):
            inner, half = config.middle_channels(channels), channels // 2
            total += inner * (before + 1)
            total += inner * (inner // config.groups(channels) * config.kernel_size + 1)
            total += channels * (inner + 1)
            total += half * (channels + 1) + channels * (half + 1)
            before = channels
    return total


def small(leads: int) -> Net1DConfig:
    return Net1DConfig(SMALL.base_filters, SMALL.filters, SMALL.blocks, in_leads=leads)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict:
    file = tmp_path_factory.mktemp("resources") / "figures.json"
    arguments = ["--only", "selfmis_pretrain_small", "--only", "selfmis_linear_probe_small"]
    arguments += ["--batch", "16", "--device", "cpu", "--json", str(file)]
    assert main(["benchmark", "resources", *arguments]) == 0
    return json.loads(file.read_text(encoding="utf-8"))


def test_parameters_are_those_of_the_encoders(table: dict) -> None:
    assert len(table["models"]) == 2
    probe, towers = (
        table["models"][f"selfmis_{name}_small"] for name in ("linear_probe", "pretrain")
    )
    assert towers["parameters"] == parameters_of(small(1)) + parameters_of(small(12))
    assert towers["trained_parameters"] == parameters_of(small(1))
    head = 44 * (SMALL.embedding_dim + 1)
    assert probe["parameters"] == parameters_of(small(1)) + head
    assert probe["trained_parameters"] == head


def test_a_frozen_encoder_keeps_nothing_for_backward(table: dict) -> None:
    probe, towers = (
        table["models"][f"selfmis_{name}_small"] for name in ("linear_probe", "pretrain")
    )
    assert probe["memory_float32_mib"] < 1.5 < towers["memory_float32_mib"]
    assert towers["memory_bfloat16_mib"] < towers["memory_float32_mib"]
    assert table["memory"] == "counted"


def test_parameters_of_the_full_encoders_are_the_papers() -> None:
    with torch.device("meta"):
        encoders = [PlainNet1D(Net1DConfig(in_leads=leads)) for leads in (1, 12)]
    ours = sum(count_parameters(encoder) for encoder in encoders)
    assert ours == sum(parameters_of(Net1DConfig(in_leads=leads)) for leads in (1, 12))
    papers = (ours + 2 * UNUSED_NORM_PARAMETERS) / 1e6
    assert papers == pytest.approx(TABLE_4["SelfMIS (Ours)"].parameters, abs=5e-3)


def test_operations_are_those_of_the_function_whatever_computes_it() -> None:
    model = EncoderClassifier(small(1), labels=9, leads=LEADS, input_leads=["V1"])
    assert isinstance(model.encoder, Net1D)
    plain = with_plain_encoders(model)
    signal = torch.zeros(1, 3, 500, dtype=torch.int16)
    macs = forward_macs(lambda: plain(signal))
    assert macs == encoder_macs(small(1), 500) + 9 * SMALL.embedding_dim


@pytest.mark.parametrize("batch", [2, 5, 100])
def test_memory_is_that_of_a_count_by_hand(batch: int) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    model[0].requires_grad_(False)

    def loss_of(records: int) -> Tensor:
        return model(torch.randn(records, 4).requires_grad_()).sum()

    weights, trained = 8 * 5 + 3 * 9, 3 * 9
    # Tanh keeps its output, which the second layer keeps too: once. The frozen layer keeps only
    # its weight.
    expected = 4 * (weights + 3 * trained + batch * 8)
    assert counted_training_memory(model, loss_of, batch) == expected


def test_memory_of_a_model_that_masks_at_random_is_the_same_each_time() -> None:
    model = torch.nn.Linear(3, 3)

    def loss_of(records: int) -> torch.Tensor:
        left = [int(np.random.randint(1, 100)) for _ in range(records)]
        return torch.exp(model(torch.rand(sum(left), 3))).sum()

    np.random.seed(5)
    torch.manual_seed(5)
    expected = np.random.rand(), torch.rand(1)
    np.random.seed(5)
    torch.manual_seed(5)
    first = kept_for_each_record(model, loss_of)
    # What is drawn afterwards is what would have been drawn without it.
    assert (np.random.rand(), torch.rand(1)) == expected
    assert kept_for_each_record(model, loss_of) == first > 0


def test_every_config_and_every_registered_model_is_measured(tmp_path: Path) -> None:
    found = [recipe for recipe in recipes(tmp_path) if not recipe.is_hosts]
    assert [recipe.name for recipe in found] == sorted(
        file.stem for file in configs_folder().glob("*.yaml")
    )
    assert models_without_config() == []
    assert {"selfmis", "selfmis_classifier"} <= set(toolkit.registered_models())


class Failing(nn.Module):
    def forward(self, *_: object) -> Tensor:
        raise RuntimeError("no such thing")


@pytest.mark.parametrize("is_hosts", [True, False])
def test_only_a_failure_of_the_hosts_own_code_is_put_into_the_table(is_hosts: bool) -> None:
    layer = nn.Linear(2, 1)
    trained = Trained(layer, Failing(), lambda records: {}, {"input": torch.zeros(1, 2)})
    recipe = Recipe("theirs", lambda: trained, is_hosts)
    if not is_hosts:
        with pytest.raises(RuntimeError, match="no such thing"):
            measure(recipe, 2, "cpu")
        return
    resources = measure(recipe, 2, "cpu")
    assert (resources.parameters, resources.macs) == (3, 2)
    assert resources.memory == {"float32": None, "bfloat16": None}
    assert all("no such thing" in reason for reason in resources.reasons.values())


def test_the_table_has_the_papers_figures(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "selfmis_linear_probe_small", "--device", "cpu"]
    assert main(["benchmark", "resources", *arguments]) == 0
    output = capsys.readouterr().out
    for config, name in (
        ("baselines/simclr", "SimCLR"),
        ("baselines/w2v_cmsc_rlm", "W2V-CMSC"),
        ("heartlang_pretrain ", "HeartLang"),
    ):
        line = next(line for line in output.splitlines() if line.startswith(config))
        assert f"{TABLE_4[name].memory:,}" in line
    assert "66,368" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "nothing"], "selfmis_pretrain"), (["--batch", "0"], "--batch must be at least 1")],
)
def test_wrong_options_say_what_there_is(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "resources", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.signals
def test_the_hosts_own_methods_are_the_papers(tmp_path: Path) -> None:
    found = {recipe.name: recipe for recipe in recipes(tmp_path) if recipe.is_hosts}
    papers = table_4_by_config(known_methods().values())
    full = {name for name in papers if name.startswith("baselines/")}
    # The same network, trained on all leads, carries no name of the paper's.
    also = {"baselines/w2v_cmsc"}
    assert set(found) == {n + size for n in full | also for size in ("", "_small")}
    assert len(full) == 5
    for name in full:
        recipe = found[name]
        millions = count_parameters(recipe.build().model) / 1e6
        assert millions == pytest.approx(papers[name].parameters, abs=5e-3)
