"""``selfmis benchmark predict``: strips a second, whole and by part."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from selfmis_plugin.data.filter_names import ECGFOUNDER, FILTER_NAMES
from selfmis_plugin.profiling.benchmark import SIZES, Benchmark, BenchmarkError
from selfmis_plugin.utils.arguments import add_json, positive, whole
from selfmis_plugin.utils.files import write_json

if TYPE_CHECKING:
    from selfmis_plugin.profiling.timing import Speed

_LOWEST_RATE, _HIGHEST_RATE = 100.0, 2000.0
_TITLES = {
    "reference": "plain encoder, wfdb's XQRS, one strip at a time",
    "predict_float32": "predict, float32",
    "predict_bfloat16": "predict, bfloat16",
    "quality_wfdb": "  quality, with wfdb's XQRS",
    "quality": "  quality",
    "prepare": "  resampling and filter",
    "encoder_float32": "  encoder, float32",
    "encoder_bfloat16": "  encoder, bfloat16",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--strips", type=whole(1), default=64, help="of 10 s (64)")
    parser.add_argument(
        "--rate", "--sample-rate", type=positive, default=512.0, help="of the strips (512 Hz)"
    )
    parser.add_argument("--filter", choices=FILTER_NAMES, default=ECGFOUNDER)
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed turns (5)")
    parser.add_argument("--threads", type=whole(1), help="threads of PyTorch (its own choice)")
    parser.add_argument(
        "--config", choices=SIZES, default="full", help="encoder: ECGFounder's, or a small one"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write it where asked."""
    if not _LOWEST_RATE <= options.rate <= _HIGHEST_RATE:
        raise BenchmarkError(
            f"--rate must be from {_LOWEST_RATE:g} to {_HIGHEST_RATE:g}, as devices have, not "
            f"{options.rate:g}"
        )
    from selfmis_plugin.benchmark.predict_speed import strip_ratios, strip_ways
    from selfmis_plugin.preparation.record import SECONDS
    from selfmis_plugin.profiling.machine import describe_machine
    from selfmis_plugin.profiling.timing import compare, threads

    with threads(options.threads):
        machine = describe_machine()
        for name, text in machine.items():
            print(f"{name:12}{text}")
        print(
            f"{'encoder':12}{options.config}, lead I, {options.strips} strips of {SECONDS:g} s at "
            f"{options.rate:g} Hz, filter {options.filter}; reading a file is not in it\n"
        )
        ways = strip_ways(options.config, options.filter, options.strips, options.rate)
        speeds = compare(ways, rounds=options.rounds)
    ratios = strip_ratios(speeds)
    _print(speeds, ratios)
    if options.json is not None:
        write_json(
            options.json,
            {
                "machine": machine,
                "setting": {
                    name: getattr(options, name)
                    for name in ("strips", "rate", "filter", "rounds", "config")
                },
                "strips_per_s": {name: speed.median for name, speed in speeds.items()},
                "strips_per_s_rounds": {name: list(s.rounds) for name, s in speeds.items()},
                "ratios": ratios,
            },
        )
    return 0


def _print(speeds: Mapping[str, Speed], ratios: Mapping[str, float]) -> None:
    width = max(map(len, _TITLES.values()))
    print(f"{'':{width}}  {'strips/s':>22}  {'ms a strip':>10}")
    for name, speed in speeds.items():
        slowest, fastest = speed.spread
        rounds = f"{speed.median:.1f} ({slowest:.1f} to {fastest:.1f})"
        print(f"{_TITLES[name]:{width}}  {rounds:>22}  {1000 / speed.median:>10.2f}")
    print("\ntimes as fast as the reference in the same turn (quality: as with wfdb's XQRS):")
    for name, value in ratios.items():
        print(f"  {name:18}{value:.2f}")


BENCHMARK = Benchmark(
    name="predict",
    title="strips a second of selfmis predict, whole and by part",
    add_arguments=add_arguments,
    run=run,
)
