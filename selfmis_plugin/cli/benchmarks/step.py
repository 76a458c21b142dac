"""``selfmis benchmark step``: the encoder's speed and memory against a plain one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.profiling.machine import describe_machine
from selfmis_plugin.profiling.macs import encoder_macs
from selfmis_plugin.profiling.memory import peak_device_memory, peak_memory
from selfmis_plugin.profiling.peak import matrix_product_peak
from selfmis_plugin.profiling.reference_net1d import check_reference
from selfmis_plugin.profiling.step_ways import (
    CONFIGS,
    LEADS,
    PRECISIONS,
    PROBE_EPOCHS,
    Kind,
    Setting,
    Way,
    run_twice,
)
from selfmis_plugin.profiling.timing import Speed, compare, ratio, threads
from selfmis_plugin.utils.arguments import whole
from selfmis_plugin.utils.files import write_json

#: What is compared, and what it is called in the table.
COMPARED: dict[Kind, str] = {
    "train": "training step, one lead",
    "forward": "forward, 12 leads",
    "cached_step": "SelfMIS step",
}

MIB = 2**20


@dataclass(frozen=True)
class Row:
    """A line of the table: one way, its speed, its work for each ECG and its memory."""

    title: str
    way: Way
    speed: Speed
    flop: float
    peak: float
    memory: int | None

    @property
    def flop_rate(self) -> float:
        """FLOP/s at the median speed."""
        return self.speed.median * self.flop

    def to_dict(self) -> dict[str, Any]:
        """Return the row for a JSON file."""
        return {
            "way": self.way.name,
            "ecg_per_s": self.speed.median,
            "ecg_per_s_rounds": list(self.speed.rounds),
            "gflop_per_s": self.flop_rate / 1e9,
            "share_of_matrix_product_peak": self.flop_rate / self.peak,
            "peak_memory_mib": None if self.memory is None else self.memory / MIB,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--batch", type=whole(1), default=32, help="records of a batch (32)")
    parser.add_argument("--samples", type=whole(1), default=5000, help="samples of a record (5000)")
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed turns (5)")
    parser.add_argument("--threads", type=whole(1), help="threads of PyTorch (its own choice)")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="NET1D.py",
        help="compare with the code of ECGFounder's authors (their net1d.py, which is run), not "
        "with the plugin's own plain encoder",
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda where there is one"
    )
    parser.add_argument(
        "--config", choices=CONFIGS, default="full", help="encoder: ECGFounder's, or a small one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")


def run(options: argparse.Namespace) -> int:
    """Measure, print the table and the ratios, write them where asked."""
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("--device cuda: no CUDA GPU is found here; use --device cpu")
    if options.reference is not None:
        check_reference(options.reference)
    setting = Setting(
        options.config,
        options.batch,
        options.samples,
        device,
        options.threads,
        options.reference,
    )
    with threads(options.threads):
        machine = describe_machine()
        for name, text in machine.items():
            print(f"{name:12}{text}")
        print(
            f"{'encoder':12}{setting.config}, batch {setting.batch}, {setting.samples} samples, "
            f"on {device}; medians of {options.rounds} turns (slowest to fastest)\n"
        )
        rows: list[Row] = []
        ratios: dict[str, float] = {}
        peaks: dict[str, float] = {}
        for precision in PRECISIONS:
            found, its_ratios = _compare(setting, precision, options.rounds)
            peaks[precision] = found[0].peak
            _print_rows(found, precision, peaks[precision])
            rows += found
            ratios |= its_ratios
        ratios["probe_passes"] = _probe_passes(setting, options.rounds)
    _print_ratios(ratios, _reference(setting))
    if options.json is not None:
        write_json(
            options.json,
            {
                **ratios,
                "machine": machine,
                "setting": vars(setting)
                | {"rounds": options.rounds, "reference": _reference(setting)},
                "matrix_product_gflop_per_s": {name: peak / 1e9 for name, peak in peaks.items()},
                "ways": [row.to_dict() for row in rows],
            },
        )
    return 0


def _compare(setting: Setting, precision: str, rounds: int) -> tuple[list[Row], dict[str, float]]:
    ways = [Way(kind, plain, precision) for kind in COMPARED for plain in (True, False)]
    memory = {way: _memory(way, setting) for way in ways}
    synchronise = _synchronise(setting.device)
    peaks: list[float] = []

    def peak() -> int:
        device = torch.device(setting.device)
        peaks.append(matrix_product_peak(PRECISIONS[precision], device, synchronise=synchronise))
        return 1

    # The peak takes its turns with the ways: a machine that others use too is not always as fast.
    speeds = compare(
        {"peak": peak} | {way.name: way.build(setting) for way in ways},
        rounds=rounds,
        synchronise=synchronise,
    )
    highest = max(peaks)
    rows = [
        Row(_title(way, setting), way, speeds[way.name], _flop(way, setting), highest, memory[way])
        for way in ways
    ]
    ratios = {
        f"{kind}_{precision}": ratio(
            speeds, Way(kind, False, precision).name, Way(kind, True, precision).name
        )
        for kind in COMPARED
    }
    return rows, ratios


def _probe_passes(setting: Setting, rounds: int) -> float:
    """Cost of a linear probe, in passes of the encoder over the data.

    The encoder sees each record once and the head sees its embedding in every epoch, so the cost
    is one pass and what the head's epochs take.
    """
    ways = [Way("probe_pass", False, "f32"), Way("probe_head", False, "f32")]
    speeds = compare(
        {way.name: way.build(setting) for way in ways},
        rounds=rounds,
        synchronise=_synchronise(setting.device),
    )
    return 1 + ratio(speeds, ways[0].name, ways[1].name)


def _reference(setting: Setting) -> str:
    return "plain" if setting.reference is None else setting.reference.name


def _title(way: Way, setting: Setting) -> str:
    if way.plain:
        who = _reference(setting)
    else:
        who = "ours, 12-lead embeddings kept" if way.kind == "cached_step" else "ours"
    return f"{COMPARED[way.kind]}: {who}"


def _flop(way: Way, setting: Setting) -> float:
    """Floating-point operations for each ECG; backward takes twice what forward does."""
    config = CONFIGS[setting.config]
    single = 2 * encoder_macs(replace(config, in_leads=1), setting.samples)
    multi = 2 * encoder_macs(replace(config, in_leads=LEADS), setting.samples)
    if way.kind == "forward":
        return multi
    return 3 * single + (multi if way.kind == "cached_step" and way.plain else 0)


def _memory(way: Way, setting: Setting) -> int | None:
    measure = peak_device_memory if setting.device == "cuda" else peak_memory
    return measure(run_twice, way, setting)


def _synchronise(device: str) -> Any:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def _print_rows(rows: list[Row], precision: str, peak: float) -> None:
    width = max(len(row.title) for row in rows)
    print(f"{precision}: a matrix product reaches {peak / 1e9:,.0f} GFLOP/s")
    print(f"  {'':{width}}  {'ECG/s':>22}  {'GFLOP/s':>8}  {'of peak':>7}  {'memory':>10}")
    for row in rows:
        slowest, fastest = row.speed.spread
        speed = f"{row.speed.median:.1f} ({slowest:.1f} to {fastest:.1f})"
        memory = "unknown" if row.memory is None else f"{row.memory / MIB:,.0f} MiB"
        print(
            f"  {row.title:{width}}  {speed:>22}  {row.flop_rate / 1e9:>8,.0f}  "
            f"{row.flop_rate / row.peak:>7.0%}  {memory:>10}"
        )
    print()


def _print_ratios(ratios: Mapping[str, float], reference: str) -> None:
    print(f"times as fast as the {reference} encoder in the same precision and turn:")
    for name, value in ratios.items():
        if name != "probe_passes":
            print(f"  {name:18}{value:.2f}")
    print(
        f"{PROBE_EPOCHS} epochs of linear probing on kept embeddings take "
        f"{ratios['probe_passes']:.2f} passes of the encoder over the data (probe_passes)"
    )


BENCHMARK = Benchmark(
    name="step",
    title="speed and memory of a training step and a forward pass, against a plain encoder",
    add_arguments=add_arguments,
    run=run,
)
