"""Weights from every kind of file, and files that are refused."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from selfmis_plugin.checkpoints import (
    CheckpointError,
    load_encoder_weights,
    read_checkpoint,
    to_ecgfounder,
)
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig

torch.set_num_threads(1)

SMALL = Net1DConfig(8, (8, 12, 24), (2, 1, 2), kernel_size=5, group_width=4, in_leads=12)
ONE_LEAD = Net1DConfig(**{**vars(SMALL), "in_leads": 1})
SHAPE = {name: value for name, value in vars(SMALL).items() if name != "in_leads"}
# What a toolkit's cfg holds after its way through YAML.
YAML_SHAPE = {**SHAPE, "filters": list(SMALL.filters), "blocks": list(SMALL.blocks)}
PREPROCESSING = {
    "sample_rate": 500,
    "seconds": 10.0,
    "leads": list(STANDARD_LEADS),
    "filter": "none",
}


def founder_state(config: Net1DConfig, classes: int = 150) -> dict[str, Tensor]:
    """A state dict laid out as in ECGFounder's files, from the published list of layers."""
    torch.manual_seed(5)
    state: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(shape) * 0.2
        state[f"{name}.bias"] = torch.randn(shape[0]) * 0.2

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.ones(channels), torch.zeros(channels)
        state[f"{name}.running_mean"] = torch.zeros(channels)
        state[f"{name}.running_var"] = torch.ones(channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(0)

    layer("first_conv.conv", config.base_filters, config.in_leads, config.kernel_size)
    norm("first_bn", config.base_filters)
    channels = config.base_filters
    for stage, (filters, blocks) in enumerate(zip(config.filters, config.blocks, strict=True)):
        middle = int(filters * config.ratio)
        width = middle // (filters // config.group_width)
        for block in range(blocks):
            name = f"stage_list.{stage}.block_list.{block}"
            norm(f"{name}.bn1", channels)
            layer(f"{name}.conv1.conv", middle, channels, 1)
            norm(f"{name}.bn2", middle)
            layer(f"{name}.conv2.conv", middle, width, config.kernel_size)
            norm(f"{name}.bn3", middle)
            layer(f"{name}.conv3.conv", filters, middle, 1)
            layer(f"{name}.se_fc1", filters // 2, filters)
            layer(f"{name}.se_fc2", filters, filters // 2)
            channels = filters
    layer("dense", classes, channels)
    return state


def training_payload(state: dict[str, Tensor], name: str, **shape: Any) -> dict[str, Any]:
    """What either toolkit's trainer saves, as far as it matters here."""
    return {
        "args": None,
        "cfg": {"model": {"_name": name, **YAML_SHAPE, **shape}, "task": {"_name": "selfmis"}},
        "model": state,
        "criterion": {"log_scale": torch.zeros(1)},
        "optimizer_history": [{"criterion_name": "SelfMIS", "num_updates": 3}],
        "task_state": {"preprocessing": PREPROCESSING},
        "extra_state": {
            "best": np.float64(0.25),
            "metrics": [("default", [(10, "loss", "AverageMeter", {"val": np.float32(1.5)})])],
            "epochs": np.int64(3),
            "flag": np.bool_(True),
        },
        "last_optimizer_state": {"state": {}},
    }


def prefixed(module: torch.nn.Module, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in module.state_dict().items()}


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(payload: Any, name: str = "weights.pt", **options: Any) -> Path:
        torch.save(payload, tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_ecgfounder_file(leads: int, prefix: str, zipped: bool, save: Callable[..., Path]) -> None:
    config = Net1DConfig(**{**SHAPE, "in_leads": leads})
    state = founder_state(config)
    path = save(
        {"state_dict": {prefix + name: value for name, value in state.items()}},
        _use_new_zipfile_serialization=zipped,
    )
    tower = "single" if leads == 1 else "multi"
    weights = load_encoder_weights(path, tower=tower)
    assert weights.kind == "ecgfounder"
    assert weights.config == config
    assert weights.preprocessing == {
        "sample_rate": 500,
        "seconds": 10.0,
        "leads": list(STANDARD_LEADS[:leads]),
        "filter": "ecgfounder",
        "units": "uV",
        "normalisation": "zscore",
    }
    model = Net1D(weights.config)
    model.load_state_dict(weights.state_dict)
    # Each tensor lands in the layer of its place.
    block = model.stages[2][1]
    old = "stage_list.2.block_list.1"
    assert torch.equal(model.first_conv.weight, state["first_conv.conv.weight"])
    for layer in ("conv1", "conv2", "conv3"):
        assert torch.equal(getattr(block, layer).weight, state[f"{old}.{layer}.conv.weight"])
        assert torch.equal(getattr(block, layer).bias, state[f"{old}.{layer}.conv.bias"])
    assert torch.equal(block.se_fc2.weight, state[f"{old}.se_fc2.weight"])
    # And back, under the authors' names; what they leave unused is neutral.
    back = to_ecgfounder(model.state_dict(), weights.config)
    assert back.keys() == state.keys()
    for name, value in back.items():
        wanted = torch.zeros_like(state[name]) if name.startswith("dense") else state[name]
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize(
    "change",
    [{"ratio": 2.0}, {"ratio": 0.5}, {"group_width": 1}, {"filters": (8, 8, 8), "group_width": 8}],
)
def test_shape_of_ecgfounder_file_is_read_off_its_tensors(
    change: dict[str, Any], save: Callable[..., Path]
) -> None:
    if change == {"group_width": 1}:
        change = {"group_width": 2, "kernel_size": 1}
    config = Net1DConfig(**{**vars(SMALL), **change})
    path = save({"state_dict": founder_state(config)})
    assert load_encoder_weights(path, tower="multi").config == config


def test_the_full_size_has_the_published_number_of_entries() -> None:
    with torch.device("meta"):
        full = Net1D(Net1DConfig(in_leads=1))
        state = founder_state(Net1DConfig(in_leads=1))
    assert len(state) == 509
    names = to_ecgfounder(full.state_dict(), full.config)
    assert {name: value.shape for name, value in names.items()} == {
        name: value.shape for name, value in state.items()
    }


@pytest.mark.parametrize("half", [False, True])
def test_pretraining_checkpoint_has_two_towers(half: bool, save: Callable[..., Path]) -> None:
    towers = TwoTowers(SMALL, STANDARD_LEADS, lead="II")
    if half:
        towers.half()
    path = save(training_payload(prefixed(towers, "towers."), "selfmis", lead="II"))
    for tower, config in (("single", ONE_LEAD), ("multi", SMALL)):
        weights = load_encoder_weights(path, tower)
        assert weights.kind == "selfmis"
        assert weights.config == config
        # The single-lead tower has seen one lead of the records that were prepared.
        leads = ["II"] if tower == "single" else list(STANDARD_LEADS)
        assert weights.preprocessing == {**PREPROCESSING, "leads": leads}
        original = getattr(towers, tower).state_dict()
        assert weights.state_dict.keys() == original.keys()
        for name, value in weights.state_dict.items():
            assert value.dtype == torch.float32
            assert torch.equal(value, original[name].float())


def test_classifier_checkpoint_gives_its_encoder(save: Callable[..., Path]) -> None:
    model = EncoderClassifier(SMALL, 9, STANDARD_LEADS, ["I"])
    path = save(training_payload(prefixed(model, "network."), "selfmis_classifier"))
    weights = load_encoder_weights(path, tower="single")
    assert weights.kind == "selfmis_classifier"
    assert weights.config == ONE_LEAD
    assert weights.preprocessing == PREPROCESSING
    Net1D(weights.config).load_state_dict(weights.state_dict)
    with pytest.raises(CheckpointError, match="reads 1 lead, .*multi-lead tower"):
        load_encoder_weights(path, tower="multi")


def test_weights_outlive_their_file(save: Callable[..., Path]) -> None:
    path = save({"state_dict": founder_state(SMALL)})
    weights = load_encoder_weights(path, tower="multi")
    before = {name: value.clone() for name, value in weights.state_dict.items()}
    os.truncate(path, 0)
    assert all(torch.equal(value, before[name]) for name, value in weights.state_dict.items())


def test_numbers_of_numpy_are_read(save: Callable[..., Path]) -> None:
    extra = read_checkpoint(save(training_payload({}, "selfmis")))["extra_state"]
    assert (extra["best"], extra["epochs"], extra["flag"]) == (0.25, 3, True)
    assert extra["metrics"][0][1][0][3]["val"] == 1.5


def test_missing_extra_and_misshapen_names_are_listed(save: Callable[..., Path]) -> None:
    state = founder_state(SMALL)
    del state["stage_list.1.block_list.0.se_fc1.bias"]
    state["stage_list.0.block_list.0.conv9.weight"] = torch.zeros(1)
    state["stage_list.2.block_list.1.conv3.conv.bias"] = torch.zeros(3)
    path = save({"state_dict": state})
    with pytest.raises(CheckpointError) as caught:
        load_encoder_weights(path, tower="multi")
    message = str(caught.value)
    assert str(path) in message
    assert "missing stages.1.0.se_fc1.bias" in message
    assert "unknown stages.0.0.conv9.weight" in message
    assert "misshapen stages.2.1.conv3.bias (3,) instead of (24,)" in message


def test_encoder_of_the_other_tower_is_refused(save: Callable[..., Path]) -> None:
    path = save({"state_dict": founder_state(SMALL)})
    with pytest.raises(CheckpointError, match="reads 12 leads, .*single-lead tower"):
        load_encoder_weights(path, tower="single")


def test_diverged_weights_are_refused(save: Callable[..., Path]) -> None:
    state = founder_state(SMALL)
    state["first_conv.conv.bias"][2] = torch.nan
    with pytest.raises(CheckpointError, match=r"NaN or Inf in first_conv\.bias"):
        load_encoder_weights(save({"state_dict": state}), tower="multi")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"epoch": 3}, "neither"),
        ({"state_dict": {"conv.weight": torch.zeros(2)}}, "neither"),
        ({"state_dict": {"first_conv.conv.weight": torch.zeros(2, 1, 3)}}, "do not make a network"),
        ({"model": {"w": torch.zeros(1)}, "cfg": {"model": {"_name": "wav2vec2"}}}, "'wav2vec2'"),
        ({"model": {"w": torch.zeros(1)}, "cfg": {}}, "the model None"),
        (
            {
                "model": {"towers.single.first_conv.weight": torch.zeros(2, 1, 3)},
                "cfg": {"model": {"_name": "selfmis"}},
            },
            "filters",
        ),
        (
            training_payload({"towers.single.first_conv.weight": torch.zeros(2)}, "selfmis"),
            "misshapen",
        ),
        (
            training_payload(
                {"towers.single.first_conv.weight": torch.zeros(2, 1, 3)}, "selfmis", filters=[9]
            ),
            "not usable",
        ),
        (torch.zeros(3), "not a dictionary"),
    ],
)
def test_files_without_an_encoder_are_refused(
    payload: Any, message: str, save: Callable[..., Path]
) -> None:
    path = save(payload)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_encoder_weights(path)
    assert str(path) in str(caught.value)


