"""``selfmis benchmark step``: the encoder's speed and memory against a plain one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.profiling.benchmark import SIZES, Benchmark
from selfmis_plugin.utils.arguments import add_json, whole
from selfmis_plugin.utils.files import write_json

if TYPE_CHECKING:
    from selfmis_plugin.profiling.step_speed import Row

_MIB = 2**20


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
        "--config", choices=SIZES, default="full", help="encoder: ECGFounder's, or a small one"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table and the ratios, write them where asked."""
    from selfmis_plugin.profiling.machine import chosen_device, describe_machine
    from selfmis_plugin.profiling.reference_net1d import check_reference
    from selfmis_plugin.profiling.step_speed import (
        compare_step_ways,
        probe_passes,
        reference_name,
    )
    from selfmis_plugin.profiling.step_ways import PRECISIONS, Setting
    from selfmis_plugin.profiling.timing import threads

    device = chosen_device(options.device)
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
            found, its_ratios = compare_step_ways(setting, precision, options.rounds)
            peaks[precision] = found[0].peak
            _print_rows(found, precision, peaks[precision])
            rows += found
            ratios |= its_ratios
        ratios["probe_passes"] = probe_passes(setting, options.rounds)
    _print_ratios(ratios, reference_name(setting))
    if options.json is not None:
        write_json(
            options.json,
            {
                **ratios,
                "machine": machine,
                "setting": vars(setting)
                | {"rounds": options.rounds, "reference": reference_name(setting)},
                "matrix_product_gflop_per_s": {name: peak / 1e9 for name, peak in peaks.items()},
                "ways": [row.to_dict() for row in rows],
            },
        )
    return 0


def _print_rows(rows: Sequence[Row], precision: str, peak: float) -> None:
    width = max(len(row.title) for row in rows)
    print(f"{precision}: a matrix product reaches {peak / 1e9:,.0f} GFLOP/s")
    print(f"  {'':{width}}  {'ECG/s':>22}  {'GFLOP/s':>8}  {'of peak':>7}  {'memory':>10}")
    for row in rows:
        slowest, fastest = row.speed.spread
        speed = f"{row.speed.median:.1f} ({slowest:.1f} to {fastest:.1f})"
        memory = "unknown" if row.memory is None else f"{row.memory / _MIB:,.0f} MiB"
        print(
            f"  {row.title:{width}}  {speed:>22}  {row.flop_rate / 1e9:>8,.0f}  "
            f"{row.flop_rate / row.peak:>7.0%}  {memory:>10}"
        )
    print()


def _print_ratios(ratios: Mapping[str, float], reference: str) -> None:
    from selfmis_plugin.profiling.step_ways import PROBE_EPOCHS

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
