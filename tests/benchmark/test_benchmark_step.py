"""``selfmis benchmark step`` on the small encoder, and what its figures are made of."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.filter_names import FILTER_NAMES
from selfmis_plugin.data.filters import FILTERS
from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.profiling.benchmark import SIZES
from selfmis_plugin.profiling.macs import encoder_macs
from selfmis_plugin.profiling.memory import peak_memory
from selfmis_plugin.profiling.peak import _products, matrix_product_peak
from selfmis_plugin.profiling.step_ways import CONFIGS

RATIOS = {
    *("train_f32", "train_bf16", "forward_f32", "forward_bf16"),
    *("cached_step_f32", "cached_step_bf16", "probe_passes"),
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict:
    file = tmp_path_factory.mktemp("step") / "figures.json"
    arguments = ["--config", "small", "--batch", "2", "--samples", "500", "--rounds", "2"]
    threads = torch.get_num_threads()
    assert main(["benchmark", "step", *arguments, "--threads", "1", "--json", str(file)]) == 0
    assert torch.get_num_threads() == threads
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_file_has_every_ratio(figures: dict) -> None:
    assert figures.keys() > RATIOS
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in RATIOS)
    assert figures["probe_passes"] > 1
    assert figures["machine"]["threads"] == "1"


@pytest.mark.slow
def test_every_way_is_measured(figures: dict) -> None:
    ways = {way["way"]: way for way in figures["ways"]}
    assert len(ways) == 12
    for way in ways.values():
        assert len(way["ecg_per_s_rounds"]) == 2
        assert way["gflop_per_s"] > 0
        assert way["share_of_matrix_product_peak"] > 0
        assert way["peak_memory_mib"] is None or way["peak_memory_mib"] > 0


@pytest.mark.slow
def test_ratios_are_those_of_the_rounds(figures: dict) -> None:
    ways = {way["way"]: way["ecg_per_s_rounds"] for way in figures["ways"]}
    for kind in ("train", "forward", "cached_step"):
        pairs = zip(ways[f"{kind} f32 ours"], ways[f"{kind} f32 plain"], strict=True)
        quotients = [ours / plain for ours, plain in pairs]
        assert figures[f"{kind}_f32"] == pytest.approx(sum(quotients) / 2)


def test_options_name_what_there_is() -> None:
    assert tuple(CONFIGS) == SIZES and tuple(FILTERS) == FILTER_NAMES


@pytest.mark.slow
def test_work_of_a_step(figures: dict) -> None:
    """Backward is two forwards; a plain SelfMIS step runs the 12-lead encoder besides."""
    small = CONFIGS["small"]
    single, multi = (encoder_macs(replace(small, in_leads=leads), 500) for leads in (1, 12))
    flop = {way["way"]: 1e9 * way["gflop_per_s"] / way["ecg_per_s"] for way in figures["ways"]}
    assert flop["train f32 ours"] == pytest.approx(6 * single)
    assert flop["forward bf16 ours"] == pytest.approx(2 * multi)
    assert flop["cached_step bf16 ours"] == pytest.approx(6 * single)
    assert flop["cached_step f32 plain"] == pytest.approx(6 * single + 2 * multi)


def test_operations_are_those_of_a_count_by_hand() -> None:
    config = Net1DConfig(base_filters=4, filters=(8,), blocks=(2,), group_width=4, in_leads=3)
    samples = 101
    first, stage = 51, 26  # each stride of 2 rounds up
    expected = first * 16 * 3 * 4
    expected += first * 4 * 8 + stage * 16 * 4 * 8 + stage * 8 * 8  # the stage's first block
    expected += stage * (8 * 8 + 16 * 4 * 8 + 8 * 8)  # its second
    expected += 2 * (8 * 4 + 4 * 8)  # squeeze-excitation of both
    assert encoder_macs(config, samples) == expected


@pytest.mark.parametrize(("leads", "giga"), [(1, 1.141), (12, 1.169)])
def test_operations_of_the_full_encoders_are_those_of_the_authors_code(
    leads: int, giga: float
) -> None:
    macs = encoder_macs(Net1DConfig(in_leads=leads), 5000)
    assert macs / 1e9 == pytest.approx(giga, abs=1e-3)


@pytest.mark.slow
def test_peak_is_a_speed_in_both_precisions() -> None:
    speeds = [
        matrix_product_peak(dtype, torch.device("cpu"), seconds=0)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert all(math.isfinite(speed) and speed > 0 for speed in speeds)


def test_both_ways_of_the_peak_are_the_same_product() -> None:
    torch.manual_seed(0)
    product, convolution = _products(16, torch.float32, torch.device("cpu"))
    torch.testing.assert_close(product(), convolution()[0, :, 0])


def test_options_need_neither_a_toolkit_nor_pytorch() -> None:
    program = (
        "import argparse, sys; from selfmis_plugin.cli.benchmarks import known_benchmarks\n"
        "from selfmis_plugin.demo.demo import known_demos\n"
        "assert 'step' in known_benchmarks() and 'selfmis' in known_demos()\n"
        "for benchmark in known_benchmarks().values():\n"
        "    benchmark.add_arguments(argparse.ArgumentParser())\n"
        "assert not {'fairseq', 'fairseq_signals', 'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def take_memory(mebibytes: int) -> None:
    torch.ones(mebibytes * 2**20, dtype=torch.uint8)


def test_memory_is_that_of_the_work_alone() -> None:
    taken = peak_memory(take_memory, 64)
    if taken is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 60 * 2**20 < taken < 120 * 2**20


@pytest.mark.parametrize("option", ["--batch", "--samples", "--rounds", "--threads"])
def test_options_that_measure_nothing_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "step", option, "0"])
    assert f"{option}: '0' is not a whole number of at least 1" in capsys.readouterr().err


#: A net1d.py that has ECGFounder's interface and names.
REFERENCE = """
import torch
from pathlib import Path
from selfmis_plugin.checkpoints import ecgfounder_weights
from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.nn.net1d.plain import PlainNet1D