class RunsCode:
    """Unpickling this runs a command."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(zipped: bool, save: Callable[..., Path], tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    payload = {"state_dict": founder_state(SMALL), "extra": RunsCode(witness)}
    path = save(payload, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"Python object \(\w+\.mkdir\).*refused") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert not witness.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file(share: float, zipped: bool, save: Callable[..., Path]) -> None:
    path = save({"state_dict": founder_state(SMALL)}, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(CheckpointError, match="cut short, damaged") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(CheckpointError, match=r"is a folder, .* such as checkpoint_best\.pt"):
        read_checkpoint(tmp_path)
    best = tmp_path / "run" / "checkpoints" / "checkpoint_best.pt"
    best.parent.mkdir(parents=True)
    best.touch()
    with pytest.raises(CheckpointError, match=f"is a folder, .* such as {re.escape(str(best))}"):
        read_checkpoint(tmp_path / "run")
    for name, content in [
        ("page.pt", b"<!DOCTYPE html><html></html>"),
        ("numbers.pt", bytes(range(256)) * 10),
        ("plain.pt", pickle.dumps({"state_dict": [1, 2]}, protocol=2)),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            read_checkpoint(path)


def test_state_of_another_shape_is_not_renamed() -> None:
    with pytest.raises(CheckpointError, match="missing"):
        to_ecgfounder(
            Net1D(SMALL).state_dict(), Net1DConfig(**{**vars(SMALL), "blocks": (2, 2, 2)})
        )


def test_tower_is_named() -> None:
    with pytest.raises(ValueError, match="'single' or 'multi'"):
        load_encoder_weights("weights.pt", tower="both")  # type: ignore[arg-type]