class Net1D(torch.nn.Module):
    def __init__(self, in_channels, base_filters, ratio, filter_list, m_blocks_list, kernel_size,
                 stride, groups_width, n_classes, use_bn=True, use_do=True, return_features=False):
        super().__init__()
        assert not use_bn and not use_do and return_features and isinstance(filter_list, list)
        self.plain = PlainNet1D(Net1DConfig(
            base_filters, tuple(filter_list), tuple(m_blocks_list), kernel_size, stride,
            groups_width, ratio, in_channels))

    def load_state_dict(self, state):
        assert state["dense.weight"].shape[0] == 1
        self.plain.load_state_dict(ecgfounder_weights(Path("file"), state).state_dict)

    def forward(self, signal):
        embedding = FACTOR * self.plain(signal)
        return embedding.sum(1), embedding
"""


@pytest.mark.slow
def test_another_reference(tmp_path: Path) -> None:
    file, found = tmp_path / "net1d.py", tmp_path / "figures.json"
    file.write_text(REFERENCE.replace("FACTOR", "1.0"), encoding="utf-8")
    arguments = ["--config", "small", "--batch", "2", "--samples", "300", "--rounds", "1"]
    arguments += ["--reference", str(file), "--json", str(found)]
    assert main(["benchmark", "step", *arguments]) == 0
    figures = json.loads(found.read_text(encoding="utf-8"))
    assert figures.keys() > RATIOS and figures["setting"]["reference"] == "net1d.py"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is no Python file"),
        ("import no_such_module", "cannot be run: No module named 'no_such_module'"),
        ("x = 1", "has no Net1D as in ECGFounder"),
        (REFERENCE.replace("FACTOR", "1.1"), "computes something else from the same weights"),
        (REFERENCE.replace("return embedding.sum(1), ", "return "), "computes something else"),
        (REFERENCE.replace("assert state", "raise RuntimeError; state"), "is another network"),
    ],
)
def test_what_is_no_reference_is_refused(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net1d.py"
    if text is not None:
        file.write_text(text.replace("FACTOR", "1.0"), encoding="utf-8")
    assert main(["benchmark", "step", "--reference", str(file)]) == 1
    error = capsys.readouterr().err
    assert message in error and "net1d.py" in error
